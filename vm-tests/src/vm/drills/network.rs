//! What happens between the hosts: a cable is pulled, a switch dies, hosts lose sight of one another.

use std::thread;
use std::time::Duration;

use anyhow::Result;

use crate::vm::stage::{Expect, Stage};
use crate::vm::trio::Site;

const AWAY: Duration = Duration::from_secs(4);
const MOVES: Expect = Expect { stays: false, moves: true, nobody_notices: false, nobody_refused: false };

/// The host sees that its carrier is gone.
pub(super) fn cable(stage: &mut Stage, _: &Site) -> Result<()> {
    let owner = stage.owner()?;
    stage.measure("cable out", MOVES, |trio| trio.hosts[owner].cable(false))?;
    thread::sleep(AWAY);
    stage.measure("cable in", Expect::default(), |trio| trio.hosts[owner].cable(true))
}

/// The host sees nothing: its carrier stays, and nobody answers.
pub(super) fn dead_switch(stage: &mut Stage, site: &Site) -> Result<()> {
    let owner = stage.owner()?;
    let port = stage.trio.taps[owner].clone();
    stage.measure("switch dead", MOVES, |trio| {
        trio.absent[owner] = true;
        site.network.attach(&port, false)
    })?;
    thread::sleep(AWAY);
    stage.measure("switch back", Expect::default(), |trio| {
        site.network.attach(&port, true)?;
        trio.absent[owner] = false;
        Ok(())
    })
}

/// The hosts do not see one another, the clients see them all: each takes itself for the last one, until they meet again.
pub(super) fn partition(stage: &mut Stage, site: &Site) -> Result<()> {
    let ports = stage.trio.taps.clone();
    stage.measure("partition and back", Expect::default(), |_| {
        ports.iter().try_for_each(|port| site.network.isolate(port, true))?;
        thread::sleep(AWAY);
        ports.iter().try_for_each(|port| site.network.isolate(port, false))
    })
}
