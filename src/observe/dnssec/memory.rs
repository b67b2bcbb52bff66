//! Signatures that were verified before. To verify one takes longer than all else that is done for an answer, and most answers are
//! the same as in the run before.
//!
//! What is remembered is nothing but arithmetic: with this key, this signature over these bytes is right. That does not depend on
//! time, trust or place, and stays true for ever. Whether the key is the zone's, the records are those of the question, and the
//! signature's time has not run out is looked at anew each time. A print covers all of key, signed bytes (which begin with the
//! signature's own fields, signer and dates) and signature, so nothing else can pass for what was verified.

use hickory_resolver::proto::dnssec::{PublicKey, Verifier, rdata::DNSKEY};
use ring::digest::{Context, SHA256};
use std::{cell::RefCell, collections::HashMap};

/// The first bytes of a file that such memory is kept in.
const BEGINS: &[u8] = b"daneroll: signatures that were verified, 1\n";
/// So many are kept: with 32 bytes each a file stays below the 1 MiB that are read of any.
const MOST: usize = 32_000;
/// So many new ones make a file worth writing: it saves some milliseconds.
const WORTH: usize = 64;

type Print = [u8; 32];

/// What was verified.
#[derive(Debug, Default)]
pub struct Memory(RefCell<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Each with whether it was of use since the memory was read.
    known: HashMap<Print, bool>,
    /// How many were added since it was read or written.
    added: usize,
}

impl Memory {
    /// Reads what [`Memory::to_write`] gave. Nothing is in bytes that are anything else.
    pub fn read(bytes: &[u8]) -> Memory {
        let prints = bytes.strip_prefix(BEGINS).unwrap_or_default();
        let known = prints.chunks_exact(size_of::<Print>()).take(MOST);
        let known = known.filter_map(|print| Some((Print::try_from(print).ok()?, false))).collect();
        Memory(RefCell::new(Inner { known, added: 0 }))
    }

    /// The bytes to keep, if enough has been added. Where there are too many those go that were of no use.
    pub fn to_write(&self) -> Option<Vec<u8>> {
        let mut inner = self.0.borrow_mut();
        if inner.added < WORTH {
            return None;
        }
        inner.added = 0;
        let all = inner.known.len() <= MOST;
        let kept = inner.known.iter().filter(|(_, used)| all || **used).take(MOST);
        Some(kept.fold(BEGINS.to_vec(), |mut bytes, (print, _)| {
            bytes.extend(print);
            bytes
        }))
    }

    /// Is this signature of the key over these bytes right?
    pub(super) fn verifies(&self, key: &DNSKEY, signed: &[u8], signature: &[u8]) -> bool {
        let print = print(key, signed, signature);
        let mut inner = self.0.borrow_mut();
        if let Some(used) = inner.known.get_mut(&print) {
            *used = true;
            return true;
        }
        let right = key.verify(signed, signature).is_ok();
        // Not without bounds, for a program that stays.
        if right && inner.known.len() < 2 * MOST {
            inner.known.insert(print, true);
            inner.added += 1;
        }
        right
    }
}

fn print(key: &DNSKEY, signed: &[u8], signature: &[u8]) -> Print {
    let mut context = Context::new(&SHA256);
    let algorithm = u8::from(key.public_key().algorithm());
    context.update(&[algorithm]);
    for part in [key.public_key().public_bytes(), signature, signed] {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut print = Print::default();
    print.copy_from_slice(context.finish().as_ref());
    print
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_resolver::proto::dnssec::{Algorithm, PublicKeyBuf};
    use ring::{
        rand::SystemRandom,
        signature::{Ed25519KeyPair, KeyPair},
    };

    struct Signer(Ed25519KeyPair);

    impl Signer {
        fn new() -> Signer {
            let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
            Signer(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap())
        }

        fn key(&self, algorithm: Algorithm) -> DNSKEY {
            DNSKEY::with_flags(256, PublicKeyBuf::new(self.0.public_key().as_ref().to_vec(), algorithm))
        }

        fn sign(&self, bytes: &[u8]) -> Vec<u8> {
            self.0.sign(bytes).as_ref().to_vec()
        }
    }

    fn known(memory: &Memory) -> usize {
        memory.0.borrow().known.len()
    }

    #[test]
    fn only_the_very_same_is_known() {
        let (signer, other) = (Signer::new(), Signer::new());
        let (key, right) = (signer.key(Algorithm::ED25519), signer.sign(b"ab"));
        let memory = Memory::default();
        for (what, key, signed, signature, expected) in [
            ("a wrong one is not remembered", &key, &b"ab"[..], other.sign(b"ab"), false),
            ("and stays wrong", &key, b"ab", other.sign(b"ab"), false),
            ("a right one", &key, b"ab", right.clone(), true),
            ("again", &key, b"ab", right.clone(), true),
            ("other bytes", &key, b"ac", right.clone(), false),
            ("fewer bytes", &key, b"a", [&b"b"[..], &right].concat(), false),
            ("another key", &other.key(Algorithm::ED25519), b"ab", right.clone(), false),
            ("another algorithm", &signer.key(Algorithm::ECDSAP256SHA256), b"ab", right.clone(), false),
            ("a shorter signature", &key, b"ab", right[1..].to_vec(), false),
        ] {
            assert_eq!(memory.verifies(key, signed, &signature), expected, "{what}");
        }
        assert_eq!(known(&memory), 1);
    }

    /// That a file is of use shows by one that holds what was never verified.
    #[test]
    fn files() {
        let signer = Signer::new();
        let key = signer.key(Algorithm::ED25519);
        let memory = Memory::default();
        for n in 0..WORTH - 1 {
            let signed = n.to_be_bytes();
            assert!(memory.verifies(&key, &signed, &signer.sign(&signed)));
        }
        assert_eq!(memory.to_write(), None, "too few");
        assert!(memory.verifies(&key, b"x", &signer.sign(b"x")));
        let bytes = memory.to_write().unwrap();
        assert_eq!((bytes.len(), memory.to_write()), (BEGINS.len() + 32 * WORTH, None));
        assert_eq!(known(&Memory::read(&bytes)), WORTH);
        let forged = [BEGINS, &print(&key, b"y", b"no signature")].concat();
        assert!(Memory::read(&forged).verifies(&key, b"y", b"no signature"));
        for (what, bytes, number) in [
            ("cut off", &bytes[..bytes.len() - 1], WORTH - 1),
            ("of another version", &bytes[1..], 0),
            ("empty", &[][..], 0),
        ] {
            assert_eq!(known(&Memory::read(bytes)), number, "{what}");
        }
    }

    #[test]
    fn what_was_of_no_use_goes_when_there_is_too_much() {
        let signer = Signer::new();
        let key = signer.key(Algorithm::ED25519);
        let old = (0..MOST as u64).flat_map(|n| print(&key, &n.to_be_bytes(), b"old"));
        let memory = Memory::read(&BEGINS.iter().copied().chain(old).collect::<Vec<_>>());
        assert_eq!(known(&memory), MOST);
        assert!(memory.verifies(&key, &7_u64.to_be_bytes(), b"old"), "an old one that is of use");
        for n in 0..WORTH {
            let signed = [b"new", &n.to_be_bytes()[..]].concat();
            assert!(memory.verifies(&key, &signed, &signer.sign(&signed)));
        }
        let bytes = memory.to_write().unwrap();
        assert_eq!(known(&Memory::read(&bytes)), WORTH + 1);
        assert!(BEGINS.len() + 32 * MOST < 1 << 20, "it could not be read again");
    }
}
