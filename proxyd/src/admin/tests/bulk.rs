//! Starts that leave their great tables for later.

use super::*;
use crate::admin::route::Question;

const TABLES: [&str; 7] = [
    "mysql_users",
    "runtime_mysql_users",
    "disk.mysql_users",
    "mysql_query_rules",
    "mysql_query_rules_fast_routing",
    "runtime_mysql_query_rules_fast_routing",
    "disk.mysql_query_rules_fast_routing",
];
const CHECKSUMS: &str = "SELECT name, version, checksum FROM runtime_checksums_values ORDER BY name";

/// A start to which every table with a row is a great one.
fn start(dir: &DataDir) -> Console {
    Console::new(&dir.0, small_config(), Vec::new(), 0)
}

impl Console {
    fn finish(&self) {
        let tokio = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        tokio.block_on(self.admin.finish_boot());
    }

    fn is_answered_now(&mut self, text: &str) -> bool {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let statement = self.admin.execute(&mut self.session, text);
        tokio.block_on(async { tokio::time::timeout(Duration::ZERO, statement).await }).is_ok()
    }

    /// Where `two` is sent with a statement that no rule knows; no table is asked.
    fn destination(&self) -> Option<u64> {
        let question = r#"{"sql": "UPDATE t SET a = 1", "user": "two", "schema": "shop"}"#;
        let answer = self.admin.route(&Question::from_json(question).expect("a question"));
        answer["hostgroup"].as_u64()
    }

    fn users(&self) -> Vec<String> {
        let mut names: Vec<_> = self.snapshot().users.iter().map(|(name, _)| name.to_owned()).collect();
        names.sort();
        names
    }
}

fn saved() -> DataDir {
    let dir = DataDir::new();
    let mut console = Console::boot(&dir.0, small_config());
    console.ok(
        "INSERT INTO mysql_users (username, password, default_hostgroup) VALUES ('two', 'x', 10); \
         INSERT INTO mysql_users (username, password, active) VALUES ('off', 'x', 0); \
         INSERT INTO mysql_users (username, password, backend, frontend) VALUES ('split', 'front', 0, 1), ('split', 'back', 1, 0); \
         SAVE MYSQL USERS TO DISK",
    );
    console.ok(
        "INSERT INTO mysql_query_rules_fast_routing VALUES ('two', 'shop', 0, 20, ''); SAVE MYSQL QUERY RULES TO DISK",
    );
    dir
}

fn in_file(dir: &DataDir, sql: &str) {
    let db = rusqlite::Connection::open(dir.0.join("standfast.db")).expect("a database");
    db.execute_batch(sql).expect("changed");
}

#[test]
fn clients_are_served_before_the_tables_are_full_and_the_operator_waits() {
    let dir = saved();
    let mut console = start(&dir);
    let snapshot = console.snapshot();
    assert!(!snapshot.users.is_whole());
    assert_eq!(snapshot.users.get("two").expect("a user").default_hostgroup, 10);
    let split = snapshot.users.get("split").expect("a user");
    assert!(split.backend_secret().is_some());
    assert!(snapshot.users.get("off").is_none() && snapshot.users.get("nobody").is_none());
    assert_eq!(console.destination(), Some(20));
    assert_eq!(snapshot.hostgroups[&10].members.len(), 1);
    assert!(console.admin.find_login("admin").is_some());
    for statement in ["SELECT 1", "SAVE MYSQL USERS TO DISK", "LOAD MYSQL USERS FROM DISK", "SHOW WARNINGS"] {
        assert!(!console.is_answered_now(statement), "{statement}");
    }
    console.finish();
    assert!(console.snapshot().users.is_whole());
    assert_eq!(console.users(), ["app", "split", "two"]);
    assert_eq!(console.destination(), Some(20));
    console.finish();
}

#[test]
fn such_a_start_ends_as_every_other() {
    let dir = saved();
    let mut plain = Console::boot(&dir.0, small_config());
    let mut late = start(&dir);
    late.finish();
    for table in TABLES {
        let sql = format!("SELECT * FROM {table} ORDER BY 1, 2, 3");
        assert_eq!(late.rows(&sql), plain.rows(&sql), "{table}");
    }
    assert_eq!(late.rows(CHECKSUMS), plain.rows(CHECKSUMS));
    assert_eq!(late.rows("SHOW WARNINGS"), plain.rows("SHOW WARNINGS"));
    late.ok("UPDATE mysql_users SET active = 0 WHERE username = 'two'; LOAD MYSQL USERS TO RUNTIME");
    assert_eq!(late.users(), ["app", "split"]);
}

#[test]
fn users_that_cannot_be_copied_are_those_of_the_configuration_in_the_end() {
    let dir = saved();
    in_file(&dir, "ALTER TABLE mysql_users DROP COLUMN attributes");
    let console = start(&dir);
    assert_eq!(console.snapshot().users.find("two").err(), Some(crate::users::Unreadable));
    console.finish();
    assert_eq!(console.users(), ["app"]);
    assert!(console.snapshot().users.find("two").expect("readable").is_none());
    drop(console);
    assert_eq!(Console::boot(&dir.0, small_config()).users(), ["app"]);
}

#[test]
fn users_that_cannot_be_loaded_are_nobody_in_the_end() {
    let dir = saved();
    in_file(&dir, "UPDATE mysql_users SET max_connections = 1 << 40 WHERE username = 'two'");
    let console = start(&dir);
    assert!(console.snapshot().users.get("app").is_some());
    console.finish();
    assert!(console.snapshot().users.is_whole() && console.users().is_empty());
    drop(console);
    assert!(Console::boot(&dir.0, small_config()).users().is_empty());
}

#[test]
fn fast_routing_that_cannot_be_read_is_loaded_as_by_every_start() {
    let dir = saved();
    in_file(&dir, "UPDATE mysql_query_rules_fast_routing SET flagIN = 'x'; DELETE FROM mysql_users");
    let mut console = start(&dir);
    assert!(console.is_answered_now("SELECT 1"), "nothing was left for later");
    assert_eq!(console.destination(), None);
}

#[test]
fn a_table_with_its_columns_in_another_order_is_read_by_their_names() {
    let dir = saved();
    in_file(
        &dir,
        "DROP TABLE proxysql_servers; \
         CREATE TABLE proxysql_servers (comment VARCHAR, weight INT, port INT, hostname VARCHAR); \
         INSERT INTO proxysql_servers VALUES ('c', 5, 6032, 'h')",
    );
    let mut console = Console::boot(&dir.0, small_config());
    let rows = console.rows("SELECT hostname, port, weight, comment FROM proxysql_servers");
    assert_eq!(rows, ["h,6032,5,c"]);
}
