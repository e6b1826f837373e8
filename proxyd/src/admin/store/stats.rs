//! Filling the `stats` tables; each is emptied and written anew when somebody reads it.

use std::collections::HashMap;

use rusqlite::types::Value;
use rusqlite::{Statement, Transaction, params, params_from_iter};

use super::open::Store;
use super::peers::{ClusterClient, fill_clients, fill_hosts, fill_messages, fill_variables};
use crate::digests::{DigestRow, FROM_CACHE};
use crate::errors::{ErrorKey, ErrorStats};
use crate::hosts::HostRow;
use crate::logfile::Counts;
use crate::messages::{Place, Seen};
use crate::runtime::{Address, MemberState, Runtime};
use crate::snapshot::Status;
use crate::stats::{FreeRow, GlobalStats, ProcessRow, ServerKey, ServerStats, StatementRow, WorkerStats};

/// What the tables are filled from.
#[derive(Debug)]
pub struct StatsInput<'a> {
    pub runtime: &'a Runtime,
    pub workers: &'a WorkerStats,
    pub processes: &'a [ProcessRow],
    pub free: &'a [FreeRow],
    pub statements: &'a [StatementRow],
    pub paused: bool,
    /// Lines of the log files.
    pub logs: Counts,
    pub digests: &'a [DigestRow],
    pub errors: &'a HashMap<ErrorKey, ErrorStats>,
    pub hosts: &'a [HostRow],
    pub messages: &'a [(Place, Seen)],
    pub clients: &'a [ClusterClient],
    /// What `stats_mysql_connection_pool_reset` counted away.
    pub baseline: &'a HashMap<ServerKey, ServerStats>,
}

impl Store {
    /// Fills one `stats` table by its name; a name that is none of them is nobody's error.
    pub fn fill_stats(&mut self, table: &str, input: &StatsInput<'_>) -> Result<(), String> {
        let fill: fn(&Transaction<'_>, &str, &StatsInput<'_>) -> rusqlite::Result<()> = match table {
            "stats_mysql_connection_pool" | "stats_mysql_connection_pool_reset" => fill_pool,
            "stats_mysql_processlist" => fill_processlist,
            "stats_mysql_free_connections" => fill_free,
            "stats_mysql_gtid_executed" => fill_executed,
            "stats_mysql_prepared_statements_info" => fill_statements,
            "stats_mysql_commands_counters" => fill_commands,
            "stats_mysql_global" => fill_global,
            "stats_mysql_query_rules" => fill_rules,
            "stats_mysql_users" => fill_users,
            "stats_mysql_query_digest" | "stats_mysql_query_digest_reset" => fill_digests,
            "stats_mysql_errors" | "stats_mysql_errors_reset" => fill_errors,
            "stats_memory_metrics" => fill_memory,
            "stats_mysql_client_host_cache" | "stats_mysql_client_host_cache_reset" => fill_hosts,
            "stats_proxysql_message_metrics" | "stats_proxysql_message_metrics_reset" => fill_messages,
            "stats_proxysql_servers_clients_status" => fill_clients,
            "global_variables" => fill_variables,
            _ => return Ok(()),
        };
        self.in_transaction(|transaction| {
            transaction.execute(&format!("DELETE FROM stats.{table}"), [])?;
            fill(transaction, table, input)
        })
    }
}

fn fill_pool(transaction: &Transaction<'_>, table: &str, input: &StatsInput<'_>) -> rusqlite::Result<()> {
    insert_cells(transaction, table, pool_cells(input.runtime, input.workers, input.baseline))
}

/// The rows of `stats_mysql_connection_pool`, counted from a baseline on.
pub fn pool_cells(
    runtime: &Runtime,
    workers: &WorkerStats,
    baseline: &HashMap<ServerKey, ServerStats>,
) -> Vec<Vec<Value>> {
    let cells = |member: &MemberState| {
        let key = ServerKey::from(&member.server);
        let now = workers.servers.get(&key).cloned().unwrap_or_default();
        let since = baseline.get(&key).cloned().unwrap_or_default();
        vec![
            key.hostgroup.into(),
            key.hostname.into_string().into(),
            key.port.into(),
            member.status.as_str().to_owned().into(),
            sql(now.conn_used).into(),
            sql(now.conn_free).into(),
            sql(now.conn_ok.saturating_sub(since.conn_ok)).into(),
            sql(now.conn_err.saturating_sub(since.conn_err)).into(),
            // The workers' peaks need not have been at one time.
            sql(now.max_conn_used.min(member.server.peak())).into(),
            sql(now.queries.saturating_sub(since.queries)).into(),
            sql(now.queries_gtid_sync.saturating_sub(since.queries_gtid_sync)).into(),
            sql(now.bytes_sent.saturating_sub(since.bytes_sent)).into(),
            sql(now.bytes_recv.saturating_sub(since.bytes_recv)).into(),
            sql(runtime.latency_us(&member.row.address)).into(),
        ]
    };
    runtime.members().iter().map(cells).collect()
}

