//! VIPs whose owner spreads new connections over the proxies of all hosts (`balance = "ipvs"`).
//!
//! Every host has such a VIP on its loopback, so that it takes what the owner passes on; nobody announces it there. The owner
//! tells the kernel's IPVS which hosts take connections. A host that does not gets no new ones and keeps those that it has.
//! Another owner does not know what the former one has passed on: a host that is neither resets its connections when it hears the
//! new one. Else their clients would wait for answers, and transactions for clients, until somebody's time-out.
//! Where the kernel has no IPVS the owner serves alone, and says so.

use std::net::IpAddr;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use configs::Appliance;
use serde_json::{Value, json};
use vrrpd::ipvs::{Server, Service, Step, Virtual, steps};

use crate::log::log;
use crate::net::{Interface, Ipvs, Poller};

use super::dial::Dial;
use super::kernel::Kernel;
use super::station::{RESET_BUDGET, Station};

/// A kernel without IPVS may get it.
const AGAIN: Duration = Duration::from_secs(60);
const LOOPBACK: &str = "lo";

#[derive(Default)]
pub(crate) struct Balance {
    ipvs: Option<Ipvs>,
    error: Option<String>,
    again_at: Option<Instant>,
    there: Vec<Virtual>,
    dials: Vec<Dial>,
}

impl Balance {
    /// Brings the kernel's services to what the stations want now.
    pub(crate) fn settle(
        &mut self,
        now: Instant,
        appliance: &Appliance,
        stations: &[Station],
        poller: &Poller,
    ) {
        let serves = |it: &&Station| it.config.balanced && it.is_active();
        if !stations.iter().any(|it| serves(&it)) {
            self.dials.clear();
            self.apply(now, Vec::new());
            return;
        }
        self.dial(now, appliance, poller);
        let own = Server { address: appliance.host.address, weight: 1 };
        let others =
            self.dials.iter().map(|it| Server { address: it.address, weight: u32::from(it.answers()) });
        let servers: Vec<Server> = std::iter::once(own).chain(others).collect();
        let services = stations.iter().filter(serves).flat_map(|it| services(&it.config, appliance));
        let wanted = services.map(|service| Virtual { service, servers: servers.clone() }).collect();
        self.apply(now, wanted);
    }

    fn dial(&mut self, now: Instant, appliance: &Appliance, poller: &Poller) {
        let Some(port) = ports(appliance).next() else { return };
        if self.dials.len() != appliance.peers.len() {
            self.dials = appliance.peers.iter().map(|peer| Dial::new(peer.address, port, now)).collect();
        }
        self.dials.iter_mut().for_each(|dial| dial.poll(now, |fd| poller.is_ready(fd)));
    }

    fn apply(&mut self, now: Instant, wanted: Vec<Virtual>) {
        let steps = steps(&self.there, &wanted);
        if steps.is_empty() {
            self.again_at = None;
            return;
        }
        if self.again_at.is_some_and(|at| now < at) {
            return;
        }
        let done = self.open().and_then(|ipvs| steps.iter().try_for_each(|step| ipvs.take(*step)));
        match done {
            Ok(()) => (self.there, self.error, self.again_at) = (wanted, None, None),
            Err(error) => {
                let text = match error.kind() {
                    std::io::ErrorKind::NotFound => {
                        "this kernel has no IPVS (module ip_vs): the owner of the VIP serves alone".to_owned()
                    }
                    _ => error.to_string(),
                };
                log!("error", "not-balanced", "error=\"{text}\"");
                // Half of the steps may have been taken: all are taken again, from the beginning.
                (self.ipvs, self.there) = (None, Vec::new());
                (self.error, self.again_at) = (Some(text), Some(now + AGAIN));
            }
        }
    }

    fn open(&mut self) -> std::io::Result<&Ipvs> {
        match &mut self.ipvs {
            Some(ipvs) => Ok(ipvs),
            none => Ok(none.insert(Ipvs::open()?)),
        }
    }

