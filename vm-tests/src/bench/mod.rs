//! `standfast-lab bench`: what a query costs through the proxy, beside direct, HAProxy and MySQL Router, measured in turns in one run.
//!
//! One machine, loopback only. Every case is measured on every target in each round, the order rotating, so that what the
//! machine does meanwhile falls on all of them; the figures are medians over rounds, and a slice that somebody else's work
//! disturbed is measured again, or said to be disturbed.

mod canned;
mod cases;
mod connections;
mod cpu;
mod database;
mod figures;
mod handshake;
pub(crate) mod instructions;
mod large;
mod markdown;
mod measure;
mod monitors;
mod plot;
mod proxy;
mod router;
mod starts;
mod storm;
mod sysbench;
mod target;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::demo::Places;
use crate::lab::teardown;
use crate::section;
use cases::Case;
use figures::Report;
use measure::Schedule;
use target::Bed;

pub(crate) use canned::{Options as CannedOptions, run as run_canned};
pub(crate) use handshake::{Options as HandshakeOptions, run as run_handshake};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Few short rounds of the cases that matter most: a minute or two
    #[arg(long)]
    quick: bool,
    /// Write every figure to this JSON file
    #[arg(long, value_name = "FILE.json")]
    report: Option<PathBuf>,
    /// Rounds over all targets of each case
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds of one slice
    #[arg(long)]
    seconds: Option<f64>,
    /// Only cases whose name contains one of these words
    #[arg(long = "case", value_name = "WORD")]
    cases: Vec<String>,
    /// Only these targets (direct, haproxy, router, proxyd, other, handshake, or the name of a peer)
    #[arg(long = "target", value_name = "NAME")]
    targets: Vec<String>,
    /// Something else that already runs before a backend of its own: NAME=host:port:pid
    #[arg(long = "peer", value_name = "NAME=HOST:PORT:PID")]
    peers: Vec<String>,
    /// Another build of standfast-proxyd, measured as the target `other`
    #[arg(long, value_name = "PROGRAM")]
    compare: Option<PathBuf>,
    /// Rewrite the tables between the markers of this file, and the plots beside it
    #[arg(long, value_name = "BENCHMARKS.md")]
    write: Option<PathBuf>,
    /// Measure the monitors of so many servers instead, with nobody connected
    #[arg(long, value_name = "SERVERS", num_args = 0..=1, default_missing_value = "2000")]
    monitors: Option<u16>,
    /// Measure how soon a proxyd serves after its start instead: with a small configuration, and with a million users
    #[arg(long)]
    starts: bool,
    /// Count system calls of one query through proxyd with strace, instead of measuring time
    #[arg(long)]
    strace: bool,
    #[command(flatten)]
    places: Places,
}

/// True if every slice counted: no foreign load, no errors.
pub(crate) fn run(options: &Options) -> Result<bool> {
    raise_descriptor_limit()?;
    target::require()?;
    let _guard = teardown::Guard::new(options.places.keep)?;
    if let Some(count) = options.monitors {
        return monitors::run(&options.places.binaries()?, count, options.seconds, options.write.as_deref());
    }
    if options.starts {
        let rounds = options.rounds.unwrap_or(5);
        return starts::run(&options.places.binaries()?, rounds, options.write.as_deref());
    }
    let wanted: Vec<Case> = cases::all(options.quick)
        .into_iter()
        .filter(|case| options.cases.is_empty() || options.cases.iter().any(|word| case.name.contains(word)))
        .collect();
    ensure!(!wanted.is_empty(), "no case has a name like that; there are: {}", names());
    let bed = Bed::start(options, &wanted)?;
    if options.strace {
        return measure::system_calls(&bed).map(|()| true);
    }
    let schedule = Schedule {
        rounds: options.rounds.unwrap_or(if options.quick { 3 } else { 5 }),
        slice: Duration::from_secs_f64(options.seconds.unwrap_or(if options.quick { 1.5 } else { 4.0 })),
    };
    let report = measure::run(&bed, &wanted, &schedule)?;
    if let Some(path) = &options.report {
        std::fs::write(path, report.to_json()?).with_context(|| format!("write {}", path.display()))?;
    }
    section::publish("bench", &markdown::tables(&report), report.sound(), options.write.as_deref())?;
    if let Some(path) = &options.write {
        draw(&report, path)?;
    }
    Ok(report.sound())
}

/// The plots beside the file with the tables.
fn draw(report: &Report, path: &Path) -> Result<()> {
    let directory = path.parent().map_or_else(|| PathBuf::from("docs"), |parent| parent.join("docs"));
    let plot = directory.join("bench-cpu.svg");
    std::fs::write(&plot, plot::cpu(report)).with_context(|| format!("write {}", plot.display()))
}

fn names() -> String {
    cases::all(false).iter().map(|case| case.name.clone()).collect::<Vec<_>>().join(", ")
}

/// A hundred thousand clients need as many descriptors here and in each target: as many as this machine gives.
fn raise_descriptor_limit() -> Result<()> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    const WANTED: u64 = 400_000;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < WANTED && setrlimit(Resource::RLIMIT_NOFILE, WANTED, hard.max(WANTED)).is_err() {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("more open files")?;
    }
    Ok(())
}
