//! The whole lab: network, database hosts, the three proxy hosts, and the questions that drills ask about them.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::child::Owned;
use super::host::{Binaries, Host};
use super::keepalived::Instance;
use super::layout::Template;
use super::net::{self, Machine, Network};
use super::netns::Netns;
use super::wait;
use super::{net::vips, teardown};
use crate::backend::mariadb::MariaDb;
use crate::client::holders::{self, Holders};
use crate::client::workload;
use crate::mysql::client::Account;

/// Which servers stand behind the proxies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum BackendKind {
    /// Embedded: nothing else to install.
    Sqlite,
    /// Three MariaDB servers of the distribution's package, as a Galera cluster.
    Mariadb,
}

/// What to build.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub template: Template,
    pub binaries: PathBuf,
    pub backend: BackendKind,
    /// The proxy hosts in the order of the layout; drills permute their addresses.
    pub hosts: Vec<Machine>,
}

/// A running lab.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub hosts: Vec<Host>,
    pub network: Network,
    pub plan: Plan,
    pub holders: Holders,
    backends: Backends,
}

/// Whatever keeps the backends alive; they die with the lab's namespaces.
#[derive(Debug)]
pub(crate) enum Backends {
    Embedded { _processes: Vec<Owned> },
    MariaDb(MariaDb),
}

impl Cluster {
    /// Builds everything and starts the hosts; returns once every unit is ready. Does not wait for the VIPs.
    pub(crate) fn start(plan: Plan) -> Result<Self> {
        let binaries = Binaries::find(&plan.binaries)?;
        let directory = teardown::directory();
        teardown::clear()?;
        let machines: Vec<Machine> = plan.hosts.iter().cloned().chain(net::database_hosts()).collect();
        let network = Network::build(&machines)?;
        let backends = Backends::start(plan.backend, &network, &directory)?;
        let mut hosts = Vec::new();
        for machine in &plan.hosts {
            hosts.push(Host::new(
                &machine.name,
                machine.address,
                &network,
                &binaries,
                &directory,
                &plan.template,
            )?);
        }
        let vips = vips()[..plan.template.layout.vips()].to_vec();
        let vip = vips[0];
        let holders = Holders::watch(&hosts, vips)?;
        let mut cluster = Self { hosts, network, plan, holders, backends };
        for host in &mut cluster.hosts {
            if let Some(advert_ms) = cluster.plan.template.keepalived {
                host.use_keepalived(Instance { advert_ms, vip });
            }
            host.start().with_context(|| format!("start {}", host.name))?;
        }
        for host in &cluster.hosts {
            host.ready()?;
        }
        Ok(cluster)
    }

    /// The VIPs of the layout.
    pub(crate) fn vips(&self) -> Vec<Ipv4Addr> {
        vips()[..self.plan.template.layout.vips()].to_vec()
    }

    pub(crate) fn client(&self) -> Result<Netns> {
        self.network.namespace(net::CLIENT)
    }

    pub(crate) fn index(&self, name: &str) -> Result<usize> {
        self.hosts.iter().position(|h| h.name == name).with_context(|| format!("no host {name}"))
    }

    /// The one live host that carries a VIP; `None` while nobody or more than one does.
    pub(crate) fn holder(&self, vip: Ipv4Addr) -> Option<usize> {
        let place = self.vips().iter().position(|v| *v == vip)?;
        match self.holders.now(place).as_slice() {
            [one] => Some(*one),
            _ => None,
        }
    }

    /// Whether a host has the address, alive or not.
    pub(crate) fn carries(&self, host: usize, vip: Ipv4Addr) -> bool {
        holders::addresses(&self.hosts[host].netns).contains(&vip)
    }

    /// The holder's name, or a dash.
    pub(crate) fn holder_name(&self, vip: Ipv4Addr) -> String {
        self.holder(vip).map_or_else(|| "-".into(), |i| self.hosts[i].name.clone())
    }

    pub(crate) fn wait_for_holder(&self, vip: Ipv4Addr, host: usize, limit: Duration) -> Result<Duration> {
        let what = format!("{vip} on {}", self.hosts[host].name);
        wait::until(&what, limit, || self.holder(vip) == Some(host))
    }

    /// Every VIP has one live holder.
    pub(crate) fn wait_for_vips(&self, limit: Duration) -> Result<()> {
        for vip in self.vips() {
            wait::until(&format!("one holder of {vip}"), limit, || self.holder(vip).is_some())?;
        }
        Ok(())
    }

    /// Each VIP whose preferred host is on is there. With one VIP and no fail-back it may be anywhere.
    pub(crate) fn is_home(&self) -> bool {
        !self.plan.template.fails_back()
            || self
                .vips()
                .iter()
                .enumerate()
                .all(|(i, vip)| !self.hosts[i].is_on() || self.holder(*vip) == Some(i))
    }

    /// Statements at every host's admin prompt, with the article's port and account.
    pub(crate) fn run_admin_sql(&self, sql: &str) -> Result<()> {
        let statements: Vec<&str> = sql.split(';').map(str::trim).filter(|s| !s.is_empty()).collect();
        for host in &self.hosts {
            let account = Account {
                address: (host.address, 3310).into(),
                user: "admin".into(),
                password: "admin".into(),
                database: None,
            };
            workload::run_once(&self.client()?, &account, &statements)
                .with_context(|| format!("the admin prompt of {}", host.name))?;
        }
        Ok(())
    }

    /// Real servers, for the checks that need them.
    pub(crate) fn mariadb(&self) -> Option<&MariaDb> {
        match &self.backends {
            Backends::MariaDb(servers) => Some(servers),
            Backends::Embedded { .. } => None,
        }
    }
}

impl Backends {
    /// Starts three servers on the database hosts; returns once they take connections.
    pub(crate) fn start(kind: BackendKind, network: &Network, directory: &Path) -> Result<Self> {
        if kind == BackendKind::Mariadb {
            return Ok(Backends::MariaDb(MariaDb::start(network, &directory.join("db"))?));
        }
        let backends = Backends::Embedded { _processes: embedded(network, directory)? };
        for machine in net::database_hosts() {
            let listens = || holders::listens_on(network, &machine.name, 3306);
            wait::until(&format!("backend {} listening", machine.name), Duration::from_secs(60), listens)?;
        }
        Ok(backends)
    }
}

impl Drop for Cluster {
    /// Ends the units before the namespaces go, so that nothing is restarted meanwhile.
    fn drop(&mut self) {
        for host in &mut self.hosts {
            if let Err(error) = host.power_off() {
                eprintln!("{error:#}");
            }
        }
    }
}

fn embedded(network: &Network, directory: &Path) -> Result<Vec<Owned>> {
    let db = directory.join("cluster.db");
    let mut children = Vec::new();
    for machine in net::database_hosts() {
        let netns = network.namespace(&machine.name)?;
        let log = std::fs::File::create(directory.join(format!("{}.log", machine.name)))?;
        let mut command = std::process::Command::new(std::env::current_exe()?);
        command.arg("exec-unit").arg(netns.path()).arg("--").arg(std::env::current_exe()?);
        command.args(["backend", "--listen", &format!("{}:3306", machine.address), "--db"]).arg(&db);
        command.args(["--hostname", &machine.name]);
        command.stdin(std::process::Stdio::null()).stdout(log.try_clone()?).stderr(log);
        children.push(command.spawn().map(Owned).context("start an embedded backend")?);
    }
    Ok(children)
}
