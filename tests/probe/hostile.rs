//! Servers that misbehave, refuse, or speak something else: each ends as a reason in words, and nothing hangs.

use crate::{
    certs::Cert,
    scripted::{
        Server,
        Step::{self, Drip, Flood, Hear, Say, Tls, Wait},
        say,
    },
    see,
};
use daneroll::{
    env::Visit,
    probe::Protocol::{self, Imap, Ldap, Pop3, Postgres, Sieve, Smtp, XmppClient, XmppServer},
};
use std::time::Duration;

/// What waits for this never comes; what comes before it has ample time on a busy machine.
const SHORT: Duration = Duration::from_secs(4);
/// Never reached.
const LONG: Duration = Duration::from_secs(30);
const OVER: &str = "before the 4 s for the whole visit were over";

type Case = (Protocol, Vec<Step>, Duration, String);

/// A server that does this ends as that.
fn case(protocol: Protocol, script: &[Step], reason: &str) -> Case {
    (protocol, script.to_vec(), LONG, reason.to_owned())
}

/// The same, but only the time limit ends it.
fn late(protocol: Protocol, script: &[Step], what: &str) -> Case {
    (protocol, script.to_vec(), SHORT, format!("{what} {OVER}"))
}

fn check(cases: Vec<Case>) {
    let servers: Vec<Server> = cases.iter().map(|(_, script, ..)| Server::start(script.clone())).collect();
    let visit = |((protocol, _, limit, _), server): (&Case, &Server)| Visit {
        limit: *limit,
        ..see::to(*protocol, server.address)
    };
    let visits: Vec<Visit> = cases.iter().zip(&servers).map(visit).collect();
    let seen = see::all(&visits);
    let told: Vec<_> = cases.iter().zip(&seen).map(|((protocol, ..), seen)| (protocol, seen.unknown.clone())).collect();
    let expected: Vec<_> = cases.iter().map(|(protocol, .., reason)| (protocol, Some(reason.clone()))).collect();
    for (told, expected) in told.iter().zip(&expected) {
        assert_eq!(told, expected);
    }
    assert!(seen.iter().all(|seen| seen.chains.is_empty()), "a chain from nowhere");
}

/// The words of each protocol that lead to its command for TLS.
fn offer(protocol: Protocol) -> Vec<Step> {
    match protocol {
        Smtp => vec![say("220-mx\r\n220 mx\r\n"), Hear("EHLO "), say("250-mx\r\n250-SIZE 1\r\n250 starttls\r\n")],
        Imap => {
            vec![say("* OK hi\r\n"), Hear("a1 CAPABILITY\r\n"), say("* CAPABILITY IMAP4rev1 STARTTLS\r\na1 OK .\r\n")]
        }
        Pop3 => vec![say("+OK hi\r\n"), Hear("CAPA\r\n"), say("+OK\r\nTOP\r\nSTLS\r\n.\r\n")],
        Sieve => vec![say("\"IMPLEMENTATION\" {5}\r\nx\r\nyz\r\n\"STARTTLS\"\r\nOK \"hi\"\r\n")],
        XmppClient | XmppServer => vec![
            Hear("<?xml version='1.0'?><stream:stream xmlns='jabber:"),
            say("<?xml version='1.0'?><stream:stream id='>' to=\"x\">\n<stream:features><mechanisms><mechanism>PLAIN"),
            say("</mechanism></mechanisms><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>"),
            say("</stream:features>"),
        ],
        Ldap | Postgres | Protocol::Tls => vec![],
    }
}

