//! What a rule, or a comment in the statement, does to one statement: where it runs, how long, how often, or not at all.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::checks::pair::{PROXY, Pair};
use crate::checks::runner::Runner;
use crate::lab::wait;

/// Of the rule that delays.
const DELAY: Duration = Duration::from_secs(3);
/// A statement that takes minutes has ended long before.
const LIMIT: Duration = Duration::from_secs(25);

pub(super) fn run(runner: &mut Runner, pair: &Pair) {
    runner.check("rules/effects: timeout ends a statement with 1907, and the session goes on", || {
        timeout(pair)
    });
    runner.check("rules/effects: delay, error_msg, OK_msg, next_query_flagIN", || plain(pair));
    runner.check("rules/effects: multiplex 0 keeps a connection, 2 lets go in spite of a variable", || {
        multiplex(pair)
    });
    runner
        .check("rules/effects: comments route, time out, mirror; before, after or never", || comments(pair));
}

fn timeout(pair: &Pair) -> Result<()> {
    pair.rules(&[("match_digest, timeout", "'^SELECT .* FROM slow', 300")])?;
    pair.ok(
        "one 'CREATE OR REPLACE TABLE slow (a INT); INSERT INTO slow SELECT seq FROM test.seq_1_to_3000'",
    )?;
    // Rows times rows times rows: it would take minutes.
    let slow = "SELECT COUNT(*) FROM slow a, slow b, slow c WHERE a.a + b.a + c.a = 0";
    let started = Instant::now();
    pair.fails(&format!("app '{slow}'"), "1907")?;
    pair.fails(&format!("app '/* query_timeout=200 */ {slow}'"), "query_timeout exceeded")?;
    ensure!(started.elapsed() < LIMIT, "it took {:?}", started.elapsed());
    let script = format!(
        "printf '%s;\\n' BEGIN 'INSERT INTO slow VALUES (9999)' '{slow}' COMMIT 'SELECT MAX(a) FROM slow' | \
         command mariadb --no-defaults -N --force -h {PROXY} -P 6033 -uapp -papp"
    );
    let output = pair.bash(&script)?;
    ensure!(output.stderr.contains("1907"), "said {:?}", output.stderr);
    ensure!(
        output.stdout.trim() == "9999",
        "the transaction is gone: {:?} {:?}",
        output.stdout,
        output.stderr
    );
    let running = "one \"SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'SELECT COUNT(*) FROM slow%'\"";
    wait::until("no such statement at the server", LIMIT, || pair.ok(running).is_ok_and(|count| count == "0"))
        .map(drop)
}

fn plain(pair: &Pair) -> Result<()> {
    pair.rules(&[
        ("match_digest, delay", "'^SELECT .later', 3000"),
        ("match_digest, error_msg", "'^SELECT .forbidden', 'not here'"),
        ("match_digest, OK_msg", "'^CREATE EVENT', 'as you say'"),
        ("match_digest, next_query_flagIN", "'^SET @flag', 7"),
        ("flagIN, match_digest, destination_hostgroup", "7, '^SELECT', 2"),
    ])?;
    let started = Instant::now();
    pair.prints("app 'SELECT 7 AS later'", "7")?;
    ensure!(started.elapsed() < DELAY, "a rule for another statement delayed this one");
    let started = Instant::now();
    pair.ok("app 'SELECT `later` FROM (SELECT 1 AS later) t'")?;
    ensure!(started.elapsed() >= DELAY, "it was not delayed");
    pair.fails("app 'SELECT `forbidden`'", "ERROR 1148 (42000) at line 1: not here")?;
    pair.prints("app 'CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO SELECT 1; SELECT 1'", "1")?;
    pair.prints("app 'SET @flag=1; SELECT @@server_id; SELECT @@server_id'", "2\n1")
}

fn multiplex(pair: &Pair) -> Result<()> {
    // Looked at while it sleeps, however late that is, and ended then.
    let pinned = "app 'SET @x=1+0; SELECT @@hostname IS NULL; SELECT SLEEP(25)' 2> /dev/null & \
                  mine=\"FROM stats_mysql_processlist WHERE user='app' AND info LIKE '%SLEEP%'\"; \
                  until [ \"$(admin \"SELECT COUNT(*) $mine\")\" = 1 ]; do sleep 0.05; done; \
                  admin \"SELECT COUNT(*) $mine AND extended_info LIKE '%user-variable%'\"; \
                  admin \"KILL CONNECTION $(admin \"SELECT SessionID $mine\")\"; wait";
    let reason = |rules: &[(&str, &str)]| -> Result<String> {
        pair.rules(rules)?;
        pair.ok(pinned)
    };
    let lines = reason(&[])?;
    ensure!(lines.lines().any(|line| line == "1"), "without a rule: {lines:?}");
    let lines = reason(&[("match_digest, multiplex", "'^SET @x', 2")])?;
    ensure!(lines.lines().filter(|line| *line == "1").count() == 0, "with multiplex=2: {lines:?}");
    pair.rules(&[("match_digest, multiplex", "'^SELECT', 0")])?;
    let same = "app 'SELECT CONNECTION_ID(), 1; SELECT CONNECTION_ID(), 1' | sort -u | wc -l";
    pair.prints(same, "1")
}

fn comments(pair: &Pair) -> Result<()> {
    pair.rules(&[("match_digest, destination_hostgroup", "'^SELECT @@server_id', 1")])?;
    let set = |value: u8| {
        pair.admin(&format!(
            "SET mysql-query_processor_first_comment_parsing = '{value}'; LOAD MYSQL VARIABLES TO RUNTIME"
        ))
    };
    let annotated = "app '/* hostgroup=2; owner=shop */ SELECT @@server_id' --comments";
    pair.prints(annotated, "2")?;
    pair.prints("app '/* no note */ SELECT @@server_id' --comments", "1")?;
    set(0)?;
    pair.prints(annotated, "1")?;
    // Before the rules: theirs is the last word.
    set(1)?;
    pair.prints(annotated, "1")?;
    pair.prints("app '/* hostgroup=2 */ SELECT @@server_id + 0' --comments", "1")?;
    pair.rules(&[])?;
    pair.prints(annotated, "2")?;
    set(2)?;
    let fresh = "app '/* create_new_connection=1 */ SELECT CONNECTION_ID() + 0' --comments";
    let (first, second) = (pair.ok(fresh)?, pair.ok(fresh)?);
    ensure!(first != second, "both ran on connection {first}");
    Ok(())
}
