//! What was worked out from some bytes need not be worked out again: a run looks at the same files several times.

use ring::digest::{Context, SHA256};
use std::{cell::RefCell, collections::HashMap, thread::LocalKey};

/// More results than this are not kept; all are forgotten then.
const MOST: usize = 4096;

/// Results by the digest of what they were made from. The bytes themselves, which may be secret, are not kept.
pub type Memo<T> = RefCell<HashMap<[u8; 32], T>>;

/// The result for these bytes, worked out unless it is known. Errors are not kept.
pub fn known<T: Clone>(
    memo: &'static LocalKey<Memo<T>>,
    parts: &[&[u8]],
    work: impl FnOnce() -> Result<T, String>,
) -> Result<T, String> {
    let digest = digest(parts);
    if let Some(result) = memo.with_borrow(|memo| memo.get(&digest).cloned()) {
        return Ok(result);
    }
    let result = work()?;
    memo.with_borrow_mut(|memo| {
        if memo.len() >= MOST {
            memo.clear();
        }
        memo.insert(digest, result.clone());
    });
    Ok(result)
}

/// A digest that tells different parts apart, also where their concatenation is the same.
fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    thread_local! {
        static LENGTHS: Memo<usize> = Memo::default();
    }

    #[test]
    fn worked_out_once() {
        let worked = Cell::new(0);
        let length = |parts: &[&[u8]]| {
            known(&LENGTHS, parts, || {
                worked.set(worked.get() + 1);
                let length = parts.concat().len();
                if length == 0 { Err("empty".into()) } else { Ok(length) }
            })
        };
        for (parts, result, times) in [
            (&[&b"ab"[..], b"c"][..], Ok(3), 1),
            (&[b"ab", b"c"], Ok(3), 1),
            (&[b"a", b"bc"], Ok(3), 2), // other parts
            (&[b""], Err("empty".to_owned()), 3),
            (&[b""], Err("empty".to_owned()), 4), // an error is looked into again
        ] {
            assert_eq!(length(parts), result, "{parts:?}");
            assert_eq!(worked.get(), times, "{parts:?}");
        }
    }

    #[test]
    fn bounded() {
        for number in 0..=MOST as u64 {
            known(&LENGTHS, &[&number.to_be_bytes()], || Ok(8)).unwrap();
        }
        assert_eq!(LENGTHS.with_borrow(HashMap::len), 1);
    }
}
