use super::super::lag::{Form, heartbeat_query, of_heartbeat, of_status};
use crate::backend::Table;
use crate::runtime::Lag;

fn status(column: &str, values: &[Option<&str>]) -> Table {
    let cell = |text: &str| Some(text.to_owned());
    let row = |value: &Option<&str>| vec![cell("10.0.0.1"), value.map(str::to_owned), cell("No")];
    Table {
        columns: ["Host", column, "Last"].map(str::to_owned).to_vec(),
        rows: values.iter().map(row).collect(),
    }
}

#[test]
fn the_column_is_found_by_either_name() {
    for column in ["Seconds_Behind_Source", "Seconds_Behind_Master"] {
        assert_eq!(of_status(&status(column, &[Some("7")])), Some(Lag::Seconds(7)));
        assert_eq!(of_status(&status(column, &[None])), Some(Lag::Null));
    }
    assert_eq!(of_status(&status("Something", &[Some("7")])), None);
    assert_eq!(of_status(&status("Seconds_Behind_Source", &[Some("much")])), None);
}

#[test]
fn no_row_is_no_replica_and_of_channels_the_slowest_counts() {
    let column = "Seconds_Behind_Source";
    assert_eq!(of_status(&status(column, &[])), Some(Lag::NoReplica));
    assert_eq!(of_status(&status(column, &[Some("1"), Some("30"), Some("0")])), Some(Lag::Seconds(30)));
    assert_eq!(of_status(&status(column, &[Some("1"), None])), Some(Lag::Null));
}

#[test]
fn each_form_has_another() {
    assert_eq!(Form::default().sql(), "SHOW REPLICA STATUS");
    assert_eq!(Form::default().other().sql(), "SHOW SLAVE STATUS");
    assert_eq!(Form::default().other().other(), Form::default());
}

#[test]
fn a_heartbeat_table_is_quoted_and_nothing_else_gets_in() {
    assert_eq!(heartbeat_query(""), Ok(None));
    let sql = heartbeat_query("percona.heartbeat").unwrap().unwrap();
    assert!(sql.ends_with("FROM `percona`.`heartbeat`"), "{sql}");
    assert_eq!(heartbeat_query("`percona`.`heartbeat`").unwrap().unwrap(), sql);
    for bad in ["a.b.c", "a; DROP TABLE b", "a.", "a`b"] {
        assert!(heartbeat_query(bad).is_err(), "{bad}");
    }
    let answer = |value: Option<&str>| Table {
        columns: vec!["lag".into()],
        rows: vec![vec![value.map(str::to_owned)]],
    };
    assert_eq!(of_heartbeat(&answer(Some("3"))), Some(Lag::Seconds(3)));
    assert_eq!(of_heartbeat(&answer(None)), Some(Lag::Null));
    assert_eq!(of_heartbeat(&answer(Some("-"))), None);
}
