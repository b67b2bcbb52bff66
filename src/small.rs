//! Sets and maps that mostly have one or two members, as sorted vectors: a tree of the standard library makes room for eleven with
//! the first, and a run on a large host keeps tens of thousands of them. What they are called and how they behave is as there.

mod map;
mod set;

pub use map::{Entry, Map};
pub use set::Set;

/// Makes room for one more, for exactly one as long as there are few.
fn reserve<T>(members: &mut Vec<T>) {
    if members.len() == members.capacity() {
        match members.len() {
            0..4 => members.reserve_exact(1),
            _ => members.reserve(1),
        }
    }
}
