//! Counters: each worker has its own, written without atomics and summed when somebody asks.

use std::collections::HashMap;
use std::sync::Arc;

use crate::cache::CacheStats;
use crate::session::mirror::MirrorStats;
use crate::session::prepared::cache::Cache;
use crate::snapshot::Server;

/// Upper bounds of `stats_mysql_commands_counters`' first eleven buckets, in microseconds; the twelfth is the rest.
pub const BUCKET_LIMITS_US: [u64; 11] =
    [100, 500, 1_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000, 10_000_000];

/// All of one worker's counters; addition merges two workers.
#[derive(Debug, Default, Clone)]
pub struct WorkerStats {
    pub global: GlobalStats,
    /// By hostgroup, hostname and port.
    pub servers: HashMap<ServerKey, ServerStats>,
    /// By the statement's name as `stats_mysql_commands_counters` spells it.
    pub commands: HashMap<&'static str, CommandStats>,
    /// By `rule_id`.
    pub rule_hits: HashMap<i64, u64>,
    /// Frontend connections by user name.
    pub users: HashMap<Box<str>, u32>,
    /// Sessions that keep their connection, by what pins them.
    pub pins: HashMap<&'static str, u64>,
    /// How often sessions were tied to their connections, by what tied them.
    pub pinned_so_far: HashMap<&'static str, u64>,
    /// The highest `global_stmt_id` given.
    pub max_statement_id: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServerKey {
    pub hostgroup: u32,
    pub hostname: Box<str>,
    pub port: u16,
}

impl From<&Arc<Server>> for ServerKey {
    fn from(server: &Arc<Server>) -> ServerKey {
        ServerKey { hostgroup: server.hostgroup, hostname: server.hostname.clone(), port: server.port }
    }
}

/// Names follow `stats_mysql_global`.
#[derive(Debug, Default, Clone)]
pub struct GlobalStats {
    pub client_connections_created: u64,
    pub client_connections_aborted: u64,
    pub client_connections_connected: u64,
    pub server_connections_created: u64,
    pub server_connections_aborted: u64,
    pub server_connections_connected: u64,
    pub active_transactions: u64,
    /// In a transaction, or with a statement that runs.
    pub sessions_in_flight: u64,
    pub questions: u64,
    pub slow_queries: u64,
    pub queries_backends_bytes_sent: u64,
    pub queries_backends_bytes_recv: u64,
    pub queries_frontends_bytes_sent: u64,
    pub queries_frontends_bytes_recv: u64,
    pub connpool_get_conn_success: u64,
    pub connpool_get_conn_failure: u64,
    pub connpool_get_conn_immediate: u64,
    pub access_denied_wrong_password: u64,
    pub access_denied_max_connections: u64,
    pub max_connect_timeouts: u64,
    pub generated_error_packets: u64,
    pub backend_retries: u64,
    /// Reads that went to a server because it has what the session has written.
    pub gtid_consistent_queries: u64,
    /// Commits that servers have named.
    pub gtid_session_collected: u64,
    pub malformed_packets: u64,
    pub session_panics: u64,
    pub query_digests_evicted: u64,
    pub query_digest_memory: u64,
    /// What long packets of clients take.
    pub packet_memory: u64,
    pub query_cache: CacheStats,
    pub mirrors: MirrorStats,
    pub com_frontend_stmt_prepare: u64,
    pub com_frontend_stmt_execute: u64,
    pub com_frontend_stmt_close: u64,
    pub com_backend_stmt_prepare: u64,
    pub com_backend_stmt_execute: u64,
    pub com_backend_stmt_close: u64,
    pub stmt_client_active_total: u64,
    pub stmt_client_active_unique: u64,
    pub stmt_server_active_total: u64,
    pub stmt_server_active_unique: u64,
    pub stmt_cached: u64,
}

/// A row of `stats_mysql_connection_pool`, without what the snapshot knows.
#[derive(Debug, Default, Clone)]
pub struct ServerStats {
    pub conn_used: u64,
    pub conn_free: u64,
    pub conn_ok: u64,
    pub conn_err: u64,
    pub max_conn_used: u64,
    pub queries: u64,
    pub queries_gtid_sync: u64,
    pub bytes_sent: u64,
    pub bytes_recv: u64,
}

/// A row of `stats_mysql_commands_counters`.
#[derive(Debug, Default, Clone)]
pub struct CommandStats {
    pub total_time_us: u64,
    pub total_count: u64,
    pub buckets: [u64; 12],
}

impl CommandStats {
    pub fn record(&mut self, micros: u64) {
        self.total_time_us += micros;
        self.total_count += 1;
        self.buckets[BUCKET_LIMITS_US.partition_point(|&limit| limit < micros)] += 1;
    }
}

/// A row of `stats_mysql_processlist`.
#[derive(Debug, Clone)]
pub struct ProcessRow {
    pub thread_id: usize,
    pub session_id: u32,
    pub user: String,
    pub db: String,
    pub client: crate::peer::Peer,
    pub hostgroup: Option<u32>,
    /// The local end of the backend connection.
    pub local: Option<std::net::SocketAddr>,
    pub server: Option<ServerKey>,
    pub command: &'static str,
    pub time_ms: u64,
    pub info: String,
    /// Why the session keeps its backend connection; empty when it is free to change.
    pub pin_reason: &'static str,
    /// The transaction that the session has committed last, as its server calls it.
    pub last_gtid: Option<String>,
}

/// A row of `stats_mysql_free_connections`: an idle backend connection.
#[derive(Debug, Clone)]
pub struct FreeRow {
    pub fd: Option<i32>,
    pub server: ServerKey,
    pub user: String,
    pub schema: String,
    pub time_zone: Option<String>,
    pub sql_mode: Option<String>,
    pub autocommit: bool,
    pub idle_ms: u64,
    pub age_ms: u64,
    pub bytes_sent: u64,
    pub bytes_recv: u64,
    /// The server's number of this connection.
    pub thread_id: u32,
}

/// A row of `stats_mysql_prepared_statements_info`, of one worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementRow {
    pub id: u64,
    pub schema: String,
    pub user: String,
    pub digest: u64,
    /// How often clients have it open.
    pub clients: u32,
    /// On how many backend connections it is prepared.
    pub servers: u32,
    pub columns: u16,
    pub parameters: u16,
    pub text: String,
}

