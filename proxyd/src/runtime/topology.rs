//! Where the nodes of a cluster belong: a row of `mysql_galera_hostgroups` or `mysql_group_replication_hostgroups`, and what its
//! nodes were seen to be. Pure.
//!
//! - **Writers** are the first `max_writers` of the writable nodes, by weight, then hostname, then port, the greatest first, as
//!   ProxySQL orders them: every proxy that sees the same picks the same. The others are backup writers.
//! - A node that **answers** that it cannot serve, and one at whose address nobody listens, is offline at once.
//! - A node that does **not answer** keeps its place. It loses it only when the others' word is against it (those that answer
//!   are the whole cluster, by their own count), or after [`LONG_SILENCE`] times as many checks, or when its pings have it
//!   shunned; and never to nobody: the last writer stays, and when all are silent nothing moves.
//! - A node that **comes back** from any of these takes its place after [`PROBATION`] good answers in a row: one that was frozen
//!   believes for a moment that nothing happened. While nobody else can, it does not wait.
//! - A node that the others do **not count** is not trusted at all: when two nodes say that the cluster has two, a third that
//!   speaks of three was thawed, and has yet to learn that it was expelled.
//! - A node that is **behind** is shunned as a reader and as a backup writer, and writes only if no other node can.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use super::servers::{Address, ServerRow};
use crate::snapshot::{HostgroupId, Status};

/// A node that the others still count as a member is silent for this many times the configured count before it yields.
const LONG_SILENCE: u32 = 4;
/// Good answers in a row before a node that was gone is trusted again.
const PROBATION: u32 = 5;

/// An active row of `mysql_galera_hostgroups` or `mysql_group_replication_hostgroups`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterHostgroups {
    pub kind: ClusterKind,
    pub writer: HostgroupId,
    pub backup_writer: HostgroupId,
    pub reader: HostgroupId,
    pub offline: HostgroupId,
    pub max_writers: usize,
    pub also_reader: AlsoReader,
    /// 0 is no limit.
    pub max_transactions_behind: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClusterKind {
    Galera,
    GroupReplication,
}

/// The variables that a kind of cluster is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Checks in a row without an answer, before a node counts as silent: `…_healthcheck_max_timeout_count`.
    pub max_missed: u32,
    /// Checks in a row above `max_transactions_behind`, before a node is shunned for it.
    pub behind_count: u32,
}

/// `writer_is_also_reader`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlsoReader {
    /// 0: who can write does not read.
    No,
    /// 1: writers and backup writers read.
    Yes,
    /// 2: backup writers read; writers only while nobody else does.
    Backups,
}

impl ClusterHostgroups {
    pub fn has(&self, hostgroup: HostgroupId) -> bool {
        self.in_order().contains(&hostgroup)
    }

    pub fn in_order(&self) -> [HostgroupId; 4] {
        [self.writer, self.backup_writer, self.reader, self.offline]
    }
}

/// What a check of a node found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sight {
    Answered(NodeReport),
    /// Nobody listens at its address, or the server is shutting down.
    Refused(String),
    /// No answer in time, or a connection that broke: nothing is known.
    Silent,
}

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeReport {
    pub part: Part,
    /// Transactions that it has received and not applied.
    pub behind: u64,
    /// How many nodes its cluster has; 0 when it is not in the part of it that may write.
    pub members: u32,
}

impl NodeReport {
    /// Of a server that answers, and belongs to no cluster: what is written to it is lost to the others.
    pub fn stranger(reason: &str) -> NodeReport {
        NodeReport { part: Part::Unfit(reason.to_owned()), behind: 0, members: 0 }
    }
}

/// The part that a node can play.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Writable,
    ReadOnly,
    /// An operator wants it empty: nothing new, what runs may end.
    Maintenance,
    Unfit(String),
}

/// What is remembered of the nodes, by the writer hostgroup of their cluster.
#[derive(Debug, Default)]
pub struct Topology {
    clusters: HashMap<HostgroupId, Nodes>,
}

type Nodes = HashMap<Address, Node>;

#[derive(Debug, Default)]
struct Node {
    part: Option<Part>,
    refused: bool,
    members: u32,
    /// Checks in a row without an answer.
    missed: u32,
    /// Good answers that it still owes.
    probation: u32,
    /// Checks in a row above the limit.
    above: u32,
    /// Why it is shunned for being behind.
    behind: Option<String>,
}

