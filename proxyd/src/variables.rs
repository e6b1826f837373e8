//! The `mysql-` variables that the data path and the monitors read, typed; the admin interface fills them from
//! `global_variables` on `LOAD MYSQL VARIABLES TO RUNTIME`.

use std::time::Duration;

use proxyd_sql::DigestOptions;

use crate::hosts::HostLimits;
use crate::networks::Networks;
use crate::runtime::Settings;
use crate::tls::TlsParams;

/// Names are ProxySQL's without `mysql-`; defaults are ProxySQL's unless a line says why not.
#[derive(Debug, Clone, PartialEq)]
pub struct Variables {
    pub max_connections: u32,
    /// Who may say by a PROXY header whose connection it brings.
    pub proxy_protocol_networks: Networks,
    pub client_hosts: HostLimits,
    pub default_schema: String,
    pub server_version: String,
    pub max_allowed_packet: usize,
    pub enable_load_data_local_infile: bool,
    pub max_stmts_per_connection: usize,
    pub max_stmts_cache: usize,
    pub connect_timeout_client: Duration,
    pub connect_timeout_server: Duration,
    pub connect_timeout_server_max: Duration,
    pub connect_retries_on_failure: u32,
    pub query_retries_on_failure: u32,
    pub default_query_timeout: Duration,
    pub wait_timeout: Duration,
    pub max_transaction_time: Duration,
    pub max_transaction_idle_time: Duration,
    /// Of one answer; 0 is no limit.
    pub throttle_max_bytes_per_second_to_client: u32,
    pub long_query_time: Duration,
    pub multiplexing: bool,
    pub free_connections_pct: u32,
    pub connection_warming: bool,
    pub throttle_connections_per_sec_to_hostgroup: u32,
    pub firewall_whitelist_enabled: bool,
    pub firewall_whitelist_errormsg: String,
    pub connection_max_age: Duration,
    pub ping_interval_server: Duration,
    pub binlog_reader_connect_retry: Duration,
    /// What servers say of a session's commits is remembered, for causal reads.
    pub client_session_track_gtid: bool,
    pub have_ssl: bool,
    pub have_compress: bool,
    /// Versions of TLS towards clients; ours alone.
    pub tls_version: String,
    /// `ssl_p2s_ca`, `ssl_p2s_cert`, `ssl_p2s_key` and so on.
    pub ssl_p2s: TlsParams,
    /// Ours alone; off is ProxySQL's way.
    pub ssl_p2s_verify_identity: bool,
    /// caching_sha2_password, where ProxySQL has mysql_native_password: clients since 9.0 know no other.
    pub default_authentication_plugin: String,
    pub shun_on_failures: u32,
    pub shun_recovery_time: Duration,
    pub init_connect: String,
    pub query_processor_iterations: u32,
    /// 256 MiB; the workers share it.
    pub query_cache_size: usize,
    pub query_cache_soft_ttl_pct: u32,
    pub query_cache_stores_empty_result: bool,
    pub query_cache_handle_warnings: bool,
    /// Longer answers are not kept in the query cache.
    pub threshold_resultset_size: usize,
    pub default_query_delay: Duration,
    /// `query_processor_first_comment_parsing` is 1 or 3.
    pub first_comment_before_rules: bool,
    /// … or 2 or 3.
    pub first_comment_after_rules: bool,
    pub eventslog_default_log: bool,
    pub mirror_max_concurrency: usize,
    pub mirror_max_queue_length: usize,
    pub query_digests: bool,
    pub query_digests_track_hostname: bool,
    /// `query_digests_*`: how digests are made.
    pub digest_options: DigestOptions,
    pub monitor_enabled: bool,
    pub monitor_username: String,
    pub monitor_password: String,
    pub monitor_connect_interval: Duration,
    pub monitor_connect_timeout: Duration,
    pub monitor_ping_interval: Duration,
    pub monitor_ping_timeout: Duration,
    pub monitor_ping_max_failures: u32,
    pub monitor_read_only_interval: Duration,
    pub monitor_read_only_timeout: Duration,
    pub monitor_read_only_max_timeout_count: u32,
    pub monitor_replication_lag_interval: Duration,
    pub monitor_replication_lag_timeout: Duration,
    pub monitor_replication_lag_count: u32,
    pub monitor_replication_lag_use_percona_heartbeat: String,
    pub monitor_slave_lag_when_null: u32,
    pub monitor_galera_healthcheck_interval: Duration,
    pub monitor_galera_healthcheck_timeout: Duration,
    pub monitor_galera_healthcheck_max_timeout_count: u32,
    pub monitor_groupreplication_healthcheck_interval: Duration,
    pub monitor_groupreplication_healthcheck_timeout: Duration,
    pub monitor_groupreplication_healthcheck_max_timeout_count: u32,
    pub monitor_groupreplication_max_transactions_behind_count: u32,
    /// 0: only members that write are shunned for being behind; 1: only those that do not; 2: both.
    pub monitor_groupreplication_max_transactions_behind_for_read_only: u32,
    pub monitor_history: Duration,
    pub monitor_writer_is_also_reader: bool,
}

