//! Which addresses a router has, where on this host they belong, and where they are.

use std::net::IpAddr;

use configs::{Appliance, Transport, VrrpVersion};
use vrrpd::arp::Mac;
use vrrpd::fsm::Setup;
use vrrpd::interval::AdvertInterval;
use vrrpd::priority::Priority;

use crate::net::Interface;

use super::virtual_mac::VirtualMac;

/// The virtual addresses of one router.
pub(crate) struct Vips {
    /// Address, prefix length, and the interface if it is not the router's own.
    list: Vec<(IpAddr, u8, Option<String>)>,
    interface: Option<String>,
    pub(crate) own_mac: Option<VirtualMac>,
    /// The loopback has them, too, on every host.
    balanced: bool,
    host: IpAddr,
    unicast: bool,
    /// The VIPs of all routers of this host: none of them is an address to send from.
    virtual_addresses: Vec<IpAddr>,
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
        let vips_of_all = appliance.routers.iter().flat_map(|router| &router.vips);
        let list = router.vips.iter().map(|vip| (vip.address, vip.prefix, vip.interface.clone()));
        Vips {
            list: list.collect(),
            interface: router.interface.clone(),
            own_mac: VirtualMac::of(router),
            balanced: router.balanced,
            host: appliance.host.address,
            unicast: router.transport != Transport::Multicast,
            virtual_addresses: vips_of_all.map(|vip| vip.address).collect(),
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
            own.into_iter().find(|it| fits(it) && !self.is_virtual(*it))
        };
        Some((home, source?))
    }

    /// Where the VIPs belong; `None` while an interface is missing or down.
    pub(crate) fn wanted(&self, interfaces: &[Interface]) -> Option<Vec<Placed>> {
        let place = |(address, prefix, name): &(IpAddr, u8, Option<String>)| {
            let named = self.own_mac.as_ref().map(|own| &own.name).or(name.as_ref());
            let on = match named {
                Some(name) => interfaces.iter().find(|it| it.name == *name)?,
                None => self.home(interfaces)?.0,
            };
            // One of our own is up only while the VIPs are there.
            (on.running || self.own_mac.is_some()).then_some(Placed {
                index: on.index,
                mac: on.mac,
                address: *address,
                prefix: *prefix,
            })
        };
        self.list.iter().map(place).collect()
    }

    /// Where VIPs are, on whatever interface but the loopback of a balanced router. This host's own address is never among them, owner or not.
    pub(crate) fn present(&self, interfaces: &[Interface]) -> Vec<Placed> {
        let mut found = Vec::new();
        for on in interfaces.iter().filter(|it| !(self.balanced && it.name == "lo")) {
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

    /// A VIP of whichever router of this host.
    pub(crate) fn is_virtual(&self, address: IpAddr) -> bool {
        self.virtual_addresses.contains(&address) && !self.is_own(address)
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
        grouped: router.sync.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use configs::{File, Identity};

    use super::*;

    const FILE: &str = r#"
[[hosts]]
name = "a"
address = "10.0.0.1"
[[hosts]]
name = "b"
address = "10.0.0.2"
[vrrp]
transport = "multicast"
[[vip]]
address = ["fe80::88", "fd00::88/64"]
[[vip]]
address = "fe80::89"
[[vip]]
address = "10.0.0.88/24"
"#;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn eth0(addresses: &[(&str, u8)]) -> Interface {
        let addresses = addresses.iter().map(|(address, prefix)| (ip(address), *prefix)).collect();
        Interface { index: 2, name: "eth0".into(), mac: Some([2; 6]), running: true, below: None, addresses }
    }

    #[test]
    fn where_vips_belong_and_adverts_come_from() {
        let file = File::parse("f.toml", FILE).unwrap();
        let appliance = file.appliance(Identity { name: Some("a"), local: &[] }).unwrap();
        let routers: Vec<Vips> =
            appliance.routers.iter().map(|router| Vips::new(router, &appliance)).collect();
        let source = |router: usize, on: &Interface| {
            routers[router].home(std::slice::from_ref(on)).map(|(_, source)| source)
        };

        let mut eth0 =
            eth0(&[("fe80::89", 128), ("fe80::88", 128), ("fd00::1", 64), ("10.0.0.1", 24), ("fe80::1", 64)]);
        for router in [0, 1] {
            assert_eq!(
                source(router, &eth0),
                Some(ip("fe80::1")),
                "neither its own VIP nor another router's"
            );
        }
        assert_eq!(source(2, &eth0), Some(ip("10.0.0.1")));
        assert_eq!(routers[0].wanted(std::slice::from_ref(&eth0)).unwrap().len(), 2);
        assert_eq!(routers[0].present(std::slice::from_ref(&eth0)).len(), 1);
        eth0.addresses.truncate(4);
        assert_eq!(source(0, &eth0), None, "no link-local address yet");
        eth0.addresses.truncate(3);
        assert_eq!(source(2, &eth0), None, "this host's address is how it knows its interface");
        eth0.running = false;
        assert_eq!(routers[0].wanted(std::slice::from_ref(&eth0)), None);
    }

    #[test]
    fn what_is_present_goes_by_its_own_prefix_and_an_owner_keeps_its_address() {
        let file = File::parse("f.toml", FILE).unwrap();
        let mut appliance = file.appliance(Identity { name: Some("a"), local: &[] }).unwrap();
        appliance.host.address = ip("10.0.0.88");
        let eth0 = [eth0(&[("10.0.0.88", 24), ("fe80::89", 64)])];
        let [_, second, owner] = [0, 1, 2].map(|router| Vips::new(&appliance.routers[router], &appliance));
        assert!(owner.is_own(ip("10.0.0.88")) && owner.present(&eth0).is_empty());
        let present: Vec<_> = second.present(&eth0).iter().map(|it| (it.address, it.prefix)).collect();
        assert_eq!(present, [(ip("fe80::89"), 64)]);
    }
}
