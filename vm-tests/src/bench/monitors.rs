//! What the monitors of many servers cost: processor time and memory of one proxyd, at default intervals, and whether it keeps them.
//!
//! The servers are one [`Fake`] on many addresses of the loopback network, in pairs of hostgroups of four: one says that it may
//! write, three say that they may not.

use std::collections::HashMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::cpu::{self, Foreign, QUIET};
use super::target::{own_address, owned};
use crate::fake::{Answer, Fake};
use crate::lab::child;
use crate::lab::proxyd::{self, Listeners};
use crate::lab::{teardown, wait};
use crate::section;

const PORT: u16 = 33_060;

/// Prints the table, and writes it into its place in the file if there is one. True if nothing disturbed it.
pub(crate) fn run(binaries: &Path, count: u16, seconds: Option<f64>, file: Option<&Path>) -> Result<bool> {
    let slice = Duration::from_secs_f64(seconds.unwrap_or(30.0));
    let asked = Arc::new(Asked::default());
    let counted = Arc::clone(&asked);
    let script = move |address: SocketAddr, sql: &str| {
        counted.note(address, sql, Instant::now());
        let is_writer = address.port() == PORT && writes(address);
        match sql.contains("read_only") {
            true => Answer::Rows(vec!["read_only"], vec![vec![Some(u8::from(!is_writer).to_string())]]),
            false => Answer::Done,
        }
    };
    let addresses: Vec<SocketAddr> = (0..count).map(address).collect();
    let _fake = Fake::start(None, &addresses, Arc::new(script))?;
    let mut table = String::from(
        "| servers | monitors | CPU, % of a core | memory, MB | checks a second | `read_only` of a server every, ms: median, 99 %, longest |\n\
         |---:|---|---:|---:|---:|---:|\n",
    );
    let mut sound = true;
    for (servers, monitored) in [(0, false), (count, false), (count, true)] {
        let measured = measure(binaries, servers, monitored, slice, &asked)?;
        sound &= measured.foreign < QUIET;
        table += &format!(
            "| {servers} | {} | {:.2} | {:.1} | {:.0} | {} |{}\n",
            if monitored { "on" } else { "off" },
            measured.cpu * 100.0,
            measured.bytes as f64 / 1e6,
            measured.checks,
            measured.gaps,
            if measured.foreign < QUIET { "" } else { " disturbed: do not quote" },
        );
    }
    section::publish("monitors", &table, sound, file)?;
    Ok(sound)
}

struct Measured {
    cpu: f64,
    bytes: u64,
    checks: f64,
    gaps: String,
    foreign: f64,
}

/// What the servers were asked.
#[derive(Debug, Default)]
struct Asked {
    count: AtomicU64,
    gaps: Mutex<Gaps>,
}

/// When each server was last asked for `read_only`, and the times between, in milliseconds.
#[derive(Debug, Default)]
struct Gaps {
    last: HashMap<SocketAddr, Instant>,
    between: Vec<u64>,
}

impl Asked {
    fn gaps(&self) -> MutexGuard<'_, Gaps> {
        self.gaps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An empty statement is no check: a login, or a look whether the server is still there.
    fn note(&self, address: SocketAddr, sql: &str, now: Instant) {
        self.count.fetch_add(u64::from(!sql.is_empty()), Ordering::Relaxed);
        if sql.contains("read_only") {
            let mut gaps = self.gaps();
            if let Some(before) = gaps.last.insert(address, now) {
                gaps.between.push(u64::try_from((now - before).as_millis()).unwrap_or(u64::MAX));
            }
        }
    }

    /// From now on.
    fn begin(&self) -> u64 {
        *self.gaps() = Gaps::default();
        self.count.load(Ordering::Relaxed)
    }

    /// Median, 99th of a hundred and longest; a dash where nobody was asked twice.
    fn spread(&self) -> String {
        let mut between = std::mem::take(&mut self.gaps().between);
        between.sort_unstable();
        let at = |share: usize| between.get((between.len() * share / 100).min(between.len() - 1));
        match (between.is_empty(), between.last()) {
            (false, Some(longest)) => {
                let [median, late] = [50, 99].map(|share| at(share).copied().unwrap_or_default());
                format!("{median}, {late}, {longest}")
            }
            _ => "-".to_owned(),
        }
    }
}

