//! `mysql-monitor_…`: what the monitors check, how often, and what they make of it.

use std::time::Duration;

use super::Reader;

#[derive(Debug, Clone, PartialEq)]
pub struct MonitorVariables {
    pub enabled: bool,
    pub username: String,
    pub password: String,
    pub connect_interval: Duration,
    pub connect_timeout: Duration,
    pub ping_interval: Duration,
    pub ping_timeout: Duration,
    pub ping_max_failures: u32,
    pub read_only_interval: Duration,
    pub read_only_timeout: Duration,
    pub read_only_max_timeout_count: u32,
    pub replication_lag_interval: Duration,
    pub replication_lag_timeout: Duration,
    pub replication_lag_count: u32,
    pub replication_lag_use_percona_heartbeat: String,
    pub slave_lag_when_null: u32,
    pub galera_healthcheck_interval: Duration,
    pub galera_healthcheck_timeout: Duration,
    pub galera_healthcheck_max_timeout_count: u32,
    pub groupreplication_healthcheck_interval: Duration,
    pub groupreplication_healthcheck_timeout: Duration,
    pub groupreplication_healthcheck_max_timeout_count: u32,
    pub groupreplication_max_transactions_behind_count: u32,
    /// 0: only members that write are shunned for being behind; 1: only those that do not; 2: both.
    pub groupreplication_max_transactions_behind_for_read_only: u32,
    pub history: Duration,
    pub writer_is_also_reader: bool,
}

impl MonitorVariables {
    pub(super) fn read(read: Reader<'_>) -> MonitorVariables {
        MonitorVariables {
            enabled: read.flag("monitor_enabled"),
            username: read.text("monitor_username"),
            password: read.text("monitor_password"),
            connect_interval: read.ms("monitor_connect_interval"),
            connect_timeout: read.ms("monitor_connect_timeout"),
            ping_interval: read.ms("monitor_ping_interval"),
            ping_timeout: read.ms("monitor_ping_timeout"),
            ping_max_failures: read.count("monitor_ping_max_failures"),
            read_only_interval: read.ms("monitor_read_only_interval"),
            read_only_timeout: read.ms("monitor_read_only_timeout"),
            read_only_max_timeout_count: read.count("monitor_read_only_max_timeout_count"),
            replication_lag_interval: read.ms("monitor_replication_lag_interval"),
            replication_lag_timeout: read.ms("monitor_replication_lag_timeout"),
            replication_lag_count: read.count("monitor_replication_lag_count"),
            replication_lag_use_percona_heartbeat: read.text("monitor_replication_lag_use_percona_heartbeat"),
            slave_lag_when_null: read.count("monitor_slave_lag_when_null"),
            galera_healthcheck_interval: read.ms("monitor_galera_healthcheck_interval"),
            galera_healthcheck_timeout: read.ms("monitor_galera_healthcheck_timeout"),
            galera_healthcheck_max_timeout_count: read.count("monitor_galera_healthcheck_max_timeout_count"),
            groupreplication_healthcheck_interval: read.ms("monitor_groupreplication_healthcheck_interval"),
            groupreplication_healthcheck_timeout: read.ms("monitor_groupreplication_healthcheck_timeout"),
            groupreplication_healthcheck_max_timeout_count: read
                .count("monitor_groupreplication_healthcheck_max_timeout_count"),
            groupreplication_max_transactions_behind_count: read
                .count("monitor_groupreplication_max_transactions_behind_count"),
            groupreplication_max_transactions_behind_for_read_only: read
                .count("monitor_groupreplication_max_transactions_behind_for_read_only"),
            history: read.ms("monitor_history"),
            writer_is_also_reader: read.flag("monitor_writer_is_also_reader"),
        }
    }
}
