//! Claim: one host is enough. The holder dies, then the next; the last has every VIP, and they go home afterwards.

use anyhow::Result;

use super::{host_on, stage::Stage};
use crate::lab::cluster::Cluster;

pub(crate) fn run(stage: &mut Stage) -> Result<()> {
    let vip = stage.vip();
    for _ in 0..2 {
        let host = stage.holder(vip)?;
        let off = |cluster: &mut Cluster| cluster.hosts[host].power_off();
        stage.measure("cascade", vip, off, |cluster| {
            cluster.vips().iter().all(|vip| cluster.holder(*vip).is_some_and(|now| now != host))
        })?;
    }
    host_on::run(stage)
}
