//! The database side of the drills: one MariaDB of this machine, reached by the addresses of all three database hosts.
//!
//! One server and no cluster, on purpose: the drills are about the way to it, and a cluster that loses its majority because
//! this machine is busy would be counted as the product's outage.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::unistd::User;

use crate::backend::mariadb;
use crate::lab::cache;
use crate::lab::child::Owned;
use crate::lab::net::{self, Network};
use crate::lab::wait;

/// The server; it goes with its namespace or when this is dropped.
#[derive(Debug)]
pub(crate) struct Database {
    _server: Owned,
}

impl Database {
    pub(crate) fn start(network: &Network, directory: &Path) -> Result<Self> {
        let user = User::from_name("mysql")?.context("no user mysql: apt-get install -y mariadb-server")?;
        let owner = (user.uid.as_raw(), user.gid.as_raw());
        mariadb::make_directory(directory, owner)?;
        let defaults = defaults(directory)?;
        let mut install = Command::new("mariadb-install-db");
        install.args([
            &defaults,
            "--user=mysql",
            "--skip-test-db",
            "--auth-root-authentication-method=normal",
        ]);
        cache::run(&mut install, "apt-get install -y mariadb-server")?;
        mariadb::bootstrap_accounts(&defaults)?;
        let machines = net::database_hosts();
        let host = machines.first().context("no database host")?;
        for other in machines.iter().skip(1) {
            network.add_address(&host.name, &format!("{}/24", other.address))?;
        }
        let log = fs::File::create(directory.join("out.log"))?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("exec-unit").arg(network.namespace(&host.name)?.path());
        command.args(["--", mariadb::SERVER, &defaults]);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let server = command.spawn().map(Owned).context("start mariadbd")?;
        let database = Self { _server: server };
        let socket = directory.join("s");
        wait::until("MariaDB", Duration::from_secs(60), || answers(&socket)).with_context(|| {
            cache::tail(&fs::read_to_string(directory.join("err.log")).unwrap_or_default(), 15)
        })?;
        Ok(database)
    }
}

fn answers(socket: &Path) -> bool {
    let mut ping = Command::new("mariadb");
    ping.args(["--no-defaults", "-uroot", "-e", "SELECT 1", "-S"]).arg(socket);
    ping.stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|it| it.success())
}

/// The server's configuration, as its first argument. Hosts that died leave their connections behind: there is room for some, and
/// they end soon.
fn defaults(directory: &Path) -> Result<String> {
    let path: PathBuf = directory.join("my.cnf");
    let at = directory.display();
    let text = format!(
        "[mariadbd]\nuser=mysql\n{}datadir={at}/data\nsocket={at}/s\npid_file={at}/pid\nlog_error={at}/err.log\n\
         bind_address=0.0.0.0\nport=3306\nwsrep_on=OFF\n\
         tcp_keepalive_time=5\ntcp_keepalive_interval=2\ntcp_keepalive_probes=3\n",
        mariadb::SMALL.replace("wsrep_on=ON\n", "").replace("max_connections=400", "max_connections=3000")
    );
    fs::write(&path, text).context("write my.cnf")?;
    Ok(format!("--defaults-file={}", path.display()))
}

/// Fails with what to install.
pub(crate) fn require() -> Result<()> {
    for program in ["mariadb", "mariadb-install-db"] {
        crate::checks::shell::require(program, "mariadb-server mariadb-client")?;
    }
    ensure!(
        Path::new(mariadb::SERVER).exists(),
        "{} is missing: apt-get install -y mariadb-server",
        mariadb::SERVER
    );
    Ok(())
}
