//! `[[mysql_servers]]` and the other tables of `tables.rs`, `[mysql_variables]`, `[admin_variables]`: what the admin tables hold before anybody has saved anything.
//!
//! Cells may hold secrets: a problem tells a number's value, never a text's.

use std::collections::BTreeMap;

use toml::de::DeValue;

use crate::appliance::{FirstBoot, Value};
use crate::reader::{Located, Section, listed, whole};
use crate::tables::{Kind, TABLES, Table};
use crate::variables;

type Row = BTreeMap<String, Value>;

pub(crate) fn read(root: &Section<'_>) -> FirstBoot {
    let mut tables = BTreeMap::new();
    for table in TABLES {
        let rows = rows(root, table);
        if !rows.is_empty() {
            tables.insert(table.name.to_owned(), rows);
        }
    }
    FirstBoot {
        tables,
        mysql_variables: variables(
            &root.section("mysql_variables"),
            variables::MYSQL,
            ("interfaces", "set mysql_listen in [proxy] instead"),
        ),
        admin_variables: variables(
            &root.section("admin_variables"),
            variables::ADMIN,
            ("mysql_ifaces", "set admin_listen in [proxy] instead"),
        ),
    }
}

fn rows(root: &Section<'_>, table: &'static Table) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut keys: BTreeMap<Vec<String>, usize> = BTreeMap::new();
    for section in root.sections(table.name) {
        let row = row(&section, table);
        let line = section.line.unwrap_or_default();
        if let Some(earlier) = key(&row, table).and_then(|key| keys.insert(key, line)) {
            let columns = listed(table.key.iter().map(|(column, _)| column));
            let text = format!("the same row ({columns}) is already on line {earlier}");
            section.problem(None, table.key.first().map_or("", |(column, _)| column), text);
        }
        rows.push(row);
    }
    rows
}

fn row(section: &Section<'_>, table: &Table) -> Row {
    let mut row = Row::new();
    for (name, cell) in section.entries() {
        let Some(column) = table.columns.iter().find(|column| column.name == name) else {
            section.unknown(name, cell.line, "column", table.columns.iter().map(|column| column.name));
            continue;
        };
        if let Some(value) = value(section, column.name, &cell, column.kind) {
            row.insert(name.into(), value);
        }
    }
    for name in table.required {
        if !section.entries().iter().any(|(written, _)| written == name) {
            section.problem(None, name, "missing");
        }
    }
    row
}

fn value(section: &Section<'_>, name: &str, cell: &Located<&DeValue<'_>>, kind: Kind) -> Option<Value> {
    let expected = match kind {
        Kind::Integer(0, 1) => "0, 1, true or false".into(),
        Kind::Integer(low, high) => format!("a whole number from {low} to {high}"),
        Kind::Text => "a string".into(),
        Kind::OneOf(words) => format!("one of {}", listed(words)),
    };
    let value = match (kind, cell.value) {
        (Kind::Integer(0, 1), DeValue::Boolean(flag)) => Some(Value::Integer(i64::from(*flag))),
        (Kind::Integer(low, high), DeValue::Integer(written)) => {
            whole(written).filter(|number| (low..=high).contains(number)).map(Value::Integer)
        }
        (Kind::Text, DeValue::String(text)) => Some(Value::Text(text.to_string())),
        (Kind::OneOf(words), DeValue::String(text)) => {
            words.contains(&text.as_ref()).then(|| Value::Text(text.to_string()))
        }
        _ => None,
    };
    if value.is_none() {
        let found = match cell.value {
            DeValue::Integer(written) => format!("{written} is out of range"),
            other => format!("found {}", article(other.type_str())),
        };
        section.problem(Some(cell.line), name, format!("{found}; expected {expected}"));
    }
    value
}

fn article(kind: &str) -> String {
    let vowel = kind.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {kind}", if vowel { "an" } else { "a" })
}

/// The row's primary key, or nothing if the table will number the row.
fn key(row: &Row, table: &Table) -> Option<Vec<String>> {
    let cell = |(column, default): &(&str, Option<&str>)| match row.get(*column) {
        Some(Value::Integer(number)) => Some(number.to_string()),
        Some(Value::Text(text)) => Some(text.clone()),
        None => default.map(str::to_owned),
    };
    table.key.iter().map(cell).collect()
}

/// Values are kept as text, as `global_variables` does; proxyd knows their ranges.
fn variables(
    section: &Section<'_>,
    names: &[&str],
    (taken, instead): (&str, &str),
) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    for (name, cell) in section.entries() {
        if !names.contains(&name) {
            section.unknown(name, cell.line, "variable", names.iter().copied());
            continue;
        }
        if name == taken {
            section.problem(Some(cell.line), name, format!("contradiction: {instead}"));
        }
        let value = match cell.value {
            DeValue::String(text) => text.to_string(),
            DeValue::Boolean(flag) => flag.to_string(),
            DeValue::Integer(written) => match whole(written) {
                Some(number) => number.to_string(),
                None => written.to_string(),
            },
            DeValue::Float(written) => written.as_str().to_owned(),
            other => {
                let text =
                    format!("expected a string, a number or a flag, found {}", article(other.type_str()));
                section.problem(Some(cell.line), name, text);
                continue;
            }
        };
        variables.insert(name.into(), value);
    }
    variables
}
