//! The drills: what can happen to a host or to what runs on it, one function each. Each begins with three hosts that are well.
//!
//! A drill says what it does and what must hold besides the one thing that always must: one owner for each VIP afterwards.

mod hosts;
mod network;
mod processes;
mod resources;

use anyhow::Result;
pub(crate) use hosts::cut_power;
pub(crate) use processes::signal_proxy;

use super::stage::Stage;
use super::trio::{Layout, Site};

/// One drill.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Drill {
    pub name: &'static str,
    /// Which layouts are worth the time.
    pub layouts: &'static [Layout],
    /// Says nothing about the package's own processes: keepalived can be put through it too.
    pub for_peer: bool,
    /// All is as before when it is over: the next drill may have the same hosts. Waking three others takes longer than most drills.
    pub mends: bool,
    pub run: fn(&mut Stage, &Site) -> Result<()>,
}

const ALL: &[Layout] = &[Layout::SingleVip, Layout::MultiVip, Layout::Ipv6];
const FIRST: &[Layout] = &[Layout::SingleVip];
const BOTH: &[Layout] = &[Layout::SingleVip, Layout::MultiVip];

pub(crate) const DRILLS: &[Drill] = &[
    Drill { name: "proxy-kill", layouts: ALL, for_peer: false, mends: true, run: processes::proxy_kill },
    Drill { name: "proxy-hang", layouts: ALL, for_peer: false, mends: true, run: processes::proxy_hang },
    Drill { name: "vrrpd-kill", layouts: ALL, for_peer: true, mends: true, run: processes::vrrpd_kill },
    Drill { name: "angel-kill", layouts: FIRST, for_peer: false, mends: true, run: processes::angel_kill },
    Drill { name: "stop", layouts: ALL, for_peer: true, mends: true, run: processes::stop },
    Drill { name: "frozen", layouts: ALL, for_peer: true, mends: true, run: hosts::frozen },
    Drill { name: "stalled", layouts: BOTH, for_peer: true, mends: true, run: hosts::stalled },
    Drill { name: "cable", layouts: ALL, for_peer: true, mends: true, run: network::cable },
    Drill { name: "dead-switch", layouts: BOTH, for_peer: true, mends: true, run: network::dead_switch },
    Drill { name: "partition", layouts: ALL, for_peer: true, mends: true, run: network::partition },
    Drill { name: "clock-jump", layouts: FIRST, for_peer: true, mends: true, run: resources::clock_jump },
    Drill { name: "upgrade", layouts: BOTH, for_peer: false, mends: false, run: processes::upgrade },
    Drill { name: "power-off", layouts: ALL, for_peer: true, mends: false, run: hosts::power_off },
    Drill { name: "reboot-each", layouts: FIRST, for_peer: false, mends: false, run: hosts::reboot_each },
    Drill { name: "disk-full", layouts: FIRST, for_peer: false, mends: false, run: resources::disk_full },
    Drill {
        name: "out-of-memory",
        layouts: FIRST,
        for_peer: true,
        mends: false,
        run: resources::out_of_memory,
    },
];
