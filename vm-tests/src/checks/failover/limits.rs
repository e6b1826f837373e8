//! What clients may not do to the proxy or to the servers: eat its memory, exceed a limit by even one, hold what they do not use,
//! wait for a silent server after they have gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;

use super::bed::Bed;
use super::server::Kind;
use crate::checks::runner::Runner;
use crate::checks::shell;
use crate::lab::wait;
use crate::mysql::Failure;
use crate::mysql::client::{Account, Client};

/// No monitor has an opinion on what these checks do to the servers.
const SETTINGS: &str = "monitor_enabled = false\n";
const TABLES: &str = "CREATE TABLE test.wide (id INT PRIMARY KEY AUTO_INCREMENT, t VARCHAR(1000)); \
    INSERT INTO test.wide (t) SELECT REPEAT('x', 1000) FROM \
    (SELECT 1 FROM information_schema.columns a, information_schema.columns b LIMIT 1000) rows_of; \
    CREATE TABLE test.times (id INT PRIMARY KEY AUTO_INCREMENT); \
    INSERT INTO test.times SELECT NULL FROM \
    (SELECT 1 FROM information_schema.columns a, information_schema.columns b LIMIT 2200) rows_of";
/// More memory than this no answer may cost, however long it is.
const BOUND: u64 = 64 << 20;
/// Whoever is to end something has this long: half of what a silent server is waited for.
const SOON: Duration = Duration::from_secs(10);

pub(crate) fn short(runner: &mut Runner) -> Result<()> {
    on(runner, "limits", 200)
}

/// With two gigabytes for the slow reader.
pub(crate) fn long(runner: &mut Runner) -> Result<()> {
    on(runner, "large", 2_100)
}

fn on(runner: &mut Runner, group: &str, megabytes: u64) -> Result<()> {
    let bed = Bed::start(&runner.binaries, &Kind::MariaDb, SETTINGS)?;
    bed.servers[0].query(TABLES)?;
    bed.servers[1].catch_up_with(&bed.servers[0])?;
    let mut check = |name: &str, body: fn(&Bed) -> Result<()>| {
        runner.check(&format!("{group}/{name}"), || body(&bed));
    };
    check("many slow readers cost a bounded memory", many_slow_readers);
    check("a packet over max_allowed_packet gets MySQL's error", too_large_a_packet);
    check("long packets of many clients at once cost a bounded memory", long_packets);
    check("max_connections of the proxy, of a user and of a server hold in a storm", storms);
    check("an answer is not faster than it may be", throttled);
    check("transactions end when they rest or last too long, sessions when they rest", overstayed);
    check("waiting for a silent server ends when the client leaves or is killed", silent_server);
    runner.check(&format!("{group}/{megabytes} MB to a slow reader stay under 64 MiB"), || {
        slow_reader(&bed, megabytes)
    });
    Ok(())
}

/// Runs a client's part inside the namespace.
fn client<T: Send + 'static, F: Future<Output = Result<T>>>(
    bed: &Bed,
    part: impl FnOnce(Account) -> F + Send + 'static,
) -> Result<T> {
    let account = bed.account("app");
    shell::inside(&bed.netns, move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let part = tokio::time::timeout(Duration::from_secs(300), part(account));
            part.await.context("the client took too long")?
        })
    })
}

fn failed(failure: Failure) -> anyhow::Error {
    anyhow::anyhow!("{failure}")
}

/// The most that the proxy needs while something runs, over what it needed before.
fn growth_during<T>(bed: &Bed, work: impl FnOnce() -> Result<T>) -> Result<(u64, T)> {
    let before = bed.resident()?;
    let (stop, most) = (AtomicBool::new(false), AtomicU64::new(before));
    let done = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                most.fetch_max(bed.resident().unwrap_or(0), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        let done = work();
        stop.store(true, Ordering::Relaxed);
        done
    })?;
    Ok((most.load(Ordering::Relaxed) - before, done))
}

