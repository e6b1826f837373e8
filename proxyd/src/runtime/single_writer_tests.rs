use std::sync::Arc;

use arc_swap::ArcSwap;

use super::super::{HostgroupSettings, Runtime, ServerChange, ServersConfig};
use super::*;
use crate::snapshot::{HostgroupAttributes, Snapshot};

const WRITERS: HostgroupId = 10;
const READERS: HostgroupId = 20;

fn row(hostgroup_id: HostgroupId, host: &str, weight: i64) -> ServerRow {
    ServerRow { weight, ..ServerRow::sample(hostgroup_id, host) }
}

struct Scene(Runtime, Vec<ServerRow>);

impl Scene {
    fn new(rows: &[(HostgroupId, &str, i64)]) -> Scene {
        Scene::after_restart(rows, None)
    }

    /// As of a proxy whose predecessor knew this writer.
    fn after_restart(rows: &[(HostgroupId, &str, i64)], writer: Option<&str>) -> Scene {
        let mut runtime = Runtime::new(Arc::new(ArcSwap::from_pointee(Snapshot::default())), Vec::new());
        let settings = HostgroupSettings { single_writer: true, ..HostgroupSettings::default() };
        let attributes = HostgroupAttributes { settings, ..HostgroupAttributes::default() };
        runtime.restore_single_writers(writer.map(|host| (WRITERS, Address::sample(host))));
        // The variables are loaded before the servers.
        runtime.load_settings(super::super::Settings::default());
        runtime.set_hostgroup_attributes(HashMap::from([(WRITERS, attributes)]));
        let mut scene = Scene(runtime, rows.iter().map(|(h, host, weight)| row(*h, host, *weight)).collect());
        scene.load();
        scene
    }

    fn load(&mut self) {
        let pair = ReplicationHostgroup { writer: WRITERS, reader: READERS, check_type: "read_only".into() };
        self.0.load_servers(ServersConfig {
            servers: self.1.clone(),
            replication: vec![pair],
            ..ServersConfig::default()
        });
    }

    fn says(&mut self, host: &str, read_only: bool) -> &mut Scene {
        let change =
            ServerChange::ReadOnly { writer_hostgroup: WRITERS, address: Address::sample(host), read_only };
        self.0.apply(change);
        self
    }

    fn is_unheard(&mut self, host: &str) -> &mut Scene {
        self.0.apply(ServerChange::Unheard { writer_hostgroup: WRITERS, address: Address::sample(host) });
        self
    }

    /// `writers / readers`, a reader in quarantine in brackets.
    fn places(&self) -> String {
        let of = |hostgroup| {
            let members = self.0.members().iter().filter(|member| member.row.hostgroup_id == hostgroup);
            let word = |member: &crate::runtime::MemberState| match member.status {
                Status::Online => member.row.address.hostname.to_string(),
                _ => format!("({})", member.row.address.hostname),
            };
            members.map(word).collect::<Vec<_>>().join(" ")
        };
        format!("{} / {}", of(WRITERS), of(READERS))
    }
}

#[test]
fn the_incumbent_stays_and_the_newcomer_is_quarantined() {
    let mut scene = Scene::new(&[(WRITERS, "a", 1), (READERS, "b", 1000), (READERS, "c", 1)]);
    scene.says("a", false).says("b", true).says("c", true);
    assert_eq!(scene.places(), "a / b c");
    scene.says("b", false);
    assert_eq!(scene.places(), "a / (b) c");
    let reason = scene.0.members().iter().find(|m| m.status == Status::Shunned).map(|m| m.reason.clone());
    assert_eq!(reason.as_deref(), Some("quarantined: read_only is 0 beside the writer a:3306"));
    scene.says("b", true);
    assert_eq!(scene.places(), "a / b c");
}

