//! `standfast-proxyd --import`: a ProxySQL's proxysql.cnf or proxysql.db as an admin database of ours.
//!
//! Rows go through the same tables and the same checks as an administrator's, so a database that comes out of here
//! loads. What could not be taken, or not literally, is reported with its line or row; passwords never are.

mod cnf;
mod database;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use configs::Value;
use serde_json::{Value as Json, json};

use super::store::{Module, Store, copy_error};
use crate::route::RuleSet;
use crate::runtime::{Settings, normalise};

/// More than a million rules need.
const LARGEST_TEXT: u64 = 256 << 20;
const SQLITE: &[u8] = b"SQLite format 3\0";

/// Variables that the configuration file decides here; they are passed on to whoever writes that file.
const NOT_OURS: [&str; 3] = ["mysql-interfaces", "admin-mysql_ifaces", "mysql-threads"];
/// Also passed on: whether it is the login that everybody knows decides where the admin interface may listen.
const CREDENTIALS: &str = "admin-admin_credentials";

/// Everything that a source says, with the place where it says so.
#[derive(Debug, Default)]
pub(super) struct Source {
    variables: Vec<(String, String, String)>,
    rows: Vec<Row>,
    report: Report,
}

/// One row for one of our tables.
#[derive(Debug)]
struct Row {
    place: String,
    table: &'static str,
    cells: Vec<(String, Value)>,
}

/// What became of what, in the order of the source.
#[derive(Debug, Default)]
struct Report(Vec<Json>);

impl Report {
    fn taken(&mut self, place: &str, text: impl Into<String>) {
        self.add("taken", place, text.into());
    }

    fn changed(&mut self, place: &str, text: impl Into<String>) {
        self.add("changed", place, text.into());
    }

    fn left(&mut self, place: &str, text: impl Into<String>) {
        self.add("left", place, text.into());
    }

    fn add(&mut self, fate: &str, place: &str, text: String) {
        self.0.push(json!({ "fate": fate, "place": place, "text": text }));
    }
}

/// Makes the database `into` of the file `source`, and writes the report to standard output as JSON.
pub fn import(source: &Path, into: &Path) -> Result<(), String> {
    let named = |reason: String| format!("{}: {reason}", source.display());
    let read = read(source).map_err(named)?;
    let answer = make(read, into).map_err(named)?;
    writeln!(io::stdout().lock(), "{answer}").map_err(|error| error.to_string())
}

pub(super) fn read(source: &Path) -> Result<Source, String> {
    let failed = |error: io::Error| error.to_string();
    let mut file = File::open(source).map_err(failed)?;
    let mut bytes = Vec::new();
    (&mut file).take(SQLITE.len() as u64).read_to_end(&mut bytes).map_err(failed)?;
    if bytes == SQLITE {
        return database::read(source);
    }
    file.take(LARGEST_TEXT).read_to_end(&mut bytes).map_err(failed)?;
    cnf::read(&String::from_utf8(bytes).map_err(|_| "it is neither text nor a database")?)
}

/// Fills a new database; what it answers is the report.
pub(super) fn make(source: Source, into: &Path) -> Result<Json, String> {
    if into.exists() {
        return Err(format!("{} is there already", into.display()));
    }
    let mut store = Store::open(into).map_err(copy_error)?;
    if let Some(reason) = store.disk_error() {
        return Err(format!("{}: {reason}", into.display()));
    }
    store.add_missing_variables(&Settings::default())?;
    let Source { variables, rows, mut report } = source;
    let settings = take_variables(&mut store, variables, &mut report)?;
    take_rows(&mut store, rows, &mut report)?;
    stop_rules_that_do_not_compile(&mut store, &mut report)?;
    for warning in load(&store)? {
        report.changed("", warning);
    }
    store.save_all_to_disk()?;
    Ok(json!({ "entries": report.0, "settings": settings }))
}

/// Sets what is known and in range. Gives the variables that are somebody else's.
fn take_variables(
    store: &mut Store,
    variables: Vec<(String, String, String)>,
    report: &mut Report,
) -> Result<BTreeMap<String, String>, String> {
    let mut passed_on = BTreeMap::new();
    let mut taken = BTreeMap::new();
    for (place, name, value) in variables {
        if NOT_OURS.contains(&name.as_str()) {
            passed_on.insert(name, value);
            continue;
        }
        match normalise(&name, &value) {
            Ok((entry, value)) => {
                store.set_variable(entry.name, &value)?;
                if name == CREDENTIALS {
                    passed_on.insert(name.clone(), value);
                }
                *taken.entry(name.split('-').next().unwrap_or_default().to_owned()).or_insert(0_usize) += 1;
            }
            Err(reason) => report.left(&place, format!("{reason}; the default is used")),
        }
    }
    for (prefix, count) in taken {
        report.taken("", format!("{prefix}_variables: {count}"));
    }
    if !passed_on.contains_key(CREDENTIALS) {
        report.changed(
            "",
            "admin_credentials: a password for `admin` is made at the first start, beside the database",
        );
    }
    Ok(passed_on)
}

fn take_rows(store: &mut Store, rows: Vec<Row>, report: &mut Report) -> Result<(), String> {
    let mut taken: BTreeMap<&str, i64> = BTreeMap::new();
    for row in rows {
        let cells = row.cells.iter().map(|(column, value)| (column.as_str(), value));
        match store.merge_row(row.table, cells) {
            Ok(()) => *taken.entry(row.table).or_default() += 1,
            Err(reason) => report.left(&row.place, format!("{}: {reason}", row.table)),
        }
    }
    for (table, merged) in taken {
        let count = store.count(table)?;
        report.taken("", format!("{table}: {count}"));
        if count < merged {
            report.changed(
                "",
                format!("{table}: {} of its rows have the key of a later one, which counts", merged - count),
            );
        }
    }
    Ok(())
}

/// ProxySQL never matches such a rule; a LOAD here refuses it. It is kept, inactive, so that somebody can repair it.
fn stop_rules_that_do_not_compile(store: &mut Store, report: &mut Report) -> Result<(), String> {
    let rules = store.query_rules()?;
    if RuleSet::compile(rules.clone()).is_ok() {
        return Ok(());
    }
    for rule in rules {
        let id = rule.rule_id;
        if let Err(error) = RuleSet::compile(vec![rule]) {
            store.deactivate_rule(id)?;
            report.changed("", format!("mysql_query_rules: kept, but inactive: {error}"));
        }
    }
    RuleSet::compile(store.query_rules()?).map(drop).map_err(|error| error.to_string())
}

/// What every LOAD … TO RUNTIME reads: an error here would be one at the first start. Gives the warnings.
fn load(store: &Store) -> Result<Vec<String>, String> {
    let (_, mut warnings) = store.servers()?;
    warnings.extend(store.hostgroup_attributes()?.1);
    store.users()?;
    store.fast_routing()?;
    store.firewall()?;
    for module in Module::ALL {
        warnings.extend(store.rows_without_effect(module)?);
    }
    Ok(warnings)
}
