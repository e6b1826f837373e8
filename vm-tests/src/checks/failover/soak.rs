//! Half an hour of everything at once: transactions, prepared statements, large results, TLS, clients that come, go and vanish,
//! while servers are killed, connections reset, sessions killed and configuration loaded again. At the end nothing may have
//! leaked, nothing hangs, and the counters add up.
//!
//! `SOAK_MINUTES` says how long (30 without it), `SOAK_SERVER=mysql` on what.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::bed::{Bed, PROXY};
use super::server::Kind;
use super::teller::Tellers;
use crate::checks::runner::Runner;
use crate::lab::netns::Netns;
use crate::lab::wait;
use crate::mysql::Failure;
use crate::mysql::client::{self, Account, Client};
use crate::mysql97::root::SidRoot;

const MINUTES: u64 = 30;
const SETTINGS: &str = "monitor_read_only_interval = 500\nmonitor_ping_interval = 500\nmonitor_ping_timeout = 300\n\
                        shun_recovery_time_sec = 1\nmax_stmts_per_connection = 20\n";
/// Tellers of each trade, and how long one rests between two turns.
const EACH: usize = 3;
const REST: Duration = Duration::from_millis(25);
/// Clients that come and go.
const WANDERERS: usize = 6;
/// Of the whole time, until memory is looked at for the first time.
const WARM_UP: f64 = 0.2;
/// Memory may be so much more at the end than after the warm-up.
const GROWTH: u64 = 16 << 20;
/// A megabyte of rows, three times.
const WIDE: &str = "CREATE TABLE test.wide (id INT PRIMARY KEY AUTO_INCREMENT, t VARCHAR(1000)); \
    INSERT INTO test.wide (t) SELECT REPEAT('x', 1000) FROM \
    (SELECT 1 FROM information_schema.columns a, information_schema.columns b LIMIT 1000) rows_of";
const LARGE: &str = "SELECT w.*, s.id FROM wide w JOIN seed s";

/// What one moment shows of the proxy.
#[derive(Debug)]
struct Look {
    resident: u64,
    sockets: u64,
    at_backends: u64,
    questions: u64,
    created: u64,
}

pub(crate) fn run(runner: &mut Runner) -> Result<()> {
    let minutes = match std::env::var("SOAK_MINUTES") {
        Ok(text) => text.parse().context("SOAK_MINUTES is a number")?,
        Err(_) => MINUTES,
    };
    let kind = match std::env::var("SOAK_SERVER").as_deref() {
        Ok("mysql") => Kind::MySql(SidRoot::get()?),
        _ => Kind::MariaDb,
    };
    let bed = Bed::start(&runner.binaries, &kind, SETTINGS)?;
    bed.servers[0].query(WIDE)?;
    bed.follow_read_only()?;
    bed.until_writer(0)?;
    let name = format!("soak/{}: {minutes} minutes of mixed load and failures", kind.name());
    runner.check(&name, || soak(bed, Duration::from_secs(minutes * 60)));
    Ok(())
}