fn measure(
    binaries: &Path,
    servers: u16,
    monitored: bool,
    slice: Duration,
    asked: &Asked,
) -> Result<Measured> {
    let directory = teardown::directory().join(format!("monitors-{servers}-{monitored}"));
    let mut proxy = start(binaries, &directory, servers, monitored)?;
    let outcome = (|| {
        let pid = i32::try_from(proxy.id())?;
        if monitored {
            wait::until("writers where they say", Duration::from_secs(60), || {
                admin("SELECT COUNT(*) FROM runtime_mysql_servers WHERE hostgroup_id % 2 = 0")
                    .is_ok_and(|seen| seen == (servers / 4).to_string())
            })?;
        }
        std::thread::sleep(slice.min(Duration::from_secs(10)));
        let (start, used, before) = (Instant::now(), cpu::of_tree(pid)?, asked.begin());
        let foreign = Foreign::begin(&[pid])?;
        std::thread::sleep(slice);
        let seconds = start.elapsed().as_secs_f64();
        Ok(Measured {
            cpu: (cpu::of_tree(pid)? - used).as_secs_f64() / seconds,
            bytes: cpu::private_bytes(pid)?,
            checks: (asked.count.load(Ordering::Relaxed) - before) as f64 / seconds,
            gaps: asked.spread(),
            foreign: foreign.share(&[pid])?,
        })
    })();
    proxy.kill()?;
    proxy.wait()?;
    outcome
}

/// Of each four servers the first.
fn writes(address: SocketAddr) -> bool {
    matches!(address, SocketAddr::V4(v4) if v4.ip().octets()[3] % 4 == 0)
}

fn address(index: u16) -> SocketAddr {
    let [high, low] = index.to_be_bytes();
    (Ipv4Addr::new(127, 101, high, low), PORT).into()
}

fn start(binaries: &Path, directory: &Path, servers: u16, monitored: bool) -> Result<Child> {
    let mut text = proxyd::head(&Listeners::at(own_address(9)), "", directory);
    text += &format!("[mysql_variables]\nmonitor_enabled = {monitored}\n");
    for index in 0..servers {
        // Each begins as a reader, so that the writers are found by their word.
        text += &format!(
            "[[mysql_servers]]\nhostgroup_id = {}\nhostname = \"{}\"\nport = {PORT}\n",
            index / 4 * 2 + 11,
            address(index).ip(),
        );
    }
    for pair in 0..servers.div_ceil(4) {
        text += &format!(
            "[[mysql_replication_hostgroups]]\nwriter_hostgroup = {}\nreader_hostgroup = {}\n",
            pair * 2 + 10,
            pair * 2 + 11,
        );
    }
    let config = proxyd::lay_out(directory, &text)?;
    let child = owned(child::built(binaries, "standfast-proxyd")?, directory, "proxyd")?
        .arg("--config")
        .arg(&config)
        .args(["--host", proxyd::HOST])
        .spawn()
        .context("start proxyd")?;
    wait::until("proxyd's admin interface", Duration::from_secs(60), || admin("SELECT 1").is_ok())
        .with_context(|| fs::read_to_string(directory.join("proxyd.log")).unwrap_or_default())?;
    Ok(child)
}

/// At the admin interface of the one proxyd that such a bench has.
pub(super) fn admin(sql: &str) -> Result<String> {
    let output = Command::new("mariadb")
        .args(["--no-defaults", "-uadmin", "-padmin", "-N", "-P6032", "-h"])
        .arg(own_address(9).to_string())
        .args(["-e", sql])
        .output()
        .context("mariadb is missing: apt-get install -y --no-install-recommends mariadb-client")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_between_two_looks_is_told_by_server() {
        let asked = Asked::default();
        assert_eq!((asked.begin(), asked.spread()), (0, "-".to_owned()));
        let start = Instant::now();
        for ms in [0, 900, 1900] {
            asked.note(address(1), "SELECT @@global.read_only read_only", start + Duration::from_millis(ms));
            asked.note(address(2), "DO 0", start + Duration::from_millis(ms));
            asked.note(address(2), "", start + Duration::from_millis(ms));
        }
        assert_eq!((asked.spread(), asked.begin()), ("1000, 1000, 1000".to_owned(), 6));
    }

    #[test]
    fn every_fourth_server_writes() {
        let writers = (0..2000).filter(|index| writes(address(*index))).count();
        assert_eq!(writers, 500);
    }
}
