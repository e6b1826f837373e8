//! One virtual router and its effects: what the state machine answers is carried out here, in its order.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use configs::{Appliance, Route, Transport, VrrpVersion};
use vrrpd::fsm::{Action, Event, Heard, Router, State};
use vrrpd::pace::Pace;
use vrrpd::packet::{Addresses, Advert, Discard, GROUP, GROUP_V6, MAX_LENGTH, SimpleAuth, Version};
use vrrpd::priority::Priority;

use crate::log::log;
use crate::net::Interface;
use crate::record::RouterId;

use super::history::{History, Transition, wall_clock};
use super::kernel::{Kernel, WireId};
use super::neighbours::{self, Question};
use super::rivals::Told;
use super::vips::{self, Placed, Vips};

/// How long the resets may hold up the removal of an address that another host waits for: tens of thousands of connections. Once the
/// address is gone nobody can reset what is left, and a client that waits for an answer there waits until its own time is up.
pub(super) const RESET_BUDGET: Duration = Duration::from_millis(100);

pub(crate) struct Station {
    pub(crate) config: configs::Router,
    pub(crate) router: Router,
    pub(crate) vips: Vips,
    /// Since when it has been in its state.
    pub(crate) since: Instant,
    pub(crate) history: History,
    pub(super) told: Told,
    pub(super) pace: Pace,
    /// Its line in the record.
    pub(super) place: usize,
    /// A reload made it of one that was Active: the VIPs are here.
    pub(super) inherits: bool,
    version: Version,
    auth: Option<SimpleAuth>,
    addresses: AddressList,
    destinations: Vec<IpAddr>,
    id: RouterId,
    /// Where the VIPs belong.
    placed: Vec<Placed>,
    /// Where they are: what has to go when the router lets go, even if their home has gone before.
    held: Vec<Placed>,
    /// Its routes, each with the interface that it goes over.
    pub(super) routes: Vec<(Route, Option<u32>)>,
    /// The interface with the VIPs' own MAC address.
    pub(super) mac_index: Option<u32>,
    /// The socket it uses; none while it has no interface or no address there.
    pub(crate) wire: Option<WireId>,
    /// Its interface can carry adverts. What is sent into one that cannot would wait in the kernel, and arrive when nobody means it.
    speaks: bool,
    /// How to ask for the hosts that adverts are sent to one by one, as far as they are on this link.
    pub(super) peers: Vec<Question>,
    buffer: [u8; MAX_LENGTH],
    list_warned: bool,
}

impl Station {
    pub(crate) fn new(
        place: usize,
        config: &configs::Router,
        appliance: &Appliance,
        now: Instant,
    ) -> Station {
        let vips = Vips::new(config, appliance);
        let destinations = match &config.transport {
            Transport::Multicast if vips.is_ipv6() => vec![GROUP_V6.into()],
            Transport::Multicast => vec![GROUP.into()],
            Transport::Unicast(peers) => peers.clone(),
        };
        Station {
            router: Router::new(vips::setup(config, appliance), now),
            since: now,
            history: History::default(),
            told: Told::default(),
            pace: Pace::new(vips::setup(config, appliance).interval),
            place,
            inherits: false,
            version: match config.version {
                VrrpVersion::V2 => Version::V2,
                VrrpVersion::V3 => Version::V3,
            },
            auth: config.auth_pass.as_deref().map(SimpleAuth::new),
            addresses: AddressList::new(&vips),
            destinations,
            id: RouterId::of(config),
            placed: Vec::new(),
            held: Vec::new(),
            routes: Vec::new(),
            mac_index: None,
            wire: None,
            speaks: false,
            peers: Vec::new(),
            buffer: [0; MAX_LENGTH],
            list_warned: false,
            vips,
            config: config.clone(),
        }
    }

    /// Version 3's backups adopt what the master says; version 2's discard it.
    pub(super) fn says_its_interval(&self) -> bool {
        self.version == Version::V3
    }

    pub(crate) fn is_multicast(&self) -> bool {
        self.config.transport == Transport::Multicast
    }

    pub(crate) fn is_active(&self) -> bool {
        matches!(self.router.state(), State::Active(_))
    }

    /// Learns where things are on this host. Returns whether adverts could be sent and every VIP be reached.
    pub(crate) fn look_around(&mut self, interfaces: &[Interface]) -> bool {
        let wanted = self.vips.wanted(interfaces);
        let reachable = wanted.is_some();
        self.placed = wanted.unwrap_or_default();
        self.held = self.vips.present(interfaces);
        let home = self.vips.home(interfaces);
        self.wire = home.map(|(interface, source)| WireId {
            interface: interface.name.clone(),
            index: interface.index,
            source,
        });
        self.speaks = home.is_some_and(|(interface, _)| interface.running);
        let on = home.map(|(interface, _)| interface.index).unwrap_or_default();
        let peers = self.unicast_peers().iter().map(|peer| (on, *peer));
        self.peers = neighbours::questions(interfaces, peers, |address| self.vips.is_virtual(address));
        let own = self.vips.own_mac.as_ref();
        self.mac_index =
            interfaces.iter().find(|it| own.is_some_and(|own| own.name == it.name)).map(|it| it.index);
        self.routes = self.find_routes(interfaces);
        if let Some(wire) = &self.wire {
            self.router.set_address(wire.source);
        }
        let runs = |name: &String| interfaces.iter().any(|it| it.name == *name && it.running);
        reachable && self.speaks && self.config.track_interface.iter().all(runs)
    }

