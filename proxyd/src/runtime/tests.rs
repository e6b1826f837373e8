use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::servers::{ReadOnlyVerdicts, membership};
use super::*;
use crate::snapshot::{Credential, Snapshot, Status};

fn pair(writer: u32, reader: u32) -> ReplicationHostgroup {
    ReplicationHostgroup { writer, reader, check_type: "read_only".into() }
}

fn runtime() -> Runtime {
    Runtime::new(Arc::new(ArcSwap::from_pointee(Snapshot::default())), Vec::new())
}

fn places(config: &ServersConfig, verdicts: &[(&str, bool)], also_reader: bool) -> Vec<(u32, String)> {
    let verdicts: ReadOnlyVerdicts =
        verdicts.iter().map(|(host, read_only)| ((10, Address::sample(host)), *read_only)).collect();
    membership(config, |writer, address| verdicts.get(&(writer, address.clone())).copied(), also_reader)
        .into_iter()
        .map(|row| (row.hostgroup_id, row.address.hostname.into()))
        .collect()
}

fn expect(rows: &[(u32, &str)]) -> Vec<(u32, String)> {
    rows.iter().map(|(hostgroup, host)| (*hostgroup, (*host).to_owned())).collect()
}

#[test]
fn read_only_moves_writers_and_readers() {
    let config = ServersConfig {
        servers: vec![ServerRow::sample(10, "a"), ServerRow::sample(20, "b")],
        replication: vec![pair(10, 20)],
        ..ServersConfig::default()
    };
    assert_eq!(places(&config, &[], true), expect(&[(10, "a"), (20, "b")]), "no verdict: as configured");
    assert_eq!(
        places(&config, &[("a", true), ("b", false)], true),
        expect(&[(10, "b"), (20, "a"), (20, "b")])
    );
    assert_eq!(places(&config, &[("a", true), ("b", false)], false), expect(&[(10, "b"), (20, "a")]));
    assert_eq!(
        places(&config, &[("a", false), ("b", true)], true),
        expect(&[(10, "a"), (20, "b")]),
        "and back"
    );
    assert_eq!(places(&config, &[("a", true), ("b", true)], true), expect(&[(20, "a"), (20, "b")]));
}

#[test]
fn a_load_keeps_identities_and_what_the_monitors_saw() {
    let mut runtime = runtime();
    let config = ServersConfig {
        servers: vec![ServerRow::sample(10, "a"), ServerRow::sample(20, "b")],
        replication: vec![pair(10, 20)],
        ..ServersConfig::default()
    };
    runtime.load_servers(config.clone());
    runtime.apply(ServerChange::ReadOnly {
        writer_hostgroup: 10,
        address: Address::sample("a"),
        read_only: true,
    });
    runtime.apply(ServerChange::ReadOnly {
        writer_hostgroup: 10,
        address: Address::sample("b"),
        read_only: false,
    });
    let before = runtime.snapshot();
    runtime.load_servers(config);
    let after = runtime.snapshot();
    assert!(after.generation > before.generation);
    let writer = |snapshot: &Snapshot| snapshot.hostgroups[&10].members[0].server.clone();
    assert_eq!(&*writer(&after).hostname, "b");
    assert!(Arc::ptr_eq(&writer(&before), &writer(&after)));
}

#[test]
fn the_same_finding_twice_publishes_once() {
    let mut runtime = runtime();
    runtime.load_servers(ServersConfig {
        servers: vec![ServerRow::sample(10, "a")],
        ..ServersConfig::default()
    });
    let down = ServerChange::Status {
        address: Address::sample("a"),
        status: Status::Shunned,
        reason: "ping".into(),
    };
    runtime.apply(down.clone());
    let generation = runtime.snapshot().generation;
    runtime.apply(down);
    assert_eq!(runtime.snapshot().generation, generation);
    let snapshot = runtime.snapshot();
    let member = &snapshot.hostgroups[&10].members[0];
    assert_eq!((member.status, &*member.reason), (Status::Shunned, "ping"));
    runtime.apply(ServerChange::Status {
        address: Address::sample("a"),
        status: Status::Online,
        reason: String::new(),
    });
    assert_eq!(runtime.snapshot().hostgroups[&10].members[0].status, Status::Online);
}

