//! The figures as tables: ratios to HAProxy where it was measured (or to a TLS handshake alone), and the plain figures beside them.

use super::figures::{Report, Row};
use super::target::{HANDSHAKE, PEER};

/// All tables.
pub(crate) fn tables(report: &Report) -> String {
    let mut cases: Vec<&str> = Vec::new();
    for row in &report.rows {
        if !cases.contains(&row.case.as_str()) {
            cases.push(&row.case);
        }
    }
    let with = |has: fn(&Row) -> bool| -> Vec<&str> {
        cases.iter().copied().filter(|case| report.of(case).any(has)).collect()
    };
    let mut text = String::new();
    let shaking = with(|row| row.target == HANDSHAKE);
    let mut queries = with(|row| row.qps.is_some() && row.bytes_per_client.is_none());
    queries.retain(|case| !shaking.contains(case));
    section(&mut text, report, &queries, QUERY_HEAD, query_line);
    section(&mut text, report, &shaking, &QUERY_HEAD.replace("HAProxy", "handshake"), query_line);
    section(&mut text, report, &with(|row| row.megabytes_per_second.is_some()), LARGE_HEAD, large_line);
    section(&mut text, report, &with(|row| row.bytes_per_client.is_some()), IDLE_HEAD, idle_line);
    text
}

const QUERY_HEAD: &str = "| case | target | CPU, HAProxy = 1 | qps, HAProxy = 1 | p99, HAProxy = 1 | CPU µs | qps | p50 ms | p95 ms | p99 ms | spread |\n|---|---|---|---|---|---|---|---|---|---|---|\n";
const LARGE_HEAD: &str = "| case | target | CPU, HAProxy = 1 | bytes/s, HAProxy = 1 | CPU µs/MB | MB/s | spread |\n|---|---|---|---|---|---|---|\n";
const IDLE_HEAD: &str = "| case | target | bytes a client | CPU while idle, % of a core | p50 ms of an active client | p99 ms |\n|---|---|---|---|---|---|\n";

fn section(
    text: &mut String,
    report: &Report,
    cases: &[&str],
    head: &str,
    line: fn(&Row, Option<&Row>) -> String,
) {
    if cases.is_empty() {
        return;
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(head);
    for case in cases {
        let peer = report.of(case).find(|row| row.target == PEER || row.target == HANDSHAKE);
        for row in report.of(case) {
            text.push_str(&line(row, peer));
        }
    }
}

fn query_line(row: &Row, peer: Option<&Row>) -> String {
    let ratio = |figure: fn(&Row) -> Option<f64>| ratio(figure(row), peer.and_then(figure));
    format!(
        "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {:.0} % |{}\n",
        row.case,
        row.target,
        ratio(|r| r.cpu_us_per_query),
        ratio(|r| r.qps),
        ratio(|r| r.p99_ms),
        plain(row.cpu_us_per_query, 1),
        plain(row.qps, 0),
        plain(row.p50_ms, 2),
        plain(row.p95_ms, 2),
        plain(row.p99_ms, 2),
        row.spread * 100.0,
        doubt(row),
    )
}

fn large_line(row: &Row, peer: Option<&Row>) -> String {
    let ratio = |figure: fn(&Row) -> Option<f64>| ratio(figure(row), peer.and_then(figure));
    format!(
        "| {} | {} | {} | {} | {} | {} | {:.0} % |{}\n",
        row.case,
        row.target,
        ratio(|r| r.cpu_us_per_megabyte),
        ratio(|r| r.megabytes_per_second),
        plain(row.cpu_us_per_megabyte, 0),
        plain(row.megabytes_per_second, 0),
        row.spread * 100.0,
        doubt(row),
    )
}

fn idle_line(row: &Row, _: Option<&Row>) -> String {
    format!(
        "| {} | {} | {} | {} | {} | {} |{}\n",
        row.case,
        row.target,
        plain(row.bytes_per_client, 0),
        plain(row.idle_cpu.map(|share| share * 100.0), 2),
        plain(row.p50_ms, 2),
        plain(row.p99_ms, 2),
        doubt(row),
    )
}

fn ratio(figure: Option<f64>, peer: Option<f64>) -> String {
    match (figure, peer) {
        (Some(figure), Some(peer)) if peer > 0.0 => format!("{:.2}", figure / peer),
        _ => "-".into(),
    }
}

fn plain(figure: Option<f64>, digits: usize) -> String {
    figure.map_or_else(|| "-".into(), |figure| format!("{figure:.digits$}"))
}

/// A figure that must not be quoted says so.
fn doubt(row: &Row) -> &'static str {
    if row.sound { "" } else { " disturbed: do not quote" }
}

#[cfg(test)]
mod tests {
    use super::super::figures::Figures;
    use super::*;

    fn report() -> Report {
        let slice = |cpu: f64| Figures {
            cpu_us_per_query: Some(cpu),
            qps: Some(1000.0),
            p99_ms: Some(1.0),
            ..Figures::default()
        };
        let row = |target: &str, cpu: f64| Row::of("point-select-text-16", target, &[slice(cpu)], cpu < 40.0);
        Report { rows: vec![row(PEER, 20.0), row("proxyd", 10.0), row("router", 50.0)] }
    }

    #[test]
    fn a_target_is_compared_with_the_peer_of_its_case() {
        let text = tables(&report());
        assert!(
            text.contains("| point-select-text-16 | proxyd | 0.50 | 1.00 | 1.00 | 10.0 | 1000 |"),
            "{text}"
        );
        assert!(text.contains("disturbed: do not quote"));
        assert_eq!(text.matches("|---").count(), 11);
    }

    #[test]
    fn a_storm_under_tls_is_compared_with_a_handshake_alone() {
        let slice = |cpu| Figures { cpu_us_per_query: Some(cpu), qps: Some(1.0), ..Figures::default() };
        let row = |target: &str, cpu: f64| Row::of("storm-tls-16", target, &[slice(cpu)], true);
        let mut report = report();
        report.rows.extend([row("proxyd", 120.0), row(HANDSHAKE, 100.0)]);
        let text = tables(&report);
        assert!(text.contains("| CPU, handshake = 1 |"), "{text}");
        assert_eq!(text.matches("| storm-tls-16 | proxyd | 1.20 | 1.00 |").count(), 1, "{text}");
    }
}
