//! Asking for replication lag: the statements, and what their answers say. Pure.

use crate::backend::Table;
use crate::runtime::Lag;

/// The two words for one statement. Servers since MySQL 8.4 know only the first, those before MySQL 8.0.22 and
/// MariaDB 10.5 only the second: whichever is not a syntax error is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    #[default]
    Replica,
    Slave,
}

impl Form {
    pub fn sql(self) -> &'static str {
        match self {
            Form::Replica => "SHOW REPLICA STATUS",
            Form::Slave => "SHOW SLAVE STATUS",
        }
    }

    pub fn other(self) -> Form {
        match self {
            Form::Replica => Form::Slave,
            Form::Slave => Form::Replica,
        }
    }
}

/// Reads a replica's status: no row is no replica; of several channels the slowest counts, and one that does not know
/// is the slowest of all. `None` when the column is missing or no number.
pub fn of_status(table: &Table) -> Option<Lag> {
    if table.rows.is_empty() {
        return Some(Lag::NoReplica);
    }
    let is_lag = |name: &&String| {
        name.eq_ignore_ascii_case("Seconds_Behind_Source")
            || name.eq_ignore_ascii_case("Seconds_Behind_Master")
    };
    let column = table.columns.iter().position(|name| is_lag(&name))?;
    let mut slowest = 0;
    for row in &table.rows {
        match row.get(column)? {
            None => return Some(Lag::Null),
            Some(seconds) => slowest = slowest.max(seconds.parse().ok()?),
        }
    }
    Some(Lag::Seconds(slowest))
}

/// The statement that reads a pt-heartbeat table (`mysql-monitor_replication_lag_use_percona_heartbeat`); `None` for an
/// empty name, an error for one that is no name of a table.
pub fn heartbeat_query(table: &str) -> Result<Option<String>, String> {
    if table.is_empty() {
        return Ok(None);
    }
    let parts: Vec<&str> = table.split('.').map(|part| part.trim_matches('`')).collect();
    let is_name = |part: &&str| {
        !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '$' | '-'))
    };
    if parts.len() > 2 || !parts.iter().all(is_name) {
        return Err(format!(
            "mysql-monitor_replication_lag_use_percona_heartbeat: '{table}' is no table's name"
        ));
    }
    let name = parts.iter().map(|part| format!("`{part}`")).collect::<Vec<_>>().join(".");
    Ok(Some(format!(
        "SELECT GREATEST(0, ROUND(TIMESTAMPDIFF(MICROSECOND, MAX(ts), SYSDATE(6)) / 1000000)) FROM {name}"
    )))
}

/// Reads its answer; an empty table is a replica that does not know.
pub fn of_heartbeat(table: &Table) -> Option<Lag> {
    match table.rows.first()?.first()? {
        None => Some(Lag::Null),
        Some(seconds) => seconds.parse().ok().map(Lag::Seconds),
    }
}
