//! Three MySQL 9.7 servers with asynchronous replication by GTID, one in each database host's namespace.
//!
//! A server starts read-only, whatever it was before: who writes is decided by whoever promotes, by SQL.

use std::path::Path;
use std::process::Child;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use super::node::{Node, template};
use super::root::SidRoot;
use crate::lab::net::{self, Network};
use crate::lab::process;

/// A writer that was cut off may have written what nobody has: its rows must not stop replication when it is back.
const REPLICA: &str = "
log_bin=binlog
gtid_mode=ON
enforce_gtid_consistency=ON
super_read_only=ON
replica_exec_mode=IDEMPOTENT
replica_net_timeout=4
skip_replica_start=ON
";

/// The running servers, which know nothing of each other yet. They die when this is dropped.
#[derive(Debug)]
pub(crate) struct Replicas {
    nodes: Vec<Node>,
    children: Vec<Child>,
}

impl Replicas {
    pub(crate) fn start(root: &SidRoot, network: &Network, directory: &Path) -> Result<Self> {
        let template = template(root, &directory.join("template"))?;
        let mut servers = Self { nodes: Vec::new(), children: Vec::new() };
        for machine in net::database_hosts() {
            let node = Node {
                root: root.clone(),
                netns: network.namespace(&machine.name)?,
                directory: directory.join(machine.address.octets()[3].to_string()),
                machine,
            };
            node.prepare(&template, REPLICA)?;
            servers.children.push(node.spawn()?);
            servers.nodes.push(node);
        }
        servers.nodes.iter().try_for_each(Node::until_up)?;
        Ok(servers)
    }

    /// Sends one server a signal.
    pub(crate) fn signal(&self, index: usize, signal: Signal) -> Result<()> {
        let child = self.children.get(index).context("no such server")?;
        process::signal(i32::try_from(child.id())?, signal);
        Ok(())
    }

    /// Waits for the end of a server that was sent a signal, and starts it again.
    pub(crate) fn restart(&mut self, index: usize) -> Result<()> {
        let (child, node) = (self.children.get_mut(index), self.nodes.get(index));
        let (child, node) = child.zip(node).context("no such server")?;
        child.wait()?;
        *child = node.spawn()?;
        node.until_up()
    }

    /// Runs SQL as root on one server, by its socket.
    pub(crate) fn query(&self, index: usize, sql: &str) -> Result<String> {
        self.nodes.get(index).context("no such server")?.query(sql)
    }
}

impl Drop for Replicas {
    fn drop(&mut self) {
        for child in &mut self.children {
            // Their data is thrown away; one that is dead already is what is wanted.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
