//! `/metrics`: first the families that ProxySQL's dashboards know, by its names and labels, then the appliance's own.
//!
//! A name of ProxySQL's is here only if it means here what it means there; `docs/metrics.md` says which are left out.

use std::collections::BTreeMap;
use std::time::Duration;

use super::appliance;
use super::control_side::{BackendFacts, CHECKS};
use super::exposition::Kind::{self, Counter, Gauge};
use super::exposition::{Exposition, Family};
use super::report::Report;
use crate::snapshot::Status;
use crate::stats::{GlobalStats, ServerStats};

/// The whole text.
pub fn render(report: &Report) -> String {
    let mut out = Exposition::default();
    process(&mut out, report);
    counters(&mut out, &report.stats.global);
    pool(&mut out, report);
    errors(&mut out, report);
    checks(&mut out, report);
    settings(&mut out, report);
    appliance::render(&mut out, report);
    out.finish()
}

fn process(out: &mut Exposition, report: &Report) {
    let facts = &report.facts;
    let version = env!("CARGO_PKG_VERSION");
    let comment = format!("Standfast {version}");
    out.family("proxysql_version_info", Gauge, "The version of this proxy.")
        .sample(&[("version", version), ("version_comment", &comment)], 1);
    out.single("proxysql_uptime_seconds_total", Counter, "Since the proxy started.", facts.uptime.as_secs());
    out.single("proxysql_fds_in_use", Gauge, "Open descriptors of the proxy.", report.descriptors);
    out.single("proxysql_mysql_thread_workers", Gauge, "Worker threads.", facts.workers);
    let paused = u8::from(facts.paused);
    out.single("proxysql_mysql_listener_paused", Gauge, "1 while PROXYSQL PAUSE is in force.", paused);
    let help = "Versions of the runtime configuration so far.";
    out.single("proxysql_servers_table_version_total", Counter, help, facts.generation);
    let help = "Lines of the log files, written and lost to a full or slow disk.";
    let mut family = out.family("standfast_log_lines_total", Counter, help);
    family.sample(&[("status", "written")], facts.logs.written);
    family.sample(&[("status", "lost")], facts.logs.lost);
    out.single("proxysql_auth_memory_bytes", Gauge, "Memory of the users.", facts.auth_memory);
}

