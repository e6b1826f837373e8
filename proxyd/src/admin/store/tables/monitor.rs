//! The tables of `monitor`. Data only; the names and columns are ProxySQL's.

use super::{BIGINT, Kind, NULLABLE_TEXT, Table};

pub const TABLES: &[Table] = &[
    Table {
        kind: Kind::Monitor,
        name: "mysql_server_connect_log",
        columns: &[
            ("hostname", "VARCHAR NOT NULL"),
            ("port", "INT NOT NULL DEFAULT 3306"),
            ("time_start_us", BIGINT),
            ("connect_success_time_us", "INT DEFAULT 0"),
            ("connect_error", NULLABLE_TEXT),
        ],
        keys: CHECK_KEY,
    },
    Table {
        kind: Kind::Monitor,
        name: "mysql_server_ping_log",
        columns: &[
            ("hostname", "VARCHAR NOT NULL"),
            ("port", "INT NOT NULL DEFAULT 3306"),
            ("time_start_us", BIGINT),
            ("ping_success_time_us", "INT DEFAULT 0"),
            ("ping_error", NULLABLE_TEXT),
        ],
        keys: CHECK_KEY,
    },
    Table {
        kind: Kind::Monitor,
        name: "mysql_server_read_only_log",
        columns: &[
            ("hostname", "VARCHAR NOT NULL"),
            ("port", "INT NOT NULL DEFAULT 3306"),
            ("time_start_us", BIGINT),
            ("success_time_us", "INT DEFAULT 0"),
            ("read_only", "INT DEFAULT 1"),
            ("error", NULLABLE_TEXT),
        ],
        keys: CHECK_KEY,
    },
    Table {
        kind: Kind::Monitor,
        name: "mysql_server_replication_lag_log",
        columns: &[
            ("hostname", "VARCHAR NOT NULL"),
            ("port", "INT NOT NULL DEFAULT 3306"),
            ("time_start_us", BIGINT),
            ("success_time_us", "INT DEFAULT 0"),
            ("repl_lag", "INT DEFAULT 0"),
            ("error", NULLABLE_TEXT),
        ],
        keys: CHECK_KEY,
    },
    Table {
        kind: Kind::Monitor,
        name: "mysql_server_group_replication_log",
        columns: &[
            ("hostname", "VARCHAR NOT NULL"),
            ("port", "INT NOT NULL DEFAULT 3306"),
            ("time_start_us", BIGINT),
            ("success_time_us", "INT DEFAULT 0"),
            ("viable_candidate", "VARCHAR DEFAULT 'NO'"),
            ("read_only", "VARCHAR DEFAULT 'YES'"),
            ("transactions_behind", "INT DEFAULT 0"),
            ("error", NULLABLE_TEXT),
        ],
        keys: CHECK_KEY,
    },
    Table {
        kind: Kind::Monitor,
        name: "mysql_server_galera_log",
        columns: &[
            ("hostname", "VARCHAR NOT NULL"),
            ("port", "INT NOT NULL DEFAULT 3306"),
            ("time_start_us", BIGINT),
            ("success_time_us", "INT DEFAULT 0"),
            ("primary_partition", "VARCHAR DEFAULT 'NO'"),
            ("read_only", "VARCHAR DEFAULT 'YES'"),
            ("wsrep_local_recv_queue", "INT DEFAULT 0"),
            ("wsrep_local_state", "INT DEFAULT 0"),
            ("wsrep_desync", "VARCHAR DEFAULT 'NO'"),
            ("wsrep_reject_queries", "VARCHAR DEFAULT 'NO'"),
            ("wsrep_sst_donor_rejects_queries", "VARCHAR DEFAULT 'NO'"),
            ("pxc_maint_mode", "VARCHAR DEFAULT 'NO'"),
            ("error", NULLABLE_TEXT),
        ],
        keys: CHECK_KEY,
    },
    // Nobody writes the next three: Aurora is not monitored, as each load of its hostgroups says.
    Table {
        kind: Kind::Monitor,
        name: "mysql_server_aws_aurora_log",
        columns: &[
            ("hostname", "VARCHAR NOT NULL"),
            ("port", "INT NOT NULL DEFAULT 3306"),
            ("time_start_us", BIGINT),
            ("success_time_us", "INT DEFAULT 0"),
            ("error", NULLABLE_TEXT),
            ("SERVER_ID", "VARCHAR NOT NULL DEFAULT ''"),
            ("SESSION_ID", NULLABLE_TEXT),
            ("LAST_UPDATE_TIMESTAMP", NULLABLE_TEXT),
            ("replica_lag_in_milliseconds", BIGINT),
            ("estimated_lag_ms", BIGINT),
            ("CPU", BIGINT),
        ],
        keys: &["PRIMARY KEY (hostname, port, time_start_us, SERVER_ID)"],
    },
    Table {
        kind: Kind::Monitor,
        name: "mysql_server_aws_aurora_check_status",
        columns: &[
            ("writer_hostgroup", "INT NOT NULL"),
            ("hostname", "VARCHAR NOT NULL"),
            ("port", "INT NOT NULL DEFAULT 3306"),
            ("last_checked_at", NULLABLE_TEXT),
            ("checks_tot", BIGINT),
            ("checks_ok", BIGINT),
            ("last_error", NULLABLE_TEXT),
        ],
        keys: &["PRIMARY KEY (writer_hostgroup, hostname, port)"],
    },
    Table {
        kind: Kind::Monitor,
        name: "mysql_server_aws_aurora_failovers",
        columns: &[
            ("writer_hostgroup", "INT NOT NULL"),
            ("hostname", "VARCHAR NOT NULL"),
            ("inserted_at", "VARCHAR NOT NULL"),
        ],
        keys: &[],
    },
];

const CHECK_KEY: &[&str] = &["PRIMARY KEY (hostname, port, time_start_us)"];
