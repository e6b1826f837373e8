//! What every server is now, from all that is known of it, and the snapshot that says so to the workers.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::servers::{Address, ServerRow};
use super::{MemberState, Runtime, cluster_limits};
use crate::control::WorkerCommand;
use crate::snapshot::{Hostgroup, HostgroupId, Member, Server, Snapshot, Status};
use crate::stats::ServerKey;

impl Runtime {
    /// Works the members out anew: configured rows where `read_only` puts them, then removed ones that still drain.
    pub(super) fn refresh_members(&mut self) {
        let mut rows = self.pair_members();
        for cluster in &self.config.clusters {
            let is_shunned = |address: &Address| self.monitor_status.contains_key(address);
            let limits = cluster_limits(&self.variables, cluster.kind);
            self.topology.arrange(&mut rows, cluster, limits.max_missed, is_shunned);
        }
        for cluster in &self.config.aurora {
            self.aurora.arrange(&mut rows, cluster);
        }
        rows.sort_by(|a, b| (a.hostgroup_id, &a.address).cmp(&(b.hostgroup_id, &b.address)));
        let place = |row: &ServerRow| (row.hostgroup_id, row.address.clone());
        let mut before: HashMap<_, _> =
            std::mem::take(&mut self.members).into_iter().map(|old| (place(&old.row), old)).collect();
        let mut members = Vec::with_capacity(rows.len());
        for row in rows {
            let known = before.remove(&place(&row));
            let server = known.as_ref().map_or_else(|| new_identity(&row), |old| old.server.clone());
            let (status, reason) = self.effective_status(&row, &server);
            log_change(&row, known.as_ref(), status, &reason);
            members.push(MemberState { row, server, status, reason, removed: false });
        }
        for mut old in before.into_values().filter(|old| old.server.connections() > 0) {
            let softly = self.topology.leaves_softly(&self.config.clusters, &old.row)
                || self.leaves_pair_softly(&old.row);
            (old.status, old.reason) = if softly {
                (Status::OfflineSoft, "it has another place now".into())
            } else {
                (Status::OfflineHard, "it has no place here any more".into())
            };
            old.removed = true;
            members.push(old);
        }
        self.places.clear();
        for (index, member) in members.iter().enumerate().filter(|(_, member)| !member.removed) {
            self.places.entry(member.row.address.clone()).or_default().push(index);
        }
        let online = members.iter().filter(|member| !member.removed && member.status == Status::Online);
        self.online = online.map(|member| member.row.hostgroup_id).collect();
        self.members = members;
    }

    /// The configured status if it is not ONLINE, else the monitors' word, else a shun by lag, else one by connect errors.
    fn effective_status(&self, row: &ServerRow, server: &Arc<Server>) -> (Status, String) {
        if row.status != Status::Online {
            return (row.status, "set by the operator".into());
        }
        if let Some((status, reason)) = self.monitor_status.get(&row.address) {
            return (*status, reason.clone());
        }
        if let Some(reason) =
            self.lags.reason(row).filter(|_| !self.config.is_writer_hostgroup(row.hostgroup_id))
        {
            return (Status::Shunned, reason.to_owned());
        }
        if let Some(reason) = self.incumbents.reason(&self.config.replication, row) {
            return (Status::Shunned, reason.to_owned());
        }
        if let Some(reason) = self.topology.behind(&self.config.clusters, row) {
            return (Status::Shunned, reason.to_owned());
        }
        if let Some(reason) = self.aurora.reason(&self.config.aurora, row) {
            return (Status::Shunned, reason);
        }
        match self.shuns.reason(&ServerKey::from(server)) {
            Some(reason) => (Status::Shunned, reason.to_owned()),
            None => (Status::Online, String::new()),
        }
    }

    /// Builds a snapshot, swaps it in, tells the workers.
    pub(super) fn publish(&mut self) {
        self.generation += 1;
        let mut hostgroups: hashbrown::HashMap<HostgroupId, Hostgroup> = hashbrown::HashMap::new();
        for state in &self.members {
            hostgroups.entry(state.row.hostgroup_id).or_default().members.push(Member {
                server: state.server.clone(),
                status: state.status,
                weight: state.row.effective_weight(),
                max_connections: state.row.max_connections,
                use_ssl: state.row.use_ssl,
                compression: state.row.compression,
                is_silent: self.monitor_status.contains_key(&state.row.address),
                reason: state.reason.as_str().into(),
            });
        }
        for (id, hostgroup) in &mut hostgroups {
            hostgroup.attributes = self.attributes.get(id).cloned().unwrap_or_default();
        }
        self.slot.store(Arc::new(Snapshot {
            generation: self.generation,
            hostgroups,
            users: self.users.clone(),
            rules: self.rules.clone(),
            firewall: self.firewall.clone(),
            variables: self.variables.clone(),
        }));
        for worker in &self.workers {
            // A worker that is gone has its own alarm: the heartbeat.
            let _ = worker.commands.send(WorkerCommand::SnapshotChanged);
        }
    }
}

fn new_identity(row: &ServerRow) -> Arc<Server> {
    Arc::new(Server::new(row.hostgroup_id, &row.address.hostname, row.address.port))
}

fn log_change(row: &ServerRow, before: Option<&MemberState>, status: Status, reason: &str) {
    let prev = before.map_or("-", |old| old.status.as_str());
    if prev == status.as_str() {
        return;
    }
    let (hostgroup, server, next) = (row.hostgroup_id, row.address.to_string(), status.as_str());
    if status == Status::Shunned {
        tracing::warn!(hostgroup, server, prev, next, cause = reason, "server status");
    } else {
        tracing::info!(hostgroup, server, prev, next, cause = reason, "server status");
    }
}
