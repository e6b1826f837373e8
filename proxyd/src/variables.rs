//! The `mysql-` variables that the data path and the monitors read, typed; the admin interface fills them from
//! `global_variables` on `LOAD MYSQL VARIABLES TO RUNTIME`.

mod monitor;

use std::time::Duration;

use proxyd_sql::DigestOptions;

use crate::hosts::HostLimits;
use crate::networks::Networks;
use crate::runtime::Settings;
use crate::tls::TlsParams;

pub use monitor::MonitorVariables;

/// Names are ProxySQL's without `mysql-`; defaults are the catalogue's: ProxySQL's unless a line says why not.
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
    pub monitor: MonitorVariables,
}

impl Default for Variables {
    fn default() -> Variables {
        Variables::from_settings(&Settings::default())
    }
}

impl Variables {
    /// The typed form of validated settings.
    pub fn from_settings(settings: &Settings) -> Variables {
        let read = Reader(settings);
        Variables {
            max_connections: read.count("max_connections"),
            proxy_protocol_networks: Networks::parse(&read.text("proxy_protocol_networks"))
                .unwrap_or_default(),
            client_hosts: HostLimits {
                cache_size: read.size("client_host_cache_size"),
                error_counts: read.count("client_host_error_counts"),
            },
            default_schema: read.text("default_schema"),
            server_version: read.text("server_version"),
            max_allowed_packet: read.size("max_allowed_packet"),
            enable_load_data_local_infile: read.flag("enable_load_data_local_infile"),
            max_stmts_per_connection: read.size("max_stmts_per_connection"),
            max_stmts_cache: read.size("max_stmts_cache"),
            connect_timeout_client: read.ms("connect_timeout_client"),
            connect_timeout_server: read.ms("connect_timeout_server"),
            connect_timeout_server_max: read.ms("connect_timeout_server_max"),
            connect_retries_on_failure: read.count("connect_retries_on_failure"),
            query_retries_on_failure: read.count("query_retries_on_failure"),
            default_query_timeout: read.ms("default_query_timeout"),
            wait_timeout: read.ms("wait_timeout"),
            max_transaction_time: read.ms("max_transaction_time"),
            max_transaction_idle_time: read.ms("max_transaction_idle_time"),
            throttle_max_bytes_per_second_to_client: read.count("throttle_max_bytes_per_second_to_client"),
            long_query_time: read.ms("long_query_time"),
            multiplexing: read.flag("multiplexing"),
            free_connections_pct: read.count("free_connections_pct"),
            connection_warming: read.flag("connection_warming"),
            throttle_connections_per_sec_to_hostgroup: read
                .count("throttle_connections_per_sec_to_hostgroup"),
            firewall_whitelist_enabled: read.flag("firewall_whitelist_enabled"),
            firewall_whitelist_errormsg: read.text("firewall_whitelist_errormsg"),
            connection_max_age: read.ms("connection_max_age_ms"),
            ping_interval_server: read.ms("ping_interval_server_msec"),
            binlog_reader_connect_retry: read.ms("binlog_reader_connect_retry_msec"),
            client_session_track_gtid: read.flag("client_session_track_gtid"),
            have_ssl: read.flag("have_ssl"),
            have_compress: read.flag("have_compress"),
            tls_version: read.text("tls_version"),
            ssl_p2s: tls_params(read),
            ssl_p2s_verify_identity: read.flag("ssl_p2s_verify_identity"),
            default_authentication_plugin: read.text("default_authentication_plugin"),
            shun_on_failures: read.count("shun_on_failures"),
            shun_recovery_time: read.secs("shun_recovery_time_sec"),
            init_connect: read.text("init_connect"),
            query_processor_iterations: read.count("query_processor_iterations"),
            query_cache_size: read.size("query_cache_size_MB").saturating_mul(1 << 20),
            query_cache_soft_ttl_pct: read.count("query_cache_soft_ttl_pct"),
            query_cache_stores_empty_result: read.flag("query_cache_stores_empty_result"),
            query_cache_handle_warnings: read.number("query_cache_handle_warnings") == 1,
            threshold_resultset_size: read.size("threshold_resultset_size"),
            default_query_delay: read.ms("default_query_delay"),
            first_comment_before_rules: read.number("query_processor_first_comment_parsing") & 1 != 0,
            first_comment_after_rules: read.number("query_processor_first_comment_parsing") & 2 != 0,
            eventslog_default_log: read.number("eventslog_default_log") == 1,
            mirror_max_concurrency: read.size("mirror_max_concurrency"),
            mirror_max_queue_length: read.size("mirror_max_queue_length"),
            query_digests: read.flag("query_digests"),
            query_digests_track_hostname: read.flag("query_digests_track_hostname"),
            digest_options: digest_options(read),
            monitor: MonitorVariables::read(read),
        }
    }
}