    pub(crate) fn fds(&self) -> impl Iterator<Item = RawFd> {
        self.dials.iter().filter_map(Dial::fd)
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.dials.iter().map(Dial::deadline).chain(self.again_at).min()
    }

    /// Who gets connections now.
    pub(crate) fn to_json(&self) -> Value {
        let servers =
            self.dials.iter().map(|it| json!({ "address": it.address.to_string(), "answers": it.answers() }));
        json!({ "services": self.there.len(), "others": servers.collect::<Vec<_>>(), "error": self.error })
    }
}

/// Where other hosts' clients can be passed on to: a Unix socket is for this host's own.
fn ports(appliance: &Appliance) -> impl Iterator<Item = u16> {
    appliance.proxy.mysql_listen.iter().filter_map(|place| Some(place.tcp()?.port()))
}

fn services(router: &configs::Router, appliance: &Appliance) -> Vec<Service> {
    ports(appliance)
        .flat_map(|port| router.vips.iter().map(move |vip| Service { address: vip.address, port }))
        .collect()
}

/// The services of a vrrpd that is gone: on a host that is not the owner they would pass on what has been passed on. A
/// kernel without IPVS has none.
pub(crate) fn remove_services(router: &configs::Router, appliance: &Appliance) {
    if !router.balanced {
        return;
    }
    let Ok(ipvs) = Ipvs::open() else { return };
    for service in services(router, appliance) {
        let removed = ipvs.take(Step::Remove(service));
        removed.unwrap_or_else(|error| log!("warn", "service-not-removed", "error=\"{error}\""));
    }
}

/// The services and the addresses on the loopback.
pub(crate) fn remove(
    rtnl: &mut crate::net::Rtnl,
    router: &configs::Router,
    appliance: &Appliance,
    interfaces: &[Interface],
) {
    if !router.balanced {
        return;
    }
    remove_services(router, appliance);
    let Some(loopback) = interfaces.iter().find(|it| it.name == LOOPBACK) else { return };
    for vip in &router.vips {
        let removed = rtnl.remove(loopback.index, vip.address, whole(vip.address));
        removed
            .unwrap_or_else(|error| log!("warn", "vip-not-removed", "vip={} error=\"{error}\"", vip.address));
    }
}

fn whole(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

impl Station {
    /// Sees to it that the loopback has the VIPs of a balanced router, and that nobody learns of it.
    pub(super) fn provide_loopback(&self, interfaces: &[Interface], kernel: &mut Kernel) {
        let loopback = interfaces.iter().find(|it| it.name == LOOPBACK);
        let (Some(loopback), Some((home, _))) = (loopback, self.vips.home(interfaces)) else { return };
        if !self.config.balanced || self.config.vips.iter().all(|vip| loopback.has(vip.address)) {
            return;
        }
        let mut done = kernel.keep_arp_apart(home);
        for vip in &self.config.vips {
            done = done.and(kernel.rtnl.add(loopback.index, vip.address, whole(vip.address)));
        }
        kernel.count(done, "not_added=loopback", &self.config.name);
    }

    /// `former` had the VIP before the last advert.
    pub(super) fn leave_former_owner(&self, former: Option<IpAddr>, kernel: &mut Kernel) {
        let owner = self.router.master();
        let moved = former.is_some() && owner.is_some() && former != owner;
        if !self.config.balanced || self.is_active() || !moved {
            return;
        }
        let before = kernel.counters.connections_reset;
        self.vips.addresses().for_each(|address| kernel.reset(address, RESET_BUDGET));
        let count = kernel.counters.connections_reset - before;
        log!("info", "owner-changed", "router={} connections_reset={count}", self.config.name);
    }

    /// This router is no more.
    pub(super) fn remove_loopback(&self, appliance: &Appliance, kernel: &mut Kernel) {
        if let Ok(interfaces) = kernel.rtnl.interfaces() {
            remove(&mut kernel.rtnl, &self.config, appliance, &interfaces);
        }
    }
}
