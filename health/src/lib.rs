//! Liveness on one host: who says that the proxy is alive, in which words, and how the others hear of it.
//!
//! * [`heartbeat`]: the shared memory in which proxyd's workers show that they make progress.
//! * [`inherit`]: how the angel hands its listening sockets and the heartbeat segment to proxyd.
//! * [`listener`]: one of those sockets, by TCP or at a path.
//! * [`hang`]: which worker has stopped. [`restart`]: when a proxy that ended is started again.
//! * [`verdict`]: the five words that the rest of the host acts on.
//! * [`control`]: the unix sockets that take one request line.
//! * [`feed`]: the lines that carry the verdict to vrrpd, and how vrrpd judges a feed that stopped.
//!
//! The binary `standfast-angel` puts them together. This crate never speaks VRRP or MySQL.

pub mod control;
pub mod feed;
pub mod hang;
pub mod heartbeat;
pub mod inherit;
pub mod listener;
pub mod restart;
pub mod verdict;