/// `ssl_p2s_…`.
fn tls_params(read: Reader<'_>) -> TlsParams {
    TlsParams {
        ca: read.text("ssl_p2s_ca"),
        capath: read.text("ssl_p2s_capath"),
        cert: read.text("ssl_p2s_cert"),
        key: read.text("ssl_p2s_key"),
        crl: read.text("ssl_p2s_crl"),
        crlpath: read.text("ssl_p2s_crlpath"),
        cipher: read.text("ssl_p2s_cipher"),
        version: String::new(),
    }
}

/// `query_digests_…`.
fn digest_options(read: Reader<'_>) -> DigestOptions {
    DigestOptions {
        max_digest_length: read.size("query_digests_max_digest_length"),
        max_query_length: read.size("query_digests_max_query_length"),
        grouping_limit: read.size("query_digests_grouping_limit"),
        groups_grouping_limit: read.size("query_digests_groups_grouping_limit"),
        lowercase: read.flag("query_digests_lowercase"),
        no_digits: read.flag("query_digests_no_digits"),
        replace_null: read.flag("query_digests_replace_null"),
        keep_comment: read.flag("query_digests_keep_comment"),
    }
}

/// Reads `mysql-` variables as what they are. A name or kind that the catalogue does not have would be a mistake here: the tests
/// read all of them.
#[derive(Clone, Copy)]
struct Reader<'a>(&'a Settings);

impl Reader<'_> {
    fn text(self, name: &str) -> String {
        let name = format!("mysql-{name}");
        debug_assert!(Settings::is_known(&name), "{name} is no variable");
        self.0.text(&name).to_owned()
    }

    fn number(self, name: &str) -> u64 {
        let text = self.text(name);
        debug_assert!(text.parse::<u64>().is_ok(), "{name} is no number: {text:?}");
        text.parse().unwrap_or(0)
    }

    fn flag(self, name: &str) -> bool {
        let text = self.text(name);
        debug_assert!(matches!(&*text, "true" | "false"), "{name} is no flag: {text:?}");
        text == "true"
    }

    fn count(self, name: &str) -> u32 {
        u32::try_from(self.number(name)).unwrap_or(u32::MAX)
    }

    fn size(self, name: &str) -> usize {
        usize::try_from(self.number(name)).unwrap_or(usize::MAX)
    }

    fn ms(self, name: &str) -> Duration {
        Duration::from_millis(self.number(name))
    }

    fn secs(self, name: &str) -> Duration {
        Duration::from_secs(self.number(name))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Variables;
    use crate::runtime::Settings;

    #[test]
    fn variables_are_read_in_their_units() {
        let mut settings = Settings::default();
        for (name, value) in [
            ("mysql-shun_recovery_time_sec", "7"),
            ("mysql-ping_interval_server_msec", "250"),
            ("mysql-query_cache_size_MB", "3"),
            ("mysql-query_processor_first_comment_parsing", "1"),
            ("mysql-monitor_ping_interval", "1500"),
            ("mysql-ssl_p2s_ca", "ca.pem"),
        ] {
            settings.set(name, value);
        }
        let variables = Variables::from_settings(&settings);
        assert_eq!(variables.shun_recovery_time, Duration::from_secs(7));
        assert_eq!(variables.ping_interval_server, Duration::from_millis(250));
        assert_eq!(variables.query_cache_size, 3 << 20);
        assert!(variables.first_comment_before_rules && !variables.first_comment_after_rules);
        assert_eq!(variables.monitor.ping_interval, Duration::from_millis(1_500));
        assert_eq!(variables.ssl_p2s.ca, "ca.pem");
        assert_eq!(variables.max_connections, 10_000, "what is not set is the catalogue's");
    }
}