impl WorkerStats {
    /// Looks up what is open in a worker's statements.
    pub fn note_statements(&mut self, statements: &Cache) {
        let active = statements.active();
        self.max_statement_id = active.max_id;
        self.global.stmt_client_active_total = active.client_total;
        self.global.stmt_client_active_unique = active.client_unique;
        self.global.stmt_server_active_total = active.server_total;
        self.global.stmt_server_active_unique = active.server_unique;
        self.global.stmt_cached = statements.len() as u64;
    }

    /// Adds another worker's counters to these.
    pub fn merge(&mut self, other: &WorkerStats) {
        self.global.merge(&other.global);
        self.max_statement_id = self.max_statement_id.max(other.max_statement_id);
        for (key, theirs) in &other.servers {
            self.servers.entry(key.clone()).or_default().merge(theirs);
        }
        for (name, theirs) in &other.commands {
            self.commands.entry(name).or_default().merge(theirs);
        }
        for (rule, hits) in &other.rule_hits {
            *self.rule_hits.entry(*rule).or_default() += hits;
        }
        for (user, count) in &other.users {
            *self.users.entry(user.clone()).or_default() += count;
        }
        for (reason, count) in &other.pins {
            *self.pins.entry(reason).or_default() += count;
        }
        for (reason, count) in &other.pinned_so_far {
            *self.pinned_so_far.entry(reason).or_default() += count;
        }
    }
}

/// Adds field by field: counters of the same name are sums over workers.
macro_rules! add_fields {
    ($name:ident { $($field:ident),* $(,)? }) => {
        impl $name {
            pub fn merge(&mut self, other: &$name) {
                $(self.$field += other.$field;)*
            }
        }
    };
}

add_fields!(GlobalStats {
    client_connections_created,
    client_connections_aborted,
    client_connections_connected,
    server_connections_created,
    server_connections_aborted,
    server_connections_connected,
    active_transactions,
    sessions_in_flight,
    questions,
    slow_queries,
    queries_backends_bytes_sent,
    queries_backends_bytes_recv,
    queries_frontends_bytes_sent,
    queries_frontends_bytes_recv,
    connpool_get_conn_success,
    connpool_get_conn_failure,
    connpool_get_conn_immediate,
    access_denied_wrong_password,
    access_denied_max_connections,
    max_connect_timeouts,
    generated_error_packets,
    backend_retries,
    gtid_consistent_queries,
    gtid_session_collected,
    malformed_packets,
    session_panics,
    query_digests_evicted,
    query_digest_memory,
    packet_memory,
    query_cache,
    mirrors,
    com_frontend_stmt_prepare,
    com_frontend_stmt_execute,
    com_frontend_stmt_close,
    com_backend_stmt_prepare,
    com_backend_stmt_execute,
    com_backend_stmt_close,
    stmt_client_active_total,
    stmt_client_active_unique,
    stmt_server_active_total,
    stmt_server_active_unique,
    stmt_cached,
});

add_fields!(ServerStats {
    conn_used,
    conn_free,
    conn_ok,
    conn_err,
    max_conn_used,
    queries,
    queries_gtid_sync,
    bytes_sent,
    bytes_recv,
});

impl CommandStats {
    fn merge(&mut self, other: &CommandStats) {
        self.total_time_us += other.total_time_us;
        self.total_count += other.total_count;
        for (ours, theirs) in self.buckets.iter_mut().zip(other.buckets) {
            *ours += theirs;
        }
    }
}
