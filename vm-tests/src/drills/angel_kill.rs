//! Claim: the sockets and the proxy outlive the angel; its successor adopts them and nobody notices.

use anyhow::Result;
use nix::sys::signal::Signal;

use super::stage::Stage;
use crate::lab::cluster::Cluster;

pub(crate) fn run(stage: &mut Stage) -> Result<()> {
    let vip = stage.vip();
    let host = stage.holder(vip)?;
    let before = stage.host(host).angel()?.starts();
    let kill = |cluster: &mut Cluster| cluster.hosts[host].angel()?.kill(Signal::SIGKILL);
    stage.measure("angel-kill", vip, kill, |cluster| {
        cluster.hosts[host].angel().is_ok_and(|unit| unit.starts() > before && unit.is_ready())
    })
}
