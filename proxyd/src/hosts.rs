//! Client hosts that fail to log in: counted, and turned away after `mysql-client_host_error_counts` failures, as long as the
//! cache (`mysql-client_host_cache_size` hosts) remembers them. Shared by the workers, touched once a login and only when
//! both variables are set.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The two variables; 0 in either switches this off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HostLimits {
    pub cache_size: usize,
    pub error_counts: u32,
}

impl HostLimits {
    fn is_on(self) -> bool {
        self.cache_size > 0 && self.error_counts > 0
    }
}

/// A row of `stats_mysql_client_host_cache`; the time is in microseconds since the start of the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRow {
    pub address: IpAddr,
    pub errors: u32,
    pub last_updated: u64,
}

#[derive(Debug, Default)]
pub struct ClientHosts(Mutex<Hosts>);

#[derive(Debug, Default)]
struct Hosts {
    /// Errors, and the key in `by_age`.
    errors: HashMap<IpAddr, (u32, (u64, u64))>,
    /// Least recently failed first; the second number keeps equal times apart.
    by_age: BTreeMap<(u64, u64), IpAddr>,
    turns: u64,
}

impl ClientHosts {
    /// Whether a client from here may try to log in.
    pub fn admits(&self, address: IpAddr, limits: HostLimits) -> bool {
        !limits.is_on()
            || self.lock().errors.get(&address).is_none_or(|(errors, _)| *errors < limits.error_counts)
    }

    /// A login ended, well or not, so many microseconds after the start of the process.
    pub fn note(&self, address: IpAddr, success: bool, now: u64, limits: HostLimits) {
        if !limits.is_on() {
            return;
        }
        let mut hosts = self.lock();
        let errors = hosts.forget(address);
        if success {
            return;
        }
        while hosts.errors.len() >= limits.cache_size {
            let Some((_, oldest)) = hosts.by_age.pop_first() else { break };
            hosts.errors.remove(&oldest);
        }
        hosts.turns += 1;
        let age = (now, hosts.turns);
        hosts.errors.insert(address, (errors.saturating_add(1), age));
        hosts.by_age.insert(age, address);
    }

    /// The hosts with errors; with `reset`, all are forgotten.
    pub fn report(&self, reset: bool) -> Vec<HostRow> {
        let mut hosts = self.lock();
        let row = |(address, (errors, age)): (&IpAddr, &(u32, (u64, u64)))| HostRow {
            address: *address,
            errors: *errors,
            last_updated: age.0,
        };
        let rows = hosts.errors.iter().map(row).collect();
        if reset {
            *hosts = Hosts::default();
        }
        rows
    }

    fn lock(&self) -> MutexGuard<'_, Hosts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hosts {
    /// Takes a host out; returns its errors.
    fn forget(&mut self, address: IpAddr) -> u32 {
        let Some((errors, age)) = self.errors.remove(&address) else { return 0 };
        self.by_age.remove(&age);
        errors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HostLimits = HostLimits { cache_size: 2, error_counts: 2 };

    fn ip(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[test]
    fn a_host_is_turned_away_until_it_is_forgotten() {
        let hosts = ClientHosts::default();
        hosts.note(ip(1), false, 1, LIMITS);
        assert!(hosts.admits(ip(1), LIMITS));
        hosts.note(ip(1), false, 2, LIMITS);
        assert!(!hosts.admits(ip(1), LIMITS) && hosts.admits(ip(2), LIMITS));
        assert!(hosts.admits(ip(1), HostLimits::default()), "off is off");
        assert_eq!(hosts.report(true), [HostRow { address: ip(1), errors: 2, last_updated: 2 }]);
        assert!(hosts.admits(ip(1), LIMITS));
    }

    #[test]
    fn success_forgives_and_the_cache_is_bounded() {
        let hosts = ClientHosts::default();
        for (now, last) in [(1, 1), (2, 2), (3, 1), (4, 3)] {
            hosts.note(ip(last), false, now, LIMITS);
        }
        // Host 2 was the least recent.
        let mut known: Vec<_> = hosts.report(false).into_iter().map(|row| row.address).collect();
        known.sort();
        assert_eq!(known, [ip(1), ip(3)]);
        hosts.note(ip(1), true, 5, LIMITS);
        assert!(hosts.admits(ip(1), LIMITS));
        assert_eq!(hosts.lock().by_age.len(), 1);
    }
}