/// A family of one or more of the workers' counters: name, kind, help, label, and for each label's value which counter.
type Counted = (&'static str, Kind, &'static str, &'static str, &'static [(&'static str, Field)]);
type Field = fn(&GlobalStats) -> u64;

const COUNTED: &[Counted] = &[
    ("proxysql_questions_total", Counter, "Statements from clients.", "", &[("", |it| it.questions)]),
    (
        "proxysql_slow_queries_total",
        Counter,
        "Statements that took longer than mysql-long_query_time.",
        "",
        &[("", |it| it.slow_queries)],
    ),
    (
        "proxysql_client_connections_total",
        Counter,
        "Connections from clients: made, and ended without a proper good-bye or login.",
        "status",
        &[("created", |it| it.client_connections_created), ("aborted", |it| it.client_connections_aborted)],
    ),
    (
        "proxysql_client_connections_connected",
        Gauge,
        "Clients that are connected.",
        "",
        &[("", |it| it.client_connections_connected)],
    ),
    (
        "proxysql_server_connections_total",
        Counter,
        "Connections to servers: made, and failed or broken.",
        "status",
        &[("created", |it| it.server_connections_created), ("aborted", |it| it.server_connections_aborted)],
    ),
    (
        "proxysql_server_connections_connected",
        Gauge,
        "Connections to servers, in use or idle.",
        "",
        &[("", |it| it.server_connections_connected)],
    ),
    (
        "proxysql_active_transactions",
        Gauge,
        "Sessions inside a transaction.",
        "",
        &[("", |it| it.active_transactions)],
    ),
    (
        "proxysql_queries_backends_bytes_total",
        Counter,
        "Bytes to and from servers.",
        "traffic_flow",
        &[("sent", |it| it.queries_backends_bytes_sent), ("received", |it| it.queries_backends_bytes_recv)],
    ),
    (
        "proxysql_queries_frontends_bytes_total",
        Counter,
        "Bytes to and from clients.",
        "traffic_flow",
        &[("sent", |it| it.queries_frontends_bytes_sent), ("received", |it| it.queries_frontends_bytes_recv)],
    ),
    (
        "proxysql_connpool_get_conn_success_total",
        Counter,
        "A session asked the pool for a connection and got one.",
        "",
        &[("", |it| it.connpool_get_conn_success)],
    ),
    (
        "proxysql_connpool_get_conn_failure_total",
        Counter,
        "A session asked the pool for a connection and got none.",
        "",
        &[("", |it| it.connpool_get_conn_failure)],
    ),
    (
        "proxysql_connpool_get_conn_success_immediate_total",
        Counter,
        "A session got the connection that it had used before.",
        "",
        &[("", |it| it.connpool_get_conn_immediate)],
    ),
    (
        "proxysql_access_denied_wrong_password_total",
        Counter,
        "Logins refused for the user or the password.",
        "",
        &[("", |it| it.access_denied_wrong_password)],
    ),
    (
        "proxysql_access_denied_max_connections_total",
        Counter,
        "Logins refused because a limit of connections was reached.",
        "",
        &[("", |it| it.access_denied_max_connections)],
    ),
    (
        "proxysql_max_connect_timeouts_total",
        Counter,
        "Statements that found no server within mysql-connect_timeout_server_max.",
        "",
        &[("", |it| it.max_connect_timeouts)],
    ),
    (
        "proxysql_generated_error_packets_total",
        Counter,
        "Errors to clients that no server sent.",
        "",
        &[("", |it| it.generated_error_packets)],
    ),
    (
        "proxysql_query_digest_memory_bytes",
        Gauge,
        "Memory of the query digests.",
        "",
        &[("", |it| it.query_digest_memory)],
    ),
    (
        "proxysql_query_cache_count_get_total",
        Counter,
        "Look-ups in the query cache: found, and not found.",
        "status",
        &[
            ("ok", |it| it.query_cache.hits),
            ("err", |it| it.query_cache.gets.saturating_sub(it.query_cache.hits)),
        ],
    ),
    (
        "proxysql_query_cache_count_set_total",
        Counter,
        "Results that were put into the query cache.",
        "",
        &[("", |it| it.query_cache.sets)],
    ),
    (
        "proxysql_query_cache_bytes_total",
        Counter,
        "Bytes into and out of the query cache.",
        "op",
        &[("written", |it| it.query_cache.bytes_in), ("read", |it| it.query_cache.bytes_out)],
    ),
    (
        "proxysql_query_cache_purged_total",
        Counter,
        "Results that were removed from the query cache.",
        "",
        &[("", |it| it.query_cache.purged)],
    ),
    (
        "proxysql_query_cache_entries_total",
        Gauge,
        "Results in the query cache.",
        "",
        &[("", |it| it.query_cache.entries)],
    ),
    (
        "standfast_packet_memory_bytes",
        Gauge,
        "Memory of clients' long packets.",
        "",
        &[("", |it| it.packet_memory)],
    ),
    (
        "proxysql_query_cache_memory_bytes",
        Gauge,
        "Memory of the query cache.",
        "",
        &[("", |it| it.query_cache.memory)],
    ),
    (
        "proxysql_gtid_consistent_queries_total",
        Counter,
        "Reads that went to a server because it had what was wanted.",
        "",
        &[("", |it| it.gtid_consistent_queries)],
    ),
    (
        "proxysql_gtid_session_collected_total",
        Counter,
        "Commits that servers have named.",
        "",
        &[("", |it| it.gtid_session_collected)],
    ),
    (
        "proxysql_mirror_concurrency",
        Gauge,
        "Mirrored statements that run.",
        "",
        &[("", |it| it.mirrors.running)],
    ),
    (
        "proxysql_mirror_queue_lengths",
        Gauge,
        "Mirrored statements that wait.",
        "",
        &[("", |it| it.mirrors.waiting)],
    ),
    (
        "standfast_mirrors_dropped_total",
        Counter,
        "Statements that were not mirrored because too many waited.",
        "",
        &[("", |it| it.mirrors.dropped)],
    ),
    (
        "standfast_sessions_in_flight",
        Gauge,
        "Sessions that would lose something if their connection broke now.",
        "",
        &[("", |it| it.sessions_in_flight)],
    ),
    (
        "standfast_query_digests_evicted_total",
        Counter,
        "Query digests that made room for others.",
        "",
        &[("", |it| it.query_digests_evicted)],
    ),
    (
        "standfast_backend_retries_total",
        Counter,
        "Statements that were sent again to another connection.",
        "",
        &[("", |it| it.backend_retries)],
    ),
    (
        "standfast_malformed_packets_total",
        Counter,
        "Packets that were no MySQL protocol; their connection was closed.",
        "",
        &[("", |it| it.malformed_packets)],
    ),
    (
        "standfast_session_panics_total",
        Counter,
        "Sessions that a bug of this proxy ended.",
        "",
        &[("", |it| it.session_panics)],
    ),
];

fn counters(out: &mut Exposition, stats: &GlobalStats) {
    for (name, kind, help, label, values) in COUNTED {
        let mut family = out.family(name, *kind, help);
        for (value, field) in *values {
            let labels = [(*label, *value)];
            family.sample(if label.is_empty() { &[] } else { &labels }, field(stats));
        }
    }
}

/// ProxySQL's numbers: 1 ONLINE, 2 SHUNNED, 3 OFFLINE_SOFT, 4 OFFLINE_HARD.
fn status_number(status: Status) -> u8 {
    match status {
        Status::Online => 1,
        Status::Shunned => 2,
        Status::OfflineSoft => 3,
        Status::OfflineHard => 4,
    }
}

/// A sample of a family of the pool: `status` or `traffic_flow` with its value, or no third label.
type PoolField = (&'static str, &'static str, fn(&ServerStats) -> u64);

const POOL: &[(&str, Kind, &str, &[PoolField])] = &[
    (
        "proxysql_connpool_conns",
        Gauge,
        "Connections to a server that are in use or idle.",
        &[("status", "used", |it| it.conn_used), ("status", "free", |it| it.conn_free)],
    ),
    (
        "proxysql_connpool_conns_total",
        Counter,
        "Connections to a server that were made or failed.",
        &[("status", "ok", |it| it.conn_ok), ("status", "err", |it| it.conn_err)],
    ),
    (
        "proxysql_connpool_conns_queries_total",
        Counter,
        "Statements that were sent to a server.",
        &[("", "", |it| it.queries)],
    ),
    (
        "proxysql_connpool_data_bytes_total",
        Counter,
        "Bytes to and from a server.",
        &[("traffic_flow", "sent", |it| it.bytes_sent), ("traffic_flow", "recv", |it| it.bytes_recv)],
    ),
];

fn pool(out: &mut Exposition, report: &Report) {
    let none = ServerStats::default();
    for (name, kind, help, fields) in POOL {
        let mut family = out.family(name, *kind, help);
        for backend in &report.facts.backends {
            let stats = report.stats.servers.get(&backend.key()).unwrap_or(&none);
            for (label, value, field) in *fields {
                of_backend(&mut family, backend, (label, value), field(stats));
            }
        }
    }
    let help = "Round trip of the last ping, in microseconds; 0 before the first.";
    let mut family = out.family("proxysql_connpool_conns_latency_us", Gauge, help);
    for backend in &report.facts.backends {
        of_backend(&mut family, backend, ("", ""), backend.latency_us);
    }
    let help = "Status of a server: 1 ONLINE, 2 SHUNNED, 3 OFFLINE_SOFT, 4 OFFLINE_HARD.";
    let mut family = out.family("proxysql_connpool_conns_status", Gauge, help);
    for backend in &report.facts.backends {
        of_backend(&mut family, backend, ("", ""), u64::from(status_number(backend.status)));
    }
}

fn of_backend(family: &mut Family<'_>, backend: &BackendFacts, third: (&str, &str), value: u64) {
    let endpoint = format!("{}:{}", backend.address.hostname, backend.address.port);
    let hostgroup = backend.hostgroup.to_string();
    let labels = [("endpoint", endpoint.as_str()), ("hostgroup", &hostgroup), third];
    family.sample(if third.0.is_empty() { &labels[..2] } else { &labels }, value);
}

fn errors(out: &mut Exposition, report: &Report) {
    let mut counts: BTreeMap<(u32, &str, u16, u16), u64> = BTreeMap::new();
    for (key, stats) in &report.errors {
        let server = &key.server;
        *counts.entry((server.hostgroup, &server.hostname, server.port, key.code)).or_default() +=
            stats.count;
    }
    let help = "Errors that servers gave, as stats_mysql_errors has them now.";
    let mut family = out.family("proxysql_mysql_error_total", Counter, help);
    for ((hostgroup, address, port, code), count) in counts {
        let [hostgroup, port, code] = [hostgroup.to_string(), port.to_string(), code.to_string()];
        let labels =
            [("hostgroup", hostgroup.as_str()), ("address", address), ("port", &port), ("code", &code)];
        family.sample(&labels, count);
    }
}

/// The first four checks are ProxySQL's; all of them are in the appliance's family.
fn checks(out: &mut Exposition, report: &Report) {
    for (check, count) in CHECKS.iter().zip(report.facts.checks).take(4) {
        let name = format!("proxysql_mysql_monitor_{check}_check_total");
        let mut family = out.family(&name, Counter, "Checks of the monitors, by their outcome.");
        family.sample(&[("status", "ok")], count.ok);
        family.sample(&[("status", "err")], count.err);
    }
    let help = "Checks of the monitors, by kind and outcome.";
    let mut family = out.family("standfast_monitor_checks_total", Counter, help);
    for (check, count) in CHECKS.iter().zip(report.facts.checks) {
        family.sample(&[("check", check), ("status", "ok")], count.ok);
        family.sample(&[("check", check), ("status", "err")], count.err);
    }
}

fn settings(out: &mut Exposition, report: &Report) {
    let now = &report.facts.variables;
    let seconds = |time: Duration| time.as_secs_f64();
    let mut gauge = |name: &str, variable: &str, value: f64| {
        out.single(
            &format!("proxysql_mysql_{name}"),
            Gauge,
            &format!("The variable mysql-{variable}."),
            value,
        );
    };
    gauge("max_connections", "max_connections", f64::from(now.max_connections));
    gauge("wait_timeout", "wait_timeout, in seconds", seconds(now.wait_timeout));
    gauge("monitor_enabled", "monitor_enabled", f64::from(u8::from(now.monitor.enabled)));
    gauge("monitor_history_timeout_seconds", "monitor_history", seconds(now.monitor.history));
    gauge("monitor_ping_interval", "monitor_ping_interval, in seconds", seconds(now.monitor.ping_interval));
    gauge("monitor_ping_timeout_seconds", "monitor_ping_timeout", seconds(now.monitor.ping_timeout));
    gauge("monitor_ping_max_failures", "monitor_ping_max_failures", f64::from(now.monitor.ping_max_failures));
    gauge(
        "monitor_read_only_interval_seconds",
        "monitor_read_only_interval",
        seconds(now.monitor.read_only_interval),
    );
    gauge(
        "monitor_read_only_timeout_seconds",
        "monitor_read_only_timeout",
        seconds(now.monitor.read_only_timeout),
    );
    gauge(
        "monitor_replication_lag_interval_seconds",
        "monitor_replication_lag_interval",
        seconds(now.monitor.replication_lag_interval),
    );
    gauge(
        "monitor_replication_lag_timeout_seconds",
        "monitor_replication_lag_timeout",
        seconds(now.monitor.replication_lag_timeout),
    );
    let also = u8::from(now.monitor.writer_is_also_reader);
    gauge("monitor_writer_is_also_reader", "monitor_writer_is_also_reader", f64::from(also));
}
