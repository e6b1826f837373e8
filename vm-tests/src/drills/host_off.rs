//! Claim: a host that loses its power is replaced within four adverts, and never do two masters answer.

use anyhow::Result;

use super::stage::Stage;
use crate::lab::cluster::Cluster;

pub(crate) fn run(stage: &mut Stage) -> Result<()> {
    let vip = stage.vip();
    let host = stage.holder(vip)?;
    let off = |cluster: &mut Cluster| cluster.hosts[host].power_off();
    stage.measure("host-off", vip, off, |cluster| {
        cluster.vips().iter().all(|vip| cluster.holder(*vip).is_some_and(|now| now != host))
    })
}
