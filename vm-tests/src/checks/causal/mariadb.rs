//! MariaDB: no reader tells of its GTIDs, so the replica is asked.

use std::net::SocketAddr;

use anyhow::{Result, ensure};

use super::pairs::{self, Read, Tally};
use super::{all_fresh, lag, some_stale};
use crate::checks::pair::Pair;
use crate::checks::runner::Runner;

pub(super) fn run(runner: &mut Runner, pairs: u64) -> Result<()> {
    let pair = Pair::start(&runner.binaries, "causal-mariadb")?;
    set_up(&pair)?;
    let by_replica = || pair.counter("GTID_consistent_queries");
    runner.check("causal/mariadb: without causal reads some are stale", || {
        some_stale(run_pairs(&pair, Read::Anyway, pairs.min(2_000))?)
    });
    runner.check("causal/mariadb: unless the hostgroup has time for it, the writer is asked", || {
        let tally = run_pairs(&pair, Read::Causal, 200)?;
        ensure!(tally.stale == 0, "{} stale reads", tally.stale);
        ensure!(by_replica()? == 0, "a replica of which nobody knows served a read");
        Ok(())
    });
    pair.admin(
        "INSERT INTO mysql_hostgroup_attributes (hostgroup_id, hostgroup_settings) \
         VALUES (2, '{\\\"gtid_wait_ms\\\": 20}'); LOAD MYSQL SERVERS TO RUNTIME",
    )?;
    runner.check("causal/mariadb: who writes reads it, by the replica where that has it in time", || {
        let tally = run_pairs(&pair, Read::Causal, pairs)?;
        all_fresh(tally, pairs, by_replica()?)
    });
    Ok(())
}

/// The second server replicates from the first.
fn set_up(pair: &Pair) -> Result<()> {
    root(
        pair,
        "CHANGE MASTER TO MASTER_HOST='127.0.33.1', MASTER_USER='app', MASTER_PASSWORD='app', \
                MASTER_USE_GTID=slave_pos; START SLAVE",
    )?;
    pair.ok(&format!("one '{}'", pairs::TABLE))?;
    let rules = pairs::rules(1, 2);
    pair.rules(&[(pairs::COLUMNS, &rules[0]), (pairs::COLUMNS, &rules[1])])?;
    pair.ok("until two 'DO (SELECT COUNT(*) FROM test.written)' 2>/dev/null; do sleep 0.05; done").map(drop)
}

fn run_pairs(pair: &Pair, read: Read, pairs: u64) -> Result<Tally> {
    let (_, proxy): (SocketAddr, SocketAddr) = pair.places();
    lag::during(|| root(pair, &lag::cycles()), || pairs::run(pair.netns(), proxy, "app", read, pairs))
}

/// SQL as root at the second server.
fn root(pair: &Pair, sql: &str) -> Result<()> {
    pair.ok(&format!("command mariadb --no-defaults -uroot -S {} -e \"{sql}\"", pair.path("db2/s").display()))
        .map(drop)
}