    /// Hands an event to the state machine, carries out its actions, and reports a change of state.
    pub(crate) fn handle(&mut self, now: Instant, event: Event, kernel: &mut Kernel) {
        let (prev, cause) = (self.router.word(), self.router.cause());
        for action in self.router.on(now, event) {
            self.perform(action, kernel);
        }
        let next = self.router.word();
        if prev == next && (cause == self.router.cause() || next != "FAULT") {
            return;
        }
        if prev != next {
            self.since = now;
            kernel.counters.become_master += u64::from(next == "MASTER");
            kernel.counters.release_master += u64::from(prev == "MASTER");
        }
        let (name, vrid, priority) = (&self.config.name, self.config.vrid, self.router.priority().0);
        let cause = self.router.cause().word();
        let transition = Transition { at: wall_clock(), prev, next, cause, priority };
        self.history.changed(transition);
        let mut told = transition.to_json();
        (told["event"], told["router"], told["vrid"]) = ("state".into(), name.as_str().into(), vrid.into());
        kernel.events.push(told);
        let state = if next == "INIT" { "STOP" } else { next };
        kernel.notifier.tell(&self.config.notify, name, state, priority);
        log!(
            "info",
            "state",
            "router={name} vrid={vrid} prev={prev} next={next} cause={cause} priority={priority}"
        );
    }

    fn perform(&mut self, action: Action, kernel: &mut Kernel) {
        match action {
            Action::SendAdvert(priority) => self.send(priority, kernel),
            Action::InstallVips => {
                self.switch_mac(true, kernel);
                for vip in self.placed.iter().filter(|vip| !self.vips.is_own(vip.address)) {
                    kernel.install(*vip);
                    if !self.held.contains(vip) {
                        self.held.push(*vip);
                    }
                }
                self.install_routes(kernel);
            }
            Action::RemoveVips => {
                self.remove_routes(kernel);
                for vip in std::mem::take(&mut self.held) {
                    kernel.uninstall(vip);
                }
                self.switch_mac(false, kernel);
                kernel.note(self.place, self.id, false);
            }
            Action::Announce => {
                for vip in &self.placed {
                    kernel.announce(*vip);
                }
                // Who cannot be found does not hear its adverts, and the kernel looks for him once a second.
                self.peers.iter().for_each(|peer| kernel.ask(peer));
            }
            Action::ResetConnections => {
                for address in self.vips.addresses().filter(|address| !self.vips.is_own(*address)) {
                    kernel.reset(address, RESET_BUDGET);
                }
            }
        }
    }

    /// As MASTER, one advert more than is due: this process is about to be away for a moment.
    pub(super) fn advertise_now(&mut self, kernel: &mut Kernel) {
        if self.is_active() {
            self.send(self.router.priority(), kernel);
        }
    }

    /// A reload says nothing new about it; only its neighbours may have changed.
    pub(super) fn stay(&mut self, place: usize, appliance: &Appliance) {
        self.place = place;
        self.vips = Vips::new(&self.config, appliance);
    }

    /// Writes its line of a new record.
    pub(super) fn note(&self, kernel: &mut Kernel) {
        kernel.note(self.place, self.id, self.is_active());
    }

    /// Takes over from the station that had its name before a reload. One that others know by another VRID, version or way
    /// is told to resign; else a MASTER's addresses stay, but for those that are no longer its.
    pub(super) fn inherit(
        &mut self,
        mut former: Station,
        interfaces: &[Interface],
        kernel: &mut Kernel,
        now: Instant,
    ) {
        let (old, new) = (&former.config, &self.config);
        let known_as =
            |it: &configs::Router| (it.vrid, it.version, it.transport.clone(), it.interface.clone(), it.mac);
        let in_place = former.is_active()
            && known_as(old) == known_as(new)
            && former.auth == self.auth
            && former.vips.is_ipv6() == self.vips.is_ipv6();
        if !in_place {
            former.handle(now, Event::Shutdown, kernel);
            return former.remove_mac(kernel);
        }
        for rule in old.rules.iter().filter(|rule| !new.rules.contains(rule)) {
            let removed = kernel.rtnl.remove_rule(rule);
            kernel.count(removed, "not_removed=rule", &new.name);
        }
        for route in old.routes.iter().filter(|route| !new.routes.contains(route)) {
            let removed = kernel.rtnl.remove_route(route);
            kernel.count(removed, "not_removed=route", &new.name);
        }
        let kept = self.vips.wanted(interfaces).unwrap_or_default();
        for gone in former.held.iter().filter(|vip| !kept.contains(vip)) {
            kernel.reset(gone.address, RESET_BUDGET);
            kernel.uninstall(*gone);
        }
        self.inherits = true;
        self.history = std::mem::take(&mut former.history);
    }

