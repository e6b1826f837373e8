//! MySQL 9.7 servers of one kind, one in each database host's namespace.

use std::path::Path;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use super::node::{Node, template};
use super::root::SidRoot;
use crate::lab::child::Owned;
use crate::lab::net::{self, Machine, Network};
use crate::lab::process;

/// The servers, in the hosts' order. They die with this value.
#[derive(Debug)]
pub(super) struct Servers(Vec<(Node, Owned)>);

impl Servers {
    /// Starts one on each host, with these settings more; waits until all answer.
    pub(super) fn start(
        root: &SidRoot,
        network: &Network,
        directory: &Path,
        settings: impl Fn(usize, &Machine) -> String,
    ) -> Result<Self> {
        let template = template(root, &directory.join("template"))?;
        let mut servers = Vec::new();
        for (index, machine) in net::database_hosts().into_iter().enumerate() {
            let node = Node {
                root: root.clone(),
                netns: network.namespace(&machine.name)?,
                directory: directory.join(machine.address.octets()[3].to_string()),
                machine,
            };
            node.prepare(&template, &settings(index, &node.machine))?;
            let process = node.spawn()?;
            servers.push((node, process));
        }
        servers.iter().try_for_each(|(node, _)| node.until_up())?;
        Ok(Self(servers))
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.0.iter().map(|(node, _)| node)
    }

    /// Sends one server a signal.
    pub(super) fn signal(&self, index: usize, signal: Signal) -> Result<()> {
        let (_, process) = self.0.get(index).context("no such server")?;
        process::signal(process.pid(), signal);
        Ok(())
    }

    /// Waits for the end of a server that was sent a signal, and starts it again. Returns when it answers.
    pub(super) fn restart(&mut self, index: usize) -> Result<&Node> {
        let (node, process) = self.0.get_mut(index).context("no such server")?;
        process.0.wait()?;
        *process = node.spawn()?;
        node.until_up()?;
        Ok(node)
    }

    /// Runs SQL as root on one server, by its socket.
    pub(super) fn query(&self, index: usize, sql: &str) -> Result<String> {
        self.0.get(index).context("no such server")?.0.query(sql)
    }
}
