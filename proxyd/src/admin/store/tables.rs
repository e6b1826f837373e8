//! Every admin table: schema, columns, keys. Data only; the names and columns are ProxySQL's. Here are those of the
//! configuration.

pub mod history;
mod monitor;
mod stats;

use super::passive;

/// Which attached database a table lives in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// In `main`, with a copy in `disk` and a read-only twin `runtime_<name>`.
    Config,
    /// In `main` only, read-only.
    Runtime,
    /// In `main` and `disk`, filled by the daemon, read-only.
    Listed,
    /// In `disk` only, filled by the daemon, read-only.
    Disk,
    /// In `stats`, filled when it is read.
    Stats,
    /// In `monitor`, written by the monitors.
    Monitor,
    /// In `stats_history`, written periodically.
    History,
}

/// One table.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    pub kind: Kind,
    pub name: &'static str,
    /// Name and the rest of the column's definition.
    pub columns: &'static [(&'static str, &'static str)],
    /// Table constraints.
    pub keys: &'static [&'static str],
}

impl Table {
    /// `a, b, c` for statements that copy rows.
    pub fn column_list(&self) -> String {
        self.columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }

    /// The statement that creates it as `schema.name`.
    pub fn ddl(&self, schema: &str, name: &str) -> String {
        let columns = self.columns.iter().map(|(column, rest)| format!("    {column} {rest}"));
        let keys = self.keys.iter().map(|key| format!("    {key}"));
        let body = columns.chain(keys).collect::<Vec<_>>().join(",\n");
        format!("CREATE TABLE IF NOT EXISTS {schema}.{name} (\n{body}\n)")
    }

    /// The statement that creates its `runtime_` twin. A copy needs no keys; for a million rows they would cost as much
    /// time and room as the rows.
    pub fn twin_ddl(&self) -> String {
        Table { keys: &[], ..*self }.ddl("main", &format!("runtime_{}", self.name))
    }

    pub fn has_column(&self, name: &str) -> bool {
        self.columns.iter().any(|(column, _)| *column == name)
    }
}

pub fn find(name: &str) -> Option<&'static Table> {
    all().find(|table| table.name == name)
}

pub fn of_kind(kind: Kind) -> impl Iterator<Item = &'static Table> {
    all().filter(move |table| table.kind == kind)
}

pub fn all() -> impl Iterator<Item = &'static Table> {
    let of_configuration = TABLES.iter().chain(passive::TABLES);
    of_configuration.chain(stats::TABLES).chain(monitor::TABLES).chain(history::TABLES)
}

/// False for a table that is kept and read by nobody.
pub fn has_effect(name: &str) -> bool {
    !passive::TABLES.iter().any(|table| table.name == name)
}

const INT: &str = "INT NOT NULL DEFAULT 0";
pub(super) const TEXT: &str = "VARCHAR NOT NULL DEFAULT ''";
pub(super) const NULLABLE_TEXT: &str = "VARCHAR";
const NULLABLE_INT: &str = "INT";
const BIGINT: &str = "INTEGER NOT NULL DEFAULT 0";
pub(super) const PORT: &str = "INT NOT NULL DEFAULT 3306 CHECK (port >= 0 AND port <= 65535)";

const JSON: &str = "VARCHAR NOT NULL DEFAULT '' CHECK (ignore_session_variables = '' OR JSON_VALID(ignore_session_variables))";
const JSON_OF_SETTINGS: &str =
    "VARCHAR NOT NULL DEFAULT '' CHECK (hostgroup_settings = '' OR JSON_VALID(hostgroup_settings))";
const JSON_OF_DEFAULTS: &str =
    "VARCHAR NOT NULL DEFAULT '' CHECK (servers_defaults = '' OR JSON_VALID(servers_defaults))";

