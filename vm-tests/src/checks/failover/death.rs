//! Unplanned deaths under load, and what each may cost a client: reads and idle sessions nothing; a write with autocommit one
//! error, as nobody knows whether it was done; a transaction one error that says to run it again. No client loses its connection.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use super::bed::Bed;
use super::server::Kind;
use super::teller::{PAUSE, Report, Tellers, Trade};
use crate::checks::runner::Runner;
use crate::lab::wait;
use crate::mysql97::root::SidRoot;

/// The monitor looks often, so that a test does not wait for it.
const SETTINGS: &str = "monitor_read_only_interval = 200\nmonitor_ping_interval = 200\nmonitor_ping_timeout = 200\n\
                        monitor_read_only_timeout = 200\nshun_recovery_time_sec = 1\n";
/// Tellers of each trade.
const EACH: usize = 4;

/// The retriable error of a broken transaction.
const RETRY: u16 = 1213;
/// The connection to the server was lost; nobody knows whether the statement was done.
const LOST: u16 = 2013;

type Act = fn(&mut Bed) -> Result<()>;

#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    act: Act,
    /// After it both servers are as they were.
    heal: Act,
    /// Statements may wait for the servers no longer than this.
    slowest: Duration,
    /// Whether clients' errors may be the case's fault at all.
    costs: bool,
}

/// Cases after which the bed is as before; then the two that end it.
const CASES: [Case; 4] = [
    Case {
        name: "replica killed",
        act: |bed| bed.servers[1].kill(),
        heal: |bed| bed.servers[1].restart(true).and_then(|()| bed.servers[1].start_replica()),
        slowest: Duration::from_secs(8),
        costs: false,
    },
    Case {
        name: "replica frozen",
        act: |bed| bed.servers[1].signal(Signal::SIGSTOP),
        heal: |bed| bed.servers[1].signal(Signal::SIGCONT),
        slowest: Duration::from_secs(9),
        costs: false,
    },
    Case {
        name: "connections reset, writer's first",
        act: |bed| bed.reset_connections(0),
        heal: |bed| bed.reset_connections(1),
        slowest: Duration::from_secs(8),
        costs: true,
    },
    Case {
        name: "writer killed, comes back",
        act: |bed| bed.servers[0].kill(),
        heal: |bed| bed.servers[0].restart(false),
        slowest: Duration::from_secs(20),
        costs: true,
    },
];

const KILLED: Case = Case {
    name: "writer killed, replica promoted",
    act: |bed| bed.servers[0].kill(),
    heal: |bed| bed.servers[1].promote(),
    slowest: Duration::from_secs(10),
    costs: true,
};

const FROZEN: Case = Case {
    name: "writer frozen, replica promoted",
    act: |bed| bed.servers[0].signal(Signal::SIGSTOP),
    heal: |bed| bed.servers[1].promote(),
    slowest: Duration::from_secs(12),
    costs: true,
};

pub(crate) fn run(runner: &mut Runner) -> Result<()> {
    for kind in [Kind::MariaDb, Kind::MySql(SidRoot::get()?)] {
        on(runner, "deaths", &kind, &[&CASES[..], &[KILLED]].concat())?;
        on(runner, "deaths", &kind, &[FROZEN])?;
    }
    Ok(())
}

/// A few of them, on one server.
pub(crate) fn short(runner: &mut Runner) -> Result<()> {
    on(runner, "death", &Kind::MariaDb, &[CASES[1], CASES[2], KILLED])
}

fn on(runner: &mut Runner, group: &str, kind: &Kind, cases: &[Case]) -> Result<()> {
    let name = kind.name();
    if !runner.wants(&format!("{group}/{name}")) {
        return Ok(());
    }
    let mut bed = Bed::start(&runner.binaries, kind, SETTINGS)?;
    bed.follow_read_only()?;
    let mut table = format!(
        "{:<34} {:>12} {:>12} {:>12} {:>12}  {}\n",
        name, "reads", "writes", "transactions", "idle", "slowest; words"
    );
    for case in cases {
        runner.check(&format!("{group}/{name}: {}", case.name), || {
            let report = case.play(&mut bed)?;
            row(&mut table, case.name, &report);
            case.judge(&report)
        });
    }
    runner.check(&format!("{group}/{name}: without any writer, error 9001 says why"), || says_why(&mut bed));
    println!("{table}");
    Ok(())
}

fn row(table: &mut String, name: &str, report: &Report) {
    let cell = |trade: Trade| {
        let met = report.of(trade);
        format!("{}+{}/{}", met.count(), met.broken.len(), met.statements)
    };
    let slowest = report.met.values().map(|met| met.slowest).max().unwrap_or_default();
    let words: Vec<String> = report
        .met
        .values()
        .flat_map(|met| {
            met.errors.iter().map(|(text, count)| format!("{count} × {text}")).chain(met.broken.clone())
        })
        .collect();
    let [reads, writes, transactions, idle] = Trade::ALL.map(cell);
    // Writing to a String cannot fail.
    let _ = writeln!(
        table,
        "{name:<34} {reads:>12} {writes:>12} {transactions:>12} {idle:>12}  {} ms; {}",
        slowest.as_millis(),
        words.join("; ")
    );
}

impl Case {
    fn play(&self, bed: &mut Bed) -> Result<Report> {
        let tellers = Tellers::start(bed, EACH, PAUSE)?;
        tellers.until_all_did(20)?;
        (self.act)(bed)?;
        std::thread::sleep(Duration::from_millis(1_000));
        (self.heal)(bed)?;
        tellers.until_all_did(20).with_context(|| bed.servers_now())?;
        tellers.stop()
    }

    fn judge(&self, report: &Report) -> Result<()> {
        for (trade, met) in &report.met {
            let name = trade.name();
            ensure!(met.broken.is_empty(), "{name} lost connections: {:?}", met.broken);
            let allowed: &[u16] = match trade {
                Trade::Reads | Trade::Idle => &[],
                Trade::Writes if self.costs => &[LOST],
                // An answer to COMMIT that was lost says nothing of what became of it.
                Trade::Transactions if self.costs => &[RETRY, LOST],
                Trade::Writes | Trade::Transactions => &[],
            };
            ensure!(met.codes().iter().all(|code| allowed.contains(code)), "{name}: {:?}", met.errors);
            ensure!(met.most <= 1, "{name}: one client met {} errors: {:?}", met.most, met.errors);
            ensure!(met.slowest <= self.slowest, "{name}: a statement took {:?}", met.slowest);
        }
        Ok(())
    }
}

/// What a client is told when no writer has come in time.
fn says_why(bed: &mut Bed) -> Result<()> {
    let [first, second] = &mut bed.servers;
    // Whoever is left; the one that is frozen or dead already stays so.
    first.kill()?;
    second.kill()?;
    bed.admin("SET mysql-connect_timeout_server_max=2000; LOAD MYSQL VARIABLES TO RUNTIME")?;
    let script =
        "mariadb --no-defaults -h 127.0.44.9 -P 6033 -uapp -papp test -e 'DELETE FROM seed WHERE id=9'";
    let mut told = String::new();
    wait::until("an error that names the reason", Duration::from_secs(60), || {
        told =
            bed.bash("why", script, Duration::from_secs(30)).map(|output| output.stderr).unwrap_or_default();
        told.contains("9001") && told.contains(":3306 SHUNNED") && told.contains("Connection refused")
    })
    .with_context(|| told.clone())
    .map(drop)
}
