//! The embedded backend against the statements that the article runs.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use super::context::{Context, Process, Server};
use super::functions::timestamp;
use super::session::{Reply, Session};
use super::sql::{Assignment, Statement, column_name, parse};

const CREATE: &str = "CREATE TABLE test.`testtable2` (
  `autoInc` bigint(11) NOT NULL AUTO_INCREMENT,
  `a` varchar(100) COLLATE utf8_bin NOT NULL,
  `b` varchar(100) COLLATE utf8_bin NOT NULL,
  `host` varchar(100) COLLATE utf8_bin NOT NULL,
  `userhost` varchar(100) COLLATE utf8_bin NOT NULL,
  PRIMARY KEY (`autoInc`)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC;";

fn session(file: &std::path::Path) -> Session {
    let server = Arc::new(Server::new("galera1h1n5".into(), false));
    server.processes().insert(
        7,
        Process {
            user: "load_RW".into(),
            host: "192.168.0.11:33273".into(),
            since: std::time::Instant::now(),
            running: String::new(),
        },
    );
    let context = Context {
        server,
        connection_id: 7,
        user: "load_RW".into(),
        peer: "192.168.0.11".into(),
        database: Some("test".into()),
        last_insert_id: 0,
        user_variables: HashMap::new(),
        session_variables: HashMap::new(),
    };
    Session::open(file, context).expect("session")
}

fn scratch(name: &str) -> std::path::PathBuf {
    let file = std::env::temp_dir().join(format!("standfast-backend-{}-{name}.db", std::process::id()));
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", file.display()));
    }
    file
}

fn cells(reply: Reply) -> Vec<Vec<Option<String>>> {
    let Reply::Rows { rows, .. } = reply else { panic!("no rows: {reply:?}") };
    rows.into_iter()
        .map(|row| row.into_iter().map(|c| c.map(|b| String::from_utf8_lossy(&b).into_owned())).collect())
        .collect()
}

#[test]
fn the_articles_loop_writes_a_row_and_reads_it_back() {
    let file = scratch("loop");
    let mut session = session(&file);
    session.run(CREATE).expect("create");
    session.run("BEGIN").expect("begin");
    assert!(session.in_transaction());
    session.run("set @userHost='a'").expect("set");
    session
        .run("select concat(user,'_', host) into @userHost from information_schema.processlist  where user = 'load_RW' limit 1")
        .expect("into");
    session
        .run("insert into test.testtable2 values(NULL,'2017-01-10 18:12:07',SYSDATE(6),@@hostname,@userHost)")
        .expect("insert");
    session.run("commit").expect("commit");
    assert!(!session.in_transaction());
    let rows = cells(session.run("select * from test.testtable2 order by 1 DESC limit 1").expect("select"));
    assert_eq!(rows[0][0].as_deref(), Some("1"));
    assert_eq!(rows[0][3].as_deref(), Some("galera1h1n5"));
    assert_eq!(rows[0][4].as_deref(), Some("load_RW_192.168.0.11:33273"));
    session.run("DROP TABLE  test.`testtable2`").expect("drop");
    let _ = std::fs::remove_file(file);
}

#[test]
fn a_rollback_undoes_and_a_second_session_sees_only_commits() {
    let file = scratch("rollback");
    let mut one = session(&file);
    let mut two = session(&file);
    one.run("create table t (id int primary key)").expect("create");
    one.run("begin").expect("begin");
    one.run("insert into t values (1)").expect("insert");
    assert_eq!(cells(two.run("select count(*) from t").expect("count"))[0][0].as_deref(), Some("0"));
    one.run("rollback").expect("rollback");
    one.run("insert into t values (2)").expect("insert");
    assert_eq!(cells(two.run("select id from t").expect("select"))[0][0].as_deref(), Some("2"));
    assert_eq!(one.run("insert into t values (2)").expect_err("twice").code, 1062);
    let _ = std::fs::remove_file(file);
}

#[test]
fn monitors_get_their_answers() {
    let file = scratch("monitor");
    let mut session = session(&file);
    let reply = session.run("SELECT @@global.read_only read_only").expect("read_only");
    let Reply::Rows { columns, .. } = &reply else { panic!("rows") };
    assert_eq!(columns[0].name, "read_only");
    assert_eq!(cells(reply)[0][0].as_deref(), Some("0"));
    session.run("SET GLOBAL read_only = ON").expect("set");
    assert_eq!(session.run("create table x (a int)").expect_err("read only").code, 1290);
    assert_eq!(session.run("select @@nonsense").expect_err("unknown").code, 1193);
    assert_eq!(session.run("select * from nowhere").expect_err("table").code, 1146);
    session.run("SET NAMES utf8mb4").expect("names");
    session.run("SET session_track_schema=1, wait_timeout=10").expect("several");
    let _ = std::fs::remove_file(file);
}

#[test]
fn variables_keep_their_names_as_columns() {
    assert_eq!(column_name("lab_system_variable('hostname')"), "@@hostname");
    assert_eq!(column_name("concat(lab_user_variable('a'), 1)"), "concat(@a, 1)");
}

#[test]
fn statements_are_told_apart() {
    assert_eq!(parse("  ; "), Statement::Nothing);
    assert_eq!(parse("START TRANSACTION READ ONLY"), Statement::Begin);
    assert_eq!(parse("USE `test`"), Statement::Use("test".into()));
    assert_eq!(
        parse("SET @a := 1, SESSION sql_mode=''"),
        Statement::Set(vec![
            Assignment::User { name: "a".into(), expression: "1".into() },
            Assignment::System { name: "sql_mode".into(), global: false, expression: "''".into() },
        ])
    );
    assert_eq!(
        parse("select 'it\\'s' from t for update"),
        Statement::Query { sql: "select 'it''s' from t ".into(), into: vec![], touches_tables: true }
    );
    assert!(matches!(parse("/* hint */ select 1 -- done"), Statement::Query { .. }));
}

#[test]
fn timestamps_are_calendar_dates() {
    let at = |seconds| UNIX_EPOCH + Duration::new(seconds, 123_456_789);
    assert_eq!(timestamp(at(0), 6), "1970-01-01 00:00:00.123456");
    assert_eq!(timestamp(at(1_709_210_096), 0), "2024-02-29 12:34:56");
    assert_eq!(timestamp(at(4_102_444_799), 3), "2099-12-31 23:59:59.123");
}
