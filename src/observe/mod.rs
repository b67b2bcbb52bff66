//! Looking at the world: files and name servers. Nothing here changes anything.

pub mod authority;
pub mod discover;
pub mod dns;
pub mod dnssec;
pub mod files;
pub mod remember;
