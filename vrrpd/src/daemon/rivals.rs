//! What a MASTER notices of others that think they are it: adverts of a second master, ARP of a second owner; and of itself:
//! timers that fire late. Counted, told, and kept out of the state machine, which has its own answer to adverts.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use serde_json::json;
use vrrpd::arp::Mac;
use vrrpd::fsm::{Event, Heard};
use vrrpd::priority::{Priority, silence};

use crate::log::log;

use super::history::millis;
use super::kernel::Kernel;
use super::station::Station;

/// The same rival again is told of no sooner.
const AGAIN: Duration = Duration::from_secs(10);

/// What has been told already.
#[derive(Default)]
pub(crate) struct Told {
    rival: Option<(IpAddr, Instant)>,
    conflict: Option<(Mac, Instant)>,
}

impl Station {
    /// An advert that this MASTER is about to answer. One that came within three intervals of the takeover may have crossed it.
    pub(super) fn notice_rival(&mut self, now: Instant, heard: &Heard, kernel: &mut Kernel) {
        let settled =
            now.saturating_duration_since(self.since) > silence(self.router.advert_interval().duration());
        if !self.is_active() || heard.priority == Priority::RELEASE || !settled {
            return;
        }
        kernel.counters.split_brain += 1;
        if self.told.rival.is_some_and(|(rival, at)| rival == heard.source && now < at + AGAIN) {
            return;
        }
        self.told.rival = Some((heard.source, now));
        let (own, cause) = (self.router.priority().0, self.router.cause().word());
        let (name, rival, theirs) = (&self.config.name, heard.source, heard.priority.0);
        let since = millis(now.saturating_duration_since(self.since));
        let keeps = !self.router.yields_to(heard);
        log!(
            "warn",
            "split-brain",
            "router={name} rival={rival} rival_priority={theirs} priority={own} cause={cause} since_ms={since} keeps={keeps}"
        );
        kernel.events.push(json!({
            "event": "split-brain", "router": name, "rival": rival.to_string(), "rival_priority": theirs,
            "priority": own, "cause": cause, "since_ms": since, "keeps": keeps,
        }));
    }

    /// Somebody on this link says that it has an address. The former owner's last words do not count.
    pub(super) fn notice_claim(&mut self, now: Instant, mac: Mac, address: Ipv4Addr, kernel: &mut Kernel) {
        let settled = now.saturating_duration_since(self.since) > Duration::from_secs(1);
        if !self.is_active() || !settled || !self.vips.addresses().any(|vip| vip == IpAddr::V4(address)) {
            return;
        }
        kernel.counters.vip_conflict += 1;
        if self.told.conflict.is_some_and(|(other, at)| other == mac && now < at + AGAIN) {
            return;
        }
        self.told.conflict = Some((mac, now));
        let octets = mac.map(|octet| format!("{octet:02x}")).join(":");
        let name = &self.config.name;
        log!("error", "vip-conflict", "router={name} vip={address} other={octets}");
        kernel.events.push(json!({
            "event": "vip-conflict", "router": name, "vip": address.to_string(), "other": octets,
        }));
        self.handle(now, Event::VipsLost, kernel);
    }

    /// A timer fired. A MASTER of version 3 that cannot keep its interval says so, and advertises less often.
    pub(super) fn notice_lateness(&mut self, now: Instant, late: Duration, kernel: &mut Kernel) {
        kernel.counters.timer_late += u64::from(late > self.router.advert_interval().duration());
        if !self.is_active() || !self.says_its_interval() {
            return;
        }
        let Some(interval) = self.pace.fired(now, late) else { return };
        let (name, every) = (&self.config.name, millis(interval.duration()));
        let why =
            if self.pace.is_wide() { "timers fire late on this host" } else { "timers fire in time again" };
        log!("warn", "interval", "router={name} advert_ms={every} why=\"{why}\"");
        kernel.events.push(json!({ "event": "interval", "router": name, "advert_ms": every, "why": why }));
        self.handle(now, Event::Interval(interval), kernel);
    }
}