fn soak(mut bed: Bed, span: Duration) -> Result<()> {
    let by_cli = commands_of_the_cli(&bed)?;
    let first = look(&bed)?;
    let (dialled, sent) = client::counts();
    let started = Instant::now();
    let tellers = Tellers::start(&bed, EACH, REST)?;
    let wanderers = Wanderers::start(&bed);
    let mut trouble = Trouble { round: 0, tls: 0 };
    let mut warm = None;
    while started.elapsed() < span {
        trouble.make(&mut bed)?;
        tellers.until_all_did(3).with_context(|| format!("{}\n{}", bed.servers_now(), bed.log_tail()))?;
        if warm.is_none() && started.elapsed() > span.mul_f64(WARM_UP) {
            warm = Some(look(&bed)?);
        }
    }
    let at_work = look(&bed)?;
    let cut = wanderers.stop()?;
    let report = tellers.stop()?;
    bed.until_no_client()?;
    // The open question of each connection that was cut may have been read, or not.
    let last = look(&bed)?;
    let (dialled, sent) = (client::counts().0 - dialled, client::counts().1 - sent);
    println!(
        "        {}; {} rounds of trouble; {dialled} connections, {sent} commands",
        report.line(),
        trouble.round
    );
    println!(
        "        at first {first:?}\n        warm {warm:?}\n        at work {at_work:?}\n        last {last:?}"
    );
    for (trade, met) in &report.met {
        ensure!(met.broken.is_empty(), "{}: {:?}", trade.name(), met.broken);
        println!("        {}: {:?}", trade.name(), met.errors);
    }
    report.agrees_with(&bed.servers[0])?;
    let warm = warm.context("no look after the warm-up")?;
    ensure!(
        at_work.resident <= warm.resident + GROWTH,
        "memory grew: {} to {}",
        warm.resident,
        at_work.resident
    );
    let own = first.sockets - first.at_backends;
    ensure!(last.sockets <= own + last.at_backends + 2, "descriptors: {first:?}, {last:?}");
    for server in &bed.servers {
        let prepared = server.query("SHOW GLOBAL STATUS LIKE 'Prepared_stmt_count'")?;
        let prepared: u64 = prepared.split_whitespace().last().context("a count")?.parse()?;
        ensure!(
            prepared <= 20 * last.at_backends,
            "{prepared} statements are prepared at {}",
            server.address
        );
    }
    let created = last.created - first.created;
    ensure!(
        created == dialled + trouble.tls,
        "{created} clients counted of {dialled} and {} over TLS",
        trouble.tls
    );
    let (counted, sent) = (last.questions - first.questions, sent + by_cli * trouble.tls);
    ensure!(
        counted <= sent && counted + cut >= sent,
        "{counted} questions of {sent}, with {cut} connections cut"
    );
    ensure!(
        bed.global("Session_panics")? == 0 && !bed.log().contains("ended by a bug"),
        "a session panicked"
    );
    Ok(())
}

fn look(bed: &Bed) -> Result<Look> {
    let is_socket = |entry: &std::fs::DirEntry| {
        std::fs::read_link(entry.path()).is_ok_and(|to| to.to_string_lossy().starts_with("socket:"))
    };
    let sockets =
        std::fs::read_dir(format!("/proc/{}/fd", bed.proxy_pid()))?.flatten().filter(is_socket).count();
    Ok(Look {
        resident: bed.resident()?,
        sockets: sockets as u64,
        at_backends: bed.global("Server_Connections_connected")?,
        questions: bed.global("Questions")?,
        created: bed.global("Client_Connections_created")?,
    })
}

/// A client under TLS: the command line's own.
fn over_tls(bed: &Bed) -> Result<bool> {
    let script = format!(
        "mariadb --no-defaults --ssl -h {PROXY} -P 6033 -uapp -papp test -N -e \"SHOW STATUS LIKE 'Ssl_version'; SELECT COUNT(*) FROM seed\""
    );
    bed.bash("tls", &script, Duration::from_secs(30)).map(|output| output.success)
}

/// How many commands it sends.
fn commands_of_the_cli(bed: &Bed) -> Result<u64> {
    let before = bed.global("Questions")?;
    ensure!(over_tls(bed)?, "the client over TLS failed");
    let mut commands = 0;
    wait::until("the client's good-bye", Duration::from_secs(30), || {
        commands = bed.global("Questions").unwrap_or(before) - before;
        bed.global("Client_Connections_connected").is_ok_and(|count| count == 0) && commands > 2
    })?;
    Ok(commands)
}

/// Everything that goes wrong, one thing after the other.
struct Trouble {
    round: usize,
    /// Clients over TLS so far.
    tls: u64,
}

impl Trouble {
    fn make(&mut self, bed: &mut Bed) -> Result<()> {
        self.round += 1;
        let server = self.round / 10 % 2;
        match self.round % 10 {
            0 => {
                bed.servers[server].kill()?;
                std::thread::sleep(Duration::from_millis(700));
                bed.servers[server].restart(server == 1)?;
                if server == 1 {
                    bed.servers[server].start_replica()?;
                }
            }
            1 => drop(bed.reset_connections(server)),
            2 | 7 => kill_some(bed, "CONNECTION")?,
            3 => kill_some(bed, "QUERY")?,
            4 => drop(bed.admin("LOAD MYSQL SERVERS TO RUNTIME; LOAD MYSQL USERS TO RUNTIME")?),
            5 => drop(bed.admin("LOAD MYSQL QUERY RULES TO RUNTIME; LOAD MYSQL VARIABLES TO RUNTIME")?),
            6 => drop(bed.admin(
                "SELECT COUNT(*) FROM stats_mysql_query_digest; SELECT * FROM stats_mysql_processlist",
            )?),
            _ => {
                self.tls += 1;
                // While a server is away it may be told so.
                over_tls(bed)?;
            }
        }
        std::thread::sleep(Duration::from_millis(400));
        Ok(())
    }
}

