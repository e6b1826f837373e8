//! Causal reads: who writes and then reads from a replica reads what it wrote, however far behind replication is.
//!
//! With MySQL 9.7, binlog readers and all that may happen to them; with MySQL and with MariaDB without a reader, where the
//! replica itself is asked. The same pairs of write and read without causal reads must go wrong, or nothing is shown.

mod bench;
mod lag;
mod mariadb;
mod pairs;
mod reader;

use anyhow::{Result, ensure};

use super::runner::Runner;
use bench::Bench;
use pairs::Tally;

/// So many pairs by default: seconds. On request, as many as the promise names.
const SHORT: u64 = 2_000;
const LONG: u64 = 100_000;

pub(crate) fn short(runner: &mut Runner) -> Result<()> {
    run(runner, SHORT)
}

pub(crate) fn long(runner: &mut Runner) -> Result<()> {
    run(runner, LONG)
}

fn run(runner: &mut Runner, pairs: u64) -> Result<()> {
    let mut bench = Bench::start(&runner.binaries)?;
    reader::run(runner, &mut bench, pairs);
    drop(bench);
    mariadb::run(runner, pairs)
}

/// None of the pairs read something old, and the replica did its part.
fn all_fresh(tally: Tally, wanted: u64, by_replica: u64) -> Result<()> {
    let Tally { pairs, stale } = tally;
    println!("        {pairs} pairs, {stale} stale, {by_replica} read from the replica");
    ensure!(pairs >= wanted, "only {pairs} pairs");
    ensure!(stale == 0, "{stale} of {pairs} reads were stale");
    ensure!(by_replica > 0, "the replica served no read: nothing is shown");
    Ok(())
}

/// Without causal reads some are stale: the test can fail.
fn some_stale(tally: Tally) -> Result<()> {
    let Tally { pairs, stale } = tally;
    println!("        {pairs} pairs without causal reads, {stale} stale");
    ensure!(stale > 0, "no read of {pairs} was stale without causal reads: replication did not lag");
    Ok(())
}
