//! What an operator may order of a virtual router by the control socket, and why it may be refused.

use std::time::Instant;

use configs::Failback;
use serde_json::json;
use vrrpd::fsm::{Event, State};

use super::kernel::Kernel;
use super::station::Station;

pub(crate) const UNKNOWN: &str = r#"{"error":"unknown request; known: status, events, why VIP, failback ROUTER, seize ROUTER, yield ROUTER [HOST]"}"#;

/// All VIPs of a sync group follow the order for one of them.
///
/// `failback ROUTER`: take it if the master's priority is lower. `seize ROUTER`: take it from whomever.
/// `yield ROUTER [HOST]`: give it to the next in line, if that is HOST.
pub(crate) fn answer(stations: &mut [Station], word: &str, rest: &str, kernel: &mut Kernel) -> String {
    let (name, heir) = match rest.rsplit_once(' ') {
        Some((name, heir)) if word == "yield" && !stations.iter().any(|it| it.config.name == rest) => {
            (name, Some(heir))
        }
        _ => (rest, None),
    };
    let Some(station) = stations.iter_mut().find(|station| station.config.name == name) else {
        return json!({ "error": "no such router" }).to_string();
    };
    let (event, refusal) = match word {
        "failback" => (Event::Takeover, not_backup(station)),
        "seize" => (Event::Seize, not_backup(station).or_else(|| would_not_stay(station, false))),
        _ => (Event::Yield, not_for(station, heir).or_else(|| would_not_stay(station, true))),
    };
    if let Some(refusal) = refusal {
        return json!({ "error": refusal }).to_string();
    }
    let now = Instant::now();
    let (name, sync) = (station.config.name.clone(), station.config.sync.clone());
    let moves = |it: &Station| it.config.name == name || sync.is_some() && it.config.sync == sync;
    stations.iter_mut().filter(|it| moves(it)).for_each(|it| it.handle(now, event, kernel));
    let Some(station) = stations.iter().find(|it| it.config.name == name) else {
        return json!({ "error": "no such router" }).to_string();
    };
    match (event, station.router.state()) {
        (Event::Seize, State::Backup(_)) => {
            json!({ "error": "the proxy of this host does not serve; it cannot take a VIP" }).to_string()
        }
        _ => json!({ "ok": true, "returns_ms": returns_ms(station) }).to_string(),
    }
}

fn not_backup(station: &Station) -> Option<String> {
    let word = station.router.word();
    (word != "BACKUP").then(|| format!("{word} here, not BACKUP"))
}

fn not_for(station: &Station, heir: Option<&str>) -> Option<String> {
    if !station.is_active() {
        return Some(format!("{} here, not MASTER", station.router.word()));
    }
    let (heir, next) = (heir?, station.config.next_in_line.as_ref()?);
    (heir != next).then(|| format!("{next} comes first; give the order on {heir} instead"))
}

/// With fail-back at once a move to a host that is not the best one ends with the next advert.
fn would_not_stay(station: &Station, from_here: bool) -> Option<String> {
    let is_best = station.config.rank == 0;
    (station.config.failback == Failback::AtOnce && is_best == from_here)
        .then(|| "fail-back is \"at once\": it would come straight back".to_owned())
}

/// When fail-back will undo the move, if it will.
fn returns_ms(station: &Station) -> Option<u64> {
    match station.config.failback {
        Failback::AfterHealthy(pause) => Some(super::history::millis(pause)),
        Failback::AtOnce | Failback::Never | Failback::Manual => None,
    }
}
