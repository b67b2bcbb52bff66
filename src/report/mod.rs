//! What people and machines are told.