    fn send(&mut self, priority: Priority, kernel: &mut Kernel) {
        let advert = Advert {
            version: self.version,
            vrid: self.config.vrid,
            priority,
            interval: self.router.advert_interval(),
            addresses: self.addresses.get(),
            auth: self.auth,
        };
        let released = priority == Priority::RELEASE;
        for destination in &self.destinations {
            let Some(wire) = self.wire.as_ref().filter(|_| self.speaks) else { break };
            if let Some(message) = advert.emit(wire.source, *destination, &mut self.buffer) {
                kernel.send(wire, message, *destination);
            }
        }
        kernel.counters.pri_zero_sent += u64::from(released);
        if !released {
            kernel.note(self.place, self.id, true);
        }
    }

    /// The checks that need this router's settings; an advert that passes goes to the state machine.
    pub(crate) fn hear(&mut self, now: Instant, advert: &Advert<'_>, source: IpAddr, kernel: &mut Kernel) {
        if !self.is_multicast() && !self.destinations.contains(&source) {
            return kernel.discard(Discard::UnknownSource, source);
        }
        let interval = self.router.advert_interval();
        if let Err(reason) = advert.check(self.version, interval, self.auth) {
            return kernel.discard(reason, source);
        }
        kernel.counters.advert_rcvd += 1;
        kernel.counters.pri_zero_rcvd += u64::from(advert.priority == Priority::RELEASE);
        self.compare_addresses(advert, source, kernel);
        let heard = Heard { priority: advert.priority, interval: advert.interval, source };
        self.history.heard(now, heard);
        self.notice_rival(now, &heard, kernel);
        let owner = self.router.master();
        self.handle(now, Event::Advert(heard), kernel);
        self.leave_former_owner(owner, kernel);
    }

    /// The hosts that adverts are sent to one by one; empty with multicast.
    pub(crate) fn unicast_peers(&self) -> &[IpAddr] {
        if self.is_multicast() { &[] } else { &self.destinations }
    }

    /// Another list is a mistake to tell about, but refusing the advert would make two masters of it.
    fn compare_addresses(&mut self, advert: &Advert<'_>, source: IpAddr, kernel: &mut Kernel) {
        let same = self.addresses.get().same(advert.addresses);
        if !same {
            kernel.counters.discard(Discard::AddressList);
            if !self.list_warned {
                let name = &self.config.name;
                log!("warn", "address-list-differs", "router={name} source={source}");
            }
        }
        self.list_warned = !same;
    }

    /// After a change on this host: VIPs that a master misses come back, VIPs that nobody should have here go.
    pub(crate) fn put_right(&mut self, now: Instant, interfaces: &[Interface], kernel: &mut Kernel) {
        let present = self.vips.present(interfaces);
        let is_there =
            |vip: &Placed| present.iter().any(|it| (it.index, it.address) == (vip.index, vip.address));
        if self.is_active() {
            if !self.placed.iter().all(|vip| is_there(vip) || self.vips.is_own(vip.address)) {
                kernel.counters.vip_lost += 1;
                log!("warn", "vip-lost", "router={} times={}", self.config.name, kernel.counters.vip_lost);
                self.handle(now, Event::VipsLost, kernel);
            } else {
                self.keep_routes(kernel);
            }
        } else {
            self.remove_strays(&present, kernel);
        }
    }

    pub(crate) fn remove_strays(&self, present: &[Placed], kernel: &mut Kernel) {
        for stray in present {
            log!("warn", "vip-stray", "router={} vip={}", self.config.name, stray.address);
            kernel.counters.vip_stray_removed += 1;
            kernel.uninstall(*stray);
        }
        if !present.is_empty() {
            self.switch_mac(false, kernel);
        }
    }
}

/// A router's addresses as adverts list them.
enum AddressList {
    V4(Vec<[u8; 4]>),
    V6(Vec<[u8; 16]>),
}

impl AddressList {
    fn new(vips: &Vips) -> AddressList {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for address in vips.addresses() {
            match address {
                IpAddr::V4(address) => v4.push(address.octets()),
                IpAddr::V6(address) => v6.push(address.octets()),
            }
        }
        if vips.is_ipv6() { AddressList::V6(v6) } else { AddressList::V4(v4) }
    }

    fn get(&self) -> Addresses<'_> {
        match self {
            AddressList::V4(list) => Addresses::V4(list),
            AddressList::V6(list) => Addresses::V6(list),
        }
    }
}
