//! Query names whose CNAMEs lead to one RRset.

use super::model::{Model, Owner};
use crate::{
    name::DnsName,
    small::Set,
    tlsa::{Association, Group, Param},
};
use std::collections::BTreeMap;

impl<'a> Model<'a> {
    /// The owners by the RRset to which their names lead, through CNAMEs or none.
    pub fn targets(&self) -> impl Iterator<Item = Vec<&Owner<'a>>> {
        self.targets.values().map(|queries| self.of(queries))
    }

    /// The owners whose names lead to the same RRset, this one among them.
    pub fn sharing(&self, owner: &Owner<'a>) -> Vec<&Owner<'a>> {
        self.targets.get(&owner.doc.target).map_or(Vec::new(), |queries| self.of(queries))
    }

    fn of(&self, queries: &[&'a DnsName]) -> Vec<&Owner<'a>> {
        queries.iter().filter_map(|query| self.owners.get(query)).collect()
    }
}

/// Query names by where they lead.
pub(super) fn targets<'a>(owners: &BTreeMap<&'a DnsName, Owner<'a>>) -> BTreeMap<&'a DnsName, Vec<&'a DnsName>> {
    let mut targets: BTreeMap<&DnsName, Vec<&DnsName>> = BTreeMap::new();
    for (query, owner) in owners {
        targets.entry(&owner.doc.target).or_default().push(query);
    }
    targets
}

/// Whoever follows one of these names finds what is published for all: so each chain needs a record for every parameter of any
/// of them, and what is on its way out for one is so for all.
pub(super) fn share<'a>(owners: &mut BTreeMap<&'a DnsName, Owner<'a>>, queries: &[&'a DnsName]) {
    if queries.len() < 2 {
        return;
    }
    let all = || queries.iter().filter_map(|query| owners.get(query));
    let params: Set<Param> = all().flat_map(|owner| owner.params.clone()).collect();
    let groups: Set<Group> = all().flat_map(Owner::ours).collect();
    let going: Set<Association> = all().flat_map(|owner| owner.going.clone()).collect();
    for query in queries {
        if let Some(owner) = owners.get_mut(query) {
            if !owner.configured.is_empty() {
                owner.params.clone_from(&params);
            }
            owner.beside.clone_from(&groups);
            owner.going.clone_from(&going);
        }
    }
}
