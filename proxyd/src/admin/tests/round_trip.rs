//! `SAVE CONFIG TO FILE`, read into an empty database: every row of every table is there again.

use super::super::import::{make, read};
use super::super::store::tables::{Kind, of_kind};
use super::*;

/// One row in each table that has not one of them already, with what is hard to write: quotes, backslashes, NULLs,
/// newlines, numbers in texts, an inactive row.
const ROWS: &str = r#"
INSERT INTO mysql_servers (hostgroup_id, hostname, port, gtid_port, weight, comment) VALUES (10, 'db 2', 3307, 33061, 9999999999, 'a "quoted" \\d+ \
text'), (11, '/run/mysql.sock', 0, 0, 0, '12');
INSERT INTO mysql_servers_ssl_params (hostname, username, ssl_ca) VALUES ('db1', 'app', '/ca.pem');
INSERT INTO mysql_users (username, password, active, default_schema, attributes) VALUES ('off', NULL, 0, NULL, '{"a": "b"}'), ('*hash', '*94BDCEBE19083CE2A1F959FD02F964C7AF4CFC29', 1, '007', '');
INSERT INTO mysql_query_rules (rule_id, active, match_pattern, replace_pattern, flagOUT, error_msg) VALUES (7, 0, '^SELECT\s+(\d+)', 'SELECT "\1"', 3, NULL);
INSERT INTO mysql_query_rules_fast_routing VALUES ('app', 'shop', 0, 10, '');
INSERT INTO mysql_replication_hostgroups VALUES (30, 31, 'super_read_only', 'é');
INSERT INTO mysql_group_replication_hostgroups VALUES (40, 41, 42, 43, 0, 1, 2, 100, NULL);
INSERT INTO mysql_galera_hostgroups VALUES (50, 51, 52, 53, 1, 1, 1, 100, 'x');
INSERT INTO mysql_aws_aurora_hostgroups (writer_hostgroup, reader_hostgroup, domain_name) VALUES (60, 61, '.example');
INSERT INTO mysql_hostgroup_attributes (hostgroup_id, init_connect, hostgroup_settings) VALUES (10, 'SET a=1', '{"handle_warnings": 0}');
INSERT INTO proxysql_servers VALUES ('10.0.0.1', 6032, 1, '');
INSERT INTO scheduler (id, interval_ms, filename, arg1, arg3) VALUES (1, 1000, '/bin/true', '5', '');
INSERT INTO restapi_routes (id, timeout_ms, method, uri, script) VALUES (1, 1000, 'GET', 'x', '/bin/true');
INSERT INTO mysql_firewall_whitelist_users VALUES (1, 'app', '', 'DETECTING', '');
INSERT INTO mysql_firewall_whitelist_rules VALUES (1, 'app', '', 'shop', 0, '0xAC80A5EA0101522E', '');
INSERT INTO mysql_firewall_whitelist_sqli_fingerprints VALUES (0, 'sc');
INSERT INTO mysql_ldap_mapping VALUES (1, 'a', 'b', '');
INSERT INTO coredump_filters VALUES ('f.cpp', 1);
INSERT INTO debug_levels VALUES ('m', 1);
INSERT INTO debug_filters VALUES ('f.cpp', 1, '');
SET mysql-shun_on_failures = 7, mysql-eventslog_filename = 'events "x"', mysql-init_connect = '0042', admin-stats_credentials = 'stats:1:2';
"#;

#[test]
fn a_saved_configuration_is_the_same_when_it_is_read() {
    let dir = DataDir::new();
    let mut console = Console::boot(&dir.0, small_config());
    console.ok(ROWS);
    let file = dir.0.join("saved.cnf");
    console.ok(&format!("SAVE CONFIG TO FILE '{}'", file.display()));
    let fresh = dir.0.join("fresh");
    std::fs::create_dir(&fresh).expect("a directory");
    let report = make(read(&file).expect("read"), &fresh.join("standfast.db")).expect("made");
    let left: Vec<_> = report["entries"]
        .as_array()
        .expect("entries")
        .iter()
        .filter(|entry| entry["fate"] == "left")
        .collect();
    assert!(left.is_empty(), "{left:?}");
    let mut again = Console::boot(&fresh, FirstBoot::default());
    for table in of_kind(Kind::Config) {
        let all = format!("SELECT {} FROM {} ORDER BY 1, 2", table.column_list(), table.name);
        let rows = console.rows(&all);
        assert!(!rows.is_empty(), "{} has no row in this test", table.name);
        assert_eq!(rows, again.rows(&all), "{}", table.name);
    }
}
