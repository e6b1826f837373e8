//! Letting work finish before a VIP leaves: waits until the proxy has no transaction open and no statement running, but not
//! for ever. New work is not held up meanwhile, so a proxy that is never idle makes the wait its whole length.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use configs::Paths;
use serde_json::Value;

use crate::control::ask;

/// How often the proxy is asked.
const PAUSE: Duration = Duration::from_millis(10);

/// Waits for at most `within`. How many sessions still had work in flight then; a proxy that does not answer has none.
pub(crate) fn finish(paths: &Paths, within: Duration) -> u64 {
    let end = Instant::now() + within;
    let mut told = false;
    loop {
        let answer = ask(&paths.proxyd_socket(), "status");
        let left =
            answer.ok().and_then(|answer| answer.get("in_flight").and_then(Value::as_u64)).unwrap_or(0);
        if left == 0 || Instant::now() >= end {
            return left;
        }
        if !told {
            eprintln!("standfast: {left} sessions have work in flight; waiting up to {} s", within.as_secs());
            told = true;
        }
        thread::sleep(PAUSE);
    }
}

/// The patience that the operator asked for, or else the file's `drain_s`.
pub(crate) fn patience(config: &Path, asked: Option<u64>) -> Duration {
    let usual = || configs::File::load(config).map_or(Duration::from_secs(10), |file| file.drain());
    asked.map_or_else(usual, Duration::from_secs)
}

/// What is said about work that did not finish.
pub(crate) fn cut(left: u64) {
    if left > 0 {
        eprintln!("standfast: {left} sessions still had work in flight; they are reset");
    }
}
