//! The test bench: the database hosts with their cluster, one proxy host, clients on a machine of their own.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use super::load::Load;
use crate::checks::shell;
use crate::lab::net::{self, Machine, Network};
use crate::lab::netns::Netns;
use crate::lab::{teardown, wait};

/// Three servers that replicate to each other, in the order of [`net::database_hosts`]. They die when it is dropped.
pub(crate) trait Cluster: std::fmt::Debug {
    fn signal(&self, index: usize, signal: Signal) -> Result<()>;

    /// Starts one that was killed; returns when it is a member again.
    fn restart(&mut self, index: usize) -> Result<()>;

    /// SQL as root on one server.
    fn query(&self, index: usize, sql: &str) -> Result<String>;
}

const PROXY: &str = "proxy1";
const DIRECTORY: &str = "cluster";
const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 11);

/// Network, cluster, proxy, load. Everything in it dies with it.
#[derive(Debug)]
pub(crate) struct Bench {
    pub load: Load,
    proxy: Child,
    pub cluster: Box<dyn Cluster>,
    pub network: Network,
    client: Netns,
}

impl Bench {
    pub(crate) fn start(
        binaries: &Path,
        table: &str,
        start_cluster: impl FnOnce(&Network, &Path) -> Result<Box<dyn Cluster>>,
    ) -> Result<Self> {
        shell::require("mariadb", "mariadb-client")?;
        teardown::clear()?;
        let machines: Vec<_> = net::database_hosts()
            .into_iter()
            .chain([Machine { name: PROXY.into(), address: ADDRESS }])
            .collect();
        let network = Network::build(&machines)?;
        let directory = teardown::directory().join(DIRECTORY);
        fs::create_dir_all(&directory)?;
        let cluster = start_cluster(&network, &directory.join("db"))?;
        cluster.query(
            0,
            "CREATE TABLE test.written (id BIGINT PRIMARY KEY, at DATETIME(6)); \
             CREATE TABLE test.seed (id INT PRIMARY KEY); INSERT INTO test.seed VALUES (1), (2), (3)",
        )?;
        let proxy = start_proxy(binaries, &network.namespace(PROXY)?, &directory.join("proxy"), table)?;
        let client = network.namespace(net::CLIENT)?;
        let load = Load::start(&client, SocketAddr::from((ADDRESS, 6033)));
        let bench = Self { load, proxy, cluster, network, client };
        wait::until("the proxy's admin interface", Duration::from_secs(10), || {
            bench.admin("SELECT 1").is_ok()
        })
        .with_context(|| fs::read_to_string(directory.join("proxy/log")).unwrap_or_default())?;
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

    fn admin(&self, sql: &str) -> Result<String> {
        let directory = teardown::directory().join(DIRECTORY).join("admin");
        let script = format!("mariadb --no-defaults -h {ADDRESS} -P 6032 -uadmin -padmin -N -e \"{sql}\"");
        let output = shell::bash(&self.client, &directory, &script, Duration::from_secs(5))?;
        ensure!(output.success, "{}", output.stderr.trim());
        Ok(output.stdout)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // Nothing of it is needed any more; one that is dead already is what is wanted.
        let _ = self.proxy.kill();
        let _ = self.proxy.wait();
    }
}

fn start_proxy(binaries: &Path, netns: &Netns, directory: &Path, table: &str) -> Result<Child> {
    let program = binaries.join("standfast-proxyd");
    ensure!(program.exists(), "{} is not built: cargo build --release", program.display());
    for name in ["run", "data"] {
        fs::create_dir_all(directory.join(name))?;
    }
    fs::set_permissions(directory.join("data"), fs::Permissions::from_mode(0o700))?;
    let config = directory.join("standfast.toml");
    fs::write(&config, configuration(directory, table))?;
    let log = File::create(directory.join("log"))?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("exec-unit").arg(netns.path()).arg("--").arg(program).arg("--config").arg(config);
    command.args(["--host", PROXY]).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    command.spawn().context("start the proxy")
}

/// The first database host is the preferred writer; backup writers read. `table` names the kind of cluster.
fn configuration(directory: &Path, table: &str) -> String {
    let servers: String = net::database_hosts()
        .iter()
        .zip([100, 10, 1])
        .map(|(machine, weight)| {
            format!(
                "[[mysql_servers]]\nhostgroup_id = 2\nhostname = \"{}\"\nport = 3306\nweight = {weight}\n",
                machine.address
            )
        })
        .collect();
    let directory = directory.display();
    format!(
        "[[hosts]]\nname = \"{PROXY}\"\naddress = \"{ADDRESS}\"\n\
         [proxy]\nmysql_listen = [\"{ADDRESS}:6033\"]\nadmin_listen = [\"{ADDRESS}:6032\"]\n\
         [paths]\nrun_dir = \"{directory}/run\"\ndata_dir = \"{directory}/data\"\n\
         [admin_variables]\nadmin_credentials = \"admin:admin\"\n\
         [mysql_variables]\nmonitor_galera_healthcheck_interval = 1000\n\
         monitor_groupreplication_healthcheck_interval = 1000\n\
         {servers}\
         [[{table}]]\nwriter_hostgroup = 2\nbackup_writer_hostgroup = 4\nreader_hostgroup = 3\n\
         offline_hostgroup = 1\nmax_writers = 1\nwriter_is_also_reader = 2\nmax_transactions_behind = 100\n\
         [[mysql_users]]\nusername = \"load_RW\"\npassword = \"test\"\ndefault_hostgroup = 2\ndefault_schema = \"test\"\n\
         [[mysql_query_rules]]\nrule_id = 1\nactive = 1\nmatch_digest = \"^SELECT\"\ndestination_hostgroup = 3\napply = 1\n"
    )
}
