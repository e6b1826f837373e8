//! One MySQL 9.7 server in a database host's namespace, with a data directory of its own: what groups and replicas are made of.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::root::SidRoot;
use super::server::SMALL;
use super::{run, tail};
use crate::lab::child::Owned;
use crate::lab::net::Machine;
use crate::lab::netns::Netns;
use crate::lab::wait;

/// One statement a line.
const ACCOUNTS: &str = "\
CREATE DATABASE test;
CREATE USER load_RW@'%' IDENTIFIED BY 'test';
GRANT ALL ON test.* TO load_RW@'%';
CREATE USER monitor@'%' IDENTIFIED BY 'monitor';
GRANT REPLICATION CLIENT ON *.* TO monitor@'%';
GRANT SELECT ON performance_schema.* TO monitor@'%';
CREATE USER repl@'%' IDENTIFIED BY 'repl';
GRANT REPLICATION SLAVE, CONNECTION_ADMIN, BACKUP_ADMIN, GROUP_REPLICATION_STREAM ON *.* TO repl@'%';
";

/// Where and from what a server runs.
#[derive(Debug)]
pub(super) struct Node {
    pub root: SidRoot,
    pub machine: Machine,
    pub netns: Netns,
    pub directory: PathBuf,
}

impl Node {
    /// Its own copy of the template, and its configuration with these settings more.
    pub(super) fn prepare(&self, template: &Path, more: &str) -> Result<()> {
        fs::create_dir_all(&self.directory)?;
        let copied = Command::new("cp").arg("-a").arg(template).arg(self.directory.join("data")).status()?;
        ensure!(copied.success(), "copy the data directory");
        let address = self.machine.address;
        let text = settings(&self.root, &self.directory)
            + &format!(
                "bind_address={address}\nport=3306\nserver_id={id}\nreport_host={address}\n{more}",
                id = address.octets()[3],
            );
        fs::write(self.directory.join("my.cnf"), text).context("write my.cnf")
    }

    pub(super) fn spawn(&self) -> Result<Owned> {
        let output = fs::File::create(self.directory.join("out.log"))?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("exec-unit").args(["--hostname", &self.machine.name]).arg(self.netns.path()).arg("--");
        command.args(self.root.program("usr/sbin/mysqld")?);
        command.arg(format!("--defaults-file={}/my.cnf", self.directory.display()));
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        command.spawn().map(Owned).context("start mysqld")
    }

    pub(super) fn until_up(&self) -> Result<()> {
        let what = format!("MySQL on {}", self.machine.name);
        wait::until(&what, Duration::from_secs(60), || self.query("DO 1").is_ok())
            .with_context(|| self.log_tail())
            .map(drop)
    }

    pub(super) fn query(&self, sql: &str) -> Result<String> {
        let mut client = self.root.command("usr/bin/mysql")?;
        client.args(["--no-defaults", "-uroot", "--skip-column-names", "-S"]).arg(self.directory.join("s"));
        let answer = run(client.args(["-e", sql]), "SQL as root")?;
        Ok(answer.trim_end().to_owned())
    }

    pub(super) fn log_tail(&self) -> String {
        tail(&fs::read_to_string(self.directory.join("err.log")).unwrap_or_default(), 12)
    }
}

/// A data directory with the accounts in it and no identity yet.
pub(super) fn template(root: &SidRoot, directory: &Path) -> Result<PathBuf> {
    fs::create_dir_all(directory)?;
    fs::write(directory.join("my.cnf"), settings(root, directory))?;
    fs::write(directory.join("init.sql"), ACCOUNTS)?;
    let mut initialize = root.command("usr/sbin/mysqld")?;
    initialize.arg(format!("--defaults-file={}/my.cnf", directory.display())).arg("--initialize-insecure");
    initialize.arg(format!("--init-file={}/init.sql", directory.display()));
    run(&mut initialize, "a new data directory")
        .with_context(|| tail(&fs::read_to_string(directory.join("err.log")).unwrap_or_default(), 8))?;
    let data = directory.join("data");
    fs::remove_file(data.join("auto.cnf")).context("forget the server's identity")?;
    Ok(data)
}

fn settings(root: &SidRoot, directory: &Path) -> String {
    format!(
        "[mysqld]\nuser=root\n{SMALL}\
         basedir={usr}\nlc_messages_dir={usr}/share/mysql\ncharacter_sets_dir={usr}/share/mysql/charsets\n\
         plugin_dir={usr}/lib/mysql/plugin\n\
         datadir={directory}/data\nsocket={directory}/s\npid_file={directory}/pid\nlog_error={directory}/err.log\n",
        usr = root.path("usr").display(),
        directory = directory.display(),
    )
}
