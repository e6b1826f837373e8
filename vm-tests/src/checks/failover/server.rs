//! One database server of either kind on an address of its own inside a namespace: started, killed, stopped, started again,
//! and made a replica of another.

use std::fs::{self, File};
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use crate::checks::pair;
use crate::lab::child::Owned;
use crate::lab::netns::Netns;
use crate::lab::{process, wait};
use crate::mysql97::root::SidRoot;
use crate::mysql97::{self, server};

pub(super) const PORT: u16 = 3306;

/// Whose server it is.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    MariaDb,
    MySql(SidRoot),
}

const MARIADB_ACCOUNTS: &str = "
USE mysql;
FLUSH PRIVILEGES;
CREATE DATABASE test;
CREATE USER app@'%' IDENTIFIED VIA mysql_native_password USING PASSWORD('app');
CREATE USER few@'%' IDENTIFIED VIA mysql_native_password USING PASSWORD('few');
GRANT ALL ON test.* TO app@'%', few@'%';
CREATE USER monitor@'%' IDENTIFIED VIA mysql_native_password USING PASSWORD('monitor');
GRANT REPLICATION CLIENT, REPLICA MONITOR ON *.* TO monitor@'%';
CREATE USER repl@'%' IDENTIFIED VIA mysql_native_password USING PASSWORD('repl');
GRANT REPLICATION SLAVE ON *.* TO repl@'%';
";

/// One statement a line, as `--init-file` wants it.
const MYSQL_ACCOUNTS: &str = "\
CREATE DATABASE test;
CREATE USER app@'%' IDENTIFIED BY 'app';
CREATE USER few@'%' IDENTIFIED BY 'few';
GRANT ALL ON test.* TO app@'%', few@'%';
CREATE USER monitor@'%' IDENTIFIED BY 'monitor';
GRANT REPLICATION CLIENT ON *.* TO monitor@'%';
CREATE USER repl@'%' IDENTIFIED BY 'repl';
GRANT REPLICATION SLAVE ON *.* TO repl@'%';
";

impl Kind {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Kind::MariaDb => "MariaDB",
            Kind::MySql(_) => "MySQL 9.7",
        }
    }

    fn program(&self) -> Result<Vec<String>> {
        match self {
            Kind::MariaDb => Ok(vec!["/usr/sbin/mariadbd".into()]),
            Kind::MySql(root) => root.program("usr/sbin/mysqld"),
        }
    }

    fn client(&self) -> Result<Command> {
        match self {
            Kind::MariaDb => Ok(Command::new("mariadb")),
            Kind::MySql(root) => root.command("usr/bin/mysql"),
        }
    }

    fn settings(&self, directory: &Path) -> String {
        let common = format!(
            "datadir={place}/data\nsocket={place}/s\npid_file={place}/pid\nlog_error={place}/err.log\n",
            place = directory.display()
        );
        match self {
            Kind::MariaDb => format!("[mariadbd]\n{}{common}", pair::SMALL),
            Kind::MySql(root) => format!(
                "[mysqld]\nuser=root\n{}basedir={usr}\nlc_messages_dir={usr}/share/mysql\n\
                 character_sets_dir={usr}/share/mysql/charsets\nplugin_dir={usr}/lib/mysql/plugin\n{common}",
                server::SMALL,
                usr = root.path("usr").display(),
            ),
        }
    }

    /// What makes a server a source and a replica.
    fn replication(&self) -> &'static str {
        match self {
            Kind::MariaDb => {
                "log_bin=binlog\nmax_binlog_size=16M\nbinlog_expire_logs_seconds=120\nlog_slave_updates=ON\ngtid_strict_mode=ON\ninnodb_flush_log_at_trx_commit=2\n"
            }
            Kind::MySql(_) => {
                "log_bin=binlog\nmax_binlog_size=16M\nbinlog_expire_logs_seconds=120\ngtid_mode=ON\nenforce_gtid_consistency=ON\n"
            }
        }
    }

    /// A data directory with the accounts in it and no identity.
    pub(super) fn template(&self, directory: &Path) -> Result<PathBuf> {
        fs::create_dir_all(directory)?;
        let config = directory.join("my.cnf");
        fs::write(&config, self.settings(directory))?;
        let defaults = format!("--defaults-file={}", config.display());
        let data = directory.join("data");
        match self {
            Kind::MariaDb => {
                let mut install = Command::new("mariadb-install-db");
                install.args([&defaults, "--user=root", "--skip-test-db"]);
                install.arg("--auth-root-authentication-method=normal");
                mysql97::run(&mut install, "a new data directory")?;
                let mut bootstrap = Command::new("mariadbd")
                    .args([&defaults, "--bootstrap", "--skip-log-bin"])
                    .stdin(Stdio::piped())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .spawn()?;
                bootstrap.stdin.take().context("stdin")?.write_all(MARIADB_ACCOUNTS.as_bytes())?;
                ensure!(bootstrap.wait()?.success(), "the accounts could not be made");
            }
            Kind::MySql(root) => {
                let accounts = directory.join("init.sql");
                fs::write(&accounts, MYSQL_ACCOUNTS)?;
                let mut initialize = root.command("usr/sbin/mysqld")?;
                initialize.args([&defaults, "--initialize-insecure"]);
                initialize.arg(format!("--init-file={}", accounts.display()));
                mysql97::run(&mut initialize, "a new data directory")?;
                fs::remove_file(data.join("auto.cnf")).context("forget the server's identity")?;
            }
        }
        Ok(data)
    }
}

