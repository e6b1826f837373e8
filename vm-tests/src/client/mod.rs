//! What a client of the VIP sees, measured: connections, queries, idle sessions, and who answers for an address.

pub(crate) mod crowd;
pub(crate) mod holders;
pub(crate) mod probe;
pub(crate) mod samples;
pub(crate) mod workload;
