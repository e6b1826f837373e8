//! Claim: a proxy that is killed is back before anyone is refused; the VIP stays.

use anyhow::Result;
use nix::sys::signal::Signal;

use super::stage::Stage;

pub(crate) fn run(stage: &mut Stage) -> Result<()> {
    let vip = stage.vip();
    let host = stage.holder(vip)?;
    let before = stage.host(host).proxyd();
    let kill = |cluster: &mut crate::lab::cluster::Cluster| {
        cluster.hosts[host].signal_proxyd(Signal::SIGKILL).map(drop)
    };
    stage.measure("proxyd-kill", vip, kill, |cluster| {
        let now = cluster.hosts[host].proxyd();
        now.is_some() && now != before
    })
}
