//! The schema of `standfast.toml`, its validation, and the shipped layouts.

mod appliance;

pub use appliance::*;
