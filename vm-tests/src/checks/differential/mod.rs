//! Random sessions, each direct and through the proxy: what the client sees must be the same, packet by packet, and so must
//! what is left of its session, while many clients share a few backend connections.
//!
//! A failure prints the seed; `DIFFERENTIAL_SEED=… standfast-lab test differential` plays that session alone.

mod connection;
mod generate;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use super::mysql97;
use super::pair::Pair;
use super::runner::Runner;
use crate::lab::netns::Netns;
use connection::{Place, Transcript};
use generate::{Flavour, Script};

/// Clients at once.
const CLIENTS: usize = 16;
/// Backend connections for all of them.
const BACKENDS: usize = 6;
/// Of a run among all other tests, for each server.
const SHORT: u64 = 300;
/// Of a run of its own.
const LONG: u64 = 4_000;

/// The servers' own routines that the sessions call.
const ROUTINES: [&str; 2] = [
    "CREATE PROCEDURE test.sets() BEGIN SET @p = 7; SET SESSION group_concat_max_len = 777; END",
    "CREATE PROCEDURE test.makes_a_table() CREATE TEMPORARY TABLE IF NOT EXISTS test.made (a INT)",
];

/// A server, the proxy before it, and how to get to both.
struct Bed<'a> {
    netns: &'a Netns,
    direct: Place,
    proxied: Place,
    flavour: Flavour,
}

/// Thousands of sessions.
pub(crate) fn run(runner: &mut Runner) -> Result<()> {
    sessions(runner, LONG)
}

/// As many as the other tests have time for.
pub(crate) fn short(runner: &mut Runner) -> Result<()> {
    sessions(runner, SHORT)
}

fn sessions(runner: &mut Runner, count: u64) -> Result<()> {
    let pair = Pair::start(&runner.binaries, "differential")?;
    pair.admin(&settings())?;
    runner.check(&format!("differential/MariaDB: {count} sessions are the same through the proxy"), || {
        let (direct, proxied) = pair.places();
        let place = |address| Place { address, user: "app".into(), password: "app".into() };
        let bed = Bed {
            netns: pair.netns(),
            direct: place(direct),
            proxied: place(proxied),
            flavour: Flavour::MariaDb,
        };
        same(&bed, count)
    });
    drop(pair);
    let bench = mysql97::Bench::start(&runner.binaries)?;
    bench.ok(&format!("admin \"{}\"", settings()))?;
    runner.check(&format!("differential/MySQL 9.7: {count} sessions are the same through the proxy"), || {
        let (direct, proxied) = bench.places();
        let place = |address| Place { address, user: "nopw".into(), password: String::new() };
        let bed = Bed {
            netns: bench.netns(),
            direct: place(direct),
            proxied: place(proxied),
            flavour: Flavour::MySql,
        };
        same(&bed, count)
    });
    Ok(())
}

/// Few backend connections, and no schema for whoever asks for none.
fn settings() -> String {
    format!(
        "UPDATE mysql_servers SET max_connections={BACKENDS}; LOAD MYSQL SERVERS TO RUNTIME; \
         UPDATE mysql_users SET default_schema=''; LOAD MYSQL USERS TO RUNTIME; \
         SET mysql-default_schema=''; LOAD MYSQL VARIABLES TO RUNTIME"
    )
}

fn same(bed: &Bed<'_>, count: u64) -> Result<()> {
    let wanted = std::env::var("DIFFERENTIAL_SEED").ok();
    let seeds = match wanted.as_deref().map(str::parse::<u64>) {
        Some(seed) => {
            let seed = seed.context("DIFFERENTIAL_SEED is a number")?;
            seed..seed + 1
        }
        None => 0..count,
    };
    in_namespace(bed, || {
        let tables = (0..CLIENTS).map(|client| {
            format!("CREATE TABLE test.w{client} (id INT AUTO_INCREMENT PRIMARY KEY, a INT) ENGINE=InnoDB")
        });
        connection::run_all(&bed.direct, &tables.chain(ROUTINES.map(str::to_owned)).collect::<Vec<_>>())
    })?;
    let (next, failures) = (AtomicU64::new(seeds.start), Mutex::new(Vec::new()));
    let started = Instant::now();
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (next, failures, end) = (&next, &failures, seeds.end);
            scope.spawn(move || {
                if let Err(error) = bed.netns.enter() {
                    push(failures, format!("{error:#}"));
                    return;
                }
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end || failures.lock().is_ok_and(|list| list.len() >= 3) {
                        return;
                    }
                    if let Err(error) = compare(bed, seed, client) {
                        push(failures, format!("seed {seed}: {error:#}"));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap_or_default();
    println!("        {} sessions in {:.1} s", seeds.end - seeds.start, started.elapsed().as_secs_f64());
    ensure!(failures.is_empty(), "{}", failures.join("\n\n"));
    Ok(())
}

fn push(failures: &Mutex<Vec<String>>, text: String) {
    if let Ok(mut list) = failures.lock() {
        list.push(text);
    }
}

/// A thread of its own goes into the namespace: this one stays where it is.
fn in_namespace(bed: &Bed<'_>, work: impl FnOnce() -> Result<()> + Send) -> Result<()> {
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            bed.netns.enter()?;
            work()
        });
        worker.join().unwrap_or_else(|_| bail!("the set-up panicked"))
    })
}

/// One session, direct and through the proxy.
fn compare(bed: &Bed<'_>, seed: u64, client: usize) -> Result<()> {
    let table = format!("w{client}");
    let script = generate::script(seed, &table, bed.flavour);
    let direct = prepare_and_play(bed, &bed.direct, &script, &table).context("direct")?;
    let proxied = prepare_and_play(bed, &bed.proxied, &script, &table).context("through the proxy")?;
    let Some(at) = (0..direct.len()).find(|&at| direct.get(at) != proxied.get(at)) else { return Ok(()) };
    bail!(
        "{:?}\n{}differs:\n  direct  {:#?}\n  proxied {:#?}",
        script.manner,
        history(&direct[..at]),
        direct[at],
        proxied.get(at),
    )
}

fn history(transcript: &[(String, Vec<String>)]) -> String {
    let line = |(step, lines): &(String, Vec<String>)| {
        let last = lines.last().map_or("", String::as_str);
        format!("  {step} -> {}\n", last.chars().take(120).collect::<String>())
    };
    transcript.iter().map(line).collect()
}

/// Each play begins with the same three rows.
fn prepare_and_play(bed: &Bed<'_>, place: &Place, script: &Script, table: &str) -> Result<Transcript> {
    let fresh = [
        format!("DELETE FROM test.{table}"),
        format!("ALTER TABLE test.{table} AUTO_INCREMENT=1"),
        format!("INSERT INTO test.{table} (a) VALUES (10), (20), (30)"),
    ];
    connection::run_all(&bed.direct, &fresh)?;
    connection::play(place, script)
}
