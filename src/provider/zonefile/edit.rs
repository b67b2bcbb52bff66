//! What becomes of a zone file when records are added and deleted. Pure.

use super::{
    record::{Has, Owner, Record, render},
    text::{Entry, Refused, Text, What},
};
use crate::{name::DnsName, provider::Operation, tlsa::Association};

/// A record to add or delete.
#[derive(Clone, Copy, Debug)]
pub struct Edit<'a> {
    /// Add or delete.
    pub operation: Operation,
    /// Whose.
    pub owner: &'a DnsName,
    /// The record.
    pub record: &'a Association,
    /// TTL in seconds for an RRset that is not in the file.
    pub ttl: u32,
}

/// What became of an edit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edited {
    /// The text has changed.
    Changed,
    /// It was so already.
    Already,
    /// It is not done: at this line, for this reason.
    Not(usize, String),
}

/// Makes the edits one after the other.
pub fn edit(bytes: &[u8], edits: &[Edit<'_>]) -> Result<(Vec<u8>, Vec<Edited>), Refused> {
    let mut text = Text::read(bytes)?;
    let edited = edits.iter().map(|edit| text.make(edit)).collect();
    Ok((text.bytes(), edited))
}

impl Text {
    fn make(&mut self, edit: &Edit<'_>) -> Edited {
        match edit.operation {
            Operation::Add => self.add(edit),
            Operation::Delete => self.delete(edit),
        }
    }

    /// One that may be there in a form that cannot be read for sure is added nevertheless: twice the same record is one record.
    fn add(&mut self, edit: &Edit<'_>) -> Edited {
        if self.entries.iter().any(|entry| matches!(entry.has(edit.owner, edit.record), Has::Ours | Has::Other)) {
            return Edited::Already;
        }
        let ttl = self.ttl(edit.owner).unwrap_or(edit.ttl);
        let record = Record {
            owner: Owner::Known(edit.owner.clone()),
            ttl: Some(ttl),
            data: Some(edit.record.clone()),
            ours: true,
        };
        let bytes = render(edit.owner, ttl, edit.record).into_bytes();
        let place = self.place(edit);
        if let Some(before) = place.checked_sub(1).map(|before| &mut self.entries[before].bytes)
            && !before.ends_with(b"\n")
        {
            before.push(b'\n');
        }
        let what = What::Entry { record: Some(record), depends: false };
        self.entries.insert(place, Entry { bytes, line: 0, what });
        self.number();
        Edited::Changed
    }

    /// The TTL that the RRset has here.
    fn ttl(&self, owner: &DnsName) -> Option<u32> {
        let of_owner = |record: &&Record| matches!(&record.owner, Owner::Known(known) if known == owner);
        self.records().filter(of_owner).find_map(|record| record.ttl)
    }

    fn records(&self) -> impl Iterator<Item = &Record> {
        self.entries.iter().filter_map(|entry| entry.record())
    }

    /// Where a record goes: among ours in their order, but not before one that takes something from the record before it.
    fn place(&self, edit: &Edit<'_>) -> usize {
        let key = |record: &Record| match (&record.owner, &record.data) {
            (Owner::Known(owner), Some(data)) if record.ours => Some((owner.clone(), data.clone())),
            _ => None,
        };
        let new = (edit.owner.clone(), edit.record.clone());
        let ours = self.entries.iter().enumerate().filter_map(|(at, entry)| Some((at, key(entry.record()?)?)));
        let ours: Vec<_> = ours.collect();
        let after = ours.iter().find(|(_, known)| *known > new).map(|(at, _)| *at);
        let wanted = after.or_else(|| ours.last().map(|(at, _)| at + 1)).unwrap_or(self.entries.len());
        (wanted..self.entries.len()).find(|at| self.is_leant_on(*at).is_none()).unwrap_or(self.entries.len())
    }

    /// Takes it away wherever it stands as we write it. What may be it besides matters only to whoever still sees it after that.
    fn delete(&mut self, edit: &Edit<'_>) -> Edited {
        if let Some(at) = self.find(edit, Has::Other) {
            let why = "the record stands here in a form that is not ours: remove it by hand";
            return Edited::Not(self.entries[at].line, why.into());
        }
        let mut made = Edited::Already;
        while let Some(at) = self.find(edit, Has::Ours) {
            if let Some(line) = self.is_leant_on(at + 1) {
                let why = format!("line {line} takes its owner or TTL from this record: write them out there");
                return Edited::Not(self.entries[at].line, why);
            }
            self.entries.remove(at);
            self.number();
            made = Edited::Changed;
        }
        match self.find(edit, Has::Perhaps) {
            Some(at) if made == Edited::Already => {
                let why = "this may be the record, and nobody can tell from this file alone: write its full name and its data in \
                           numbers and hex, or remove it by hand";
                Edited::Not(self.entries[at].line, why.into())
            }
            _ => made,
        }
    }

    fn find(&self, edit: &Edit<'_>, has: Has) -> Option<usize> {
        self.entries.iter().position(|entry| entry.has(edit.owner, edit.record) == has)
    }

    fn number(&mut self) {
        let mut line = 1;
        for entry in &mut self.entries {
            entry.line = line;
            line += entry.bytes.iter().filter(|byte| **byte == b'\n').count();
        }
    }
}

impl Entry {
    fn record(&self) -> Option<&Record> {
        match &self.what {
            What::Entry { record, .. } => record.as_ref(),
            What::Nothing => None,
        }
    }
}
