//! The planned writer switch under load: not one statement is lost, no error is seen.
//!
//! Two ways to do it. By hand: the old writer is OFFLINE_SOFT, drains, the new one is promoted and made ONLINE. By `read_only`:
//! the same drain, then the flags are turned and the monitor moves the servers between their hostgroups.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::bed::{Bed, PROXY};
use super::server::Kind;
use super::teller::{PAUSE, Tellers};
use crate::checks::runner::Runner;
use crate::checks::shell::Output;
use crate::mysql97::root::SidRoot;

/// The monitor looks often, so that a test does not wait for it; statements wait for a writer as long as a switch may take here.
const SETTINGS: &str =
    "monitor_read_only_interval = 200\nmonitor_ping_interval = 500\nconnect_timeout_server_max = 24000\n";

/// Tellers of each trade.
const EACH: usize = 3;
/// Of sysbench.
const THREADS: usize = 4;
const TABLE: &str = "--tables=1 --table-size=1000";

type Way = (&'static str, fn(&Bed, usize, usize) -> Result<()>);

const BY_HAND: Way = ("by hand", by_hand);
const BY_READ_ONLY: Way = ("by read_only", by_read_only);

/// One switch there and back, each way on one kind of server.
pub(crate) fn short(runner: &mut Runner) -> Result<()> {
    on(runner, "switch", &Kind::MariaDb, &[BY_HAND], 1)?;
    on(runner, "switch", &Kind::MySql(SidRoot::get()?), &[BY_READ_ONLY], 1)
}

/// Ten there and back, both ways on both kinds.
pub(crate) fn long(runner: &mut Runner) -> Result<()> {
    for kind in [Kind::MariaDb, Kind::MySql(SidRoot::get()?)] {
        on(runner, "switches", &kind, &[BY_HAND, BY_READ_ONLY], 10)?;
    }
    Ok(())
}

fn on(runner: &mut Runner, group: &str, kind: &Kind, ways: &[Way], rounds: usize) -> Result<()> {
    let name = format!("{group}/{}", kind.name());
    if !runner.wants(&name) {
        return Ok(());
    }
    let bed = Bed::start(&runner.binaries, kind, SETTINGS)?;
    prepare(&bed)?;
    for (way, switch) in ways {
        if *way == BY_READ_ONLY.0 {
            bed.follow_read_only()?;
        }
        runner.check(&format!("{name}: {way}, {rounds} there and back, no statement lost"), || {
            under_load(&bed, rounds, *switch)
        });
    }
    Ok(())
}

fn sysbench(what: &str) -> String {
    format!(
        "sysbench --db-driver=mysql --mysql-host={PROXY} --mysql-port=6033 --mysql-user=app --mysql-password=app \
         --mysql-ssl=off --mysql-db=test {TABLE} oltp_read_write {what}"
    )
}

fn prepare(bed: &Bed) -> Result<()> {
    let made = bed.bash("sysbench", &sysbench("prepare"), Duration::from_secs(60))?;
    ensure!(made.success, "sysbench prepare: {}{}", made.stdout, made.stderr);
    bed.servers[1].catch_up_with(&bed.servers[0])
}

/// There and back, so many times; whatever happens is a failure.
fn under_load(bed: &Bed, rounds: usize, switch: fn(&Bed, usize, usize) -> Result<()>) -> Result<()> {
    let tellers = Tellers::start(bed, EACH, PAUSE)?;
    let bench = std::thread::scope(|scope| -> Result<Output> {
        let stop = bed.path("stop");
        let script = format!(
            "rm -f {stop}; {} & pid=$!; until [ -e {stop} ] || ! kill -0 $pid 2>/dev/null; do sleep 0.05; done; \
             kill -TERM $pid || echo FATAL: it had ended; wait $pid",
            sysbench(&format!("--threads={THREADS} --time=0 --db-ps-mode=auto run")),
            stop = stop.display(),
        );
        let bench = scope.spawn(move || bed.bash("sysbench", &script, Duration::from_secs(600)));
        let switched = (0..rounds).try_for_each(|_| {
            for (from, to) in [(0, 1), (1, 0)] {
                tellers.until_all_did(20)?;
                switch(bed, from, to).with_context(|| format!("from {from} to {to}"))?;
            }
            tellers.until_all_did(20)
        });
        std::fs::write(&stop, "")?;
        let bench = bench.join().map_err(|_| anyhow::anyhow!("the load panicked"))?;
        switched?;
        bench
    })?;
    let report = tellers.stop()?;
    report.saw_nothing()?;
    ensure!(
        !bench.stdout.contains("FATAL") && !bench.stderr.contains("FATAL"),
        "{}{}",
        bench.stdout,
        bench.stderr
    );
    report.agrees_with(&bed.servers[0])?;
    println!("        {}", report.line());
    Ok(())
}

fn by_hand(bed: &Bed, from: usize, to: usize) -> Result<()> {
    bed.set_writer(from, "OFFLINE_SOFT")?;
    bed.drained(from)?;
    turn_roles(bed, from, to)?;
    bed.set_writer(to, "ONLINE")
}

fn by_read_only(bed: &Bed, from: usize, to: usize) -> Result<()> {
    bed.set_writer(from, "OFFLINE_SOFT")?;
    bed.drained(from)?;
    turn_roles(bed, from, to)?;
    // The monitor makes the new one a writer, and the old one only a reader.
    bed.until_writer(to)?;
    bed.admin("SAVE MYSQL SERVERS TO MEMORY").map(drop)
}

/// On the servers: the drained writer stops writing, the other has all that it wrote, and takes over.
fn turn_roles(bed: &Bed, from: usize, to: usize) -> Result<()> {
    let (old, new) = (&bed.servers[from], &bed.servers[to]);
    old.set_read_only(true)?;
    new.catch_up_with(old)?;
    new.promote()?;
    old.follow(new, true)
}
