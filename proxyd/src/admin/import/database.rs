//! proxysql.db: SQLite tables with ProxySQL's own names, of whatever version. It is opened for reading only.

use std::path::Path;

use configs::Value;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

use super::{Row, Source};
use crate::admin::store::copy_error;
use crate::admin::store::tables::{Kind, Table, find};

/// A database names every variable, most with ProxySQL's default. Where ours differs on purpose, ProxySQL's default was
/// nobody's decision, and ours is kept.
const DEFAULTS_THAT_DIFFER: [(&str, &str); 3] = [
    ("mysql-default_authentication_plugin", "mysql_native_password"),
    ("mysql-autocommit_false_is_transaction", "false"),
    ("mysql-set_query_lock_on_hostgroup", "1"),
];
/// Prefixes of modules that are not built; each is one line of the report.
const OTHER_MODULES: [&str; 5] = ["pgsql-", "ldap-", "clickhouse-", "sqliteserver-", "genai-"];

pub(super) fn read(file: &Path) -> Result<Source, String> {
    let db = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(copy_error)?;
    let mut names = db
        .prepare(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name",
        )
        .map_err(copy_error)?;
    let names = names.query_map([], |row| row.get(0)).and_then(Iterator::collect::<Result<Vec<String>, _>>);
    let mut source = Source::default();
    let names = names.map_err(copy_error)?;
    if !names.iter().any(|name| name == "global_variables") {
        return Err("it is a database, but not a ProxySQL's: there is no table global_variables".into());
    }
    for name in names {
        let read = match find(&name).filter(|table| table.kind == Kind::Config) {
            Some(table) if name == "global_variables" => variables(&db, table, &mut source),
            Some(table) => rows(&db, table, &mut source),
            None => unknown(&db, &name, &mut source),
        };
        read.map_err(|error| format!("{name}: {}", copy_error(error)))?;
    }
    Ok(source)
}

fn variables(db: &Connection, table: &Table, source: &mut Source) -> rusqlite::Result<()> {
    let mut statement =
        db.prepare(&format!("SELECT rowid, variable_name, variable_value FROM {}", table.name))?;
    let mut rows = statement.query([])?;
    let mut others = [0_usize; OTHER_MODULES.len()];
    while let Some(row) = rows.next()? {
        let name: String = row.get(1)?;
        let value = text(row.get_ref(2)?).unwrap_or_default();
        let place = format!("global_variables row {}", row.get::<_, i64>(0)?);
        if let Some(module) = OTHER_MODULES.iter().position(|prefix| name.starts_with(prefix)) {
            others[module] += 1;
        } else if DEFAULTS_THAT_DIFFER.contains(&(name.as_str(), value.as_str())) {
            source.report.changed(&place, format!("{name}: ProxySQL's default; this product's is used"));
        } else {
            source.variables.push((place, name, value));
        }
    }
    for (prefix, count) in OTHER_MODULES.iter().zip(others).filter(|(_, count)| *count > 0) {
        source.report.left(
            "global_variables",
            format!("{prefix}*: {count} variables of a module that does not exist here"),
        );
    }
    Ok(())
}

fn rows(db: &Connection, table: &'static Table, source: &mut Source) -> rusqlite::Result<()> {
    let mut statement = db.prepare(&format!("SELECT rowid AS this_row, * FROM {}", table.name))?;
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut strangers = vec![0_usize; columns.len()];
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let mut cells = Vec::new();
        for (index, column) in columns.iter().enumerate().skip(1) {
            let value = match row.get_ref(index)? {
                ValueRef::Null => continue,
                ValueRef::Integer(number) => Value::Integer(number),
                other => Value::Text(text(other).unwrap_or_default()),
            };
            match table.columns.iter().find(|(known, _)| known.eq_ignore_ascii_case(column)) {
                Some((known, _)) => cells.push(((*known).to_owned(), value)),
                None if matches!(&value, Value::Integer(0)) => {}
                None if matches!(&value, Value::Text(text) if text.is_empty()) => {}
                None => strangers[index] += 1,
            }
        }
        let place = format!("{} row {}", table.name, row.get::<_, i64>(0)?);
        source.rows.push(Row { place, table: table.name, cells });
    }
    for (column, count) in columns.iter().zip(strangers).filter(|(_, count)| *count > 0) {
        source
            .report
            .left(table.name, format!("column {column}: not known here; {count} rows have a value in it"));
    }
    Ok(())
}

/// A table that we do not have. Those of older versions (`mysql_servers_v1_1`) are ProxySQL's own leftovers.
fn unknown(db: &Connection, name: &str, source: &mut Source) -> rusqlite::Result<()> {
    let is_leftover =
        name.rsplit_once("_v").is_some_and(|(_, version)| version.starts_with(|c: char| c.is_ascii_digit()));
    if is_leftover || matches!(name, "global_settings" | "mysql_collations") {
        return Ok(());
    }
    let quoted = name.replace('"', "\"\"");
    let count: i64 = db.query_row(&format!("SELECT COUNT(*) FROM \"{quoted}\""), [], |row| row.get(0))?;
    if count > 0 {
        source.report.left(name, format!("there is no such table here; {count} rows"));
    }
    Ok(())
}

fn text(cell: ValueRef<'_>) -> Option<String> {
    match cell {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
    }
}
