//! Rows of the memory layer as the runtime takes them, and the runtime's answers as rows of the twins.

use std::time::Duration;

use configs::Value;
use rusqlite::{Row, params, params_from_iter};

use super::layers::copy_error;
use super::open::Store;
use super::tables::{Kind, find};
use crate::runtime::{
    Address, AlsoReader, AuroraHostgroups, ClusterHostgroups, ClusterKind, MAX_WEIGHT, MemberState,
    ReplicationHostgroup, ServerRow, ServersConfig, Settings,
};
use crate::snapshot::Status;

impl Store {
    /// `mysql_servers` and the hostgroup tables, with warnings about what will not be taken literally.
    pub fn servers(&self) -> Result<(ServersConfig, Vec<String>), String> {
        let sql = "SELECT hostgroup_id, hostname, port, gtid_port, UPPER(status), weight, compression, max_connections, \
                   max_replication_lag, use_ssl, max_latency_ms, comment FROM main.mysql_servers \
                   ORDER BY hostgroup_id, hostname, port";
        let servers = self.read(sql, server_row)?;
        let sql = "SELECT writer_hostgroup, reader_hostgroup, LOWER(check_type) \
                   FROM main.mysql_replication_hostgroups ORDER BY writer_hostgroup";
        let replication = self.read(sql, |row| {
            Ok(ReplicationHostgroup { writer: row.get(0)?, reader: row.get(1)?, check_type: row.get(2)? })
        })?;
        let mut clusters = self.clusters("mysql_galera_hostgroups", ClusterKind::Galera)?;
        clusters.extend(self.clusters("mysql_group_replication_hostgroups", ClusterKind::GroupReplication)?);
        let aurora = self.aurora_hostgroups()?;
        let warnings = servers.iter().filter(|row| row.weight > MAX_WEIGHT).map(clamp_warning).collect();
        Ok((ServersConfig { servers, replication, clusters, aurora }, warnings))
    }

    /// The active rows of a table of cluster hostgroups.
    fn clusters(&self, table: &str, kind: ClusterKind) -> Result<Vec<ClusterHostgroups>, String> {
        let sql = format!(
            "SELECT writer_hostgroup, backup_writer_hostgroup, reader_hostgroup, offline_hostgroup, max_writers, \
             writer_is_also_reader, max_transactions_behind FROM main.{table} WHERE active = 1 ORDER BY writer_hostgroup"
        );
        self.read(&sql, |row| {
            Ok(ClusterHostgroups {
                kind,
                writer: row.get(0)?,
                backup_writer: row.get(1)?,
                reader: row.get(2)?,
                offline: row.get(3)?,
                max_writers: usize::try_from(row.get::<_, i64>(4)?).unwrap_or(usize::MAX),
                also_reader: match row.get(5)? {
                    0 => AlsoReader::No,
                    1 => AlsoReader::Yes,
                    _ => AlsoReader::Backups,
                },
                max_transactions_behind: u64::try_from(row.get::<_, i64>(6)?).unwrap_or(0),
            })
        })
    }

    fn aurora_hostgroups(&self) -> Result<Vec<AuroraHostgroups>, String> {
        let sql = "SELECT writer_hostgroup, reader_hostgroup, aurora_port, domain_name, max_lag_ms, check_interval_ms, \
                   check_timeout_ms, writer_is_also_reader, new_reader_weight, add_lag_ms, min_lag_ms, lag_num_checks \
                   FROM main.mysql_aws_aurora_hostgroups WHERE active = 1 ORDER BY writer_hostgroup";
        self.read(sql, |row| {
            let millis = |index| row.get::<_, u32>(index).map(u64::from);
            Ok(AuroraHostgroups {
                writer: row.get(0)?,
                reader: row.get(1)?,
                port: row.get(2)?,
                domain: row.get::<_, String>(3)?.into(),
                max_lag_ms: millis(4)?,
                check_interval: Duration::from_millis(millis(5)?),
                check_timeout: Duration::from_millis(millis(6)?),
                also_reader: row.get(7)?,
                new_reader_weight: row.get(8)?,
                add_lag_ms: millis(9)?,
                min_lag_ms: millis(10)?,
                lag_num_checks: usize::from(row.get::<_, u16>(11)?),
            })
        })
    }

