//! Spellings: each row is what somebody types and what it means.

use super::super::lexer::split;
use super::super::proxysql::Order;
use super::super::statement::{Move, Refusal, Statement, parse};
use super::super::store::Module;
use super::*;

fn parsed(sql: &str) -> Statement {
    let statements = split(sql);
    assert_eq!(statements.len(), 1, "{sql}");
    parse(&statements[0], "").unwrap_or_else(|refusal| panic!("{sql}: {refusal:?}"))
}

#[test]
fn every_load_and_save() {
    use Module::*;
    use Move::*;
    for (words, module) in [
        ("MYSQL USERS", Users),
        ("MYSQL SERVERS", Servers),
        ("MYSQL QUERY RULES", QueryRules),
        ("MYSQL VARIABLES", MysqlVariables),
        ("ADMIN VARIABLES", AdminVariables),
        ("MYSQL FIREWALL", Firewall),
        ("SCHEDULER", Scheduler),
        ("RESTAPI", RestApi),
        ("PROXYSQL SERVERS", ProxysqlServers),
        ("LDAP VARIABLES", Ldap),
        ("DEBUG", Debug),
        ("COREDUMP", Coredump),
    ] {
        for (form, direction) in [
            ("LOAD % TO RUNTIME", MemoryToRuntime),
            ("LOAD % TO RUN;", MemoryToRuntime),
            ("load % from memory", MemoryToRuntime),
            ("Load % From Mem ;", MemoryToRuntime),
            ("LOAD % FROM DISK", DiskToMemory),
            ("LOAD % TO MEMORY", DiskToMemory),
            ("LOAD % TO MEM", DiskToMemory),
            ("LOAD % FROM CONFIG", ConfigToMemory),
            ("SAVE % TO DISK", MemoryToDisk),
            ("SAVE % FROM MEMORY", MemoryToDisk),
            ("SAVE % FROM MEM", MemoryToDisk),
            ("SAVE % TO MEMORY", RuntimeToMemory),
            ("SAVE % TO MEM", RuntimeToMemory),
            ("SAVE % FROM RUNTIME", RuntimeToMemory),
            ("/* why */ SAVE  %\n\tFROM RUN -- now\n", RuntimeToMemory),
        ] {
            assert_eq!(
                parsed(&form.replace('%', words)),
                Statement::Move(module, direction),
                "{form} {words}"
            );
        }
    }
    for bad in [
        "LOAD MYSQL SERVERS",
        "LOAD MYSQL SERVERS TO DISK",
        "SAVE MYSQL USERS FROM CONFIG",
        "LOAD X TO RUNTIME",
        "SAVE",
    ] {
        assert!(matches!(parse(bad, ""), Err(Refusal::Syntax(_))), "{bad}");
    }
}

#[test]
fn set_is_ours_or_swallowed() {
    let set = |sql: &str| match parsed(sql) {
        Statement::Set(list) => list.into_iter().map(|(name, value)| format!("{name}={value}")).collect(),
        other => vec![format!("{other:?}")],
    };
    assert_eq!(set("SET mysql-threads=4"), ["mysql-threads=4"]);
    assert_eq!(set("set admin-stats_credentials = 'a:b;c:d'"), ["admin-stats_credentials=a:b;c:d"]);
    assert_eq!(set("SET mysql-a='1', `mysql-b` = \"x y\""), ["mysql-a=1", "mysql-b=x y"]);
    assert_eq!(set("SET GLOBAL mysql-a=-1"), ["mysql-a=-1"]);
    assert_eq!(set("SET mysql-interfaces=0.0.0.0:6033"), ["mysql-interfaces=0.0.0.0:6033"]);
    for swallowed in [
        "SET NAMES utf8mb4",
        "SET autocommit=1",
        "SET @a = 1",
        "SET SESSION sql_mode=''",
        "BEGIN",
        "COMMIT",
        "START TRANSACTION",
    ] {
        assert_eq!(parsed(swallowed), Statement::Nothing, "{swallowed}");
    }
    assert!(matches!(parse("SET mysql-threads", ""), Err(Refusal::Syntax(_))));
    assert!(matches!(parse("SET mysql-threads=", ""), Err(Refusal::Syntax(_))));
}

#[test]
fn commands_of_the_daemon() {
    assert_eq!(parsed("PROXYSQL READONLY"), Statement::Order(Order::ReadOnly(true)));
    assert_eq!(parsed("proxysql readwrite;"), Statement::Order(Order::ReadOnly(false)));
    assert_eq!(parsed("PROXYSQL FLUSH LOGS"), Statement::Order(Order::FlushLogs));
    assert_eq!(parsed("KILL CONNECTION 7"), Statement::Kill { session: 7, query_only: false });
    assert_eq!(parsed("KILL QUERY 7"), Statement::Kill { session: 7, query_only: true });
    assert_eq!(parsed("KILL 7"), Statement::Kill { session: 7, query_only: false });
    assert_eq!(parsed("USE stats"), Statement::Use("stats".into()));
    assert_eq!(parsed("TRUNCATE TABLE `mysql_users`"), Statement::Sql("DELETE FROM \"mysql_users\"".into()));
    assert_eq!(
        parsed("truncate disk.mysql_users"),
        Statement::Sql("DELETE FROM \"disk\".\"mysql_users\"".into())
    );
    for refused in ["PRAGMA x", "ATTACH 'f' AS x"] {
        assert!(matches!(parse(refused, ""), Err(Refusal::NotOffered(_))), "{refused}");
    }
    assert_eq!(parsed("PROXYSQL SHUTDOWN SLOW"), Statement::Order(Order::Shutdown { slow: true }));
    let uuid = "8c3ccae0-0b4b-4d6a-a03a-9ec5b7d6ad4c";
    assert_eq!(
        parsed(&format!("PROXYSQL CLUSTER_NODE_UUID {uuid} 10.0.0.1:6032")),
        Statement::Order(Order::ClusterNode { uuid: uuid.into(), interfaces: "10.0.0.1:6032".into() })
    );
    assert_eq!(
        parsed("LOAD MYSQL USER `o'neil` TO RUNTIME"),
        Statement::MoveUser("o'neil".into(), Move::MemoryToRuntime)
    );
    for unknown in [
        "PROXYSQL CLUSTER_NODE_UUID x",
        "LOAD MYSQL USER TO RUNTIME",
        "PROXYSQL DANCE",
        "KILL me",
        "USE a b",
        "SHOW",
        "SHOW ENGINES",
        "TRUNCATE",
    ] {
        assert!(matches!(parse(unknown, ""), Err(Refusal::Syntax(_))), "{unknown}");
    }
}

