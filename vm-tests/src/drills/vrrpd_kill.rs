//! Claim: vrrpd comes back inside the master-down interval and keeps the VIP; nobody notices.

use anyhow::Result;
use nix::sys::signal::Signal;

use super::stage::Stage;
use crate::lab::cluster::Cluster;

pub(crate) fn run(stage: &mut Stage) -> Result<()> {
    let vip = stage.vip();
    let host = stage.holder(vip)?;
    let before = stage.host(host).vrrpd()?.starts();
    let kill = |cluster: &mut Cluster| cluster.hosts[host].vrrpd()?.kill(Signal::SIGKILL);
    stage.measure("vrrpd-kill", vip, kill, |cluster| {
        cluster.hosts[host].vrrpd().is_ok_and(|unit| unit.starts() > before && unit.is_ready())
    })
}