    /// Name and value of the memory layer's variables.
    pub fn variables(&self) -> Result<Vec<(String, String)>, String> {
        self.read(
            "SELECT variable_name, variable_value FROM main.global_variables ORDER BY variable_name",
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }

    /// Sets one variable in memory, as `SET mysql-…=…` does; the name is known.
    pub fn set_variable(&mut self, name: &str, value: &str) -> Result<(), String> {
        self.db
            .execute("INSERT OR REPLACE INTO main.global_variables VALUES (?1, ?2)", params![name, value])
            .map(drop)
            .map_err(copy_error)
    }

    /// Fills in variables that memory lacks, as after an upgrade.
    pub fn add_missing_variables(&mut self, settings: &Settings) -> Result<(), String> {
        self.in_transaction(|transaction| {
            let mut insert =
                transaction.prepare("INSERT OR IGNORE INTO main.global_variables VALUES (?1, ?2)")?;
            for (name, value) in settings.iter() {
                insert.execute(params![name, value])?;
            }
            Ok(())
        })
    }

    /// Drops variables from memory that are not known: another version's.
    pub fn forget_variable(&mut self, name: &str) -> Result<(), String> {
        self.db
            .execute("DELETE FROM main.global_variables WHERE variable_name = ?1", [name])
            .map(drop)
            .map_err(copy_error)
    }

    /// Adds or replaces one row of a configuration table, by column names: first boot and `LOAD … FROM CONFIG`.
    pub fn merge_row<'a>(
        &mut self,
        table: &str,
        cells: impl Iterator<Item = (&'a str, &'a Value)>,
    ) -> Result<(), String> {
        let known = find(table).filter(|known| known.kind == Kind::Config);
        let known = known.ok_or_else(|| format!("there is no configuration table '{table}'"))?;
        let mut columns = Vec::new();
        let mut values = Vec::new();
        for (column, value) in cells {
            if !known.has_column(column) {
                return Err(format!("{table} has no column '{column}'"));
            }
            columns.push(column);
            values.push(match value {
                Value::Integer(number) => rusqlite::types::Value::Integer(*number),
                Value::Text(text) => rusqlite::types::Value::Text(text.clone()),
            });
        }
        let places = vec!["?"; columns.len()].join(", ");
        let sql = format!("INSERT OR REPLACE INTO main.{table} ({}) VALUES ({places})", columns.join(", "));
        self.db.execute(&sql, params_from_iter(values)).map(drop).map_err(copy_error)
    }

    /// How many rows a table of memory has.
    pub fn count(&self, table: &str) -> Result<i64, String> {
        self.db
            .query_row(&format!("SELECT COUNT(*) FROM main.{table}"), [], |row| row.get(0))
            .map_err(copy_error)
    }

    /// Takes a rule out of force and keeps it.
    pub fn deactivate_rule(&mut self, rule_id: i64) -> Result<(), String> {
        self.db
            .execute("UPDATE main.mysql_query_rules SET active = 0 WHERE rule_id = ?1", [rule_id])
            .map(drop)
            .map_err(copy_error)
    }

    /// Brings `runtime_mysql_servers` up to date. The hostgroup pairs' twin changes only by a load.
    pub fn write_runtime_servers(&mut self, members: &[MemberState]) -> Result<(), String> {
        self.in_transaction(|transaction| {
            transaction.execute("DELETE FROM main.runtime_mysql_servers", [])?;
            let mut insert = transaction.prepare(
                "INSERT INTO main.runtime_mysql_servers VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            )?;
            for member in members.iter().filter(|member| !member.removed) {
                let row = &member.row;
                insert.execute(params![
                    row.hostgroup_id,
                    &*row.address.hostname,
                    row.address.port,
                    row.gtid_port,
                    member.status.as_str(),
                    row.weight,
                    row.compression,
                    row.max_connections,
                    row.max_replication_lag,
                    row.use_ssl,
                    row.max_latency_ms,
                    row.comment,
                ])?;
            }
            Ok(())
        })
    }

    /// Makes `runtime_global_variables` these settings.
    pub fn write_runtime_variables(&mut self, settings: &Settings) -> Result<(), String> {
        self.in_transaction(|transaction| {
            transaction.execute("DELETE FROM main.runtime_global_variables", [])?;
            let mut insert =
                transaction.prepare("INSERT INTO main.runtime_global_variables VALUES (?1, ?2)")?;
            for (name, value) in settings.iter() {
                insert.execute(params![name, value])?;
            }
            Ok(())
        })
    }

    pub(super) fn read<T>(
        &self,
        sql: &str,
        from_row: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, String> {
        let mut statement = self.db.prepare(sql).map_err(copy_error)?;
        let rows = statement.query_map([], from_row).map_err(copy_error)?;
        rows.collect::<Result<Vec<T>, _>>().map_err(copy_error)
    }
}

fn server_row(row: &Row<'_>) -> rusqlite::Result<ServerRow> {
    Ok(ServerRow {
        hostgroup_id: row.get(0)?,
        address: Address { hostname: row.get::<_, String>(1)?.into(), port: row.get(2)? },
        gtid_port: row.get(3)?,
        status: configured_status(&row.get::<_, String>(4)?),
        weight: row.get(5)?,
        compression: row.get(6)?,
        max_connections: row.get(7)?,
        max_replication_lag: row.get(8)?,
        use_ssl: row.get(9)?,
        max_latency_ms: row.get(10)?,
        comment: row.get(11)?,
    })
}

/// SHUNNED is a state that the proxy finds, not one to configure.
fn configured_status(word: &str) -> Status {
    match word {
        "OFFLINE_SOFT" => Status::OfflineSoft,
        "OFFLINE_HARD" => Status::OfflineHard,
        _ => Status::Online,
    }
}

fn clamp_warning(row: &ServerRow) -> String {
    format!(
        "mysql_servers: weight {} of {} in hostgroup {} counts as {MAX_WEIGHT} at runtime",
        row.weight, row.address, row.hostgroup_id
    )
}
