//! Three MySQL 9.7 servers as a replication group with one primary, one in each database host's namespace.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use super::node::Node;
use super::root::SidRoot;
use super::servers::Servers;
use crate::lab::net::{self, Machine, Network};
use crate::lab::wait;

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

/// The first is elected before the second, and that before the third.
const WEIGHTS: [u8; 3] = [90, 70, 50];

/// A running group. The servers die when this is dropped.
#[derive(Debug)]
pub(crate) struct Group(Servers);

impl Group {
    pub(crate) fn start(root: &SidRoot, network: &Network, directory: &Path) -> Result<Self> {
        let settings = |index: usize, machine: &Machine| member_settings(machine, WEIGHTS[index]);
        let members = Servers::start(root, network, directory, settings)?;
        for (index, member) in members.nodes().enumerate() {
            join(member, index == 0)?;
        }
        Ok(Self(members))
    }

    /// Sends one server a signal.
    pub(crate) fn signal(&self, index: usize, signal: Signal) -> Result<()> {
        self.0.signal(index, signal)
    }

    /// Waits for the end of a server that was killed, and starts it again. Returns when it is a member.
    pub(crate) fn restart(&mut self, index: usize) -> Result<()> {
        join(self.0.restart(index)?, false)
    }

    /// Runs SQL as root on one server, by its socket.
    pub(crate) fn query(&self, index: usize, sql: &str) -> Result<String> {
        self.0.query(index, sql)
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