#[test]
fn an_ordered_switch_takes_effect_with_the_old_writers_word_in_either_order() {
    let mut scene = Scene::new(&[(WRITERS, "a", 1), (READERS, "b", 1)]);
    scene.says("a", false).says("b", true);
    scene.says("b", false).says("a", true);
    assert_eq!(scene.places(), "b / a b");
    scene.says("b", true).says("a", false);
    assert_eq!(scene.places(), "a / b");
}

#[test]
fn a_dead_writers_successor_writes_and_the_dead_one_comes_back_as_a_newcomer() {
    let mut scene = Scene::new(&[(WRITERS, "a", 1), (READERS, "b", 1), (READERS, "c", 1)]);
    scene.says("a", false).says("b", true).says("c", true);
    scene.is_unheard("a");
    assert_eq!(scene.places(), "a / b c", "nobody else may write: the last writer stays");
    scene.says("b", false);
    assert_eq!(scene.places(), "b / (a) b c");
    scene.says("a", false);
    assert_eq!(scene.places(), "b / (a) b c", "restarted without read_only");
    scene.load();
    assert_eq!(scene.places(), "b / (a) b c", "a load does not forget who writes");
    scene.is_unheard("b");
    assert_eq!(scene.places(), "a / (b) c", "and it is a successor like any other");
}

#[test]
fn an_operator_takes_the_incumbent_out_of_service() {
    let mut scene = Scene::new(&[(WRITERS, "a", 1), (READERS, "b", 1)]);
    scene.says("a", false).says("b", false);
    scene.1[0].status = Status::OfflineSoft;
    scene.load();
    assert_eq!(scene.places(), "(a) b / b");
}

#[test]
fn at_first_the_configured_writer_then_weight_then_address_decide() {
    let mut scene = Scene::new(&[(READERS, "a", 5), (READERS, "b", 9), (READERS, "c", 9), (WRITERS, "d", 1)]);
    for host in ["a", "b", "c", "d"] {
        scene.says(host, false);
    }
    assert_eq!(scene.places(), "d / (a) (b) (c)");
    let mut scene = Scene::new(&[(READERS, "c", 9), (READERS, "b", 9), (READERS, "a", 5)]);
    scene.says("a", false);
    assert_eq!(scene.places(), "a / a b c");
    scene.says("b", false).says("c", false);
    assert_eq!(scene.places(), "a / a (b) (c)");
    scene.says("a", true);
    assert_eq!(scene.places(), "b / a b (c)");
}

#[test]
fn without_the_setting_there_may_be_several_writers() {
    let mut scene = Scene::new(&[(WRITERS, "a", 1), (READERS, "b", 1)]);
    scene.says("a", false).says("b", false);
    scene.0.set_hostgroup_attributes(HashMap::new());
    scene.load();
    assert_eq!(scene.places(), "a b / b");
}

#[test]
fn a_restarted_proxy_keeps_the_writer_that_it_had() {
    let rows = [(WRITERS, "a", 1000), (READERS, "b", 1), (READERS, "c", 1)];
    let mut scene = Scene::after_restart(&rows, Some("b"));
    assert_eq!(scene.places(), "b / (a) b c", "before anybody has answered");
    assert_eq!(scene.0.single_writers(), [(WRITERS, Address::sample("b"))]);
    scene.says("a", false);
    assert_eq!(scene.places(), "b / (a) b c");
    scene.says("b", false);
    assert_eq!(scene.places(), "b / (a) b c");
}

#[test]
fn what_the_servers_say_is_worth_more_than_a_memory() {
    let rows = [(WRITERS, "a", 1), (READERS, "b", 1)];
    let mut scene = Scene::after_restart(&rows, Some("b"));
    scene.says("b", true);
    assert_eq!(scene.places(), "a / b");
    let mut scene = Scene::after_restart(&rows, Some("b"));
    scene.is_unheard("b");
    assert_eq!(scene.places(), "a / b", "it is dead by now");
    let scene = Scene::after_restart(&rows, Some("z"));
    assert_eq!(scene.places(), "a / b", "and this one is not configured any more");
}
