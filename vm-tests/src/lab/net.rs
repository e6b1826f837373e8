//! The network of the article: three proxy hosts, three database hosts and a client on one bridge.
//!
//! Every host is a namespace; the bridge has one of its own, so no address of the lab ever exists outside of namespaces.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result};

use super::netns::Netns;
use super::{teardown, wait};

pub(crate) const CLIENT: &str = "client";
pub(crate) const CLIENT_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 100);

/// A machine on the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Machine {
    pub name: String,
    pub address: Ipv4Addr,
}

impl Machine {
    pub(crate) fn new(name: &str, last: u8) -> Self {
        Self { name: name.into(), address: Ipv4Addr::new(192, 168, 0, last) }
    }
}

/// The article's proxy hosts.
pub(crate) fn proxy_hosts() -> Vec<Machine> {
    vec![Machine::new("test1", 11), Machine::new("test2", 12), Machine::new("test3", 235)]
}

/// The article's database hosts.
pub(crate) fn database_hosts() -> Vec<Machine> {
    vec![Machine::new("galera1h1n5", 5), Machine::new("galera2h2n21", 21), Machine::new("galera1h3n31", 231)]
}

/// The article's virtual addresses.
pub(crate) fn vips() -> [Ipv4Addr; 3] {
    [88, 89, 90].map(|last| Ipv4Addr::new(192, 168, 0, last))
}

/// The bridge, and who hangs on it. Dropping it does nothing: [`teardown`] owns the end.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    switch: Netns,
    machines: BTreeMap<String, (Netns, Ipv4Addr)>,
}

impl Network {
    pub(crate) fn build(machines: &[Machine]) -> Result<Self> {
        teardown::remove_stale();
        let switch = Netns::create(&format!("{}switch", teardown::prefix()))?;
        switch.ip(&["link", "add", "br0", "type", "bridge", "mcast_snooping", "0", "forward_delay", "0"])?;
        switch.ip(&["link", "set", "br0", "up"])?;
        let mut network = Self { switch, machines: BTreeMap::new() };
        for machine in machines.iter().chain([&Machine { name: CLIENT.into(), address: CLIENT_ADDRESS }]) {
            network.plug(machine).with_context(|| format!("connect {}", machine.name))?;
        }
        network.machines.keys().try_for_each(|name| network.wait_for_forwarding(name))?;
        Ok(network)
    }

    fn plug(&mut self, machine: &Machine) -> Result<()> {
        let netns = Netns::create(&format!("{}{}", teardown::prefix(), machine.name))?;
        let port = port(&machine.name);
        self.switch.ip(&[
            "link",
            "add",
            &port,
            "type",
            "veth",
            "peer",
            "name",
            "eth0",
            "netns",
            &netns.name,
        ])?;
        self.switch.ip(&["link", "set", &port, "master", "br0", "up"])?;
        self.machines.insert(machine.name.clone(), (netns, machine.address));
        self.address(&machine.name)
    }

    /// Gives a machine its own address and link, and takes every other address from it: what a boot does.
    pub(crate) fn address(&self, name: &str) -> Result<()> {
        let (netns, address) = self.machines.get(name).with_context(|| format!("no machine {name}"))?;
        netns.ip(&["address", "flush", "dev", "eth0"])?;
        netns.ip(&["neighbour", "flush", "dev", "eth0"])?;
        netns.ip(&["address", "add", &format!("{address}/24"), "brd", "+", "dev", "eth0"])?;
        netns.ip(&["link", "set", "eth0", "up"])?;
        Ok(())
    }

    /// The namespace of the bridge itself.
    pub(crate) fn switch(&self) -> &Netns {
        &self.switch
    }

    /// A port of the switch for a virtual machine: a tap device, which its emulator opens inside the switch's namespace.
    pub(crate) fn tap(&self, name: &str) -> Result<String> {
        let tap = port(name);
        self.switch.ip(&["tuntap", "add", &tap, "mode", "tap"])?;
        self.switch.ip(&["link", "set", &tap, "master", "br0", "up"])?;
        Ok(tap)
    }

    /// Gives a machine one more address.
    pub(crate) fn add_address(&self, name: &str, address: &str) -> Result<()> {
        let more: &[&str] = if address.contains(':') { &["nodad"] } else { &[] };
        let words = ["address", "add", address, "dev", "eth0"];
        self.namespace(name)?.ip(&[&words[..], more].concat()).map(drop)
    }

    /// Cuts ports of the switch off from one another; everybody else still reaches them.
    pub(crate) fn isolate(&self, port: &str, isolated: bool) -> Result<()> {
        let state = if isolated { "on" } else { "off" };
        self.switch.ip(&["link", "set", port, "type", "bridge_slave", "isolated", state]).map(drop)
    }

    /// Unplugs a port at the switch, or plugs it in again: what hangs on it sees nothing of that.
    pub(crate) fn attach(&self, port: &str, attached: bool) -> Result<()> {
        let master: &[&str] = if attached { &["master", "br0"] } else { &["nomaster"] };
        self.switch.ip(&[&["link", "set", port], master].concat()).map(drop)
    }

    pub(crate) fn namespace(&self, name: &str) -> Result<Netns> {
        self.machines.get(name).map(|(netns, _)| netns.clone()).with_context(|| format!("no machine {name}"))
    }

    /// Pulls a machine's cable at the switch: nothing that it still says gets anywhere.
    pub(crate) fn cut(&self, name: &str) -> Result<()> {
        self.switch.ip(&["link", "set", &port(name), "down"]).map(drop)
    }

    /// Puts the cable back.
    pub(crate) fn join(&self, name: &str) -> Result<()> {
        self.switch.ip(&["link", "set", &port(name), "up"])?;
        self.wait_for_forwarding(name)
    }

    /// A port forwards up to a second after its link came up; a host that starts before would find itself alone.
    fn wait_for_forwarding(&self, name: &str) -> Result<()> {
        let forwards = || {
            let shown = self.switch.ip(&["-d", "link", "show", "dev", &port(name)]);
            shown.is_ok_and(|text| text.contains("state forwarding"))
        };
        wait::until(&format!("the switch's port to {name}"), Duration::from_secs(30), forwards).map(drop)
    }
}

/// Interface names have 15 characters at most.
fn port(machine: &str) -> String {
    format!("p-{machine}")
}