impl Node {
    fn answers(&self) -> bool {
        self.missed == 0 && !self.refused && self.part.is_some()
    }

    /// Long enough without an answer to lose its place; sooner when those that answer are the whole cluster.
    fn is_silent(&self, max_missed: u32, complete: bool) -> bool {
        let some = max_missed.max(1);
        self.missed >= some.saturating_mul(LONG_SILENCE) || (self.missed >= some && complete)
    }

    /// It speaks of another cluster than the nodes that are all of it.
    fn is_left_out(&self, whole: u32) -> bool {
        whole > 0 && self.answers() && self.members > 0 && self.members != whole
    }

    /// It answered; `was_gone` if it had been silent until now.
    fn heard(&mut self, report: NodeReport, limit: u64, behind_count: u32, was_gone: bool) {
        self.probation = match report.part {
            Part::Unfit(_) => PROBATION,
            Part::Writable | Part::ReadOnly | Part::Maintenance if was_gone => PROBATION - 1,
            Part::Writable | Part::ReadOnly | Part::Maintenance => self.probation.saturating_sub(1),
        };
        self.above = if limit > 0 && report.behind > limit { self.above.saturating_add(1) } else { 0 };
        if limit == 0 || report.behind <= limit - limit / 4 {
            self.behind = None;
        } else if self.above >= behind_count.max(1) && self.behind.is_none() {
            let text = format!("{} transactions behind, max_transactions_behind is {limit}", report.behind);
            self.behind = Some(text);
        }
        (self.refused, self.missed, self.members) = (false, 0, report.members);
        self.part = Some(report.part);
    }
}

/// The place that follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Writer,
    Backup,
    Reader,
    Offline,
}

/// A node, before it is given a role.
struct Candidate {
    address: Address,
    weight: u32,
    can: Can,
    behind: bool,
    /// Silent, or back for too short a time.
    silent: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Can {
    Write,
    Read,
    Nothing,
}

impl Topology {
    /// Takes a check of one node.
    pub fn observe(&mut self, cluster: &ClusterHostgroups, address: Address, sight: Sight, limits: Limits) {
        let complete = self.answering_are_all(cluster);
        let nodes = self.clusters.entry(cluster.writer).or_default();
        let node = nodes.entry(address.clone()).or_default();
        let was_gone = node.is_silent(limits.max_missed, complete);
        match sight {
            Sight::Silent => node.missed = node.missed.saturating_add(1),
            Sight::Refused(_) => {
                (node.refused, node.missed, node.members, node.probation) = (true, 0, 0, PROBATION);
            }
            Sight::Answered(report) => {
                node.heard(report, cluster.max_transactions_behind, limits.behind_count, was_gone);
            }
        }
        let whole = self.whole(cluster);
        let node = self.clusters.get_mut(&cluster.writer).and_then(|nodes| nodes.get_mut(&address));
        if let Some(node) = node.filter(|node| node.is_left_out(whole)) {
            node.probation = PROBATION;
        }
    }

    /// True while a node of the cluster does not answer, or has not for long enough: all are worth another check soon.
    pub fn is_unsettled(&self, cluster: &ClusterHostgroups) -> bool {
        self.nodes_of(cluster.writer).any(|node| node.missed > 0 || node.probation > 0)
    }

    /// Keeps what is known of the nodes that are still configured.
    pub fn retain(&mut self, is_known: impl Fn(HostgroupId, &Address) -> bool) {
        self.clusters.retain(|writer, nodes| {
            nodes.retain(|address, _| is_known(*writer, address));
            !nodes.is_empty()
        });
    }

    /// It has been checked, whatever came of it.
    pub fn is_heard_of(&self, writer: HostgroupId, address: &Address) -> bool {
        self.node(writer, address).is_some()
    }

    /// It answers, and belongs to its cluster.
    pub fn is_member(&self, writer: HostgroupId, address: &Address) -> bool {
        let node = self.node(writer, address);
        node.is_some_and(|node| node.answers() && !matches!(node.part, Some(Part::Unfit(_))))
    }

