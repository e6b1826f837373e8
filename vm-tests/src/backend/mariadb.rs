//! Three MariaDB servers of the distribution's package as a Galera cluster, one in each database host's namespace.
//!
//! A template data directory is made once a lab, with the accounts in it. It is bootstrapped once and stopped cleanly, so that
//! it carries the cluster's identity: copies then join by IST in about a second, with no state transfer of the whole data.

use std::fs;
use std::io::Write;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use nix::unistd::User;

use crate::lab::child::Owned;
use crate::lab::net::{self, Machine, Network};
use crate::lab::netns::Netns;
use crate::lab::{process, wait};

pub(crate) const SERVER: &str = "/usr/sbin/mariadbd";
const GALERA: &str = "/usr/lib/galera/libgalera_smm.so";
const INSTALL: &str = "apt-get install -y mariadb-server mariadb-client galera-4 rsync";

/// Account of the article, the proxy's monitor, and one for the checks; all with `mysql_native_password`.
const ACCOUNTS: &str = "
USE mysql;
FLUSH PRIVILEGES;
CREATE DATABASE test;
CREATE USER load_RW@'%' IDENTIFIED VIA mysql_native_password USING PASSWORD('test');
GRANT ALL ON test.* TO load_RW@'%';
GRANT PROCESS ON *.* TO load_RW@'%';
CREATE USER monitor@'%' IDENTIFIED VIA mysql_native_password USING PASSWORD('monitor');
GRANT BINLOG MONITOR, SLAVE MONITOR ON *.* TO monitor@'%';
";

pub(crate) const SMALL: &str = "
skip_name_resolve=ON
innodb_buffer_pool_size=16M
innodb_log_file_size=4M
innodb_log_buffer_size=2M
innodb_doublewrite=OFF
innodb_flush_log_at_trx_commit=0
innodb_use_native_aio=OFF
innodb_autoinc_lock_mode=2
key_buffer_size=64K
aria_pagecache_buffer_size=1M
table_open_cache=200
max_connections=400
performance_schema=OFF
binlog_format=ROW
wsrep_on=ON
wsrep_cluster_name=standfast
wsrep_sst_method=rsync
wsrep_slave_threads=1
";

/// Makes a dead member be noticed after a second instead of five.
const TIMEOUTS: &str = "evs.keepalive_period=PT0.3S;evs.inactive_check_period=PT0.3S;evs.suspect_timeout=PT1S;\
evs.inactive_timeout=PT3S;evs.install_timeout=PT3S;pc.announce_timeout=PT1S;gcache.size=8M";

/// A running cluster. The servers die with their namespaces or when this is dropped.
#[derive(Debug)]
pub(crate) struct MariaDb {
    nodes: Vec<Node>,
    children: Vec<Owned>,
}

#[derive(Debug, Clone)]
struct Node {
    machine: Machine,
    netns: Netns,
    directory: PathBuf,
}

/// Fails with what to install if the servers are not there.
pub(crate) fn require() -> Result<()> {
    for path in [SERVER, GALERA] {
        ensure!(Path::new(path).exists(), "{path} is missing: {INSTALL}");
    }
    for tool in ["mariadb", "mariadb-install-db", "rsync"] {
        let found = Command::new(tool).arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status();
        ensure!(found.is_ok(), "{tool} is missing: {INSTALL}");
    }
    Ok(())
}

impl MariaDb {
    pub(crate) fn start(network: &Network, directory: &Path) -> Result<Self> {
        require()?;
        let user = User::from_name("mysql")?.with_context(|| format!("no user mysql: {INSTALL}"))?;
        let owner = (user.uid.as_raw(), user.gid.as_raw());
        make_directory(directory, owner)?;
        let machines = net::database_hosts();
        let template = template(network, &machines[0], directory, owner)?;
        let mut cluster = Self { nodes: Vec::new(), children: Vec::new() };
        for machine in machines {
            let node = Node {
                netns: network.namespace(&machine.name)?,
                directory: directory.join(machine.address.octets()[3].to_string()),
                machine,
            };
            node.prepare(&template, owner)?;
            let first = cluster.nodes.is_empty();
            cluster.nodes.push(node);
            cluster.start_node(cluster.nodes.len() - 1, first)?;
        }
        Ok(cluster)
    }

