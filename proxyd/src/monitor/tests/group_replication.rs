use super::super::group_replication::{GroupStatus, Source};
use crate::backend::Table;
use crate::runtime::{Address, NodeReport, Part, Peer};

fn answer(source: Source, cells: &[&str]) -> Result<GroupStatus, String> {
    let row = cells.iter().map(|cell| (!cell.is_empty()).then(|| (*cell).to_owned())).collect();
    GroupStatus::read(source, &Table { columns: Vec::new(), rows: vec![row] })
}

/// state, role, super_read_only, members, reachable members, transactions behind.
fn member(cells: [&str; 6]) -> NodeReport {
    of_group(cells, "", "").report(1)
}

fn of_group(cells: [&str; 6], own: &str, members: &str) -> GroupStatus {
    let cells: Vec<&str> = cells.into_iter().chain([own, members]).collect();
    answer(Source::PerformanceSchema, &cells).unwrap()
}

#[test]
fn members_are_named_by_who_has_a_majority() {
    let well = ["ONLINE", "SECONDARY", "1", "3", "3", "0"];
    let (own, peers) = of_group(well, "B", "A 3306 db-a,B 3307 db-b,C 0 db-c,D 3306 ,E").members.unwrap();
    assert_eq!(&*own, "B");
    let peer =
        |id: &str, host: &str, port| Peer { id: id.into(), address: Address { hostname: host.into(), port } };
    assert_eq!(peers, [peer("A", "db-a", 3306), peer("B", "db-b", 3307)]);
    let lost = ["ONLINE", "PRIMARY", "0", "3", "1", "0"];
    assert_eq!(of_group(lost, "B", "A 3306 db-a").members, None);
    assert_eq!(of_group(well, "B", &"x".repeat(1024)).members, None, "cut off by the server");
}

#[test]
fn a_primary_writes_and_a_secondary_reads() {
    assert_eq!(
        member(["ONLINE", "PRIMARY", "0", "3", "3", "0"]),
        NodeReport { part: Part::Writable, behind: 0, members: 3 }
    );
    assert_eq!(
        member(["ONLINE", "SECONDARY", "1", "3", "3", "7"]),
        NodeReport { part: Part::ReadOnly, behind: 7, members: 3 }
    );
    assert_eq!(member(["ONLINE", "PRIMARY", "1", "3", "3", "0"]).part, Part::ReadOnly, "not yet, or no more");
    assert_eq!(member(["ONLINE", "SECONDARY", "0", "3", "3", "0"]).part, Part::ReadOnly);
}

#[test]
fn a_primary_that_has_lost_the_majority_is_no_writer() {
    let lost = member(["ONLINE", "PRIMARY", "0", "3", "1", "0"]);
    assert_eq!(lost.part, Part::Unfit("it reaches 1 of 3 members of its group".into()));
    assert_eq!(lost.members, 0, "it speaks for nobody");
    assert_eq!(member(["ONLINE", "PRIMARY", "0", "3", "2", "0"]).part, Part::Writable);
    assert!(matches!(member(["ONLINE", "PRIMARY", "0", "4", "2", "0"]).part, Part::Unfit(_)));
}

#[test]
fn members_in_other_states_are_left_alone() {
    for state in ["RECOVERING", "OFFLINE", "ERROR", "UNREACHABLE"] {
        let report = member([state, "", "0", "3", "3", "0"]);
        assert_eq!(report.part, Part::Unfit(format!("its state in the group is {state}")));
        assert_eq!(report.members, if state == "RECOVERING" { 3 } else { 0 });
    }
}

#[test]
fn who_is_shunned_for_being_behind_is_a_variable() {
    let behind = |role, super_read_only, rule| {
        let cells = ["ONLINE", role, super_read_only, "3", "3", "9"];
        of_group(cells, "", "").report(rule).behind
    };
    for (rule, writer, reader) in [(0, 9, 0), (1, 0, 9), (2, 9, 9)] {
        assert_eq!((behind("PRIMARY", "0", rule), behind("SECONDARY", "1", rule)), (writer, reader));
    }
}

#[test]
fn the_view_of_older_servers() {
    let view = |cells: &[&str]| answer(Source::SysView, cells).map(|status| status.report(2));
    assert_eq!(view(&["YES", "NO", "0"]), Ok(NodeReport { part: Part::Writable, behind: 0, members: 0 }));
    assert_eq!(view(&["YES", "YES", "12"]), Ok(NodeReport { part: Part::ReadOnly, behind: 12, members: 0 }));
    assert!(matches!(view(&["NO", "YES", "0"]).unwrap().part, Part::Unfit(_)));
    assert!(view(&["PERHAPS", "YES", "0"]).is_err());
}

#[test]
fn a_server_outside_any_group_is_no_member() {
    let none = Table::default();
    assert!(GroupStatus::read(Source::PerformanceSchema, &none).is_err());
    assert!(answer(Source::PerformanceSchema, &["ONLINE", "PRIMARY"]).is_err());
    assert_eq!(Source::default().other().other(), Source::PerformanceSchema);
}