/// Inserts rows of as many cells as the table has columns; of two with one key the first stays.
fn insert_cells(
    transaction: &Transaction<'_>,
    table: &str,
    rows: impl IntoIterator<Item = Vec<Value>>,
) -> rusqlite::Result<()> {
    let mut insert: Option<Statement<'_>> = None;
    for row in rows {
        let statement = match &mut insert {
            Some(prepared) => prepared,
            None => {
                let places = vec!["?"; row.len()].join(", ");
                let text = format!("INSERT OR IGNORE INTO stats.{table} VALUES ({places})");
                insert.insert(transaction.prepare(&text)?)
            }
        };
        statement.execute(params_from_iter(row))?;
    }
    Ok(())
}

fn fill_processlist(transaction: &Transaction<'_>, _: &str, input: &StatsInput<'_>) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare(
        "INSERT OR REPLACE INTO stats.stats_mysql_processlist \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, NULL, ?15)",
    )?;
    for row in input.processes {
        let mut pinned = serde_json::Map::new();
        if !row.pin_reason.is_empty() {
            pinned.insert("pinned_by".to_owned(), row.pin_reason.into());
        }
        if let Some(gtid) = &row.last_gtid {
            pinned.insert("last_gtid".to_owned(), gtid.as_str().into());
        }
        let pinned = (!pinned.is_empty()).then(|| serde_json::Value::Object(pinned).to_string());
        insert.execute(params![
            sql(row.thread_id as u64),
            row.session_id,
            row.user,
            row.db,
            row.client.host(),
            row.client.port(),
            row.hostgroup,
            row.local.map(|address| address.ip().to_string()),
            row.local.map(|address| address.port()),
            row.server.as_ref().map(|server| &*server.hostname),
            row.server.as_ref().map(|server| server.port),
            row.command,
            sql(row.time_ms),
            row.info,
            pinned,
        ])?;
    }
    Ok(())
}

/// What is not known of a connection is NULL, except for the descriptor: -1.
fn fill_free(transaction: &Transaction<'_>, _: &str, input: &StatsInput<'_>) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare(
        "INSERT INTO stats.stats_mysql_free_connections \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, NULL, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?;
    for row in input.free {
        let statistics = serde_json::json!({
            "age_ms": row.age_ms, "bytes_sent": row.bytes_sent, "bytes_recv": row.bytes_recv,
        });
        insert.execute(params![
            row.fd.unwrap_or(-1),
            row.server.hostgroup,
            &*row.server.hostname,
            row.server.port,
            row.user,
            row.schema,
            row.time_zone,
            row.sql_mode,
            if row.autocommit { "1" } else { "0" },
            sql(row.idle_ms),
            statistics.to_string(),
            serde_json::json!({ "thread_id": row.thread_id }).to_string(),
        ])?;
    }
    Ok(())
}

/// A server whose reader is not connected has NULL.
fn fill_executed(transaction: &Transaction<'_>, table: &str, input: &StatsInput<'_>) -> rusqlite::Result<()> {
    let cells = |(address, executed, events): (&Address, Option<String>, u64)| {
        let executed = executed.map_or(Value::Null, Value::from);
        vec![address.hostname.to_string().into(), address.port.into(), executed, sql(events).into()]
    };
    insert_cells(transaction, table, input.runtime.executed().rows().map(cells))
}

fn fill_statements(transaction: &Transaction<'_>, _: &str, input: &StatsInput<'_>) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare(
        "INSERT INTO stats.stats_mysql_prepared_statements_info VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    for row in input.statements {
        insert.execute(params![
            sql(row.id),
            row.schema,
            row.user,
            format!("0x{:016X}", row.digest),
            row.clients,
            row.servers,
            row.columns,
            row.parameters,
            row.text,
        ])?;
    }
    Ok(())
}

fn fill_commands(transaction: &Transaction<'_>, _: &str, input: &StatsInput<'_>) -> rusqlite::Result<()> {
    let places = vec!["?"; 15].join(", ");
    let mut insert =
        transaction.prepare(&format!("INSERT INTO stats.stats_mysql_commands_counters VALUES ({places})"))?;
    let mut commands: Vec<_> = input.workers.commands.iter().collect();
    commands.sort_by_key(|(command, _)| **command);
    for (command, counters) in commands {
        let numbers = [counters.total_time_us, counters.total_count].into_iter().chain(counters.buckets);
        let cells = std::iter::once(rusqlite::types::Value::from((*command).to_owned()))
            .chain(numbers.map(|number| rusqlite::types::Value::from(sql(number))));
        insert.execute(rusqlite::params_from_iter(cells))?;
    }
    Ok(())
}

