//! Mirrored statements arrive at the other server, and the client neither waits for them nor hears of them.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::checks::pair::Pair;
use crate::checks::runner::Runner;
use crate::lab::wait;

pub(super) fn run(runner: &mut Runner, pair: &Pair) {
    runner.check("rules/mirror: a copy arrives, rewritten by its own rules", || arrives(pair));
    runner.check("rules/mirror: slow and failing mirrors do not touch the client", || unnoticed(pair));
}

const LIMIT: Duration = Duration::from_secs(30);
const ROWS: &str = "two 'SELECT COUNT(*) FROM mirrored'";

fn arrives(pair: &Pair) -> Result<()> {
    for server in ["one", "two"] {
        pair.ok(&format!("{server} 'CREATE OR REPLACE TABLE mirrored (a INT, b INT DEFAULT 0)'"))?;
    }
    pair.rules(&[("match_digest, mirror_hostgroup", "'^INSERT INTO mirrored', 2")])?;
    pair.ok("app 'INSERT INTO mirrored (a) VALUES (1)'")?;
    wait::until("the copy", LIMIT, || pair.ok(ROWS).is_ok_and(|rows| rows == "1"))?;
    pair.prints("one 'SELECT COUNT(*) FROM mirrored'", "1")?;
    pair.rules(&[
        ("match_digest, mirror_flagOUT", "'^INSERT INTO mirrored', 100"),
        (
            "flagIN, match_pattern, replace_pattern, destination_hostgroup",
            "100, '\\\\(a\\\\) VALUES \\\\((\\\\d+)\\\\)', '(a, b) VALUES (\\\\1, 5)', 2",
        ),
    ])?;
    pair.ok("app 'INSERT INTO mirrored (a) VALUES (2)'")?;
    let rewritten = "two 'SELECT COUNT(*) FROM mirrored WHERE a = 2 AND b = 5'";
    wait::until("the rewritten copy", LIMIT, || pair.ok(rewritten).is_ok_and(|rows| rows == "1"))?;
    pair.prints("one 'SELECT a, b FROM mirrored WHERE a = 2'", "2\t0")
}

fn unnoticed(pair: &Pair) -> Result<()> {
    let set = |name: &str, value: u32| {
        pair.admin(&format!("SET mysql-{name} = '{value}'; LOAD MYSQL VARIABLES TO RUNTIME"))
    };
    pair.ok("two 'DROP TABLE mirrored'")?;
    pair.rules(&[
        ("match_digest, mirror_hostgroup", "'^INSERT INTO mirrored', 2"),
        ("match_digest, mirror_flagOUT, apply", "'^DO .slow', 100, 1"),
        ("flagIN, match_pattern, replace_pattern, destination_hostgroup", "100, '^DO .*', 'DO SLEEP(25)', 2"),
    ])?;
    pair.ok("app 'INSERT INTO mirrored (a) VALUES (3)'")?;
    pair.prints("one 'SELECT COUNT(*) FROM mirrored WHERE a = 3'", "1")?;
    set("mirror_max_concurrency", 1)?;
    set("mirror_max_queue_length", 2)?;
    let dropped = pair.counter("Mirror_dropped")?;
    let started = Instant::now();
    pair.ok("app 'DO (SELECT 1 AS slow); DO \"slow\"; DO `slow`.a' --force || true")?;
    pair.ok("app \"DO @slow; DO @slow; DO @slow; DO @slow; DO @slow\"")?;
    ensure!(started.elapsed() < Duration::from_secs(25), "the client waited {:?}", started.elapsed());
    ensure!(pair.counter("Mirror_concurrency")? <= 1, "more than one at once");
    ensure!(pair.counter("Mirror_dropped")? >= dropped + 2, "what does not fit is not counted");
    set("mirror_max_concurrency", 16)?;
    set("mirror_max_queue_length", 32_000)?;
    // They need not sleep any longer.
    let sleeping = "for id in $(two \"SELECT id FROM information_schema.processlist WHERE info LIKE 'DO SLEEP%'\"); do \
                    two \"KILL QUERY $id\"; done";
    wait::until("the mirrors are done", LIMIT, || {
        pair.bash(sleeping).is_ok() && pair.counter("Mirror_concurrency").is_ok_and(|running| running == 0)
    })
    .map(drop)
}