fn slow_reader(bed: &Bed, megabytes: u64) -> Result<()> {
    let sql = format!("SELECT w.t FROM wide w JOIN times m ON m.id <= {megabytes}");
    let (grown, bytes) = growth_during(bed, || {
        client(bed, move |account| async move {
            let mut client = Client::connect(&account).await.map_err(failed)?;
            client.ask(&sql).await.map_err(failed)?;
            tokio::time::sleep(Duration::from_secs(2)).await;
            client.rest().await.map_err(failed)
        })
    })?;
    println!("        {} MB, {} KiB more", bytes >> 20, grown >> 10);
    ensure!(bytes > megabytes * 1_000_000, "only {bytes} bytes came");
    ensure!(grown <= BOUND, "{} MiB more", grown >> 20);
    Ok(())
}

fn many_slow_readers(bed: &Bed) -> Result<()> {
    for (readers, sql) in
        [(60, "SELECT w.t FROM wide w JOIN times m ON m.id <= 20"), (12, "SELECT REPEAT('x', 8000000)")]
    {
        let (grown, ()) = growth_during(bed, || {
            client(bed, move |account| async move {
                let mut held = Vec::new();
                for _ in 0..readers {
                    let mut client = Client::connect(&account).await.map_err(failed)?;
                    client.ask(sql).await.map_err(failed)?;
                    held.push(client);
                }
                tokio::time::sleep(Duration::from_millis(300)).await;
                Ok(())
            })
        })?;
        println!("        {readers} readers: {} KiB more", grown >> 10);
        ensure!(grown <= BOUND, "{readers} readers of {sql}: {} MiB more", grown >> 20);
    }
    Ok(())
}

/// 24 clients send 8 MB each at once and rest before the last bytes; the proxy has 32 MiB for them, and one packet more in
/// each of two workers. All are answered. The bound is twice that: the allocator does not give back at once.
fn long_packets(bed: &Bed) -> Result<()> {
    const CLIENTS: usize = 24;
    const LENGTH: usize = 8_000_000;
    let (grown, ()) = growth_during(bed, || {
        client(bed, |account| async move {
            let mut running = tokio::task::JoinSet::new();
            for _ in 0..CLIENTS {
                let mut client = Client::connect(&account).await.map_err(failed)?;
                running.spawn(async move {
                    let sql = format!("DO LENGTH('{}')", "x".repeat(LENGTH));
                    client.query_with_a_rest(&sql, Duration::from_secs(1)).await.map_err(failed)
                });
            }
            while let Some(answered) = running.join_next().await {
                answered??;
            }
            Ok(())
        })
    })?;
    println!("        {} MB in long packets: {} KiB more", (CLIENTS * LENGTH) >> 20, grown >> 10);
    ensure!(grown <= 96 << 20, "{} MiB more", grown >> 20);
    let held = "SELECT Variable_Value FROM stats_memory_metrics WHERE Variable_Name='packet_memory'";
    wait::until("no byte of a packet held", SOON, || bed.number(held).is_ok_and(|bytes| bytes == 0)).map(drop)
}

fn too_large_a_packet(bed: &Bed) -> Result<()> {
    bed.set_variable("max_allowed_packet", 1 << 20)?;
    let told = client(bed, |account| async move {
        let mut client = Client::connect(&account).await.map_err(failed)?;
        client.query(&format!("SELECT LENGTH('{}')", "x".repeat(900_000))).await.map_err(failed)?;
        Ok(client.query(&format!("SELECT LENGTH('{}')", "x".repeat(1_100_000))).await)
    })?;
    bed.set_variable("max_allowed_packet", 64 << 20)?;
    match told {
        Err(Failure::Server { code: 1153, .. }) => Ok(()),
        other => bail!("the client was told {other:?}"),
    }
}