impl Default for Variables {
    fn default() -> Variables {
        let ms = Duration::from_millis;
        Variables {
            max_connections: 10_000,
            proxy_protocol_networks: Networks::default(),
            client_hosts: HostLimits::default(),
            default_schema: "information_schema".into(),
            server_version: "8.0.11".into(),
            max_allowed_packet: 64 << 20,
            enable_load_data_local_infile: false,
            max_stmts_per_connection: 20,
            max_stmts_cache: 10_000,
            connect_timeout_client: ms(10_000),
            connect_timeout_server: ms(1_000),
            connect_timeout_server_max: ms(10_000),
            connect_retries_on_failure: 10,
            query_retries_on_failure: 1,
            default_query_timeout: ms(86_400_000),
            wait_timeout: ms(28_800_000),
            max_transaction_time: ms(14_400_000),
            max_transaction_idle_time: ms(14_400_000),
            throttle_max_bytes_per_second_to_client: 0,
            long_query_time: ms(1_000),
            multiplexing: true,
            free_connections_pct: 10,
            connection_warming: false,
            throttle_connections_per_sec_to_hostgroup: 1_000_000,
            firewall_whitelist_enabled: false,
            firewall_whitelist_errormsg: "Firewall blocked this query".into(),
            connection_max_age: Duration::ZERO,
            ping_interval_server: ms(10_000),
            binlog_reader_connect_retry: ms(3000),
            client_session_track_gtid: true,
            have_ssl: true,
            have_compress: true,
            tls_version: "TLSv1.2,TLSv1.3".into(),
            ssl_p2s: TlsParams::default(),
            ssl_p2s_verify_identity: true,
            default_authentication_plugin: "caching_sha2_password".into(),
            shun_on_failures: 5,
            shun_recovery_time: Duration::from_secs(10),
            init_connect: String::new(),
            query_processor_iterations: 0,
            query_cache_size: 256 << 20,
            query_cache_soft_ttl_pct: 0,
            query_cache_stores_empty_result: true,
            query_cache_handle_warnings: false,
            threshold_resultset_size: 4 << 20,
            default_query_delay: Duration::ZERO,
            first_comment_before_rules: false,
            first_comment_after_rules: true,
            eventslog_default_log: false,
            mirror_max_concurrency: 16,
            mirror_max_queue_length: 32_000,
            query_digests: true,
            query_digests_track_hostname: false,
            digest_options: DigestOptions::default(),
            monitor_enabled: true,
            monitor_username: "monitor".into(),
            monitor_password: "monitor".into(),
            monitor_connect_interval: ms(120_000),
            monitor_connect_timeout: ms(600),
            monitor_ping_interval: ms(8_000),
            monitor_ping_timeout: ms(1_000),
            monitor_ping_max_failures: 3,
            monitor_read_only_interval: ms(1_000),
            monitor_read_only_timeout: ms(800),
            monitor_read_only_max_timeout_count: 3,
            monitor_replication_lag_interval: ms(10_000),
            monitor_replication_lag_timeout: ms(1_000),
            monitor_replication_lag_count: 1,
            monitor_replication_lag_use_percona_heartbeat: String::new(),
            monitor_slave_lag_when_null: 60,
            monitor_galera_healthcheck_interval: ms(5_000),
            monitor_galera_healthcheck_timeout: ms(800),
            monitor_galera_healthcheck_max_timeout_count: 3,
            monitor_groupreplication_healthcheck_interval: ms(5_000),
            monitor_groupreplication_healthcheck_timeout: ms(800),
            monitor_groupreplication_healthcheck_max_timeout_count: 3,
            monitor_groupreplication_max_transactions_behind_count: 3,
            monitor_groupreplication_max_transactions_behind_for_read_only: 1,
            monitor_history: ms(7_200_000),
            monitor_writer_is_also_reader: true,
        }
    }
}

