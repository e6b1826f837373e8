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
    let host = stage.measure("cable out", MOVES, |trio, owner| trio.hosts[owner].cable(false))?;
    thread::sleep(AWAY);
    stage.measure("cable in", Expect::default(), |trio, _| trio.hosts[host].cable(true)).map(drop)
}

/// The host sees nothing: its carrier stays, and nobody answers.
pub(super) fn dead_switch(stage: &mut Stage, site: &Site) -> Result<()> {
    let host = stage.measure("switch dead", MOVES, |trio, owner| {
        trio.absent[owner] = true;
        site.network.attach(&trio.taps[owner], false)
    })?;
    thread::sleep(AWAY);
    stage
        .measure("switch back", Expect::default(), |trio, _| {
            site.network.attach(&trio.taps[host], true)?;
            trio.absent[host] = false;
            Ok(())
        })
        .map(drop)
}

/// The hosts do not see one another, the clients see them all: each takes itself for the last one, until they meet again.
pub(super) fn partition(stage: &mut Stage, site: &Site) -> Result<()> {
    stage
        .measure("partition and back", Expect::default(), |trio, _| {
            trio.taps.iter().try_for_each(|port| site.network.isolate(port, true))?;
            thread::sleep(AWAY);
            trio.taps.iter().try_for_each(|port| site.network.isolate(port, false))
        })
        .map(drop)
}