/// A server; it dies with this value, or with its namespace.
#[derive(Debug)]
pub(crate) struct Server {
    pub address: Ipv4Addr,
    kind: Kind,
    netns: Netns,
    directory: PathBuf,
    child: Owned,
}

impl Server {
    pub(super) fn start(
        kind: &Kind,
        netns: &Netns,
        directory: &Path,
        template: &Path,
        address: Ipv4Addr,
    ) -> Result<Self> {
        fs::create_dir_all(directory)?;
        let copied = Command::new("cp").arg("-a").arg(template).arg(directory.join("data")).status()?;
        ensure!(copied.success(), "copy the data directory");
        let own = format!(
            "{}bind_address={address}\nreport_host={address}\nport={PORT}\nserver_id={}\n",
            kind.replication(),
            address.octets()[3]
        );
        fs::write(directory.join("my.cnf"), kind.settings(directory) + &own)?;
        let child = spawn(kind, netns, directory, false)?;
        let server =
            Self { address, kind: kind.clone(), netns: netns.clone(), directory: directory.into(), child };
        server.until_up()?;
        Ok(server)
    }

    fn until_up(&self) -> Result<()> {
        wait::until("the server", Duration::from_secs(60), || self.query("DO 1").is_ok())
            .with_context(|| {
                mysql97::tail(&fs::read_to_string(self.directory.join("err.log")).unwrap_or_default(), 8)
            })
            .map(drop)
    }

    /// Runs SQL as root, by the server's socket.
    pub(crate) fn query(&self, sql: &str) -> Result<String> {
        let mut client = self.kind.client()?;
        client.args(["--no-defaults", "-uroot", "--skip-column-names", "-S"]).arg(self.directory.join("s"));
        let answer = mysql97::run(client.args(["-e", sql]), "SQL as root")?;
        Ok(answer.trim_end().to_owned())
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        process::signal(self.child.pid(), signal);
        Ok(())
    }

    /// `kill -9`; returns when it is dead, which it may have been before.
    pub(crate) fn kill(&mut self) -> Result<()> {
        if self.child.0.try_wait()?.is_some() {
            return Ok(());
        }
        self.signal(Signal::SIGKILL)?;
        self.child.0.wait()?;
        Ok(())
    }

    /// Starts one that was killed. A replica takes no writes from its first moment.
    pub(crate) fn restart(&mut self, read_only: bool) -> Result<()> {
        self.child = spawn(&self.kind, &self.netns, &self.directory, read_only)?;
        self.until_up()
    }

    pub(crate) fn set_read_only(&self, on: bool) -> Result<()> {
        self.query(&format!("SET GLOBAL read_only={}", u8::from(on))).map(drop)
    }

    /// Follows another server from where it is itself. `demoted` was a source until now.
    pub(crate) fn follow(&self, source: &Server, demoted: bool) -> Result<()> {
        let address = source.address;
        let sql = match self.kind {
            Kind::MariaDb => format!(
                "CHANGE MASTER TO MASTER_HOST='{address}', MASTER_PORT={PORT}, MASTER_USER='repl', \
                 MASTER_PASSWORD='repl', MASTER_CONNECT_RETRY=1, MASTER_USE_GTID=slave_pos{}; START SLAVE",
                if demoted { ", MASTER_DEMOTE_TO_SLAVE=1" } else { "" }
            ),
            Kind::MySql(_) => format!(
                "CHANGE REPLICATION SOURCE TO SOURCE_HOST='{address}', SOURCE_PORT={PORT}, SOURCE_USER='repl', \
                 SOURCE_PASSWORD='repl', SOURCE_CONNECT_RETRY=1, SOURCE_AUTO_POSITION=1, \
                 GET_SOURCE_PUBLIC_KEY=1; START REPLICA"
            ),
        };
        self.query(&sql).map(drop)
    }

    /// Follows again whom it followed before it died.
    pub(crate) fn start_replica(&self) -> Result<()> {
        let sql = match self.kind {
            Kind::MariaDb => "START SLAVE",
            Kind::MySql(_) => "START REPLICA",
        };
        self.query(sql).map(drop)
    }

    /// Returns when all that `source` has written is here.
    pub(crate) fn catch_up_with(&self, source: &Server) -> Result<()> {
        let (position, wait) = match self.kind {
            Kind::MariaDb => ("SELECT @@gtid_binlog_pos", "SELECT MASTER_GTID_WAIT('{}', 30)"),
            Kind::MySql(_) => ("SELECT @@gtid_executed", "SELECT WAIT_FOR_EXECUTED_GTID_SET('{}', 30)"),
        };
        let position = source.query(position)?.replace("\\n", "").replace('\n', "");
        let caught_up = self.query(&wait.replace("{}", &position))?;
        ensure!(caught_up == "0", "{} has not caught up: {caught_up}", self.address);
        Ok(())
    }

    /// Stops following, and takes writes.
    pub(crate) fn promote(&self) -> Result<()> {
        let sql = match self.kind {
            Kind::MariaDb => "STOP SLAVE; RESET SLAVE ALL",
            Kind::MySql(_) => "STOP REPLICA; RESET REPLICA ALL",
        };
        self.query(sql)?;
        self.set_read_only(false)
    }
}

fn spawn(kind: &Kind, netns: &Netns, directory: &Path, read_only: bool) -> Result<Owned> {
    let output = File::create(directory.join("out.log"))?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("exec-unit").arg(netns.path()).arg("--").args(kind.program()?);
    command.arg(format!("--defaults-file={}/my.cnf", directory.display()));
    command.arg(format!("--read-only={}", u8::from(read_only)));
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    command.spawn().map(Owned).context("start the database")
}
