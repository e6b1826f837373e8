//! Which addresses a router has, where on this host they belong, and where they are.

use std::net::{IpAddr, Ipv4Addr};

use configs::{Appliance, VrrpVersion};
use vrrpd::arp::Mac;
use vrrpd::fsm::Setup;
use vrrpd::interval::AdvertInterval;
use vrrpd::priority::Priority;

use crate::net::Interface;

/// The virtual addresses of one router.
pub(crate) struct Vips {
    /// Address, prefix length, and the interface if it is not the router's own.
    list: Vec<(Ipv4Addr, u8, Option<String>)>,
    interface: Option<String>,
    host: Option<Ipv4Addr>,
}

/// An address on an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) index: u32,
    pub(crate) mac: Option<Mac>,
    pub(crate) address: Ipv4Addr,
    pub(crate) prefix: u8,
}

impl Vips {
    /// IPv4 addresses only, so far.
    pub(crate) fn new(router: &configs::Router, appliance: &Appliance) -> Vips {
        let list = router.vips.iter().filter_map(|vip| match vip.address {
            IpAddr::V4(address) => Some((address, vip.prefix, vip.interface.clone())),
            IpAddr::V6(_) => None,
        });
        Vips {
            list: list.collect(),
            interface: router.interface.clone(),
            host: match appliance.host.address {
                IpAddr::V4(address) => Some(address),
                IpAddr::V6(_) => None,
            },
        }
    }

    pub(crate) fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.list.iter().map(|(address, _, _)| *address)
    }

    /// The interface for adverts, and the address that they are sent from.
    pub(crate) fn home<'a>(&self, interfaces: &'a [Interface]) -> Option<(&'a Interface, Ipv4Addr)> {
        let host = self.host?;
        let home = match &self.interface {
            Some(name) => interfaces.iter().find(|it| it.name == *name)?,
            None => interfaces.iter().find(|it| it.has(host))?,
        };
        let own = home.addresses.iter().map(|(address, _)| *address);
        let source = if home.has(host) { Some(host) } else { own.into_iter().find(|it| !self.contains(*it)) };
        Some((home, source?))
    }

    /// Where the VIPs belong; `None` while an interface is missing or down.
    pub(crate) fn wanted(&self, interfaces: &[Interface]) -> Option<Vec<Placed>> {
        let place = |(address, prefix, name): &(Ipv4Addr, u8, Option<String>)| {
            let on = match name {
                Some(name) => interfaces.iter().find(|it| it.name == *name)?,
                None => self.home(interfaces)?.0,
            };
            on.running.then_some(Placed { index: on.index, mac: on.mac, address: *address, prefix: *prefix })
        };
        self.list.iter().map(place).collect()
    }

    /// Where VIPs are, on whatever interface. This host's own address is never among them, owner or not.
    pub(crate) fn present(&self, interfaces: &[Interface]) -> Vec<Placed> {
        let mut found = Vec::new();
        for on in interfaces {
            for (address, prefix) in &on.addresses {
                if self.contains(*address) && !self.is_own(*address) {
                    found.push(Placed { index: on.index, mac: on.mac, address: *address, prefix: *prefix });
                }
            }
        }
        found
    }

    /// The address owner's own address (priority 255): never added, never removed.
    pub(crate) fn is_own(&self, address: Ipv4Addr) -> bool {
        self.host == Some(address)
    }

    fn contains(&self, address: Ipv4Addr) -> bool {
        self.addresses().any(|other| other == address)
    }
}

/// What the state machine is told.
pub(crate) fn setup(router: &configs::Router, appliance: &Appliance) -> Setup {
    Setup {
        priority: Priority(router.priority),
        weight: router.weight,
        rank: router.rank,
        interval: match router.version {
            VrrpVersion::V2 => AdvertInterval::nearest_seconds(router.advert),
            VrrpVersion::V3 => AdvertInterval::nearest(router.advert),
        },
        failback: router.failback,
        address: appliance.host.address,
        grace: appliance.angel.grace,
    }
}
