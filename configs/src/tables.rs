//! The admin tables that a file may fill at first boot: columns, kinds, keys. Data only; names are ProxySQL's.

/// What a cell holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Both ends included.
    Integer(i64, i64),
    Text,
    OneOf(&'static [&'static str]),
}

pub(crate) struct Column {
    pub name: &'static str,
    pub kind: Kind,
}

pub(crate) struct Table {
    pub name: &'static str,
    pub columns: &'static [Column],
    /// Columns that have neither default nor NULL.
    pub required: &'static [&'static str],
    /// Primary key, each with the default that an absent cell has; a table numbers rows itself if there is none.
    pub key: &'static [(&'static str, Option<&'static str>)],
}

use Kind::{OneOf, Text};

const FLAG: Kind = Kind::Integer(0, 1);
const PORT: Kind = Kind::Integer(0, 65_535);
const ANY: Kind = Kind::Integer(0, i32::MAX as i64);

const fn c(name: &'static str, kind: Kind) -> Column {
    Column { name, kind }
}

const STATUS: &[&str] = &["ONLINE", "SHUNNED", "OFFLINE_SOFT", "OFFLINE_HARD"];
const FIREWALL: &[&str] = &["OFF", "DETECTING", "PROTECTING"];
const CHECKS: &[&str] = &[
    "read_only",
    "innodb_read_only",
    "super_read_only",
    "read_only|innodb_read_only",
    "read_only&innodb_read_only",
];

/// Galera and Group Replication are configured in the same words.
#[rustfmt::skip]
const CLUSTER_COLUMNS: &[Column] = &[
    c("writer_hostgroup", ANY), c("backup_writer_hostgroup", ANY), c("reader_hostgroup", ANY),
    c("offline_hostgroup", ANY), c("active", FLAG), c("max_writers", ANY),
    c("writer_is_also_reader", Kind::Integer(0, 2)), c("max_transactions_behind", ANY), c("comment", Text),
];
const CLUSTER_REQUIRED: &[&str] =
    &["writer_hostgroup", "backup_writer_hostgroup", "reader_hostgroup", "offline_hostgroup"];