/// The same with the server's go-ahead.
pub fn go_ahead(protocol: Protocol) -> Vec<Step> {
    let (command, answer): (_, &[u8]) = match protocol {
        Smtp => ("STARTTLS\r\n", b"220 go\r\n"),
        Imap => ("a2 STARTTLS\r\n", b"a2 OK go\r\n"),
        Pop3 => ("STLS\r\n", b"+OK go\r\n"),
        Sieve => ("STARTTLS\r\n", b"OK\r\n"),
        XmppClient | XmppServer => ("<starttls ", b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'></proceed>"),
        Ldap => ("\x30\x1d\x02", b"\x30\x84\x00\x00\x00\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00"),
        Postgres => ("\0\0\0\x08", b"S"),
        Protocol::Tls => return vec![],
    };
    [offer(protocol), vec![Hear(command), Say(answer.to_vec())]].concat()
}

fn after(protocol: Protocol, steps: &[Step]) -> Vec<Step> {
    [go_ahead(protocol), steps.to_vec()].concat()
}

#[test]
fn of_any_protocol() {
    let mut cases = Vec::new();
    for (_, protocol) in Protocol::NAMES {
        let awaited = match protocol {
            Smtp | Imap | Pop3 | Sieve => "greeting",
            XmppClient | XmppServer => "answer to the stream header",
            Ldap => "answer to StartTLS",
            Postgres => "answer to SSLRequest",
            Protocol::Tls => {
                cases.push(case(protocol, &[], "closed the connection at the beginning of the TLS handshake"));
                cases.push(late(protocol, &[Wait], "the TLS handshake was not through"));
                continue;
            }
        };
        let injected = [go_ahead(protocol).pop().into_iter().map(with_more).collect(), vec![Wait]].concat();
        let injected = [&go_ahead(protocol)[..go_ahead(protocol).len() - 1], &injected].concat();
        let text = "sends plain text after its go-ahead for TLS, as an injection would: \"* more\\r\\n\"";
        cases.extend([
            case(protocol, &[], &format!("closed the connection before its {awaited}")),
            late(protocol, &[Wait], &format!("no {awaited}")),
            case(protocol, &injected, text),
        ]);
    }
    check(cases);
}

/// The go-ahead with something behind it.
fn with_more(step: Step) -> Step {
    match step {
        Say(bytes) => Say([bytes, b"* more\r\n".to_vec()].concat()),
        other => other,
    }
}

#[test]
fn once_it_should_be_tls() {
    let hello = |minor: u8| {
        let mut hello = vec![22, 3, minor, 0, 42, 2, 0, 0, 38, 3, minor];
        hello.extend([[7; 32].as_slice(), &[0, 0xc0, 0x13, 0]].concat());
        Say(hello)
    };
    let alert = |code| Say(vec![21, 3, 3, 0, 2, 2, code]);
    let (good, other) = (Cert::ecdsa(), Cert::ecdsa());
    let garbage = Cert { chain: vec![b"no certificate".to_vec()], ..good.clone() };
    let old = "speaks no TLS version that is still in use";
    let none = "has no TLS version (1.2, 1.3), cipher or kind of key in common with us";
    let mut cases = Vec::new();
    for (_, protocol) in Protocol::NAMES {
        let case = |script: &[Step], reason: &str| case(protocol, &after(protocol, script), reason);
        cases.extend([
            case(
                &[Hear(""), say("500 \u{1b}[2J what?\r\n"), Wait],
                "answers with something other than TLS: \"500 \\u{1b}[2J what?\\r\\n\"",
            ),
            case(&[Hear(""), hello(2), Wait], &format!("{old} (it wants TLS 1.1)")),
            case(
                &[Tls(vec![good.with_key_of(&other).server()])],
                "does not prove that it holds the key of its certificate",
            ),
            late(
                protocol,
                &after(protocol, &[Hear(""), Say(vec![22, 3, 3, 64, 0]), Drip("\x02")]),
                "the TLS handshake was not through",
            ),
        ]);
    }
    let tls = |script: &[Step], reason: &str| case(Protocol::Tls, script, reason);
    let drops = "closed the connection at the beginning of the TLS handshake";
    let flood = format!("answers with something other than TLS: \"{}\"", "x".repeat(100));
    cases.extend([
        tls(&[Hear("")], drops),
        tls(&[Hear(""), hello(1), Wait], &format!("{old} (it wants TLS 1.0)")),
        tls(&[Hear(""), hello(0), Wait], &format!("{old} (it wants SSL 3.0)")),
        tls(&[Hear(""), alert(70), Wait], old),
        tls(&[Hear(""), alert(40), Wait], none),
        tls(&[Hear(""), alert(71), Wait], none),
        tls(&[Hear(""), alert(80), Wait], "ends the handshake with the TLS alert InternalError"),
        tls(&[Hear(""), alert(112), Wait], "knows no certificate for this name (TLS alert)"),
        tls(&[Flood("x")], &flood),
        tls(&[Tls(vec![garbage.server()])], "presents a certificate that cannot be read: BadEncoding"),
    ]);
    check(cases);
}

#[test]
fn of_one_protocol() {
    let x = |count| "x".repeat(count);
    let smtp = "220 mx\r\n";
    let stream = "<stream:stream>";
    let many = "sends more than 64 KiB before TLS";
    let long = |text: &str| format!("sends a line longer than 4096 bytes: \"{}…\"", text.repeat(100));
    let not = |what: &str, said: &str| format!("answers with something other than {what}: \"{said}\"");
    let for_now = "turns us away for now (greylisting, or it is busy), from which nothing follows";
    let unbind = b"\x30\x0c\x02\x01\x00\x78\x07\x0a\x01\x34\x04\x00\x04\x00".to_vec();
    check(vec![
        case(Smtp, &[say("421 later\r\n")], &format!("{for_now}: \"421 later\"")),
        case(Smtp, &[say("554-no\r\n554 \x07\r\n"), Wait], "turns us away: \"554 no \\u{7}\""),
        case(Smtp, &[say("+OK POP3\r\n"), Wait], &not("SMTP", "+OK POP3")),
        case(Smtp, &[say("220-a\r\n250 b\r\n"), Wait], "mixes codes within one reply: \"250 b\""),
        case(Smtp, &[say("220 half")], "closed the connection in the middle of its greeting"),
        case(Smtp, &[Flood("220-more\r\n")], many),
        case(Smtp, &[Flood("x")], &long("x")),
        case(Smtp, &[say(smtp), Hear("EHLO "), say("502 what\r\n"), Hear("QUIT\r\n")], "refuses EHLO: \"502 what\""),
        case(
            Smtp,
            &[say(smtp), Hear("EHLO "), say("250-STARTTLS\r\n250 SIZE\r\n"), Hear("QUIT\r\n")],
            "does not offer STARTTLS",
        ),
        case(Smtp, &[say(smtp), Hear("EHLO ")], "closed the connection before its answer to EHLO"),
        case(
            Smtp,
            &[offer(Smtp), vec![Hear("STARTTLS\r\n"), say("454 keys?\r\n"), Wait]].concat(),
            "refuses STARTTLS: \"454 keys?\"",
        ),
        late(Smtp, &[Drip("220-a\r\n")], "its greeting was not complete"),
        late(Smtp, &[say("220-teaser\r\n"), Wait], "its greeting was not complete"),
        case(Imap, &[say("* BYE go\r\n")], "turns us away: \"* BYE go\""),
        case(Imap, &[say("* PREAUTH hi\r\n"), Wait], "greets with PREAUTH, which rules out STARTTLS"),
        case(Imap, &[say("220 mx\r\n"), Wait], &not("IMAP", "220 mx")),
        case(
            Imap,
            &[say("* OK\r\n"), Hear("a1 "), say("* CAPABILITY X-STARTTLS\r\na1 OK\r\n"), Wait],
            "does not offer STARTTLS",
        ),
        case(Imap, &[say("* OK\r\n"), Hear("a1 "), Flood("* more\r\n")], many),
        case(Imap, &[Flood("* ")], &long("* ").replacen("* ", "", 50)),
        case(
            Imap,
            &[offer(Imap), vec![Hear("a2 "), say("a2 BAD no\r\n"), Wait]].concat(),
            "refuses STARTTLS: \"BAD no\"",
        ),
        late(Imap, &[Drip("* OK")], "its greeting was not complete"),
        case(Pop3, &[say("-ERR busy\r\n"), Wait], "turns us away: \"-ERR busy\""),
        case(
            Pop3,
            &[say("+OK\r\n"), Hear("CAPA"), say("-ERR\r\n"), Wait],
            "refuses CAPA, so it does not offer STLS: \"-ERR\"",
        ),
        case(Pop3, &[say("+OK\r\n"), Hear("CAPA"), say("+OK\r\nUSER\r\n.\r\n"), Wait], "does not offer STLS"),
        case(Pop3, &[say("+OK\r\n"), Hear("CAPA"), say("+OK\r\n"), Flood("MORE\r\n")], many),
        case(Pop3, &[say("* OK\r\n"), Wait], &not("POP3", "* OK")),
        case(Sieve, &[say("BYE \"no\"\r\n"), Wait], "turns us away: \"BYE \\\"no\\\"\""),
        case(Sieve, &[say("\"SIEVE\" \"\"\r\nOK\r\n"), Wait], "does not offer STARTTLS"),
        case(
            Sieve,
            &[say("\"A\" {99999999999}\r\n"), Wait],
            "announces 99999999999 bytes, which is more than it should need before TLS",
        ),
        case(Sieve, &[Flood("\"SIEVE\"\r\n")], many),
        case(
            Sieve,
            &[offer(Sieve), vec![Hear("STARTTLS\r\n"), say("NO\r\n"), Wait]].concat(),
            "refuses STARTTLS: \"NO\"",
        ),
        case(XmppClient, &[say("HTTP/1.1 400 no\r\n"), Wait], &not("XMPP", "H")),
        case(XmppClient, &[say("<html>"), Wait], "answers with something other than an XMPP stream: \"<html>\""),
        case(XmppClient, &[say("<!DOCTYPE x>"), Wait], &not("XMPP", "!DOCTYPE x")),
        case(
            XmppClient,
            &[say(stream), say("<stream:error><host-unknown/></stream:error>"), Wait],
            "ends the stream: \"host-unknown\"",
        ),
        case(XmppServer, &[say(stream), say("<stream:features/>"), Wait], "does not offer STARTTLS"),
        case(
            XmppServer,
            &[say(stream), say("<stream:features><a><starttls/></a></stream:features>"), Wait],
            "does not offer STARTTLS",
        ),
        case(
            XmppServer,
            &[offer(XmppServer), vec![Hear("<starttls "), say("<failure xmlns='x'/>"), Wait]].concat(),
            "refuses STARTTLS: \"<failure/>\"",
        ),
        case(XmppServer, &[say(stream), say("<stream:features>"), Flood("<a>")], many),
        case(
            XmppServer,
            &[say(stream), say("<stream:features "), Flood("a='>' ")],
            &format!("sends a tag longer than 4096 bytes: \"stream:features {}…\"", "a='>' ".repeat(14)),
        ),
        late(XmppServer, &[Drip(" ")], "its answer to the stream header was not complete"),
        case(Ldap, &[Hear("0"), Flood("x")], &not("LDAP", "xx")),
        case(
            Ldap,
            &[Hear("0"), Say(b"\x30\x84\xff\xff\xff\xff".to_vec()), Wait],
            "announces 4294967295 bytes, which is more than it should need before TLS",
        ),
        case(
            Ldap,
            &[Hear("0"), Say(b"\x30\x80".to_vec()), Wait],
            &not("LDAP", "").replace("\"\"", "a length without end"),
        ),
        case(Ldap, &[Hear("0"), Say(b"\x30\x03abc".to_vec()), Wait], &not("LDAP", "abc")),
        case(
            Ldap,
            &[Hear("0"), Say(b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x02\x04\x00\x04\x00".to_vec()), Wait],
            "does not offer StartTLS (result 2): \"\"",
        ),
        case(Ldap, &[Hear("0"), Say(unbind), Wait], "refuses StartTLS (result 52): \"\""),
        late(
            Ldap,
            &[Hear("0"), Say(b"\x30\x82\x70\x00".to_vec()), Drip("x")],
            "its answer to StartTLS was not complete",
        ),
        case(Postgres, &[Hear("\0"), say("N"), Wait], "does not offer TLS"),
        case(
            Postgres,
            &[Hear("\0"), say("E"), Wait],
            "answers SSLRequest with an error, as when it has too many connections",
        ),
        case(Postgres, &[Hear("\0"), Flood("x")], &not("PostgreSQL", "x")),
        case(Smtp, &[Say(x(5000).into_bytes()), say("\r\n"), Wait], &long("x")),
    ]);
}