#[test]
fn five_connect_errors_in_a_second_shun_for_nine() {
    let mut runtime = runtime();
    runtime.load_servers(ServersConfig {
        servers: vec![ServerRow::sample(10, "a")],
        ..ServersConfig::default()
    });
    let server = runtime.members()[0].server.clone();
    let start = Instant::now();
    for n in 0..4 {
        runtime.connect_failed(&server, 2003, "refused", start + Duration::from_millis(n * 100));
        assert_eq!(runtime.members()[0].status, Status::Online);
    }
    runtime.connect_failed(&server, 2003, "refused", start + Duration::from_millis(400));
    assert_eq!(runtime.members()[0].status, Status::Shunned);
    assert_eq!(runtime.members()[0].reason, "5 connect errors in a second, the last: 2003 refused");
    // min(10 s, connect_timeout_server_max 10 s - 1 s)
    let end = start + Duration::from_millis(9_400);
    runtime.tick(end - Duration::from_millis(1));
    assert_eq!(runtime.members()[0].status, Status::Shunned);
    runtime.tick(end);
    assert_eq!(runtime.members()[0].status, Status::Online);
}

#[test]
fn slow_connect_errors_do_not_shun() {
    let mut runtime = runtime();
    runtime.load_servers(ServersConfig {
        servers: vec![ServerRow::sample(10, "a")],
        ..ServersConfig::default()
    });
    let server = runtime.members()[0].server.clone();
    let start = Instant::now();
    for n in 0..20 {
        runtime.connect_failed(&server, 2003, "refused", start + Duration::from_millis(n * 300));
    }
    assert_eq!(runtime.members()[0].status, Status::Online);
}

#[test]
fn a_removed_server_is_offline_hard_until_its_connections_are_closed() {
    let mut runtime = runtime();
    runtime.load_servers(ServersConfig {
        servers: vec![ServerRow::sample(10, "a"), ServerRow::sample(10, "b")],
        ..ServersConfig::default()
    });
    let held = runtime.members()[0].server.reserve(10).expect("a place");
    runtime.load_servers(ServersConfig::default());
    let left: Vec<_> =
        runtime.members().iter().map(|m| (&*m.row.address.hostname, m.status, m.removed)).collect();
    assert_eq!(left, [("a", Status::OfflineHard, true)]);
    drop(held);
    runtime.tick(Instant::now());
    assert!(runtime.members().is_empty());
    assert!(runtime.snapshot().hostgroups.is_empty());
}

#[test]
fn a_removed_server_that_comes_back_is_the_same_server() {
    let mut runtime = runtime();
    let config = ServersConfig { servers: vec![ServerRow::sample(10, "a")], ..ServersConfig::default() };
    runtime.load_servers(config.clone());
    let held = runtime.members()[0].server.reserve(10).expect("a place");
    runtime.load_servers(ServersConfig::default());
    runtime.load_servers(config);
    assert_eq!(runtime.members().len(), 1);
    assert_eq!(runtime.members()[0].status, Status::Online);
    assert!(Arc::ptr_eq(&runtime.members()[0].server, held.server()));
}

#[test]
fn weights_are_clamped_for_routing_only() {
    let mut runtime = runtime();
    let mut heavy = ServerRow::sample(500, "a");
    heavy.weight = 1_000_000_000;
    runtime.load_servers(ServersConfig { servers: vec![heavy], ..ServersConfig::default() });
    assert_eq!(runtime.snapshot().hostgroups[&500].members[0].weight, 10_000_000);
    assert_eq!(runtime.members()[0].row.weight, 1_000_000_000);
}

