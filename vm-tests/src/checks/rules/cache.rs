//! The query cache, seen from outside: by its counters, and by a row that changes and is not seen to.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::checks::pair::Pair;
use crate::checks::runner::Runner;
use crate::lab::wait;

/// Longer than a check takes.
const RULE: (&str, &str) = ("match_digest, cache_ttl", "'^SELECT .* FROM cached', 60000");
/// Not much longer than what has to be seen before it is over.
const SHORT: (&str, &str) = ("match_digest, cache_ttl", "'^SELECT .* FROM cached', 8000");
const LIMIT: Duration = Duration::from_secs(60);

pub(super) fn run(runner: &mut Runner, pair: &Pair) {
    runner.check("rules/cache: a changed row is not seen before the ttl", || stale_until_ttl(pair));
    runner
        .check("rules/cache: not in a transaction, not for other schemas, users or settings", || apart(pair));
    runner.check("rules/cache: PROXYSQL FLUSH QUERY CACHE, empty answers, warnings", || variables(pair));
}

fn stale_until_ttl(pair: &Pair) -> Result<()> {
    pair.ok("one 'CREATE OR REPLACE TABLE cached (a INT); INSERT INTO cached VALUES (1)'")?;
    pair.rules(&[SHORT])?;
    let hits = pair.counter("Query_Cache_count_GET_OK")?;
    pair.prints("app 'SELECT a FROM cached'", "1")?;
    pair.ok("one 'UPDATE cached SET a = 2'")?;
    pair.prints("app 'SELECT a FROM cached; SELECT a FROM cached'", "1\n1")?;
    ensure!(pair.counter("Query_Cache_count_GET_OK")? == hits + 2, "the hits are not counted");
    ensure!(pair.counter("Query_Cache_Entries")? == 1, "no entry is counted");
    let digest = "SELECT count_star FROM stats_mysql_query_digest WHERE hostgroup = -1 AND digest_text = 'SELECT a FROM cached'";
    ensure!(pair.admin(digest)? == "2", "hits do not count in hostgroup -1");
    wait::until("the new row", LIMIT, || pair.ok("app 'SELECT a FROM cached'").is_ok_and(|row| row == "2"))?;
    wait::until("the entry is purged", LIMIT, || {
        pair.counter("Query_Cache_Entries").is_ok_and(|entries| entries == 0)
    })
    .map(drop)
}

fn apart(pair: &Pair) -> Result<()> {
    pair.ok("one 'UPDATE cached SET a = 3; CREATE OR REPLACE TABLE other.cached (a INT); INSERT INTO other.cached VALUES (9)'")?;
    pair.rules(&[RULE])?;
    pair.admin("PROXYSQL FLUSH QUERY CACHE")?;
    pair.prints("app 'SELECT a FROM cached'", "3")?;
    pair.ok("one 'UPDATE cached SET a = 4'")?;
    pair.prints("app 'SELECT a FROM cached'", "3")?;
    pair.prints("app 'BEGIN; SELECT a FROM cached; COMMIT; SELECT a FROM cached'", "4\n3")?;
    pair.prints("app 'SET autocommit=0; SELECT a FROM cached'", "4")?;
    pair.prints("app 'SELECT a FROM cached' other", "9")?;
    pair.prints("second 'SELECT a FROM cached' test", "4")?;
    pair.prints("app \"SET time_zone='+03:00'; SELECT a FROM cached\"", "4")?;
    let sets = pair.counter("Query_Cache_count_SET")?;
    pair.fails("app 'SELECT no_such FROM cached'", "1054")?;
    ensure!(pair.counter("Query_Cache_count_SET")? == sets, "an error was kept");
    pair.prints("app 'CREATE TEMPORARY TABLE cached (a INT); SELECT COUNT(a) FROM cached'", "0")
}

fn variables(pair: &Pair) -> Result<()> {
    let empty = "app 'SELECT a FROM cached WHERE a < 0'";
    pair.ok("one 'DELETE FROM cached'")?;
    let set = |name: &str, value: &str| {
        pair.admin(&format!("SET mysql-{name} = '{value}'; LOAD MYSQL VARIABLES TO RUNTIME"))
    };
    let stored = |script: &str| -> Result<u64> {
        pair.admin("PROXYSQL FLUSH QUERY CACHE")?;
        let before = pair.counter("Query_Cache_count_SET")?;
        pair.ok(script)?;
        Ok(pair.counter("Query_Cache_count_SET")? - before)
    };
    ensure!(stored(empty)? == 1, "an empty answer was not kept");
    set("query_cache_stores_empty_result", "false")?;
    ensure!(stored(empty)? == 0, "an empty answer was kept");
    pair.rules(&[("match_digest, cache_ttl, cache_empty_result", "'^SELECT .* FROM cached', 60000, 1")])?;
    ensure!(stored(empty)? == 1, "the rule says to keep empty answers");
    set("query_cache_stores_empty_result", "true")?;
    let warned = "app 'SELECT 1/0, COUNT(*) FROM cached'";
    ensure!(stored(warned)? == 0, "an answer with warnings was kept");
    set("query_cache_handle_warnings", "1")?;
    ensure!(stored(warned)? == 1, "an answer with warnings was not kept");
    let hit = pair.ok("app 'SELECT 1/0, COUNT(*) FROM cached; SHOW WARNINGS'")?;
    ensure!(hit == "NULL\t0", "from the cache came {hit:?}");
    set("query_cache_handle_warnings", "0")?;
    set("query_cache_size_MB", "0")?;
    ensure!(stored(empty)? == 0, "a cache of no size kept an answer");
    set("query_cache_size_MB", "256").map(drop)
}
