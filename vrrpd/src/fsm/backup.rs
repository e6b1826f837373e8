//! What a Backup waits for: the times that follow from the adverts it has heard.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::interval::AdvertInterval;
use crate::priority::{Priority, silence};

use super::{Cause, Heard, Setup};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backup {
    /// When the Active router counts as gone.
    pub down_at: Instant,
    /// The Active router's interval, or the own one until it is known.
    pub interval: Duration,
    /// The last advert that was no resignation.
    pub master: Option<Heard>,
    /// Since when adverts have been that router's.
    pub heard_since: Instant,
    /// Since when the Active router has had a lower priority than this one, while this one was live.
    pub lower_since: Option<Instant>,
    /// It overslept and has heard nothing since: it listens once more, but not for ever.
    pub second_look: bool,
    /// An operator asked for the VIP.
    pub takeover: bool,
    /// `down_at` has come, and others of its group are waited for.
    pub due: bool,
    /// What it would mean if `down_at` came.
    pub expiry: Cause,
}

/// Limits of one back-off slot: more than a busy host's jitter, less than anybody would notice.
const SHORTEST_SLOT: Duration = Duration::from_millis(5);
const LONGEST_SLOT: Duration = Duration::from_millis(100);
/// An advert may be so late on any network.
const SHORTEST_LATENESS: Duration = Duration::from_millis(2);

impl Backup {
    /// `paced`: this host's own interval, which holds until another's is known.
    pub(super) fn new(
        now: Instant,
        master: Option<&Heard>,
        paced: AdvertInterval,
        setup: &Setup,
        own: Priority,
    ) -> Backup {
        let interval = master.map_or(paced, |heard| heard.interval).duration();
        let mut backup = Backup {
            down_at: now,
            interval,
            master: master.copied(),
            heard_since: now,
            lower_since: None,
            second_look: false,
            takeover: false,
            due: false,
            expiry: Cause::MasterDown,
        };
        backup.wait_until(now + backup.wait_in_silence(setup, own));
        backup
    }

    fn wait_until(&mut self, down_at: Instant) {
        self.down_at = down_at;
        self.due = false;
    }

    /// This host slept past its time: it cannot know what it missed.
    pub(super) fn look_again(&mut self, now: Instant, setup: &Setup, own: Priority) {
        self.wait_until(now + self.wait_in_silence(setup, own));
        self.second_look = true;
    }

    /// A router resigned: Skew_Time is left to wait, or nothing if it was this one's turn next. The resignation of one whose
    /// successor has been heard already comes late, and means nothing any more.
    pub(super) fn heard_release(&mut self, now: Instant, source: IpAddr, setup: &Setup, own: Priority) {
        if self.master.is_none_or(|heard| heard.source == source) {
            self.wait_until(now + self.wait_after_release(now, setup, own));
            self.expiry = Cause::MasterResigned;
        }
    }

    /// The first in line need not wait for anybody, if it is the only Active router that goes: one that has been heard
    /// alone for an Active_Down_Interval.
    pub(super) fn wait_after_release(&self, now: Instant, setup: &Setup, own: Priority) -> Duration {
        let was_alone =
            self.master.is_some() && now >= self.heard_since + own.active_down_interval(self.interval);
        if was_alone && self.ahead(setup, own) == 0 {
            return Duration::ZERO;
        }
        // A master that has widened its adverts resigns as audibly as any other: only the order of the others matters now, and that goes
        // by what is configured, even where they have been masters that widened theirs.
        let interval = self.interval.min(setup.interval.duration());
        own.skew_time(interval) + self.slots(interval, setup, own)
    }

    /// An advert of a router that may stay Active. `live`: whether time with a lower one counts for fail-back.
    pub(super) fn heard_master(
        &mut self,
        now: Instant,
        heard: &Heard,
        setup: &Setup,
        own: Priority,
        live: bool,
    ) {
        self.interval = heard.interval.duration();
        self.remember(now, heard);
        self.second_look = false;
        // Nothing to take over: the wish must not come true at some later time.
        self.takeover &= heard.priority < own;
        self.wait_until(now + self.wait_in_silence(setup, own));
        self.expiry = Cause::MasterDown;
        self.lower_since =
            if heard.priority < own && live { Some(self.lower_since.unwrap_or(now)) } else { None };
    }

    /// An advert of a router that will be preempted: it does not prolong the wait.
    pub(super) fn heard_lower(&mut self, now: Instant, heard: &Heard) {
        self.remember(now, heard);
        self.expiry = Cause::Preempt;
    }

    fn remember(&mut self, now: Instant, heard: &Heard) {
        if self.master.is_none_or(|before| before.source != heard.source) {
            self.heard_since = now;
        }
        self.master = Some(*heard);
    }

    /// How long an Active router may be silent: three intervals, the Skew_Time and slots. The first in line has nobody to let
    /// go first; its skew only allows for an advert that is a little late.
    pub(super) fn wait_in_silence(&self, setup: &Setup, own: Priority) -> Duration {
        if self.master.is_some() && self.ahead(setup, own) == 0 {
            let late = (self.interval / 10).max(SHORTEST_LATENESS);
            return silence(self.interval) + own.skew_time(self.interval).min(late);
        }
        own.active_down_interval(self.interval) + self.slots(self.interval, setup, own)
    }

    /// Slots for the hosts that may take over before this one.
    fn slots(&self, interval: Duration, setup: &Setup, own: Priority) -> Duration {
        (interval / 4).clamp(SHORTEST_SLOT, LONGEST_SLOT) * u32::from(self.ahead(setup, own))
    }

    /// How many hosts are better placed than this one. The Active router, if it is one of them, is not in line.
    fn ahead(&self, setup: &Setup, own: Priority) -> u8 {
        let master_is_better = self.master.is_some_and(|heard| heard.priority > own);
        setup.rank.saturating_sub(u8::from(master_is_better))
    }
}
