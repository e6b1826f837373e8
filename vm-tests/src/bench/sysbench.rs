//! sysbench as the client: its own OLTP scripts, and what its output says.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::database::{DATABASE, PASSWORD, ROWS, USER};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Script {
    PointSelect,
    ReadOnly,
    ReadWrite,
}

impl Script {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Script::PointSelect => "point-select",
            Script::ReadOnly => "read-only",
            Script::ReadWrite => "read-write",
        }
    }

    fn file(self) -> &'static str {
        match self {
            Script::PointSelect => "oltp_point_select",
            Script::ReadOnly => "oltp_read_only",
            Script::ReadWrite => "oltp_read_write",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Statements {
    Text,
    Prepared,
}

impl Statements {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Statements::Text => "text",
            Statements::Prepared => "prepared",
        }
    }

    fn mode(self) -> &'static str {
        match self {
            Statements::Text => "disable",
            Statements::Prepared => "auto",
        }
    }
}

/// What one run said. Latencies are of a whole event, which for point selects is one query.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outcome {
    pub queries: u64,
    pub queries_per_second: f64,
    /// Milliseconds.
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
}

/// Creates and fills the table, straight at the database.
pub(crate) fn prepare(address: SocketAddr) -> Result<()> {
    let mut command = command(Script::PointSelect, address);
    finish(command.arg("prepare")).map(drop)
}

pub(crate) fn run(
    script: Script,
    statements: Statements,
    clients: usize,
    address: SocketAddr,
    time: Duration,
) -> Result<Outcome> {
    let mut command = command(script, address);
    command.arg(format!("--threads={clients}")).arg(format!("--time={}", time.as_secs_f64().ceil()));
    command.arg(format!("--db-ps-mode={}", statements.mode())).args(["--histogram=on", "--events=0", "run"]);
    parse(&finish(&mut command)?)
}

/// So many point selects of one client, for somebody who counts other things than time.
pub(crate) fn point_selects(address: SocketAddr, statements: Statements, events: u64) -> Result<()> {
    let mut command = command(Script::PointSelect, address);
    command.args(["--threads=1", "--time=0"]).arg(format!("--db-ps-mode={}", statements.mode()));
    finish(command.arg(format!("--events={events}")).arg("run")).map(drop)
}

fn command(script: Script, address: SocketAddr) -> Command {
    let mut command = Command::new("sysbench");
    command.args(["--db-driver=mysql", "--tables=1", "--rand-type=uniform", "--mysql-ssl=off"]);
    command.arg(format!("--mysql-host={}", address.ip())).arg(format!("--mysql-port={}", address.port()));
    command.arg(format!("--mysql-user={USER}")).arg(format!("--mysql-password={PASSWORD}"));
    command.arg(format!("--mysql-db={DATABASE}")).arg(format!("--table-size={ROWS}")).arg(script.file());
    command
}

fn finish(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .context("sysbench is missing: apt-get install -y --no-install-recommends sysbench")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "sysbench failed:\n{text}{}", String::from_utf8_lossy(&output.stderr));
    Ok(text)
}

/// Reads the report: `queries: 12345 (678.90 per sec.)`, and the histogram's lines `0.123 |**** 45`.
fn parse(text: &str) -> Result<Outcome> {
    let after = |label: &str| text.lines().find_map(|line| line.trim().strip_prefix(label)).map(str::trim);
    let line = after("queries:").context("sysbench said nothing of queries")?;
    let (queries, rate) = line.split_once('(').context("queries")?;
    let errors = after("ignored errors:").and_then(|line| line.split_whitespace().next()).unwrap_or("0");
    ensure!(errors == "0", "sysbench met {errors} errors");
    let histogram: Vec<(f64, u64)> = text.lines().filter_map(bucket).collect();
    let percentile = |share: f64| -> Result<f64> { percentile(&histogram, share).context("no histogram") };
    Ok(Outcome {
        queries: queries.trim().parse().context("queries")?,
        queries_per_second: rate.split_whitespace().next().unwrap_or_default().parse().context("rate")?,
        p50: percentile(0.5)?,
        p95: percentile(0.95)?,
        p99: percentile(0.99)?,
    })
}

fn bucket(line: &str) -> Option<(f64, u64)> {
    let (value, bar) = line.split_once('|')?;
    Some((value.trim().parse().ok()?, bar.trim_start_matches('*').trim().parse().ok()?))
}

fn percentile(histogram: &[(f64, u64)], share: f64) -> Option<f64> {
    let total: u64 = histogram.iter().map(|(_, count)| count).sum();
    let rank = (total as f64 * share).ceil() as u64;
    let mut seen = 0;
    histogram.iter().find_map(|(value, count)| {
        seen += count;
        (seen >= rank).then_some(*value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read() {
        let text = "Latency histogram (values are in milliseconds)\n\
                    \x20      value  ------------- distribution ------------- count\n\
                    \x20      0.100 |****                                     90\n\
                    \x20      0.200 |                                         9\n\
                    \x20      1.500 |                                         1\n\
                    SQL statistics:\n    queries:                             1000 (499.50 per sec.)\n\
                    \x20   ignored errors:                      0      (0.00 per sec.)\n";
        let outcome = parse(text).expect("report");
        assert_eq!(outcome.queries, 1000);
        assert_eq!((outcome.p50, outcome.p95, outcome.p99), (0.1, 0.2, 0.2));
        assert!((outcome.queries_per_second - 499.5).abs() < 1e-9);
    }

    #[test]
    fn errors_make_a_run_worthless() {
        let text = "    queries:      10 (5.0 per sec.)\n    ignored errors:     3      (0.00 per sec.)\n 0.1 |* 3\n";
        assert!(parse(text).is_err());
    }
}
