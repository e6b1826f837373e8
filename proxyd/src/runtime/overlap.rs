//! Hostgroups that two tables want to fill. Pure.
//!
//! Each row of a table of hostgroups puts servers where *its* checks want them, so a hostgroup can have one master only.
//! The same writer hostgroup in two tables is an error; any other hostgroup that two rows share gets a warning.

use std::collections::{BTreeMap, BTreeSet};

use super::servers::ServersConfig;
use super::topology::ClusterKind;
use crate::snapshot::HostgroupId;

/// A row of a table of hostgroups: the table, and the hostgroups that it fills, the writers' first.
type Claim = (&'static str, Vec<HostgroupId>);

/// Why the configuration cannot be, if it cannot.
pub fn refusal(config: &ServersConfig) -> Option<String> {
    let mut writers = BTreeMap::new();
    claims(config).into_iter().find_map(|(table, hostgroups)| {
        let writer = *hostgroups.first()?;
        let before = writers.insert(writer, table)?;
        Some(format!("{table}: writer_hostgroup {writer} is one of {before} too"))
    })
}

/// Leaves out each row that would be refused.
pub fn leave_out(config: &mut ServersConfig) -> Vec<String> {
    let mut taken: BTreeSet<HostgroupId> = config.replication.iter().map(|pair| pair.writer).collect();
    let mut warnings = Vec::new();
    config.clusters.retain(|cluster| {
        let is_free = taken.insert(cluster.writer);
        if !is_free {
            let (table, writer) = (table(cluster.kind), cluster.writer);
            warnings.push(format!("{table}: left out: writer_hostgroup {writer} is another table's"));
        }
        is_free
    });
    config.aurora.retain(|cluster| {
        let is_free = taken.insert(cluster.writer);
        if !is_free {
            let writer = cluster.writer;
            warnings.push(format!("{AURORA}: left out: writer_hostgroup {writer} is another table's"));
        }
        is_free
    });
    warnings
}

/// Hostgroups that two rows share.
pub fn shared(config: &ServersConfig) -> Vec<String> {
    let mut owners: BTreeMap<HostgroupId, Vec<(&str, HostgroupId)>> = BTreeMap::new();
    for (table, hostgroups) in claims(config) {
        let writer = hostgroups.first().copied().unwrap_or_default();
        hostgroups.iter().for_each(|hostgroup| owners.entry(*hostgroup).or_default().push((table, writer)));
    }
    let words = |(table, writer): &(&str, HostgroupId)| format!("{table} with writer_hostgroup {writer}");
    owners
        .iter()
        .filter(|(_, owners)| owners.len() > 1 && owners.iter().any(|(table, _)| *table != PAIRS))
        .map(|(hostgroup, owners)| {
            let all: Vec<String> = owners.iter().map(words).collect();
            format!("hostgroup {hostgroup} has several masters: {}", all.join(", "))
        })
        .collect()
}

const PAIRS: &str = "mysql_replication_hostgroups";
const AURORA: &str = "mysql_aws_aurora_hostgroups";

fn table(kind: ClusterKind) -> &'static str {
    match kind {
        ClusterKind::Galera => "mysql_galera_hostgroups",
        ClusterKind::GroupReplication => "mysql_group_replication_hostgroups",
    }
}

fn claims(config: &ServersConfig) -> Vec<Claim> {
    let pairs = config.replication.iter().map(|pair| (PAIRS, vec![pair.writer, pair.reader]));
    let clusters = config.clusters.iter().map(|cluster| (table(cluster.kind), cluster.in_order().to_vec()));
    let aurora = config.aurora.iter().map(|cluster| (AURORA, vec![cluster.writer, cluster.reader]));
    pairs.chain(clusters).chain(aurora).collect()
}
