//! Certificates and records as letters, and RFC 7671 matching written down once more for them.

use crate::certs::{generation, record};
use daneroll::{lineage::GenerationId, tlsa::Association};
use std::{fmt, sync::LazyLock};

/// A certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cert {
    /// The old one of lineage `mx`.
    A,
    /// The new one, from another issuer.
    B,
    /// That of lineage `b`, from the issuer of the old one.
    C,
    /// A stranger's.
    D,
}

impl Cert {
    pub const ALL: [Cert; 4] = [Cert::A, Cert::B, Cert::C, Cert::D];

    /// As scripts name its generation.
    pub fn spec(self) -> &'static str {
        match self {
            Cert::A => "A",
            Cert::B => "B/2",
            Cert::C => "C",
            Cert::D => "D/-",
        }
    }

    /// Which one a generation is.
    pub fn of(id: &GenerationId) -> Cert {
        static IDS: LazyLock<[GenerationId; 4]> = LazyLock::new(|| Cert::ALL.map(|cert| generation(cert.spec()).id));
        Cert::ALL[IDS.iter().position(|known| known == id).unwrap()]
    }
}

/// Parameters of `tlsa` lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Param {
    P311,
    P312,
    P211,
}

impl Param {
    /// Usage and selector.
    pub fn group(self) -> char {
        if self == Param::P211 { '2' } else { '3' }
    }

    pub fn spec(self) -> &'static str {
        match self {
            Param::P311 => "311",
            Param::P312 => "312",
            Param::P211 => "211",
        }
    }
}

/// Every record there is: its name in scripts, its parameters, and the certificates that it matches.
const RECORDS: [(&str, Param, &[Cert]); 10] = [
    ("A", Param::P311, &[Cert::A]),
    ("B", Param::P311, &[Cert::B]),
    ("C", Param::P311, &[Cert::C]),
    ("x", Param::P311, &[]),
    ("A:312", Param::P312, &[Cert::A]),
    ("B:312", Param::P312, &[Cert::B]),
    ("C:312", Param::P312, &[Cert::C]),
    ("x:312", Param::P312, &[]),
    ("A:211", Param::P211, &[Cert::A, Cert::C]),
    ("B/2:211", Param::P211, &[Cert::B]),
];

/// A record, by its place in the table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Record(u8);

impl Record {
    /// Somebody else's.
    pub const X: Record = Record(3);
    /// Somebody else's of a digest type that is not ours.
    pub const X312: Record = Record(7);

    pub fn name(self) -> &'static str {
        RECORDS[self.0 as usize].0
    }
    pub fn param(self) -> Param {
        RECORDS[self.0 as usize].1
    }
    pub fn matches(self, cert: Cert) -> bool {
        RECORDS[self.0 as usize].2.contains(&cert)
    }
    pub fn is_foreign(self) -> bool {
        self == Record::X || self == Record::X312
    }

    /// What a certificate publishes.
    pub fn of(cert: Cert, param: Param) -> Record {
        let place = RECORDS.iter().position(|(_, its, certs)| *its == param && certs.contains(&cert));
        Record(place.unwrap() as u8)
    }

    /// Which one it is.
    pub fn known(association: &Association) -> Record {
        static DATA: LazyLock<Vec<Association>> =
            LazyLock::new(|| RECORDS.iter().map(|(name, ..)| record(name)).collect());
        Record(DATA.iter().position(|known| known == association).unwrap() as u8)
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of records.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Set(u16);

impl Set {
    pub fn has(self, record: Record) -> bool {
        self.0 & (1 << record.0) != 0
    }
    pub fn with(self, other: Set) -> Set {
        Set(self.0 | other.0)
    }
    pub fn without(self, other: Set) -> Set {
        Set(self.0 & !other.0)
    }
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
    pub fn iter(self) -> impl Iterator<Item = Record> {
        (0..RECORDS.len() as u8).map(Record).filter(move |record| self.has(*record))
    }

    /// As scripts write it.
    pub fn script(self) -> String {
        match self.is_empty() {
            true => "-".into(),
            false => self.iter().map(Record::name).collect::<Vec<_>>().join(" "),
        }
    }

    /// Does it match a certificate in these groups, for clients of every digest type? In those that `must` be there it has one.
    pub fn fits(self, cert: Cert, groups: &str, must: bool) -> bool {
        groups.chars().all(|group| {
            let here = || self.iter().filter(move |record| record.param().group() == group);
            let of_type = |param: Param| {
                let mut its = here().filter(|record| record.param() == param).peekable();
                its.peek().is_none() || its.any(|record| record.matches(cert))
            };
            (!must || here().next().is_some()) && [Param::P311, Param::P312, Param::P211].into_iter().all(of_type)
        })
    }
}

impl From<Record> for Set {
    fn from(record: Record) -> Set {
        Set(1 << record.0)
    }
}

impl FromIterator<Record> for Set {
    fn from_iter<I: IntoIterator<Item = Record>>(records: I) -> Set {
        Set(records.into_iter().fold(0, |set, record| set | 1 << record.0))
    }
}

impl fmt::Debug for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.script())
    }
}
