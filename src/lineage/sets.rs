//! Sets that were read before, by what a stat tells of their files: while that is the same, nothing of them is read, decoded or
//! checked again, by whatever names they are reached.
//!
//! Within a process a file is the same while its print is ([`Print`]); from one run to the next also the time of any change to it
//! has to be the same, which nobody can set back, and the machine must have been on all the time: a loss of power can take bytes
//! that were never on disk. What is remembered is what the files of a set said and that key and certificate
//! belong together; whether the set is the one that ought to be there is looked at anew each time.

use super::GenerationId;
use crate::{
    env::{Print, Stat},
    tlsa::{Certificate, Chain},
};
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize, Serializer};
use std::{cell::RefCell, collections::HashMap, iter::once, sync::Arc};

/// The first bytes of a file that such memory is kept in; a digest of all that follows it comes next.
const BEGINS: &[u8] = b"daneroll: sets that were read, 1\n";
/// More sets than this are not remembered; all are forgotten then.
const MOST: usize = 65_536;
/// No file becomes longer, bytes.
const LONGEST: usize = crate::env::LONGEST_FILE;
/// So many sets that a run had to read make a file worth writing: each saves some 100 microseconds.
pub const WORTH: usize = 32;
/// And they are this part of all at least: the whole file is written anew.
const PART: usize = 16;

type Digest = [u8; 32];

/// What stats tell of the files of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Looked {
    /// Which bytes they hold.
    print: Digest,
    /// When anything about them was changed.
    changed: Digest,
}

impl Looked {
    /// Of files in their order; `None` for one that is not there. `kind`: who reads sets of files in which way. There is nothing to go
    /// by where a file was written to a moment ago.
    pub fn new(kind: &str, files: &[Option<Stat>]) -> Option<Looked> {
        let prints: Option<Vec<Option<Print>>> =
            files.iter().map(|file| file.map_or(Some(None), |stat| stat.print.map(Some))).collect();
        let times = files.iter().map(|file| file.and_then(|stat| stat.changed));
        let times = times.map(|time| time.map(|(seconds, nanos)| [seconds as u64, nanos as u64]));
        Some(Looked { print: print(kind, &prints?), changed: digest(&[], times) })
    }

    /// The same of files that turned out to have these prints when they were read.
    pub fn read(self, kind: &str, prints: &[Option<Print>]) -> Looked {
        Looked { print: print(kind, prints), ..self }
    }
}

fn print(kind: &str, prints: &[Option<Print>]) -> Digest {
    let numbers = |print: &Option<Print>| {
        print.map(|Print { device, inode, size, modified: (seconds, nanos) }| {
            [device, inode, size, seconds as u64, nanos as u64]
        })
    };
    digest(kind.as_bytes(), prints.iter().map(numbers))
}

fn digest<const N: usize>(kind: &[u8], numbers: impl Iterator<Item = Option<[u64; N]>>) -> Digest {
    let mut context = Context::new(&SHA256);
    context.update(kind);
    for numbers in numbers {
        context.update(&[u8::from(numbers.is_some())]);
        numbers.iter().flatten().for_each(|number| context.update(&number.to_be_bytes()));
    }
    whole(context)
}

fn whole(context: Context) -> Digest {
    let mut digest = Digest::default();
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

/// What is remembered of a set.
struct Known {
    id: GenerationId,
    chain: Chain,
    changed: Digest,
    /// It was looked at in this process; before that it stands for nothing unless also the time of change is the same.
    seen: bool,
}

#[derive(Default)]
struct Sets {
    known: HashMap<Digest, Known>,
    /// How many are other than in the file.
    news: usize,
}

thread_local! {
    static SETS: RefCell<Sets> = RefCell::default();
}

/// What these files are known to hold.
pub fn known(looked: &Looked) -> Option<(GenerationId, Chain)> {
    SETS.with_borrow_mut(|sets| {
        let known = sets.known.get_mut(&looked.print)?;
        if !known.seen && known.changed != looked.changed {
            return None;
        }
        // Where another name was given to a file, say, the next run reads it again.
        known.seen = true;
        Some((known.id.clone(), known.chain.clone()))
    })
}

/// Remembers what files hold that were just read.
pub fn remember(looked: &Looked, id: &GenerationId, chain: &Chain) {
    SETS.with_borrow_mut(|sets| {
        if sets.known.len() >= MOST {
            sets.known.clear();
        }
        let known = Known { id: id.clone(), chain: chain.clone(), changed: looked.changed, seen: true };
        sets.known.insert(looked.print, known);
        sets.news += 1;
    });
}

/// A file of sets. Issuers are few: each is in it once.
#[derive(Serialize, Deserialize)]
struct Doc<'a> {
    /// The boot that it was written in.
    boot: &'a str,
    #[serde(borrow)]
    issuers: Vec<CertificateDoc<'a>>,
    #[serde(borrow)]
    sets: Vec<SetDoc<'a>>,
}