fn fill_global(transaction: &Transaction<'_>, table: &str, input: &StatsInput<'_>) -> rusqlite::Result<()> {
    let rows = global_rows(input.runtime, input.workers, input.paused, input.logs);
    insert_cells(transaction, table, rows.into_iter().map(|(name, value)| vec![name.into(), value.into()]))
}

/// The rows of `stats_mysql_global`.
pub fn global_rows(
    runtime: &Runtime,
    workers: &WorkerStats,
    paused: bool,
    logs: Counts,
) -> Vec<(String, String)> {
    let mut rows = vec![
        ("ProxySQL_Uptime".to_owned(), runtime.started().elapsed().as_secs().to_string()),
        ("MySQL_Thread_Workers".to_owned(), runtime.workers().len().to_string()),
        ("mysql_listener_paused".to_owned(), paused.to_string()),
        ("Servers_table_version".to_owned(), runtime.snapshot().generation.to_string()),
        ("Log_lines_written".to_owned(), logs.written.to_string()),
        ("Log_lines_lost".to_owned(), logs.lost.to_string()),
    ];
    let counted = global_counters(&workers.global);
    rows.extend(counted.into_iter().map(|(name, value)| (name.to_owned(), value.to_string())));
    rows.push(("Stmt_Max_Stmt_id".to_owned(), workers.max_statement_id.to_string()));
    // What ProxySQL locks to a hostgroup, this proxy ties to a connection: a SET that nobody can replay.
    let locked = ["set", "session-state"].iter().filter_map(|reason| workers.pins.get(reason)).sum::<u64>();
    rows.push(("Client_Connections_hostgroup_locked".to_owned(), locked.to_string()));
    let mut pinned: Vec<_> = workers.pinned_so_far.iter().collect();
    pinned.sort_unstable();
    for (reason, count) in pinned {
        rows.push((format!("Pinned_{}", reason.replace('-', "_")), count.to_string()));
    }
    for status in [Status::Online, Status::Shunned, Status::OfflineSoft, Status::OfflineHard] {
        let count = runtime.members().iter().filter(|member: &&MemberState| member.status == status).count();
        rows.push((format!("Servers_{}", status.as_str()), count.to_string()));
    }
    rows
}

