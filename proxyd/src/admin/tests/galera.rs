//! The published Galera and Group Replication examples, statement by statement.

use std::time::Duration;

use super::super::store::{AuroraSeen, Check, CheckLog, GaleraSeen, GroupSeen};
use super::{Console, DataDir};
use crate::runtime::{Address, AuroraServer, NodeReport, Part, ServerChange, Sight};

const HOSTGROUPS: &str = "INSERT INTO mysql_galera_hostgroups (writer_hostgroup, backup_writer_hostgroup, reader_hostgroup, \
    offline_hostgroup, active, max_writers, writer_is_also_reader, max_transactions_behind) \
    VALUES (2, 4, 3, 1, 1, 1, 0, 100);";
const SERVERS: &str = "INSERT INTO mysql_servers (hostgroup_id, hostname, port, weight) \
    VALUES (2,'172.16.1.112',3306,100), (2,'172.16.1.113',3306,10), (3,'172.16.1.114',3306,100);";

fn address() -> Address {
    Address::sample("172.16.1.112")
}

fn booted(dir: &DataDir) -> Console {
    let mut console = Console::boot(&dir.0, configs::FirstBoot::default());
    console.ok(HOSTGROUPS);
    console.ok(SERVERS);
    console.ok("LOAD MYSQL SERVERS TO RUNTIME; SAVE MYSQL SERVERS TO DISK");
    console
}

#[test]
fn the_example_runs_as_printed() {
    let dir = DataDir::new();
    let mut console = booted(&dir);
    assert_eq!(console.rows("SELECT * FROM mysql_galera_hostgroups"), ["2,4,3,1,1,1,0,100,-"]);
    assert_eq!(console.rows("SELECT * FROM runtime_mysql_galera_hostgroups"), ["2,4,3,1,1,1,0,100,-"]);
    assert_eq!(console.rows("SELECT writer_hostgroup FROM disk.mysql_galera_hostgroups"), ["2"]);
    let places =
        "SELECT hostgroup, srv_host, status FROM stats.stats_mysql_connection_pool ORDER BY srv_host";
    assert_eq!(
        console.rows(places),
        ["2,172.16.1.112,ONLINE", "4,172.16.1.113,ONLINE", "3,172.16.1.114,ONLINE"]
    );
    assert_eq!(
        console
            .rows("select hostgroup_id, hostname, port, status, weight, max_connections from mysql_servers;"),
        [
            "2,172.16.1.112,3306,ONLINE,100,1000",
            "2,172.16.1.113,3306,ONLINE,10,1000",
            "3,172.16.1.114,3306,ONLINE,100,1000"
        ]
    );
    assert_eq!(
        console.rows(
            "select hostgroup, srv_host, status, ConnUsed, MaxConnUsed, Queries from stats.stats_mysql_connection_pool \
             order by srv_host;"
        ),
        ["2,172.16.1.112,ONLINE,0,0,0", "4,172.16.1.113,ONLINE,0,0,0", "3,172.16.1.114,ONLINE,0,0,0"]
    );
    let mut variables =
        console.rows("select * from global_variables where variable_name like '%monitor_galera%';");
    variables.sort();
    assert_eq!(
        variables,
        [
            "mysql-monitor_galera_healthcheck_interval,5000",
            "mysql-monitor_galera_healthcheck_max_timeout_count,3",
            "mysql-monitor_galera_healthcheck_timeout,800"
        ]
    );
    console.refused("INSERT INTO mysql_galera_hostgroups VALUES (5, 5, 6, 7, 1, 1, 0, 0, NULL)");
    console.refused("INSERT INTO mysql_galera_hostgroups VALUES (5, 6, 7, 8, 1, 1, 3, 0, NULL)");
}

