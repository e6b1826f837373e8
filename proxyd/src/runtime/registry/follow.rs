//! What the nodes of clusters say, taken into the runtime: places, and servers that the configuration does not name.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::aurora::{AuroraHostgroups, AuroraServer};
use super::super::discovery::{Known, News, Peer};
use super::super::servers::{Address, ServerRow};
use super::super::topology::{ClusterHostgroups, Sight};
use super::{MemberState, Runtime, cluster_limits};
use crate::snapshot::{HostgroupId, Status};

/// Between two checks of a cluster's node, at most: while no node writes, and while one does not answer.
pub(super) const WITHOUT_WRITER: Duration = Duration::from_millis(250);
const UNSETTLED: Duration = Duration::from_millis(500);

impl Runtime {
    /// Every check is a piece of a decision about all nodes, so the places are worked out anew each time.
    pub(super) fn apply_sight(&mut self, writer: HostgroupId, address: Address, sight: Sight) -> bool {
        let Some(cluster) = self.config.clusters.iter().find(|cluster| cluster.writer == writer) else {
            return false;
        };
        let limits = cluster_limits(&self.variables, cluster.kind);
        let server = address.to_string();
        self.topology.observe(cluster, address, sight.clone(), limits);
        self.rearrange(|| format!("{server}: {sight:?}"))
    }

    /// A member of a replication group says who it is, and who is in the group.
    pub(super) fn apply_members(
        &mut self,
        writer: HostgroupId,
        address: &Address,
        own: &str,
        peers: &[Peer],
    ) -> bool {
        let Some(cluster) = self.config.clusters.iter().find(|cluster| cluster.writer == writer) else {
            return false;
        };
        let nodes = addresses(&self.config.servers, |row| cluster.has(row.hostgroup_id));
        let known = Known {
            writer,
            nodes: &nodes,
            is_heard_of: &|node| self.topology.is_heard_of(writer, node),
            is_member: &|node| self.topology.is_member(writer, node),
        };
        let news = self.discovery.of_group(&known, address, own, peers);
        // Offline until its own answer gives it another place.
        let (place, reader) = (cluster.offline, cluster.reader);
        let weight = self.attributes.get(&reader).and_then(|own| own.servers_defaults.weight).unwrap_or(1);
        self.take_news(news, address, (place, reader), weight)
    }

    /// A server of an Aurora cluster says who is in it; `None` when a check had no result.
    pub(super) fn apply_aurora(
        &mut self,
        writer: HostgroupId,
        asked: Address,
        servers: Option<&[AuroraServer]>,
    ) -> bool {
        let Some(own) = self.config.aurora.iter().find(|own| own.writer == writer) else { return false };
        let Some(servers) = servers else {
            self.aurora.missed(writer, asked);
            return false;
        };
        let before = self.aurora.writer(writer).cloned();
        if !self.aurora.observe(own, &asked, servers) {
            return false;
        }
        let nodes = addresses(&self.config.servers, |row| own.has(row));
        let news = self.discovery.of_names(writer, &nodes, self.aurora.named(writer));
        let (reader, weight) = (own.reader, own.new_reader_weight);
        let has_new = self.take_news(news, &asked, (reader, reader), weight);
        let moved = self.rearrange(|| format!("REPLICA_HOST_STATUS at {asked}"));
        let now = self.aurora.writer(writer);
        if before.is_some() && before.as_ref() != now {
            tracing::warn!(cluster = writer, ?before, ?now, "Aurora has another writer");
        }
        has_new || moved
    }

    /// Takes discovered servers in, and lets those go that nobody names; true when there were any. `places`: the hostgroup that
    /// they begin in, and the one whose `servers_defaults` hold. TLS is as for the server that named them.
    fn take_news(
        &mut self,
        news: News,
        named_by: &Address,
        places: (HostgroupId, HostgroupId),
        weight: i64,
    ) -> bool {
        let (hostgroup_id, model) = places;
        let defaults = self.attributes.get(&model).map(|own| own.servers_defaults).unwrap_or_default();
        let asked = self.config.servers.iter().find(|row| row.address == *named_by);
        let use_ssl = defaults.use_ssl.unwrap_or_else(|| asked.is_some_and(|row| row.use_ssl));
        for address in &news.gone {
            tracing::info!(server = %address, "a discovered server is named no longer");
            self.config.servers.retain(|row| row.address != *address);
        }
        for address in &news.found {
            tracing::info!(server = %address, named_by = %named_by, "a server was discovered");
            let row = ServerRow::new(hostgroup_id, address.clone());
            self.config.servers.push(ServerRow {
                weight,
                max_connections: defaults.max_connections.unwrap_or(row.max_connections),
                use_ssl,
                comment: "discovered".into(),
                ..row
            });
        }
        let is_news = !(news.gone.is_empty() && news.found.is_empty());
        if is_news {
            self.refresh_members();
            self.publish();
        }
        is_news
    }

