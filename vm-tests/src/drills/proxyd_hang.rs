//! Claim: a proxy that stands still is noticed, killed and replaced; clients wait, the address does not go dark.

use anyhow::Result;
use nix::sys::signal::Signal;

use super::stage::Stage;

pub(crate) fn run(stage: &mut Stage) -> Result<()> {
    let vip = stage.vip();
    let host = stage.holder(vip)?;
    let before = stage.host(host).proxyd();
    let hang = |cluster: &mut crate::lab::cluster::Cluster| {
        cluster.hosts[host].signal_proxyd(Signal::SIGSTOP).map(drop)
    };
    stage.measure("proxyd-hang", vip, hang, |cluster| {
        let now = cluster.hosts[host].proxyd();
        now.is_some() && now != before
    })
}