    fn start_node(&mut self, index: usize, first: bool) -> Result<()> {
        let node = &self.nodes[index];
        let more: &[&str] = if first { &["--wsrep-new-cluster"] } else { &[] };
        self.children.push(node.spawn(more)?);
        self.wait_until_synced(index)
    }

    fn wait_until_synced(&self, index: usize) -> Result<()> {
        let node = &self.nodes[index];
        let synced = "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'wsrep_local_state'";
        wait::until(
            &format!("MariaDB {} in the cluster", node.machine.name),
            Duration::from_secs(60),
            || node.query(synced).is_ok_and(|state| state.trim() == "4"),
        )
        .with_context(|| node.log_tail())?;
        Ok(())
    }

    /// Sends one server a signal.
    pub(crate) fn signal(&self, index: usize, signal: Signal) -> Result<()> {
        let child = self.children.get(index).context("no such server")?;
        process::signal(child.pid(), signal);
        Ok(())
    }

    /// Waits for the end of a server that was sent a signal, and starts it again: it recovers its position first, so that
    /// it needs only what it missed. Returns when it is synced.
    pub(crate) fn restart(&mut self, index: usize) -> Result<()> {
        self.children.get_mut(index).context("no such server")?.0.wait()?;
        let node = &self.nodes[index];
        let position = node.recovered_position()?;
        let child = node.spawn(&[&format!("--wsrep-start-position={position}")])?;
        self.children[index] = child;
        self.wait_until_synced(index)
    }

    /// The same, without its place in the cluster's history: another server must give it everything.
    pub(crate) fn restart_empty(&mut self, index: usize) -> Result<()> {
        self.children.get_mut(index).context("no such server")?.0.wait()?;
        let node = &self.nodes[index];
        fs::remove_file(node.directory.join("data/grastate.dat")).context("forget the cluster")?;
        let child = node.spawn(&[])?;
        self.children[index] = child;
        self.wait_until_synced(index)
    }

    /// Runs SQL as root on one server, by its socket.
    pub(crate) fn query(&self, index: usize, sql: &str) -> Result<String> {
        self.nodes.get(index).context("no such server")?.query(sql)
    }
}

impl Node {
    fn prepare(&self, template: &Path, owner: (u32, u32)) -> Result<()> {
        make_directory(&self.directory, owner)?;
        let data = self.directory.join("data");
        let copied = Command::new("cp").arg("-a").arg(template).arg(&data).status()?;
        ensure!(copied.success(), "copy the data directory");
        let addresses: Vec<String> = net::database_hosts().iter().map(|m| m.address.to_string()).collect();
        self.write_config(&data, &format!("gcomm://{}", addresses.join(",")))
    }

    fn write_config(&self, data: &Path, cluster: &str) -> Result<()> {
        let (address, directory) = (self.machine.address, self.directory.display());
        let text = format!(
            "[mariadbd]\nuser=mysql\n{SMALL}\
             datadir={data}\nsocket={directory}/s\npid_file={directory}/pid\nlog_error={directory}/err.log\n\
             bind_address={address}\nport=3306\nserver_id={id}\n\
             wsrep_provider={GALERA}\nwsrep_cluster_address={cluster}\nwsrep_node_name={name}\nwsrep_node_address={address}\n\
             wsrep_provider_options=\"gmcast.listen_addr=tcp://{address}:4567;ist.recv_addr={address}:4568;{TIMEOUTS}\"\n",
            data = data.display(),
            id = address.octets()[3],
            name = self.machine.name,
        );
        fs::write(self.directory.join("my.cnf"), text).context("write my.cnf")
    }

