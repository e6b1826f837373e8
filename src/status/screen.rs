//! The screen, from the daemons' answers. A field that an answer does not have is a dash.

use std::time::Duration;

use serde_json::Value;

use super::Answers;
use super::table::table;

pub(crate) fn render(answers: &Answers) -> String {
    let mut screen = String::new();
    let host = [&answers.vrrpd, &answers.angel].into_iter().flatten().find_map(|it| it.get("host")?.as_str());
    if let Some(host) = host {
        screen.push_str(&format!("host    {}\n", clean(host)));
    }
    screen.push_str(&format!("angel   {}\n", said(&answers.angel, angel)));
    screen.push_str(&format!("vrrpd   {}\n", said(&answers.vrrpd, vrrpd)));
    screen.push_str(&format!("proxyd  {}\n", said(&answers.proxyd, proxyd)));
    if let Ok(answer) = &answers.vrrpd {
        screen.push_str(&format!("\n{}{}", routers(answer), refused(answer)));
    }
    if let Ok(answer) = &answers.proxyd {
        screen.push_str(&format!("\n{}{}", backends(answer), unsaved(answer)));
    }
    screen
}

/// A line for addresses that packets are not taken for.
fn refused(answer: &Value) -> String {
    let Some(acceptance) = answer.get("acceptance") else { return String::new() };
    let addresses: Vec<_> = list(acceptance, "refused").iter().map(|vip| cell(Some(vip))).collect();
    match acceptance.get("error").and_then(Value::as_str) {
        _ if addresses.is_empty() => String::new(),
        None => format!("\npackets to {} are dropped (accept = false)\n", addresses.join(", ")),
        Some(error) => {
            format!(
                "\npackets to {} should be dropped (accept = false): {}\n",
                addresses.join(", "),
                clean(error)
            )
        }
    }
}

/// A line for what a restart would lose.
fn unsaved(answer: &Value) -> String {
    let modules: Vec<_> = list(answer, "unsaved").iter().map(|module| cell(Some(module))).collect();
    match modules.first() {
        None => String::new(),
        Some(first) => format!(
            "\nruntime differs from disk: {}; SAVE {first} TO DISK keeps what was loaded\n",
            modules.join(", ")
        ),
    }
}

fn said(answer: &Result<Value, String>, line: fn(&Value) -> String) -> String {
    match answer {
        Ok(answer) => line(answer),
        Err(why) => clean(why),
    }
}

/// `serving since 3m12s (started), pid 812, 2 workers ready of 2, 14 sessions, 1 restart`.
fn angel(answer: &Value) -> String {
    let mut parts = vec![verdict(answer)];
    let proxy = answer.get("proxy").unwrap_or(&Value::Null);
    match proxy.get("pid") {
        Some(pid) => parts.push(format!("proxy pid {}", cell(Some(pid)))),
        None => parts.push("no proxy".into()),
    }
    let workers = answer.get("workers").or_else(|| proxy.get("workers"));
    if let Some(workers) = workers.and_then(Value::as_array) {
        let ready = workers.iter().filter(|worker| is_ready(worker)).count();
        let sessions: u64 = workers.iter().filter_map(|worker| worker.get("sessions")?.as_u64()).sum();
        parts.push(format!("{ready} of {} workers ready", workers.len()));
        parts.push(format!("{sessions} sessions"));
    }
    for count in ["restarts", "crashes", "hangs"] {
        if let Some(value) = answer.get(count).or_else(|| proxy.get(count)) {
            parts.push(format!("{} {count}", cell(Some(value))));
        }
    }
    if let Some(ending) = answer.get("last_ending").and_then(Value::as_str) {
        parts.push(format!("last ending {}", clean(ending)));
    }
    parts.join(", ")
}

fn verdict(answer: &Value) -> String {
    let mut text = cell(answer.get("verdict"));
    if let Some(since) = answer.get("since_ms").and_then(Value::as_u64) {
        text.push_str(&format!(" for {}", span(since)));
    }
    if let Some(cause) = answer.get("cause").and_then(Value::as_str) {
        text.push_str(&format!(" ({})", clean(cause)));
    }
    text
}

/// The angel says a worker's state; a plain flag is understood as well.
fn is_ready(worker: &Value) -> bool {
    worker.get("state").and_then(Value::as_str) == Some("ready")
        || worker.get("ready").and_then(Value::as_bool) == Some(true)
}

/// `MASTER of 1 of 3 VIPs; counters that are not 0`.
fn vrrpd(answer: &Value) -> String {
    let routers = list(answer, "routers");
    let masters =
        routers.iter().filter(|it| it.get("state").and_then(Value::as_str) == Some("MASTER")).count();
    let mut text = format!("MASTER of {masters} of {} VIPs", routers.len());
    if let Some(verdict) = answer.get("verdict").and_then(Value::as_str) {
        text.push_str(&format!(", hears that the proxy is {}", clean(verdict)));
    }
    text
}

fn proxyd(answer: &Value) -> String {
    let mut parts = vec![format!("version {}", cell(answer.get("version")))];
    if let Some(uptime) = answer.get("uptime_ms").and_then(Value::as_u64) {
        parts.push(format!("up {}", span(uptime)));
    }
    parts.push(format!("{} sessions", cell(answer.get("sessions"))));
    let backends = list(answer, "backends");
    let online =
        backends.iter().filter(|it| it.get("status").and_then(Value::as_str) == Some("ONLINE")).count();
    parts.push(format!("{online} of {} backends ONLINE", backends.len()));
    parts.join(", ")
}

fn routers(answer: &Value) -> String {
    let rows: Vec<_> = list(answer, "routers")
        .iter()
        .map(|router| {
            let vips = list(router, "vips").iter().map(|vip| cell(Some(vip))).collect::<Vec<_>>().join(" ");
            let since = router.get("since_ms").and_then(Value::as_u64).map_or_else(|| "-".into(), span);
            vec![
                cell(router.get("name")),
                vips,
                cell(router.get("vrid")),
                cell(router.get("state")),
                cell(router.get("priority")),
                since,
                cell(router.get("master")),
                cell(router.get("cause")),
            ]
        })
        .collect();
    table(&["VIP", "ADDRESS", "ROUTER", "STATE", "PRIORITY", "SINCE", "MASTER", "CAUSE"], &rows)
}

fn backends(answer: &Value) -> String {
    let keys = ["hostgroup", "server", "status", "used", "free", "queries", "latency_us"];
    let rows: Vec<Vec<String>> = list(answer, "backends")
        .iter()
        .map(|backend| keys.iter().map(|key| cell(backend.get(key))).collect())
        .collect();
    table(&["HOSTGROUP", "BACKEND", "STATUS", "USED", "FREE", "QUERIES", "LATENCY us"], &rows)
}

pub(crate) fn list<'a>(answer: &'a Value, key: &str) -> &'a [Value] {
    answer.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

pub(crate) fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".into(),
        Some(Value::String(text)) => clean(text),
        Some(other) => clean(&other.to_string()),
    }
}

/// Names come from the network and from other hosts' files: nothing of them may steer the terminal.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}

/// `850ms`, `12s`, `3m12s`, `5h02m`, `9d04h`.
pub(crate) fn span(ms: u64) -> String {
    let seconds = Duration::from_millis(ms).as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes, seconds) {
        (0, 0, 0, 0) => format!("{ms}ms"),
        (0, 0, 0, _) => format!("{seconds}s"),
        (0, 0, _, _) => format!("{minutes}m{:02}s", seconds % 60),
        (0, _, _, _) => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}
