//! The monitors' log tables: one row a check, kept for `mysql-monitor_history`.

use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{params, params_from_iter};

use super::open::Store;
use crate::runtime::{Address, AuroraServer};
use crate::snapshot::HostgroupId;

/// What was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    Connect,
    Ping,
    /// The answer, when there was one.
    ReadOnly(Option<bool>),
    /// In seconds; `None` without an answer, and for a server that replicates from nobody.
    Lag(Option<u32>),
    Galera(Option<GaleraSeen>),
    GroupReplication(Option<GroupSeen>),
    Aurora(AuroraSeen),
}

/// What a Galera node said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GaleraSeen {
    pub primary_partition: bool,
    pub read_only: bool,
    pub local_recv_queue: u64,
    /// 1 joining, 2 donor or desynced, 3 joined, 4 synced.
    pub local_state: u32,
    pub desync: bool,
    pub reject_queries: bool,
    pub sst_donor_rejects_queries: bool,
    /// `pxc_maint_mode` is there and not DISABLED.
    pub maintenance: bool,
}

/// What a member of a replication group said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupSeen {
    pub viable: bool,
    pub read_only: bool,
    pub transactions_behind: u64,
}

/// What a server of an Aurora cluster said of all of them: nothing, when it did not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuroraSeen {
    pub writer_hostgroup: HostgroupId,
    /// With the lag of each as it is reckoned.
    pub servers: Vec<(AuroraServer, u64)>,
    /// The cluster has this writer since this answer.
    pub promoted: Option<Address>,
}

/// One finished check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckLog {
    pub address: Address,
    pub check: Check,
    /// Microseconds since 1970.
    pub started_us: u64,
    pub took: Duration,
    /// `None` is success.
    pub error: Option<String>,
}

impl Store {
    /// Adds a row and drops those older than `history`.
    pub fn record_check(&mut self, log: &CheckLog, history: Duration) -> rusqlite::Result<()> {
        let (table, time_column, error_column) = match &log.check {
            Check::Aurora(seen) => return self.record_aurora(log, seen, history),
            Check::Connect => ("mysql_server_connect_log", "connect_success_time_us", "connect_error"),
            Check::Ping => ("mysql_server_ping_log", "ping_success_time_us", "ping_error"),
            Check::ReadOnly(_) => ("mysql_server_read_only_log", "success_time_us", "error"),
            Check::Lag(_) => ("mysql_server_replication_lag_log", "success_time_us", "error"),
            Check::Galera(_) => ("mysql_server_galera_log", "success_time_us", "error"),
            Check::GroupReplication(_) => ("mysql_server_group_replication_log", "success_time_us", "error"),
        };
        let took = if log.error.is_none() { sql_micros(log.took) } else { 0 };
        let started = sql_int(log.started_us);
        let (host, port) = (&*log.address.hostname, log.address.port);
        if let Some(mut cells) = answer(&log.check) {
            let mut row: Vec<Value> =
                vec![host.to_owned().into(), i64::from(port).into(), started.into(), took.into()];
            row.append(&mut cells);
            row.push(log.error.clone().into());
            let places = vec!["?"; row.len()].join(", ");
            let sql = format!("INSERT OR REPLACE INTO monitor.{table} VALUES ({places})");
            self.db.prepare_cached(&sql)?.execute(params_from_iter(row))?;
        } else {
            let sql = format!(
                "INSERT OR REPLACE INTO monitor.{table} (hostname, port, time_start_us, {time_column}, {error_column}) \
                 VALUES (?1, ?2, ?3, ?4, ?5)"
            );
            self.db.prepare_cached(&sql)?.execute(params![host, port, started, took, log.error])?;
        }
        self.forget(table, log, history)
    }

