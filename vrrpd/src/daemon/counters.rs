//! What happened how often, by keepalived's names where it has one.

use serde_json::{Map, Value};
use vrrpd::packet::Discard;

#[derive(Default)]
pub(crate) struct Counters {
    discards: [u64; Discard::ALL.len()],
    pub(crate) advert_rcvd: u64,
    pub(crate) advert_sent: u64,
    pub(crate) advert_send_err: u64,
    pub(crate) become_master: u64,
    pub(crate) release_master: u64,
    pub(crate) pri_zero_rcvd: u64,
    pub(crate) pri_zero_sent: u64,
    /// Version 3 adverts whose checksum has no pseudo-header; accepted.
    pub(crate) checksum_without_pseudo_header: u64,
    pub(crate) garp_sent: u64,
    pub(crate) garp_err: u64,
    pub(crate) vip_err: u64,
    /// VIPs that somebody removed under a master.
    pub(crate) vip_lost: u64,
    pub(crate) vip_stray_removed: u64,
    /// Rivals heard while MASTER.
    pub(crate) split_brain: u64,
    /// ARP of another host that claims a VIP of this MASTER.
    pub(crate) vip_conflict: u64,
    /// Timers that fired more than an advert interval late.
    pub(crate) timer_late: u64,
    pub(crate) connections_reset: u64,
}

impl Counters {
    /// Counts; true when it is worth a line in the log (the 1st, 2nd, 4th, 8th … time).
    pub(crate) fn discard(&mut self, reason: Discard) -> bool {
        let place = Discard::ALL.iter().position(|other| *other == reason);
        let Some(count) = place.and_then(|place| self.discards.get_mut(place)) else { return false };
        *count += 1;
        count.is_power_of_two()
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut map = Map::new();
        for (reason, count) in Discard::ALL.iter().zip(self.discards) {
            map.insert(reason.name().to_owned(), count.into());
        }
        let others = [
            ("advert_rcvd", self.advert_rcvd),
            ("advert_sent", self.advert_sent),
            ("advert_send_err", self.advert_send_err),
            ("become_master", self.become_master),
            ("release_master", self.release_master),
            ("pri_zero_rcvd", self.pri_zero_rcvd),
            ("pri_zero_sent", self.pri_zero_sent),
            ("checksum_without_pseudo_header", self.checksum_without_pseudo_header),
            ("garp_sent", self.garp_sent),
            ("garp_err", self.garp_err),
            ("vip_err", self.vip_err),
            ("vip_lost", self.vip_lost),
            ("vip_stray_removed", self.vip_stray_removed),
            ("split_brain", self.split_brain),
            ("vip_conflict", self.vip_conflict),
            ("timer_late", self.timer_late),
            ("connections_reset", self.connections_reset),
        ];
        map.extend(others.map(|(name, count)| (name.to_owned(), count.into())));
        Value::Object(map)
    }
}
