//! Where the servers of an Aurora cluster belong: a row of `mysql_aws_aurora_hostgroups`, and what `REPLICA_HOST_STATUS` said.
//! Pure.
//!
//! Each server of a cluster sees all of them, so one good answer decides for the whole cluster:
//!
//! - The **writer** is whose session is `MASTER_SESSION_ID`. Of several, in one answer or from one answer to the next, it is the one
//!   with the newest time: a server that was the writer goes on saying so for a while. An answer without a writer decides nothing.
//! - A **reader** is shunned while its estimated lag is above `max_lag_ms`, and comes back a quarter below it. The estimate is the
//!   greatest of the last `lag_num_checks`, plus `add_lag_ms`, and at least `min_lag_ms`.
//! - A server that is **no longer named** is shunned; one that is named for the first time joins as a reader.
//! - The writer reads where `writer_is_also_reader` says so, and while no other server can, as behind Aurora's own reader endpoint.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use super::servers::{Address, ServerRow};
use crate::snapshot::{HostgroupId, Status};

/// What Aurora has as the session of a writer.
const WRITERS_SESSION: &str = "MASTER_SESSION_ID";

/// An active row of `mysql_aws_aurora_hostgroups`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuroraHostgroups {
    pub writer: HostgroupId,
    pub reader: HostgroupId,
    pub port: u16,
    /// A server's name is its identifier and this, which begins with a dot.
    pub domain: Box<str>,
    pub max_lag_ms: u64,
    pub check_interval: Duration,
    pub check_timeout: Duration,
    pub also_reader: bool,
    pub new_reader_weight: i64,
    pub add_lag_ms: u64,
    pub min_lag_ms: u64,
    pub lag_num_checks: usize,
}

impl AuroraHostgroups {
    /// Whether a place is one of this cluster's: other servers may be in its hostgroups for reasons of their own.
    pub fn has(&self, row: &ServerRow) -> bool {
        (row.hostgroup_id == self.writer || row.hostgroup_id == self.reader) && self.names(&row.address)
    }

    fn names(&self, address: &Address) -> bool {
        address.port == self.port && address.hostname.ends_with(&*self.domain)
    }

    /// Where the server of this identifier is.
    pub fn address(&self, server_id: &str) -> Address {
        Address { hostname: format!("{server_id}{}", self.domain).into(), port: self.port }
    }
}

/// A row of `REPLICA_HOST_STATUS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuroraServer {
    pub server_id: String,
    pub session_id: String,
    /// `YYYY-MM-DD HH:MM:SS`, perhaps with a fraction: later is greater.
    pub last_update: String,
    pub lag_ms: u64,
    /// In percent.
    pub cpu: u32,
}

/// What is known of the clusters, by writer hostgroup.
#[derive(Debug, Default)]
pub struct AuroraBook {
    clusters: HashMap<HostgroupId, Cluster>,
}

#[derive(Debug, Default)]
struct Cluster {
    /// And the newest time at which it said so.
    writer: Option<(Address, String)>,
    /// The last lags of the servers that are named, the newest last.
    named: BTreeMap<Address, VecDeque<u64>>,
    behind: HashMap<Address, String>,
    /// Those whose last check had no result.
    silent: BTreeSet<Address>,
}

impl AuroraBook {
    /// Takes what one server said of all; false when it decides nothing.
    pub fn observe(&mut self, own: &AuroraHostgroups, asked: &Address, servers: &[AuroraServer]) -> bool {
        let cluster = self.clusters.entry(own.writer).or_default();
        cluster.silent.remove(asked);
        let writers = servers.iter().filter(|server| server.session_id == WRITERS_SESSION);
        let Some(newest) = writers.max_by_key(|server| &server.last_update) else { return false };
        let address = own.address(&newest.server_id);
        match &cluster.writer {
            Some((known, time)) if *known != address && *time >= newest.last_update => {}
            _ => cluster.writer = Some((address, newest.last_update.clone())),
        }
        let writer = cluster.writer.as_ref().map(|(writer, _)| writer.clone());
        let mut before = std::mem::take(&mut cluster.named);
        for server in servers {
            let address = own.address(&server.server_id);
            let mut lags = before.remove(&address).unwrap_or_default();
            lags.push_back(if Some(&address) == writer.as_ref() { 0 } else { server.lag_ms });
            while lags.len() > own.lag_num_checks.max(1) {
                lags.pop_front();
            }
            cluster.judge(own, &address, estimate(own, &lags));
            cluster.named.insert(address, lags);
        }
        let Cluster { named, behind, .. } = cluster;
        behind.retain(|address, _| named.contains_key(address) && Some(address) != writer.as_ref());
        true
    }

