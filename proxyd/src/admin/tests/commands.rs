//! Checksums, the configuration as a file, pause, and what was not saved.

use std::os::unix::fs::PermissionsExt;

use super::*;

#[test]
fn checksums_follow_the_rows() {
    let dir = DataDir::new();
    let mut console = Console::boot(&dir.0, small_config());
    let memory = console.rows("CHECKSUM MYSQL SERVERS");
    assert!(
        memory[0].starts_with("mysql_servers,0x") && memory[0].len() == "mysql_servers,0x".len() + 16,
        "{memory:?}"
    );
    assert_eq!(console.rows("CHECKSUM MEMORY MYSQL SERVERS"), memory);
    assert_eq!(console.rows("CHECKSUM DISK MYSQL SERVERS"), memory);
    console.ok("UPDATE mysql_servers SET weight = 2");
    let changed = console.rows("CHECKSUM MEM MYSQL SERVERS");
    assert_ne!(changed, memory);
    assert_eq!(console.rows("CHECKSUM DISK MYSQL SERVERS"), memory);
    console.ok("UPDATE mysql_servers SET weight = 1");
    assert_eq!(console.rows("CHECKSUM MYSQL SERVERS"), memory);
    assert_ne!(console.rows("CHECKSUM MYSQL VARIABLES"), console.rows("CHECKSUM MYSQL USERS"));
    console.refused("CHECKSUM MYSQL NOTHING");
    console.refused("CHECKSUM MYSQL SERVERS please");
}

#[test]
fn runtime_checksums_grow_a_version_with_each_load() {
    let dir = DataDir::new();
    let mut console = Console::boot(&dir.0, small_config());
    let version = "SELECT version, checksum FROM runtime_checksums_values WHERE name = 'mysql_users'";
    let first = console.rows(version);
    assert!(first[0].starts_with("1,0x"), "{first:?}");
    console.ok("LOAD MYSQL USERS TO RUNTIME");
    assert_eq!(console.rows(version)[0].replacen('2', "1", 1), first[0]);
    console.ok("UPDATE mysql_users SET password = 'other'; LOAD MYSQL USERS TO RUNTIME");
    assert_ne!(console.rows(version)[0].replacen('3', "1", 1), first[0]);
    console.refused("DELETE FROM runtime_checksums_values");
}

#[test]
fn what_is_not_saved_is_told() {
    let dir = DataDir::new();
    let mut console = Console::boot(&dir.0, small_config());
    assert!(console.rows("SHOW WARNINGS").is_empty());
    console.ok("UPDATE mysql_users SET max_connections = 5");
    assert!(console.rows("SHOW WARNINGS").is_empty(), "memory is not runtime");
    console
        .ok("LOAD MYSQL USERS TO RUNTIME; SET mysql-shun_on_failures = 7; LOAD MYSQL VARIABLES TO RUNTIME");
    assert_eq!(
        console.rows("SHOW WARNINGS"),
        [
            "Note,1105,MYSQL VARIABLES: runtime differs from disk; SAVE MYSQL VARIABLES TO DISK keeps what was loaded",
            "Note,1105,MYSQL USERS: runtime differs from disk; SAVE MYSQL USERS TO DISK keeps what was loaded",
        ]
    );
    console.ok("SAVE MYSQL USERS TO DISK; SAVE MYSQL VARIABLES TO DISK");
    assert!(console.rows("SHOW WARNINGS").is_empty());
    drop(console);
    assert!(Console::boot(&dir.0, small_config()).rows("SHOW WARNINGS").is_empty());
}

#[test]
fn the_configuration_is_written_as_a_file() {
    let dir = DataDir::new();
    let mut console = Console::boot(&dir.0, small_config());
    let Answer::Rows(result) = console.ok("SELECT CONFIG FILE") else { panic!("rows") };
    let text = result.rows[0][0].clone().expect("a text");
    for part in [
        "mysql_variables=\n{\n",
        "\tmonitor_username=\"watcher\"\n",
        "mysql_servers=\n(\n\t{\n\t\thostgroup_id=10\n\t\thostname=\"db1\"\n",
        "\t\tmatch_digest=\"^SELECT \"\n",
        "mysql_galera_hostgroups=\n(\n)\n",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let file = dir.0.join("saved.cnf");
    console.ok(&format!("SAVE CONFIG TO FILE {}", file.display()));
    assert_eq!(std::fs::read_to_string(&file).expect("a file"), text);
    assert_eq!(std::fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
    console.ok(&format!("SELECT CONFIG INTO OUTFILE '{}'", file.display()));
    assert!(console.refused("SAVE CONFIG TO FILE saved.cnf").contains("whole path"));
    assert!(console.refused("SAVE CONFIG TO FILE /nowhere/at/all").contains("No such file"));
    console.session.stats_only = true;
    console.refused("SELECT CONFIG FILE");
}

#[test]
fn pause_is_told_and_counted() {
    let dir = DataDir::new();
    let mut console = Console::boot(&dir.0, small_config());
    let paused =
        "SELECT Variable_Value FROM stats_mysql_global WHERE Variable_Name = 'mysql_listener_paused'";
    assert_eq!(console.rows(paused), ["false"]);
    assert_eq!(console.ok("PROXYSQL PAUSE"), Answer::Ok { affected: 0, warnings: 1 });
    assert!(console.rows("SHOW WARNINGS")[0].contains("PROXYSQL RESUME"));
    assert_eq!(console.rows(paused), ["true"]);
    assert_eq!(console.ok("PROXYSQL RESUME"), Answer::Ok { affected: 0, warnings: 0 });
    assert_eq!(console.rows(paused), ["false"]);
    assert_eq!(console.ok("PROXYSQL FLUSH QUERY CACHE"), Answer::Ok { affected: 0, warnings: 0 });
}
