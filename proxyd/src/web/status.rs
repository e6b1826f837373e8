//! What the status page shows, as JSON. The page writes every string as text, so nothing here is escaped for HTML.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::control_side::Notes;
use super::health;
use super::report::Report;
use crate::digests::{DigestRow, FROM_CACHE};

/// Digests on the page: those that took the most time in all.
pub const DIGESTS: usize = 20;
/// A digest's text is cut after this many characters.
const DIGEST_TEXT: usize = 500;
/// Events on the page, of all daemons together.
const EVENTS: usize = 50;

/// Everything that the page shows.
pub fn render(report: &Report, notes: &Notes, digests: &[DigestRow], explained: &[Value]) -> Value {
    let (_, health) = health::render(Some(report));
    let global = &report.stats.global;
    json!({
        "at_ms": now_ms(),
        "host": host(report),
        "version": env!("CARGO_PKG_VERSION"),
        "verdict": health["verdict"],
        "cause": health["cause"],
        "proxy": {
            "uptime_s": report.facts.uptime.as_secs(),
            "workers": report.facts.workers,
            "paused": report.facts.paused,
            "clients": global.client_connections_connected,
            "transactions": global.active_transactions,
            "questions": global.questions,
            "slow_queries": global.slow_queries,
            "server_connections": global.server_connections_connected,
            "pinned": report.stats.pins.values().sum::<u64>(),
        },
        "angel": daemon(&report.angel),
        "vrrpd": daemon(&report.vrrpd),
        "hosts": hosts(report),
        "vips": vips(report, explained),
        "hostgroups": hostgroups(report),
        "digests": digests.iter().map(digest).collect::<Vec<_>>(),
        "events": events(report, notes),
        "unsaved": notes.unsaved,
    })
}

/// This host's name.
fn host(report: &Report) -> Option<&str> {
    report.hosts.first().map(|host| host.name.as_str())
}

/// Without vrrpd's lists, which have their own places.
fn daemon(said: &super::daemons::Said) -> Value {
    match said {
        Err(why) => json!({ "up": false, "why": why }),
        Ok(said) => json!({
            "up": true, "verdict": said["verdict"], "cause": said["cause"], "since_ms": said["since_ms"],
            "restarts": said["restarts"], "last_ending": said["last_ending"],
        }),
    }
}

fn routers(report: &Report) -> &[Value] {
    let routers = report.vrrpd.as_ref().ok().and_then(|vrrpd| vrrpd.get("routers")?.as_array());
    routers.map(Vec::as_slice).unwrap_or_default()
}

/// The hosts of the cluster as this one sees them: whose adverts are heard, and who has which address.
fn hosts(report: &Report) -> Vec<Value> {
    let this = host(report);
    report
        .hosts
        .iter()
        .map(|it| {
            let (name, is_this) = (it.name.as_str(), Some(it.name.as_str()) == this);
            let sends: Vec<Value> =
                routers(report).iter().filter_map(|router| sends(router, name, is_this)).collect();
            let held = routers(report).iter().filter(|router| router["master"] == name);
            let vips: Vec<&Value> = held.filter_map(|router| router["vips"].as_array()).flatten().collect();
            json!({
                "name": name, "address": it.address.to_string(), "this": is_this, "sends": sends, "vips": vips,
            })
        })
        .collect()
}

/// What this host knows of a host's adverts for one router; its own are no news.
fn sends(router: &Value, host: &str, this: bool) -> Option<Value> {
    if this {
        let sends = router["state"] == "MASTER";
        return sends
            .then(|| json!({ "router": router["name"], "priority": router["priority"], "ago_ms": 0 }));
    }
    let peer = router["peers"].as_array()?.iter().find(|it| it["name"] == host)?;
    let heard = peer["heard_ms"].as_u64()?;
    Some(json!({ "router": router["name"], "priority": peer["priority"], "ago_ms": heard }))
}

fn vips(report: &Report, explained: &[Value]) -> Vec<Value> {
    routers(report)
        .iter()
        .map(|router| {
            let why = explained.iter().find(|why| why["router"] == router["name"]).unwrap_or(&Value::Null);
            json!({
                "router": router["name"], "vips": router["vips"], "state": router["state"],
                "owner": router["master"], "since_ms": router["since_ms"], "cause": router["cause"],
                "because": why["because"], "moves": why["moves"],
            })
        })
        .collect()
}

fn hostgroups(report: &Report) -> Vec<Value> {
    let mut groups: BTreeMap<u32, Vec<Value>> = BTreeMap::new();
    for backend in &report.facts.backends {
        let stats = report.stats.servers.get(&backend.key()).cloned().unwrap_or_default();
        groups.entry(backend.hostgroup).or_default().push(json!({
            "server": backend.address.to_string(), "status": backend.status.as_str(), "reason": backend.reason,
            "used": stats.conn_used, "free": stats.conn_free, "errors": stats.conn_err,
            "queries": stats.queries, "latency_us": backend.latency_us,
        }));
    }
    let online = report.online();
    groups
        .into_iter()
        .map(|(id, servers)| {
            let (online, offline) = online.get(&id).copied().unwrap_or_default();
            json!({ "hostgroup": id, "online": online, "offline": offline, "servers": servers })
        })
        .collect()
}

/// Those that took the most time, most first.
pub fn top(mut rows: Vec<DigestRow>) -> Vec<DigestRow> {
    rows.sort_by_key(|row| Reverse(row.counters.sum_time));
    rows.truncate(DIGESTS);
    rows
}

fn digest(row: &DigestRow) -> Value {
    let (identity, counters) = (&row.identity, &row.counters);
    json!({
        "hostgroup": (identity.hostgroup != FROM_CACHE).then_some(identity.hostgroup), "schema": &*identity.schema, "user": &*identity.user,
        "digest": format!("0x{:016X}", identity.digest),
        "text": identity.text.chars().take(DIGEST_TEXT).collect::<String>(),
        "count": counters.count, "sum_us": counters.sum_time, "max_us": counters.max_time,
        "rows": counters.rows_sent,
    })
}

/// vrrpd's changes and the proxy's events in one list, newest first.
fn events(report: &Report, notes: &Notes) -> Vec<Value> {
    let mut events: Vec<(u64, &str, String)> =
        notes.events.iter().map(|event| (event.at_ms, "proxy", event.text.clone())).collect();
    for router in routers(report) {
        let name = router["name"].as_str().unwrap_or("?");
        for change in router["transitions"].as_array().into_iter().flatten() {
            let word = |key: &str| change[key].as_str().unwrap_or("?");
            let text = format!("{name}: {} to {} ({})", word("prev"), word("next"), word("cause"));
            events.push((change["at_ms"].as_u64().unwrap_or_default(), "vrrp", text));
        }
    }
    events.sort_by_key(|(at_ms, ..)| Reverse(*at_ms));
    events.truncate(EVENTS);
    let one = |(at_ms, source, text)| json!({ "at_ms": at_ms, "source": source, "text": text });
    events.into_iter().map(one).collect()
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
