//! A router whose VIPs have a MAC address of their own (RFC 9568 §7.3), the same on every host: clients and switches need
//! learn nothing when they move, but which port leads there.
//!
//! The VIPs are on an interface of that address, which is up only while this host is MASTER. Adverts go out by the
//! interface below it, under the host's own MAC address: switches learn the virtual one from the announcements.

use configs::MacAddress;
use vrrpd::arp::Mac;

use crate::log::log;
use crate::net::Interface;

use super::kernel::Kernel;
use super::station::Station;

/// The interface's name and its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VirtualMac {
    pub(crate) name: String,
    pub(crate) mac: Mac,
}

impl VirtualMac {
    /// By keepalived's names, so that its users find it.
    pub(crate) fn of(router: &configs::Router) -> Option<VirtualMac> {
        let is_ipv6 = router.vips.iter().any(|vip| vip.address.is_ipv6());
        let (name, family) = if is_ipv6 { ("vrrp6", 2) } else { ("vrrp", 1) };
        let mac = [0x00, 0x00, 0x5e, 0x00, family, router.vrid];
        (router.mac == MacAddress::Virtual)
            .then(|| VirtualMac { name: format!("{name}.{}", router.vrid), mac })
    }
}

impl Station {
    /// Makes the interface where it is missing; that it is there is told like any other change of links.
    pub(super) fn provide_mac(&self, interfaces: &[Interface], kernel: &mut Kernel) {
        let Some(own) = &self.vips.own_mac else { return };
        let Some((below, _)) = self.vips.home(interfaces) else { return };
        match interfaces.iter().find(|it| it.name == own.name) {
            Some(there) if there.below == Some(below.index) && there.mac == Some(own.mac) => return,
            Some(_) => kernel.forget_mac(own),
            None => {}
        }
        let added = kernel.rtnl.add_macvlan(below.index, &own.name, own.mac);
        if let Err(error) = added.and_then(|()| kernel.keep_arp_apart(below)) {
            kernel.counters.vip_err += 1;
            log!("error", "no-virtual-mac", "interface={} error=\"{error}\"", own.name);
        }
    }

    /// Before VIPs are put there, and after they have left.
    pub(super) fn switch_mac(&self, up: bool, kernel: &mut Kernel) {
        let Some(index) = self.mac_index else { return };
        if let Err(error) = kernel.rtnl.switch(index, up) {
            kernel.counters.vip_err += 1;
            log!("error", "virtual-mac-not-switched", "up={up} error=\"{error}\"");
        }
    }

    /// This router is no more.
    pub(super) fn remove_mac(&self, kernel: &mut Kernel) {
        if let Some(own) = &self.vips.own_mac {
            kernel.forget_mac(own);
        }
    }
}

impl Kernel {
    fn forget_mac(&mut self, own: &VirtualMac) {
        if let Err(error) = self.rtnl.remove_link(&own.name) {
            log!("warn", "virtual-mac-not-removed", "interface={} error=\"{error}\"", own.name);
        }
    }
}