    /// Rows of discovered servers, which a new configuration does not know and whose clusters it still has.
    pub(super) fn discovered_rows(&self, writers: &BTreeSet<HostgroupId>) -> Vec<ServerRow> {
        let is_found =
            |row: &&ServerRow| writers.iter().any(|writer| self.discovery.is_found(*writer, &row.address));
        self.config.servers.iter().filter(is_found).cloned().collect()
    }

    /// Works the places out anew; publishes, and says why, if there are other ones.
    fn rearrange(&mut self, cause: impl FnOnce() -> String) -> bool {
        let places = |members: &[MemberState]| -> Vec<_> {
            members.iter().map(|m| (m.row.hostgroup_id, m.row.address.clone(), m.status)).collect()
        };
        let before = places(&self.members);
        self.refresh_members();
        let moved = places(&self.members) != before;
        if moved {
            tracing::info!(cause = cause(), "the cluster's servers have other places");
            self.publish();
        }
        moved
    }

    /// The clusters that this server is a node of, and how soon their nodes are worth another check, if sooner than usual:
    /// soonest while nobody writes.
    pub fn clusters_of(&self, address: &Address) -> Vec<(&ClusterHostgroups, Option<Duration>)> {
        let is_node = |cluster: &&ClusterHostgroups| {
            self.places_of(address).any(|member| cluster.has(member.row.hostgroup_id))
        };
        self.config.clusters.iter().filter(is_node).map(|cluster| (cluster, self.haste(cluster))).collect()
    }

    /// The Aurora clusters that this server is one of, and how often to ask it: any one can speak for all, so between them
    /// they are asked once an interval, and each of them while one does not answer.
    pub fn aurora_of(&self, address: &Address) -> Vec<(&AuroraHostgroups, Duration)> {
        let is_node =
            |cluster: &&AuroraHostgroups| self.places_of(address).any(|member| cluster.has(&member.row));
        let pace = |cluster: &AuroraHostgroups| {
            let nodes = addresses(&self.config.servers, |row| cluster.has(row)).len();
            let turns = if self.aurora.is_unsettled(cluster.writer) { 1 } else { nodes };
            cluster.check_interval * u32::try_from(turns).unwrap_or(1)
        };
        self.config.aurora.iter().filter(is_node).map(|cluster| (cluster, pace(cluster))).collect()
    }

    /// Who writes in an Aurora cluster, as far as it is known.
    pub fn aurora_writer(&self, writer: HostgroupId) -> Option<&Address> {
        self.aurora.writer(writer)
    }

    /// The lag of one of its servers, as it is reckoned.
    pub fn aurora_lag_ms(&self, writer: HostgroupId, server_id: &str) -> u64 {
        let own = self.config.aurora.iter().find(|own| own.writer == writer);
        own.map_or(0, |own| self.aurora.estimated_lag_ms(own, server_id))
    }

    /// The nodes of the clusters, and the servers of the pairs, that this server belongs to.
    pub fn nodes_beside(&self, address: &Address) -> BTreeSet<Address> {
        let own: Vec<HostgroupId> = self.places_of(address).map(|member| member.row.hostgroup_id).collect();
        let pairs = self.config.replication.iter().map(|pair| vec![pair.writer, pair.reader]);
        let clusters = self.config.clusters.iter().map(|cluster| cluster.in_order().to_vec());
        let aurora = self.config.aurora.iter().map(|cluster| vec![cluster.writer, cluster.reader]);
        let all = pairs.chain(clusters).chain(aurora);
        let concerned: BTreeSet<HostgroupId> =
            all.filter(|places| places.iter().any(|hostgroup| own.contains(hostgroup))).flatten().collect();
        addresses(&self.config.servers, |row| concerned.contains(&row.hostgroup_id))
    }

    fn haste(&self, cluster: &ClusterHostgroups) -> Option<Duration> {
        let mut writers = self.members.iter().filter(|member| member.row.hostgroup_id == cluster.writer);
        if cluster.max_writers > 0 && !writers.any(|writer| writer.status == Status::Online) {
            Some(WITHOUT_WRITER)
        } else {
            self.topology.is_unsettled(cluster).then_some(UNSETTLED)
        }
    }
}

fn addresses(rows: &[ServerRow], wanted: impl Fn(&ServerRow) -> bool) -> BTreeSet<Address> {
    rows.iter().filter(|row| wanted(row)).map(|row| row.address.clone()).collect()
}
