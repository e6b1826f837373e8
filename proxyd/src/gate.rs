//! The limits on clients that hold across workers: `mysql-max_connections` and each user's `max_connections`.
//!
//! Asked once a login, never by a query.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// How many clients there are, in total and by user.
#[derive(Debug, Default)]
pub struct Gate {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    total: u32,
    users: HashMap<Arc<str>, u32>,
}

/// The right to be connected; given back on drop.
#[derive(Debug)]
pub struct Ticket {
    gate: Arc<Gate>,
    user: Option<Arc<str>>,
}

impl Gate {
    /// One more client, if `max` allows it.
    pub fn enter(self: &Arc<Self>, max: u32) -> Option<Ticket> {
        let mut counts = self.lock();
        if counts.total >= max {
            return None;
        }
        counts.total += 1;
        Some(Ticket { gate: self.clone(), user: None })
    }

    /// The whole structure is plain counters, so what a panicking holder left behind is still usable.
    fn lock(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// Counts the client as this user's. False when the user has `max` already.
    pub fn claim(&mut self, user: &str, max: u32) -> bool {
        self.unclaim();
        let mut counts = self.gate.lock();
        let (name, count) = match counts.users.get_key_value(user) {
            Some((name, count)) => (name.clone(), *count),
            None => (user.into(), 0),
        };
        if count >= max {
            return false;
        }
        counts.users.insert(name.clone(), count + 1);
        drop(counts);
        self.user = Some(name);
        true
    }

    fn unclaim(&mut self) {
        let Some(user) = self.user.take() else { return };
        let mut counts = self.gate.lock();
        if let Some(count) = counts.users.get_mut(&user) {
            *count -= 1;
            if *count == 0 {
                counts.users.remove(&user);
            }
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.unclaim();
        self.gate.lock().total -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_and_are_given_back() {
        let gate = Arc::new(Gate::default());
        let mut first = gate.enter(2).unwrap();
        let mut second = gate.enter(2).unwrap();
        assert!(gate.enter(2).is_none());
        assert!(first.claim("app", 1));
        assert!(!second.claim("app", 1));
        assert!(second.claim("other", 1));
        drop(first);
        assert!(second.claim("app", 1));
        drop(second);
        let counts = gate.lock();
        assert_eq!((counts.total, counts.users.len()), (0, 0));
    }
}