/// So many clients at once; how many got in, and what the others were told.
fn storm(bed: &Bed, user: &str, clients: usize) -> Result<(usize, Vec<u16>)> {
    let account = bed.account(user);
    client(bed, move |_| async move {
        let attempts: Vec<_> = (0..clients)
            .map(|_| {
                let account = account.clone();
                async move { Client::connect(&account).await }
            })
            .collect();
        let mut running = tokio::task::JoinSet::new();
        attempts.into_iter().for_each(|attempt| drop(running.spawn(attempt)));
        let (mut inside, mut told) = (Vec::new(), Vec::new());
        while let Some(outcome) = running.join_next().await {
            match outcome? {
                Ok(client) => inside.push(client),
                Err(Failure::Server { code, .. }) => told.push(code),
                Err(other) => bail!("a client met {other}"),
            }
        }
        Ok((inside.len(), told))
    })
}

fn storms(bed: &Bed) -> Result<()> {
    bed.set_variable("max_connections", 40)?;
    let (inside, told) = storm(bed, "app", 200)?;
    ensure!(inside == 40 && told.iter().all(|code| *code == 1040), "{inside} got in; the others: {told:?}");
    bed.set_variable("max_connections", 1_000)?;
    bed.until_no_client()?;
    bed.admin("UPDATE mysql_users SET max_connections=7 WHERE username='few'; LOAD MYSQL USERS TO RUNTIME")?;
    let (inside, told) = storm(bed, "few", 100)?;
    ensure!(inside == 7 && told.iter().all(|code| *code == 1226), "{inside} got in; the others: {told:?}");
    bed.until_no_client()?;
    bed.admin("UPDATE mysql_servers SET max_connections=5; LOAD MYSQL SERVERS TO RUNTIME")?;
    let held = server_is_never_over(bed);
    bed.admin("UPDATE mysql_servers SET max_connections=1000; LOAD MYSQL SERVERS TO RUNTIME")?;
    held
}

/// Sixty clients with transactions, and a server that takes five: it never sees a sixth connection, and all are served.
fn server_is_never_over(bed: &Bed) -> Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    let most = std::thread::scope(|scope| -> Result<u64> {
        let watcher = scope.spawn(|| -> Result<u64> {
            let mut most = 0;
            while !stop.load(Ordering::Relaxed) {
                let count = bed.servers[0]
                    .query("SELECT COUNT(*) FROM information_schema.processlist WHERE user='app'")?;
                most = most.max(count.parse()?);
            }
            Ok(most)
        });
        let served = client(bed, |account| async move {
            let mut running = tokio::task::JoinSet::new();
            for number in 0..60 {
                let account = account.clone();
                running.spawn(async move {
                    let mut client = Client::connect(&account).await?;
                    for _ in 0..3 {
                        client.query("BEGIN").await?;
                        client.query(&format!("SELECT id FROM seed WHERE id={number} FOR UPDATE")).await?;
                        client.query("COMMIT").await?;
                    }
                    Ok::<_, Failure>(client)
                });
            }
            while let Some(outcome) = running.join_next().await {
                outcome?.map_err(failed)?;
            }
            Ok(())
        });
        stop.store(true, Ordering::Relaxed);
        let most = watcher.join().map_err(|_| anyhow::anyhow!("the watcher panicked"))?;
        served?;
        most
    })?;
    // Both hostgroups have the server: five each.
    ensure!((1..=10).contains(&most), "the server had {most} connections");
    let over = "SELECT COUNT(*) FROM stats_mysql_connection_pool WHERE ConnUsed + ConnFree > 5";
    ensure!(bed.number(over)? == 0, "a pool has more than five");
    Ok(())
}

fn throttled(bed: &Bed) -> Result<()> {
    bed.set_variable("throttle_max_bytes_per_second_to_client", 500_000)?;
    let took = client(bed, |account| async move {
        let mut client = Client::connect(&account).await.map_err(failed)?;
        let start = Instant::now();
        client.drain("SELECT t FROM wide").await.map_err(failed)?;
        Ok(start.elapsed())
    });
    bed.set_variable("throttle_max_bytes_per_second_to_client", 0)?;
    let took = took?;
    ensure!(took > Duration::from_millis(1_800), "a megabyte took {took:?} at 500 kB/s");
    Ok(())
}

