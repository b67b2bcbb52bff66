//! What `daneroll print` tells: TLSA data of certificates, as Alnitak's lines, as zone-file lines, or as a document
//! (daneroll-status(5)).

use super::words::plain;
use crate::{name::DnsName, tlsa::Association};
use serde::Serialize;
use std::collections::BTreeSet;

/// Version of the document. Within a version fields are only added.
pub const VERSION: u32 = 1;

/// Everything.
#[derive(Clone, Debug, Serialize)]
pub struct Printed {
    /// [`VERSION`].
    pub version: u32,
    /// In the order asked for.
    pub records: Vec<Record>,
    /// What could not be printed, and why.
    pub errors: Vec<String>,
}

/// The TLSA data of one certificate.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    /// The lineage that the file is of, if it is known.
    pub lineage: Option<String>,
    /// RFC 6698 section 2.1.1.
    pub usage: u8,
    /// RFC 6698 section 2.1.2.
    pub selector: u8,
    /// RFC 6698 section 2.1.3.
    pub matching: u8,
    /// Certificate association data in lower-case hex.
    pub data: String,
    /// The file with the certificate.
    pub path: String,
    /// The names at which the lineage's section wants such records.
    pub owners: Vec<DnsName>,
    /// TTL of an RRset that we would create, seconds; nothing without a section.
    pub ttl: Option<u32>,
}

impl Record {
    /// A record and where it came from; no owner yet.
    pub fn new(lineage: Option<&str>, association: &Association, path: String) -> Record {
        let Association { usage, selector, matching, .. } = *association;
        let (data, lineage) = (association.hex(), lineage.map(str::to_owned));
        Record { lineage, usage, selector, matching, data, path, owners: Vec::new(), ttl: None }
    }

    fn rdata(&self) -> String {
        format!("{} {} {} {}", self.usage, self.selector, self.matching, self.data)
    }
}

impl Printed {
    /// Lines `LINEAGE U S M HASH PATH`.
    pub fn lines(&self) -> String {
        let line = |record: &Record| {
            let lineage = record.lineage.as_deref().unwrap_or("-");
            plain(&format!("{lineage} {} {}", record.rdata(), record.path)) + "\n"
        };
        self.records.iter().map(line).collect()
    }

    /// Lines of a zone file (RFC 1035 section 5), each once.
    pub fn zone(&self) -> String {
        let mut told = BTreeSet::new();
        let lines = self.records.iter().flat_map(|record| {
            let ttl = record.ttl.unwrap_or_default();
            record.owners.iter().map(move |owner| format!("{owner} {ttl} IN TLSA {}\n", record.rdata()))
        });
        lines.filter(|line| told.insert(line.clone())).collect()
    }
}
