//! Three MySQL 9.7 servers as a replication group with one primary, one in each database host's namespace.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use super::root::SidRoot;
use super::server::SMALL;
use super::{run, tail};
use crate::lab::net::{self, Machine, Network};
use crate::lab::netns::Netns;
use crate::lab::{process, wait};

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

/// A restarted member is writable until it has joined: `super_read_only` from the start keeps stray writes out.
const MEMBER: &str = "
log_bin=binlog
super_read_only=ON
plugin_load_add=group_replication.so
group_replication_group_name=6f0c1d8e-3a52-4c2b-9d3f-57a9d4f0e001
group_replication_start_on_boot=OFF
group_replication_recovery_use_ssl=ON
group_replication_member_expel_timeout=0
";

/// A running group. The servers die when this is dropped.
#[derive(Debug)]
pub(crate) struct Group {
    members: Vec<Member>,
    children: Vec<Child>,
}

#[derive(Debug)]
struct Member {
    root: SidRoot,
    machine: Machine,
    netns: Netns,
    directory: PathBuf,
}

impl Group {
    pub(crate) fn start(root: &SidRoot, network: &Network, directory: &Path) -> Result<Self> {
        let template = template(root, &directory.join("template"))?;
        let mut group = Self { members: Vec::new(), children: Vec::new() };
        // The first is elected before the second, and that before the third.
        for (machine, weight) in net::database_hosts().into_iter().zip([90, 70, 50]) {
            let member = Member {
                root: root.clone(),
                netns: network.namespace(&machine.name)?,
                directory: directory.join(machine.address.octets()[3].to_string()),
                machine,
            };
            member.prepare(&template, weight)?;
            group.children.push(member.spawn()?);
            group.members.push(member);
        }
        for (index, member) in group.members.iter().enumerate() {
            member.until_up()?;
            member.join(index == 0)?;
        }
        Ok(group)
    }

    /// Sends one server a signal.
    pub(crate) fn signal(&self, index: usize, signal: Signal) -> Result<()> {
        let child = self.children.get(index).context("no such server")?;
        process::signal(i32::try_from(child.id())?, signal);
        Ok(())
    }

    /// Waits for the end of a server that was killed, and starts it again. Returns when it is a member.
    pub(crate) fn restart(&mut self, index: usize) -> Result<()> {
        let (child, member) = (self.children.get_mut(index), self.members.get(index));
        let (child, member) = child.zip(member).context("no such server")?;
        child.wait()?;
        *child = member.spawn()?;
        member.until_up()?;
        member.join(false)
    }

    /// Runs SQL as root on one server, by its socket.
    pub(crate) fn query(&self, index: usize, sql: &str) -> Result<String> {
        self.members.get(index).context("no such server")?.query(sql)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for child in &mut self.children {
            // Their data is thrown away; one that is dead already is what is wanted.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Member {
    fn prepare(&self, template: &Path, weight: u8) -> Result<()> {
        fs::create_dir_all(&self.directory)?;
        let copied = Command::new("cp").arg("-a").arg(template).arg(self.directory.join("data")).status()?;
        ensure!(copied.success(), "copy the data directory");
        let seeds: Vec<String> =
            net::database_hosts().iter().map(|machine| format!("{}:33061", machine.address)).collect();
        let address = self.machine.address;
        let text = settings(&self.root, &self.directory)
            + MEMBER
            + &format!(
                "bind_address={address}\nport=3306\nserver_id={id}\nreport_host={address}\n\
                 group_replication_local_address={address}:33061\ngroup_replication_group_seeds={seeds}\n\
                 group_replication_member_weight={weight}\n",
                id = address.octets()[3],
                seeds = seeds.join(","),
            );
        fs::write(self.directory.join("my.cnf"), text).context("write my.cnf")
    }

    fn spawn(&self) -> Result<Child> {
        let output = fs::File::create(self.directory.join("out.log"))?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("exec-unit").args(["--hostname", &self.machine.name]).arg(self.netns.path()).arg("--");
        command.args(self.root.program("usr/sbin/mysqld")?);
        command.arg(format!("--defaults-file={}/my.cnf", self.directory.display()));
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        command.spawn().context("start mysqld")
    }

    fn until_up(&self) -> Result<()> {
        let what = format!("MySQL on {}", self.machine.name);
        wait::until(&what, Duration::from_secs(60), || self.query("DO 1").is_ok())
            .with_context(|| self.log_tail())
            .map(drop)
    }

    /// Joins the group, or founds it. Another try is due when the group has not yet expelled what this server was before.
    fn join(&self, first: bool) -> Result<()> {
        let start = "START GROUP_REPLICATION USER = 'repl', PASSWORD = 'repl'";
        if first {
            self.query(&format!(
                "SET GLOBAL group_replication_bootstrap_group = ON; {start}; \
                 SET GLOBAL group_replication_bootstrap_group = OFF"
            ))?;
        }
        let own = "SELECT MEMBER_STATE FROM performance_schema.replication_group_members \
                   WHERE MEMBER_ID = @@server_uuid";
        wait::until(&format!("{} in the group", self.machine.name), Duration::from_secs(90), || {
            match self.query(own).as_deref() {
                Ok("ONLINE") => true,
                Ok("RECOVERING") => false,
                // It says by its state whether it worked.
                _ => self.query(start).is_ok_and(|_| false),
            }
        })
        .with_context(|| self.log_tail())
        .map(drop)
    }

    fn query(&self, sql: &str) -> Result<String> {
        let mut client = self.root.command("usr/bin/mysql")?;
        client.args(["--no-defaults", "-uroot", "--skip-column-names", "-S"]).arg(self.directory.join("s"));
        let answer = run(client.args(["-e", sql]), "SQL as root")?;
        Ok(answer.trim_end().to_owned())
    }

    fn log_tail(&self) -> String {
        tail(&fs::read_to_string(self.directory.join("err.log")).unwrap_or_default(), 12)
    }
}

/// A data directory with the accounts in it and no identity yet.
fn template(root: &SidRoot, directory: &Path) -> Result<PathBuf> {
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
