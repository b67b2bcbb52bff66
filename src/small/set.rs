//! Sets.

use serde::{Deserialize, Deserializer, Serialize};
use std::{borrow::Borrow, collections::BTreeSet, fmt, slice, vec};

/// A sorted set.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Set<T>(Vec<T>);

impl<T> Set<T> {
    /// One without members.
    pub const fn new() -> Set<T> {
        Set(Vec::new())
    }

    /// The members, sorted.
    pub fn iter(&self) -> slice::Iter<'_, T> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The least.
    pub fn first(&self) -> Option<&T> {
        self.0.first()
    }

    /// Keeps those for which that holds.
    pub fn retain(&mut self, kept: impl FnMut(&T) -> bool) {
        self.0.retain(kept);
    }
}

impl<T: Ord> Set<T> {
    fn place<Q: Ord + ?Sized>(&self, member: &Q) -> Result<usize, usize>
    where
        T: Borrow<Q>,
    {
        self.0.binary_search_by(|known| known.borrow().cmp(member))
    }

    /// Is it a member?
    pub fn contains<Q: Ord + ?Sized>(&self, member: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.place(member).is_ok()
    }

    /// Takes a member in; says whether it is a new one.
    pub fn insert(&mut self, member: T) -> bool {
        match self.place(&member) {
            Ok(_) => false,
            Err(at) => {
                super::reserve(&mut self.0);
                self.0.insert(at, member);
                true
            }
        }
    }

    /// Leaves a member out; says whether it was one.
    pub fn remove<Q: Ord + ?Sized>(&mut self, member: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.place(member).map(|at| self.0.remove(at)).is_ok()
    }

    /// The members that are not in the other.
    pub fn difference<'a>(&'a self, other: &'a Set<T>) -> impl Iterator<Item = &'a T> + Clone {
        self.iter().filter(|member| !other.contains(*member))
    }

    /// The members of this one, and of the other.
    pub fn union<'a>(&'a self, other: &'a Set<T>) -> impl Iterator<Item = &'a T> + Clone {
        self.iter().chain(other.difference(self))
    }

    /// The members that are in the other as well.
    pub fn intersection<'a>(&'a self, other: &'a Set<T>) -> impl Iterator<Item = &'a T> + Clone {
        self.iter().filter(|member| other.contains(*member))
    }

    /// Is each of them in the other?
    pub fn is_subset(&self, other: &Set<T>) -> bool {
        self.iter().all(|member| other.contains(member))
    }
}

impl<T> Default for Set<T> {
    fn default() -> Set<T> {
        Set::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for Set<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self).finish()
    }
}

impl<T: Ord> FromIterator<T> for Set<T> {
    fn from_iter<I: IntoIterator<Item = T>>(members: I) -> Set<T> {
        // Most have one member or none.
        let mut members = members.into_iter();
        let Some(first) = members.next() else { return Set::new() };
        let Some(second) = members.next() else { return Set(vec![first]) };
        let mut members: Vec<T> = [first, second].into_iter().chain(members).collect();
        members.sort();
        members.dedup();
        members.shrink_to_fit();
        Set(members)
    }
}

impl<T: Ord, const N: usize> From<[T; N]> for Set<T> {
    fn from(members: [T; N]) -> Set<T> {
        members.into_iter().collect()
    }
}

impl<T: Ord> From<BTreeSet<T>> for Set<T> {
    fn from(members: BTreeSet<T>) -> Set<T> {
        members.into_iter().collect()
    }
}

impl<T: Ord> Extend<T> for Set<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, members: I) {
        for member in members {
            self.insert(member);
        }
    }
}

impl<'a, T: Ord + Copy + 'a> Extend<&'a T> for Set<T> {
    fn extend<I: IntoIterator<Item = &'a T>>(&mut self, members: I) {
        self.extend(members.into_iter().copied());
    }
}

impl<T> IntoIterator for Set<T> {
    type Item = T;
    type IntoIter = vec::IntoIter<T>;
    fn into_iter(self) -> vec::IntoIter<T> {
        self.0.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a Set<T> {
    type Item = &'a T;
    type IntoIter = slice::Iter<'a, T>;
    fn into_iter(self) -> slice::Iter<'a, T> {
        self.iter()
    }
}

impl<'de, T: Ord + Deserialize<'de>> Deserialize<'de> for Set<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Set<T>, D::Error> {
        Vec::deserialize(from).map(Set::from_iter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever is done to both, it is the set of the standard library.
        #[test]
        fn as_that_of_the_standard_library(
            steps in proptest::collection::vec((any::<bool>(), 0_u8..12), 0..40),
            others in proptest::collection::vec(0_u8..12, 0..8),
        ) {
            let (mut ours, mut theirs) = (Set::new(), BTreeSet::new());
            for (comes, member) in steps {
                let said = match comes {
                    true => (ours.insert(member), theirs.insert(member)),
                    false => (ours.remove(&member), theirs.remove(&member)),
                };
                prop_assert_eq!(said.0, said.1);
                prop_assert!(ours.iter().eq(&theirs));
                prop_assert_eq!(ours.contains(&3), theirs.contains(&3));
            }
            let (our_others, their_others): (Set<u8>, BTreeSet<u8>) = (others.iter().copied().collect(), others.into_iter().collect());
            prop_assert!(our_others.iter().eq(&their_others));
            prop_assert!(ours.difference(&our_others).eq(theirs.difference(&their_others)));
            prop_assert!(ours.intersection(&our_others).eq(theirs.intersection(&their_others)));
            prop_assert_eq!(ours.union(&our_others).collect::<Set<_>>(), theirs.union(&their_others).collect::<Set<_>>());
            prop_assert_eq!(ours.is_subset(&our_others), theirs.is_subset(&their_others));
            prop_assert_eq!(ours.cmp(&our_others), theirs.cmp(&their_others));
            let text = serde_json::to_string(&ours).unwrap();
            prop_assert_eq!(&text, &serde_json::to_string(&theirs).unwrap());
            prop_assert_eq!(serde_json::from_str::<Set<u8>>(&text).unwrap(), ours);
        }
    }
}