/// How long a session lasts, up to a limit, that begins a transaction, or not, and then does something now and then.
fn lasts(bed: &Bed, first: &'static str, pause: Duration, limit: Duration) -> Result<Duration> {
    client(bed, move |account| async move {
        let mut client = Client::connect(&account).await.map_err(failed)?;
        client.query(first).await.map_err(failed)?;
        let start = Instant::now();
        while start.elapsed() < limit {
            tokio::time::sleep(pause).await;
            if client.query("SELECT COUNT(*) FROM seed").await.is_err() {
                break;
            }
        }
        Ok(start.elapsed())
    })
}

fn overstayed(bed: &Bed) -> Result<()> {
    let second = Duration::from_millis(1_000);
    for (variable, first, pause) in [
        ("max_transaction_idle_time", "BEGIN", second * 2),
        ("max_transaction_time", "BEGIN", second / 10),
        ("wait_timeout", "DO 1", second * 2),
    ] {
        let before = bed.number(&format!(
            "SELECT variable_value FROM global_variables WHERE variable_name='mysql-{variable}'"
        ))?;
        bed.set_variable(variable, 1_000)?;
        let lasted = lasts(bed, first, pause, second * 20);
        bed.set_variable(variable, before)?;
        ensure!(lasted? < second * 20, "{variable}: the session was not ended");
    }
    // None of them ends a session that only works.
    let lasted = lasts(bed, "DO 1", second / 10, second * 4)?;
    ensure!(lasted >= second * 4, "a session at work was ended after {lasted:?}");
    Ok(())
}

fn silent_server(bed: &Bed) -> Result<()> {
    bed.set_variable("connect_timeout_server", 20_000)?;
    bed.set_variable("connect_timeout_server_max", 30_000)?;
    // Nobody else's idle connection is to be had.
    bed.admin("UPDATE mysql_servers SET status='OFFLINE_HARD'; LOAD MYSQL SERVERS TO RUNTIME; \
               UPDATE mysql_servers SET status='ONLINE' WHERE hostgroup_id=2 OR hostname='127.0.44.1'; LOAD MYSQL SERVERS TO RUNTIME")?;
    bed.servers[0].signal(Signal::SIGSTOP)?;
    let ended = ends_early(bed);
    bed.servers[0].signal(Signal::SIGCONT)?;
    bed.set_variable("connect_timeout_server", 1_000)?;
    bed.set_variable("connect_timeout_server_max", 10_000)?;
    ended
}

fn ends_early(bed: &Bed) -> Result<()> {
    let write = "DELETE FROM seed WHERE id=99";
    // A client that leaves.
    client(bed, move |account| async move {
        let mut client = Client::connect(&account).await.map_err(failed)?;
        let waited = tokio::time::timeout(Duration::from_millis(500), client.query(write)).await;
        ensure!(waited.is_err(), "a frozen server answered");
        Ok(())
    })?;
    wait::until("the end of a session whose client has left", SOON, || {
        bed.number("SELECT COUNT(*) FROM stats_mysql_processlist").is_ok_and(|count| count == 0)
    })?;
    for (what, code) in [("QUERY", Some(1317)), ("CONNECTION", None)] {
        let told = std::thread::scope(|scope| {
            let told = scope.spawn(|| {
                client(bed, move |account| async move {
                    let mut client = Client::connect(&account).await.map_err(failed)?;
                    Ok(client.query(write).await)
                })
            });
            let mut id = String::new();
            wait::until("a waiting session", SOON, || {
                id = bed
                    .admin("SELECT SessionID FROM stats_mysql_processlist WHERE command='Query'")
                    .unwrap_or_default();
                !id.is_empty()
            })?;
            let start = Instant::now();
            bed.admin(&format!("KILL {what} {id}"))?;
            let told = told.join().map_err(|_| anyhow::anyhow!("the client panicked"))??;
            ensure!(start.elapsed() < SOON, "KILL {what} took {:?}", start.elapsed());
            Ok(told)
        })?;
        let got = match &told {
            Err(Failure::Server { code, .. }) => Some(*code),
            Err(Failure::Lost(_)) => None,
            other => bail!("KILL {what}: {other:?}"),
        };
        ensure!(got == code, "KILL {what}: {told:?}");
    }
    Ok(())
}
