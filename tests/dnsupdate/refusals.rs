//! What each server answers when it does not do it, and the cure that is told.

use super::{
    FOREIGN, MX, add, config, context, expect, real,
    servers::{Kind, PRIMARIES, Server, key, ready, skew},
};
use daneroll::{
    config::Secret,
    provider::{Change, Outcome, Provider, rfc2136::TsigKey},
};

/// What each of BIND, knot and PowerDNS says.
type Words = [&'static str; 3];

const STATIC: &str = "_25._tcp.mx.static.test";
const OTHER: &str = "_25._tcp.mx.other.test";

#[test]
fn each_names_its_cure() {
    let stranger = || TsigKey { name: "nobody.".parse().unwrap(), ..key("daneroll") };
    let wrong = || TsigKey { secret: Secret(vec![7; 32]), ..key("daneroll") };
    let algorithm = || TsigKey { algorithm: "hmac-sha512".into(), ..key("daneroll") };
    let (unsigned, lame) = ("(REFUSED) and signs no answer", "name the primary server of its zone");
    let cases: [(&str, Option<TsigKey>, Change, Words); 7] = [
        ("unknown key", Some(stranger()), add(MX, 1), ["(BADKEY)", "(BADKEY)", unsigned]),
        ("wrong secret", Some(wrong()), add(MX, 1), ["(BADSIG)", "(BADSIG)", unsigned]),
        ("wrong algorithm", Some(algorithm()), add(MX, 1), ["(BADKEY)", "(BADKEY)", unsigned]),
        ("no key", None, add(MX, 1), ["update-policy", "give the key's file as `key:`", "TSIG-ALLOW-DNSUPDATE"]),
        (
            "a key without rights",
            Some(key("stranger")),
            add(MX, 1),
            ["update-policy", "no `acl` of the zone lets the key", "TSIG-ALLOW-DNSUPDATE"],
        ),
        (
            "a zone without a policy",
            Some(key("daneroll")),
            add(STATIC, 1),
            ["update-policy", "no `acl` of the zone lets the key", "TSIG-ALLOW-DNSUPDATE"],
        ),
        ("a zone it does not hold", Some(key("daneroll")), add(OTHER, 1), [lame, lame, lame]),
    ];
    for (place, kind) in PRIMARIES.into_iter().enumerate().filter(|(_, kind)| ready(*kind)) {
        let server = Server::start(kind);
        for (what, key, change, words) in &cases {
            let config = config(&[server.address], key.clone());
            let outcome = config.apply(&real(), &context(), std::slice::from_ref(change)).remove(0);
            let told = matches!(&outcome, Outcome::Failed(text) if text.contains(words[place]));
            assert!(told, "{kind:?}, {what}: {outcome:?}, not {:?}", words[place]);
        }
        expect(server.address, MX, 77, &[FOREIGN]);
    }
}

/// A secondary that does not hand updates on.
#[test]
fn secondaries_are_told_from_primaries() {
    for (kind, words) in
        [(Kind::BindSecondary, "name the primary server"), (Kind::Nsd, "as NSD, which is never a primary")]
    {
        if !(ready(kind) && ready(Kind::Bind)) {
            continue;
        }
        let primary = Server::start(Kind::Bind);
        let server = Server::behind(kind, Some(primary.address));
        let outcome = super::update(server.address, &[add(MX, 1)]).remove(0);
        assert!(matches!(&outcome, Outcome::Failed(text) if text.contains(words)), "{kind:?}: {outcome:?}");
        // Named first by mistake, beside the primary, it does no harm.
        let both = config(&[server.address, primary.address], Some(key("daneroll")));
        assert_eq!(both.apply(&real(), &context(), &[add(MX, 1)]), [Outcome::Done], "{kind:?}");
    }
}

#[test]
fn clocks_that_differ() {
    for (kind, words) in [(Kind::Knot, "s ahead of ours (BADTIME)"), (Kind::Pdns, "a clock more than 300 s off")] {
        if !ready(kind) || !skew::ready() {
            continue;
        }
        let server = Server::skewed(kind);
        let outcome = super::update(server.address, &[add(MX, 1)]).remove(0);
        assert!(matches!(&outcome, Outcome::Failed(text) if text.contains(words)), "{kind:?}: {outcome:?}");
    }
}