    /// A row for each server that was named, or one with the error; the count of checks; and the writer, if it is a new one.
    fn record_aurora(
        &mut self,
        log: &CheckLog,
        seen: &AuroraSeen,
        history: Duration,
    ) -> rusqlite::Result<()> {
        const LOG: &str = "INSERT OR REPLACE INTO monitor.mysql_server_aws_aurora_log \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
        const COUNT: &str = "INSERT INTO monitor.mysql_server_aws_aurora_check_status \
             VALUES (?1, ?2, ?3, datetime(?4, 'unixepoch'), 1, ?5, ?6) \
             ON CONFLICT (writer_hostgroup, hostname, port) DO UPDATE SET last_checked_at = excluded.last_checked_at, \
             checks_tot = checks_tot + 1, checks_ok = checks_ok + excluded.checks_ok, \
             last_error = COALESCE(excluded.last_error, last_error)";
        const FAILOVER: &str = "INSERT INTO monitor.mysql_server_aws_aurora_failovers \
             VALUES (?1, ?2, datetime(?3, 'unixepoch'))";
        let (host, port, started) = (&*log.address.hostname, log.address.port, sql_int(log.started_us));
        let took = if log.error.is_none() { sql_micros(log.took) } else { 0 };
        if seen.servers.is_empty() {
            let row = params![host, port, started, took, log.error, "", None::<&str>, None::<&str>, 0, 0, 0];
            self.db.prepare_cached(LOG)?.execute(row)?;
        }
        for (server, estimated) in &seen.servers {
            let (session, updated) = (&server.session_id, &server.last_update);
            let (lag, estimated) = (sql_int(server.lag_ms), sql_int(*estimated));
            let row = params![
                host,
                port,
                started,
                took,
                log.error,
                server.server_id,
                session,
                updated,
                lag,
                estimated,
                server.cpu
            ];
            self.db.prepare_cached(LOG)?.execute(row)?;
        }
        let seconds = started / 1_000_000;
        let row = params![seen.writer_hostgroup, host, port, seconds, log.error.is_none(), log.error];
        self.db.prepare_cached(COUNT)?.execute(row)?;
        if let Some(promoted) = &seen.promoted {
            let row = params![seen.writer_hostgroup, &*promoted.hostname, seconds];
            self.db.prepare_cached(FAILOVER)?.execute(row)?;
        }
        self.forget("mysql_server_aws_aurora_log", log, history)
    }

    /// Drops this server's rows that are older than `history`.
    fn forget(&mut self, table: &str, log: &CheckLog, history: Duration) -> rusqlite::Result<()> {
        let oldest = sql_int(log.started_us).saturating_sub(sql_micros(history));
        let sql =
            format!("DELETE FROM monitor.{table} WHERE hostname = ?1 AND port = ?2 AND time_start_us < ?3");
        self.db
            .prepare_cached(&sql)?
            .execute(params![&*log.address.hostname, log.address.port, oldest])
            .map(drop)
    }
}

fn sql_int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn sql_micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// The columns between the time and the error, of checks whose tables have some.
fn answer(check: &Check) -> Option<Vec<Value>> {
    match check {
        Check::Connect | Check::Ping | Check::Aurora(_) => None,
        Check::ReadOnly(answer) => Some(vec![answer.map(i64::from).into()]),
        Check::Lag(seconds) => Some(vec![seconds.map(i64::from).into()]),
        Check::GroupReplication(None) => Some(vec![Value::Null; 3]),
        Check::GroupReplication(Some(seen)) => Some(vec![
            yes_or_no(seen.viable),
            yes_or_no(seen.read_only),
            sql_int(seen.transactions_behind).into(),
        ]),
        Check::Galera(None) => Some(vec![Value::Null; 8]),
        Check::Galera(Some(seen)) => Some(vec![
            yes_or_no(seen.primary_partition),
            yes_or_no(seen.read_only),
            sql_int(seen.local_recv_queue).into(),
            i64::from(seen.local_state).into(),
            yes_or_no(seen.desync),
            yes_or_no(seen.reject_queries),
            yes_or_no(seen.sst_donor_rejects_queries),
            yes_or_no(seen.maintenance),
        ]),
    }
}

fn yes_or_no(value: bool) -> Value {
    if value { "YES" } else { "NO" }.to_owned().into()
}
