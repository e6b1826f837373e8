//! `/health`: would a client of this host be served now? One verdict, and what it rests on.

use serde_json::{Map, Value, json};

use super::report::Report;
use crate::snapshot::Status;

/// The answer's status code and body, from a report or from not having got one.
pub fn render(report: Option<&Report>) -> (u16, Value) {
    let Some(report) = report else {
        return (503, json!({ "verdict": "down", "cause": "the control thread does not answer" }));
    };
    let (verdict, cause) = verdict(report);
    let hostgroups: Map<String, Value> = report
        .online()
        .into_iter()
        .map(|(id, (online, offline))| (id.to_string(), json!({ "online": online, "offline": offline })))
        .collect();
    let body = json!({
        "verdict": verdict,
        "cause": cause,
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_s": report.facts.uptime.as_secs(),
        "paused": report.facts.paused,
        "hostgroups": hostgroups,
        "vips": vips(report),
        "angel": said(&report.angel),
        "vrrpd": said(&report.vrrpd),
    });
    (if verdict == "serving" { 200 } else { 503 }, body)
}

/// The angel's word, as it watches from outside. This proxy's own where nobody does, and where it knows better: without an
/// ONLINE server it serves nobody, and while it is paused it takes nobody.
fn verdict(report: &Report) -> (String, String) {
    let of = |key: &str| Some(report.angel.as_ref().ok()?.get(key)?.as_str()?.to_owned());
    match (of("verdict"), of("cause")) {
        (Some(verdict), cause) if verdict != "serving" => (verdict, cause.unwrap_or_default()),
        _ if report.facts.paused => ("draining".into(), "PROXYSQL PAUSE is in force".into()),
        _ if !report.facts.backends.iter().any(|it| it.status == Status::Online) => {
            ("degraded".into(), "no server is ONLINE".into())
        }
        (Some(verdict), cause) => (verdict, cause.unwrap_or_default()),
        (None, _) => ("serving".into(), "no angel watches this proxy".into()),
    }
}

fn vips(report: &Report) -> Vec<Value> {
    let routers = report.vrrpd.as_ref().ok().and_then(|vrrpd| vrrpd.get("routers")?.as_array());
    let mut vips = Vec::new();
    for router in routers.into_iter().flatten() {
        for vip in router.get("vips").and_then(Value::as_array).into_iter().flatten() {
            vips.push(json!({
                "vip": vip, "router": router.get("name"), "state": router.get("state"),
                "owner": router.get("master"), "cause": router.get("cause"),
            }));
        }
    }
    vips
}

fn said(said: &super::daemons::Said) -> Value {
    match said {
        Ok(_) => json!("answers"),
        Err(why) => json!(why),
    }
}
