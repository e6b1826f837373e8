//! Who is a member of which hostgroup: a pure function of the configuration and of what `read_only` said.
//!
//! Because membership is computed anew from the configuration each time, a fail-over leaves no residue: when the old
//! writer is back as writer, every hostgroup is as configured.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::aurora::AuroraHostgroups;
use super::topology::ClusterHostgroups;
use crate::snapshot::{HostgroupId, Status};

/// The most that a weight counts for at runtime; a larger configured one is accepted and clamped.
pub const MAX_WEIGHT: i64 = 10_000_000;

/// Where a server is, whatever hostgroups it is in. Port 0: `hostname` is the path of a Unix socket.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    pub hostname: Box<str>,
    pub port: u16,
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.port == 0 {
            f.write_str(&self.hostname)
        } else {
            write!(f, "{}:{}", self.hostname, self.port)
        }
    }
}

/// A row of `mysql_servers`, its status as configured (SHUNNED counts as ONLINE there).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerRow {
    pub hostgroup_id: HostgroupId,
    pub address: Address,
    pub gtid_port: u16,
    pub status: Status,
    pub weight: i64,
    pub compression: bool,
    pub max_connections: u32,
    pub max_replication_lag: u32,
    pub use_ssl: bool,
    pub max_latency_ms: u32,
    pub comment: String,
}

impl ServerRow {
    /// A row that says no more than where a server is: the rest are the table's defaults.
    pub fn new(hostgroup_id: HostgroupId, address: Address) -> ServerRow {
        ServerRow {
            hostgroup_id,
            address,
            gtid_port: 0,
            status: Status::Online,
            weight: 1,
            compression: false,
            max_connections: 1000,
            max_replication_lag: 0,
            use_ssl: false,
            max_latency_ms: 0,
            comment: String::new(),
        }
    }

    /// The weight that routing uses.
    pub fn effective_weight(&self) -> u32 {
        u32::try_from(self.weight.clamp(0, MAX_WEIGHT)).unwrap_or(0)
    }
}

#[cfg(test)]
impl Address {
    /// A server at MySQL's own port.
    pub fn sample(hostname: &str) -> Address {
        Address { hostname: hostname.into(), port: 3306 }
    }
}

#[cfg(test)]
impl ServerRow {
    /// A server at MySQL's own port, with the table's defaults.
    pub fn sample(hostgroup_id: HostgroupId, hostname: &str) -> ServerRow {
        ServerRow::new(hostgroup_id, Address::sample(hostname))
    }
}

/// A row of `mysql_replication_hostgroups`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicationHostgroup {
    pub writer: HostgroupId,
    pub reader: HostgroupId,
    /// `read_only`, `innodb_read_only`, `super_read_only` or one of the two combinations.
    pub check_type: String,
}

/// What `LOAD MYSQL SERVERS TO RUNTIME` loads as one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServersConfig {
    pub servers: Vec<ServerRow>,
    pub replication: Vec<ReplicationHostgroup>,
    /// The active rows of `mysql_galera_hostgroups` and `mysql_group_replication_hostgroups`.
    pub clusters: Vec<ClusterHostgroups>,
    /// The active rows of `mysql_aws_aurora_hostgroups`.
    pub aurora: Vec<AuroraHostgroups>,
}

impl ServersConfig {
    /// The writers of a pair or a cluster: lag is no reason to take one away.
    pub fn is_writer_hostgroup(&self, hostgroup: HostgroupId) -> bool {
        self.replication.iter().any(|pair| pair.writer == hostgroup)
            || self.cluster_writers().any(|writer| writer == hostgroup)
    }

    /// The writer hostgroups of all clusters.
    pub fn cluster_writers(&self) -> impl Iterator<Item = HostgroupId> + '_ {
        let clusters = self.clusters.iter().map(|cluster| cluster.writer);
        clusters.chain(self.aurora.iter().map(|cluster| cluster.writer))
    }
}

/// The last answer about `read_only`, by writer hostgroup (the check differs by hostgroup pair) and address.
pub type ReadOnlyVerdicts = HashMap<(HostgroupId, Address), bool>;

/// The members that result: the configured rows, with writers and readers where `read_only` puts them.
pub fn membership(
    config: &ServersConfig,
    verdict: impl Fn(HostgroupId, &Address) -> Option<bool>,
    writer_is_also_reader: bool,
) -> Vec<ServerRow> {
    let mut groups = Groups::default();
    for row in &config.servers {
        groups.entry(row.hostgroup_id).or_default().push(row.clone());
    }
    for pair in &config.replication {
        for address in addresses_in(&groups, pair) {
            match verdict(pair.writer, &address) {
                None => {}
                Some(false) => {
                    ensure_in(&mut groups, pair.writer, pair.reader, &address);
                    if !writer_is_also_reader {
                        remove_from(&mut groups, pair.reader, &address);
                    }
                }
                Some(true) => {
                    ensure_in(&mut groups, pair.reader, pair.writer, &address);
                    remove_from(&mut groups, pair.writer, &address);
                }
            }
        }
    }
    let mut rows: Vec<ServerRow> = groups.into_values().flatten().collect();
    rows.sort_by(|a, b| (a.hostgroup_id, &a.address).cmp(&(b.hostgroup_id, &b.address)));
    rows
}

/// The rows of each hostgroup: with a thousand pairs, each looks at its own only.
type Groups = BTreeMap<HostgroupId, Vec<ServerRow>>;

fn addresses_in(groups: &Groups, pair: &ReplicationHostgroup) -> BTreeSet<Address> {
    let rows =
        [pair.writer, pair.reader].into_iter().filter_map(|hostgroup| groups.get(&hostgroup)).flatten();
    rows.map(|row| row.address.clone()).collect()
}

/// Puts a copy of the server's row of the other hostgroup into `wanted`, unless it is there already.
fn ensure_in(groups: &mut Groups, wanted: HostgroupId, other: HostgroupId, address: &Address) {
    let find = |hostgroup| groups.get(&hostgroup)?.iter().find(|row| row.address == *address);
    if find(wanted).is_some() {
        return;
    }
    if let Some(mut copy) = find(other).cloned() {
        copy.hostgroup_id = wanted;
        groups.entry(wanted).or_default().push(copy);
    }
}

fn remove_from(groups: &mut Groups, hostgroup: HostgroupId, address: &Address) {
    if let Some(rows) = groups.get_mut(&hostgroup) {
        rows.retain(|row| row.address != *address);
    }
}
