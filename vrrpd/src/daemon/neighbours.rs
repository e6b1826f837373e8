//! Neighbours that this host has lost. While its link is gone the kernel looks for each that something is sent to, once a second, and
//! goes on in that rhythm when the link is back: up to a second in which nothing gets there.
//!
//! With adverts every 10 ms that is a second MASTER: one that takes over just then hears its peers and is not heard by them. And
//! its proxy does not reach its servers. So whoever is waited for is asked for here, as soon as a link is back and a few times more,
//! as a switch may need a moment to forward. Only on the links that adverts use: others come and go with every container.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use vrrpd::arp::Mac;

use crate::log::log;
use crate::net::Interface;

use super::Daemon;

/// After a link came up.
const ROUNDS: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(50),
    Duration::from_millis(150),
    Duration::from_millis(400),
    Duration::from_millis(1_000),
];
/// Questions of one round, each of them a broadcast. The kernel asks for whoever else there is in its own time.
const MOST: usize = 64;

/// "Who has `target`? Tell `source`."
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) index: u32,
    pub(crate) mac: Mac,
    pub(crate) source: IpAddr,
    pub(crate) target: IpAddr,
}

/// When to ask.
#[derive(Debug, Default)]
pub(crate) struct Neighbours {
    /// The links of adverts that were up at the last look, by the index of their interface.
    up: Vec<u32>,
    /// When the last of them came up, and how many rounds there have been since.
    since: Option<(Instant, usize)>,
}

impl Neighbours {
    /// Which links are up now. One that was not begins the rounds anew, at once.
    fn look(&mut self, now: Instant, up: Vec<u32>) {
        if up.iter().any(|index| !self.up.contains(index)) {
            self.since = Some((now, 0));
        }
        self.up = up;
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let (since, round) = self.since?;
        ROUNDS.get(round).map(|offset| since + *offset)
    }

    /// Whether it is time to ask; if so, the next round is planned.
    pub(super) fn take_due(&mut self, now: Instant) -> bool {
        let due = self.deadline().is_some_and(|at| at <= now);
        if let Some((_, round)) = self.since.as_mut().filter(|_| due) {
            *round += 1;
        }
        due
    }
}

impl Daemon {
    /// After every look at the interfaces.
    pub(super) fn look_for_links(&mut self, now: Instant, interfaces: &[Interface]) {
        let carries_adverts = |index| self.kernel.wires.iter().any(|wire| wire.id.index == index);
        let up = interfaces.iter().filter(|it| it.running && carries_adverts(it.index));
        self.neighbours.look(now, up.map(|it| it.index).collect());
    }

    /// For the peers, and for whomever the kernel waits, if it is time to.
    pub(super) fn ask_for_neighbours(&mut self) {
        if !self.neighbours.take_due(Instant::now()) {
            return;
        }
        let Some(interfaces) = self.interfaces() else { return };
        let mut unresolved = match self.kernel.rtnl.unresolved() {
            Ok(unresolved) => unresolved,
            Err(error) => return log!("warn", "no-neighbours", "error=\"{error}\""),
        };
        unresolved.retain(|(index, _)| self.neighbours.up.contains(index));
        let is_virtual = |address| self.stations.iter().any(|it| it.vips.is_virtual(address));
        let unknown = questions(&interfaces, unresolved, is_virtual);
        let peers = self.stations.iter().flat_map(|it| &it.peers);
        peers.chain(&unknown).for_each(|it| self.kernel.ask(it));
    }
}

/// What to ask on these interfaces for who is not known there. Nobody asks for what is behind a router, nor in the name of a VIP.
pub(super) fn questions(
    interfaces: &[Interface],
    unknown: impl IntoIterator<Item = (u32, IpAddr)>,
    is_virtual: impl Fn(IpAddr) -> bool,
) -> Vec<Question> {
    let question = |(index, target)| {
        let on = interfaces.iter().find(|it| it.index == index && it.running)?;
        let asks = |(own, prefix): &&(IpAddr, u8)| reaches(*own, *prefix, target) && !is_virtual(*own);
        let (source, _) = on.addresses.iter().find(asks)?;
        Some(Question { index, mac: on.mac?, source: *source, target })
    };
    unknown.into_iter().filter_map(question).take(MOST).collect()
}

/// Whether another address is on the link of one with this prefix length.
fn reaches(own: IpAddr, prefix: u8, other: IpAddr) -> bool {
    let prefix = u32::from(prefix);
    match (own, other) {
        (IpAddr::V4(own), IpAddr::V4(other)) => {
            (own.to_bits() ^ other.to_bits()).leading_zeros() >= prefix && own != other
        }
        (IpAddr::V6(own), IpAddr::V6(other)) => {
            (own.to_bits() ^ other.to_bits()).leading_zeros() >= prefix && own != other
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn interface(index: u32, running: bool, addresses: &[(&str, u8)]) -> Interface {
        let addresses = addresses.iter().map(|(address, prefix)| (ip(address), *prefix)).collect();
        let name = format!("eth{index}");
        Interface { index, name, mac: Some([2; 6]), running, below: None, addresses }
    }

    #[test]
    fn rounds_begin_when_a_link_comes_up_and_end() {
        let start = Instant::now();
        let ms = |ms| start + Duration::from_millis(ms);
        let mut asking = Neighbours::default();
        assert_eq!(asking.deadline(), None);
        asking.look(start, vec![2]);
        let mut asked = Vec::new();
        for at in 0..3_000 {
            if at == 100 {
                asking.look(ms(at), vec![]);
            }
            if at == 110 {
                asking.look(ms(at), vec![3]);
            }
            if asking.take_due(ms(at)) {
                asked.push(at);
            }
        }
        assert_eq!(asked, [0, 50, 110, 160, 260, 510, 1110]);
        assert_eq!(asking.deadline(), None);
    }

    #[test]
    fn who_is_asked_for_and_in_whose_name() {
        let interfaces = [
            interface(2, true, &[("10.0.0.88", 24), ("10.0.0.1", 24), ("fe80::1", 64)]),
            interface(3, false, &[("10.1.0.1", 24)]),
            interface(4, true, &[("10.2.0.1", 32)]),
        ];
        let asked = |index, target: &str| {
            let is_vip = |it| it == ip("10.0.0.88");
            let all = questions(&interfaces, [(index, ip(target))], is_vip);
            all.first().map(|it| (it.source, it.target))
        };
        assert_eq!(asked(2, "10.0.0.9"), Some((ip("10.0.0.1"), ip("10.0.0.9"))), "not by a VIP");
        assert_eq!(asked(2, "fe80::9"), Some((ip("fe80::1"), ip("fe80::9"))));
        assert_eq!(asked(2, "10.0.1.9"), None, "behind a router");
        assert_eq!(asked(2, "10.0.0.1"), None, "itself");
        assert_eq!(asked(3, "10.1.0.9"), None, "no link");
        assert_eq!(asked(4, "10.2.0.9"), None, "a lone address");
        assert_eq!(asked(5, "10.0.0.9"), None, "no such interface");
        let many = (1..=255).map(|last| (2, ip(&format!("10.0.0.{last}"))));
        assert_eq!(questions(&interfaces, many, |_| false).len(), MOST);
    }
}