#[derive(Serialize, Deserialize)]
struct SetDoc<'a> {
    print: Digest,
    changed: Digest,
    id: GenerationId,
    #[serde(borrow)]
    leaf: CertificateDoc<'a>,
    /// Places among the issuers.
    rest: Vec<usize>,
    #[serde(borrow)]
    names: Vec<&'a str>,
    /// How many of the rest are linked to the leaf, where somebody asked.
    linked: Option<usize>,
}

#[derive(Serialize, Deserialize, PartialEq, Eq, Hash, Clone, Copy)]
struct CertificateDoc<'a> {
    #[serde(serialize_with = "as_bytes")]
    der: &'a [u8],
    #[serde(serialize_with = "as_bytes")]
    spki: &'a [u8],
    not_before: i64,
    not_after: i64,
}

fn as_bytes<S: Serializer>(bytes: &&[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

impl CertificateDoc<'_> {
    fn of(certificate: &Certificate) -> CertificateDoc<'_> {
        let Certificate { der, spki, not_before, not_after } = certificate;
        CertificateDoc { der, spki, not_before: *not_before, not_after: *not_after }
    }

    fn certificate(&self) -> Certificate {
        let CertificateDoc { der, spki, not_before, not_after } = *self;
        Certificate { der: Arc::from(der), spki: Arc::from(spki), not_before, not_after }
    }
}

/// Reads what [`to_write`] gave in this boot. Nothing is in bytes that are anything else.
pub fn recall(bytes: &[u8], boot: &str) {
    let Some((whole, doc)) = bytes.strip_prefix(BEGINS).and_then(|rest| rest.split_at_checked(size_of::<Digest>()))
    else {
        return;
    };
    if ring::digest::digest(&SHA256, doc).as_ref() != whole {
        return;
    }
    let Ok(Doc { boot: written_in, issuers, sets: docs }) = postcard::from_bytes::<Doc<'_>>(doc) else { return };
    if written_in != boot {
        return;
    }
    let issuers: Vec<Certificate> = issuers.iter().map(CertificateDoc::certificate).collect();
    SETS.with_borrow_mut(|sets| {
        for doc in docs.into_iter().take(MOST.saturating_sub(sets.known.len())) {
            let rest: Option<Vec<Certificate>> = doc.rest.iter().map(|at| issuers.get(*at).cloned()).collect();
            let Some(rest) = rest else { continue };
            let certificates = once(doc.leaf.certificate()).chain(rest).collect();
            let chain = Chain::new(certificates, doc.names.into_iter().map(str::to_owned).collect());
            doc.linked.into_iter().for_each(|linked| chain.know_links(linked));
            let known = Known { id: doc.id, chain, changed: doc.changed, seen: false };
            sets.known.entry(doc.print).or_insert(known);
        }
    });
}

/// The bytes to keep, if enough of the sets are other than in those that were kept before. Those that nobody looked at stay as long
/// as they are not more than the others.
pub fn to_write(boot: &str) -> Option<Vec<u8>> {
    SETS.with_borrow_mut(|Sets { known, news }| {
        let seen = known.values().filter(|known| known.seen).count();
        if *news < WORTH || *news < seen / PART {
            return None;
        }
        *news = 0;
        let all = known.len() <= 2 * seen;
        let kept = known.iter().filter(|(_, known)| all || known.seen);
        written(boot, kept).filter(|bytes| bytes.len() <= LONGEST)
    })
}

