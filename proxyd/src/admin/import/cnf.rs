//! proxysql.cnf: the sections that ProxySQL reads, under the names and with the defaults that it gives them. Pure.

use configs::Value;
use configs::proxysql_cnf::{Node, Setting, parse};

use super::{Row, Source};
use crate::admin::store::tables::{Kind, Table, find};

/// Settings of a host, which have their place in standfast.toml or none.
const OF_THE_HOST: &[(&str, &str)] = &[
    ("datadir", "the data directory is data_dir in [paths]"),
    ("errorlog", "messages go to the journal"),
    ("pidfile", "systemd knows the process"),
    ("uuid", "it has no meaning here"),
    ("restart_on_missing_heartbeats", "the angel restarts a hung proxy by itself: hang_ms in [angel]"),
    ("execute_on_exit_failure", "no script is run: watch the journal of standfast-angel"),
    ("cluster_sync_interfaces", "configurations are not exchanged with other nodes"),
];

pub(super) fn read(text: &str) -> Result<Source, String> {
    let mut source = Source::default();
    for setting in parse(text).map_err(|error| error.to_string())? {
        let place = setting.line.to_string();
        match (setting.name.as_str(), &setting.value) {
            (section @ ("mysql_variables" | "admin_variables"), Node::Group(values)) => {
                let prefix = section.split('_').next().unwrap_or_default();
                variables(&mut source, prefix, values);
            }
            (name, Node::List(items)) if table(name).is_some() => {
                for item in items {
                    let place = item.line.to_string();
                    match (&item.value, table(name)) {
                        (Node::Group(cells), Some(table)) => row(&mut source, place, table, cells),
                        (other, _) => {
                            source.report.left(&place, format!("{name}: {} is no row", other.kind()))
                        }
                    }
                }
            }
            (name, value) if table(name).is_some() => {
                source.report.left(&place, format!("{name}: is {}, not a list of rows", value.kind()));
            }
            (name, _) => match OF_THE_HOST.iter().find(|(known, _)| *known == name) {
                Some((_, instead)) => source.report.left(&place, format!("{name}: {instead}")),
                None => source.report.left(&place, format!("{name}: not known here")),
            },
        }
    }
    Ok(source)
}

fn table(section: &str) -> Option<&'static Table> {
    let name = if section == "restapi" { "restapi_routes" } else { section };
    find(name).filter(|table| table.kind == Kind::Config && name != "global_variables")
}

fn variables(source: &mut Source, prefix: &str, values: &[Setting]) {
    for setting in values {
        let place = setting.line.to_string();
        match setting.value.as_text() {
            // Some files spell the prefix out.
            Some(value) if setting.name.starts_with(&format!("{prefix}-")) => {
                source.variables.push((place, setting.name.clone(), value));
            }
            Some(value) => source.variables.push((place, format!("{prefix}-{}", setting.name), value)),
            None => source.report.left(&place, format!("{}: is {}", setting.name, setting.value.kind())),
        }
    }
}

fn row(source: &mut Source, place: String, table: &'static Table, settings: &[Setting]) {
    let mut cells = Vec::new();
    for setting in settings {
        let column = column(table.name, &setting.name);
        let value = match &setting.value {
            Node::Integer(number) => Value::Integer(*number),
            Node::Flag(flag) => Value::Integer(i64::from(*flag)),
            Node::Text(text) => Value::Text(text.clone()),
            other => {
                let text = format!("{}.{column}: is {}", table.name, other.kind());
                source.report.left(&setting.line.to_string(), text);
                continue;
            }
        };
        match table.columns.iter().find(|(known, _)| known.eq_ignore_ascii_case(column)) {
            Some((known, _)) => cells.push(((*known).to_owned(), value)),
            None => source
                .report
                .left(&setting.line.to_string(), format!("{}.{column}: there is no such column", table.name)),
        }
    }
    let has = |wanted: &str, cells: &[(String, Value)]| cells.iter().any(|(column, _)| column == wanted);
    let needed: &[&str] = match table.name {
        "mysql_servers" => &["hostgroup_id", "hostname"],
        "mysql_query_rules" => &["rule_id"],
        _ => &[],
    };
    if let Some(missing) = needed.iter().find(|column| !has(column, &cells)) {
        let text = format!("{}: a row without {missing}, which ProxySQL leaves out, too", table.name);
        return source.report.left(&place, text);
    }
    // The table's own default is 0; in the file, a rule that does not say is active.
    if table.name == "mysql_query_rules" && !has("active", &cells) {
        cells.push(("active".to_owned(), Value::Integer(1)));
    }
    source.rows.push(Row { place, table: table.name, cells });
}

/// The column that the file's name means.
fn column<'a>(table: &str, name: &'a str) -> &'a str {
    match (table, name) {
        ("mysql_servers" | "proxysql_servers", "address") => "hostname",
        ("mysql_servers", "hostgroup") => "hostgroup_id",
        ("restapi_routes", "interval_ms") => "timeout_ms",
        (_, other) => other,
    }
}
