use super::*;
use Part::{Maintenance, ReadOnly, Writable};

const WRITER: u32 = 2;
const BACKUP: u32 = 4;
const READER: u32 = 3;
const OFFLINE: u32 = 1;
const LIMIT: u32 = 3;
const LIMITS: Limits = Limits { max_missed: LIMIT, behind_count: 1 };

fn cluster() -> ClusterHostgroups {
    ClusterHostgroups {
        kind: ClusterKind::Galera,
        writer: WRITER,
        backup_writer: BACKUP,
        reader: READER,
        offline: OFFLINE,
        max_writers: 1,
        also_reader: AlsoReader::No,
        max_transactions_behind: 100,
    }
}

fn row(hostgroup_id: u32, host: &str, weight: i64) -> ServerRow {
    ServerRow { weight, ..ServerRow::sample(hostgroup_id, host) }
}

/// The configuration of slide 35: 112 and 113 as writers with weights 100 and 10, 114 as a reader.
struct Scene {
    cluster: ClusterHostgroups,
    rows: Vec<ServerRow>,
    topology: Topology,
    shunned: Vec<Address>,
    limits: Limits,
}

impl Scene {
    fn set() -> Scene {
        let rows = vec![row(WRITER, "112", 100), row(WRITER, "113", 10), row(READER, "114", 100)];
        Scene { cluster: cluster(), rows, topology: Topology::default(), shunned: Vec::new(), limits: LIMITS }
    }

    /// All of them well: 112 and 113 writable, 114 read-only.
    fn well() -> Scene {
        let mut scene = Scene::set();
        scene.says("112", Writable).says("113", Writable).says("114", ReadOnly);
        scene
    }

    fn sees(&mut self, host: &str, sight: Sight) -> &mut Scene {
        self.topology.observe(&self.cluster, Address::sample(host), sight, self.limits);
        self
    }

    fn reports(&mut self, host: &str, part: Part, behind: u64, members: u32) -> &mut Scene {
        self.sees(host, Sight::Answered(NodeReport { part, behind, members }))
    }

    /// It answers for as long as it takes to be trusted again.
    fn is_back(&mut self, host: &str, part: Part) -> &mut Scene {
        for _ in 0..5 {
            self.says(host, part.clone());
        }
        self
    }

    fn says(&mut self, host: &str, part: Part) -> &mut Scene {
        self.reports(host, part, 0, 3)
    }

    fn silent(&mut self, host: &str, times: u32) -> &mut Scene {
        for _ in 0..times {
            self.sees(host, Sight::Silent);
        }
        self
    }

    /// `hostgroup host` of each place, in order.
    fn places(&self) -> String {
        let mut rows = self.rows.clone();
        self.topology.arrange(&mut rows, &self.cluster, LIMIT, |address| self.shunned.contains(address));
        let mut places: Vec<_> =
            rows.iter().map(|row| format!("{} {}", row.hostgroup_id, row.address.hostname)).collect();
        places.sort();
        places.join(", ")
    }

    fn behind(&self, hostgroup: u32, host: &str) -> bool {
        self.topology.behind(std::slice::from_ref(&self.cluster), &row(hostgroup, host, 1)).is_some()
    }
}

const WELL: &str = "2 112, 3 114, 4 113";

#[test]
fn the_slides_example_gives_the_slides_places() {
    assert_eq!(Scene::set().places(), WELL, "before the first answer already");
    assert_eq!(Scene::well().places(), WELL);
}

#[test]
fn equal_weights_are_settled_by_address_as_proxysql_does() {
    let mut scene = Scene::well();
    scene.rows.iter_mut().for_each(|row| row.weight = 1);
    assert_eq!(scene.places(), "2 113, 3 114, 4 112");
}

#[test]
fn max_writers() {
    let mut scene = Scene::well();
    scene.cluster.max_writers = 2;
    assert_eq!(scene.places(), "2 112, 2 113, 3 114");
    scene.cluster.max_writers = 0;
    assert_eq!(scene.places(), "3 114, 4 112, 4 113");
}

#[test]
fn writer_is_also_reader() {
    let mut scene = Scene::well();
    scene.cluster.also_reader = AlsoReader::Yes;
    assert_eq!(scene.places(), "2 112, 3 112, 3 113, 3 114, 4 113");
    scene.cluster.also_reader = AlsoReader::Backups;
    assert_eq!(scene.places(), "2 112, 3 113, 3 114, 4 113");
    scene.sees("114", Sight::Refused(String::new())).sees("113", Sight::Refused(String::new()));
    assert_eq!(scene.places(), "1 113, 1 114, 2 112, 3 112", "reads go to the writer rather than nowhere");
}

