//! The database of a bench: one MariaDB of the distribution's package, everything in memory.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::target::owned;
use crate::lab::child::Owned;
use crate::lab::wait;

pub(crate) const USER: &str = "sbtest";
pub(crate) const PASSWORD: &str = "sbtest";
pub(crate) const DATABASE: &str = "sbtest";
pub(crate) const ROWS: usize = 10_000;

const SERVER: &str = "/usr/sbin/mariadbd";
const INSTALL: &str = "apt-get install -y --no-install-recommends mariadb-server mariadb-client";

const SETTINGS: &str = "
skip_name_resolve=ON
skip_log_bin
innodb_buffer_pool_size=128M
innodb_log_file_size=64M
innodb_flush_log_at_trx_commit=2
innodb_use_native_aio=OFF
performance_schema=OFF
max_connections=4000
table_open_cache=2000
thread_cache_size=1100
back_log=4096
open_files_limit=20000
";

const ACCOUNTS: &str = "
CREATE DATABASE sbtest;
CREATE USER sbtest@'%' IDENTIFIED VIA mysql_native_password USING PASSWORD('sbtest');
GRANT ALL ON sbtest.* TO sbtest@'%';
CREATE USER monitor@'%' IDENTIFIED VIA mysql_native_password USING PASSWORD('monitor');
GRANT BINLOG MONITOR, SLAVE MONITOR ON *.* TO monitor@'%';
";

/// A running server; it dies with this value.
#[derive(Debug)]
pub(crate) struct Database {
    pub address: SocketAddr,
    directory: PathBuf,
    child: Owned,
}

impl Database {
    pub(crate) fn start(address: Ipv4Addr, directory: &Path) -> Result<Self> {
        ensure!(Path::new(SERVER).exists(), "{SERVER} is missing: {INSTALL}");
        fs::create_dir_all(directory)?;
        let config = directory.join("my.cnf");
        fs::write(&config, settings(address, directory))?;
        let defaults = format!("--defaults-file={}", config.display());
        let made = Command::new("mariadb-install-db")
            .args([&defaults, "--user=root", "--skip-test-db", "--auth-root-authentication-method=normal"])
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("mariadb-install-db: {INSTALL}"))?;
        ensure!(made.status.success(), "mariadb-install-db: {}", String::from_utf8_lossy(&made.stderr));
        let child = owned(SERVER, directory, "mariadbd")?
            .arg(&defaults)
            .spawn()
            .map(Owned)
            .context("start mariadbd")?;
        let server = Self { address: (address, 3306).into(), directory: directory.into(), child };
        wait::until("MariaDB", Duration::from_secs(60), || server.query("DO 1").is_ok())?;
        server.query(ACCOUNTS)?;
        Ok(server)
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.pid()
    }

    fn query(&self, sql: &str) -> Result<()> {
        let output = Command::new("mariadb")
            .args(["--no-defaults", "-uroot", "-S"])
            .arg(self.directory.join("s"))
            .args(["-e", sql])
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("mariadb: {INSTALL}"))?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(())
    }
}

fn settings(address: Ipv4Addr, directory: &Path) -> String {
    let directory = directory.display();
    format!(
        "[mariadbd]\nuser=root\n{SETTINGS}datadir={directory}/data\nsocket={directory}/s\npid_file={directory}/pid\n\
         log_error={directory}/err.log\nbind_address={address}\nport=3306\n"
    )
}
