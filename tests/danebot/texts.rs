//! What the servers and the hook read. `@DIR@` is the directory of the laboratory.

pub const NAMED: &str = r#"
options {
  directory "@DIR@/named"; pid-file "named.pid"; session-keyfile "session.key";
  listen-on port 53 { 127.0.0.11; }; listen-on-v6 { none; };
  recursion no; dnssec-validation no; notify no;
};
controls { };
include "@DIR@/tsig.key";
dnssec-policy single {
  keys { csk lifetime unlimited algorithm ecdsap256sha256; }; dnskey-ttl 2; max-zone-ttl 3600;
};
zone "." { type primary; file "root.zone"; };
zone "test" { type primary; file "test.zone"; };
zone "example.test" {
  type primary; file "example.test.zone"; dnssec-policy single; update-policy { grant daneroll. zonesub ANY; };
};
zone "second.test" {
  type primary; file "second.test.zone"; dnssec-policy single; update-policy { grant daneroll. zonesub ANY; };
};
"#;

pub const ROOT: &str = "$TTL 60
. 1 SOA ns.root.test. hostmaster.root.test. 1 3600 600 86400 1
. NS ns.root.test.
test. NS ns.root.test.
ns.root.test. A 127.0.0.11
";

pub const TEST: &str = "$TTL 60
test. 1 SOA ns.root.test. hostmaster.root.test. 1 3600 600 86400 1
test. NS ns.root.test.
ns.root.test. A 127.0.0.11
example.test. NS ns.root.test.
second.test. NS ns.root.test.
";

pub const ZONE: &str = "$TTL 60
@ 1 SOA ns.root.test. hostmaster.root.test. 1 3600 600 86400 1
@ NS ns.root.test.
mx A 127.0.0.1
alias A 127.0.0.1
";

pub const MAIN: &str = "compatibility_level = 3.6
queue_directory = @DIR@/queue
data_directory = @DIR@/data
maillog_file = @DIR@/mail.log
maillog_file_prefixes = /tmp
myhostname = mx.example.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
smtpd_tls_security_level = may
smtpd_tls_chain_files = @DIR@/service.pem
smtpd_forbid_unauth_pipelining = yes
";

pub const MASTER: &str = "25 inet n - n - - smtpd
tlsmgr unix - - n - 1 tlsmgr
anvil unix - - n - 1 anvil
rewrite unix - - n - - trivial-rewrite
proxymap unix - - n - - proxymap
postlog unix-dgram n - n - 1 postlogd
";

/// It installs what it gets with one rename, has Postfix reload it where there is one, and keeps count.
pub const HOOK: &str = r#"#!/bin/sh
DIR=@DIR@
echo called >>$DIR/calls
@EXTRA@
[ $# = 0 ] || exit 9
printf '%s\n%s\n' "$DANEBOT_KEY" "$DANEBOT_CERT" >$DIR/service.new && mv $DIR/service.new $DIR/service.pem
printf '%s' "$DANEBOT_CERT" >$DIR/presented.new && mv $DIR/presented.new $DIR/presented.pem
[ ! -d $DIR/etc ] || postfix -c $DIR/etc reload || exit 1
echo done >>$DIR/hooks
"#;
