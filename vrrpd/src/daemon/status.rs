//! The answer to `status`.

use std::net::IpAddr;

use configs::Appliance;
use health::verdict::Verdict;
use serde_json::{Value, json};

use super::counters::Counters;
use super::station::Station;

pub(crate) fn json(
    appliance: &Appliance,
    stations: &[Station],
    counters: &Counters,
    verdict: Verdict,
    verdict_cause: &str,
) -> String {
    let routers: Vec<Value> = stations.iter().map(|station| router(appliance, station)).collect();
    json!({
        "host": appliance.host.name,
        "verdict": verdict.word(),
        "verdict_cause": verdict_cause,
        "routers": routers,
        "counters": counters.to_json(),
    })
    .to_string()
}

fn router(appliance: &Appliance, station: &Station) -> Value {
    let vips: Vec<String> = station.vips.addresses().map(|address| address.to_string()).collect();
    json!({
        "name": station.config.name,
        "vrid": station.config.vrid,
        "vips": vips,
        "state": station.router.word(),
        "priority": station.router.priority().0,
        "since_ms": u64::try_from(station.since.elapsed().as_millis()).unwrap_or(u64::MAX),
        "cause": station.router.cause().word(),
        "master": station.router.master().map(|address| name(appliance, address)),
    })
}

/// The host's name, or its address if it is none of ours.
fn name(appliance: &Appliance, address: IpAddr) -> String {
    let hosts = std::iter::once(&appliance.host).chain(&appliance.peers);
    let known = hosts.into_iter().find(|host| host.address == address);
    known.map_or_else(|| address.to_string(), |host| host.name.clone())
}
