//! Real clusters of three servers behind the appliance: how soon the proxy with the VIP sees each failure, and what it costs
//! clients that write and read through the VIP all the time.

mod bench;
pub(crate) mod galera;
pub(crate) mod group;
mod load;
pub(crate) mod replication;

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;

use super::runner::Runner;
use crate::lab::wait;
use bench::Bench;
use load::Met;

/// After this long, nothing more is expected to come of a failure.
const PATIENCE: Duration = Duration::from_secs(40);

/// Runs the drills of one kind of cluster, and prints what each cost.
fn run(runner: &mut Runner, kind: &str, mut bench: Bench, well: &'static str, drills: &[Drill]) {
    let mut table = vec![
        format!(
            "| {kind} | database, ms | seen, ms | write gap, ms | errors | read gap, ms | errors | which |"
        ),
        "|---|---:|---:|---:|---:|---:|---:|---|".to_owned(),
    ];
    runner
        .check(&format!("{kind}/the cluster is placed as configured"), || bench.until_places(well).map(drop));
    for drill in drills {
        runner.check(&format!("{kind}/{}", drill.name), || {
            let (failed, healed) = drill.run(&mut bench, well)?;
            table.push(failed.row(drill.name));
            table.push(healed.row("and back"));
            let late = failed.seen.saturating_sub(failed.done);
            ensure!(late <= drill.limit, "seen {late:?} after it was done");
            ensure!(healed.writes.errors() + healed.reads.errors() <= drill.heals_with, "{healed:?}");
            Ok(())
        });
    }
    // The table is for whoever reads along; a reader that has gone away is no failure.
    let _ = writeln!(std::io::stdout(), "{}", table.join("\n"));
}

type Act = fn(&mut Bench) -> Result<()>;

/// One failure and its end.
struct Drill {
    name: &'static str,
    fail: Act,
    /// True once the cluster itself has drawn its consequence, which the proxy cannot be blamed for.
    settled: fn(&Bench) -> bool,
    heal: Act,
    places: &'static str,
    /// The proxy must have seen it by then.
    limit: Duration,
    /// The errors that its end may cost.
    heals_with: usize,
}

/// What one change cost.
#[derive(Debug)]
struct Cost {
    /// After which it was done: what acts by SQL may wait for the server.
    done: Duration,
    /// After which the cluster itself had drawn its consequence.
    cluster: Duration,
    /// After which the proxy had.
    seen: Duration,
    writes: Met,
    reads: Met,
}

impl Cost {
    fn row(&self, name: &str) -> String {
        let texts = |met: &Met| met.failures.by_text.keys().cloned().collect::<Vec<_>>();
        let words = [texts(&self.writes), texts(&self.reads)].concat();
        format!(
            "| {name} | {} | {} | {} | {} | {} | {} | {} |",
            self.cluster.as_millis(),
            self.seen.as_millis(),
            self.writes.outage.as_millis(),
            self.writes.errors(),
            self.reads.outage.as_millis(),
            self.reads.errors(),
            words.join("; "),
        )
    }
}

impl Drill {
    fn run(&self, bench: &mut Bench, well: &str) -> Result<(Cost, Cost)> {
        bench.until_places(well)?;
        bench.load.until_calm(Duration::from_secs(1), PATIENCE)?;
        let failed = measure(bench, self.fail, self.settled, self.places)?;
        let healed = measure(bench, self.heal, |_| true, well)?;
        Ok((failed, healed))
    }
}

/// Each server is stopped in order and started again, one after the other.
fn rolling_restart(bench: &mut Bench, order: [usize; 3]) -> Result<()> {
    for index in order {
        bench.cluster.signal(index, Signal::SIGTERM)?;
        bench.cluster.restart(index)?;
        // The operator waits for the node to serve before he stops the next one.
        bench.load.until_calm(Duration::from_secs(1), PATIENCE)?;
    }
    Ok(())
}

/// Does it, waits until the proxy has seen it and clients are served again, and says what it cost them.
fn measure(bench: &mut Bench, act: Act, settled: fn(&Bench) -> bool, places: &str) -> Result<Cost> {
    let start = Instant::now();
    act(bench)?;
    let done = start.elapsed();
    let (mut cluster, mut seen) = (None, None);
    wait::until(&format!("the cluster, and the places {places}"), PATIENCE, || {
        if cluster.is_none() && settled(bench) {
            cluster = Some(start.elapsed());
        }
        if seen.is_none() && bench.places().is_ok_and(|now| now == places) {
            seen = Some(start.elapsed());
        }
        cluster.is_some() && seen.is_some()
    })?;
    bench.load.until_calm(Duration::from_secs(2), PATIENCE)?;
    let (writes, reads) = bench.load.since(start);
    let (cluster, seen) = (cluster.unwrap_or_default(), seen.unwrap_or_default());
    Ok(Cost { done, cluster, seen, writes, reads })
}
