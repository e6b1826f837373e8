//! The tables beside servers, users and rules.

use super::*;
use crate::route::{Suspect, Verdict};

#[test]
fn hostgroup_attributes_reach_the_workers() {
    let dir = DataDir::new();
    let mut console = Console::boot(&dir.0, small_config());
    console.ok("INSERT INTO mysql_hostgroup_attributes (hostgroup_id, max_num_online_servers, free_connections_pct, init_connect, multiplex, throttle_connections_per_sec) VALUES (10, 2, 50, 'SET a=1', 0, 7)");
    assert_eq!(console.ok("LOAD MYSQL SERVERS TO RUNTIME"), Answer::Ok { affected: 1, warnings: 0 });
    let snapshot = console.snapshot();
    let attributes = &snapshot.hostgroups[&10].attributes;
    assert_eq!((attributes.max_num_online_servers, attributes.free_connections_pct), (2, Some(50)));
    assert_eq!((attributes.init_connect.as_deref(), attributes.multiplex), (Some("SET a=1"), false));
    assert_eq!(attributes.throttle_connections_per_sec, Some(7));
    console.ok("UPDATE mysql_hostgroup_attributes SET autocommit = 1, servers_defaults = '{\"weight\": 7}', hostgroup_settings = '{\"single_writer\": 1, \"handle_warnings\": 0}'");
    assert_eq!(console.ok("LOAD MYSQL SERVERS TO RUNTIME"), Answer::Ok { affected: 1, warnings: 2 });
    assert_eq!(
        console.rows("SHOW WARNINGS"),
        [
            "Warning,1105,mysql_hostgroup_attributes: hostgroup_settings of hostgroup 10: handle_warnings is kept and has no effect",
            "Warning,1105,mysql_hostgroup_attributes: autocommit is kept and has no effect (set in 1 rows)"
        ]
    );
    let attributes = &console.snapshot().hostgroups[&10].attributes.clone();
    assert!(attributes.settings.single_writer);
    assert_eq!(attributes.servers_defaults.weight, Some(7));
    console.refused("UPDATE mysql_hostgroup_attributes SET servers_defaults = '{'");
    console.ok("DELETE FROM mysql_hostgroup_attributes; LOAD MYSQL SERVERS TO RUNTIME");
    assert!(console.snapshot().hostgroups[&10].attributes.multiplex);
}

#[test]
fn the_firewall_is_loaded() {
    let dir = DataDir::new();
    let mut console = Console::boot(&dir.0, small_config());
    console.ok("INSERT INTO mysql_firewall_whitelist_users VALUES (1, 'app', '', 'PROTECTING', ''), (0, 'app', '10.0.0.1', 'OFF', '')");
    console.ok("INSERT INTO mysql_firewall_whitelist_rules VALUES (1, 'app', '', 'shop', 0, '0x1E09', '')");
    console.ok("LOAD MYSQL FIREWALL TO RUNTIME; SAVE MYSQL FIREWALL TO DISK");
    let judge = |console: &Console, digest| {
        let suspect =
            Suspect { username: "app", client_address: "10.0.0.1", schemaname: "shop", flag: 0, digest };
        console.snapshot().firewall.judge(&suspect)
    };
    assert_eq!(judge(&console, Some(0x1E09)), Verdict::Allowed);
    assert_eq!(judge(&console, Some(1)), Verdict::Blocked, "the row that allows all is not active");
    assert_eq!(console.rows("SELECT client_address FROM runtime_mysql_firewall_whitelist_users"), [""]);
    console.ok("UPDATE mysql_firewall_whitelist_rules SET digest = '1E09'");
    assert!(console.refused("LOAD MYSQL FIREWALL TO RUNTIME").contains("'1E09' is no digest"));
    drop(console);
    let console = Console::boot(&dir.0, small_config());
    assert_eq!(judge(&console, Some(0x1E09)), Verdict::Allowed);
}

