//! `PROXYSQL …`, one user's LOAD and SAVE, and what is kept of the past.

use super::super::End;
use super::*;
use crate::control::WorkerCommand;

const COUNT_USERS: &str = "SELECT COUNT(*) FROM runtime_mysql_users";

#[test]
fn an_end_is_told_to_the_control_thread_and_needs_an_angel_to_be_a_restart() {
    let dir = DataDir::new();
    let mut console = Console::boot(&dir.0, small_config());
    assert!(console.refused("PROXYSQL RESTART").contains("no angel"));
    assert_eq!(*console.admin.ending.borrow(), None);
    assert_eq!(console.ok("PROXYSQL SHUTDOWN SLOW"), Answer::Ok { affected: 0, warnings: 0 });
    assert_eq!(*console.admin.ending.borrow(), Some(End::Orderly));
    console.ok("PROXYSQL KILL");
    let tokio = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    assert_eq!(tokio.block_on(console.admin.ended()), End::AtOnce);
    console.session.stats_only = true;
    console.refused("PROXYSQL KILL");
}

#[test]
fn stop_cuts_the_sessions_and_start_takes_clients_again() {
    let dir = DataDir::new();
    let (commands, mut told) = tokio::sync::mpsc::unbounded_channel();
    let worker = WorkerHandle::new(0, commands);
    let mut console = Console::with_workers(&dir.0, small_config(), vec![worker]);
    console.ok("PROXYSQL STOP");
    assert!(console.rows("SHOW WARNINGS")[0].contains("standfast drain"));
    console.ok("PROXYSQL START");
    let told: Vec<_> = std::iter::from_fn(|| told.try_recv().ok())
        .filter(|command| matches!(command, WorkerCommand::Stop | WorkerCommand::Pause(_)))
        .collect();
    assert!(matches!(told.as_slice(), [WorkerCommand::Stop, WorkerCommand::Pause(false)]), "{told:?}");
}

#[test]
fn one_user_is_loaded_and_saved_alone() {
    let dir = DataDir::new();
    let mut console = Console::boot(&dir.0, small_config());
    console.ok("INSERT INTO mysql_users (username, password) VALUES ('one', 'a'), ('two', 'b')");
    console.ok("LOAD MYSQL USER one TO RUNTIME");
    assert!(console.snapshot().users.get("one").is_some() && console.snapshot().users.get("two").is_none());
    assert_eq!(console.rows(COUNT_USERS), ["2"]);
    console.ok("SAVE MYSQL USER one TO DISK");
    assert_eq!(console.rows("SELECT username FROM disk.mysql_users ORDER BY 1"), ["app", "one"]);
    console.ok("UPDATE mysql_users SET password = 'changed'; LOAD MYSQL USER one FROM DISK");
    assert_eq!(
        console.rows("SELECT password FROM mysql_users ORDER BY username"),
        ["changed", "a", "changed"]
    );
    console.ok("DELETE FROM mysql_users WHERE username = 'one'");
    console.ok("SAVE MYSQL USER one TO MEMORY");
    assert_eq!(console.rows("SELECT COUNT(*) FROM mysql_users"), ["3"]);
    console.ok("DELETE FROM mysql_users WHERE username = 'one'; LOAD MYSQL USER one TO RUNTIME");
    assert!(console.snapshot().users.get("one").is_none());
    assert_eq!(console.rows(COUNT_USERS), ["1"]);
    assert!(console.refused("LOAD MYSQL USER nobody TO RUNTIME").contains("no user 'nobody'"));
    console.ok("LOAD MYSQL USER app FROM CONFIG");
    assert_eq!(console.rows("SELECT password FROM mysql_users WHERE username = 'app'"), ["secret"]);
}

#[test]
fn the_past_is_kept_in_a_file() {
    let dir = DataDir::new();
    let mut console = Console::boot(&dir.0, small_config());
    assert_eq!(console.ok("SAVE MYSQL DIGEST TO DISK"), Answer::Ok { affected: 0, warnings: 0 });
    for table in ["mysql_connections_hour", "history_mysql_query_digest", "system_memory"] {
        assert!(console.rows(&format!("SELECT * FROM stats_history.{table}")).is_empty());
    }
    assert!(console.refused("DELETE FROM stats_history.system_cpu").contains("read-only"));
    assert!(console.rows("SHOW TABLES FROM stats_history").contains(&"mysql_connections_day".to_owned()));
    assert!(dir.0.join("standfast-stats.db").exists());
}

#[test]
fn a_file_of_the_past_that_is_none_costs_only_the_past() {
    let dir = DataDir::new();
    std::fs::write(dir.0.join("standfast-stats.db"), "this is no database, and long enough to be sure of it")
        .expect("written");
    let mut console = Console::boot(&dir.0, small_config());
    assert!(console.rows("SELECT * FROM stats_history.system_cpu").is_empty());
    assert!(console.refused("SAVE MYSQL DIGEST TO DISK").contains("not available"));
}

#[test]
fn the_database_is_opened_again() {
    let dir = DataDir::new();
    let mut console = Console::boot(&dir.0, small_config());
    std::fs::remove_file(dir.0.join("standfast.db")).expect("removed");
    console.ok("PROXYSQL FLUSH CONFIGDB");
    assert!(console.rows("SELECT * FROM disk.mysql_users").is_empty());
    console.ok("SAVE MYSQL USERS TO DISK");
    assert_eq!(console.rows("SELECT username FROM disk.mysql_users"), ["app"]);
    assert_eq!(console.rows("SELECT LENGTH(variable_value) FROM disk.global_settings"), ["36"]);
}

#[test]
fn clients_hosts_messages_and_collations_are_tables() {
    let dir = DataDir::new();
    let mut console = Console::boot(&dir.0, small_config());
    let host = [192, 0, 2, 1].into();
    let limits = crate::hosts::HostLimits { cache_size: 10, error_counts: 1 };
    console.admin.client_hosts().note(host, false, 7, limits);
    assert_eq!(console.rows("SELECT * FROM stats_mysql_client_host_cache"), ["192.0.2.1,1,7"]);
    assert_eq!(console.rows("SELECT * FROM stats_mysql_client_host_cache_reset").len(), 1);
    assert!(console.admin.client_hosts().admits(host, limits));
    console.ok("PROXYSQL CLUSTER_NODE_UUID 8c3ccae0-0b4b-4d6a-a03a-9ec5b7d6ad4c 10.0.0.1:6032");
    assert_eq!(
        console.rows("SELECT uuid, admin_mysql_ifaces FROM stats_proxysql_servers_clients_status"),
        ["8c3ccae0-0b4b-4d6a-a03a-9ec5b7d6ad4c,10.0.0.1:6032"]
    );
    assert_eq!(
        console.rows("SHOW COLLATION LIKE 'utf8mb4_general%'"),
        ["utf8mb4_general_ci,utf8mb4,45,Yes,Yes,1"]
    );
    assert_eq!(console.rows("SHOW CHARACTER SET LIKE 'latin1'"), ["latin1,latin1,latin1_swedish_ci,1"]);
    console.session.stats_only = true;
    assert_eq!(
        console.rows("SELECT * FROM stats.global_variables WHERE variable_name = 'mysql-monitor_password'"),
        ["mysql-monitor_password,***"]
    );
}