#[test]
fn passwords_are_told_apart() {
    let native = parse_credential("*94BDCEBE19083CE2A1F959FD02F964C7AF4CFC29");
    assert!(matches!(native, Credential::Native(hash) if hash[0] == 0x94 && hash[19] == 0x29));
    assert!(matches!(parse_credential("$A$005$abc"), Credential::Sha2(_)));
    for clear in ["test", "", "*short", "*94BDCEBE19083CE2A1F959FD02F964C7AF4CFCzz", "*é"] {
        assert!(matches!(parse_credential(clear), Credential::Clear(_)), "{clear}");
    }
}

#[test]
fn settings_refuse_unknown_names_and_bad_values() {
    let settings = Settings::default();
    let bad = |name, value| settings.with("mysql-", [(name, value)].into_iter()).expect_err("refused");
    assert_eq!(bad("mysql-nonesuch", "1"), "unknown global variable 'mysql-nonesuch'");
    assert_eq!(
        bad("mysql-shun_on_failures", "-1"),
        "mysql-shun_on_failures: '-1' is refused: it takes a number from 0 to 10000000"
    );
    assert_eq!(
        bad("mysql-multiplexing", "maybe"),
        "mysql-multiplexing: 'maybe' is refused: it takes true or false"
    );
    let next = settings.with("mysql-", [("mysql-multiplexing", "0")].into_iter()).expect("accepted");
    assert!(!next.flag("mysql-multiplexing"));
    assert!(
        next.with("mysql-", std::iter::empty()).expect("accepted").flag("mysql-multiplexing"),
        "a deleted row"
    );
}

#[test]
fn a_server_that_answers_leaves_its_place_softly_and_one_that_does_not_leaves_it_hard() {
    let mut runtime = runtime();
    runtime.load_servers(ServersConfig {
        servers: vec![ServerRow::sample(10, "a"), ServerRow::sample(20, "b")],
        replication: vec![pair(10, 20)],
        ..ServersConfig::default()
    });
    let says = |runtime: &mut Runtime, host: &str, read_only| {
        let change =
            ServerChange::ReadOnly { writer_hostgroup: 10, address: Address::sample(host), read_only };
        runtime.apply(change)
    };
    let generation = runtime.generation();
    assert!(!says(&mut runtime, "a", false) && !says(&mut runtime, "b", true), "they are where they belong");
    assert_eq!(runtime.generation(), generation);
    let server = runtime.members()[0].server.clone();
    let connection = server.reserve(10).unwrap();
    assert!(says(&mut runtime, "a", true));
    let old = |runtime: &Runtime| {
        let member = runtime.members().iter().find(|member| member.removed).unwrap();
        (member.status, member.row.hostgroup_id)
    };
    assert_eq!(old(&runtime), (Status::OfflineSoft, 10));
    runtime.apply(ServerChange::Unheard { writer_hostgroup: 10, address: Address::sample("a") });
    assert_eq!(old(&runtime), (Status::OfflineHard, 10));
    drop(connection);
}

#[test]
fn a_new_role_forgets_connect_errors() {
    let mut runtime = runtime();
    runtime.load_servers(ServersConfig {
        servers: vec![ServerRow::sample(10, "a"), ServerRow::sample(20, "a")],
        replication: vec![pair(10, 20)],
        ..ServersConfig::default()
    });
    let says = |runtime: &mut Runtime, read_only| {
        let change =
            ServerChange::ReadOnly { writer_hostgroup: 10, address: Address::sample("a"), read_only };
        runtime.apply(change);
    };
    says(&mut runtime, false);
    let server = runtime.members()[0].server.clone();
    let now = Instant::now();
    (0..5).for_each(|_| runtime.connect_failed(&server, 2003, "refused", now));
    assert_eq!(runtime.members()[0].status, Status::Shunned);
    says(&mut runtime, true);
    says(&mut runtime, false);
    assert_eq!(runtime.members()[0].status, Status::Online);
}
