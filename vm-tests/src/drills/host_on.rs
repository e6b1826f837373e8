//! Claim: a host that comes back costs nothing with one VIP (it stays where it is) and little with several (each goes home).

use std::time::{Duration, Instant};

use anyhow::Result;

use super::stage::Stage;
use crate::lab::cluster::Cluster;

/// After a host is ready, nothing moves any more: watched for many adverts.
const QUIET: Duration = Duration::from_millis(1500);

/// Every host that is off comes back, one after the other.
pub(crate) fn run(stage: &mut Stage) -> Result<()> {
    let vip = stage.vip();
    while let Some(host) = (0..stage.cluster.hosts.len()).find(|i| !stage.host(*i).is_on()) {
        let on = |cluster: &mut Cluster| {
            cluster.hosts[host].power_on()?;
            cluster.hosts[host].ready()
        };
        let mut since = None;
        stage.measure("host-on", vip, on, move |cluster| {
            cluster.is_home() && since.get_or_insert_with(Instant::now).elapsed() > QUIET
        })?;
    }
    Ok(())
}