    /// Why a place is shunned, if its node is behind and the place is not a writer's.
    pub fn behind(&self, clusters: &[ClusterHostgroups], row: &ServerRow) -> Option<&str> {
        let is_place = |c: &&ClusterHostgroups| [c.reader, c.backup_writer].contains(&row.hostgroup_id);
        let cluster = clusters.iter().find(is_place)?;
        self.node(cluster.writer, &row.address)?.behind.as_deref()
    }

    /// Whether what runs at a place that its node has left may end: the node still serves it as before.
    pub fn leaves_softly(&self, clusters: &[ClusterHostgroups], row: &ServerRow) -> bool {
        clusters.iter().filter(|cluster| cluster.has(row.hostgroup_id)).any(|cluster| {
            self.node(cluster.writer, &row.address).is_some_and(|node| {
                node.answers() && matches!(node.part, Some(Part::Writable | Part::Maintenance))
            })
        })
    }

    /// Puts the rows of a cluster's nodes where they belong. Rows that an operator took out of service stay as they are.
    pub fn arrange(
        &self,
        rows: &mut Vec<ServerRow>,
        cluster: &ClusterHostgroups,
        max_missed: u32,
        is_shunned: impl Fn(&Address) -> bool,
    ) {
        let mut candidates = self.candidates(rows, cluster, max_missed, is_shunned);
        if candidates.iter().all(|candidate| candidate.silent) {
            candidates.iter_mut().for_each(|candidate| candidate.silent = false);
        }
        let roles = roles(candidates, cluster.max_writers);
        let has_reader = roles.iter().any(|(_, role)| matches!(role, Role::Reader | Role::Backup));
        for (address, role) in roles {
            let wanted = hostgroups(cluster, role, has_reader);
            move_to(rows, cluster, &address, &wanted);
        }
    }

    fn candidates(
        &self,
        rows: &[ServerRow],
        cluster: &ClusterHostgroups,
        max_missed: u32,
        is_shunned: impl Fn(&Address) -> bool,
    ) -> Vec<Candidate> {
        let own = |row: &&ServerRow| cluster.has(row.hostgroup_id);
        let addresses: BTreeSet<&Address> = rows.iter().filter(own).map(|row| &row.address).collect();
        let (complete, whole) = (self.answering_are_all(cluster), self.whole(cluster));
        let known = |address: &Address| self.node(cluster.writer, address);
        let places = |address: &Address| {
            let address = address.clone();
            rows.iter().filter(own).filter(move |row| row.address == address)
        };
        let in_service = |address: &&Address| places(address).all(|row| row.status == Status::Online);
        addresses
            .iter()
            .copied()
            .filter(in_service)
            .map(|address| {
                let node = known(address);
                Candidate {
                    address: address.clone(),
                    weight: weight(cluster, places(address)),
                    can: node.and_then(Node::can).unwrap_or_else(|| as_configured(cluster, places(address))),
                    behind: node.is_some_and(|node| node.behind.is_some()),
                    silent: node.is_some_and(|node| {
                        node.is_silent(max_missed, complete)
                            || node.is_left_out(whole)
                            || node.probation > 0
                            || (node.missed > 0 && is_shunned(address))
                    }),
                }
            })
            .collect()
    }

    /// The nodes that answer are as many as the cluster has, by their own count: whoever is silent is no member.
    fn answering_are_all(&self, cluster: &ClusterHostgroups) -> bool {
        let (count, most) =
            self.counts(cluster).fold((0u32, 0), |(count, most), members| (count + 1, most.max(members)));
        count > 0 && most <= count
    }

    /// How many nodes the cluster has, if just as many answer and say so: then these are all of it. Else 0.
    fn whole(&self, cluster: &ClusterHostgroups) -> u32 {
        let say =
            |size: u32| self.counts(cluster).filter(|members| *members == size).fold(0u32, |n, _| n + 1);
        self.counts(cluster).filter(|size| say(*size) == *size).max().unwrap_or(0)
    }

    /// How many nodes the cluster has by the word of each that answers and belongs to it.
    fn counts(&self, cluster: &ClusterHostgroups) -> impl Iterator<Item = u32> {
        let nodes = self.nodes_of(cluster.writer);
        nodes.filter(|node| node.answers() && node.members > 0).map(|node| node.members)
    }

