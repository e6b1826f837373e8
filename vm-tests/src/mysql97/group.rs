//! Three MySQL 9.7 servers as a replication group with one primary, one in each database host's namespace.

use std::path::Path;
use std::process::Child;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use super::node::{Node, template};
use super::root::SidRoot;
use crate::lab::net::{self, Machine, Network};
use crate::lab::{process, wait};

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
    members: Vec<Node>,
    children: Vec<Child>,
}

impl Group {
    pub(crate) fn start(root: &SidRoot, network: &Network, directory: &Path) -> Result<Self> {
        let template = template(root, &directory.join("template"))?;
        let mut group = Self { members: Vec::new(), children: Vec::new() };
        // The first is elected before the second, and that before the third.
        for (machine, weight) in net::database_hosts().into_iter().zip([90, 70, 50]) {
            let member = Node {
                root: root.clone(),
                netns: network.namespace(&machine.name)?,
                directory: directory.join(machine.address.octets()[3].to_string()),
                machine,
            };
            member.prepare(&template, &member_settings(&member.machine, weight))?;
            group.children.push(member.spawn()?);
            group.members.push(member);
        }
        for (index, member) in group.members.iter().enumerate() {
            member.until_up()?;
            join(member, index == 0)?;
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
        join(member, false)
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

/// Group members know each other by these addresses.
fn member_settings(machine: &Machine, weight: u8) -> String {
    let seeds: Vec<String> =
        net::database_hosts().iter().map(|machine| format!("{}:33061", machine.address)).collect();
    MEMBER.to_owned()
        + &format!(
            "group_replication_local_address={address}:33061\ngroup_replication_group_seeds={seeds}\n\
             group_replication_member_weight={weight}\n",
            address = machine.address,
            seeds = seeds.join(","),
        )
}

/// Joins the group, or founds it. Another try is due when the group has not yet expelled what this server was before.
fn join(node: &Node, first: bool) -> Result<()> {
    let start = "START GROUP_REPLICATION USER = 'repl', PASSWORD = 'repl'";
    if first {
        node.query(&format!(
            "SET GLOBAL group_replication_bootstrap_group = ON; {start}; \
             SET GLOBAL group_replication_bootstrap_group = OFF"
        ))?;
    }
    let own = "SELECT MEMBER_STATE FROM performance_schema.replication_group_members \
               WHERE MEMBER_ID = @@server_uuid";
    wait::until(&format!("{} in the group", node.machine.name), Duration::from_secs(90), || {
        match node.query(own).as_deref() {
            Ok("ONLINE") => true,
            Ok("RECOVERING") => false,
            // It says by its state whether it worked.
            _ => node.query(start).is_ok_and(|_| false),
        }
    })
    .with_context(|| node.log_tail())
    .map(drop)
}