#[test]
fn what_a_node_says_moves_it_at_once_and_back() {
    for unfit in
        [Sight::Refused("refused".into()), answered(Part::Unfit("desync".into())), answered(Maintenance)]
    {
        let mut scene = Scene::well();
        scene.sees("112", unfit);
        assert_eq!(scene.places(), "1 112, 2 113, 3 114");
        scene.is_back("112", Writable);
        assert_eq!(scene.places(), WELL);
    }
    let mut scene = Scene::well();
    scene.says("112", ReadOnly);
    assert_eq!(scene.places(), "2 113, 3 112, 3 114");
    scene.says("114", Writable);
    assert_eq!(scene.places(), "2 114, 3 112, 4 113");
}

fn answered(part: Part) -> Sight {
    Sight::Answered(NodeReport { part, behind: 0, members: 3 })
}

#[test]
fn a_thawed_writer_that_the_others_have_expelled_is_not_believed() {
    let mut scene = Scene::well();
    scene.silent("112", LIMIT).reports("113", Writable, 0, 2).reports("114", ReadOnly, 0, 2);
    assert_eq!(scene.places(), "1 112, 2 113, 3 114");
    for _ in 0..20 {
        scene.says("112", Writable);
    }
    assert_eq!(scene.places(), "1 112, 2 113, 3 114", "it counts three, they are two");
    scene.silent("114", 1).says("112", Writable);
    assert_eq!(scene.places(), "1 112, 2 113, 3 114", "nor while one of them is not heard");
}

#[test]
fn a_node_that_joins_is_counted_as_soon_as_the_others_have_been_asked() {
    let mut scene = Scene::set();
    scene.reports("112", Writable, 0, 2).reports("113", Writable, 0, 2).says("114", ReadOnly);
    assert_eq!(scene.places(), "1 114, 2 112, 4 113");
    scene.says("112", Writable).says("113", Writable).is_back("114", ReadOnly);
    assert_eq!(scene.places(), WELL);
}

#[test]
fn silence_moves_nobody_while_the_others_count_it_in() {
    let mut scene = Scene::well();
    scene.silent("112", LIMIT);
    assert_eq!(scene.places(), WELL, "112 is one of the three that the others count");
    scene.reports("113", Writable, 0, 2).reports("114", ReadOnly, 0, 2);
    assert_eq!(scene.places(), "1 112, 2 113, 3 114", "the two that answer are the whole cluster");
    scene.says("112", Writable);
    assert_eq!(scene.places(), "1 112, 2 113, 3 114", "thawed: it still believes what it knew");
    scene.says("113", Writable).says("114", ReadOnly);
    for _ in 0..5 {
        assert_eq!(scene.places(), "1 112, 2 113, 3 114", "counted in again, and on probation");
        scene.says("112", Writable);
    }
    assert_eq!(scene.places(), WELL);
}

#[test]
fn one_bad_answer_begins_the_probation_anew() {
    let mut scene = Scene::well();
    scene.sees("112", Sight::Refused(String::new())).says("112", Writable).says("112", Writable);
    scene.says("112", Part::Unfit("wsrep_local_state is 1".into()));
    for _ in 1..5 {
        scene.says("112", Writable);
    }
    assert_eq!(scene.places(), "1 112, 2 113, 3 114");
    scene.sees("113", Sight::Refused(String::new()));
    assert_eq!(scene.places(), "1 113, 2 112, 3 114", "nobody else can: it does not wait");
}

#[test]
fn silence_of_a_member_yields_in_the_end_or_when_pings_are_missed_too() {
    let mut scene = Scene::well();
    scene.silent("112", LIMIT * 4 - 1);
    assert_eq!(scene.places(), WELL);
    scene.silent("112", 1);
    assert_eq!(scene.places(), "1 112, 2 113, 3 114");

    let mut scene = Scene::well();
    scene.silent("112", 1).shunned.push(Address::sample("112"));
    assert_eq!(scene.places(), "1 112, 2 113, 3 114");
}

#[test]
fn when_all_are_silent_nothing_moves_and_the_last_writer_stays() {
    let mut scene = Scene::well();
    scene.silent("112", 100).silent("113", 100).silent("114", 100);
    assert_eq!(scene.places(), WELL);
    scene.is_back("114", ReadOnly);
    assert_eq!(scene.places(), "1 113, 2 112, 3 114", "a writer that may live is better than none");
}

#[test]
fn a_node_outside_the_primary_component_speaks_for_nobody() {
    let mut scene = Scene::well();
    scene.silent("112", LIMIT).silent("113", LIMIT);
    scene.reports("114", Part::Unfit("non-primary".into()), 0, 0);
    assert_eq!(scene.places(), "1 114, 2 112, 4 113", "114 is cut off, not the others");
}

#[test]
fn being_behind_shuns_readers_and_passes_the_writer_on_with_hysteresis() {
    let mut scene = Scene::well();
    scene.reports("114", ReadOnly, 101, 3);
    assert!(scene.behind(READER, "114"));
    scene.reports("114", ReadOnly, 76, 3);
    assert!(scene.behind(READER, "114"));
    scene.reports("114", ReadOnly, 75, 3);
    assert!(!scene.behind(READER, "114"));
    assert_eq!(scene.places(), WELL);

    scene.reports("112", Writable, 101, 3);
    assert_eq!(scene.places(), "2 113, 3 114, 4 112");
    assert!(scene.behind(BACKUP, "112") && !scene.behind(WRITER, "112"));
    scene.reports("113", Writable, 500, 3);
    assert_eq!(scene.places(), WELL, "all are behind: as if none were");
}