    fn spawn(&self, more: &[&str]) -> Result<Owned> {
        let output = fs::File::create(self.directory.join("out.log"))?;
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("exec-unit")
            .args(["--hostname", &self.machine.name])
            .arg(self.netns.path())
            .arg("--")
            .arg(SERVER);
        command.arg(format!("--defaults-file={}/my.cnf", self.directory.display())).args(more);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        command.spawn().map(Owned).context("start mariadbd")
    }

    /// What `galera_recovery` finds out: after a crash, the last transaction that InnoDB has.
    fn recovered_position(&self) -> Result<String> {
        let log = self.directory.join("recovery.log");
        let output = Command::new(SERVER)
            .arg(format!("--defaults-file={}/my.cnf", self.directory.display()))
            .arg(format!("--log-error={}", log.display()))
            .arg("--wsrep-recover")
            .stdin(Stdio::null())
            .output()?;
        ensure!(output.status.success(), "mariadbd --wsrep-recover failed");
        let text = fs::read_to_string(log)?;
        let position = text.lines().rev().find_map(|line| line.split_once("Recovered position:"));
        position.map(|(_, position)| position.trim().to_owned()).context("no recovered position")
    }

    fn query(&self, sql: &str) -> Result<String> {
        let output = Command::new("mariadb")
            .args(["--no-defaults", "-uroot", "--skip-column-names", "-S"])
            .arg(self.directory.join("s"))
            .args(["-e", sql])
            .stdin(Stdio::null())
            .output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn log_tail(&self) -> String {
        let text = fs::read_to_string(self.directory.join("err.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }
}

/// A data directory with accounts and a cluster's identity in it.
fn template(network: &Network, machine: &Machine, directory: &Path, owner: (u32, u32)) -> Result<PathBuf> {
    let node = Node {
        machine: machine.clone(),
        netns: network.namespace(&machine.name)?,
        directory: directory.join("template"),
    };
    make_directory(&node.directory, owner)?;
    let data = node.directory.join("data");
    node.write_config(&data, "gcomm://")?;
    let defaults = format!("--defaults-file={}/my.cnf", node.directory.display());
    let made = Command::new("mariadb-install-db")
        .args([&defaults, "--user=mysql", "--skip-test-db", "--auth-root-authentication-method=normal"])
        .arg("--wsrep-on=OFF")
        .stdin(Stdio::null())
        .output()?;
    ensure!(made.status.success(), "mariadb-install-db: {}", String::from_utf8_lossy(&made.stderr));
    bootstrap_accounts(&defaults)?;
    stamp(&node)?;
    for name in ["galera.cache", "gvwstate.dat"] {
        // Whether a clean stop leaves them depends on the version.
        let _ = fs::remove_file(data.join(name));
    }
    Ok(data)
}

/// Straight into the grant tables, before any server listens.
pub(crate) fn bootstrap_accounts(defaults: &str) -> Result<()> {
    let mut server = Command::new(SERVER)
        .args([defaults, "--wsrep-on=OFF", "--bootstrap"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    // The bootstrap parser wants one statement a line.
    server.stdin.take().context("stdin")?.write_all(ACCOUNTS.as_bytes())?;
    ensure!(server.wait()?.success(), "the accounts could not be made");
    Ok(())
}

/// One bootstrap and a clean stop write the cluster's identity into `grastate.dat`.
fn stamp(node: &Node) -> Result<()> {
    let mut child = node.spawn(&["--wsrep-new-cluster"])?;
    wait::until("the first MariaDB", Duration::from_secs(30), || node.query("SELECT 1").is_ok())
        .with_context(|| node.log_tail())?;
    process::signal(child.pid(), Signal::SIGTERM);
    if !child.0.wait()?.success() {
        bail!("the first MariaDB did not stop cleanly:\n{}", node.log_tail());
    }
    Ok(())
}

pub(crate) fn make_directory(path: &Path, (uid, gid): (u32, u32)) -> Result<()> {
    fs::create_dir_all(path)?;
    chown(path, Some(uid), Some(gid)).with_context(|| format!("chown {}", path.display()))
}
