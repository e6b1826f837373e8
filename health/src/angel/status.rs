//! The answer to `status`: one JSON line with everything that the angel knows.

use std::time::Instant;

use health::heartbeat::State;
use serde_json::json;

use crate::supervisor::Supervisor;

pub(crate) fn json(angel: &Supervisor, now: Instant) -> String {
    let ms = |since: Instant| now.saturating_duration_since(since).as_millis() as u64;
    let proxy = angel.life.as_ref().map(|life| {
        json!({
            "pid": life.proxy.pid().as_raw(),
            "adopted": life.proxy.is_adopted(),
            "started_ms": ms(life.started),
            "ready": life.ready.is_some(),
        })
    });
    let workers: Vec<_> = angel
        .heartbeat
        .slots()
        .iter()
        .map(|slot| json!({ "state": state(slot.state()), "sessions": slot.sessions(), "beats": slot.beats() }))
        .collect();
    let backends = angel.heartbeat.backends();
    let answer = json!({
        "host": angel.host,
        "pid": std::process::id(),
        "verdict": angel.tracker.verdict().word(),
        "cause": angel.tracker.cause(),
        "since_ms": ms(angel.tracker.since()),
        "restarts": angel.restarts,
        "last_ending": angel.last_ending.map(|ending| ending.cause()),
        "proxy": proxy,
        "sessions": angel.heartbeat.sessions(),
        "backends": { "online": backends.online, "known": backends.known },
        "workers": workers,
    });
    format!("{answer}\n")
}

fn state(state: State) -> &'static str {
    match state {
        State::Starting => "starting",
        State::Ready => "ready",
        State::Draining => "draining",
    }
}
