//! The answers to `status` and `why`.

use std::net::IpAddr;
use std::time::Instant;

use configs::Appliance;
use health::verdict::Verdict;
use serde_json::{Value, json};

use super::acceptance::Acceptance;
use super::balance::Balance;
use super::checks::Checks;
use super::counters::Counters;
use super::history::millis;
use super::station::Station;

pub(crate) fn json(
    appliance: &Appliance,
    stations: &[Station],
    counters: &Counters,
    (checks, balance, acceptance): (&Checks, &Balance, &Acceptance),
    (verdict, verdict_cause): (Verdict, &str),
) -> String {
    let routers: Vec<Value> = stations.iter().map(|station| router(appliance, station)).collect();
    json!({
        "host": appliance.host.name,
        "pid": std::process::id(),
        "verdict": verdict.word(),
        "verdict_cause": verdict_cause,
        "checks": checks.to_json(),
        "balance": balance.to_json(),
        "acceptance": acceptance.to_json(),
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
        "since_ms": millis(station.since.elapsed()),
        "cause": station.router.cause().word(),
        "master": station.router.master().map(|address| name(appliance, station, address)),
        "accept": station.config.accept,
        "peers": peers(appliance, station),
        "changes": station.history.counts(),
        "transitions": station.history.transitions().map(|it| it.to_json()).collect::<Vec<_>>(),
    })
}

/// Whom adverts go to, and whom they came from. Only a master sends them: a backup is one that has not been heard lately.
fn peers(appliance: &Appliance, station: &Station) -> Vec<Value> {
    let heard = station.history.peers().map(|peer| peer.heard.source);
    let silent = station.unicast_peers().iter().copied();
    let silent = silent.filter(|address| station.history.peer(*address).is_none());
    let tell = |address| {
        let peer = station.history.peer(address);
        json!({
            "name": name(appliance, station, address),
            "address": address.to_string(),
            "heard_ms": peer.map(|peer| millis(peer.at.elapsed())),
            "priority": peer.map(|peer| peer.heard.priority.0),
            "advert_ms": peer.map(|peer| millis(peer.heard.interval.duration())),
            "adverts": peer.map_or(0, |peer| peer.adverts),
        })
    };
    heard.chain(silent).map(tell).collect()
}

/// `wanted` is a router's name or one of its VIPs.
pub(crate) fn why(appliance: &Appliance, stations: &[Station], wanted: &str) -> String {
    let address = wanted.parse::<IpAddr>().ok();
    let is_wanted = |station: &&Station| {
        station.config.name == wanted || station.vips.addresses().any(|vip| Some(vip) == address)
    };
    let Some(station) = stations.iter().find(is_wanted) else {
        return json!({ "error": format!("{wanted} is no VIP and no router of this host") }).to_string();
    };
    let in_state = station.since.elapsed();
    let why = station.router.why(Instant::now(), in_state, &|address| name(appliance, station, address));
    json!({
        "host": appliance.host.name,
        "router": station.config.name,
        "vips": station.vips.addresses().map(|vip| vip.to_string()).collect::<Vec<_>>(),
        "state": station.router.word(),
        "since_ms": millis(in_state),
        "cause": station.router.cause().word(),
        "because": why.because,
        "owner": why.owner.map(|owner| name(appliance, station, owner)),
        "owner_for_ms": why.owner_for.map(millis),
        "moves": why.moves,
        "accept": station.config.accept,
    })
    .to_string()
}

/// The host's name, or its address if it is none of ours.
fn name(appliance: &Appliance, station: &Station, address: IpAddr) -> String {
    if station.wire.as_ref().is_some_and(|wire| wire.source == address) {
        return appliance.host.name.clone();
    }
    let hosts = std::iter::once(&appliance.host).chain(&appliance.peers);
    let known = hosts.into_iter().find(|host| host.address == address);
    known.map_or_else(|| address.to_string(), |host| host.name.clone())
}
