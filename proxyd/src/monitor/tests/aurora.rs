use super::super::aurora::servers;
use crate::backend::Table;
use crate::runtime::AuroraServer;

fn table(rows: &[[Option<&str>; 5]]) -> Table {
    let row = |row: &[Option<&str>; 5]| row.iter().map(|cell| cell.map(str::to_owned)).collect();
    Table { columns: Vec::new(), rows: rows.iter().map(row).collect() }
}

#[test]
fn the_documented_answer() {
    let session = "9c2b5a4e-1111-11ef-9d3f-0a1b2c3d4e5f";
    let time = "2024-11-02 10:00:00.123";
    let read = servers(&table(&[
        [Some("db-1"), Some("MASTER_SESSION_ID"), Some(time), None, Some("4.5")],
        [Some("db-2"), Some(session), Some(time), Some("19.375"), Some("0")],
        [Some("evil.example/"), Some(session), Some(time), Some("1"), Some("0")],
        [Some("db-3"), Some(session), Some(time), Some("-1"), Some("NaN")],
    ]));
    let server = |id: &str, session: &str, lag_ms, cpu| AuroraServer {
        server_id: id.into(),
        session_id: session.into(),
        last_update: time.into(),
        lag_ms,
        cpu,
    };
    assert_eq!(
        read,
        Ok(vec![
            server("db-1", "MASTER_SESSION_ID", 0, 5),
            server("db-2", session, 20, 0),
            server("db-3", session, 0, 0)
        ])
    );
}

#[test]
fn answers_that_are_none() {
    assert!(servers(&table(&[])).is_err());
    assert!(servers(&table(&[[None; 5]])).is_err());
    assert!(servers(&table(&[[Some("a"), None, None, None, None]; 65])).is_err());
}