#[test]
fn a_desynced_writer_goes_offline_and_an_inactive_row_leaves_servers_as_configured() {
    let dir = DataDir::new();
    let mut console = booted(&dir);
    let part = Part::Unfit("wsrep_desync is ON".into());
    let sight = Sight::Answered(NodeReport { part, behind: 0, members: 3 });
    let change = ServerChange::Node { writer_hostgroup: 2, address: address(), sight };
    console.runtime.borrow_mut().apply(change);
    let places = "SELECT hostgroup_id, hostname FROM runtime_mysql_servers ORDER BY hostname";
    assert_eq!(console.rows(places), ["1,172.16.1.112", "2,172.16.1.113", "3,172.16.1.114"]);
    console.ok("UPDATE mysql_galera_hostgroups SET active = 0; LOAD MYSQL SERVERS TO RUNTIME");
    assert_eq!(console.rows(places), ["2,172.16.1.112", "2,172.16.1.113", "3,172.16.1.114"]);
    assert!(console.rows("SELECT * FROM runtime_mysql_galera_hostgroups").is_empty());
    console.ok("SAVE MYSQL SERVERS TO MEMORY");
    assert_eq!(console.rows("SELECT active FROM mysql_galera_hostgroups"), ["0"]);
}

#[test]
fn the_log_has_the_printed_columns() {
    let dir = DataDir::new();
    let mut console = booted(&dir);
    let seen = GaleraSeen {
        primary_partition: true,
        read_only: false,
        local_recv_queue: 0,
        local_state: 4,
        desync: false,
        reject_queries: false,
        sst_donor_rejects_queries: false,
        maintenance: false,
    };
    let log = |check, started_us, error: Option<&str>| CheckLog {
        address: address(),
        check,
        started_us,
        took: Duration::from_micros(1234),
        error: error.map(str::to_owned),
    };
    console.admin.record_check(&log(Check::Galera(Some(seen)), 1_529_510_693_289_001, None));
    console.admin.record_check(&log(Check::Galera(None), 1_529_510_693_289_002, Some("no answer in 800 ms")));
    assert_eq!(
        console.rows(
            "SELECT hostname, port, time_start_us, success_time_us, primary_partition, read_only, \
             wsrep_local_recv_queue, wsrep_local_state, wsrep_desync, wsrep_reject_queries, \
             wsrep_sst_donor_rejects_queries, pxc_maint_mode, error FROM mysql_server_galera_log ORDER BY time_start_us"
        ),
        [
            "172.16.1.112,3306,1529510693289001,1234,YES,NO,0,4,NO,NO,NO,NO,-",
            "172.16.1.112,3306,1529510693289002,0,-,-,-,-,-,-,-,-,no answer in 800 ms"
        ]
    );
    let all = console.rows("SELECT * FROM mysql_server_galera_log ORDER BY time_start_us DESC LIMIT 3");
    assert_eq!(all[1].split(',').count(), 13, "{all:?}");
}

#[test]
fn group_replication_has_the_same_hostgroups_and_the_printed_log() {
    let dir = DataDir::new();
    let mut console = Console::boot(&dir.0, configs::FirstBoot::default());
    console.ok(&HOSTGROUPS.replace("galera", "group_replication"));
    console.ok(SERVERS);
    console.ok("LOAD MYSQL SERVERS TO RUNTIME");
    let sight = Sight::Answered(NodeReport { part: Part::ReadOnly, behind: 0, members: 3 });
    let change = ServerChange::Node { writer_hostgroup: 2, address: address(), sight };
    console.runtime.borrow_mut().apply(change);
    let places = "SELECT hostgroup_id, hostname FROM runtime_mysql_servers ORDER BY hostname";
    assert_eq!(console.rows(places), ["3,172.16.1.112", "2,172.16.1.113", "3,172.16.1.114"]);
    assert_eq!(console.rows("SELECT * FROM runtime_mysql_group_replication_hostgroups").len(), 1);
    let seen = GroupSeen { viable: true, read_only: true, transactions_behind: 2 };
    console.admin.record_check(&CheckLog {
        address: address(),
        check: Check::GroupReplication(Some(seen)),
        started_us: 1_515_079_109_822_292,
        took: Duration::from_micros(1845),
        error: None,
    });
    assert_eq!(
        console.rows(
            "SELECT hostname, port, time_start_us, success_time_us, viable_candidate, read_only, \
             transactions_behind, error FROM mysql_server_group_replication_log"
        ),
        ["172.16.1.112,3306,1515079109822292,1845,YES,YES,2,-"]
    );
}

