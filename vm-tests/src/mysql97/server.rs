//! One MySQL 9.7 server on an address of 127.0.0.0/8 inside a namespace: small, quick to start, thrown away at the end.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use super::root::SidRoot;
use super::{run, tail};
use crate::lab::child::Owned;
use crate::lab::netns::Netns;
use crate::lab::wait;

pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 97, 1);
pub(crate) const PORT: u16 = 3306;

pub(crate) const SMALL: &str = "
skip_name_resolve=ON
secure_file_priv=
local_infile=ON
innodb_buffer_pool_size=16M
innodb_redo_log_capacity=32M
innodb_log_buffer_size=1M
innodb_doublewrite=OFF
innodb_flush_method=nosync
innodb_flush_log_at_trx_commit=2
innodb_read_io_threads=1
innodb_write_io_threads=1
innodb_purge_threads=1
innodb_use_native_aio=0
key_buffer_size=64K
table_open_cache=400
table_definition_cache=400
max_connections=300
mysqlx=OFF
skip_log_bin
performance_schema_error_size=1
performance_schema_digests_size=200
performance_schema_accounts_size=10
performance_schema_hosts_size=10
performance_schema_users_size=10
performance_schema_events_statements_history_long_size=20
performance_schema_events_waits_history_long_size=20
performance_schema_events_stages_history_long_size=20
performance_schema_events_transactions_history_long_size=20
";

/// A running server; it dies with this value, or with its namespace.
#[derive(Debug)]
pub(crate) struct MySql97 {
    root: SidRoot,
    directory: PathBuf,
    _process: Owned,
}

impl MySql97 {
    /// A new data directory below `directory` with what `init` creates (one statement a line), and a server on it.
    pub(crate) fn start(root: &SidRoot, netns: &Netns, directory: &Path, init: &str) -> Result<Self> {
        Self::start_at(root, netns, directory, init, ADDRESS, "")
    }

    /// The same at another address, with more settings.
    pub(crate) fn start_at(
        root: &SidRoot,
        netns: &Netns,
        directory: &Path,
        init: &str,
        address: Ipv4Addr,
        more: &str,
    ) -> Result<Self> {
        fs::create_dir_all(directory)?;
        let config = directory.join("my.cnf");
        fs::write(&config, settings(root, directory, address) + more)?;
        fs::write(directory.join("init.sql"), init)?;
        let defaults = format!("--defaults-file={}", config.display());
        let mut initialize = root.command("usr/sbin/mysqld")?;
        initialize.args([&defaults, "--initialize-insecure"]);
        initialize.arg(format!("--init-file={}", directory.join("init.sql").display()));
        run(&mut initialize, "a new data directory")
            .with_context(|| tail(&fs::read_to_string(directory.join("err.log")).unwrap_or_default(), 8))?;
        let output = fs::File::create(directory.join("out.log"))?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("exec-unit").arg(netns.path()).arg("--").args(root.program("usr/sbin/mysqld")?);
        command.arg(&defaults).stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = command.spawn().map(Owned).context("start mysqld")?;
        let server = Self { root: root.clone(), directory: directory.into(), _process: child };
        wait::until("MySQL 9.7 taking connections", Duration::from_secs(60), || server.query("DO 1").is_ok())
            .with_context(|| tail(&fs::read_to_string(directory.join("err.log")).unwrap_or_default(), 8))?;
        Ok(server)
    }

    /// Runs SQL as root, by the server's socket.
    pub(crate) fn query(&self, sql: &str) -> Result<String> {
        let mut client = self.root.command("usr/bin/mysql")?;
        client.args(["--no-defaults", "-uroot", "--skip-column-names", "-S"]).arg(self.directory.join("s"));
        let answer = run(client.args(["-e", sql]), "SQL as root")?;
        Ok(answer.trim_end().to_owned())
    }
}

fn settings(root: &SidRoot, directory: &Path, address: Ipv4Addr) -> String {
    format!(
        "[mysqld]\nuser=root\n{SMALL}\
         basedir={usr}\nlc_messages_dir={usr}/share/mysql\ncharacter_sets_dir={usr}/share/mysql/charsets\n\
         plugin_dir={usr}/lib/mysql/plugin\n\
         datadir={directory}/data\nsocket={directory}/s\npid_file={directory}/pid\nlog_error={directory}/err.log\n\
         bind_address={address}\nport={PORT}\n",
        usr = root.path("usr").display(),
        directory = directory.display(),
    )
}
