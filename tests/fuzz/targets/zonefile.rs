//! Files that zones include, which anybody may have edited.

use super::world::{self, A, B, QUERY};
use daneroll::{
    name::DnsName,
    provider::{
        Operation,
        zonefile::{Edit, Edited, edit},
    },
};

/// A zone file: a record is added, another one is deleted, and then the other way round. Every other line stays as it is, and what was
/// done is found done.
pub fn zone_file(data: &[u8]) {
    let (owner, a, b): (DnsName, _, _) = (QUERY.parse().unwrap(), world::record(&A), world::record(&B));
    let add = Edit { operation: Operation::Add, owner: &owner, record: &a, ttl: 3600 };
    let delete = Edit { operation: Operation::Delete, owner: &owner, record: &b, ttl: 0 };
    let Ok((after, made)) = edit(data, &[add, delete]) else { return };
    let (there, refused) = (made[0] != Edited::Changed, matches!(made[1], Edited::Not(..)));
    assert!(!matches!(made[0], Edited::Not(..)), "{made:?}");
    // Lines are only added and taken away, one at a time.
    let lines = |bytes: &[u8]| bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
    let fewer = lines(data) + usize::from(!there) - lines(&after);
    assert!(fewer == 0 || made[1] == Edited::Changed || refused, "{fewer} lines are gone: {made:?}");
    // A second time there is nothing to do.
    let (again, made) = edit(&after, &[add, delete]).unwrap();
    assert_eq!(again, after);
    assert_eq!((made[0] == Edited::Already, made[1] != Edited::Changed), (true, true), "{made:?}");
    // And back again.
    if !there && !refused {
        let back = Edit { operation: Operation::Delete, ..add };
        let (back, made) = edit(&after, &[back]).unwrap();
        assert!(made[0] == Edited::Changed && lines(&back) + 1 == lines(&after), "{made:?}");
    }
}
