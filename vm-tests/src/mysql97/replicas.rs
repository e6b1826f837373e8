//! Three MySQL 9.7 servers with asynchronous replication by GTID, one in each database host's namespace.
//!
//! A server starts read-only, whatever it was before: who writes is decided by whoever promotes, by SQL.

use std::path::Path;

use anyhow::Result;
use nix::sys::signal::Signal;

use super::root::SidRoot;
use super::servers::Servers;
use crate::lab::net::Network;

/// A writer that was cut off may have written what nobody has: its rows must not stop replication when it is back.
const REPLICA: &str = "
log_bin=binlog
gtid_mode=ON
enforce_gtid_consistency=ON
super_read_only=ON
replica_exec_mode=IDEMPOTENT
replica_net_timeout=4
skip_replica_start=ON
";

/// The running servers, which know nothing of each other yet. They die when this is dropped.
#[derive(Debug)]
pub(crate) struct Replicas(Servers);

impl Replicas {
    pub(crate) fn start(root: &SidRoot, network: &Network, directory: &Path) -> Result<Self> {
        Servers::start(root, network, directory, |_, _| REPLICA.to_owned()).map(Self)
    }

    /// Sends one server a signal.
    pub(crate) fn signal(&self, index: usize, signal: Signal) -> Result<()> {
        self.0.signal(index, signal)
    }

    /// Waits for the end of a server that was sent a signal, and starts it again.
    pub(crate) fn restart(&mut self, index: usize) -> Result<()> {
        self.0.restart(index).map(drop)
    }

    /// Runs SQL as root on one server, by its socket.
    pub(crate) fn query(&self, index: usize, sql: &str) -> Result<String> {
        self.0.query(index, sql)
    }
}
