//! The last things that happened to this proxy, for the status page: servers that changed their status, with the cause, and
//! loads of configuration. Bounded; the log has everything.

use std::collections::{HashMap, VecDeque};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::runtime::{Address, MemberState};
use crate::snapshot::{HostgroupId, Status};

const KEPT: usize = 200;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Milliseconds since 1970.
    pub at_ms: u64,
    pub text: String,
}

#[derive(Debug, Default)]
pub struct Journal {
    events: VecDeque<Event>,
    known: HashMap<(HostgroupId, Address), Status>,
    begun: bool,
}

impl Journal {
    pub fn note(&mut self, text: String) {
        if self.events.len() == KEPT {
            self.events.pop_front();
        }
        self.events.push_back(Event { at_ms: wall_clock_ms(), text });
    }

    /// Compares the servers with those of the last time. The first time only learns them, but for those that are not ONLINE.
    pub fn compare(&mut self, members: &[MemberState]) {
        let mut now = HashMap::with_capacity(members.len());
        for member in members {
            let place = (member.row.hostgroup_id, member.row.address.clone());
            let before = self.known.remove(&place);
            let quiet = before.is_none() && !self.begun && member.status == Status::Online;
            if before != Some(member.status) && !quiet {
                self.note(change(member, before));
            }
            now.insert(place, member.status);
        }
        let gone: Vec<_> = std::mem::replace(&mut self.known, now).into_keys().collect();
        for (hostgroup, address) in gone {
            self.note(format!("{address} is no longer in hostgroup {hostgroup}"));
        }
        self.begun = true;
    }

    /// Newest first.
    pub fn latest(&self, count: usize) -> Vec<Event> {
        self.events.iter().rev().take(count).cloned().collect()
    }
}

fn change(member: &MemberState, before: Option<Status>) -> String {
    let (address, hostgroup) = (&member.row.address, member.row.hostgroup_id);
    let status = member.status.as_str();
    let because = if member.reason.is_empty() { String::new() } else { format!(": {}", member.reason) };
    match before {
        Some(before) => {
            format!("{address} in hostgroup {hostgroup}: {} to {status}{because}", before.as_str())
        }
        None => format!("{address} is in hostgroup {hostgroup} now, {status}{because}"),
    }
}

fn wall_clock_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_and_newest_first() {
        let mut journal = Journal::default();
        for number in 0..KEPT + 7 {
            journal.note(format!("event {number}"));
        }
        assert_eq!(journal.events.len(), KEPT);
        assert_eq!(journal.latest(1)[0].text, format!("event {}", KEPT + 6));
    }
}
