//! Tables that are kept for whoever expects them: they take rows, move them between the layers, and have no effect, which
//! every LOAD to runtime says. Data only; columns and keys are ProxySQL's.

use super::tables::{Kind, NULLABLE_TEXT, TEXT, Table};

const FLAG_ON: &str = "INT NOT NULL DEFAULT 1 CHECK (active IN (0,1))";

pub const TABLES: &[Table] = &[
    Table {
        kind: Kind::Config,
        name: "mysql_aws_aurora_hostgroups",
        columns: &[
            ("writer_hostgroup", "INT NOT NULL PRIMARY KEY CHECK (writer_hostgroup >= 0)"),
            (
                "reader_hostgroup",
                "INT NOT NULL CHECK (reader_hostgroup <> writer_hostgroup AND reader_hostgroup > 0)",
            ),
            ("active", FLAG_ON),
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
        name: "mysql_firewall_whitelist_sqli_fingerprints",
        columns: &[("active", FLAG_ON), ("fingerprint", "VARCHAR NOT NULL")],
        keys: &["PRIMARY KEY (fingerprint)"],
    },
    Table {
        kind: Kind::Config,
        name: "proxysql_servers",
        columns: &[
            ("hostname", "VARCHAR NOT NULL"),
            ("port", "INT NOT NULL DEFAULT 6032"),
            ("weight", "INT CHECK (weight >= 0) NOT NULL DEFAULT 0"),
            ("comment", TEXT),
        ],
        keys: &["PRIMARY KEY (hostname, port)"],
    },
    Table {
        kind: Kind::Config,
        name: "mysql_ldap_mapping",
        columns: &[
            ("priority", "INTEGER CHECK (priority >= 1 AND priority <= 1000000) PRIMARY KEY"),
            ("frontend_entity", "VARCHAR NOT NULL"),
            ("backend_entity", "VARCHAR NOT NULL"),
            ("comment", TEXT),
        ],
        keys: &["UNIQUE (frontend_entity)"],
    },
    Table {
        kind: Kind::Config,
        name: "coredump_filters",
        columns: &[("filename", "VARCHAR NOT NULL"), ("line", "INT NOT NULL")],
        keys: &["PRIMARY KEY (filename, line)"],
    },
    Table {
        kind: Kind::Config,
        name: "debug_levels",
        columns: &[("module", "VARCHAR NOT NULL PRIMARY KEY"), ("verbosity", "INT NOT NULL DEFAULT 0")],
        keys: &[],
    },
    Table {
        kind: Kind::Config,
        name: "debug_filters",
        columns: &[("filename", "VARCHAR NOT NULL"), ("line", "INT NOT NULL"), ("funct", "VARCHAR NOT NULL")],
        keys: &["PRIMARY KEY (filename, line, funct)"],
    },
];
