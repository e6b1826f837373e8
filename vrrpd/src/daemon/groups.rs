//! Sync groups: after each round, members learn what the state of the others means for them.

use std::time::Instant;

use vrrpd::fsm::group;

use super::Daemon;

/// More than any group takes to settle: faults, then letting go, then taking over.
const ROUNDS: usize = 4;

impl Daemon {
    /// Lets every group come to rest. Without groups it does nothing.
    pub(super) fn settle_groups(&mut self) {
        let now = Instant::now();
        for first in 0..self.stations.len() {
            let Some(name) = self.stations.get(first).and_then(|it| it.config.sync.clone()) else { continue };
            let in_it = |it: &super::Station| it.config.sync.as_ref() == Some(&name);
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
