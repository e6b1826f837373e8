//! Filling the `stats` tables that are about other proxies, client hosts and the log.

use rusqlite::{Transaction, params};

use super::stats::{StatsInput, sql};
use crate::hosts::HostRow;
use crate::messages::{Place, Seen};

/// A node that said `PROXYSQL CLUSTER_NODE_UUID`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterClient {
    pub uuid: String,
    pub hostname: String,
    pub port: u16,
    pub admin_ifaces: String,
    /// Seconds since 1970.
    pub last_seen: u64,
}

pub(super) fn fill_clients(
    transaction: &Transaction<'_>,
    table: &str,
    input: &StatsInput<'_>,
) -> rusqlite::Result<()> {
    let mut insert =
        transaction.prepare(&format!("INSERT OR REPLACE INTO stats.{table} VALUES (?1, ?2, ?3, ?4, ?5)"))?;
    for ClusterClient { uuid, hostname, port, admin_ifaces, last_seen } in input.clients {
        insert.execute(params![uuid, hostname, port, admin_ifaces, sql(*last_seen)])?;
    }
    Ok(())
}

pub(super) fn fill_hosts(
    transaction: &Transaction<'_>,
    table: &str,
    input: &StatsInput<'_>,
) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare(&format!("INSERT INTO stats.{table} VALUES (?1, ?2, ?3)"))?;
    for HostRow { address, errors, last_updated } in input.hosts {
        insert.execute(params![address.to_string(), errors, sql(*last_updated)])?;
    }
    Ok(())
}

pub(super) fn fill_messages(
    transaction: &Transaction<'_>,
    table: &str,
    input: &StatsInput<'_>,
) -> rusqlite::Result<()> {
    // Two messages of one line differ in their level at most.
    let mut insert = transaction.prepare(&format!(
        "INSERT INTO stats.{table} VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (filename, line, func) \
         DO UPDATE SET count_star = count_star + excluded.count_star"
    ))?;
    for (Place { file, line, module, level }, Seen { count, first, last }) in input.messages {
        insert.execute(params![level, file, line, module, sql(*count), sql(*first), sql(*last)])?;
    }
    Ok(())
}

/// The copy of the runtime's variables that a login for statistics may read, without what is secret in them.
pub(super) fn fill_variables(
    transaction: &Transaction<'_>,
    table: &str,
    input: &StatsInput<'_>,
) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare(&format!("INSERT INTO stats.{table} VALUES (?1, ?2)"))?;
    for (name, value) in input.runtime.settings().iter() {
        let secret = name.ends_with("password") || name.ends_with("credentials");
        insert.execute(params![name, if secret && !value.is_empty() { "***" } else { value }])?;
    }
    Ok(())
}
