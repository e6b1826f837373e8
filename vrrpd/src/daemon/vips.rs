//! Which addresses a router has, where on this host they belong, and where they are.

use std::net::IpAddr;

use configs::{Appliance, Transport, VrrpVersion};
use vrrpd::arp::Mac;
use vrrpd::fsm::Setup;
use vrrpd::interval::AdvertInterval;
use vrrpd::priority::Priority;

use crate::net::Interface;

/// The virtual addresses of one router.
pub(crate) struct Vips {
    /// Address, prefix length, and the interface if it is not the router's own.
    list: Vec<(IpAddr, u8, Option<String>)>,
    interface: Option<String>,
    host: IpAddr,
    unicast: bool,
}

/// An address on an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) index: u32,
    pub(crate) mac: Option<Mac>,
    pub(crate) address: IpAddr,
    pub(crate) prefix: u8,
}

impl Vips {
    pub(crate) fn new(router: &configs::Router, appliance: &Appliance) -> Vips {
        let list = router.vips.iter().map(|vip| (vip.address, vip.prefix, vip.interface.clone()));
        Vips {
            list: list.collect(),
            interface: router.interface.clone(),
            host: appliance.host.address,
            unicast: router.transport != Transport::Multicast,
        }
    }

    pub(crate) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.list.iter().map(|(address, _, _)| *address)
    }

    pub(crate) fn is_ipv6(&self) -> bool {
        self.addresses().any(|address| address.is_ipv6())
    }

    /// The interface for adverts, and the address that they are sent from: IPv6 multicast wants a link-local one
    /// (RFC 9568 §5.1.2.1), else it is this host's, else, if that is of the other family, one of the interface's.
    pub(crate) fn home<'a>(&self, interfaces: &'a [Interface]) -> Option<(&'a Interface, IpAddr)> {
        let home = match &self.interface {
            Some(name) => interfaces.iter().find(|it| it.name == *name)?,
            None => interfaces.iter().find(|it| it.has(self.host))?,
        };
        let fits = |address: &IpAddr| match address {
            IpAddr::V4(_) => !self.is_ipv6(),
            IpAddr::V6(address) => self.is_ipv6() && (self.unicast || address.is_unicast_link_local()),
        };
        let own = home.addresses.iter().map(|(address, _)| *address);
        let source = if home.has(self.host) && fits(&self.host) {
            Some(self.host)
        } else {
            own.into_iter().find(|it| fits(it) && !self.contains(*it))
        };
        Some((home, source?))
    }

    /// Where the VIPs belong; `None` while an interface is missing or down.
    pub(crate) fn wanted(&self, interfaces: &[Interface]) -> Option<Vec<Placed>> {
        let place = |(address, prefix, name): &(IpAddr, u8, Option<String>)| {
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
    pub(crate) fn is_own(&self, address: IpAddr) -> bool {
        self.host == address
    }

    fn contains(&self, address: IpAddr) -> bool {
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