#[test]
fn being_behind_counts_in_a_row_where_a_count_is_given() {
    let mut scene = Scene::well();
    scene.limits.behind_count = 3;
    for behind in [101, 101, 100, 101, 101] {
        scene.reports("114", ReadOnly, behind, 3);
        assert!(!scene.behind(READER, "114"));
    }
    scene.reports("114", ReadOnly, 101, 3);
    assert!(scene.behind(READER, "114"));
}

/// A group with one primary: the writer is whoever the group has elected, whatever the weights say.
#[test]
fn an_elected_primary_writes() {
    let mut scene = Scene::set();
    scene.says("112", Writable).says("113", ReadOnly).says("114", ReadOnly);
    assert_eq!(scene.places(), "2 112, 3 113, 3 114");
    scene.sees("112", Sight::Refused("refused".into()));
    assert_eq!(scene.places(), "1 112, 3 113, 3 114", "nobody writes before the election");
    scene.reports("114", Writable, 0, 2);
    assert_eq!(scene.places(), "1 112, 2 114, 3 113");
    scene.is_back("112", ReadOnly);
    assert_eq!(scene.places(), "2 114, 3 112, 3 113");
}

/// A primary that is frozen stays in the table until the group has expelled it; the elected one is used from its first word.
#[test]
fn a_frozen_primary_yields_to_the_elected_one() {
    let mut scene = Scene::set();
    scene.says("112", Writable).says("113", ReadOnly).says("114", ReadOnly);
    scene.silent("112", LIMIT);
    assert_eq!(scene.places(), "2 112, 3 113, 3 114", "the others still count it");
    scene.reports("113", Writable, 0, 2).reports("114", ReadOnly, 0, 2);
    assert_eq!(scene.places(), "1 112, 2 113, 3 114");
    scene.says("112", Writable);
    assert_eq!(scene.places(), "1 112, 2 113, 3 114", "it says PRIMARY for seconds after it thawed");
    scene.says("112", Part::Unfit("ERROR".into())).says("113", Writable).says("114", ReadOnly);
    scene.is_back("112", ReadOnly);
    assert_eq!(scene.places(), "2 113, 3 112, 3 114");
}

#[test]
fn a_place_that_is_left_by_a_healthy_node_ends_softly() {
    let mut scene = Scene::well();
    let soft = |scene: &Scene, host: &str| {
        scene.topology.leaves_softly(std::slice::from_ref(&scene.cluster), &row(WRITER, host, 1))
    };
    assert!(soft(&scene, "113"));
    scene.says("113", Maintenance);
    assert!(soft(&scene, "113"));
    for hard in [Sight::Refused(String::new()), answered(ReadOnly), answered(Part::Unfit(String::new()))] {
        scene.sees("113", hard);
        assert!(!soft(&scene, "113"));
    }
}

#[test]
fn an_operators_word_stands() {
    let mut scene = Scene::well();
    scene.rows[0].status = Status::OfflineSoft;
    assert_eq!(scene.places(), "2 112, 2 113, 3 114");
    assert!(scene.rows.iter().all(|row| row.hostgroup_id != OFFLINE));
}

#[test]
fn a_row_of_its_own_keeps_its_columns() {
    let mut scene = Scene::well();
    scene.cluster.also_reader = AlsoReader::Yes;
    scene.rows.push(ServerRow { max_connections: 7, ..row(READER, "112", 5) });
    let mut rows = scene.rows.clone();
    scene.topology.arrange(&mut rows, &scene.cluster, LIMIT, |_| false);
    let find = |hostgroup, host: &str| {
        rows.iter()
            .find(|row| row.hostgroup_id == hostgroup && row.address == Address::sample(host))
            .expect("a row")
    };
    assert_eq!((find(READER, "112").max_connections, find(READER, "112").weight), (7, 5));
    assert_eq!((find(BACKUP, "113").weight, find(READER, "113").weight), (10, 10));
}

/// A trace of 20,000 rounds in which three checks of ten are lost: the cluster is well, and nothing moves.
#[test]
fn a_third_of_the_checks_lost_moves_no_server() {
    let mut scene = Scene::well();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut longest = 0;
    let mut run = 0;
    for round in 0..20_000 {
        for (host, part) in [("112", Writable), ("113", Writable), ("114", ReadOnly)] {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            if state % 10 < 3 {
                scene.silent(host, 1);
                run += 1;
                longest = longest.max(run);
            } else {
                scene.says(host, part);
                run = 0;
            }
            assert_eq!(scene.places(), WELL, "round {round}");
        }
    }
    assert!(longest > LIMIT, "the trace has losses in a row");
}
