//! The statistics by digest and by error, over workers that answer.

use std::thread;

use tokio::sync::mpsc;

use super::*;
use crate::control::WorkerCommand;
use crate::counters::Counters;
use crate::digests::{Finished, Shape};
use crate::errors::ErrorKey;
use crate::stats::{FreeRow, ServerKey};

/// A worker that only counts: one statement of `micros` microseconds, and one error.
fn worker(index: usize, micros: u64) -> WorkerHandle {
    let (commands, mut inbox) = mpsc::unbounded_channel();
    thread::spawn(move || {
        let counters = Counters::new(2);
        let shape = Shape { hostgroup: 10, schema: "shop", user: "app", client: "", digest: 0x1E09 };
        let ticket = counters.digests.borrow_mut().enter(&shape, "SELECT ?");
        let ran = Finished { now: 1_000 + micros, micros, rows_affected: 0, rows_sent: 3 };
        counters.digests.borrow_mut().record(ticket, &ran);
        let server = ServerKey { hostgroup: 10, hostname: "db1".into(), port: 3306 };
        let key = ErrorKey {
            server,
            user: "app".into(),
            client: "10.0.0.1".into(),
            schema: "shop".into(),
            code: 1146,
        };
        counters.errors.borrow_mut().record(key, "no such table", 5);
        while let Some(command) = inbox.blocking_recv() {
            match command {
                WorkerCommand::Stats(reply) => drop(reply.send(counters.report())),
                WorkerCommand::Digests { reset, reply } => {
                    drop(reply.send(counters.digests.borrow_mut().report(reset)));
                }
                WorkerCommand::Errors { reset, reply } => {
                    drop(reply.send(counters.errors.borrow_mut().report(reset)));
                }
                WorkerCommand::FreeConnections(reply) => drop(reply.send(vec![free_row(index)])),
                _ => {}
            }
        }
    });
    WorkerHandle::new(index, commands)
}

fn free_row(index: usize) -> FreeRow {
    FreeRow {
        fd: (index == 0).then_some(17),
        server: ServerKey { hostgroup: 10, hostname: "db1".into(), port: 3306 },
        user: "app".into(),
        schema: "shop".into(),
        time_zone: Some("'SYSTEM'".into()),
        sql_mode: None,
        autocommit: true,
        idle_ms: 5,
        age_ms: 50,
        bytes_sent: 1,
        bytes_recv: 2,
        thread_id: 3,
    }
}

#[test]
fn idle_connections_are_listed() {
    let dir = DataDir::new();
    let mut console = console(&dir);
    let rows = console.rows("SELECT * FROM stats_mysql_free_connections ORDER BY fd DESC");
    let rest = r#"10,db1,3306,app,shop,-,'SYSTEM',-,1,5,{"age_ms":50,"bytes_recv":2,"bytes_sent":1},{"thread_id":3}"#;
    assert_eq!(rows, [format!("17,{rest}"), format!("-1,{rest}")]);
}

fn console(dir: &DataDir) -> Console {
    Console::with_workers(&dir.0, small_config(), vec![worker(0, 50), worker(1, 10)])
}

#[test]
fn digests_are_summed_over_workers_until_a_reset() {
    let dir = DataDir::new();
    let mut console = console(&dir);
    let row = "10,shop,app,,0x0000000000001E09,SELECT ?,2,1010,1050,60,10,50,0,6";
    assert_eq!(console.rows("SELECT * FROM stats_mysql_query_digest"), [row]);
    assert_eq!(console.rows("SELECT * FROM stats.stats_mysql_query_digest_reset"), [row]);
    assert!(console.rows("SELECT * FROM stats_mysql_query_digest").is_empty());
}

#[test]
fn truncate_is_a_reset_too() {
    let dir = DataDir::new();
    let mut first = console(&dir);
    assert_eq!(
        first.ok("TRUNCATE TABLE stats.stats_mysql_query_digest"),
        Answer::Ok { affected: 1, warnings: 0 }
    );
    assert_eq!(first.rows("SELECT COUNT(*) FROM stats_mysql_query_digest"), ["0"]);
    let mut second = console(&dir);
    second.session.stats_only = true;
    assert!(second.refused("TRUNCATE stats_mysql_query_digest_reset").contains("may not change"));
    assert_eq!(second.rows("SELECT count_star FROM stats_mysql_query_digest"), ["2"]);
    assert_eq!(second.rows("SELECT COUNT(*) FROM stats_mysql_query_digest"), ["1"], "no column, no schema");
}

#[test]
fn errors_are_summed_over_workers_until_a_reset() {
    let dir = DataDir::new();
    let mut console = console(&dir);
    let row = "10,db1,3306,app,10.0.0.1,shop,1146,2,5,5,no such table";
    assert_eq!(console.rows("SELECT * FROM stats_mysql_errors"), [row]);
    assert_eq!(console.rows("SELECT * FROM stats_mysql_errors_reset"), [row]);
    assert!(console.rows("SELECT * FROM stats_mysql_errors").is_empty());
}

#[test]
fn memory_is_told() {
    let dir = DataDir::new();
    let mut console = console(&dir);
    let metric = |name: &str| {
        format!(
            "SELECT CAST(Variable_Value AS INT) > 0 FROM stats_memory_metrics WHERE Variable_Name = '{name}'"
        )
    };
    for name in ["resident_memory_bytes", "Auth_memory", "query_digest_memory"] {
        assert_eq!(console.rows(&metric(name)), ["1"], "{name}");
    }
    assert_eq!(console.rows("SHOW MYSQL STATUS LIKE 'Query_digests_evicted'"), ["Query_digests_evicted,0"]);
}