#[test]
fn a_hostgroup_has_one_master() {
    let dir = DataDir::new();
    let mut console = booted(&dir);
    console
        .ok("INSERT INTO mysql_replication_hostgroups (writer_hostgroup, reader_hostgroup) VALUES (20, 3)");
    console.ok("LOAD MYSQL SERVERS TO RUNTIME");
    assert_eq!(
        console.rows("SHOW WARNINGS"),
        [
            "Warning,1105,hostgroup 3 has several masters: mysql_replication_hostgroups with writer_hostgroup 20, \
          mysql_galera_hostgroups with writer_hostgroup 2"
        ]
    );
    console.ok("DELETE FROM mysql_replication_hostgroups");
    console.ok(&HOSTGROUPS.replace("galera", "group_replication"));
    let refusal = console.refused("LOAD MYSQL SERVERS TO RUNTIME");
    assert!(
        refusal.contains(
            "mysql_group_replication_hostgroups: writer_hostgroup 2 is one of mysql_galera_hostgroups too"
        ),
        "{refusal}"
    );
    console.ok("UPDATE mysql_galera_hostgroups SET active = 0; LOAD MYSQL SERVERS TO RUNTIME");
}

#[test]
fn auroras_three_tables() {
    let dir = DataDir::new();
    let mut console = Console::boot(&dir.0, configs::FirstBoot::default());
    let server = |id: &str, lag_ms| AuroraServer {
        server_id: id.into(),
        session_id: "a uuid".into(),
        last_update: "2024-11-02 10:00:00".into(),
        lag_ms,
        cpu: 4,
    };
    let log = |servers, promoted, started_us, error: Option<&str>| CheckLog {
        address: address(),
        check: Check::Aurora(AuroraSeen { writer_hostgroup: 1, servers, promoted }),
        started_us,
        took: Duration::from_micros(99),
        error: error.map(str::to_owned),
    };
    let second = |second: u64| (1_529_510_693 + second) * 1_000_000;
    let two = vec![(server("a", 0), 30), (server("b", 17), 47)];
    console.admin.record_check(&log(two.clone(), Some(address()), second(0), None));
    console.admin.record_check(&log(Vec::new(), None, second(1), Some("no answer in 800 ms")));
    console.admin.record_check(&log(two, None, second(2), None));
    assert_eq!(
        console.rows(
            "SELECT time_start_us, success_time_us, error, SERVER_ID, LAST_UPDATE_TIMESTAMP, \
             replica_lag_in_milliseconds, estimated_lag_ms, CPU FROM mysql_server_aws_aurora_log \
             ORDER BY time_start_us, SERVER_ID LIMIT 3"
        ),
        [
            "1529510693000000,99,-,a,2024-11-02 10:00:00,0,30,4",
            "1529510693000000,99,-,b,2024-11-02 10:00:00,17,47,4",
            "1529510694000000,0,no answer in 800 ms,,-,0,0,0"
        ]
    );
    assert_eq!(
        console.rows("SELECT * FROM mysql_server_aws_aurora_check_status"),
        ["1,172.16.1.112,3306,2018-06-20 16:04:55,3,2,no answer in 800 ms"]
    );
    assert_eq!(
        console.rows("SELECT * FROM mysql_server_aws_aurora_failovers"),
        ["1,172.16.1.112,2018-06-20 16:04:53"]
    );
}
