//! One proxyd of a bench, set up as a user would: rules, digests, statistics and multiplexing on.

use std::ffi::OsStr;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use super::database::{DATABASE, PASSWORD, USER};
use super::target::{accepts, owned};
use crate::lab::child::Owned;
use crate::lab::proxyd::{self, Listeners};
use crate::lab::{process, wait};

pub(crate) struct Plan {
    pub program: PathBuf,
    /// A program that runs it, with its options; usually none.
    pub under: Vec<String>,
    /// Where it serves clients; its admin interface is at the first, port 6032.
    pub addresses: Vec<SocketAddr>,
    pub database: SocketAddr,
    /// How many query rules it has.
    pub rules: usize,
    /// As many as there are processors, if not said.
    pub workers: Option<i64>,
}

pub(crate) fn start(plan: &Plan, directory: &Path) -> Result<Child> {
    ensure!(plan.program.exists(), "{} is not built: cargo build --release", plan.program.display());
    let config = proxyd::lay_out(directory, &configuration(plan, directory))?;
    let words: Vec<&OsStr> = plan.under.iter().map(OsStr::new).chain([plan.program.as_os_str()]).collect();
    let mut command = owned(words[0], directory, "proxyd")?;
    let child = command
        .args(&words[1..])
        .arg("--config")
        .arg(&config)
        .args(["--host", proxyd::HOST])
        .spawn()
        .context("start proxyd")?;
    wait::until("proxyd's admin interface", Duration::from_secs(60), || admin(plan, "SELECT 1").is_ok())
        .with_context(|| fs::read_to_string(directory.join("proxyd.log")).unwrap_or_default())?;
    admin(plan, &(rules(plan.rules) + "LOAD MYSQL QUERY RULES TO RUNTIME"))?;
    accepts(plan.addresses[0])?;
    Ok(child)
}

/// Has it end in good order: what it counted while it ran (callgrind, a compiler's counters) is written at its end. Returns its log.
pub(crate) fn end(proxy: &mut Owned, directory: &Path) -> Result<String> {
    process::signal(proxy.pid(), Signal::SIGTERM);
    let mut status = None;
    wait::until("proxyd's end", Duration::from_secs(60), || {
        status = proxy.0.try_wait().ok().flatten();
        status.is_some()
    })?;
    let log = fs::read_to_string(directory.join("proxyd.log"))?;
    ensure!(status.is_some_and(|status| status.success()), "proxyd ended with {status:?}: {log}");
    Ok(log)
}

fn admin(plan: &Plan, sql: &str) -> Result<()> {
    let output = Command::new("mariadb")
        .args(["--no-defaults", "-uadmin", "-padmin", "-P6032", "-h"])
        .arg(plan.addresses[0].ip().to_string())
        .args(["-e", sql])
        .stdin(Stdio::null())
        .output()
        .context("mariadb is missing: apt-get install -y --no-install-recommends mariadb-client")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

/// The last two split reads and writes as everybody's do; those before them are of other tables.
fn rules(count: usize) -> String {
    let mut text = String::new();
    for id in 1..=count.saturating_sub(2) {
        text += &format!(
            "INSERT INTO mysql_query_rules (rule_id, active, match_digest, destination_hostgroup, apply) \
             VALUES ({id}, 1, '^SELECT .* FROM orders_{id} WHERE', 2, 1);"
        );
    }
    text += "INSERT INTO mysql_query_rules (rule_id, active, match_digest, destination_hostgroup, apply) \
             VALUES (9001, 1, '^SELECT.*FOR UPDATE', 1, 1), (9002, 1, '^SELECT', 2, 1);";
    text
}

/// Hostgroups 1 and 2 are the same server: writes and reads.
fn configuration(plan: &Plan, directory: &Path) -> String {
    let listeners = Listeners {
        mysql: plan.addresses.iter().map(ToString::to_string).collect(),
        admin: vec![format!("{}:6032", plan.addresses[0].ip())],
    };
    let workers = plan.workers.map(|workers| format!("workers = {workers}")).unwrap_or_default();
    let mut text = proxyd::head(&listeners, workers, directory);
    text += "[mysql_variables]\nmax_connections = 200000\n";
    for hostgroup in [1, 2] {
        text += &format!(
            "[[mysql_servers]]\nhostgroup_id = {hostgroup}\nhostname = \"{}\"\nport = {}\nmax_connections = 2000\n",
            plan.database.ip(),
            plan.database.port(),
        );
    }
    text += &format!(
        "[[mysql_users]]\nusername = \"{USER}\"\npassword = \"{PASSWORD}\"\ndefault_hostgroup = 1\n\
         default_schema = \"{DATABASE}\"\nmax_connections = 200000\n"
    );
    text
}
