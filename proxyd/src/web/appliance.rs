//! The part of `/metrics` that is the appliance's own: liveness, the angel, VRRP, pinned sessions, the statements' times.
//!
//! A daemon that does not answer has `…_up 0` and nothing else: no number is better than an old one.

use serde_json::Value;

use super::exposition::Kind::{Counter, Gauge, Histogram};
use super::exposition::{Exposition, is_name};
use super::report::Report;
use crate::stats::BUCKET_LIMITS_US;

const VERDICTS: [&str; 5] = ["serving", "restarting", "down", "draining", "degraded"];
const STATES: [&str; 4] = ["MASTER", "BACKUP", "FAULT", "INIT"];

pub fn render(out: &mut Exposition, report: &Report) {
    backends(out, report);
    pins(out, report);
    commands(out, report);
    let up = |said: &super::daemons::Said| u8::from(said.is_ok());
    out.single("standfast_angel_up", Gauge, "1 if standfast-angel answers.", up(&report.angel));
    if let Ok(angel) = &report.angel {
        liveness(out, angel);
    }
    out.single("standfast_vrrpd_up", Gauge, "1 if standfast-vrrpd answers.", up(&report.vrrpd));
    if let Ok(vrrpd) = &report.vrrpd {
        routers(out, vrrpd);
        moves(out, vrrpd);
        vrrp_counters(out, vrrpd);
    }
}

fn backends(out: &mut Exposition, report: &Report) {
    let help = "Servers of a hostgroup that are ONLINE, and that are not.";
    let mut family = out.family("standfast_backends", Gauge, help);
    for (hostgroup, (online, offline)) in report.online() {
        let hostgroup = hostgroup.to_string();
        family.sample(&[("hostgroup", &hostgroup), ("state", "online")], online);
        family.sample(&[("hostgroup", &hostgroup), ("state", "offline")], offline);
    }
}

fn pins(out: &mut Exposition, report: &Report) {
    let help = "Sessions that must keep their connection to a server, by what pins them.";
    let mut family = out.family("standfast_pinned_sessions", Gauge, help);
    let mut reasons: Vec<_> = report.stats.pins.iter().collect();
    reasons.sort_unstable();
    for (reason, count) in reasons {
        family.sample(&[("reason", reason)], count);
    }
    let help = "How often a session was tied to its connection to a server, by what tied it.";
    let mut family = out.family("standfast_pins_total", Counter, help);
    let mut reasons: Vec<_> = report.stats.pinned_so_far.iter().collect();
    reasons.sort_unstable();
    for (reason, count) in reasons {
        family.sample(&[("reason", reason)], count);
    }
}

/// The buckets of `stats_mysql_commands_counters`, cumulative as Prometheus wants them.
fn commands(out: &mut Exposition, report: &Report) {
    let help = "Time of the statements, by command.";
    let mut family = out.family("standfast_command_duration_seconds", Histogram, help);
    let mut commands: Vec<_> = report.stats.commands.iter().collect();
    commands.sort_unstable_by_key(|(command, _)| **command);
    for (command, stats) in commands {
        let mut below = 0;
        for (limit, count) in BUCKET_LIMITS_US.iter().zip(stats.buckets) {
            below += count;
            let limit = seconds(*limit).to_string();
            family.suffixed("_bucket", &[("command", command), ("le", &limit)], below);
        }
        let all: u64 = stats.buckets.iter().sum();
        family.suffixed("_bucket", &[("command", command), ("le", "+Inf")], all);
        family.suffixed("_sum", &[("command", command)], seconds(stats.total_time_us));
        family.suffixed("_count", &[("command", command)], all);
    }
}

fn liveness(out: &mut Exposition, angel: &Value) {
    let verdict = text(angel, "verdict");
    let help = "The verdict on the proxy of this host: 1 for the one that holds.";
    let mut family = out.family("standfast_liveness", Gauge, help);
    for word in VERDICTS {
        family.sample(&[("verdict", word)], u8::from(verdict == word));
    }
    let help = "Since the verdict changed.";
    out.single("standfast_liveness_seconds", Gauge, help, seconds_of_ms(number(angel, "since_ms")));
    let help = "Times that the angel started the proxy again.";
    out.single("standfast_angel_restarts_total", Counter, help, number(angel, "restarts"));
}

fn routers(out: &mut Exposition, vrrpd: &Value) {
    let routers = list(vrrpd, "routers");
    let mut family =
        out.family("standfast_vrrp_state", Gauge, "State of a virtual router: 1 for the one it is in.");
    for router in routers {
        let vrid = number(router, "vrid").to_string();
        for state in STATES {
            let labels = [("router", text(router, "name")), ("vrid", &vrid), ("state", state)];
            family.sample(&labels, u8::from(text(router, "state") == state));
        }
    }
    let mut family = out.family("standfast_vip_held", Gauge, "1 if this host has the virtual address.");
    for router in routers {
        let held = u8::from(text(router, "state") == "MASTER");
        for vip in list(router, "vips").iter().filter_map(Value::as_str) {
            family.sample(&[("router", text(router, "name")), ("vip", vip)], held);
        }
    }
    let help = "Since the virtual router came to its state.";
    let mut family = out.family("standfast_vrrp_state_seconds", Gauge, help);
    for router in routers {
        family.sample(&[("router", text(router, "name"))], seconds_of_ms(number(router, "since_ms")));
    }
    let mut family = out.family("standfast_vrrp_priority", Gauge, "Priority in this host's adverts.");
    for router in routers {
        family.sample(&[("router", text(router, "name"))], number(router, "priority"));
    }
    let help = "Since the last advert of another host was heard.";
    let mut family = out.family("standfast_vrrp_advert_age_seconds", Gauge, help);
    for router in routers {
        for peer in list(router, "peers") {
            let Some(heard) = peer.get("heard_ms").and_then(Value::as_u64) else { continue };
            let labels = [("router", text(router, "name")), ("host", text(peer, "name"))];
            family.sample(&labels, seconds_of_ms(heard));
        }
    }
}

fn moves(out: &mut Exposition, vrrpd: &Value) {
    let help = "Changes of a virtual router, by the state it came to and why.";
    let mut family = out.family("standfast_vrrp_changes_total", Counter, help);
    for router in list(vrrpd, "routers") {
        for change in list(router, "changes") {
            let (state, cause) = (text(change, "state"), text(change, "cause"));
            let labels = [("router", text(router, "name")), ("state", state), ("cause", cause)];
            family.sample(&labels, number(change, "count"));
        }
    }
}

/// vrrpd's counters under keepalived's names.
fn vrrp_counters(out: &mut Exposition, vrrpd: &Value) {
    let counters = vrrpd.get("counters").and_then(Value::as_object);
    for (name, value) in counters.into_iter().flatten() {
        let (true, Some(value)) = (is_name(name), value.as_u64()) else { continue };
        let help = "A counter of standfast-vrrpd, by keepalived's name where it has one.";
        out.single(&format!("standfast_vrrp_{name}_total"), Counter, help, value);
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, key: &str) -> u64 {
    value.get(key).and_then(Value::as_u64).unwrap_or_default()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Exact for any time that a person waits for.
fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

fn seconds_of_ms(millis: u64) -> f64 {
    millis as f64 / 1e3
}