    /// A check of this server had no result.
    pub fn missed(&mut self, writer: HostgroupId, asked: Address) {
        self.clusters.entry(writer).or_default().silent.insert(asked);
    }

    /// True while nothing is known, and while a server that is named does not answer: worth more checks.
    pub fn is_unsettled(&self, writer: HostgroupId) -> bool {
        self.clusters.get(&writer).is_none_or(|cluster| {
            cluster.writer.is_none()
                || cluster.silent.iter().any(|address| cluster.named.contains_key(address))
        })
    }

    pub fn writer(&self, writer: HostgroupId) -> Option<&Address> {
        self.clusters.get(&writer)?.writer.as_ref().map(|(address, _)| address)
    }

    /// All that were named last.
    pub fn named(&self, writer: HostgroupId) -> impl Iterator<Item = &Address> {
        self.clusters.get(&writer).into_iter().flat_map(|cluster| cluster.named.keys())
    }

    /// By how much a server is thought to be behind.
    pub fn estimated_lag_ms(&self, own: &AuroraHostgroups, server_id: &str) -> u64 {
        let lags = self.clusters.get(&own.writer).and_then(|it| it.named.get(&own.address(server_id)));
        lags.map_or(0, |lags| estimate(own, lags))
    }

    /// Keeps what is known of the clusters that are still configured.
    pub fn retain(&mut self, is_known: impl Fn(HostgroupId) -> bool) {
        self.clusters.retain(|writer, _| is_known(*writer));
    }

    /// Why a place is shunned, if Aurora says something against it.
    pub fn reason(&self, clusters: &[AuroraHostgroups], row: &ServerRow) -> Option<String> {
        let own = clusters.iter().find(|own| own.has(row))?;
        let cluster = self.clusters.get(&own.writer)?;
        cluster.writer.as_ref()?;
        if !cluster.named.contains_key(&row.address) {
            return Some("REPLICA_HOST_STATUS does not name it".into());
        }
        cluster.behind.get(&row.address).filter(|_| row.hostgroup_id == own.reader).cloned()
    }

    /// Puts the rows of the cluster where its servers belong. Rows that an operator took out of service stay as they are.
    pub fn arrange(&self, rows: &mut Vec<ServerRow>, own: &AuroraHostgroups) {
        let Some(cluster) = self.clusters.get(&own.writer) else { return };
        let Some((writer, _)) = &cluster.writer else { return };
        let can_read = |address: &&Address| *address != writer && !cluster.behind.contains_key(*address);
        let writer_reads = own.also_reader || !cluster.named.keys().any(|address| can_read(&address));
        let addresses: BTreeSet<Address> =
            rows.iter().filter(|row| own.has(row)).map(|row| row.address.clone()).collect();
        for address in addresses {
            let places = rows.iter().filter(|row| own.has(row) && row.address == address);
            if places.clone().any(|row| row.status != Status::Online) {
                continue;
            }
            let wanted: &[HostgroupId] = match (address == *writer, writer_reads) {
                (true, true) => &[own.writer, own.reader],
                (true, false) => &[own.writer],
                (false, _) => &[own.reader],
            };
            let mine: Vec<ServerRow> = places.cloned().collect();
            rows.retain(|row| !own.has(row) || row.address != address);
            for &hostgroup_id in wanted {
                let template = mine.iter().find(|row| row.hostgroup_id == hostgroup_id).or(mine.first());
                rows.extend(template.map(|row| ServerRow { hostgroup_id, ..row.clone() }));
            }
        }
    }
}

impl Cluster {
    fn judge(&mut self, own: &AuroraHostgroups, address: &Address, lag_ms: u64) {
        if lag_ms > own.max_lag_ms {
            let text = || format!("estimated lag {lag_ms} ms, max_lag_ms is {}", own.max_lag_ms);
            self.behind.entry(address.clone()).or_insert_with(text);
        } else if lag_ms <= own.max_lag_ms - own.max_lag_ms / 4 {
            self.behind.remove(address);
        }
    }
}

fn estimate(own: &AuroraHostgroups, lags: &VecDeque<u64>) -> u64 {
    let greatest = lags.iter().copied().max().unwrap_or(0);
    greatest.saturating_add(own.add_lag_ms).max(own.min_lag_ms)
}

#[cfg(test)]
#[path = "aurora_tests.rs"]
mod tests;