/// Kills what wanderers do, or are.
fn kill_some(bed: &Bed, what: &str) -> Result<()> {
    let ids = bed
        .admin("SELECT SessionID FROM stats_mysql_processlist WHERE user='few' ORDER BY RANDOM() LIMIT 2")?;
    for id in ids.lines() {
        // One that is gone by now is as good.
        let _ = bed.admin(&format!("KILL {what} {id}"));
    }
    Ok(())
}

/// Clients that come and go, politely or not.
struct Wanderers {
    stop: Arc<AtomicBool>,
    /// Connections that ended without a good-bye that was read.
    cut: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Result<()>>>,
}

impl Wanderers {
    fn start(bed: &Bed) -> Self {
        let (stop, cut) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let threads = (0..WANDERERS)
            .map(|number| {
                let (stop, cut) = (stop.clone(), cut.clone());
                let (netns, account) = (bed.netns.clone(), bed.account("few"));
                std::thread::spawn(move || wander(number, &netns, &account, &stop, &cut))
            })
            .collect();
        Self { stop, cut, threads }
    }

    fn stop(self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().map_err(|_| anyhow::anyhow!("a wanderer panicked"))??;
        }
        Ok(self.cut.load(Ordering::Relaxed))
    }
}

fn wander(number: usize, netns: &Netns, account: &Account, stop: &AtomicBool, cut: &AtomicU64) -> Result<()> {
    netns.enter()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut turn = number;
        while !stop.load(Ordering::Relaxed) {
            turn += 1;
            let visit = tokio::time::timeout(Duration::from_secs(60), visit(account, turn)).await;
            match visit.unwrap_or(Err(Failure::TimedOut("a visit"))) {
                Ok(true) => {}
                Ok(false) | Err(Failure::Lost(_) | Failure::Network(_)) => {
                    cut.fetch_add(1, Ordering::Relaxed);
                }
                Err(failure @ (Failure::Protocol(_) | Failure::TimedOut(_))) => {
                    anyhow::bail!("turn {turn}: {failure}")
                }
                Err(Failure::Refused | Failure::Server { .. }) => {
                    cut.fetch_add(1, Ordering::Relaxed);
                }
            }
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
        Ok(())
    })
}

/// One connection's life; true if its good-bye was heard.
async fn visit(account: &Account, turn: usize) -> Result<bool, Failure> {
    let mut client = Client::connect(account).await?;
    match turn % 8 {
        0 => {
            for _ in 0..5 {
                client.query("SELECT COUNT(*) FROM seed").await?;
            }
        }
        1 => {
            let statement = client
                .prepare(&format!("SELECT CAST(id AS CHAR) FROM seed WHERE id > ? + {}", turn % 50))
                .await?;
            client.execute(statement, &[0]).await?;
            return Ok(false);
        }
        2 => {
            client.query("BEGIN").await?;
            client.query(&format!("INSERT INTO ledger VALUES (-1, {turn}, 'never')")).await?;
            return Ok(false);
        }
        3 => drop(client.drain(LARGE).await?),
        4 => {
            // Leaves in the middle of a large answer.
            client.ask(LARGE).await?;
            return Ok(false);
        }
        5 => {
            client.query("SELECT COUNT(*) FROM seed").await?;
            tokio::time::sleep(Duration::from_millis(1_500)).await;
            client.query("SELECT COUNT(*) FROM seed").await?;
        }
        6 => drop(client.query("SELECT SLEEP(1)").await?),
        _ => {
            client.query("SET @mine=7, sql_mode='ANSI'").await?;
            client.query("CREATE TEMPORARY TABLE own (a INT)").await?;
            client.query("INSERT INTO own VALUES (1), (2)").await?;
            let rows = client.query("SELECT COUNT(*), @mine FROM own").await?;
            if rows != [[Some("2".to_owned()), Some("7".to_owned())]] {
                return Err(Failure::Protocol("a session that is not as it was left"));
            }
        }
    }
    client.leave().await.map(|()| true)
}