    fn node(&self, writer: HostgroupId, address: &Address) -> Option<&Node> {
        self.clusters.get(&writer)?.get(address)
    }

    fn nodes_of(&self, writer: HostgroupId) -> impl Iterator<Item = &Node> {
        self.clusters.get(&writer).into_iter().flat_map(Nodes::values)
    }
}

impl Node {
    /// What it can do by its last answer; `None` before the first.
    fn can(&self) -> Option<Can> {
        if self.refused {
            return Some(Can::Nothing);
        }
        Some(match self.part.as_ref()? {
            Part::Writable => Can::Write,
            Part::ReadOnly => Can::Read,
            Part::Maintenance | Part::Unfit(_) => Can::Nothing,
        })
    }
}

/// A node that was never heard of is what the configuration says.
fn as_configured<'a>(cluster: &ClusterHostgroups, places: impl Iterator<Item = &'a ServerRow>) -> Can {
    let places: Vec<HostgroupId> = places.map(|row| row.hostgroup_id).collect();
    if places.contains(&cluster.writer) || places.contains(&cluster.backup_writer) {
        Can::Write
    } else if places.contains(&cluster.reader) {
        Can::Read
    } else {
        Can::Nothing
    }
}

/// The weight in the first hostgroup, in the order writer, backup writer, reader, offline.
fn weight<'a>(cluster: &ClusterHostgroups, places: impl Iterator<Item = &'a ServerRow>) -> u32 {
    let rank = |row: &&ServerRow| cluster.in_order().iter().position(|h| *h == row.hostgroup_id);
    places.min_by_key(rank).map_or(0, ServerRow::effective_weight)
}

fn roles(mut candidates: Vec<Candidate>, max_writers: usize) -> Vec<(Address, Role)> {
    candidates.sort_by_key(|c| (c.silent, c.behind, Reverse(c.weight), Reverse(c.address.clone())));
    let any_fresh = candidates.iter().any(|c| c.can == Can::Write && !c.silent);
    let mut writers = 0;
    let mut role = |candidate: &Candidate| match candidate.can {
        Can::Nothing => Role::Offline,
        Can::Read if candidate.silent => Role::Offline,
        Can::Read => Role::Reader,
        Can::Write if candidate.silent && any_fresh => Role::Offline,
        Can::Write if writers < max_writers => {
            writers += 1;
            Role::Writer
        }
        Can::Write if candidate.silent => Role::Offline,
        Can::Write => Role::Backup,
    };
    candidates.into_iter().map(|candidate| (candidate.address.clone(), role(&candidate))).collect()
}

fn hostgroups(cluster: &ClusterHostgroups, role: Role, has_reader: bool) -> Vec<HostgroupId> {
    let (writes, reads) = match (role, cluster.also_reader) {
        (Role::Offline, _) => return vec![cluster.offline],
        (Role::Reader, _) => (None, true),
        (Role::Backup, also) => (Some(cluster.backup_writer), also != AlsoReader::No),
        (Role::Writer, AlsoReader::No) => (Some(cluster.writer), false),
        (Role::Writer, AlsoReader::Yes) => (Some(cluster.writer), true),
        (Role::Writer, AlsoReader::Backups) => (Some(cluster.writer), !has_reader),
    };
    writes.into_iter().chain(reads.then_some(cluster.reader)).collect()
}

/// Gives a node one row in each of these hostgroups and none in the cluster's others: its own row there, or a copy of the
/// first that it has.
fn move_to(
    rows: &mut Vec<ServerRow>,
    cluster: &ClusterHostgroups,
    address: &Address,
    wanted: &[HostgroupId],
) {
    let is_own = |row: &ServerRow| row.address == *address && cluster.has(row.hostgroup_id);
    let own: Vec<ServerRow> = rows.iter().filter(|row| is_own(row)).cloned().collect();
    rows.retain(|row| !is_own(row));
    let place = |hostgroup| own.iter().find(|row| row.hostgroup_id == hostgroup);
    for &hostgroup in wanted {
        let template = place(hostgroup).or_else(|| cluster.in_order().into_iter().find_map(place));
        rows.extend(template.map(|row| ServerRow { hostgroup_id: hostgroup, ..row.clone() }));
    }
}

#[cfg(test)]
#[path = "topology_tests.rs"]
mod tests;
