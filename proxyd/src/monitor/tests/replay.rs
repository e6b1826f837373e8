//! What real servers answered, replayed with three of ten checks lost: no server moves.
//!
//! A trace has a line for each check, in order: server, check, answer. They were recorded from the log tables of a proxy before
//! real servers, under load, that were well all the time (the labs `galera`, `group` and `replication`).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::super::decide::{Fault, Finding, Judge, Limits};
use crate::runtime::{
    Address, AlsoReader, ClusterHostgroups, ClusterKind, HostgroupSettings, NodeReport, Part,
    ReplicationHostgroup, Runtime, ServerChange, ServerRow, ServersConfig, Sight,
};
use crate::snapshot::{HostgroupAttributes, HostgroupId, Snapshot, Status};

const LIMITS: Limits = Limits { ping_max_failures: 3, read_only_max_timeout_count: 3 };
const WRITERS: HostgroupId = 2;
/// A trace is short; a night is not.
const REPEATED: usize = 60;
const TIMEOUT: Fault = Fault::Timeout(Duration::from_millis(800));

const GALERA: &str = include_str!("traces/galera.txt");
const GROUP: &str = include_str!("traces/group.txt");
const REPLICATION: &str = include_str!("traces/replication.txt");

fn row(hostgroup_id: HostgroupId, host: &str, weight: i64) -> ServerRow {
    ServerRow { weight, ..ServerRow::sample(hostgroup_id, host) }
}

/// The labs' servers: the first is the preferred writer.
fn servers(hostgroups: [HostgroupId; 3]) -> Vec<ServerRow> {
    let hosts = [("192.168.0.5", 100), ("192.168.0.21", 10), ("192.168.0.231", 1)];
    hosts
        .into_iter()
        .zip(hostgroups)
        .map(|((host, weight), hostgroup)| row(hostgroup, host, weight))
        .collect()
}

fn cluster(kind: ClusterKind) -> ServersConfig {
    let cluster = ClusterHostgroups {
        kind,
        writer: WRITERS,
        backup_writer: 4,
        reader: 3,
        offline: 1,
        max_writers: 1,
        also_reader: AlsoReader::Backups,
        max_transactions_behind: 100,
    };
    ServersConfig { servers: servers([2, 2, 2]), clusters: vec![cluster], ..ServersConfig::default() }
}

fn pairs() -> ServersConfig {
    let pair = ReplicationHostgroup { writer: WRITERS, reader: 3, check_type: "read_only".into() };
    ServersConfig { servers: servers([2, 3, 3]), replication: vec![pair], ..ServersConfig::default() }
}

struct Scene {
    runtime: Runtime,
    judges: HashMap<String, Judge>,
    random: u64,
}

impl Scene {
    fn new(config: ServersConfig, seed: u64) -> Scene {
        let mut runtime = Runtime::new(Arc::new(ArcSwap::from_pointee(Snapshot::default())), Vec::new());
        let settings = HostgroupSettings { single_writer: true, ..HostgroupSettings::default() };
        let attributes = HostgroupAttributes { settings, ..HostgroupAttributes::default() };
        runtime.set_hostgroup_attributes(HashMap::from([(WRITERS, attributes)]));
        runtime.load_servers(config);
        Scene { runtime, judges: HashMap::new(), random: seed }
    }

    /// Three of ten, by xorshift.
    fn is_lost(&mut self) -> bool {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % 10 < 3
    }

    /// Hostgroup and server of each place, and whether it is ONLINE.
    fn places(&self) -> Vec<(HostgroupId, Address, Status)> {
        let members = self.runtime.members().iter();
        members.map(|it| (it.row.hostgroup_id, it.row.address.clone(), it.status)).collect()
    }

    fn check(&mut self, host: &str, check: &str, answer: &str, lost: bool) {
        let judge = self.judges.entry(host.to_owned()).or_insert_with(|| Judge::new(Address::sample(host)));
        let mut findings = Vec::new();
        match check {
            "ping" if lost => findings.extend(judge.on_ping(&Err(TIMEOUT), LIMITS)),
            "ping" => findings.extend(judge.on_ping(&Ok(Duration::from_micros(300)), LIMITS)),
            "read_only" => {
                let outcome = if lost { Err(TIMEOUT) } else { Ok(answer == "1") };
                findings.extend(judge.on_read_only(WRITERS, &outcome, LIMITS));
            }
            "node" => {
                let part = if answer == "writable" { Part::Writable } else { Part::ReadOnly };
                let report = NodeReport { part, behind: 0, members: 3 };
                let sight = if lost { Sight::Silent } else { Sight::Answered(report) };
                let address = Address::sample(host);
                findings.push(Finding::Change(ServerChange::Node {
                    writer_hostgroup: WRITERS,
                    address,
                    sight,
                }));
            }
            other => panic!("no check {other}"),
        }
        if !lost {
            findings.extend(judge.alive());
        }
        for finding in findings {
            if let Finding::Change(change) = finding {
                self.runtime.apply(change);
            }
        }
    }

    fn play(&mut self, trace: &str, times: usize, lossy: bool) -> Result<(), String> {
        let settled = self.places();
        for (round, line) in std::iter::repeat_n(trace, times).flat_map(str::lines).enumerate() {
            let mut words = line.split_whitespace();
            let (Some(host), Some(check), Some(answer)) = (words.next(), words.next(), words.next()) else {
                continue;
            };
            let lost = lossy && self.is_lost();
            self.check(host, check, answer, lost);
            if lossy && self.places() != settled {
                return Err(format!("check {round}, {line}: {settled:?} became {:?}", self.places()));
            }
        }
        Ok(())
    }
}

fn moves_nobody(config: &ServersConfig, trace: &str) {
    assert!(trace.lines().count() > 30, "a trace");
    for seed in 1..=5 {
        let mut scene = Scene::new(config.clone(), seed * 0x9e37_79b9);
        scene.play(trace, 1, false).expect("the trace as it was");
        scene.play(trace, REPEATED, true).unwrap_or_else(|moved| panic!("seed {seed}: {moved}"));
    }
}

#[test]
fn lost_checks_of_galera_nodes_move_nobody() {
    moves_nobody(&cluster(ClusterKind::Galera), GALERA);
}

#[test]
fn lost_checks_of_group_members_move_nobody() {
    moves_nobody(&cluster(ClusterKind::GroupReplication), GROUP);
}

#[test]
fn lost_checks_of_replicas_move_nobody() {
    moves_nobody(&pairs(), REPLICATION);
}
