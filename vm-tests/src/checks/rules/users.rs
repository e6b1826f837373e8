//! The flags of users: a locked schema, bytes that pass untouched, an isolation level to begin with.

use anyhow::{Result, ensure};

use crate::checks::pair::{PROXY, Pair};
use crate::checks::runner::Runner;

pub(super) fn run(runner: &mut Runner, pair: &Pair) {
    runner.check("rules/users: schema_locked refuses every other schema", || schema_locked(pair));
    runner.check("rules/users: attributes give a session its isolation level", || attributes(pair));
    runner.check(
        "rules/users: fast_forward passes bytes, transactions and big answers, and no rule applies",
        || fast_forward(pair),
    );
}

fn set(pair: &Pair, assignment: &str) -> Result<()> {
    pair.admin(&format!(
        "UPDATE mysql_users SET {assignment} WHERE username = 'second'; LOAD MYSQL USERS TO RUNTIME"
    ))
    .map(drop)
}

fn schema_locked(pair: &Pair) -> Result<()> {
    set(pair, "schema_locked = 1")?;
    pair.prints("second 'USE test; SELECT DATABASE()'", "test")?;
    pair.fails("second 'USE other'", "1044")?;
    pair.fails("second 'SELECT 1' other", "1044")?;
    pair.fails("second 'DELIMITER //\nSELECT 1; USE other//'", "locked")?;
    set(pair, "schema_locked = 0")?;
    pair.prints("second 'USE other; SELECT DATABASE()'", "other")
}

fn attributes(pair: &Pair) -> Result<()> {
    let level = "second 'SELECT @@tx_isolation'";
    set(pair, "attributes = '{\\\"default-transaction_isolation\\\":\\\"SERIALIZABLE\\\"}'")?;
    pair.prints(level, "SERIALIZABLE")?;
    let refused = "admin \"UPDATE mysql_users SET attributes='{\\\"default-transaction_isolation\\\":\\\"NONE\\\"}' \
                   WHERE username = 'second'; LOAD MYSQL USERS TO RUNTIME\"";
    pair.fails(refused, "no such level")?;
    pair.prints(level, "SERIALIZABLE")?;
    set(pair, "attributes = ''")?;
    pair.prints(level, "REPEATABLE-READ")
}

fn fast_forward(pair: &Pair) -> Result<()> {
    set(pair, "fast_forward = 1")?;
    pair.rules(&[("match_digest, error_msg", "'^SELECT', 'a rule'")])?;
    pair.fails("app 'SELECT 1'", "a rule")?;
    pair.prints("second 'SELECT 1; SELECT DATABASE()'", "1\ntest")?;
    pair.ok("one 'CREATE OR REPLACE TABLE forwarded (a INT)'")?;
    pair.prints(
        "second 'BEGIN; INSERT INTO forwarded VALUES (1); SELECT COUNT(*) FROM forwarded; ROLLBACK; SELECT COUNT(*) FROM forwarded'",
        "1\n0",
    )?;
    let bytes = pair.ok("second \"SELECT REPEAT('x', 5000000)\" --max-allowed-packet=16M | wc -c")?;
    ensure!(bytes == "5000001", "{bytes} bytes came");
    // A dump of the binary log is a command that nothing but a pipe can carry.
    let dump = format!(
        "mariadb-binlog --no-defaults -h {PROXY} -P 6033 -usecond -psecond --read-from-remote-server binlog.000001 | grep -c forwarded"
    );
    ensure!(pair.ok(&dump)?.parse::<u32>()? > 0, "nothing of the binary log came");
    pair.rules(&[])?;
    set(pair, "fast_forward = 0")
}
