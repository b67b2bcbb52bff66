//! What an audit found.

use serde::{Serialize, Serializer};

/// How bad it is, the worst last: a plug-in tells the worst of all that it found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Severity {
    /// Nothing to do: a remark, or what was not checked because it cannot be read.
    Ok,
    /// It could not be told.
    Unknown,
    /// No client fails yet.
    Warning,
    /// Clients fail, or soon will.
    Critical,
}

impl Severity {
    /// The exit code of a plug-in.
    pub fn code(self) -> u8 {
        match self {
            Severity::Ok => 0,
            Severity::Warning => 1,
            Severity::Critical => 2,
            Severity::Unknown => 3,
        }
    }

    /// As plug-ins write it.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Ok => "OK",
            Severity::Unknown => "UNKNOWN",
            Severity::Warning => "WARNING",
            Severity::Critical => "CRITICAL",
        }
    }
}

macro_rules! kinds {
    ($($kind:ident $name:literal $cure:literal)*) => {
        /// What kind of thing was found; daneroll-check(8) explains each by its name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Kind { $(#[doc = $cure] $kind,)* }

        impl Kind {
            /// All of them.
            pub const ALL: &[Kind] = &[$(Kind::$kind,)*];

            /// Its name in documents and manuals.
            pub fn name(self) -> &'static str {
                match self { $(Kind::$kind => $name,)* }
            }

            /// What to do about it.
            pub fn cure(self) -> &'static str {
                match self { $(Kind::$kind => $cure,)* }
            }
        }
    };
}

kinds! {
    Mismatch "mismatch"
        "publish the record of what is presented, or present what is published; then look why: a service that does \
         not read the dane directory, or was not reloaded"
    DigestGap "digest-gap" "publish the record of each digest type that occurs, or delete the type that is not kept up"
    IssuerNotSent "issuer-not-sent"
        "have the service send the issuer's certificate (fullchain.pem), or publish 3 1 1 instead"
    Bogus "bogus" "mend the signatures of the zone: until then validating senders defer mail"
    ServersSilent "servers-silent" "mend the name servers that do not answer"
    ServersDiffer "servers-differ" "see why the zone is not transferred; daneroll waits for all of them"
    Expiry "expiry" "renew, and see why that has not happened"
    ExpiringBlocked "expiring-blocked" "see daneroll status for what blocks the switch, and remove that now"
    NoRecords "no-records" "let daneroll publish them; see its log for why it has not"
    RecordsMissing "records-missing" "let daneroll publish them; see its log for why it has not"
    Insecure "insecure" "sign the zone and have its DS record published; until then nobody uses the records"
    ForeignRecords "foreign-records" "delete them, or have whoever publishes them keep them up"
    UnusableUsage "unusable-usage" "publish 3 1 1 instead, and delete these when that has been up for twice the TTL"
    UnusableRecords "unusable-records" "delete them"
    WholeCertificate "whole-certificate" "publish 3 1 1 instead"
    TooManyRecords "too-many-records" "delete what is not needed; one or two records do"
    TtlTooLong "ttl-too-long" "lower the TTL of the records"
    MailHostUncovered "mail-host-uncovered" "publish TLSA records for every mail host of the domain"
    MailInsecure "mail-insecure"
        "sign the zone of the mail domain: without that no sender looks for TLSA records of its hosts"
    Alias "alias" "publish the records at the name that the alias leads to"
    FirstOfTwo "first-of-two"
        "publish the first records by hand in one change, or use a provider that edits RRsets whole (rfc2136)"
    RunFailed "run-failed" "see the log"
    RunLate "run-late" "see why the timer or the cron job does not run daneroll"
    Overdue "overdue" "see daneroll status for what is awaited"
    ReadsLive "reads-live" "write the path that is given, and reload the service"
    NoServers "no-servers" "see that the resolver works, or name others with resolver"
    SecurityUnknown "security-unknown" "see that the resolver works, or name others with resolver"
    HostsUnknown "hosts-unknown"
        "see what is said of the MX records or the certificate, or write the hosts into tlsa lines of their own"
    NotSeen "not-seen" "see whether the service takes connections from here; probe_address tells where else to connect"
    MailUnknown "mail-unknown" "see that the resolver works, or name others with resolver"
    NotInTime "not-in-time" "allow more time with --timeout"
    Configuration "configuration" "mend the configuration; daneroll -t shows all of its errors"
    NotWritten "not-written" "see that whoever runs check may write there"
    PinAlways "pin-always" "set pin = always"
    NotChecked "not-checked" "nothing, or run check as somebody who may read it"
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What kind of thing.
    pub kind: Kind,
    /// Where: an owner, a lineage, a file.
    pub place: String,
    /// What was seen, in words.
    pub text: String,
    /// What to do about it.
    pub cure: &'static str,
}

impl Finding {
    /// A finding with the cure of its kind.
    pub fn new(severity: Severity, kind: Kind, place: impl ToString, text: impl Into<String>) -> Finding {
        Finding { severity, kind, place: place.to_string(), text: text.into(), cure: kind.cure() }
    }
}