#[test]
fn statements_are_split_outside_of_quotes_and_comments() {
    assert_eq!(split("a; b;;\n c"), ["a", "b", "c"]);
    assert_eq!(split("select ';', \";\", `;` ; x"), ["select ';', \";\", `;`", "x"]);
    assert_eq!(
        split("select 'it''s; one' -- a; b\n; # c; d\n y /* ; */ z"),
        ["select 'it''s; one'", "y   z"]
    );
    assert_eq!(split("select 'open; quote"), ["select 'open; quote"]);
    assert_eq!(split("/* open"), Vec::<String>::new());
    assert_eq!(split(" ;; "), Vec::<String>::new());
    assert_eq!(split("select 'größe'; é"), ["select 'größe'", "é"]);
}

#[test]
fn what_clients_ask_on_connecting() {
    let dir = DataDir::new();
    let mut console = Console::boot(&dir.0, small_config());
    assert!(console.rows("select @@version_comment limit 1")[0].starts_with("(Standfast"));
    assert_eq!(console.rows("SELECT @@session.autocommit AS a, @@max_allowed_packet"), ["1,67108864"]);
    assert_eq!(console.rows("select USER()"), ["admin"]);
    assert_eq!(console.rows("SELECT DATABASE(), USER() limit 1"), ["main,admin"]);
    assert_eq!(console.rows("SELECT CONNECTION_ID()"), ["1"]);
    console.ok("USE stats");
    assert_eq!(console.rows("SELECT DATABASE()"), ["stats"]);
    assert!(console.rows("SHOW TABLES").contains(&"stats_mysql_global".to_owned()));
    console.refused("select $$");
    console.refused("SELECT @@nonesuch");
    console.refused("USE nowhere");
    assert!(console.rows("SHOW VARIABLES LIKE 'lower_case_table_names'").is_empty());
    assert_eq!(console.ok("SET NAMES utf8mb4"), Answer::Ok { affected: 0, warnings: 0 });
}

#[test]
fn everything_that_can_be_shown() {
    let dir = DataDir::new();
    let mut console = Console::boot(&dir.0, small_config());
    assert!(console.rows("SHOW TABLES").contains(&"runtime_mysql_servers".to_owned()));
    assert_eq!(console.rows("SHOW TABLES FROM monitor LIKE '%ping%'"), ["mysql_server_ping_log"]);
    assert_eq!(console.rows("SHOW TABLES LIKE 'mysql\\_us%'"), ["mysql_users"]);
    let schemas = console.rows("SHOW DATABASES");
    for schema in ["main", "disk", "stats", "monitor"] {
        assert!(schemas.iter().any(|row| row.contains(schema)), "{schema}: {schemas:?}");
    }
    assert!(
        console.rows("SHOW CREATE TABLE mysql_servers")[0]
            .contains("CREATE TABLE mysql_servers (\n    hostgroup_id INT")
    );
    assert!(console.rows("SHOW CREATE TABLE stats.stats_mysql_global")[0].contains("Variable_Value"));
    assert_eq!(console.rows("SHOW CREATE TABLE monitor.`mysql_server_ping_log`\n").len(), 1);
    assert_eq!(console.rows("SHOW VARIABLES WHERE Variable_name IN ('mysql-threads')"), ["mysql-threads,3"]);
    assert!(console.rows("SHOW MYSQL VARIABLES").len() > 150);
    assert!(console.rows("SHOW ADMIN VARIABLES").iter().all(|row| row.starts_with("admin-")));
    assert_eq!(console.rows("SHOW GLOBAL VARIABLES LIKE \"mysql-thr%s\""), ["mysql-threads,3"]);
    assert!(console.rows("SHOW MYSQL STATUS").iter().any(|row| row == "Questions,0"));
    assert!(console.rows("SHOW FULL PROCESSLIST").is_empty());
    assert!(console.rows("SHOW PROCESSLIST").is_empty());
    assert_eq!(console.rows("SHOW MYSQL USERS").len(), 1);
    assert!(console.rows("SHOW WARNINGS").is_empty());
    assert_eq!(
        console.rows("select \"a\" as x, 1.5, 3/2.0, NULL, `hostname` from `mysql_servers`"),
        ["a,1.5,1.5,-,db1"]
    );
    assert!(console.refused("SELEC 1").contains("syntax error"));
    assert_eq!(console.run("SELEC 1").expect_err("refused").code, 1064);
    assert!(
        console
            .refused("INSERT INTO mysql_servers (hostgroup_id, hostname) VALUES (10, 'db1')")
            .contains("UNIQUE")
    );
    assert!(
        console
            .refused("INSERT INTO mysql_servers (hostname, status) VALUES ('a', 'BROKEN')")
            .contains("CHECK")
    );
}
