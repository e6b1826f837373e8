//! The run itself: all targets of a case in turns, round after round, and who disturbed it.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::cases::{Case, Kind};
use super::figures::{Figures, Report, Row};
use super::sysbench::{Script, Statements};
use super::target::{Bed, Target};
use super::{connections, cpu, large, storm, sysbench};

/// More than this share of a core in other people's processes spoils a slice.
const FOREIGN_LIMIT: f64 = 0.10;
/// How often a spoilt slice is measured again.
const RETRIES: usize = 4;

pub(crate) struct Schedule {
    pub rounds: usize,
    pub slice: Duration,
}

pub(crate) fn run(bed: &Bed, cases: &[Case], schedule: &Schedule) -> Result<Report> {
    let mut report = Report::default();
    for case in cases {
        if let Kind::Idle { clients } = case.kind
            && let Err(reason) = connections::possible(clients)
        {
            eprintln!("{}: not measured: {reason}", case.name);
            continue;
        }
        let targets = bed.targets_of(case);
        let mut slices: Vec<(Vec<Figures>, bool)> = vec![(Vec::new(), true); targets.len()];
        // A hundred thousand logins take their time, and memory does not vary.
        let rounds = if matches!(case.kind, Kind::Idle { .. }) { 1 } else { schedule.rounds };
        for round in 0..rounds {
            for turn in 0..targets.len() {
                let index = (round + turn) % targets.len();
                let (figures, sound) = undisturbed(bed, case, targets[index], schedule.slice)
                    .with_context(|| format!("{} on {}", case.name, targets[index].name))?;
                eprintln!("{} round {} {}: {}", case.name, round + 1, targets[index].name, summary(&figures));
                slices[index].0.push(figures);
                slices[index].1 &= sound;
            }
        }
        for (target, (figures, sound)) in targets.iter().zip(&slices) {
            report.rows.push(Row::of(&case.name, &target.name, figures, *sound));
        }
    }
    Ok(report)
}

/// Measures until nobody else disturbed it, or until it is clear that somebody will not stop.
fn undisturbed(bed: &Bed, case: &Case, target: &Target, slice: Duration) -> Result<(Figures, bool)> {
    let ours = bed.pids();
    let mut attempt = 0;
    loop {
        let foreign = cpu::Foreign::begin(&ours)?;
        let figures = one(case, target, slice)?;
        let share = foreign.share(&ours)?;
        if share <= FOREIGN_LIMIT {
            return Ok((figures, true));
        }
        eprintln!("{}: other processes took {:.0} % of a core", case.name, share * 100.0);
        attempt += 1;
        if attempt > RETRIES {
            return Ok((figures, false));
        }
    }
}

fn one(case: &Case, target: &Target, slice: Duration) -> Result<Figures> {
    let spent = || target.pid.map(cpu::of_tree).transpose();
    let before = spent()?;
    let used = |after: Option<Duration>| Some((after? - before?).as_secs_f64() * 1e6);
    match case.kind {
        Kind::Sysbench { script, statements, clients } => {
            let outcome = sysbench::run(script, statements, clients, target.address(), slice)?;
            Ok(Figures {
                cpu_us_per_query: used(spent()?).map(|us| us / outcome.queries as f64),
                qps: Some(outcome.queries_per_second),
                p50_ms: Some(outcome.p50),
                p95_ms: Some(outcome.p95),
                p99_ms: Some(outcome.p99),
                ..Figures::default()
            })
        }
        Kind::Large { rows, row_bytes } => {
            let outcome = large::run(target, rows, row_bytes, slice)?;
            let megabytes = outcome.bytes as f64 / 1e6;
            Ok(Figures {
                megabytes_per_second: Some(megabytes / outcome.elapsed.as_secs_f64()),
                cpu_us_per_megabyte: used(spent()?).map(|us| us / megabytes),
                ..Figures::default()
            })
        }
        Kind::Storm { clients, tls } => {
            let outcome = storm::run(target, clients, tls, slice)?;
            ensure!(outcome.connections > 0, "no connection in {slice:?}");
            Ok(Figures {
                cpu_us_per_query: used(spent()?).map(|us| us / outcome.connections as f64),
                qps: Some(outcome.connections as f64 / slice.as_secs_f64()),
                p50_ms: outcome.percentile(0.5),
                p95_ms: outcome.percentile(0.95),
                p99_ms: outcome.percentile(0.99),
                ..Figures::default()
            })
        }
        Kind::Idle { clients } => connections::measure(target, clients, slice),
    }
}

fn summary(figures: &Figures) -> String {
    let parts = [
        figures.cpu_us_per_query.map(|v| format!("{v:.1} us/query")),
        figures.qps.map(|v| format!("{v:.0}/s")),
        figures.p99_ms.map(|v| format!("p99 {v:.2} ms")),
        figures.cpu_us_per_megabyte.map(|v| format!("{v:.0} us/MB")),
        figures.megabytes_per_second.map(|v| format!("{v:.0} MB/s")),
        figures.bytes_per_client.map(|v| format!("{v:.0} bytes/client")),
        figures.idle_cpu.map(|v| format!("{:.2} % of a core idle", v * 100.0)),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// System calls of proxyd for one query of one client, by name; and for 16 clients.
pub(crate) fn system_calls(bed: &Bed) -> Result<()> {
    let target = bed.targets.iter().find(|t| t.name == "proxyd").context("no proxyd among the targets")?;
    let pid = target.pid.context("proxyd has a process")?;
    for clients in [1, 16] {
        let tracer = Command::new("strace")
            .args(["-c", "-f", "-U", "name,calls", "-p", &pid.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("strace is missing: apt-get install -y --no-install-recommends strace")?;
        std::thread::sleep(Duration::from_millis(500));
        let outcome = sysbench::run(
            Script::PointSelect,
            Statements::Text,
            clients,
            target.address(),
            Duration::from_secs(3),
        )?;
        crate::lab::process::signal(tracer.id().cast_signed(), nix::sys::signal::Signal::SIGINT);
        let output = tracer.wait_with_output()?;
        println!("{clients} client(s), system calls per query:");
        for line in String::from_utf8_lossy(&output.stderr).lines() {
            let mut words = line.split_whitespace();
            if let (Some(name), Some(Ok(calls))) = (words.next(), words.next().map(str::parse::<f64>))
                && calls / outcome.queries as f64 >= 0.01
            {
                println!("  {name:<16} {:.2}", calls / outcome.queries as f64);
            }
        }
    }
    Ok(())
}