pub const TABLES: &[Table] = &[
    Table {
        kind: Kind::Config,
        name: "mysql_servers",
        columns: &[
            ("hostgroup_id", "INT NOT NULL DEFAULT 0 CHECK (hostgroup_id >= 0)"),
            ("hostname", "VARCHAR NOT NULL"),
            ("port", PORT),
            (
                "gtid_port",
                "INT NOT NULL DEFAULT 0 CHECK ((gtid_port <> port OR gtid_port = 0) AND gtid_port >= 0 AND gtid_port <= 65535)",
            ),
            (
                "status",
                "VARCHAR NOT NULL DEFAULT 'ONLINE' CHECK (UPPER(status) IN ('ONLINE','SHUNNED','OFFLINE_SOFT','OFFLINE_HARD'))",
            ),
            // ProxySQL stops at 10000000; older set-ups have more, so the limit applies at runtime only.
            ("weight", "INT NOT NULL DEFAULT 1 CHECK (weight >= 0)"),
            ("compression", "INT NOT NULL DEFAULT 0 CHECK (compression IN (0,1))"),
            ("max_connections", "INT NOT NULL DEFAULT 1000 CHECK (max_connections >= 0)"),
            (
                "max_replication_lag",
                "INT NOT NULL DEFAULT 0 CHECK (max_replication_lag >= 0 AND max_replication_lag <= 126144000)",
            ),
            ("use_ssl", "INT NOT NULL DEFAULT 0 CHECK (use_ssl IN (0,1))"),
            ("max_latency_ms", "INT UNSIGNED NOT NULL DEFAULT 0 CHECK (max_latency_ms >= 0)"),
            ("comment", TEXT),
        ],
        keys: &["PRIMARY KEY (hostgroup_id, hostname, port)"],
    },
    Table {
        kind: Kind::Config,
        name: "mysql_replication_hostgroups",
        columns: &[
            ("writer_hostgroup", "INT NOT NULL PRIMARY KEY CHECK (writer_hostgroup >= 0)"),
            (
                "reader_hostgroup",
                "INT NOT NULL CHECK (reader_hostgroup <> writer_hostgroup AND reader_hostgroup >= 0)",
            ),
            (
                "check_type",
                "VARCHAR NOT NULL DEFAULT 'read_only' CHECK (LOWER(check_type) IN ('read_only','innodb_read_only','super_read_only','read_only|innodb_read_only','read_only&innodb_read_only'))",
            ),
            ("comment", TEXT),
        ],
        keys: &["UNIQUE (reader_hostgroup)"],
    },
    Table { kind: Kind::Config, name: "mysql_galera_hostgroups", columns: CLUSTER, keys: CLUSTER_KEYS },
    Table {
        kind: Kind::Config,
        name: "mysql_group_replication_hostgroups",
        columns: CLUSTER,
        keys: CLUSTER_KEYS,
    },
    Table {
        kind: Kind::Config,
        name: "mysql_users",
        columns: &[
            ("username", "VARCHAR NOT NULL"),
            ("password", NULLABLE_TEXT),
            ("active", "INT NOT NULL DEFAULT 1 CHECK (active IN (0,1))"),
            ("use_ssl", "INT NOT NULL DEFAULT 0 CHECK (use_ssl IN (0,1))"),
            ("default_hostgroup", "INT NOT NULL DEFAULT 0 CHECK (default_hostgroup >= 0)"),
            ("default_schema", NULLABLE_TEXT),
            ("schema_locked", "INT NOT NULL DEFAULT 0 CHECK (schema_locked IN (0,1))"),
            ("transaction_persistent", "INT NOT NULL DEFAULT 1 CHECK (transaction_persistent IN (0,1))"),
            ("fast_forward", "INT NOT NULL DEFAULT 0 CHECK (fast_forward IN (0,1))"),
            ("backend", "INT NOT NULL DEFAULT 1 CHECK (backend IN (0,1))"),
            ("frontend", "INT NOT NULL DEFAULT 1 CHECK (frontend IN (0,1))"),
            ("max_connections", "INT NOT NULL DEFAULT 10000 CHECK (max_connections >= 0)"),
            ("attributes", "VARCHAR NOT NULL DEFAULT '' CHECK (attributes = '' OR JSON_VALID(attributes))"),
            ("comment", TEXT),
        ],
        keys: &["PRIMARY KEY (username, backend)", "UNIQUE (username, frontend)"],
    },
    Table {
        kind: Kind::Config,
        name: "mysql_query_rules",
        columns: &[
            ("rule_id", "INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL"),
            ("active", "INT NOT NULL DEFAULT 0 CHECK (active IN (0,1))"),
            ("username", NULLABLE_TEXT),
            ("schemaname", NULLABLE_TEXT),
            ("flagIN", "INT NOT NULL DEFAULT 0 CHECK (flagIN >= 0)"),
            ("client_addr", NULLABLE_TEXT),
            ("proxy_addr", NULLABLE_TEXT),
            ("proxy_port", "INT CHECK (proxy_port >= 0 AND proxy_port <= 65535)"),
            ("digest", NULLABLE_TEXT),
            ("match_digest", NULLABLE_TEXT),
            ("match_pattern", NULLABLE_TEXT),
            ("negate_match_pattern", "INT NOT NULL DEFAULT 0 CHECK (negate_match_pattern IN (0,1))"),
            ("re_modifiers", "VARCHAR DEFAULT 'CASELESS'"),
            ("flagOUT", "INT CHECK (flagOUT >= 0)"),
            ("replace_pattern", "VARCHAR CHECK (replace_pattern IS NULL OR match_pattern IS NOT NULL)"),
            ("destination_hostgroup", NULLABLE_INT),
            ("cache_ttl", "INT CHECK (cache_ttl > 0)"),
            ("cache_empty_result", "INT CHECK (cache_empty_result IN (0,1))"),
            ("cache_timeout", "INT CHECK (cache_timeout >= 0)"),
            ("reconnect", "INT CHECK (reconnect IN (0,1))"),
            ("timeout", "INT UNSIGNED CHECK (timeout >= 0)"),
            ("retries", "INT CHECK (retries >= 0 AND retries <= 1000)"),
            ("delay", "INT UNSIGNED CHECK (delay >= 0)"),
            ("next_query_flagIN", "INT UNSIGNED"),
            ("mirror_flagOUT", "INT UNSIGNED"),
            ("mirror_hostgroup", "INT UNSIGNED"),
            ("error_msg", NULLABLE_TEXT),
            ("OK_msg", NULLABLE_TEXT),
            ("sticky_conn", "INT CHECK (sticky_conn IN (0,1))"),
            ("multiplex", "INT CHECK (multiplex IN (0,1,2))"),
            ("gtid_from_hostgroup", "INT UNSIGNED"),
            ("log", "INT CHECK (log IN (0,1))"),
            ("apply", "INT NOT NULL DEFAULT 0 CHECK (apply IN (0,1))"),
            ("attributes", "VARCHAR NOT NULL DEFAULT '' CHECK (attributes = '' OR JSON_VALID(attributes))"),
            ("comment", NULLABLE_TEXT),
        ],
        keys: &[],
    },
    Table {
        kind: Kind::Config,
        name: "mysql_query_rules_fast_routing",
        columns: &[
            ("username", "VARCHAR NOT NULL"),
            ("schemaname", "VARCHAR NOT NULL"),
            ("flagIN", "INT NOT NULL DEFAULT 0"),
            ("destination_hostgroup", "INT NOT NULL CHECK (destination_hostgroup >= 0)"),
            ("comment", "VARCHAR NOT NULL"),
        ],
        keys: &["PRIMARY KEY (username, schemaname, flagIN)"],
    },
    Table {
        kind: Kind::Config,
        name: "mysql_aws_aurora_hostgroups",
        columns: &[
            ("writer_hostgroup", "INT NOT NULL PRIMARY KEY CHECK (writer_hostgroup >= 0)"),
            (
                "reader_hostgroup",
                "INT NOT NULL CHECK (reader_hostgroup <> writer_hostgroup AND reader_hostgroup > 0)",
            ),
            ("active", "INT NOT NULL DEFAULT 1 CHECK (active IN (0,1))"),
            ("aurora_port", "INT NOT NULL DEFAULT 3306"),
            ("domain_name", "VARCHAR NOT NULL CHECK (SUBSTR(domain_name, 1, 1) = '.')"),
            ("max_lag_ms", "INT NOT NULL DEFAULT 600000 CHECK (max_lag_ms >= 10 AND max_lag_ms <= 600000)"),
            (
                "check_interval_ms",
                "INT NOT NULL DEFAULT 1000 CHECK (check_interval_ms >= 100 AND check_interval_ms <= 600000)",
            ),
            (
                "check_timeout_ms",
                "INT NOT NULL DEFAULT 800 CHECK (check_timeout_ms >= 80 AND check_timeout_ms <= 3000)",
            ),
            ("writer_is_also_reader", "INT NOT NULL DEFAULT 0 CHECK (writer_is_also_reader IN (0,1))"),
            (
                "new_reader_weight",
                "INT NOT NULL DEFAULT 1 CHECK (new_reader_weight >= 0 AND new_reader_weight <= 10000000)",
            ),
            ("add_lag_ms", "INT NOT NULL DEFAULT 30 CHECK (add_lag_ms >= 0 AND add_lag_ms <= 600000)"),
            ("min_lag_ms", "INT NOT NULL DEFAULT 30 CHECK (min_lag_ms >= 0 AND min_lag_ms <= 600000)"),
            ("lag_num_checks", "INT NOT NULL DEFAULT 1 CHECK (lag_num_checks >= 1 AND lag_num_checks <= 16)"),
            ("comment", NULLABLE_TEXT),
        ],
        keys: &["UNIQUE (reader_hostgroup)"],
    },
    Table {
        kind: Kind::Config,
        name: "mysql_hostgroup_attributes",
        columns: &[
            ("hostgroup_id", "INT NOT NULL PRIMARY KEY CHECK (hostgroup_id >= 0)"),
            (
                "max_num_online_servers",
                "INT NOT NULL DEFAULT 1000000 CHECK (max_num_online_servers >= 0 AND max_num_online_servers <= 1000000)",
            ),
            ("autocommit", "INT NOT NULL DEFAULT -1 CHECK (autocommit IN (-1,0,1))"),
            (
                "free_connections_pct",
                "INT NOT NULL DEFAULT 10 CHECK (free_connections_pct >= 0 AND free_connections_pct <= 100)",
            ),
            ("init_connect", TEXT),
            ("multiplex", "INT NOT NULL DEFAULT 1 CHECK (multiplex IN (0,1))"),
            ("connection_warming", "INT NOT NULL DEFAULT 0 CHECK (connection_warming IN (0,1))"),
            (
                "throttle_connections_per_sec",
                "INT NOT NULL DEFAULT 1000000 CHECK (throttle_connections_per_sec >= 1 AND throttle_connections_per_sec <= 1000000)",
            ),
            ("ignore_session_variables", JSON),
            ("hostgroup_settings", JSON_OF_SETTINGS),
            ("servers_defaults", JSON_OF_DEFAULTS),
            ("comment", TEXT),
        ],
        keys: &[],
    },
    Table {
        kind: Kind::Config,
        name: "mysql_servers_ssl_params",
        columns: &[
            ("hostname", "VARCHAR NOT NULL"),
            ("port", PORT),
            ("username", TEXT),
            ("ssl_ca", TEXT),
            ("ssl_cert", TEXT),
            ("ssl_key", TEXT),
            ("ssl_capath", TEXT),
            ("ssl_crl", TEXT),
            ("ssl_crlpath", TEXT),
            ("ssl_cipher", TEXT),
            ("tls_version", TEXT),
            ("comment", TEXT),
        ],
        keys: &["PRIMARY KEY (hostname, port, username)"],
    },
    Table {
        kind: Kind::Config,
        name: "mysql_firewall_whitelist_users",
        columns: &[
            ("active", "INT NOT NULL DEFAULT 1 CHECK (active IN (0,1))"),
            ("username", "VARCHAR NOT NULL"),
            ("client_address", "VARCHAR NOT NULL"),
            ("mode", "VARCHAR NOT NULL DEFAULT 'OFF' CHECK (mode IN ('OFF','DETECTING','PROTECTING'))"),
            ("comment", "VARCHAR NOT NULL"),
        ],
        keys: &["PRIMARY KEY (username, client_address)"],
    },
    Table {
        kind: Kind::Config,
        name: "mysql_firewall_whitelist_rules",
        columns: &[
            ("active", "INT NOT NULL DEFAULT 1 CHECK (active IN (0,1))"),
            ("username", "VARCHAR NOT NULL"),
            ("client_address", "VARCHAR NOT NULL"),
            ("schemaname", "VARCHAR NOT NULL"),
            ("flagIN", INT),
            ("digest", "VARCHAR NOT NULL"),
            ("comment", "VARCHAR NOT NULL"),
        ],
        keys: &["PRIMARY KEY (username, client_address, schemaname, flagIN, digest)"],
    },
    Table {
        kind: Kind::Config,
        name: "scheduler",
        columns: &[
            ("id", "INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL"),
            ("active", "INT NOT NULL DEFAULT 1 CHECK (active IN (0,1))"),
            ("interval_ms", "INTEGER CHECK (interval_ms >= 100 AND interval_ms <= 100000000) NOT NULL"),
            ("filename", "VARCHAR NOT NULL"),
            ("arg1", NULLABLE_TEXT),
            ("arg2", NULLABLE_TEXT),
            ("arg3", NULLABLE_TEXT),
            ("arg4", NULLABLE_TEXT),
            ("arg5", NULLABLE_TEXT),
            ("comment", TEXT),
        ],
        keys: &[],
    },
    Table {
        kind: Kind::Config,
        name: "restapi_routes",
        columns: &[
            ("id", "INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL"),
            ("active", "INT NOT NULL DEFAULT 1 CHECK (active IN (0,1))"),
            ("timeout_ms", "INTEGER CHECK (timeout_ms >= 100 AND timeout_ms <= 100000000) NOT NULL"),
            ("method", "VARCHAR NOT NULL CHECK (UPPER(method) IN ('GET','POST'))"),
            ("uri", "VARCHAR NOT NULL"),
            ("script", "VARCHAR NOT NULL"),
            ("comment", TEXT),
        ],
        keys: &[],
    },
    Table { kind: Kind::Config, name: "global_variables", columns: NAMED_VALUES, keys: &[] },
    Table {
        kind: Kind::Listed,
        name: "mysql_collations",
        columns: &[
            ("Id", "INTEGER NOT NULL PRIMARY KEY"),
            ("Collation", "VARCHAR NOT NULL"),
            ("Charset", "VARCHAR NOT NULL"),
            ("`Default`", "VARCHAR NOT NULL"),
        ],
        keys: &[],
    },
    Table { kind: Kind::Listed, name: "bootstrap_variables", columns: NAMED_VALUES, keys: &[] },
    Table { kind: Kind::Disk, name: "global_settings", columns: NAMED_VALUES, keys: &[] },
    Table {
        kind: Kind::Runtime,
        name: "runtime_checksums_values",
        columns: &[
            ("name", "VARCHAR NOT NULL PRIMARY KEY"),
            ("version", "INT NOT NULL"),
            ("epoch", "INT NOT NULL"),
            ("checksum", "VARCHAR NOT NULL"),
        ],
        keys: &[],
    },
];

