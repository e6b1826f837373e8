use std::rc::Rc;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::super::{Runtime, ServerChange, ServersConfig};
use super::*;
use crate::snapshot::Snapshot;

const WRITER: HostgroupId = 1;
const READER: HostgroupId = 2;

fn hostgroups() -> AuroraHostgroups {
    AuroraHostgroups {
        writer: WRITER,
        reader: READER,
        port: 3306,
        domain: ".cluster.example".into(),
        max_lag_ms: 100,
        check_interval: Duration::from_secs(1),
        check_timeout: Duration::from_millis(800),
        also_reader: false,
        new_reader_weight: 7,
        add_lag_ms: 30,
        min_lag_ms: 40,
        lag_num_checks: 2,
    }
}

fn row(hostgroup_id: HostgroupId, host: &str) -> ServerRow {
    ServerRow { max_connections: 50, use_ssl: true, ..ServerRow::sample(hostgroup_id, host) }
}

/// `identifier`, `identifier+lag`, or `*identifier` for a writer.
fn servers(text: &str, second: u32) -> Vec<AuroraServer> {
    let server = |word: &str| {
        let (id, lag) = word.split_once('+').unwrap_or((word, "0"));
        AuroraServer {
            server_id: id.trim_start_matches('*').into(),
            session_id: if id.starts_with('*') { WRITERS_SESSION } else { "a uuid" }.into(),
            last_update: format!("2024-11-02 10:00:{second:02}"),
            lag_ms: lag.parse().unwrap(),
            cpu: 3,
        }
    };
    text.split(' ').map(server).collect()
}

struct Scene(Runtime, ServersConfig);

impl Scene {
    fn new(own: AuroraHostgroups, rows: &[(HostgroupId, &str)]) -> Scene {
        let mut runtime = Runtime::new(Arc::new(ArcSwap::from_pointee(Snapshot::default())), Vec::new());
        let servers = rows.iter().map(|(h, id)| row(*h, &format!("{id}.cluster.example"))).collect();
        let config = ServersConfig { servers, aurora: vec![own], ..ServersConfig::default() };
        runtime.load_servers(config.clone());
        Scene(runtime, config)
    }

    fn says(&mut self, asked: &str, text: &str, second: u32) -> &mut Scene {
        let servers: Rc<[AuroraServer]> = servers(text, second).into();
        let address = self.1.aurora[0].address(asked);
        self.0.apply(ServerChange::Aurora { writer_hostgroup: WRITER, address, servers: Some(servers) });
        self
    }

    /// `writers / readers`, who is shunned in brackets.
    fn places(&self) -> String {
        let of = |hostgroup| {
            let members =
                self.0.members().iter().filter(|it| it.row.hostgroup_id == hostgroup && !it.removed);
            let word = |member: &crate::runtime::MemberState| {
                let id = member.row.address.hostname.trim_end_matches(".cluster.example").to_owned();
                if member.status == Status::Online { id } else { format!("({id})") }
            };
            members.map(word).collect::<Vec<_>>().join(" ")
        };
        format!("{} / {}", of(WRITER), of(READER))
    }
}

#[test]
fn one_answer_places_all_and_discovers_the_rest() {
    let mut scene = Scene::new(hostgroups(), &[(WRITER, "a"), (READER, "b")]);
    assert_eq!(scene.places(), "a / b", "as configured, before the first answer");
    scene.says("a", "a+5 *b c+12", 1);
    assert_eq!(scene.places(), "b / a c");
    let member = scene.0.members().iter().find(|it| it.row.address.hostname.starts_with("c.")).unwrap();
    assert_eq!((member.row.weight, member.row.use_ssl), (7, true));
    scene.0.load_servers(scene.1.clone());
    assert_eq!(scene.places(), "b / a c", "a load keeps who was discovered");
    scene.says("a", "a+5 *b", 2);
    assert_eq!(scene.places(), "b / a");
    scene.says("b", "*b", 3);
    assert_eq!(scene.places(), "b / (a) b", "configured, and gone; the writer reads while nobody else does");
}

#[test]
fn the_newest_writer_is_believed() {
    let mut scene = Scene::new(hostgroups(), &[(WRITER, "a"), (READER, "b"), (READER, "c")]);
    scene.says("a", "*a b c", 10);
    scene.says("b", "a *b c", 11);
    assert_eq!(scene.places(), "b / a c");
    scene.says("a", "*a b c", 10);
    assert_eq!(scene.places(), "b / a c", "an old answer");
    let mut both = servers("*a b c", 12);
    both.extend(servers("*b", 13));
    let address = scene.1.aurora[0].address("c");
    scene.0.apply(ServerChange::Aurora { writer_hostgroup: WRITER, address, servers: Some(both.into()) });
    assert_eq!(scene.places(), "b / a c", "of two in one answer the newer");
    scene.says("c", "a b c", 14);
    assert_eq!(scene.places(), "b / a c", "without a writer it decides nothing");
}

#[test]
fn lag_is_reckoned_and_has_hysteresis() {
    let mut scene = Scene::new(hostgroups(), &[(WRITER, "a"), (READER, "b"), (READER, "c")]);
    // In each second: the lag that is told, the estimate that follows, and whether the reader is shunned.
    let story = [
        (5, 40, false),   // at least min_lag_ms
        (70, 100, false), // plus add_lag_ms: at the limit
        (71, 101, true),
        (40, 101, true), // the greatest of two
        (46, 76, true),  // not a quarter below the limit
        (45, 76, true),
        (45, 75, false),
        (71, 101, true),
    ];
    for (second, (lag, estimate, shunned)) in (1..).zip(story) {
        scene.says("a", &format!("*a b+{lag} c"), second);
        assert_eq!(scene.0.aurora_lag_ms(WRITER, "b"), estimate, "second {second}");
        assert_eq!(scene.places(), if shunned { "a / (b) c" } else { "a / b c" }, "second {second}");
    }
    scene.says("a", "a *b+9999 c", 20);
    assert_eq!(scene.places(), "b / a c", "a writer is behind nobody");
}

#[test]
fn the_writer_reads_where_it_is_said_and_operators_words_stand() {
    let own = AuroraHostgroups { also_reader: true, ..hostgroups() };
    let mut scene = Scene::new(own, &[(WRITER, "a"), (READER, "b")]);
    scene.says("a", "*a b", 1);
    assert_eq!(scene.places(), "a / a b");
    scene.1.servers[1].status = Status::OfflineSoft;
    scene.0.load_servers(scene.1.clone());
    scene.says("a", "a *b", 2);
    assert_eq!(scene.places(), " / a (b)");
}

#[test]
fn between_them_the_servers_are_asked_once_an_interval_and_each_while_one_is_silent() {
    let mut scene = Scene::new(hostgroups(), &[(WRITER, "a"), (READER, "b"), (READER, "c")]);
    let pace = |scene: &Scene| scene.0.aurora_of(&hostgroups().address("a"))[0].1.as_millis();
    assert_eq!(pace(&scene), 1000);
    scene.says("a", "*a b c", 1);
    assert_eq!(pace(&scene), 3000);
    let address = hostgroups().address("b");
    scene.0.apply(ServerChange::Aurora { writer_hostgroup: WRITER, address, servers: None });
    assert_eq!(pace(&scene), 1000);
    scene.says("a", "*a c", 2);
    assert_eq!(pace(&scene), 3000, "b is known to be gone");
    assert!(scene.0.aurora_of(&Address::sample("a.elsewhere")).is_empty());
}
