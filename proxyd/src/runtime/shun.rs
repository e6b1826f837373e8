//! Shunning by connect errors: `mysql-shun_on_failures` errors inside one second put a server aside for
//! `mysql-shun_recovery_time_sec`. Pure; time is an argument.
//!
//! A server whose hostgroup has nobody else is put aside for no longer than it must: until the monitors have logged in there
//! since its last error or, where nobody monitors it, for [`DESPERATE`]. If that was too soon, and it fails again in the time
//! that it would have been aside for, the next shun lasts to its end: a server that takes the monitors' connections and no
//! others does not flap.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::servers::Address;
use crate::snapshot::HostgroupId;
use crate::stats::ServerKey;
use crate::variables::Variables;

const WINDOW: Duration = Duration::from_secs(1);
/// After its last error, a server that nobody monitors is tried again if its hostgroup has nobody else.
const DESPERATE: Duration = Duration::from_secs(1);

/// Recent connect errors of the servers that have some.
#[derive(Debug, Default)]
pub struct ShunBook {
    entries: HashMap<ServerKey, Entry>,
}

#[derive(Debug)]
struct Entry {
    window_start: Instant,
    failures: u32,
    last: Instant,
    shunned: Option<Shun>,
    /// A shun was ended early, and would have lasted until then.
    was_due: Option<Instant>,
}

#[derive(Debug)]
struct Shun {
    until: Instant,
    reason: String,
    /// The monitors have logged in since the last error.
    is_answered: bool,
    /// It is not to be ended early again.
    is_whole: bool,
}

impl Entry {
    fn new(now: Instant) -> Entry {
        Entry { window_start: now, failures: 0, last: now, shunned: None, was_due: None }
    }

    /// Its shun, if it has one, is over.
    fn is_over(&self, now: Instant, has_nobody: bool, is_monitored: bool) -> bool {
        self.shunned.as_ref().is_some_and(|shun| {
            let seems_well = if is_monitored { shun.is_answered } else { now >= self.last + DESPERATE };
            shun.until <= now || (has_nobody && seems_well && !shun.is_whole)
        })
    }

    /// Nothing in it matters any more.
    fn is_stale(&self, now: Instant) -> bool {
        self.shunned.is_none()
            && now.duration_since(self.window_start) >= WINDOW
            && self.was_due.is_none_or(|due| due <= now)
    }
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
        let entry = self.entries.entry(key).or_insert_with(|| Entry::new(now));
        if now.duration_since(entry.window_start) >= WINDOW {
            entry.window_start = now;
            entry.failures = 0;
        }
        entry.failures += 1;
        entry.last = now;
        if let Some(shun) = &mut entry.shunned {
            shun.is_answered = false;
            return false;
        }
        if entry.failures < variables.shun_on_failures.max(1) {
            return false;
        }
        let reason = format!("{} connect errors in a second, the last: {code} {text}", entry.failures);
        let is_whole = entry.was_due.is_some_and(|due| now < due);
        let until = now + recovery_time(variables);
        entry.shunned = Some(Shun { until, reason, is_answered: false, is_whole });
        true
    }

    /// The monitors have logged in at this server.
    pub fn answered(&mut self, address: &Address) {
        let entries = self.entries.iter_mut().filter(|(key, _)| is_at(key, address));
        entries.filter_map(|(_, entry)| entry.shunned.as_mut()).for_each(|shun| shun.is_answered = true);
    }

    /// Why the server is shunned, if it is.
    pub fn reason(&self, key: &ServerKey) -> Option<&str> {
        self.entries.get(key)?.shunned.as_ref().map(|shun| shun.reason.as_str())
    }

    /// Forgets the errors of a server, in all its hostgroups.
    pub fn forget(&mut self, address: &Address) {
        self.entries.retain(|key, _| !is_at(key, address));
    }

    /// Ends the shuns whose time has come, sooner in hostgroups that have nobody else; true when there were any.
    pub fn expire(
        &mut self,
        now: Instant,
        has_nobody: impl Fn(HostgroupId) -> bool,
        is_monitored: bool,
    ) -> bool {
        let mut ended = false;
        for (key, entry) in &mut self.entries {
            if entry.is_over(now, has_nobody(key.hostgroup), is_monitored) {
                entry.was_due = entry.shunned.take().map(|shun| shun.until);
                entry.failures = 0;
                ended = true;
            }
        }
        self.entries.retain(|_, entry| !entry.is_stale(now));
        ended
    }
}

fn is_at(key: &ServerKey, address: &Address) -> bool {
    key.hostname == address.hostname && key.port == address.port
}

/// Never longer than a waiting client waits less a second, so that it can still be served by the recovered server.
fn recovery_time(variables: &Variables) -> Duration {
    let longest = variables.connect_timeout_server_max.saturating_sub(Duration::from_secs(1));
    variables.shun_recovery_time.min(longest.max(Duration::from_secs(1)))
}

#[cfg(test)]
#[path = "shun_tests.rs"]
mod tests;
