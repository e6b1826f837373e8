//! `EXPLAIN ROUTE`: what it says is what a session does.

use super::{Console, DataDir, small_config};

#[test]
fn rules_hostgroup_and_servers_with_their_reasons() {
    let dir = DataDir::new();
    let mut admin = Console::boot(&dir.0, small_config());
    admin.ok(
        "INSERT INTO mysql_query_rules (rule_id, active, username, match_digest, flagOUT, retries) VALUES (2,1,'app','SELECT',5,3);
         INSERT INTO mysql_query_rules (rule_id, active, flagIN, match_pattern, replace_pattern, apply, destination_hostgroup)
            VALUES (3,1,5,'old','new',1,20);
         INSERT INTO mysql_query_rules (rule_id, active, match_pattern, error_msg, apply) VALUES (4,1,'^DROP','no',1);
         INSERT INTO mysql_servers (hostgroup_id, hostname, weight) VALUES (20,'a',1),(20,'b',3);
         INSERT INTO mysql_servers (hostgroup_id, hostname, status) VALUES (20,'c','OFFLINE_SOFT');
         INSERT INTO mysql_servers (hostgroup_id, hostname, weight) VALUES (20,'d',0);
         LOAD MYSQL SERVERS TO RUNTIME; LOAD MYSQL QUERY RULES TO RUNTIME",
    );
    let rows = admin.rows("EXPLAIN ROUTE 'SELECT ''x'' FROM old WHERE a = 1' USER 'app'");
    assert_eq!(
        rows,
        [
            &*format!("digest,{},SELECT ? FROM old WHERE a = ?", digest(&mut admin)),
            "rule,1,flagIN 0: match_digest=^SELECT  => destination_hostgroup=10",
            "rule,2,flagIN 0: username=app, match_digest=SELECT => retries=3; flagOUT 5",
            "rule,3,flagIN 5: match_pattern=old => destination_hostgroup=20, replace_pattern=new; apply",
            "rewritten,,SELECT 'x' FROM new WHERE a = 1",
            "hostgroup,20,rule 3",
            "server,a:3306,eligible, weight 1: 25 % of what is not tied elsewhere",
            "server,b:3306,eligible, weight 3: 75 % of what is not tied elsewhere",
            "server,c:3306,not eligible, weight 1: OFFLINE_SOFT: set by the operator",
            "server,d:3306,not eligible, weight 0: its weight is 0",
            "note,,inside a transaction, or while something else ties the session to a server, it stays there",
        ]
    );
    let last = |rows: Vec<String>| rows.last().cloned().unwrap_or_default();
    assert_eq!(last(admin.rows("EXPLAIN ROUTE FOR 'DROP TABLE t'")), "answer,the proxy's own,error_msg: no");
    let rows = admin.rows("explain route 'INSERT INTO t VALUES (1)' user 'app' schema 's'");
    assert_eq!(rows[1], "hostgroup,10,no rule matched: default_hostgroup of user app");
    let rows = admin.rows("EXPLAIN ROUTE 'INSERT INTO t VALUES (1)'");
    assert_eq!(rows[1], "hostgroup,none,no rule matched, and without a user there is no default_hostgroup");
    let rows = admin.rows("EXPLAIN ROUTE 'INSERT INTO t VALUES (1)' USER 'nobody'");
    assert_eq!(rows[1], "hostgroup,none,no rule matched, and there is no user nobody at runtime");
}

/// The digest that `SELECT ? FROM old WHERE a = ?` has elsewhere, too.
fn digest(admin: &mut Console) -> String {
    let options = admin.snapshot().variables.digest_options;
    let mut digester = proxyd_sql::Digester::new(options);
    digester.digest(b"SELECT 'x' FROM old WHERE a = 1");
    format!("0x{:016X}", digester.hash())
}

#[test]
fn fast_routing_and_comments() {
    let dir = DataDir::new();
    let mut admin = Console::boot(&dir.0, small_config());
    admin.ok(
        "INSERT INTO mysql_query_rules_fast_routing (username, schemaname, destination_hostgroup, comment) VALUES ('app','shop',77,'');
         LOAD MYSQL QUERY RULES TO RUNTIME",
    );
    let rows = admin.rows("EXPLAIN ROUTE 'UPDATE t SET a = 1' USER 'app' SCHEMA 'shop'");
    assert!(rows[1].starts_with("hostgroup,77,mysql_query_rules_fast_routing"), "{rows:?}");
    assert_eq!(rows[2], "server,none,there is no server in this hostgroup");
    let rows = admin.rows("EXPLAIN ROUTE 'UPDATE /* hostgroup=30 */ t SET a = 1' USER 'app' SCHEMA 'shop'");
    assert_eq!(rows[1], "hostgroup,30,the statement's comment");
}

#[test]
fn who_may_ask_and_how() {
    let dir = DataDir::new();
    let mut admin = Console::boot(&dir.0, small_config());
    for wrong in
        ["EXPLAIN ROUTE", "EXPLAIN ROUTE 'a' USER", "EXPLAIN ROUTE 'a' COLOUR 'red'", "EXPLAIN ROUTE x"]
    {
        assert!(admin.refused(wrong).contains("EXPLAIN ROUTE 'statement'"), "{wrong}");
    }
    admin.session.stats_only = true;
    assert!(admin.refused("EXPLAIN ROUTE 'SELECT 1'").contains("may not"));
}

#[test]
fn status_says_what_is_not_saved() {
    let dir = DataDir::new();
    let mut admin = Console::boot(&dir.0, small_config());
    let database = dir.0.join("standfast.db");
    assert!(admin.admin.unsaved(&database).is_empty());
    admin.ok("UPDATE mysql_servers SET weight = 5; LOAD MYSQL SERVERS TO RUNTIME");
    assert_eq!(admin.admin.unsaved(&database), ["MYSQL SERVERS"]);
    admin.ok("SET mysql-max_connections = 77; LOAD MYSQL VARIABLES TO RUNTIME; SAVE MYSQL SERVERS TO DISK");
    assert_eq!(admin.admin.unsaved(&database), ["MYSQL VARIABLES"]);
}