#[rustfmt::skip]
pub(crate) const TABLES: &[Table] = &[
    Table {
        name: "mysql_servers",
        columns: &[
            c("hostgroup_id", ANY), c("hostname", Text), c("port", PORT), c("gtid_port", PORT),
            c("status", OneOf(STATUS)),
            // ProxySQL allows 10000000; larger ones are clamped when they are loaded to runtime.
            c("weight", ANY),
            c("compression", FLAG), c("max_connections", ANY),
            c("max_replication_lag", Kind::Integer(0, 126_144_000)), c("use_ssl", FLAG), c("max_latency_ms", ANY),
            c("comment", Text),
        ],
        required: &["hostname"],
        key: &[("hostgroup_id", Some("0")), ("hostname", None), ("port", Some("3306"))],
    },
    Table {
        name: "mysql_users",
        columns: &[
            c("username", Text), c("password", Text), c("active", FLAG), c("use_ssl", FLAG),
            c("default_hostgroup", ANY), c("default_schema", Text), c("schema_locked", FLAG),
            c("transaction_persistent", FLAG), c("fast_forward", FLAG), c("backend", FLAG), c("frontend", FLAG),
            c("max_connections", ANY), c("attributes", Text), c("comment", Text),
        ],
        required: &["username"],
        key: &[("username", None), ("backend", Some("1"))],
    },
    Table {
        name: "mysql_query_rules",
        columns: &[
            c("rule_id", ANY), c("active", FLAG), c("username", Text), c("schemaname", Text), c("flagIN", ANY),
            c("client_addr", Text), c("proxy_addr", Text), c("proxy_port", PORT), c("digest", Text),
            c("match_digest", Text), c("match_pattern", Text), c("negate_match_pattern", FLAG),
            c("re_modifiers", Text), c("flagOUT", ANY), c("replace_pattern", Text),
            c("destination_hostgroup", ANY), c("cache_ttl", ANY), c("cache_empty_result", FLAG),
            c("cache_timeout", ANY), c("reconnect", FLAG), c("timeout", ANY), c("retries", Kind::Integer(0, 1000)),
            c("delay", ANY), c("next_query_flagIN", ANY), c("mirror_flagOUT", ANY), c("mirror_hostgroup", ANY),
            c("error_msg", Text), c("OK_msg", Text), c("sticky_conn", FLAG), c("multiplex", Kind::Integer(0, 2)),
            c("gtid_from_hostgroup", ANY), c("log", FLAG), c("apply", FLAG), c("attributes", Text),
            c("comment", Text),
        ],
        required: &[],
        key: &[("rule_id", None)],
    },
    Table {
        name: "mysql_query_rules_fast_routing",
        columns: &[
            c("username", Text), c("schemaname", Text), c("flagIN", ANY), c("destination_hostgroup", ANY),
            c("comment", Text),
        ],
        required: &["username", "schemaname", "destination_hostgroup", "comment"],
        key: &[("username", None), ("schemaname", None), ("flagIN", Some("0"))],
    },
    Table {
        name: "mysql_hostgroup_attributes",
        columns: &[
            c("hostgroup_id", ANY), c("max_num_online_servers", Kind::Integer(0, 1_000_000)),
            c("autocommit", Kind::Integer(-1, 1)), c("free_connections_pct", Kind::Integer(0, 100)),
            c("init_connect", Text), c("multiplex", FLAG), c("connection_warming", FLAG),
            c("throttle_connections_per_sec", Kind::Integer(1, 1_000_000)), c("ignore_session_variables", Text),
            c("hostgroup_settings", Text), c("servers_defaults", Text), c("comment", Text),
        ],
        required: &["hostgroup_id"],
        key: &[("hostgroup_id", None)],
    },
    Table {
        name: "mysql_firewall_whitelist_users",
        columns: &[
            c("active", FLAG), c("username", Text), c("client_address", Text), c("mode", OneOf(FIREWALL)),
            c("comment", Text),
        ],
        required: &["username", "client_address", "comment"],
        key: &[("username", None), ("client_address", None)],
    },
    Table {
        name: "mysql_firewall_whitelist_rules",
        columns: &[
            c("active", FLAG), c("username", Text), c("client_address", Text), c("schemaname", Text),
            c("flagIN", ANY), c("digest", Text), c("comment", Text),
        ],
        required: &["username", "client_address", "schemaname", "digest", "comment"],
        key: &[
            ("username", None), ("client_address", None), ("schemaname", None), ("flagIN", Some("0")),
            ("digest", None),
        ],
    },
    Table {
        name: "mysql_replication_hostgroups",
        columns: &[
            c("writer_hostgroup", ANY), c("reader_hostgroup", ANY), c("check_type", OneOf(CHECKS)),
            c("comment", Text),
        ],
        required: &["writer_hostgroup", "reader_hostgroup"],
        key: &[("writer_hostgroup", None)],
    },
    Table {
        name: "mysql_galera_hostgroups",
        columns: CLUSTER_COLUMNS,
        required: CLUSTER_REQUIRED,
        key: &[("writer_hostgroup", None)],
    },
    Table {
        name: "mysql_group_replication_hostgroups",
        columns: CLUSTER_COLUMNS,
        required: CLUSTER_REQUIRED,
        key: &[("writer_hostgroup", None)],
    },
    Table {
        name: "mysql_aws_aurora_hostgroups",
        columns: &[
            c("writer_hostgroup", ANY), c("reader_hostgroup", ANY), c("active", FLAG), c("aurora_port", PORT),
            c("domain_name", Text), c("max_lag_ms", Kind::Integer(10, 600_000)),
            c("check_interval_ms", Kind::Integer(100, 600_000)), c("check_timeout_ms", Kind::Integer(80, 3000)),
            c("writer_is_also_reader", FLAG), c("new_reader_weight", Kind::Integer(0, 10_000_000)),
            c("add_lag_ms", Kind::Integer(0, 600_000)), c("min_lag_ms", Kind::Integer(0, 600_000)),
            c("lag_num_checks", Kind::Integer(1, 16)), c("comment", Text),
        ],
        required: &["writer_hostgroup", "reader_hostgroup", "domain_name"],
        key: &[("writer_hostgroup", None)],
    },
];
