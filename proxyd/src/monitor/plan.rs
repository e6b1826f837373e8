//! What the checks of one server are now: which, how often, as whom, within what time. A pure reading of the runtime.

use std::time::Duration;

use super::decide::{Limits, read_only_query};
use super::lag::heartbeat_query;
use super::probe::Credentials;
use super::schedule::Intervals;
use crate::runtime::{Address, ClusterKind, ReplicationHostgroup, Runtime};
use crate::snapshot::HostgroupId;

/// A server that is shunned for its pings is pinged at least this often, and one that is shunned for connect errors is connected
/// to: recovery waits for nobody's traffic.
const SHUNNED: Duration = Duration::from_secs(1);

/// What a task has to know now; asked anew before each check, as all of it may change.
pub struct Plan {
    pub intervals: Intervals,
    pub pairs: Vec<(HostgroupId, &'static str)>,
    /// The writer hostgroups of the Galera clusters that it is a node of.
    pub galera: Vec<HostgroupId>,
    /// Those of the replication groups that it is a member of.
    pub groups: Vec<HostgroupId>,
    /// The writer hostgroups of its Aurora clusters, and how long one may take to answer.
    pub aurora: Vec<(HostgroupId, Duration)>,
    pub limits: Limits,
    pub credentials: Credentials,
    pub connect_timeout: Duration,
    pub ping_timeout: Duration,
    pub read_only_timeout: Duration,
    pub galera_timeout: Duration,
    pub group_timeout: Duration,
    pub group_behind_rule: u32,
    pub lag_timeout: Duration,
    pub lag_when_null: u32,
    /// The statement that reads a heartbeat table, if one is named; an error when its name is none.
    pub heartbeat: Result<Option<String>, String>,
}

impl Plan {
    /// What hastens a cluster's checks is no change of the snapshot.
    pub fn may_hasten(&self) -> bool {
        !(self.galera.is_empty() && self.groups.is_empty() && self.aurora.is_empty())
    }

    pub fn new(runtime: &Runtime, address: &Address, shunned: bool) -> Plan {
        let variables = runtime.variables();
        let own: Vec<HostgroupId> =
            runtime.places_of(address).map(|member| member.row.hostgroup_id).collect();
        let is_of = |pair: &&ReplicationHostgroup| own.contains(&pair.writer) || own.contains(&pair.reader);
        let pairs: Vec<&ReplicationHostgroup> =
            runtime.replication_hostgroups().iter().filter(is_of).collect();
        let hasten = |usual: Duration, is_urgent| if is_urgent { usual.min(SHUNNED) } else { usual };
        let read_only = variables.monitor.read_only_interval;
        let clusters = runtime.clusters_of(address);
        let aurora = runtime.aurora_of(address);
        let writers = |kind| -> Vec<HostgroupId> {
            clusters
                .iter()
                .filter(|(cluster, _)| cluster.kind == kind)
                .map(|(cluster, _)| cluster.writer)
                .collect()
        };
        let interval = |kind, usual: Duration| {
            let own = clusters.iter().filter(|(cluster, _)| cluster.kind == kind);
            own.map(|(_, haste)| haste.map_or(usual, |haste| haste.min(usual))).min()
        };
        Plan {
            intervals: Intervals {
                read_only: pairs
                    .iter()
                    .map(|pair| runtime.pair_haste(pair).map_or(read_only, |haste| haste.min(read_only)))
                    .min(),
                galera: interval(ClusterKind::Galera, variables.monitor.galera_healthcheck_interval),
                group_replication: interval(
                    ClusterKind::GroupReplication,
                    variables.monitor.groupreplication_healthcheck_interval,
                ),
                aurora: aurora.iter().map(|(_, interval)| *interval).min(),
                lag: runtime.limits_lag(address).then_some(variables.monitor.replication_lag_interval),
                ping: Some(hasten(variables.monitor.ping_interval, shunned)),
                connect: Some(hasten(variables.monitor.connect_interval, runtime.is_put_aside(address))),
            },
            pairs: pairs
                .iter()
                .filter_map(|pair| Some((pair.writer, read_only_query(&pair.check_type)?)))
                .collect(),
            galera: writers(ClusterKind::Galera),
            groups: writers(ClusterKind::GroupReplication),
            aurora: aurora.iter().map(|(cluster, _)| (cluster.writer, cluster.check_timeout)).collect(),
            limits: Limits {
                ping_max_failures: variables.monitor.ping_max_failures,
                read_only_max_timeout_count: variables.monitor.read_only_max_timeout_count,
            },
            credentials: Credentials {
                user: variables.monitor.username.clone(),
                password: variables.monitor.password.clone(),
            },
            connect_timeout: variables.monitor.connect_timeout,
            ping_timeout: variables.monitor.ping_timeout,
            read_only_timeout: variables.monitor.read_only_timeout,
            galera_timeout: variables.monitor.galera_healthcheck_timeout,
            group_timeout: variables.monitor.groupreplication_healthcheck_timeout,
            group_behind_rule: variables.monitor.groupreplication_max_transactions_behind_for_read_only,
            lag_timeout: variables.monitor.replication_lag_timeout,
            lag_when_null: variables.monitor.slave_lag_when_null,
            heartbeat: heartbeat_query(&variables.monitor.replication_lag_use_percona_heartbeat),
        }
    }
}