/// The counters by the names of `stats_mysql_global`.
fn global_counters(stats: &GlobalStats) -> [(&'static str, u64); 48] {
    [
        ("Client_Connections_created", stats.client_connections_created),
        ("Client_Connections_aborted", stats.client_connections_aborted),
        ("Client_Connections_connected", stats.client_connections_connected),
        ("Server_Connections_created", stats.server_connections_created),
        ("Server_Connections_aborted", stats.server_connections_aborted),
        ("Server_Connections_connected", stats.server_connections_connected),
        ("Active_Transactions", stats.active_transactions),
        ("Questions", stats.questions),
        ("Slow_queries", stats.slow_queries),
        ("Queries_backends_bytes_sent", stats.queries_backends_bytes_sent),
        ("Queries_backends_bytes_recv", stats.queries_backends_bytes_recv),
        ("Queries_frontends_bytes_sent", stats.queries_frontends_bytes_sent),
        ("Queries_frontends_bytes_recv", stats.queries_frontends_bytes_recv),
        ("ConnPool_get_conn_success", stats.connpool_get_conn_success),
        ("ConnPool_get_conn_failure", stats.connpool_get_conn_failure),
        ("ConnPool_get_conn_immediate", stats.connpool_get_conn_immediate),
        ("Access_Denied_Wrong_Password", stats.access_denied_wrong_password),
        ("Access_Denied_Max_Connections", stats.access_denied_max_connections),
        ("max_connect_timeouts", stats.max_connect_timeouts),
        ("generated_error_packets", stats.generated_error_packets),
        ("GTID_consistent_queries", stats.gtid_consistent_queries),
        ("GTID_session_collected", stats.gtid_session_collected),
        ("Backend_retries", stats.backend_retries),
        ("Malformed_packets", stats.malformed_packets),
        ("Session_panics", stats.session_panics),
        ("Query_digests_evicted", stats.query_digests_evicted),
        ("Query_Cache_Memory_bytes", stats.query_cache.memory),
        ("Query_Cache_count_GET", stats.query_cache.gets),
        ("Query_Cache_count_GET_OK", stats.query_cache.hits),
        ("Query_Cache_count_SET", stats.query_cache.sets),
        ("Query_Cache_bytes_IN", stats.query_cache.bytes_in),
        ("Query_Cache_bytes_OUT", stats.query_cache.bytes_out),
        ("Query_Cache_Purged", stats.query_cache.purged),
        ("Query_Cache_Entries", stats.query_cache.entries),
        ("Mirror_concurrency", stats.mirrors.running),
        ("Mirror_queue_length", stats.mirrors.waiting),
        ("Mirror_dropped", stats.mirrors.dropped),
        ("Com_frontend_stmt_prepare", stats.com_frontend_stmt_prepare),
        ("Com_frontend_stmt_execute", stats.com_frontend_stmt_execute),
        ("Com_frontend_stmt_close", stats.com_frontend_stmt_close),
        ("Com_backend_stmt_prepare", stats.com_backend_stmt_prepare),
        ("Com_backend_stmt_execute", stats.com_backend_stmt_execute),
        ("Com_backend_stmt_close", stats.com_backend_stmt_close),
        ("Stmt_Client_Active_Total", stats.stmt_client_active_total),
        ("Stmt_Client_Active_Unique", stats.stmt_client_active_unique),
        ("Stmt_Server_Active_Total", stats.stmt_server_active_total),
        ("Stmt_Server_Active_Unique", stats.stmt_server_active_unique),
        ("Stmt_Cached", stats.stmt_cached),
    ]
}

fn fill_rules(transaction: &Transaction<'_>, _: &str, input: &StatsInput<'_>) -> rusqlite::Result<()> {
    transaction.execute(
        "INSERT INTO stats.stats_mysql_query_rules SELECT rule_id, 0 FROM main.runtime_mysql_query_rules",
        [],
    )?;
    let mut update =
        transaction.prepare("UPDATE stats.stats_mysql_query_rules SET hits = ?2 WHERE rule_id = ?1")?;
    for (rule, hits) in &input.workers.rule_hits {
        update.execute(params![rule, sql(*hits)])?;
    }
    Ok(())
}

fn fill_users(transaction: &Transaction<'_>, _: &str, input: &StatsInput<'_>) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare("INSERT INTO stats.stats_mysql_users VALUES (?1, ?2, ?3)")?;
    for (name, user) in input.runtime.users().iter() {
        let connected = input.workers.users.get(name).copied().unwrap_or(0);
        insert.execute(params![name, connected, user.max_connections])?;
    }
    Ok(())
}

fn fill_digests(transaction: &Transaction<'_>, table: &str, input: &StatsInput<'_>) -> rusqlite::Result<()> {
    insert_cells(transaction, table, input.digests.iter().map(digest_cells))
}

/// A row of `stats_mysql_query_digest`.
pub fn digest_cells(DigestRow { identity, counters }: &DigestRow) -> Vec<Value> {
    vec![
        if identity.hostgroup == FROM_CACHE { -1 } else { i64::from(identity.hostgroup) }.into(),
        identity.schema.to_string().into(),
        identity.user.to_string().into(),
        identity.client.to_string().into(),
        format!("0x{:016X}", identity.digest).into(),
        identity.text.to_string().into(),
        sql(counters.count).into(),
        sql(counters.first_seen).into(),
        sql(counters.last_seen).into(),
        sql(counters.sum_time).into(),
        sql(counters.min_time).into(),
        sql(counters.max_time).into(),
        sql(counters.rows_affected).into(),
        sql(counters.rows_sent).into(),
    ]
}

fn fill_errors(transaction: &Transaction<'_>, table: &str, input: &StatsInput<'_>) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare(&format!(
        "INSERT INTO stats.{table} VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
    ))?;
    for (key, stats) in input.errors {
        insert.execute(params![
            key.server.hostgroup,
            &*key.server.hostname,
            key.server.port,
            &*key.user,
            &*key.client,
            &*key.schema,
            key.code,
            sql(stats.count),
            sql(stats.first_seen),
            sql(stats.last_seen),
            &*stats.last_error,
        ])?;
    }
    Ok(())
}

/// What is known of the memory; the allocator's own names (`jemalloc_…`) are another allocator's.
fn fill_memory(transaction: &Transaction<'_>, _: &str, input: &StatsInput<'_>) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare("INSERT INTO stats.stats_memory_metrics VALUES (?1, ?2)")?;
    let metrics = [
        ("resident_memory_bytes", resident_bytes()),
        ("Auth_memory", input.runtime.users().bytes() as u64),
        ("query_digest_memory", input.workers.global.query_digest_memory),
        ("packet_memory", input.workers.global.packet_memory),
    ];
    for (name, value) in metrics {
        insert.execute(params![name, value.to_string()])?;
    }
    Ok(())
}

/// This process's resident memory; 0 where the kernel does not say.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// SQLite has no unsigned numbers.
pub(super) fn sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
