//! What all sessions at one address, taken together, say about a service.

use super::probe::{KeyKind, Trouble};
use crate::env::Visited;
use std::collections::BTreeMap;

/// The kind of key that a session asked for, and the chain or the trouble that it got.
pub(super) type Outcome = (KeyKind, Result<Vec<Vec<u8>>, Trouble>);

/// Each different chain, and in words what stands in the way of "that is all there is".
pub(super) fn of(outcomes: Vec<Outcome>) -> Visited {
    let unknown = what_failed(&outcomes);
    let mut chains = Vec::new();
    for chain in outcomes.into_iter().filter_map(|(_, result)| result.ok()) {
        if !chains.contains(&chain) {
            chains.push(chain);
        }
    }
    Visited { chains, unknown }
}

fn what_failed(outcomes: &[Outcome]) -> Option<String> {
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    let mut declined = 0;
    for (kind, result) in outcomes {
        match result {
            Err(Trouble::Other(reason)) => *reasons.entry(reason).or_default() += 1,
            Err(Trouble::Dropped) if !drops_a_kind(outcomes, *kind) => {
                *reasons.entry("closed the connection at the beginning of the TLS handshake").or_default() += 1;
            }
            Err(Trouble::Declined) if !others(outcomes, *kind).any(Result::is_ok) => declined += 1,
            _ => {}
        }
    }
    // Next to another reason it only says once more that something is wrong.
    if reasons.is_empty() && declined > 0 {
        reasons.insert("has no TLS version (1.2, 1.3), cipher or kind of key in common with us", declined);
    }
    let is_whole = reasons.len() == 1 && outcomes.iter().all(|(_, result)| result.is_err());
    let in_words = |(reason, count): (&&str, &usize)| match is_whole {
        true => (*reason).to_owned(),
        false => format!("{count} of {} sessions: {reason}", outcomes.len()),
    };
    let words: Vec<String> = reasons.iter().map(in_words).collect();
    (!words.is_empty()).then(|| words.join("; "))
}

/// Some servers (OpenLDAP with GnuTLS) close without an alert when they have no certificate of the kind that is asked for.
/// A service that is half broken does so, too; but then not for one kind always, and for the other never.
fn drops_a_kind(outcomes: &[Outcome], kind: KeyKind) -> bool {
    let mut same = outcomes.iter().filter(|(other, _)| *other == kind);
    same.all(|(_, result)| *result == Err(Trouble::Dropped)) && others(outcomes, kind).all(Result::is_ok)
}

fn others(outcomes: &[Outcome], kind: KeyKind) -> impl Iterator<Item = &Result<Vec<Vec<u8>>, Trouble>> {
    outcomes.iter().filter(move |(other, _)| *other != kind).map(|(_, result)| result)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Outcomes by letters, RSA in capitals: two chains, declined, dropped, and some other trouble.
    fn verdict(letters: &str) -> (usize, String) {
        let outcome = |letter: char| {
            let kind = if letter.is_ascii_uppercase() { KeyKind::Rsa } else { KeyKind::Ecdsa };
            let result = match letter.to_ascii_lowercase() {
                'd' => Err(Trouble::Declined),
                'x' => Err(Trouble::Dropped),
                't' => Err(Trouble::Other("trouble".into())),
                'u' => Err(Trouble::Other("unrest".into())),
                chain => Ok(vec![chain.to_string().into_bytes()]),
            };
            (kind, result)
        };
        let seen = of(letters.chars().map(outcome).collect());
        (seen.chains.len(), seen.unknown.unwrap_or_default())
    }

    #[test]
    fn verdicts() {
        let none = "has no TLS version (1.2, 1.3), cipher or kind of key in common with us";
        let closed = "closed the connection at the beginning of the TLS handshake";
        let of_six = |count: usize, reason: &str| format!("{count} of 6 sessions: {reason}");
        for (letters, chains, unknown) in [
            ("aaaAAA", 1, String::new()),
            ("aabABB", 2, String::new()),
            // One certificate, or one of each process.
            ("aaaDDD", 1, String::new()),
            ("dddAAA", 1, String::new()),
            ("addADA", 1, String::new()),
            // Who turned down ECDSA may have RSA, which nobody saw.
            ("aadDDD", 1, of_six(1, none)),
            ("dddDDD", 0, none.to_owned()),
            // Without an alert.
            ("xxxAAA", 1, String::new()),
            ("aaaXXX", 1, String::new()),
            ("xxaAAA", 1, of_six(2, closed)),
            ("xxxAAX", 1, of_six(4, closed)),
            ("xxdAAA", 1, of_six(2, closed)),
            ("xxxXXX", 0, closed.to_owned()),
            // Trouble.
            ("tttTTT", 0, "trouble".to_owned()),
            ("tttDDD", 0, "trouble".to_owned()),
            ("taaAAA", 1, of_six(1, "trouble")),
            ("taaAAU", 1, "1 of 6 sessions: trouble; 1 of 6 sessions: unrest".to_owned()),
        ] {
            assert_eq!(verdict(letters), (chains, unknown), "{letters}");
        }
    }
}
