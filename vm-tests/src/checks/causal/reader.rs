//! MySQL 9.7 with a binlog reader, and what happens when it, the proxy or replication is not there; and without one.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::bench::{Bench, READER};
use super::pairs::Read;
use super::{all_fresh, some_stale};
use crate::checks::runner::Runner;
use crate::lab::wait;

/// Where a read has gone: the source is server 1, the replica server 2.
const WHERE: &str = "SELECT v AS causal, @@server_id FROM test.written WHERE id = 0";
/// Three commits in one statement.
const PROCEDURE: &str = "DELIMITER //\n\
CREATE PROCEDURE test.thrice() BEGIN REPLACE INTO test.written VALUES (0, 7); COMMIT; \
REPLACE INTO test.written VALUES (0, 8); COMMIT; REPLACE INTO test.written VALUES (0, 9); COMMIT; END//";
const LIMIT: Duration = Duration::from_secs(60);

pub(super) fn run(runner: &mut Runner, bench: &mut Bench, pairs: u64) {
    runner.check("causal/mysql: without causal reads some are stale", || {
        some_stale(bench.pairs(Read::Anyway, pairs.min(2_000))?)
    });
    runner.check("causal/mysql: who writes reads it, by the replica where that has it", || {
        let before = bench.by_replica()?;
        let tally = bench.pairs(Read::Causal, pairs)?;
        all_fresh(tally, pairs, bench.by_replica()? - before)
    });
    runner.check("causal/mysql: a comment names what the server must have", || comments(bench));
    runner.check("causal/mysql: commits with a tag, and of a procedure", || names(bench));
    runner.check("causal/reader: killed, its server is unknown, and back it is known", || killed(bench));
    runner.check("causal/proxy: started anew it hears of everything", || {
        bench.restart_proxy()?;
        bench.until_heard()?;
        let tally = bench.pairs(Read::Causal, pairs.min(2_000))?;
        all_fresh(tally, 1, bench.by_replica()?)
    });
    runner.check("causal/mysql: without a reader the replica is given the hostgroup's time", || {
        without_reader(bench, pairs)
    });
}

fn comments(bench: &Bench) -> Result<()> {
    bench.until_heard()?;
    bench.app("REPLACE INTO test.written VALUES (0, 1)")?;
    bench.until_heard()?;
    let uuid = bench.source.query("SELECT @@server_uuid")?;
    for (number, server) in [("1", "2"), ("999999999", "1")] {
        let sql = format!("SELECT /* hostgroup={READER};min_gtid={uuid}:{number} */ @@server_id");
        let went = bench.app(&sql)?;
        ensure!(went == server, "min_gtid of {number} went to server {went}");
    }
    Ok(())
}

/// Names of another kind than one plain number.
fn names(bench: &Bench) -> Result<()> {
    bench.source.query("GRANT TRANSACTION_GTID_TAG, SESSION_VARIABLES_ADMIN ON *.* TO app@'%'")?;
    bench.source.query(PROCEDURE)?;
    bench.app("SET gtid_next = 'AUTOMATIC:lab'; REPLACE INTO test.written VALUES (0, 5)")?;
    bench.until_heard()?;
    let uuid = bench.source.query("SELECT @@server_uuid")?;
    for (number, server) in [(1, "2"), (2, "1")] {
        let sql = format!("SELECT /* hostgroup={READER};min_gtid={uuid}:lab:{number} */ @@server_id");
        let went = bench.app(&sql)?;
        ensure!(went == server, "min_gtid of lab:{number} went to server {went}");
    }
    bench.replica.query("STOP REPLICA SQL_THREAD")?;
    let read = bench.app(&format!("CALL test.thrice(); {WHERE}"))?;
    bench.replica.query("START REPLICA SQL_THREAD")?;
    ensure!(read == "9\t1", "after three commits that the replica has not: {read:?}");
    bench.until_heard()?;
    wait::until("the replica answers", LIMIT, || {
        bench.app(&format!("CALL test.thrice(); DO SLEEP(0.2); {WHERE}")).is_ok_and(|read| read == "9\t2")
    })
    .map(drop)
}

fn killed(bench: &mut Bench) -> Result<()> {
    bench.kill_reader()?;
    wait::until("the replica is unknown", LIMIT, || bench.known().is_ok_and(|known| known == "NULL"))?;
    let before = bench.by_replica()?;
    for value in 0..20 {
        let read = bench.app(&format!("REPLACE INTO test.written VALUES (0, {value}); {WHERE}"))?;
        ensure!(read == format!("{value}\t1"), "with the reader dead: {read:?}");
    }
    ensure!(bench.by_replica()? == before, "a replica of which nobody knows served a read");
    bench.start_reader()?;
    bench.until_heard()?;
    wait::until("the replica serves again", LIMIT, || {
        bench
            .app(&format!("REPLACE INTO test.written VALUES (0, 1); DO SLEEP(0.1); {WHERE}"))
            .is_ok_and(|read| read == "1\t2")
    })
    .map(drop)
}

fn without_reader(bench: &Bench, pairs: u64) -> Result<()> {
    bench.admin(&format!(
        "UPDATE mysql_servers SET gtid_port = 0; \
         INSERT INTO mysql_hostgroup_attributes (hostgroup_id, hostgroup_settings) \
         VALUES ({READER}, '{{\\\"gtid_wait_ms\\\": 20}}'); LOAD MYSQL SERVERS TO RUNTIME"
    ))?;
    wait::until("the replica has no reader", LIMIT, || bench.known().is_ok_and(|known| known.is_empty()))?;
    let before = bench.by_replica()?;
    let tally = bench.pairs(Read::Causal, pairs)?;
    all_fresh(tally, pairs, bench.by_replica()? - before)
}