#[test]
fn rows_that_nobody_reads_are_kept_and_said_so() {
    let dir = DataDir::new();
    let mut console = Console::boot(&dir.0, small_config());
    console.ok("INSERT INTO proxysql_servers (hostname) VALUES ('proxy2')");
    assert_eq!(console.ok("LOAD PROXYSQL SERVERS TO RUNTIME"), Answer::Ok { affected: 1, warnings: 1 });
    assert_eq!(
        console.rows("SHOW WARNINGS"),
        ["Warning,1105,proxysql_servers: its rows are kept and have no effect (1 of them)"]
    );
    console.ok("SAVE PROXYSQL SERVERS TO DISK; DELETE FROM proxysql_servers");
    assert_eq!(console.ok("LOAD PROXYSQL SERVERS TO RUNTIME"), Answer::Ok { affected: 0, warnings: 0 });
    drop(console);
    let mut console = Console::boot(&dir.0, small_config());
    assert_eq!(console.rows("SELECT hostname FROM runtime_proxysql_servers"), ["proxy2"]);
}

#[test]
fn tls_parameters_that_cannot_be_used_are_said_at_once() {
    let dir = DataDir::new();
    let mut console = Console::boot(&dir.0, small_config());
    console.ok("INSERT INTO mysql_servers_ssl_params (hostname, username, ssl_ca) VALUES ('db1', 'app', '/nowhere/ca.pem')");
    assert_eq!(console.ok("LOAD MYSQL SERVERS TO RUNTIME"), Answer::Ok { affected: 1, warnings: 1 });
    let warnings = console.rows("SHOW WARNINGS");
    assert!(
        warnings[0].contains("db1:3306 for user 'app': /nowhere/ca.pem holds no usable PEM: "),
        "{warnings:?}"
    );
    console.ok("UPDATE mysql_servers_ssl_params SET ssl_ca = ''");
    assert_eq!(console.ok("LOAD MYSQL SERVERS TO RUNTIME"), Answer::Ok { affected: 1, warnings: 0 });
    console.ok("SET mysql-ssl_p2s_cipher = 'NULL-MD5'");
    assert!(matches!(console.ok("LOAD MYSQL VARIABLES TO RUNTIME"), Answer::Ok { warnings: 1, .. }));
    assert!(console.rows("SHOW WARNINGS")[0].contains("NULL-MD5"));
}

