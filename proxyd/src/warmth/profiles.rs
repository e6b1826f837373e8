//! What connections are opened for, and how many there are of each: a worker's book. Touched once a connect.

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;

use crate::backend::Traits;
use crate::snapshot::HostgroupId;

/// So many kinds are told apart; later ones are not counted until others have no connection any more.
const MOST: usize = 1024;

/// What makes a pooled connection fit its next session: these, or what a round trip changes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Profile {
    pub hostgroup: HostgroupId,
    pub user: Box<str>,
    /// Of the session that it was opened for; empty for none.
    pub schema: Box<str>,
    pub traits: Traits,
    pub collation: u16,
}

/// The profiles that have open connections: each of those holds on to its own.
#[derive(Debug, Default)]
pub struct Profiles(RefCell<HashSet<Rc<Profile>>>);

impl Profiles {
    /// A connection was opened for this; it counts until what is returned is dropped.
    pub fn enter(&self, profile: Profile) -> Option<Rc<Profile>> {
        let mut known = self.0.borrow_mut();
        if let Some(profile) = known.get(&profile) {
            return Some(profile.clone());
        }
        if known.len() >= MOST {
            known.retain(|profile| Rc::strong_count(profile) > 1);
        }
        let entered = (known.len() < MOST).then(|| Rc::new(profile))?;
        known.insert(entered.clone());
        Some(entered)
    }

    /// Each profile with its open connections.
    pub fn counts(&self) -> Vec<(Profile, u32)> {
        let mut known = self.0.borrow_mut();
        known.retain(|profile| Rc::strong_count(profile) > 1);
        let count = |profile: &Rc<Profile>| u32::try_from(Rc::strong_count(profile) - 1).unwrap_or(u32::MAX);
        known.iter().map(|profile| (Profile::clone(profile), count(profile))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(user: &str) -> Profile {
        Profile {
            hostgroup: 1,
            user: user.into(),
            schema: "".into(),
            traits: Traits::default(),
            collation: 45,
        }
    }

    #[test]
    fn connections_count_while_they_are_open_and_kinds_are_bounded() {
        let profiles = Profiles::default();
        let (first, second) = (profiles.enter(profile("a")), profiles.enter(profile("a")));
        let other = profiles.enter(profile("b"));
        drop(second);
        let mut counts = profiles.counts();
        counts.sort();
        assert_eq!(counts, [(profile("a"), 1), (profile("b"), 1)]);
        drop((first, other));
        assert_eq!(profiles.counts(), []);
        let held: Vec<_> = (0..MOST).filter_map(|n| profiles.enter(profile(&n.to_string()))).collect();
        assert_eq!(held.len(), MOST);
        assert_eq!(profiles.enter(profile("one more")), None);
        drop(held);
        assert!(profiles.enter(profile("one more")).is_some());
    }
}
