//! Small sources, as they are in the wild.

use std::path::{Path, PathBuf};
use std::{env, fs, process};

use rusqlite::Connection;
use serde_json::Value as Json;

use super::{cnf, database, make};

/// A directory that goes when the test ends.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let path = env::temp_dir().join(format!("standfast-import-{}-{name}", process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("directory");
        Directory(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const CNF: &str = r#"
datadir="/var/lib/proxysql"
admin_variables=
{
    admin_credentials="admin:secret-one"   # clear
    mysql_ifaces="0.0.0.0:6032;/tmp/proxysql_admin.sock"
}
mysql_variables=
{
    threads=4
    interfaces="0.0.0.0:6033"
    monitor_password="secret-two"
    connect_timeout_server=3
    never_heard_of="1"
    have_compress=true
}
mysql_servers =
(
    { address="10.0.0.1" , port=3306 , hostgroup=10, max_connections=200 },
    { hostname="10.0.0.2", hostgroup_id=20, weight=7, status="online", comment="it's \"quoted\"" },
    { address="10.0.0.3" },
    { address="10.0.0.4", hostgroup=20, port=70000 },
    { address="10.0.0.2", hostgroup=20, weight=9 }
)
mysql_users:
(
    { username = "app", password = "secret-three", default_hostgroup = 10, active = 1, colour="red" },
    { username = "hash", password = "*FF48E68563F59169DF2C2F820BAC747E1DA6A5D2", transaction_persistent = true }
)
mysql_query_rules:
(
    { rule_id=1, match_pattern="^SELECT .* FOR UPDATE$", destination_hostgroup=10, apply=1 },
    { rule_id=2, active=0, match_digest="^\s*SELECT", destination_hostgroup=20, apply=1 },
    { rule_id=3, match_pattern="(unclosed", apply=1 },
    { match_pattern="x", apply=1 }
)
pgsql_servers=( { address="10.0.0.9" } )
"#;

fn text(database: &Path, sql: &str) -> String {
    let db = Connection::open(database).expect("open");
    let mut statement = db.prepare(sql).expect("prepare");
    let width = statement.column_count();
    let rows = statement.query_map([], |row| {
        let cells = (0..width).map(|index| row.get::<_, rusqlite::types::Value>(index));
        cells.map(|cell| cell.map(|cell| format!("{cell:?}"))).collect::<Result<Vec<_>, _>>()
    });
    let rows: Vec<String> = rows.expect("rows").map(|row| row.expect("row").join(" ")).collect();
    rows.join("\n")
}

fn entries(answer: &Json, fate: &str) -> Vec<String> {
    let all = answer["entries"].as_array().expect("entries").iter().filter(|entry| entry["fate"] == fate);
    all.map(|entry| {
        let part = |key: &str| entry[key].as_str().expect("text").to_owned();
        format!("{}: {}", part("place"), part("text"))
    })
    .collect()
}

#[test]
fn a_proxysql_cnf_with_everything_that_files_have() {
    let directory = Directory::new("cnf");
    let into = directory.file("new.db");
    let answer = make(cnf::read(CNF).expect("read"), &into).expect("made");
    assert_eq!(
        text(
            &into,
            "SELECT hostgroup_id, hostname, max_connections FROM mysql_servers WHERE hostgroup_id = 10"
        ),
        "Integer(10) Text(\"10.0.0.1\") Integer(200)"
    );
    assert_eq!(text(&into, "SELECT weight FROM mysql_servers WHERE hostname = '10.0.0.2'"), "Integer(9)");
    assert_eq!(
        text(&into, "SELECT rule_id, active FROM mysql_query_rules ORDER BY 1"),
        "Integer(1) Integer(1)\nInteger(2) Integer(0)\nInteger(3) Integer(0)"
    );
    assert_eq!(
        text(&into, "SELECT match_digest FROM mysql_query_rules WHERE rule_id = 2"),
        r#"Text("^\\s*SELECT")"#
    );
    assert_eq!(
        text(
            &into,
            "SELECT variable_value FROM global_variables WHERE variable_name = 'mysql-monitor_password'"
        ),
        "Text(\"secret-two\")"
    );
    assert_eq!(
        entries(&answer, "left"),
        [
            "2: datadir: the data directory is data_dir in [paths]",
            "21: mysql_servers: a row without hostgroup_id, which ProxySQL leaves out, too",
            "27: mysql_users.colour: there is no such column",
            "35: mysql_query_rules: a row without rule_id, which ProxySQL leaves out, too",
            "37: pgsql_servers: not known here",
            "13: mysql-connect_timeout_server: '3' is refused: it takes a number from 10 to 120000; the default is used",
            "14: unknown global variable 'mysql-never_heard_of'; the default is used",
            "22: mysql_servers: CHECK constraint failed: port >= 0 AND port <= 65535",
        ]
    );
    let changed = entries(&answer, "changed");
    assert!(changed[0].contains("mysql_servers: 1 of its rows have the key of a later one"), "{changed:?}");
    assert!(changed[1].contains("mysql_query_rules: kept, but inactive: query rule 3"), "{changed:?}");
    assert!(entries(&answer, "taken").contains(&": mysql_users: 2".to_owned()));
    assert_eq!(answer["settings"]["mysql-interfaces"], "0.0.0.0:6033");
    for secret in ["secret-two", "secret-three", "FF48E68563"] {
        assert!(!answer.to_string().contains(secret), "{secret}");
    }
    let again = make(cnf::read(CNF).expect("read"), &into).expect_err("it is there");
    assert!(again.ends_with("new.db is there already"), "{again}");
}

#[test]
fn a_proxysql_db_of_an_older_version() {
    let directory = Directory::new("db");
    let (old, into) = (directory.file("proxysql.db"), directory.file("new.db"));
    let db = Connection::open(&old).expect("create");
    db.execute_batch(
        "CREATE TABLE global_variables (variable_name VARCHAR PRIMARY KEY, variable_value VARCHAR NOT NULL);
         INSERT INTO global_variables VALUES ('mysql-max_connections','2048'), ('mysql-interfaces','0.0.0.0:6033'),
           ('mysql-default_authentication_plugin','mysql_native_password'), ('pgsql-threads','4'), ('pgsql-x','y'),
           ('admin-admin_credentials','admin:admin'), ('mysql-shun_on_failures','-1');
         CREATE TABLE mysql_servers (hostgroup_id INT, hostname VARCHAR, port INT, status VARCHAR, weight INT, later INT);
         INSERT INTO mysql_servers VALUES (1,'a',3306,'ONLINE',1,0), (2,'b',3306,'SHUNNED',100000000,5);
         CREATE TABLE mysql_users (username VARCHAR, password VARCHAR, active INT, backend INT, frontend INT);
         INSERT INTO mysql_users VALUES ('one','pw-one',1,1,1), ('two',NULL,0,1,1), ('three','x',7,1,1);
         CREATE TABLE scheduler (id INTEGER PRIMARY KEY, interval_ms INT, filename VARCHAR);
         INSERT INTO scheduler VALUES (1, 1000, '/bin/check');
         CREATE TABLE mysql_servers_v1_1 (x INT); INSERT INTO mysql_servers_v1_1 VALUES (1);
         CREATE TABLE clickhouse_users (x INT); INSERT INTO clickhouse_users VALUES (1);
         CREATE TABLE global_settings (x INT); INSERT INTO global_settings VALUES (1);",
    )
    .expect("fill");
    drop(db);
    let answer = make(database::read(&old).expect("read"), &into).expect("made");
    assert_eq!(text(&into, "SELECT COUNT(*) FROM mysql_servers"), "Integer(2)");
    assert_eq!(
        text(&into, "SELECT username, active FROM mysql_users ORDER BY 1"),
        "Text(\"one\") Integer(1)\nText(\"two\") Integer(0)"
    );
    assert_eq!(
        entries(&answer, "left"),
        [
            "clickhouse_users: there is no such table here; 1 rows",
            "global_variables: pgsql-*: 2 variables of a module that does not exist here",
            "mysql_servers: column later: not known here; 1 rows have a value in it",
            "global_variables row 7: mysql-shun_on_failures: '-1' is refused: it takes a number from 0 to 10000000; the default is used",
            "mysql_users row 3: mysql_users: CHECK constraint failed: active IN (0,1)",
        ]
    );
    let changed = entries(&answer, "changed").join("\n");
    assert!(changed.contains("mysql-default_authentication_plugin: ProxySQL's default"), "{changed}");
    assert!(changed.contains("weight 100000000 of b:3306"), "{changed}");
    assert!(!answer.to_string().contains("pw-one"));
}

#[test]
fn other_databases_and_broken_files_are_refused() {
    let directory = Directory::new("bad");
    let other = directory.file("other.db");
    Connection::open(&other).and_then(|db| db.execute_batch("CREATE TABLE t (x)")).expect("create");
    assert!(database::read(&other).unwrap_err().contains("not a ProxySQL's"));
    assert!(cnf::read("mysql_servers = ( {").unwrap_err().starts_with("line 1"));
    let into = directory.file("into.db");
    let made = make(cnf::read("mysql_servers = 3\nmysql_users=(1)\n").expect("read"), &into).expect("made");
    assert_eq!(entries(&made, "left").len(), 2);
}
