//! One MariaDB server of the distribution beside the 9.7 one: another dialect behind the same proxy, as hostgroup 3.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::backend::mariadb;
use crate::checks::mysql97::Bench;
use crate::lab::cache::{run, tail};
use crate::lab::child::Owned;
use crate::lab::wait;

/// In the namespace of the bench.
pub(crate) const ADDRESS: &str = "127.0.97.3";

const SETTINGS: &str = "
skip_name_resolve=ON
innodb_buffer_pool_size=16M
innodb_log_file_size=4M
innodb_flush_log_at_trx_commit=0
innodb_use_native_aio=OFF
max_allowed_packet=64M
local_infile=ON
log_bin=binlog
binlog_format=ROW
server_id=3
proxy_protocol_networks=*
plugin_load_add=auth_ed25519
";

const ACCOUNTS: &str = "
CREATE DATABASE test; CREATE DATABASE other;
CREATE USER monitor@'%' IDENTIFIED BY 'monitor'; GRANT BINLOG MONITOR ON *.* TO monitor@'%';
CREATE USER maria@'%' IDENTIFIED BY 'maria-pw'; GRANT ALL ON *.* TO maria@'%';
CREATE USER six@'%' IDENTIFIED BY 'six-pw'; GRANT ALL ON test.* TO six@'%';
CREATE USER edward@'%' IDENTIFIED VIA ed25519 USING PASSWORD('edward-pw'); GRANT ALL ON test.* TO edward@'%';
";

/// A running server; it dies with this value.
#[derive(Debug)]
pub(crate) struct Maria {
    directory: PathBuf,
    _process: Owned,
}

impl Maria {
    /// Starts it and gives the proxy hostgroup 3 and the users `maria` and `edward`.
    pub(crate) fn start(bench: &Bench) -> Result<Self> {
        let directory = bench.directory().join("maria");
        fs::create_dir_all(&directory)?;
        let place = directory.display();
        let text = format!(
            "[mariadbd]\nuser=root\n{SETTINGS}datadir={place}/data\nsocket={place}/s\npid_file={place}/pid\n\
             log_error={place}/err.log\nbind_address={ADDRESS},::1\nport=3306\n"
        );
        fs::write(directory.join("my.cnf"), text)?;
        let defaults = format!("--defaults-file={place}/my.cnf");
        let mut install = Command::new("mariadb-install-db");
        install.args([
            &defaults,
            "--user=root",
            "--skip-test-db",
            "--auth-root-authentication-method=normal",
        ]);
        run(&mut install, "apt-get install -y mariadb-server")?;
        let child = start(bench, &directory, &defaults)?;
        let server = Self { directory, _process: child };
        wait::until("MariaDB taking connections", Duration::from_secs(60), || server.query("DO 1").is_ok())
            .with_context(|| {
            tail(&fs::read_to_string(server.directory.join("err.log")).unwrap_or_default(), 8)
        })?;
        server.query(ACCOUNTS)?;
        bench.ok(&format!(
            "admin \"INSERT INTO mysql_servers (hostgroup_id, hostname, port) VALUES (3, '{ADDRESS}', 3306), (4, '::1', 3306); \
             INSERT INTO mysql_users (username, password, default_hostgroup, default_schema) VALUES \
             ('maria', 'maria-pw', 3, 'test'), ('edward', 'edward-pw', 3, 'test'), ('six', 'six-pw', 4, 'test'); \
             LOAD MYSQL SERVERS TO RUNTIME; LOAD MYSQL USERS TO RUNTIME\""
        ))?;
        Ok(server)
    }

    /// Runs SQL as root, by the server's socket.
    pub(crate) fn query(&self, sql: &str) -> Result<String> {
        let mut client = Command::new("mariadb");
        client.args(["--no-defaults", "-uroot", "--skip-column-names", "-S"]).arg(self.directory.join("s"));
        Ok(run(client.args(["-e", sql]), "SQL as root")?.trim_end().to_owned())
    }
}

fn start(bench: &Bench, directory: &Path, defaults: &str) -> Result<Owned> {
    ensure!(Path::new(mariadb::SERVER).exists(), "apt-get install -y mariadb-server");
    let output = fs::File::create(directory.join("out.log"))?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("exec-unit").arg(bench.netns().path()).arg("--").arg(mariadb::SERVER).arg(defaults);
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    command.spawn().map(Owned).context("start mariadbd")
}
