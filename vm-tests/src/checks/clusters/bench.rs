//! The test bench: the database hosts with their cluster, the appliance's three hosts with their VIP, clients on a machine of their own.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use super::load::Load;
use crate::checks::runner::Runner;
use crate::checks::shell;
use crate::lab::host::{Binaries, Host};
use crate::lab::layout::{Layout, Numbers, Template};
use crate::lab::net::{self, Machine, Network};
use crate::lab::netns::Netns;
use crate::lab::{teardown, wait};

/// Three servers that replicate to each other, in the order of [`net::database_hosts`]. They die when it is dropped.
pub(crate) trait Cluster: std::fmt::Debug {
    fn signal(&self, index: usize, signal: Signal) -> Result<()>;

    /// Starts one that was killed; returns when it is a member again.
    fn restart(&mut self, index: usize) -> Result<()>;

    /// The same, with all data to come from another server, where that is a thing.
    fn restart_empty(&mut self, index: usize) -> Result<()> {
        self.restart(index)
    }

    /// SQL as root on one server.
    fn query(&self, index: usize, sql: &str) -> Result<String>;
}

const DIRECTORY: &str = "cluster";

/// Network, cluster, proxies, load. Everything in it dies with it.
#[derive(Debug)]
pub(crate) struct Bench {
    pub load: Load,
    hosts: Vec<Host>,
    pub cluster: Box<dyn Cluster>,
    pub network: Network,
    client: Netns,
}

impl Bench {
    pub(crate) fn start(
        runner: &Runner,
        rows: &str,
        start_cluster: impl FnOnce(&Network, &Path) -> Result<Box<dyn Cluster>>,
        prepare: impl FnOnce(&dyn Cluster) -> Result<()>,
    ) -> Result<Self> {
        shell::require("mariadb", "mariadb-client")?;
        teardown::clear()?;
        let machines: Vec<_> = net::database_hosts().into_iter().chain(net::proxy_hosts()).collect();
        let network = Network::build(&machines)?;
        let directory = teardown::directory().join(DIRECTORY);
        fs::create_dir_all(&directory)?;
        let cluster = start_cluster(&network, &directory.join("db"))?;
        prepare(cluster.as_ref())?;
        cluster.query(
            0,
            "CREATE TABLE test.written (id BIGINT PRIMARY KEY, at DATETIME(6)); \
             CREATE TABLE test.seed (id INT PRIMARY KEY); INSERT INTO test.seed VALUES (1), (2), (3)",
        )?;
        let (binaries, template) = (Binaries::find(&runner.binaries)?, template(&runner.configs, rows)?);
        let mut hosts = Vec::new();
        for machine in net::proxy_hosts() {
            let (name, address) = (machine.name.as_str(), machine.address);
            let mut host = Host::new(name, address, &network, &binaries, &directory, &template)?;
            host.start()?;
            hosts.push(host);
        }
        hosts.iter().try_for_each(Host::ready)?;
        let client = network.namespace(net::CLIENT)?;
        let load = Load::start(&client, SocketAddr::from((net::vips()[0], 6033)));
        let bench = Self { load, hosts, cluster, network, client };
        wait::until("the VIP, and the proxy's admin interface behind it", Duration::from_secs(20), || {
            bench.admin("SELECT 1").is_ok()
        })?;
        Ok(bench)
    }

    /// Runs `SET GLOBAL` on one server.
    pub(crate) fn set(&self, index: usize, assignment: &str) -> Result<()> {
        self.cluster.query(index, &format!("SET GLOBAL {assignment}")).map(drop)
    }

    /// `hostgroup last-byte-of-the-address` of each place at runtime, in order.
    pub(crate) fn places(&self) -> Result<String> {
        let text = self.admin(
            "SELECT hostgroup_id || ' ' || REPLACE(hostname, '192.168.0.', '') FROM runtime_mysql_servers ORDER BY 1",
        )?;
        Ok(text.lines().collect::<Vec<_>>().join(", "))
    }

    pub(crate) fn until_places(&self, places: &str) -> Result<Duration> {
        wait::until(&format!("the places {places}"), Duration::from_secs(40), || {
            self.places().is_ok_and(|seen| seen == places)
        })
        .with_context(|| format!("they are {:?}", self.places()))
    }

    /// A program that everybody may run; gives its path.
    pub(crate) fn program(&self, name: &str, text: &str) -> Result<String> {
        let path = teardown::directory().join(DIRECTORY).join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        path.into_os_string().into_string().ok().context("a path that is no UTF-8")
    }

    /// Asks the proxy that has the VIP.
    pub(crate) fn admin(&self, sql: &str) -> Result<String> {
        let directory = teardown::directory().join(DIRECTORY).join("admin");
        let options = format!("-h {} -P 6032 -uadmin -padmin", net::vips()[0]);
        shell::mariadb(&self.client, &directory, &options, sql, Duration::from_secs(5))
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for host in &mut self.hosts {
            if let Err(error) = host.power_off() {
                eprintln!("{error:#}");
            }
        }
    }
}

/// The shipped layout with one VIP, with these servers and hostgroups instead of the article's, and a load's account.
fn template(configs: &Path, own: &str) -> Result<Template> {
    let common = format!(
        "[admin_variables]\nadmin_credentials = \"admin:admin\"\n\
         [mysql_variables]\nmonitor_galera_healthcheck_interval = 1000\n\
         monitor_groupreplication_healthcheck_interval = 1000\n\
         {own}\
         [[mysql_users]]\nusername = \"load_RW\"\npassword = \"test\"\ndefault_hostgroup = 2\ndefault_schema = \"test\"\n\
         [[mysql_query_rules]]\nrule_id = 1\nactive = 1\nmatch_digest = \"^SELECT\"\ndestination_hostgroup = 3\napply = 1\n"
    );
    let common: toml::Table = common.parse().context("the bench's own configuration")?;
    let shipped = Template::new(Layout::SingleVip, Numbers::Standfast, configs);
    let template = common.into_iter().fold(shipped, |template, (key, value)| template.with(&key, value));
    Ok(template.with("proxy.admin_listen", vec!["0.0.0.0:6032"]))
}

/// The rows of a cluster whose nodes are all configured as writers: the first database host is the preferred one, backup
/// writers read. `table` names the kind of cluster.
pub(crate) fn cluster_rows(table: &str) -> String {
    format!(
        "{}[[{table}]]\nwriter_hostgroup = 2\nbackup_writer_hostgroup = 4\nreader_hostgroup = 3\n\
         offline_hostgroup = 1\nmax_writers = 1\nwriter_is_also_reader = 2\nmax_transactions_behind = 100\n",
        server_rows([2, 2, 2])
    )
}

/// A row of `mysql_servers` for each database host.
pub(crate) fn server_rows(hostgroups: [u8; 3]) -> String {
    let hosts = net::database_hosts();
    let row = |((machine, weight), hostgroup): ((&Machine, i32), u8)| {
        format!(
            "[[mysql_servers]]\nhostgroup_id = {hostgroup}\nhostname = \"{}\"\nport = 3306\nweight = {weight}\n",
            machine.address
        )
    };
    hosts.iter().zip([100, 10, 1]).zip(hostgroups).map(row).collect()
}
