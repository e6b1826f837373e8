//! What a station remembers for whoever asks: its last changes of state, and whom it has heard. Bounded, whatever is sent.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use vrrpd::fsm::Heard;

const TRANSITIONS: usize = 16;
/// More than a link has VRRP routers; with more, the one not heard for longest is forgotten.
const PEERS: usize = 16;

/// A change of state, in operators' words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Transition {
    /// Since 1970, by the host's clock.
    pub(crate) at: Duration,
    pub(crate) prev: &'static str,
    pub(crate) next: &'static str,
    pub(crate) cause: &'static str,
    pub(crate) priority: u8,
}

impl Transition {
    pub(crate) fn to_json(self) -> Value {
        json!({
            "at_ms": millis(self.at), "prev": self.prev, "next": self.next, "cause": self.cause, "priority": self.priority,
        })
    }
}

/// Who was heard on the link.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    pub(crate) heard: Heard,
    pub(crate) at: Instant,
    pub(crate) adverts: u64,
}

#[derive(Default)]
pub(crate) struct History {
    transitions: VecDeque<Transition>,
    /// How often each state was reached for each cause; as many as there are words for them.
    counts: Vec<((&'static str, &'static str), u64)>,
    peers: Vec<Peer>,
}

impl History {
    pub(crate) fn changed(&mut self, transition: Transition) {
        if self.transitions.len() == TRANSITIONS {
            self.transitions.pop_front();
        }
        let way = (transition.next, transition.cause);
        match self.counts.iter_mut().find(|(known, _)| *known == way) {
            Some((_, count)) => *count += 1,
            None => self.counts.push((way, 1)),
        }
        self.transitions.push_back(transition);
    }

    /// How often each state was reached for each cause since vrrpd started.
    pub(crate) fn counts(&self) -> Vec<Value> {
        let one = |((state, cause), count): &((&str, &str), u64)| json!({ "state": state, "cause": cause, "count": count });
        self.counts.iter().map(one).collect()
    }

    pub(crate) fn heard(&mut self, now: Instant, heard: Heard) {
        if let Some(peer) = self.peers.iter_mut().find(|peer| peer.heard.source == heard.source) {
            *peer = Peer { heard, at: now, adverts: peer.adverts + 1 };
            return;
        }
        if self.peers.len() == PEERS {
            let oldest = self.peers.iter().enumerate().min_by_key(|(_, peer)| peer.at);
            oldest.map(|(place, _)| place).map(|place| self.peers.swap_remove(place));
        }
        self.peers.push(Peer { heard, at: now, adverts: 1 });
    }

    /// Oldest first.
    pub(crate) fn transitions(&self) -> impl Iterator<Item = &Transition> {
        self.transitions.iter()
    }

    pub(crate) fn peer(&self, source: IpAddr) -> Option<&Peer> {
        self.peers.iter().find(|peer| peer.heard.source == source)
    }

    pub(crate) fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.peers.iter()
    }
}

/// The host's clock; for people only.
pub(crate) fn wall_clock() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use vrrpd::interval::AdvertInterval;
    use vrrpd::priority::Priority;

    use super::*;

    #[test]
    fn memory_is_bounded_and_keeps_the_latest() {
        let (mut history, now) = (History::default(), Instant::now());
        for count in 0..100_u8 {
            let at = Duration::from_secs(u64::from(count));
            let transition =
                Transition { at, prev: "BACKUP", next: "MASTER", cause: "master-down", priority: count };
            history.changed(transition);
            let interval = AdvertInterval::nearest(Duration::from_millis(100));
            let source = IpAddr::V4(Ipv4Addr::new(10, 0, 0, count));
            history.heard(now + at, Heard { priority: Priority(count), interval, source });
        }
        let kept: Vec<u8> = history.transitions().map(|it| it.priority).collect();
        assert_eq!(kept, (84..100).collect::<Vec<u8>>());
        assert_eq!(history.counts(), [json!({ "state": "MASTER", "cause": "master-down", "count": 100 })]);
        assert_eq!(history.peers().count(), PEERS);
        let last = *history.peer(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 99))).unwrap();
        history.heard(now, last.heard);
        assert_eq!(history.peer(last.heard.source).unwrap().adverts, 2);
        assert!(history.peer(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1))).is_none());
    }
}
