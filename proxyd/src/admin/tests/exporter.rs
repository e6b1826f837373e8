//! What Percona's proxysql_exporter (PMM) asks of the admin interface, with a login of `admin-stats_credentials`: its dashboards
//! are made of the answers, and it reads columns by their names.

use super::*;

fn monitoring() -> (DataDir, Console) {
    let dir = DataDir::new();
    let mut console = Console::boot(&dir.0, small_config());
    console.session = console.admin.open_session(2, "stats", Rights { stats_only: true, read_only: true });
    (dir, console)
}

fn columns(console: &mut Console, sql: &str) -> Vec<String> {
    match console.ok(sql) {
        Answer::Rows(result) => result.columns,
        answer @ Answer::Ok { .. } => panic!("{sql}: {answer:?}"),
    }
}

#[test]
fn its_statements_have_their_columns() {
    let (_dir, mut console) = monitoring();
    let pool =
        columns(&mut console, "SELECT hostgroup, srv_host, srv_port, * FROM stats_mysql_connection_pool");
    for column in
        ["status", "ConnUsed", "ConnFree", "ConnOK", "ConnERR", "Queries", "Bytes_data_sent", "Latency_us"]
    {
        assert!(pool.iter().any(|it| it == column), "no {column} in {pool:?}");
    }
    // As with ProxySQL, a login of the statistics does not read the configuration.
    console.session = console.admin.open_session(3, "admin", Rights::default());
    let servers =
        columns(&mut console, "SELECT hostgroup_id, hostname, port, gtid_port, * FROM runtime_mysql_servers");
    for column in ["status", "weight", "max_connections", "max_replication_lag", "use_ssl", "max_latency_ms"]
    {
        assert!(servers.iter().any(|it| it == column), "no {column} in {servers:?}");
    }
    console.session = console.admin.open_session(4, "stats", Rights { stats_only: true, read_only: true });
    let grouped = "SELECT user, db, cli_host, hostgroup, COUNT(*) AS count FROM stats_mysql_processlist \
                   GROUP BY user, db, cli_host, hostgroup";
    assert_eq!(columns(&mut console, grouped), ["user", "db", "cli_host", "hostgroup", "count"]);
    let hosts =
        "SELECT COUNT(cli_host) AS connection_count, cli_host FROM stats_mysql_processlist GROUP BY cli_host";
    assert_eq!(columns(&mut console, hosts), ["connection_count", "cli_host"]);
    let commands = "SELECT Command, Total_Time_us, Total_cnt, cnt_100us, cnt_INFs FROM stats_mysql_commands_counters \
                    WHERE Command IN ('SELECT', 'SELECT_FOR_UPDATE')";
    assert_eq!(columns(&mut console, commands).len(), 5);
    assert!(!console.rows("SELECT Variable_Name, Variable_Value FROM stats_memory_metrics").is_empty());
}

/// The variables that its dashboards draw and that mean something here.
#[test]
fn its_dashboards_find_their_variables() {
    let (_dir, mut console) = monitoring();
    let names = console.rows("SELECT LOWER(Variable_Name) FROM stats_mysql_global");
    for wanted in [
        "active_transactions",
        "client_connections_connected",
        "mirror_concurrency",
        "mirror_queue_length",
        "query_cache_bytes_in",
        "query_cache_bytes_out",
        "query_cache_count_get",
        "query_cache_count_get_ok",
        "query_cache_entries",
        "query_cache_memory_bytes",
        "questions",
    ] {
        assert!(names.iter().any(|name| name == wanted), "no {wanted} in {names:?}");
    }
    let pool = console.rows("SELECT status FROM stats_mysql_connection_pool");
    assert_eq!(pool, ["ONLINE"]);
}
