//! As much of the MySQL protocol as the lab's own client and its embedded backend need.
//!
//! It knows nothing of Standfast's codec on purpose: a mistake there must not be able to hide behind the same mistake here.

pub(crate) mod auth;
pub(crate) mod client;
pub(crate) mod link;
pub(crate) mod packet;

pub(crate) use client::{Client, Failure};
