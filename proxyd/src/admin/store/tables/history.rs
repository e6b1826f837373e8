//! The tables of `stats_history`, in a file of their own. Data only; the names and columns are ProxySQL's.
//!
//! A table with `_hour` and `_day` beside it keeps raw rows for a week, the others' for a year and for ten.

use super::{Kind, Table};

const COUNT: &str = "INTEGER NOT NULL";

pub const TABLES: &[Table] = &[
    history("mysql_connections", CONNECTIONS),
    history("mysql_connections_hour", CONNECTIONS),
    history("mysql_connections_day", CONNECTIONS),
    history("mysql_query_cache", QUERY_CACHE),
    history("mysql_query_cache_hour", QUERY_CACHE),
    history("mysql_query_cache_day", QUERY_CACHE),
    history("system_cpu", CPU),
    history("system_cpu_hour", CPU),
    history("system_cpu_day", CPU),
    history("system_memory", MEMORY),
    history("system_memory_hour", MEMORY),
    history("system_memory_day", MEMORY),
    Table {
        kind: Kind::History,
        name: "history_mysql_status_variables",
        columns: &[("timestamp", COUNT), ("variable_id", COUNT), ("variable_value", "VARCHAR NOT NULL")],
        keys: &["PRIMARY KEY (timestamp, variable_id)"],
    },
    Table {
        kind: Kind::History,
        name: "history_mysql_status_variables_lookup",
        columns: &[
            ("variable_id", "INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL"),
            ("variable_name", "VARCHAR NOT NULL UNIQUE"),
        ],
        keys: &[],
    },
    Table {
        kind: Kind::History,
        name: "history_stats_mysql_connection_pool",
        columns: &[
            ("timestamp", COUNT),
            ("hostgroup", "INT NOT NULL"),
            ("srv_host", "VARCHAR NOT NULL"),
            ("srv_port", "INT NOT NULL"),
            ("status", "VARCHAR NOT NULL"),
            ("ConnUsed", COUNT),
            ("ConnFree", COUNT),
            ("ConnOK", COUNT),
            ("ConnERR", COUNT),
            ("MaxConnUsed", COUNT),
            ("Queries", COUNT),
            ("Queries_GTID_sync", COUNT),
            ("Bytes_data_sent", COUNT),
            ("Bytes_data_recv", COUNT),
            ("Latency_us", COUNT),
        ],
        keys: &["PRIMARY KEY (timestamp, hostgroup, srv_host, srv_port)"],
    },
    Table {
        kind: Kind::History,
        name: "history_mysql_query_digest",
        columns: &[
            ("dump_time", COUNT),
            ("hostgroup", "INT"),
            ("schemaname", "VARCHAR NOT NULL"),
            ("username", "VARCHAR NOT NULL"),
            ("client_address", "VARCHAR NOT NULL"),
            ("digest", "VARCHAR NOT NULL"),
            ("digest_text", "VARCHAR NOT NULL"),
            ("count_star", COUNT),
            ("first_seen", COUNT),
            ("last_seen", COUNT),
            ("sum_time", COUNT),
            ("min_time", COUNT),
            ("max_time", COUNT),
            ("sum_rows_affected", COUNT),
            ("sum_rows_sent", COUNT),
        ],
        keys: &[],
    },
];

/// The raw tables that have an hour's and a day's beside them.
pub const ROLLED_UP: [&str; 4] = ["mysql_connections", "mysql_query_cache", "system_cpu", "system_memory"];

const fn history(name: &'static str, columns: &'static [(&'static str, &'static str)]) -> Table {
    Table { kind: Kind::History, name, columns, keys: &["PRIMARY KEY (timestamp)"] }
}

const CONNECTIONS: &[(&str, &str)] = &[
    ("timestamp", COUNT),
    ("Client_Connections_aborted", COUNT),
    ("Client_Connections_connected", COUNT),
    ("Client_Connections_created", COUNT),
    ("Server_Connections_aborted", COUNT),
    ("Server_Connections_connected", COUNT),
    ("Server_Connections_created", COUNT),
    ("ConnPool_get_conn_failure", COUNT),
    ("ConnPool_get_conn_immediate", COUNT),
    ("ConnPool_get_conn_success", COUNT),
    ("Questions", COUNT),
    ("Slow_queries", COUNT),
    ("GTID_consistent_queries", COUNT),
];

const QUERY_CACHE: &[(&str, &str)] = &[
    ("timestamp", COUNT),
    ("count_GET", COUNT),
    ("count_GET_OK", COUNT),
    ("count_SET", COUNT),
    ("bytes_IN", COUNT),
    ("bytes_OUT", COUNT),
    ("Entries_Purged", COUNT),
    ("Entries_In_Cache", COUNT),
    ("Memory_Bytes", COUNT),
];

const CPU: &[(&str, &str)] = &[("timestamp", COUNT), ("tms_utime", COUNT), ("tms_stime", COUNT)];

const MEMORY: &[(&str, &str)] = &[
    ("timestamp", COUNT),
    ("allocated", COUNT),
    ("resident", COUNT),
    ("active", COUNT),
    ("mapped", COUNT),
    ("metadata", COUNT),
    ("retained", COUNT),
];
