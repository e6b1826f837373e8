//! What happens to a whole host: its power goes, its time stands still, it is rebooted.

use std::thread;
use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;
use serde_json::json;

use crate::vm::stage::{Expect, LIMIT, Stage};
use crate::vm::trio::{Site, Trio};

/// Long enough for the others to have taken over and to have settled.
const AWAY: Duration = Duration::from_secs(4);
const MOVES: Expect = Expect { stays: false, moves: true, nobody_notices: false, nobody_refused: false };

pub(crate) fn cut_power(trio: &mut Trio, host: usize) -> Result<()> {
    trio.hosts[host].signal(Signal::SIGKILL)?;
    trio.hosts[host].power_off()
}

pub(super) fn power_off(stage: &mut Stage, _: &Site) -> Result<()> {
    stage.measure("power-off", MOVES, cut_power).map(drop)
}

/// A host that its hypervisor holds: no time passes inside. It wakes up and believes that nothing has happened.
pub(super) fn frozen(stage: &mut Stage, _: &Site) -> Result<()> {
    let host = stage.measure("frozen", MOVES, |trio, owner| {
        trio.absent[owner] = true;
        trio.hosts[owner].monitor("stop", json!({})).map(drop)
    })?;
    thread::sleep(AWAY);
    stage
        .measure("frozen: wakes", Expect::default(), |trio, _| {
            trio.absent[host] = false;
            trio.hosts[host].monitor("cont", json!({})).map(drop)
        })
        .map(drop)
}

/// A host that gets no processor: time has passed when it goes on.
pub(super) fn stalled(stage: &mut Stage, _: &Site) -> Result<()> {
    let host = stage.measure("stalled", MOVES, |trio, owner| {
        trio.absent[owner] = true;
        trio.hosts[owner].signal(Signal::SIGSTOP)
    })?;
    thread::sleep(AWAY);
    stage
        .measure("stalled: goes on", Expect::default(), |trio, _| {
            trio.absent[host] = false;
            trio.hosts[host].signal(Signal::SIGCONT)
        })
        .map(drop)
}

/// One after the other, the owner first; each is back and takes part before the next one goes.
pub(super) fn reboot_each(stage: &mut Stage, _: &Site) -> Result<()> {
    let first = stage.owner()?;
    for step in 0..stage.trio.hosts.len() {
        let host = (first + step) % stage.trio.hosts.len();
        let name = format!("reboot {}", stage.trio.hosts[host].name());
        stage.measure(&name, Expect::default(), |trio, _| {
            // The answer may never come: the host goes down meanwhile.
            drop(trio.hosts[host].begin("systemctl reboot")?);
            trio.hosts[host].wait_until_off(LIMIT)?;
            trio.hosts[host].power_on()?;
            trio.hosts[host].wait_until_up()?;
            trio.wait_for(
                host,
                "the product after a boot",
                LIMIT,
                "systemctl --quiet is-active standfast-vrrpd standfast-angel",
            )
        })?;
    }
    Ok(())
}
