//! Claim: a planned stop hands the VIP over at once; the next host has it before a client has to wait long.

use anyhow::{Result, ensure};

use super::stage::Stage;
use crate::lab::cluster::Cluster;

pub(crate) fn run(stage: &mut Stage) -> Result<()> {
    let vip = stage.vip();
    let host = stage.holder(vip)?;
    let mut willing = false;
    let stop = |cluster: &mut Cluster| {
        willing = cluster.hosts[host].stop();
        Ok(())
    };
    stage.measure("package-stop", vip, stop, |cluster| cluster.holder(vip).is_some_and(|now| now != host))?;
    ensure!(willing, "a unit had to be killed to stop\n{}", stage.host(host).tail("angel"));
    ensure!(!stage.cluster.carries(host, vip), "{vip} was left behind on a stopped host");
    stage.start_package(host)
}