const NAMED_VALUES: &[(&str, &str)] =
    &[("variable_name", "VARCHAR NOT NULL PRIMARY KEY"), ("variable_value", "VARCHAR NOT NULL")];

/// Galera and Group Replication are configured alike.
const CLUSTER: &[(&str, &str)] = &[
    ("writer_hostgroup", "INT CHECK (writer_hostgroup>=0) NOT NULL PRIMARY KEY"),
    (
        "backup_writer_hostgroup",
        "INT CHECK (backup_writer_hostgroup>=0 AND backup_writer_hostgroup<>writer_hostgroup) NOT NULL",
    ),
    (
        "reader_hostgroup",
        "INT NOT NULL CHECK (reader_hostgroup<>writer_hostgroup AND backup_writer_hostgroup<>reader_hostgroup AND reader_hostgroup>0)",
    ),
    (
        "offline_hostgroup",
        "INT NOT NULL CHECK (offline_hostgroup<>writer_hostgroup AND offline_hostgroup<>reader_hostgroup AND backup_writer_hostgroup<>offline_hostgroup AND offline_hostgroup>=0)",
    ),
    ("active", "INT CHECK (active IN (0,1)) NOT NULL DEFAULT 1"),
    ("max_writers", "INT NOT NULL CHECK (max_writers >= 0) DEFAULT 1"),
    ("writer_is_also_reader", "INT CHECK (writer_is_also_reader IN (0,1,2)) NOT NULL DEFAULT 0"),
    ("max_transactions_behind", "INT CHECK (max_transactions_behind>=0) NOT NULL DEFAULT 0"),
    ("comment", NULLABLE_TEXT),
];

const CLUSTER_KEYS: &[&str] =
    &["UNIQUE (reader_hostgroup)", "UNIQUE (offline_hostgroup)", "UNIQUE (backup_writer_hostgroup)"];
