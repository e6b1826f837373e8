//! Sync groups: after each round, members learn what the state of the others means for them.

use std::time::Instant;

use vrrpd::fsm::group;
use vrrpd::priority::silence;

use crate::net::Interface;
use crate::record::{RouterId, boot_time};

use super::Daemon;
use super::station::Station;

/// More than any group takes to settle: faults, then letting go, then taking over.
const ROUNDS: usize = 4;

impl Daemon {
    /// The stations whose VIPs a vrrpd that is gone had here less than three intervals ago, of a group all or none.
    pub(super) fn who_resumes(&self, links: &[bool], interfaces: &[Interface]) -> Vec<bool> {
        let fresh = |(station, link): (&Station, &bool)| {
            let down = silence(station.router.setup().interval.duration());
            let age = self.last_adverts.age(RouterId::of(&station.config), boot_time());
            *link && !station.vips.present(interfaces).is_empty() && age.is_some_and(|age| age < down)
        };
        let fresh: Vec<bool> = self.stations.iter().zip(links).map(fresh).collect();
        let whole = |station: &Station| {
            let sync = &station.config.sync;
            let mut others = self.stations.iter().zip(&fresh).filter(|(it, _)| it.config.sync == *sync);
            sync.is_none() || others.all(|(_, fresh)| *fresh)
        };
        self.stations.iter().zip(&fresh).map(|(station, fresh)| *fresh && whole(station)).collect()
    }

    /// Lets every group come to rest. Without groups it does nothing.
    pub(super) fn settle_groups(&mut self) {
        let now = Instant::now();
        for first in 0..self.stations.len() {
            let Some(name) = self.stations.get(first).and_then(|it| it.config.sync.clone()) else { continue };
            let in_it = |it: &Station| it.config.sync.as_ref() == Some(&name);
            // Once a group: at its first member.
            if self.stations.iter().position(in_it) != Some(first) {
                continue;
            }
            for _ in 0..ROUNDS {
                let members: Vec<_> =
                    self.stations.iter().filter(|it| in_it(it)).map(|it| &it.router).collect();
                let orders = group::orders(now, &members);
                for (place, event) in &orders {
                    if let Some(station) = self.stations.iter_mut().filter(|it| in_it(it)).nth(*place) {
                        station.handle(now, *event, &mut self.kernel);
                    }
                }
                if orders.is_empty() {
                    break;
                }
            }
        }
    }
}
