//! [`Report`]: everything that one answer is rendered from, gathered from the workers, the control thread and the daemons.

use std::collections::HashMap;

use configs::Host;

use super::control_side::Facts;
use super::daemons::{Daemons, Said};
use crate::control::WorkerHandle;
use crate::errors::{ErrorKey, ErrorStats};
use crate::runtime::{collect_errors, collect_stats};
use crate::snapshot::Status;
use crate::stats::WorkerStats;

/// A moment of this host, in plain data.
#[derive(Debug)]
pub struct Report {
    pub facts: Facts,
    pub stats: WorkerStats,
    pub errors: HashMap<ErrorKey, ErrorStats>,
    pub angel: Said,
    pub vrrpd: Said,
    /// The hosts of the cluster, this one first.
    pub hosts: Vec<Host>,
    /// Open descriptors of this process.
    pub descriptors: u64,
}

impl Report {
    pub async fn gather(facts: Facts, workers: &[WorkerHandle], daemons: &Daemons) -> Report {
        let (stats, errors, (angel, vrrpd)) =
            tokio::join!(collect_stats(workers), collect_errors(workers, false), daemons.status());
        let hosts = daemons.hosts.clone();
        Report { hosts, facts, stats, errors, angel, vrrpd, descriptors: open_descriptors() }
    }

    /// How many servers are ONLINE, and how many are not, by hostgroup.
    pub fn online(&self) -> std::collections::BTreeMap<u32, (usize, usize)> {
        let mut counts = std::collections::BTreeMap::new();
        for backend in &self.facts.backends {
            let (online, offline) = counts.entry(backend.hostgroup).or_default();
            *(if backend.status == Status::Online { online } else { offline }) += 1;
        }
        counts
    }
}

/// The kernel counts them since 6.2; before that they are counted here.
fn open_descriptors() -> u64 {
    let directory = std::path::Path::new("/proc/self/fd");
    match std::fs::metadata(directory) {
        Ok(meta) if meta.len() > 0 => meta.len(),
        _ => std::fs::read_dir(directory).map_or(0, |entries| entries.count() as u64),
    }
}
