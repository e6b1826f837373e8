//! What goes into a router: what it is told once, and the events.

use std::net::IpAddr;
use std::time::Duration;

use configs::Failback;
use health::verdict::Verdict;

use super::Cause;
use crate::interval::AdvertInterval;
use crate::priority::Priority;

/// What a router is told once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// Base priority of this host.
    pub priority: Priority,
    /// Added while the proxy is live.
    pub weight: u8,
    /// Place in the order of preference; 0 is the preferred host.
    pub rank: u8,
    pub interval: AdvertInterval,
    pub failback: Failback,
    /// The primary address, which decides between equal priorities; see [`Router::set_address`].
    pub address: IpAddr,
    /// For so long may the verdict be `Restarting`.
    pub grace: Duration,
    /// It moves together with others.
    pub grouped: bool,
}

/// An advert that passed every check of RFC 9568 §7.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    pub priority: Priority,
    pub interval: AdvertInterval,
    pub source: IpAddr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    Startup,
    /// Startup of a process whose predecessor was Active less than three intervals ago, its VIPs in place.
    Resume,
    Shutdown,
    Deadline,
    Advert(Heard),
    /// The proxy of this host, as the liveness feed has it. Before the first one it counts as `Restarting`.
    Verdict(Verdict),
    /// Whether that proxy knows its backends: one that does not takes nothing back. Before the first one it does.
    Warm(bool),
    /// Whether the interface can carry adverts and has this host's address.
    Link(bool),
    /// What the operator's own checks say: whether this host may serve, and what they add to its priority.
    Checks {
        good: bool,
        weight: i16,
    },
    /// Whether the others of its group are fit for the VIPs, as far as that is their own.
    Partners(bool),
    /// All of its group may take over.
    Together,
    /// One of its group is gone from here.
    LetGo,
    /// The whole machine was suspended for so long, and no timer has noticed.
    Suspended(Duration),
    /// From now on adverts so often: this host cannot keep up what was configured, or can again.
    Interval(AdvertInterval),
    /// A VIP that ought to be there is not.
    VipsLost,
    /// An operator wants the VIP on this host, whatever the fail-back policy.
    Takeover,
    /// An operator wants the VIP on this host now, whatever the priorities.
    Seize,
    /// An operator wants the VIP on the next host in line.
    Yield,
}

/// The events of RFC 9568; a Shutdown knows what it was for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rfc {
    Startup,
    Shutdown(Cause),
    Deadline,
    Advert(Heard),
}
