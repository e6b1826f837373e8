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
    pub leaves: Leaves,
    pub run: fn(&mut Stage, &Site) -> Result<()>,
}

/// How a drill leaves the hosts: waking three others takes longer than most drills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaves {
    /// Any drill may have them.
    AsBefore,
    /// Any but the same one.
    Changed,
    /// One of them is gone.
    OneLess,
}

const ALL: &[Layout] = &[Layout::SingleVip, Layout::MultiVip, Layout::Ipv6];
const FIRST: &[Layout] = &[Layout::SingleVip];
const BOTH: &[Layout] = &[Layout::SingleVip, Layout::MultiVip];

/// In this order those that kill or hang a proxy are farther apart than `crash_window_s`: two crashes of one host would be a crash loop.
pub(crate) const DRILLS: &[Drill] = &[
    drill("proxy-kill", ALL, processes::proxy_kill),
    drill("vrrpd-kill", ALL, processes::vrrpd_kill).for_peer(),
    drill("angel-kill", FIRST, processes::angel_kill),
    drill("stop", ALL, processes::stop).for_peer(),
    drill("frozen", ALL, hosts::frozen).for_peer(),
    drill("stalled", BOTH, hosts::stalled).for_peer(),
    drill("cable", ALL, network::cable).for_peer(),
    drill("dead-switch", BOTH, network::dead_switch).for_peer(),
    drill("proxy-hang", ALL, processes::proxy_hang),
    drill("partition", ALL, network::partition).for_peer(),
    drill("clock-jump", FIRST, resources::clock_jump).for_peer(),
    drill("reboot-each", FIRST, hosts::reboot_each),
    drill("disk-full", FIRST, resources::disk_full),
    drill("out-of-memory", FIRST, resources::out_of_memory).for_peer(),
    drill("upgrade", BOTH, processes::upgrade).leaves(Leaves::Changed),
    drill("power-off", ALL, hosts::power_off).for_peer().leaves(Leaves::OneLess),
];

const fn drill(
    name: &'static str,
    layouts: &'static [Layout],
    run: fn(&mut Stage, &Site) -> Result<()>,
) -> Drill {
    Drill { name, layouts, for_peer: false, leaves: Leaves::AsBefore, run }
}

impl Drill {
    const fn for_peer(self) -> Self {
        Self { for_peer: true, ..self }
    }

    const fn leaves(self, leaves: Leaves) -> Self {
        Self { leaves, ..self }
    }
}
