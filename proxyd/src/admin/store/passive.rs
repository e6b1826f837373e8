//! Tables that are kept for whoever expects them: they take rows, move them between the layers, and have no effect, which
//! every LOAD to runtime says. Data only; columns and keys are ProxySQL's.

use super::tables::{Kind, TEXT, Table};

const FLAG_ON: &str = "INT NOT NULL DEFAULT 1 CHECK (active IN (0,1))";

pub const TABLES: &[Table] = &[
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
