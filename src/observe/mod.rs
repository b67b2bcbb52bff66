//! Looking at the world: files and name servers. Nothing here changes anything.

pub mod audit;
pub mod authority;
pub mod discover;
pub mod dns;
pub mod dnssec;
pub mod endpoints;
pub mod files;
mod hear;
pub mod hosts;
pub mod in_place;
pub mod remember;
pub mod services;