impl Variables {
    /// The typed form of validated settings.
    pub fn from_settings(settings: &Settings) -> Variables {
        let text = |name: &str| settings.text(&format!("mysql-{name}")).to_owned();
        let number = |name: &str| settings.number(&format!("mysql-{name}"));
        let flag = |name: &str| settings.flag(&format!("mysql-{name}"));
        let count = |name: &str| u32::try_from(number(name)).unwrap_or(u32::MAX);
        let size = |name: &str| usize::try_from(number(name)).unwrap_or(usize::MAX);
        let ms = |name: &str| Duration::from_millis(number(name));
        let secs = |name: &str| Duration::from_secs(number(name));
        Variables {
            max_connections: count("max_connections"),
            proxy_protocol_networks: Networks::parse(&text("proxy_protocol_networks")).unwrap_or_default(),
            client_hosts: HostLimits {
                cache_size: size("client_host_cache_size"),
                error_counts: count("client_host_error_counts"),
            },
            default_schema: text("default_schema"),
            server_version: text("server_version"),
            max_allowed_packet: size("max_allowed_packet"),
            enable_load_data_local_infile: flag("enable_load_data_local_infile"),
            max_stmts_per_connection: size("max_stmts_per_connection"),
            max_stmts_cache: size("max_stmts_cache"),
            connect_timeout_client: ms("connect_timeout_client"),
            connect_timeout_server: ms("connect_timeout_server"),
            connect_timeout_server_max: ms("connect_timeout_server_max"),
            connect_retries_on_failure: count("connect_retries_on_failure"),
            query_retries_on_failure: count("query_retries_on_failure"),
            default_query_timeout: ms("default_query_timeout"),
            wait_timeout: ms("wait_timeout"),
            max_transaction_time: ms("max_transaction_time"),
            max_transaction_idle_time: ms("max_transaction_idle_time"),
            throttle_max_bytes_per_second_to_client: count("throttle_max_bytes_per_second_to_client"),
            long_query_time: ms("long_query_time"),
            multiplexing: flag("multiplexing"),
            free_connections_pct: count("free_connections_pct"),
            connection_warming: flag("connection_warming"),
            throttle_connections_per_sec_to_hostgroup: count("throttle_connections_per_sec_to_hostgroup"),
            firewall_whitelist_enabled: flag("firewall_whitelist_enabled"),
            firewall_whitelist_errormsg: text("firewall_whitelist_errormsg"),
            connection_max_age: ms("connection_max_age_ms"),
            ping_interval_server: ms("ping_interval_server_msec"),
            binlog_reader_connect_retry: ms("binlog_reader_connect_retry_msec"),
            client_session_track_gtid: flag("client_session_track_gtid"),
            have_ssl: flag("have_ssl"),
            have_compress: flag("have_compress"),
            tls_version: text("tls_version"),
            ssl_p2s: TlsParams {
                ca: text("ssl_p2s_ca"),
                capath: text("ssl_p2s_capath"),
                cert: text("ssl_p2s_cert"),
                key: text("ssl_p2s_key"),
                crl: text("ssl_p2s_crl"),
                crlpath: text("ssl_p2s_crlpath"),
                cipher: text("ssl_p2s_cipher"),
                version: String::new(),
            },
            ssl_p2s_verify_identity: flag("ssl_p2s_verify_identity"),
            default_authentication_plugin: text("default_authentication_plugin"),
            shun_on_failures: count("shun_on_failures"),
            shun_recovery_time: secs("shun_recovery_time_sec"),
            init_connect: text("init_connect"),
            query_processor_iterations: count("query_processor_iterations"),
            query_cache_size: size("query_cache_size_MB").saturating_mul(1 << 20),
            query_cache_soft_ttl_pct: count("query_cache_soft_ttl_pct"),
            query_cache_stores_empty_result: flag("query_cache_stores_empty_result"),
            query_cache_handle_warnings: number("query_cache_handle_warnings") == 1,
            threshold_resultset_size: size("threshold_resultset_size"),
            default_query_delay: ms("default_query_delay"),
            first_comment_before_rules: number("query_processor_first_comment_parsing") & 1 != 0,
            first_comment_after_rules: number("query_processor_first_comment_parsing") & 2 != 0,
            eventslog_default_log: number("eventslog_default_log") == 1,
            mirror_max_concurrency: size("mirror_max_concurrency"),
            mirror_max_queue_length: size("mirror_max_queue_length"),
            query_digests: flag("query_digests"),
            query_digests_track_hostname: flag("query_digests_track_hostname"),
            digest_options: DigestOptions {
                max_digest_length: size("query_digests_max_digest_length"),
                max_query_length: size("query_digests_max_query_length"),
                grouping_limit: size("query_digests_grouping_limit"),
                groups_grouping_limit: size("query_digests_groups_grouping_limit"),
                lowercase: flag("query_digests_lowercase"),
                no_digits: flag("query_digests_no_digits"),
                replace_null: flag("query_digests_replace_null"),
                keep_comment: flag("query_digests_keep_comment"),
            },
            monitor_enabled: flag("monitor_enabled"),
            monitor_username: text("monitor_username"),
            monitor_password: text("monitor_password"),
            monitor_connect_interval: ms("monitor_connect_interval"),
            monitor_connect_timeout: ms("monitor_connect_timeout"),
            monitor_ping_interval: ms("monitor_ping_interval"),
            monitor_ping_timeout: ms("monitor_ping_timeout"),
            monitor_ping_max_failures: count("monitor_ping_max_failures"),
            monitor_read_only_interval: ms("monitor_read_only_interval"),
            monitor_read_only_timeout: ms("monitor_read_only_timeout"),
            monitor_read_only_max_timeout_count: count("monitor_read_only_max_timeout_count"),
            monitor_replication_lag_interval: ms("monitor_replication_lag_interval"),
            monitor_replication_lag_timeout: ms("monitor_replication_lag_timeout"),
            monitor_replication_lag_count: count("monitor_replication_lag_count"),
            monitor_replication_lag_use_percona_heartbeat: text(
                "monitor_replication_lag_use_percona_heartbeat",
            ),
            monitor_slave_lag_when_null: count("monitor_slave_lag_when_null"),
            monitor_galera_healthcheck_interval: ms("monitor_galera_healthcheck_interval"),
            monitor_galera_healthcheck_timeout: ms("monitor_galera_healthcheck_timeout"),
            monitor_galera_healthcheck_max_timeout_count: count(
                "monitor_galera_healthcheck_max_timeout_count",
            ),
            monitor_groupreplication_healthcheck_interval: ms(
                "monitor_groupreplication_healthcheck_interval",
            ),
            monitor_groupreplication_healthcheck_timeout: ms("monitor_groupreplication_healthcheck_timeout"),
            monitor_groupreplication_healthcheck_max_timeout_count: count(
                "monitor_groupreplication_healthcheck_max_timeout_count",
            ),
            monitor_groupreplication_max_transactions_behind_count: count(
                "monitor_groupreplication_max_transactions_behind_count",
            ),
            monitor_groupreplication_max_transactions_behind_for_read_only: count(
                "monitor_groupreplication_max_transactions_behind_for_read_only",
            ),
            monitor_history: ms("monitor_history"),
            monitor_writer_is_also_reader: flag("monitor_writer_is_also_reader"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Variables;
    use crate::runtime::Settings;

    #[test]
    fn the_catalogue_has_the_same_defaults() {
        assert_eq!(Variables::from_settings(&Settings::default()), Variables::default());
    }
}
