//! VIPs that a dead vrrpd left behind: `standfast-vrrpd --cleanup`, run by `ExecStopPost=`.
//!
//! A VIP must not stay on a host that no longer advertises it, but a vrrpd that systemd restarts within a moment
//! takes its VIP up again, and then removing it would cost clients what the restart does not. So:
//!
//! - another vrrpd runs (it holds the lock): nothing to do;
//! - no router was Active within three of its intervals (a clean stop has said so in the record): remove at once;
//! - else a **guard** stays behind, a process of its own, which removes the VIPs when they are over unless
//!   a new vrrpd has taken the lock by then. Its peers take over no earlier than that.
//!
//! The guard must outlive the unit's stop phase: the unit has `KillMode=process`.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use configs::Appliance;
use vrrpd::priority::silence;

use crate::cli::Arguments;
use crate::daemon::vips::{self, Vips};
use crate::daemon::{acceptance, arp_settings, balance, routing};
use crate::log::log;
use crate::net::Rtnl;
use crate::record::{LastAdverts, Lock, RouterId, boot_time};

/// How often the guard looks for a new vrrpd.
const LOOK: Duration = Duration::from_millis(5);

/// `--cleanup`: see above.
pub(crate) fn cleanup(appliance: &Appliance, arguments: &Arguments) -> io::Result<()> {
    let Some(lock) = Lock::try_take(&appliance.paths.run_dir)? else {
        return Ok(());
    };
    if time_left(appliance).is_zero() {
        return remove(appliance, "cleanup");
    }
    // The guard would take whoever holds it for a new vrrpd; on a busy host this process may be there for a while yet.
    drop(lock);
    let mut guard = Command::new(std::env::current_exe()?);
    guard.args(arguments.again("--guard")).stdin(Stdio::null()).stdout(Stdio::null());
    // SAFETY: between fork and exec only setsid(2) is called, which is async-signal-safe.
    unsafe {
        guard.pre_exec(|| nix::unistd::setsid().map(|_| ()).map_err(io::Error::from));
    }
    guard.spawn().map(|_| ())
}

/// `--guard`: waits, looks, and removes.
pub(crate) fn guard(appliance: &Appliance) -> io::Result<()> {
    loop {
        let left = time_left(appliance);
        match Lock::try_take(&appliance.paths.run_dir)? {
            None => return Ok(()),
            Some(_lock) if left.is_zero() => return remove(appliance, "guard"),
            Some(lock) => drop(lock),
        }
        sleep(LOOK.min(left));
    }
}

/// Until the last router that was Active counts as gone with its peers.
fn time_left(appliance: &Appliance) -> Duration {
    let (last, now) = (LastAdverts::read(&appliance.paths.run_dir), boot_time());
    let left = |router: &configs::Router| {
        let setup = vips::setup(router, appliance);
        let down = silence(setup.interval.duration());
        Some(down.saturating_sub(last.age(RouterId::of(router), now)?))
    };
    appliance.routers.iter().filter_map(left).max().unwrap_or_default()
}

fn remove(appliance: &Appliance, cause: &str) -> io::Result<()> {
    let mut rtnl = Rtnl::open()?;
    let interfaces = rtnl.interfaces()?;
    for router in &appliance.routers {
        let vips = Vips::new(router, appliance);
        if let Err(error) = routing::remove(&mut rtnl, router) {
            log!("warn", "routing", "router={} not_removed=route error=\"{error}\"", router.name);
        }
        for stray in vips.present(&interfaces) {
            log!("warn", "vip-removed", "router={} vip={} cause={cause}", router.name, stray.address);
            rtnl.remove(stray.index, stray.address, stray.prefix)?;
        }
        balance::remove(&mut rtnl, router, appliance, &interfaces);
        if let Some(own) = &vips.own_mac {
            rtnl.remove_link(&own.name)?;
        }
    }
    acceptance::remove(&appliance.paths.run_dir);
    arp_settings::restore(&mut rtnl, &appliance.paths.run_dir, &interfaces, &[]);
    Ok(())
}
