//! How soon a proxyd that starts again serves: from its start to the greeting and the first answer of a client that is there
//! already, and until the admin interface has all its tables.
//!
//! The server behind it is a [`Fake`]. What the lab itself needs to start a program is in the figures.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};

use super::cpu::{self, Foreign, QUIET};
use super::monitors::admin;
use super::target::{own_address, owned};
use crate::checks::shell;
use crate::fake::{Answer, Fake};
use crate::lab::child::{self, Owned};
use crate::lab::proxyd::{self, Listeners};
use crate::lab::{teardown, wait};
use crate::mysql::Client;
use crate::mysql::client::{Account, Failure};
use crate::section;

/// A start takes no longer, whatever else the machine does.
const LIMIT: Duration = Duration::from_secs(120);

/// Prints the table, and writes it into its place in the file if there is one. True if nothing disturbed it.
pub(crate) fn run(binaries: &Path, rounds: usize, file: Option<&Path>) -> Result<bool> {
    let script = |_: SocketAddr, sql: &str| match sql.starts_with("SELECT 1") {
        true => Answer::Rows(vec!["1"], vec![vec![Some("1".into())]]),
        false => Answer::Done,
    };
    let _fake = Fake::start(None, &[server()], Arc::new(script))?;
    let mut table = String::from(
        "| users | rows of fast routing | greeting, ms | first answer, ms | tables complete, ms | CPU until then, s |\n\
         |---:|---:|---:|---:|---:|---:|\n",
    );
    let mut sound = true;
    for (users, routes) in [(1, 0), (1_000_000, 100_000)] {
        let bed = Bed::fill(binaries, users, routes)?;
        let starts = (0..rounds.max(1)).map(|_| bed.start()).collect::<Result<Vec<_>>>()?;
        let is_quiet = starts.iter().all(|start| start.foreign < QUIET);
        sound &= is_quiet;
        let spread = |of: fn(&Start) -> Duration| spread(starts.iter().map(of).collect());
        table += &format!(
            "| {users} | {routes} | {} | {} | {} | {:.2} |{}\n",
            spread(|start| start.greeting),
            spread(|start| start.answer),
            spread(|start| start.complete),
            starts.iter().map(|start| start.cpu.as_secs_f64()).sum::<f64>() / starts.len() as f64,
            if is_quiet { "" } else { " disturbed: do not quote" },
        );
    }
    section::publish("starts", &table, sound, file)?;
    Ok(sound)
}

/// One start, each time from its beginning.
struct Start {
    greeting: Duration,
    answer: Duration,
    complete: Duration,
    cpu: Duration,
    foreign: f64,
}

/// A proxyd's directory with a database in it.
struct Bed {
    program: PathBuf,
    directory: PathBuf,
    config: PathBuf,
    users: u32,
}

impl Bed {
    fn fill(binaries: &Path, users: u32, routes: u32) -> Result<Bed> {
        let directory = teardown::directory().join(format!("starts-{users}"));
        let mut text = proxyd::head(&Listeners::at(own_address(9)), "", &directory);
        text += &format!(
            "[mysql_variables]\nmonitor_enabled = false\n\
             [[mysql_servers]]\nhostgroup_id = 1\nhostname = \"{}\"\nport = {}\n",
            server().ip(),
            server().port(),
        );
        let config = proxyd::lay_out(&directory, &text)?;
        let program = child::built(binaries, "standfast-proxyd")?;
        let bed = Bed { program, directory, config, users };
        let _proxy = bed.spawn()?;
        wait::until("proxyd's admin interface", LIMIT, || admin("SELECT 1").is_ok())
            .with_context(|| fs::read_to_string(bed.directory.join("proxyd.log")).unwrap_or_default())?;
        for numbers in shell::numbers(users) {
            admin(&format!(
                "INSERT INTO mysql_users (username, password, default_hostgroup) {numbers} \
                 SELECT printf('user%07d', i), printf('secret-%08d', i), 1 FROM n"
            ))?;
        }
        for numbers in shell::numbers(routes) {
            admin(&format!(
                "INSERT INTO mysql_query_rules_fast_routing {numbers} \
                 SELECT printf('user%07d', i), 'shop', 0, 1, '' FROM n"
            ))?;
        }
        admin("SAVE MYSQL USERS TO DISK; SAVE MYSQL QUERY RULES TO DISK")?;
        Ok(bed)
    }

    fn spawn(&self) -> Result<Owned> {
        let mut command = owned(&self.program, &self.directory, "proxyd")?;
        command.arg("--config").arg(&self.config).args(["--host", proxyd::HOST]);
        command.spawn().map(Owned).context("start proxyd")
    }

    /// Starts a proxy and ends it once it has its tables.
    fn start(&self) -> Result<Start> {
        let account = Account {
            address: (own_address(9), 6033).into(),
            user: format!("user{:07}", self.users),
            password: format!("secret-{:08}", self.users),
            database: None,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let began = Instant::now();
        let proxy = self.spawn()?;
        let pid = proxy.pid();
        let others = Foreign::begin(&[pid])?;
        let first = async { tokio::time::timeout(LIMIT, first_client(&account, began)).await };
        let (greeting, answer) =
            runtime.block_on(first)?.map_err(|failure| anyhow!("the first client: {failure}"))?;
        let count = admin("SELECT COUNT(*) FROM runtime_mysql_users")?;
        let complete = began.elapsed();
        ensure!(count == self.users.to_string(), "{count} users at runtime instead of {}", self.users);
        Ok(Start { greeting, answer, complete, cpu: cpu::of_process(pid)?, foreign: others.share(&[pid])? })
    }
}

/// When the greeting and the answer came to a client who was there before the listener.
async fn first_client(account: &Account, began: Instant) -> Result<(Duration, Duration), Failure> {
    let stream = loop {
        match Client::dial(account).await {
            Err(Failure::Refused) => tokio::time::sleep(Duration::from_millis(1)).await,
            dialled => break dialled?,
        }
    };
    stream.peek(&mut [0]).await.map_err(|error| Failure::Network(error.kind()))?;
    let greeting = began.elapsed();
    let mut client = Client::log_in(stream, account).await?;
    client.query("SELECT 1").await?;
    Ok((greeting, began.elapsed()))
}

/// Median and longest, in milliseconds.
fn spread(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let ms = |time: Option<&Duration>| time.map_or(0.0, |time| time.as_secs_f64() * 1e3);
    format!("{:.0}, longest {:.0}", ms(times.get(times.len() / 2)), ms(times.last()))
}

fn server() -> SocketAddr {
    (own_address(8), 3306).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_the_median_and_the_longest() {
        let times = [30, 10, 20, 90, 25].map(Duration::from_millis);
        assert_eq!(spread(times.to_vec()), "25, longest 90");
        assert_eq!(spread(Vec::new()), "0, longest 0");
    }
}
