//! The admin surface against `surface.txt`, name by name. What is missing or different stands here, with the reason; a
//! difference that does not is a failure, and so is an entry here that is no longer true.

use std::collections::BTreeSet;

use super::super::store::tables::{Kind, Table, all};
use super::*;
use crate::runtime::{Settings, normalise};

const SURFACE: &str = include_str!("surface.txt");

/// Tables that are not here.
const NO_TABLE: &[&str] = &[
    // Only with a ClickHouse.
    "clickhouse_users",
];

/// Defaults that differ on purpose.
const OTHER_DEFAULTS: &[&str] = &[
    // The first statement with autocommit off begins a transaction: it must not go to a reader.
    "mysql-autocommit_false_is_transaction",
    // No error 9006.
    "mysql-set_query_lock_on_hostgroup",
    // Clients since 9.0 know no other.
    "mysql-default_authentication_plugin",
    // A bit mask that each version computes.
    "mysql-server_capabilities",
    // No well-known password, and not from everywhere.
    "admin-admin_credentials",
    "admin-stats_credentials",
    "admin-mysql_ifaces",
];

/// Commands that are answered with an error, and a word of it.
const REFUSED: &[(&str, &str)] = &[("KILL CONNECTION 1", "there is no session 1")];

fn lines(kind: &str) -> impl Iterator<Item = &'static str> {
    SURFACE.lines().filter_map(move |line| line.strip_prefix(kind)?.strip_prefix(' '))
}

#[test]
fn every_table_with_its_columns_and_defaults() {
    let mut missing = BTreeSet::new();
    for line in lines("table") {
        let (schema, rest) = line.split_once(' ').expect("a schema");
        let (name, columns) = rest.split_once(' ').expect("a table");
        let Some(table) = all().find(|table| table.name == name) else {
            missing.insert(name);
            continue;
        };
        let home = match table.kind {
            Kind::Config | Kind::Runtime | Kind::Listed | Kind::Disk => "main",
            Kind::Stats => "stats",
            Kind::Monitor => "monitor",
            Kind::History => "stats_history",
        };
        assert_eq!(home, schema, "{name}");
        let wanted: Vec<&str> = columns.split(", ").collect();
        let have = described(table, schema != "stats");
        let wanted: Vec<String> = match schema {
            "stats" => {
                wanted.iter().map(|column| column.split('=').next().unwrap_or(column).to_owned()).collect()
            }
            _ => wanted.iter().map(|column| (*column).to_owned()).collect(),
        };
        assert_eq!(have, wanted, "{name}");
    }
    assert_eq!(missing, NO_TABLE.iter().copied().collect());
}

/// `column` or `column=default` for each column.
fn described(table: &Table, with_defaults: bool) -> Vec<String> {
    let describe = |(name, definition): &(&str, &str)| {
        let default = definition.split_once("DEFAULT ").and_then(|(_, rest)| rest.split(' ').next());
        match default.filter(|_| with_defaults) {
            Some(default) => format!("{name}={default}"),
            None => name.trim_matches('`').to_owned(),
        }
    };
    table.columns.iter().map(describe).collect()
}

#[test]
fn every_variable_with_its_default_and_range() {
    let settings = Settings::default();
    let mut different = BTreeSet::new();
    for line in lines("variable") {
        let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (default, range) = match rest.rsplit_once(" in ") {
            Some((default, range)) => (default, Some(range)),
            None => (rest, None),
        };
        assert!(Settings::is_known(name), "{name} is missing");
        if let Some(default) = default.strip_prefix('=').map(str::trim)
            && settings.text(name) != default
        {
            different.insert(name);
        }
        let Some((low, high)) = range.and_then(|range| range.split_once("..")) else { continue };
        let (low, high): (u64, u64) = (low.parse().expect("a number"), high.parse().expect("a number"));
        let accepts = |value: i128| normalise(name, &value.to_string()).is_ok();
        let (low, high) = (i128::from(low), i128::from(high));
        assert!(accepts(low) && accepts(high), "{name} accepts {low} to {high}");
        assert!(!accepts(low - 1) && !accepts(high + 1), "{name} refuses what is beyond {low} to {high}");
    }
    assert_eq!(different, OTHER_DEFAULTS.iter().copied().collect());
}

#[test]
fn every_command() {
    let dir = DataDir::new();
    let mut console = Console::boot(&dir.0, small_config());
    let server_tls = crate::tls::ServerTls::open(&dir.0, "test1").expect("a certificate");
    console.admin.set_tls(server_tls, crate::tls::BackendTls::open(&crate::tls::WantedTls::default()));
    answer_as_angel(&dir.0);
    for command in lines("command") {
        let expected = REFUSED.iter().find(|(refused, _)| *refused == command);
        match (console.run(command), expected) {
            (Ok(_), None) => {}
            (Err(error), Some((_, word))) => assert!(error.text.contains(word), "{command}: {error}"),
            (Ok(answer), Some(_)) => panic!("{command} is not refused: {answer:?}"),
            (Err(error), None) => panic!("{command}: {error}"),
        }
    }
    assert!(REFUSED.iter().all(|(command, _)| lines("command").any(|line| line == *command)));
}

/// Says yes to whatever an angel is asked, until the process ends.
fn answer_as_angel(run_dir: &Path) {
    let listener = std::os::unix::net::UnixListener::bind(run_dir.join("angel.sock")).expect("a socket");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = std::io::BufReader::new(stream);
            let mut line = String::new();
            if std::io::BufRead::read_line(&mut stream, &mut line).is_ok() {
                let _ = std::io::Write::write_all(stream.get_mut(), b"{}\n");
            }
        }
    });
}