#[test]
fn routes_of_the_rest_port_are_loaded_whole_or_not_at_all() {
    let dir = DataDir::new();
    let mut console = Console::boot(&dir.0, small_config());
    let routes = console.admin.routes();
    console.ok("INSERT INTO restapi_routes (id, active, timeout_ms, method, uri, script) VALUES
        (1, 1, 1000, 'get', '/x', '/bin/true'), (2, 0, 1000, 'GET', 'x', 'true'), (3, 1, 1000, 'POST', 'x', '/nonexistent')");
    assert_eq!(console.ok("LOAD RESTAPI TO RUNTIME"), Answer::Ok { affected: 2, warnings: 1 });
    assert_eq!(console.rows("SHOW WARNINGS"), ["Warning,1105,restapi_routes: there is no /nonexistent"]);
    let loaded = routes.borrow().clone();
    assert_eq!((loaded.len(), loaded[0].timeout), (2, Duration::from_secs(1)));
    assert_eq!((loaded[0].method.as_str(), loaded[0].uri.as_str()), ("GET", "x"));
    console.ok("SAVE RESTAPI TO DISK");
    console.ok("UPDATE restapi_routes SET active = 1");
    assert!(console.refused("LOAD RESTAPI TO RUNTIME").contains("whole path"));
    console.ok("UPDATE restapi_routes SET script = '/bin/false'");
    assert!(console.refused("LOAD RESTAPI TO RUNTIME").contains("ids 1 and 2 are both for GET of x"));
    assert_eq!(*routes.borrow(), loaded);
    drop(console);
    let mut console = Console::boot(&dir.0, small_config());
    assert_eq!(*console.admin.routes().borrow(), loaded);
    assert_eq!(
        console.rows("SELECT script FROM runtime_restapi_routes ORDER BY id"),
        ["/bin/true", "/nonexistent"]
    );
}

#[test]
fn the_scheduler_takes_active_rows_with_whole_paths() {
    let dir = DataDir::new();
    let mut console = Console::boot(&dir.0, small_config());
    let jobs = console.admin.jobs();
    console.ok("INSERT INTO scheduler (id, active, interval_ms, filename, arg1, arg2, arg4) VALUES
        (1, 1, 1000, '/bin/echo', 'a', '', 'after a NULL'), (2, 0, 1000, '/bin/true', NULL, NULL, NULL)");
    assert_eq!(console.ok("LOAD SCHEDULER TO RUNTIME"), Answer::Ok { affected: 1, warnings: 0 });
    let loaded = jobs.borrow().clone();
    assert_eq!((loaded.len(), loaded[0].interval), (1, Duration::from_secs(1)));
    assert_eq!(loaded[0].arguments, ["a", ""]);
    console.ok("UPDATE scheduler SET filename = '/nonexistent'");
    assert_eq!(console.ok("LOAD SCHEDULER TO RUNTIME"), Answer::Ok { affected: 1, warnings: 1 });
    console.ok("UPDATE scheduler SET filename = 'echo'");
    assert!(console.refused("LOAD SCHEDULER TO RUNTIME").contains("whole path"));
    assert_eq!(jobs.borrow()[0].filename, "/nonexistent");
}

#[test]
fn checks_of_the_tables_hold() {
    let dir = DataDir::new();
    let mut console = Console::boot(&dir.0, small_config());
    for bad in [
        "INSERT INTO mysql_hostgroup_attributes (hostgroup_id, free_connections_pct) VALUES (1, 101)",
        "INSERT INTO mysql_firewall_whitelist_users VALUES (1, 'a', '', 'MAYBE', '')",
        "INSERT INTO scheduler (interval_ms, filename) VALUES (99, 'x')",
        "INSERT INTO restapi_routes (timeout_ms, method, uri, script) VALUES (1000, 'PUT', 'x', 'y')",
        "INSERT INTO mysql_group_replication_hostgroups VALUES (1, 1, 3, 4, 1, 1, 0, 0, '')",
        "INSERT INTO mysql_aws_aurora_hostgroups (writer_hostgroup, reader_hostgroup, domain_name, max_lag_ms) VALUES (1, 2, '.example.com', 9)",
        "INSERT INTO mysql_query_rules_fast_routing VALUES ('a', 'b', 0, -1, '')",
    ] {
        assert!(console.refused(bad).contains("CHECK constraint failed"), "{bad}");
    }
}

#[test]
fn a_user_may_have_one_row_for_clients_and_one_for_backends() {
    let dir = DataDir::new();
    let mut console = Console::boot(&dir.0, FirstBoot::default());
    console.ok("INSERT INTO mysql_users (username, password, backend, frontend) VALUES ('app', 'front', 0, 1), ('app', 'back', 1, 0), ('one', 'same', 1, 1)");
    console.ok("LOAD MYSQL USERS TO RUNTIME");
    let snapshot = console.snapshot();
    let user = snapshot.users.get("app").expect("a user");
    assert_eq!(user.credential, crate::snapshot::Credential::Clear("front".into()));
    let secret = proxyd_wire::auth::Secret::Password("back".into());
    assert_eq!(user.backend_secret(), Some(secret));
    assert_eq!(snapshot.users.get("one").expect("a user").backend_secret(), None);
    console.ok(
        "UPDATE mysql_users SET password = '*6BB4837EB74329105EE4568DDA7DC67ED2CA2AD9' WHERE frontend = 0",
    );
    console.ok("LOAD MYSQL USERS TO RUNTIME");
    assert_eq!(
        console.snapshot().users.get("app").expect("a user").backend_secret(),
        None,
        "a hash logs in nowhere"
    );
}
