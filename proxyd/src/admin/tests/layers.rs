//! LOAD and SAVE, start and restart, rights.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::runtime::{Address, ServerChange};
use crate::snapshot::Status;

#[test]
fn the_first_boot_loads_the_configuration_and_saves_it() {
    let dir = DataDir::new();
    let mut console = Console::boot(&dir.0, small_config());
    let snapshot = console.snapshot();
    assert_eq!(&*snapshot.hostgroups[&10].members[0].server.hostname, "db1");
    assert!(snapshot.users.get("app").is_some());
    assert_eq!(snapshot.variables.monitor.username, "watcher");
    assert_eq!(console.rows("SELECT hostname FROM disk.mysql_servers"), ["db1"]);
    assert_eq!(console.rows("SELECT rule_id FROM runtime_mysql_query_rules"), ["1"]);
    assert_eq!(console.rows("SELECT @@mysql-threads, @@mysql-interfaces"), ["3,0.0.0.0:6033"]);
    assert!(!dir.0.join("admin-password").exists(), "the configuration gives the login");
}

#[test]
fn the_database_is_private() {
    let dir = DataDir::new();
    Console::boot(&dir.0, small_config());
    let mode = std::fs::metadata(dir.0.join("standfast.db")).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_save_after_a_first_boot_that_could_not_save_counts() {
    let dir = DataDir::new();
    let mut console = Console::boot(&dir.0, small_config());
    console.ok("UPDATE mysql_servers SET hostname = 'db2'; SAVE MYSQL SERVERS TO DISK");
    console.ok("DELETE FROM disk.global_variables; DELETE FROM disk.mysql_users");
    drop(console);
    let mut console = Console::boot(&dir.0, small_config());
    assert_eq!(console.rows("SELECT hostname FROM disk.mysql_servers"), ["db2"]);
    assert_eq!(console.rows("SELECT username FROM disk.mysql_users"), ["app"]);
}

#[test]
fn a_restart_reads_the_disk_and_not_the_configuration() {
    let dir = DataDir::new();
    let mut console = Console::boot(&dir.0, small_config());
    console.ok("UPDATE mysql_servers SET hostname = 'db2'; SAVE MYSQL SERVERS TO DISK");
    console.ok("UPDATE mysql_servers SET hostname = 'db3'; LOAD MYSQL SERVERS TO RUNTIME");
    drop(console);
    let console = Console::boot(&dir.0, small_config());
    assert_eq!(&*console.snapshot().hostgroups[&10].members[0].server.hostname, "db2");
}

#[test]
fn a_generated_password_is_kept_and_private() {
    let dir = DataDir::new();
    let first =
        Console::boot(&dir.0, FirstBoot::default()).admin.find_login("admin").expect("a login").password;
    let file = dir.0.join("admin-password");
    assert_eq!(std::fs::read_to_string(&file).expect("a file").trim(), first);
    assert_eq!(std::fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
    assert_eq!(first.len(), 24);
    let again = Console::boot(&dir.0, FirstBoot::default()).admin;
    assert_eq!(again.find_login("admin").expect("a login").password, first);
    assert!(again.find_login("stats").is_none());
    assert!(again.find_login("").is_none());
}

#[test]
fn a_refused_load_changes_nothing() {
    let dir = DataDir::new();
    let mut console = Console::boot(&dir.0, small_config());
    let before = console.snapshot();
    console.ok("INSERT INTO mysql_query_rules (rule_id, active, match_digest) VALUES (7, 1, '^SELECT (')");
    assert!(console.refused("LOAD MYSQL QUERY RULES TO RUNTIME").contains('7'), "the error names the rule");
    assert_eq!(console.rows("SELECT rule_id FROM runtime_mysql_query_rules"), ["1"]);
    console.ok(
        "UPDATE global_variables SET variable_value = '-5' WHERE variable_name = 'mysql-shun_on_failures'",
    );
    console.ok(
        "UPDATE global_variables SET variable_value = 'false' WHERE variable_name = 'mysql-multiplexing'",
    );
    assert_eq!(
        console.refused("LOAD MYSQL VARIABLES TO RUNTIME"),
        "Standfast Admin Error: mysql-shun_on_failures: '-5' is refused: it takes a number from 0 to 10000000"
    );
    console.ok("INSERT INTO mysql_servers (hostgroup_id, hostname) VALUES ('ten', 'db9')");
    console.refused("LOAD MYSQL SERVERS TO RUNTIME");
    assert_eq!(console.snapshot().generation, before.generation);
    assert!(console.snapshot().variables.multiplexing);
}

#[test]
fn a_bad_row_on_disk_does_not_stop_the_others_at_start() {
    let dir = DataDir::new();
    let mut console = Console::boot(&dir.0, small_config());
    console.ok("INSERT INTO mysql_query_rules (rule_id, active, match_digest) VALUES (7, 1, '^SELECT (')");
    console.ok("INSERT INTO global_variables VALUES ('mysql-nonesuch', '1')");
    console.ok("UPDATE global_variables SET variable_value = 'x' WHERE variable_name = 'mysql-multiplexing'");
    console.ok("SAVE MYSQL QUERY RULES TO DISK; SAVE MYSQL VARIABLES TO DISK");
    drop(console);
    let mut console = Console::boot(&dir.0, small_config());
    assert_eq!(console.snapshot().variables.monitor.username, "watcher");
    assert!(console.snapshot().variables.multiplexing);
    assert!(console.rows("SELECT * FROM global_variables WHERE variable_name = 'mysql-nonesuch'").is_empty());
}

#[test]
fn a_ruined_database_leaves_the_configuration_file_in_force() {
    let dir = DataDir::new();
    std::fs::write(dir.0.join("standfast.db"), "this is no database, whatever its name says")
        .expect("written");
    let mut console = Console::boot(&dir.0, small_config());
    assert!(console.snapshot().users.get("app").is_some());
    let refusal = console.refused("SAVE MYSQL USERS TO DISK");
    assert!(refusal.contains("the admin database on disk is not available"), "{refusal}");
    let kept = std::fs::read_to_string(dir.0.join("standfast.db")).expect("still there");
    assert!(kept.starts_with("this is no database"), "nobody overwrites what may be repaired");
}

#[test]
fn saving_from_runtime_keeps_inactive_rows_and_takes_moved_writers() {
    let dir = DataDir::new();
    let mut console = Console::boot(&dir.0, small_config());
    console.ok("INSERT INTO mysql_users (username, password, active) VALUES ('sleeper', 'x', 0)");
    console
        .ok("INSERT INTO mysql_replication_hostgroups (writer_hostgroup, reader_hostgroup) VALUES (10, 20)");
    console.ok(
        "LOAD MYSQL USERS TO RUNTIME; LOAD MYSQL SERVERS TO RUNTIME; UPDATE mysql_users SET password = 'y'",
    );
    let address = Address::sample("db1");
    let demoted = ServerChange::ReadOnly { writer_hostgroup: 10, address, read_only: true };
    console.runtime.borrow_mut().apply(demoted);
    assert_eq!(console.rows("SELECT hostgroup_id FROM runtime_mysql_servers"), ["20"]);
    assert_eq!(console.rows("SELECT hostgroup_id FROM mysql_servers"), ["10"]);
    console.ok("SAVE MYSQL USERS TO MEMORY; SAVE MYSQL SERVERS FROM RUNTIME");
    assert_eq!(
        console.rows("SELECT username, password FROM mysql_users ORDER BY 1"),
        ["app,secret", "sleeper,y"]
    );
    assert_eq!(console.rows("SELECT hostgroup_id FROM mysql_servers"), ["20"]);
    assert_eq!(console.rows("SELECT writer_hostgroup FROM mysql_replication_hostgroups"), ["10"]);
}

#[test]
fn a_shunned_server_is_saved_as_online() {
    let dir = DataDir::new();
    let mut console = Console::boot(&dir.0, small_config());
    let address = Address::sample("db1");
    let shun = ServerChange::Status { address, status: Status::Shunned, reason: "ping".into() };
    console.runtime.borrow_mut().apply(shun);
    assert_eq!(console.rows("SELECT status FROM runtime_mysql_servers"), ["SHUNNED"]);
    console.ok("SAVE MYSQL SERVERS TO MEMORY");
    assert_eq!(console.rows("SELECT status FROM mysql_servers"), ["ONLINE"]);
}

#[test]
fn loading_from_the_configuration_file_merges() {
    let dir = DataDir::new();
    let mut console = Console::boot(&dir.0, small_config());
    console.ok("DELETE FROM mysql_servers; INSERT INTO mysql_servers (hostname) VALUES ('mine')");
    console.ok("LOAD MYSQL SERVERS FROM CONFIG");
    assert_eq!(console.rows("SELECT hostname FROM mysql_servers ORDER BY 1"), ["db1", "mine"]);
}

#[test]
fn memory_and_disk_are_told_apart() {
    let dir = DataDir::new();
    let mut console = Console::boot(&dir.0, small_config());
    console.ok("SET mysql-shun_on_failures = 9, mysql-monitor_password='it''s'");
    assert_eq!(console.rows("SELECT @@mysql-shun_on_failures"), ["5"], "runtime");
    console.ok("LOAD MYSQL VARIABLES TO RUNTIME");
    assert_eq!(console.rows("SELECT @@mysql-shun_on_failures"), ["9"]);
    assert_eq!(console.snapshot().variables.monitor.password, "it's");
    console.ok("LOAD MYSQL VARIABLES FROM DISK");
    let shown = console.rows("SHOW VARIABLES LIKE 'mysql-shun_on_failures'");
    assert_eq!(shown, ["mysql-shun_on_failures,5"]);
}

#[test]
fn nobody_locks_himself_out() {
    let dir = DataDir::new();
    let mut console = Console::boot(&dir.0, small_config());
    console.ok("SET admin-admin_credentials = 'admin'");
    assert!(console.refused("LOAD ADMIN VARIABLES TO RUNTIME").contains("no login with a password"));
    console.ok("SET admin-admin_credentials = 'root:x;other:y', admin-stats_credentials='stats:s'");
    console.ok("LOAD ADMIN VARIABLES TO RUNTIME");
    assert_eq!(console.admin.find_login("other").expect("a login").password, "y");
    assert!(console.admin.find_login("stats").expect("a login").rights.stats_only);
    assert!(console.admin.find_login("admin").is_none());
}

#[test]
fn a_stats_login_reads_stats_only() {
    let dir = DataDir::new();
    let mut console = Console::boot(&dir.0, small_config());
    console.session.stats_only = true;
    console.ok("SELECT * FROM stats_mysql_global; SHOW TABLES FROM stats; SHOW DATABASES; SHOW MYSQL STATUS; SET NAMES utf8");
    for sql in [
        "SELECT * FROM mysql_users",
        "SELECT (SELECT password FROM main.mysql_users) FROM stats_mysql_global",
        "SHOW VARIABLES",
        "DELETE FROM mysql_users",
        "LOAD MYSQL USERS FROM DISK",
        "SET mysql-threads = 1",
        "PROXYSQL READWRITE",
        "KILL 1",
        "SELECT * FROM disk.global_variables",
    ] {
        console.refused(sql);
    }
}

#[test]
fn a_runaway_statement_is_stopped() {
    let dir = DataDir::new();
    let mut console = Console::boot(&dir.0, small_config());
    let endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)";
    assert!(console.refused(&format!("{endless} SELECT count(*) FROM c")).contains("interrupted"));
    assert!(
        console.refused(&format!("{endless} SELECT x, hex(zeroblob(65536)) FROM c")).contains("too large")
    );
    assert!(console.refused("SELECT zeroblob(1000000000)").contains("too big"));
    assert_eq!(console.rows("SELECT 1"), ["1"]);
}

#[test]
fn what_the_daemon_fills_is_read_only_and_tables_stay_as_they_are() {
    let dir = DataDir::new();
    let mut console = Console::boot(&dir.0, small_config());
    for (sql, reason) in [
        ("DELETE FROM runtime_mysql_servers", "main.runtime_mysql_servers is read-only"),
        ("UPDATE stats_mysql_global SET Variable_Value = 1", "stats.stats_mysql_global is read-only"),
        ("TRUNCATE TABLE monitor.mysql_server_ping_log", "monitor.mysql_server_ping_log is read-only"),
        ("DROP TABLE mysql_servers", "cannot be created, altered or dropped"),
        ("CREATE TABLE t (a)", "cannot be created, altered or dropped"),
        ("ATTACH DATABASE '/tmp/x' AS x", "ATTACH is not allowed here"),
        ("WITH x AS (SELECT 1) INSERT INTO runtime_mysql_users SELECT * FROM x", "read-only"),
        ("PRAGMA writable_schema = 1", "PRAGMA is not allowed here"),
        ("SELECT load_extension('x')", "extensions cannot be loaded"),
        ("SELECT * FROM pragma_table_list", ""),
        ("EXPLAIN ATTACH DATABASE 'x' AS y", ""),
    ] {
        let refusal = console.refused(sql);
        assert!(
            refusal.starts_with("Standfast Admin Error: ") && refusal.contains(reason),
            "{sql}: {refusal}"
        );
    }
    console.ok("PROXYSQL READONLY");
    assert!(console.refused("DELETE FROM mysql_users").contains("PROXYSQL READWRITE"));
    console.refused("SET mysql-threads = 2");
    console.refused("LOAD MYSQL USERS FROM DISK");
    console.ok("PROXYSQL READWRITE");
    assert_eq!(console.ok("TRUNCATE mysql_users"), Answer::Ok { affected: 1, warnings: 0 });
    console.ok("INSERT INTO mysql_query_rules (active, match_digest) VALUES (1, '^x'); DELETE FROM mysql_query_rules");
}

#[test]
fn fast_routing_is_loaded_with_the_rules() {
    let dir = DataDir::new();
    let mut console = Console::boot(&dir.0, FirstBoot::default());
    console.ok("INSERT INTO mysql_query_rules_fast_routing VALUES ('app', 'shop', 0, 30, ''), ('', 'shop', 7, 31, '')");
    console.ok("LOAD MYSQL QUERY RULES TO RUNTIME; SAVE MYSQL QUERY RULES TO DISK");
    assert_eq!(
        console.rows(
            "SELECT username, destination_hostgroup FROM runtime_mysql_query_rules_fast_routing ORDER BY 2"
        ),
        ["app,30", ",31"]
    );
    console.ok("INSERT INTO mysql_query_rules_fast_routing VALUES ('app', 'shop', -1, 30, '')");
    let refusal = console.refused("LOAD MYSQL QUERY RULES TO RUNTIME");
    assert!(refusal.contains("mysql_query_rules_fast_routing"), "{refusal}");
    drop(console);
    let mut console = Console::boot(&dir.0, FirstBoot::default());
    assert_eq!(console.rows("SELECT COUNT(*) FROM runtime_mysql_query_rules_fast_routing"), ["2"]);
}

#[test]
fn a_rule_with_bad_attributes_is_refused() {
    let dir = DataDir::new();
    let mut console = Console::boot(&dir.0, FirstBoot::default());
    console
        .ok("INSERT INTO mysql_query_rules (rule_id, active, attributes) VALUES (7, 1, '{\"flagOUTs\":3}')");
    let refusal = console.refused("LOAD MYSQL QUERY RULES TO RUNTIME");
    assert!(refusal.contains("query rule 7: attributes: flagOUTs"), "{refusal}");
}