fn written<'a>(boot: &'a str, known: impl Iterator<Item = (&'a Digest, &'a Known)>) -> Option<Vec<u8>> {
    let mut places: HashMap<CertificateDoc<'a>, usize> = HashMap::new();
    let mut doc = Doc { boot, issuers: Vec::new(), sets: Vec::new() };
    for (print, Known { id, chain, changed, .. }) in known {
        let (leaf, rest) = chain.certificates.split_first()?;
        let place = |certificate: &'a Certificate| {
            let certificate = CertificateDoc::of(certificate);
            *places.entry(certificate).or_insert_with(|| {
                doc.issuers.push(certificate);
                doc.issuers.len() - 1
            })
        };
        let rest = rest.iter().map(place).collect();
        let (leaf, names) = (CertificateDoc::of(leaf), chain.names.iter().map(String::as_str).collect());
        let linked = chain.known_links();
        doc.sets.push(SetDoc { print: *print, changed: *changed, id: id.clone(), leaf, rest, names, linked });
    }
    postcard::to_allocvec(&doc).ok().map(|doc| sealed(&doc))
}

/// A file with this in it.
pub fn sealed(doc: &[u8]) -> Vec<u8> {
    [BEGINS, ring::digest::digest(&SHA256, doc).as_ref(), doc].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{env::Kind, lineage::pem};
    use std::{ops::Range, thread};

    const BOOT: &str = "a boot";

    fn stat(inode: u64) -> Stat {
        let print = Print { device: 1, inode, size: 1000, modified: (100, 7) };
        Stat {
            kind: Kind::File,
            device: 1,
            inode,
            size: 1000,
            mode: 0o600,
            uid: 0,
            gid: 0,
            changed: Some((100, 8)),
            print: Some(print),
        }
    }

    fn looked(inode: u64) -> Looked {
        Looked::new("a", &[Some(stat(inode)), None]).unwrap()
    }

    fn chain() -> Chain {
        pem::chain(include_bytes!("../../tests/data/ecdsa-fullchain.pem")).unwrap()
    }

    /// The bytes of so many sets, of which nobody knew before.
    fn kept(number: usize) -> Option<Vec<u8>> {
        elsewhere(&[], || {
            read_now(0..number as u64);
            let bytes = to_write(BOOT);
            assert_eq!(to_write(BOOT).filter(|_| bytes.is_some()), None, "nothing is new any more");
            bytes
        })
    }

    fn read_now(inodes: Range<u64>) {
        let chain = chain();
        chain.linked();
        inodes.for_each(|inode| remember(&looked(inode), &GenerationId::of(&chain), &chain));
    }

    /// How many sets are in these bytes.
    fn number(bytes: &[u8]) -> usize {
        elsewhere(bytes, || SETS.with_borrow(|sets| sets.known.len()))
    }

    /// What another process knows by these bytes.
    fn elsewhere<T: Send>(bytes: &[u8], work: impl FnOnce() -> T + Send) -> T {
        let work = || {
            recall(bytes, BOOT);
            work()
        };
        thread::scope(|scope| scope.spawn(work).join().unwrap())
    }

    #[test]
    fn only_the_very_same_is_known() {
        let bytes = kept(WORTH).unwrap();
        let at = |change: fn(&mut Stat)| {
            let mut stat = stat(3);
            change(&mut stat);
            Looked::new("a", &[Some(stat), None]).unwrap()
        };
        let of = |print: fn(&mut Print)| {
            let mut stat = stat(3);
            stat.print.iter_mut().for_each(print);
            Looked::new("a", &[Some(stat), None]).unwrap()
        };
        for (what, looked, expected) in [
            ("the same", looked(3), true),
            ("another mode", at(|stat| stat.mode = 0o640), true),
            ("another file", looked(WORTH as u64), false),
            ("another device", of(|print| print.device = 2), false),
            ("another size", of(|print| print.size = 1001), false),
            ("other bytes", of(|print| print.modified = (100, 8)), false),
            ("bytes that somebody dated back", at(|stat| stat.changed = Some((101, 8))), false),
            ("a world without such times", at(|stat| stat.changed = None), false),
            ("one more file", Looked::new("a", &[Some(stat(3)), Some(stat(4))]).unwrap(), false),
            ("in another place", Looked::new("a", &[None, Some(stat(3))]).unwrap(), false),
            ("read by another client's rules", Looked::new("b", &[Some(stat(3)), None]).unwrap(), false),
        ] {
            let found = elsewhere(&bytes, || known(&looked));
            assert_eq!(found, expected.then(|| (GenerationId::of(&chain()), chain())), "{what}");
        }
        let fresh = Stat { print: None, ..stat(3) };
        assert_eq!(Looked::new("a", &[Some(fresh), None]), None, "written to just now");
    }

    /// What is not known to be the same bytes by the time of change must not become known in a process that does not ask for it.
    #[test]
    fn another_time_of_change_counts_in_the_process_that_read_it_only() {
        let changed = |inode| Looked { changed: Digest::default(), ..looked(inode) };
        let bytes = elsewhere(&kept(WORTH).unwrap(), || {
            assert_eq!(known(&changed(1)), None, "before it was seen, it may be other bytes");
            assert!(known(&looked(1)).is_some() && known(&changed(1)).is_some());
            read_now(1000..1000 + WORTH as u64);
            to_write(BOOT).unwrap()
        });
        let found = elsewhere(&bytes, || (known(&changed(1)), known(&looked(1)).is_some()));
        assert_eq!(found, (None, true));
    }

    #[test]
    fn files() {
        assert_eq!(kept(WORTH - 1), None, "too few");
        let bytes = kept(WORTH).unwrap();
        let flipped = |at: usize| {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            bytes
        };
        for (what, bytes, expected) in [
            ("whole", &bytes[..], WORTH),
            ("cut off", &bytes[..bytes.len() - 1], 0),
            ("longer", &[&bytes[..], b"x"].concat(), 0),
            ("of another version", &flipped(BEGINS.len() - 2), 0),
            ("another digest", &flipped(BEGINS.len()), 0),
            ("another byte", &flipped(bytes.len() / 2), 0),
            ("empty", &[], 0),
            ("too short for a digest", &bytes[..BEGINS.len() + 31], 0),
        ] {
            assert_eq!(number(bytes), expected, "{what}");
        }
        let later = elsewhere(&[], || {
            recall(&bytes, "another boot");
            known(&looked(0))
        });
        assert_eq!(later, None, "a loss of power may have been between");
        let (links, size) = (chain().linked(), chain().certificates[0].der.len());
        let known = elsewhere(&bytes, || known(&looked(0)).and_then(|(_, chain)| chain.known_links()));
        assert_eq!(known, Some(links));
        assert!(bytes.len() < WORTH * (size + 400) + 4000, "the issuer is there once: {}", bytes.len());
    }

    #[test]
    fn what_nobody_looked_at_goes_when_there_is_too_much() {
        let bytes = kept(3 * WORTH).unwrap();
        for (news, expected) in [(WORTH, WORTH), (3 * WORTH, 6 * WORTH)] {
            let bytes = elsewhere(&bytes, || {
                read_now(1000..1000 + news as u64);
                to_write(BOOT).unwrap()
            });
            assert_eq!(number(&bytes), expected, "{news}");
        }
    }

    /// With a right digest, but not made by us.
    #[test]
    fn forged() {
        let leaf = CertificateDoc { der: b"x", spki: b"y", not_before: 0, not_after: 1 };
        let id = GenerationId::of(&chain());
        let set = |rest: Vec<usize>, linked| SetDoc {
            print: looked(1).print,
            changed: looked(1).changed,
            id: id.clone(),
            leaf,
            rest,
            names: Vec::new(),
            linked,
        };
        let doc = |set| postcard::to_allocvec(&Doc { boot: BOOT, issuers: vec![leaf], sets: vec![set] }).unwrap();
        for (what, set, expected) in [
            ("a leaf alone", set(Vec::new(), None), Some(None)),
            ("linked to more than there are", set(vec![0], Some(2)), Some(None)),
            ("linked to all", set(vec![0], Some(1)), Some(Some(1))),
            ("linked to nothing", set(Vec::new(), Some(0)), Some(Some(0))),
            ("an issuer that is not there", set(vec![0, 1], None), None),
        ] {
            let bytes = sealed(&doc(set));
            let found = elsewhere(&bytes, || known(&looked(1)).map(|(_, chain)| chain.known_links()));
            assert_eq!(found, expected, "{what}");
        }
        // Nothing becomes of any that is damaged, or all of it; in no case an end of the program.
        let whole = doc(set(vec![0, 0], Some(1)));
        for at in 0..whole.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut doc = whole.clone();
                doc[at] = value;
                assert!(number(&sealed(&doc)) <= 1);
            }
            assert_eq!(number(&sealed(&whole[..at])), 0, "cut off at {at}");
        }
    }
}
