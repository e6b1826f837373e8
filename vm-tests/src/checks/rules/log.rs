//! The events log: what a rule wants logged is there, one JSON object a line, and the files stay within their bounds.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::checks::pair::Pair;
use crate::checks::runner::Runner;
use crate::lab::wait;

const LIMIT: Duration = Duration::from_secs(30);

pub(super) fn run(runner: &mut Runner, pair: &Pair) {
    runner.check("rules/log: a rule's statements are lines of JSON", || lines(pair));
    runner.check("rules/log: the files are bounded in size and in number", || bounded(pair));
}

/// All lines, oldest file first.
fn log(pair: &Pair) -> Result<Vec<Value>> {
    let mut files: Vec<_> = fs::read_dir(pair.path("data"))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("events.")))
        .collect();
    files.sort();
    let mut lines = Vec::new();
    for file in files {
        for line in fs::read_to_string(&file)?.lines() {
            lines.push(serde_json::from_str(line).with_context(|| line.to_owned())?);
        }
    }
    Ok(lines)
}

fn lines(pair: &Pair) -> Result<()> {
    pair.admin("SET mysql-eventslog_filename='events'; SET mysql-eventslog_format=2; LOAD MYSQL VARIABLES TO RUNTIME")?;
    pair.rules(&[
        ("match_digest, log", "'FROM logged', 1"),
        ("match_digest, log", "'FROM quiet', 0"),
        ("match_digest, cache_ttl", "'FROM logged WHERE a', 5000"),
    ])?;
    pair.ok("one 'CREATE OR REPLACE TABLE logged (a INT); INSERT INTO logged VALUES (1), (2)'")?;
    pair.ok("app \"SELECT a FROM logged; SELECT 1; SELECT 'x', b FROM logged; SELECT 2\" --force 2>/dev/null || true")?;
    pair.ok("app 'SELECT a FROM logged WHERE a = 1; SELECT a FROM logged WHERE a = 1'")?;
    wait::until("four lines", LIMIT, || log(pair).is_ok_and(|lines| lines.len() == 4))?;
    let lines = log(pair)?;
    let (first, failed, cached) = (&lines[0], &lines[1], &lines[3]);
    ensure!(first["query"] == "SELECT a FROM logged" && first["rows_sent"] == 2, "{first}");
    ensure!(
        first["hostgroup_id"] == 1 && first["username"] == "app" && first["event"] == "COM_QUERY",
        "{first}"
    );
    ensure!(failed["errno"] == 1054, "{failed}");
    ensure!(cached["hostgroup_id"] == -1 && cached["rows_sent"] == 1, "{cached}");
    pair.admin("SET mysql-eventslog_default_log=1; LOAD MYSQL VARIABLES TO RUNTIME")?;
    pair.ok("app 'SELECT 3; SELECT 1 FROM quiet' --force 2>/dev/null || true")?;
    wait::until("a fifth line", LIMIT, || log(pair).is_ok_and(|lines| lines.len() == 5))?;
    ensure!(log(pair)?[4]["query"] == "SELECT 3", "{}", log(pair)?[4]);
    pair.admin("SET mysql-eventslog_default_log=0; LOAD MYSQL VARIABLES TO RUNTIME").map(drop)
}

fn bounded(pair: &Pair) -> Result<()> {
    pair.admin(
        "SET mysql-eventslog_filesize=1048576; SET mysql-eventslog_filecount=2; LOAD MYSQL VARIABLES TO RUNTIME",
    )?;
    pair.rules(&[("match_pattern, log", "'padding', 1")])?;
    // Forty statements of 100 KB: four times what two files hold.
    let script = "pad=$(head -c 100000 /dev/zero | tr '\\0' x); for n in $(seq 40); do echo \"SELECT '$pad' = 'padding' AS padding;\"; done > statements; \
                  command mariadb --no-defaults -N -h 127.0.33.9 -P 6033 -uapp -papp < statements > /dev/null";
    pair.ok(script)?;
    let sizes = || -> Result<Vec<u64>> {
        let mut sizes = Vec::new();
        for entry in fs::read_dir(pair.path("data"))? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with("events.") {
                sizes.push(entry.metadata()?.len());
            }
        }
        Ok(sizes)
    };
    wait::until("the log has turned", LIMIT, || {
        sizes().is_ok_and(|sizes| sizes.len() == 2 && sizes.iter().any(|&size| size > 500_000))
    })?;
    let sizes = sizes()?;
    ensure!(sizes.iter().all(|&size| size <= 1_048_576), "{sizes:?}");
    pair.admin("SET mysql-eventslog_filename=''; LOAD MYSQL VARIABLES TO RUNTIME").map(drop)
}
