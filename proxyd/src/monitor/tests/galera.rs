use super::super::galera::GaleraStatus;
use crate::backend::Table;
use crate::runtime::{NodeReport, Part};

fn table(values: &[(&str, &str)]) -> Table {
    let text = |text: &str| Some(text.to_owned());
    Table {
        columns: ["Variable_name", "Value"].map(str::to_owned).to_vec(),
        rows: values.iter().map(|(name, value)| vec![text(name), text(value)]).collect(),
    }
}

/// A node that is well, with some values of its own.
fn node(changed: &[(&str, &str)]) -> GaleraStatus {
    let status = [
        ("wsrep_local_state", "4"),
        ("wsrep_local_recv_queue", "0"),
        ("wsrep_cluster_size", "3"),
        ("wsrep_cluster_status", "Primary"),
        ("wsrep_ready", "ON"),
    ];
    let variables = [
        ("read_only", "OFF"),
        ("wsrep_desync", "OFF"),
        ("wsrep_reject_queries", "NONE"),
        ("wsrep_sst_donor_rejects_queries", "OFF"),
    ];
    GaleraStatus::read(&table(&status), &table(&[&variables[..], changed].concat())).unwrap()
}

fn unfit(changed: &[(&str, &str)]) -> String {
    match node(changed).report().part {
        Part::Unfit(reason) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_node_that_is_well_writes_and_a_read_only_one_reads() {
    let report = NodeReport { part: Part::Writable, behind: 0, members: 3 };
    assert_eq!(node(&[]).report(), report);
    assert_eq!(node(&[("pxc_maint_mode", "DISABLED")]).report(), report);
    for on in ["ON", "1", "NO_LOCK"] {
        assert_eq!(node(&[("read_only", on)]).report().part, Part::ReadOnly);
    }
    assert_eq!(node(&[("wsrep_local_recv_queue", "17")]).report().behind, 17);
}

#[test]
fn each_reason_to_leave_a_node_alone() {
    for changed in [
        ("wsrep_local_state", "1"),
        ("wsrep_local_state", "3"),
        ("wsrep_local_state", "0"),
        ("wsrep_desync", "ON"),
        ("wsrep_reject_queries", "ALL"),
        ("wsrep_reject_queries", "ALL_KILL"),
        ("wsrep_ready", "OFF"),
    ] {
        let reason = unfit(&[changed]);
        assert!(reason.contains(changed.0), "{changed:?}: {reason}");
    }
    let partitioned = node(&[("wsrep_cluster_status", "non-Primary"), ("wsrep_cluster_size", "1")]).report();
    assert_eq!(partitioned.members, 0, "it speaks for nobody");
    assert!(matches!(partitioned.part, Part::Unfit(_)));
}

#[test]
fn a_donor_serves_unless_it_rejects_queries() {
    assert_eq!(node(&[("wsrep_local_state", "2")]).report().part, Part::Writable);
    unfit(&[("wsrep_local_state", "2"), ("wsrep_sst_donor_rejects_queries", "ON")]);
    unfit(&[("wsrep_local_state", "2"), ("wsrep_desync", "ON")]);
}

#[test]
fn maintenance_is_soft_and_gives_way_to_harder_reasons() {
    for mode in ["MAINTENANCE", "SHUTDOWN"] {
        assert_eq!(node(&[("pxc_maint_mode", mode)]).report().part, Part::Maintenance);
        unfit(&[("pxc_maint_mode", mode), ("wsrep_ready", "OFF")]);
    }
}

#[test]
fn a_server_without_wsrep_is_no_node() {
    assert!(GaleraStatus::read(&table(&[]), &table(&[("read_only", "OFF")])).is_err());
}
