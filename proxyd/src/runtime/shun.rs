//! Shunning by connect errors: `mysql-shun_on_failures` errors inside one second put a server aside for
//! `mysql-shun_recovery_time_sec`. Pure; time is an argument.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::servers::Address;
use crate::stats::ServerKey;
use crate::variables::Variables;

const WINDOW: Duration = Duration::from_secs(1);

/// Recent connect errors of the servers that have some.
#[derive(Debug, Default)]
pub struct ShunBook {
    entries: HashMap<ServerKey, Entry>,
}

#[derive(Debug)]
struct Entry {
    window_start: Instant,
    failures: u32,
    shunned: Option<Shun>,
}

#[derive(Debug)]
struct Shun {
    until: Instant,
    reason: String,
}

impl ShunBook {
    /// Counts a failed connect; true when this one shuns the server.
    pub fn failed(
        &mut self,
        key: ServerKey,
        code: u16,
        text: &str,
        variables: &Variables,
        now: Instant,
    ) -> bool {
        let entry =
            self.entries.entry(key).or_insert(Entry { window_start: now, failures: 0, shunned: None });
        if now.duration_since(entry.window_start) >= WINDOW {
            entry.window_start = now;
            entry.failures = 0;
        }
        entry.failures += 1;
        if entry.shunned.is_some() || entry.failures < variables.shun_on_failures.max(1) {
            return false;
        }
        let reason = format!("{} connect errors in a second, the last: {code} {text}", entry.failures);
        entry.shunned = Some(Shun { until: now + recovery_time(variables), reason });
        true
    }

    /// Why the server is shunned, if it is.
    pub fn reason(&self, key: &ServerKey) -> Option<&str> {
        self.entries.get(key)?.shunned.as_ref().map(|shun| shun.reason.as_str())
    }

    /// Forgets the errors of a server, in all its hostgroups.
    pub fn forget(&mut self, address: &Address) {
        self.entries.retain(|key, _| key.hostname != address.hostname || key.port != address.port);
    }

    /// Ends the shuns whose time has come; true when there were any.
    pub fn expire(&mut self, now: Instant) -> bool {
        let before = self.entries.len();
        let mut ended = false;
        self.entries.retain(|_, entry| match &entry.shunned {
            Some(shun) if shun.until <= now => {
                ended = true;
                false
            }
            Some(_) => true,
            None => now.duration_since(entry.window_start) < WINDOW,
        });
        ended && before > self.entries.len()
    }
}

/// Never longer than a waiting client waits less a second, so that it can still be served by the recovered server.
fn recovery_time(variables: &Variables) -> Duration {
    let longest = variables.connect_timeout_server_max.saturating_sub(Duration::from_secs(1));
    variables.shun_recovery_time.min(longest.max(Duration::from_secs(1)))
}
