//! Which connections a cold proxy opens. Pure: what is configured and what is remembered in, wishes out.
//!
//! A pooled connection serves one user, so the question is whose. Those of the proxy before this one are remembered with their
//! number: users get shares of it. In a hostgroup of which nothing is remembered, those users get some whose default it is, or, where
//! rules lead, any; a user whose password is only known as a hash gets none, as it could not log in.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use proxyd_wire::auth::Secret;

use super::profiles::Profile;
use crate::backend::Traits;
use crate::pool::idle_limit;
use crate::snapshot::{
    Credential, Hostgroup, HostgroupId, Member, ProxyProtocol, Server, Snapshot, Status, User,
};

/// To each server from each worker, without `connection_warming`.
const FEW: usize = 4;
/// From each worker, to all servers together.
const MOST: usize = 500;
/// Of the users of whom nothing is remembered.
const STRANGERS: usize = 4;
/// utf8mb4_general_ci: what most libraries begin with, and every server knows.
const COLLATION: u16 = 45;

/// One connection.
#[derive(Debug, Clone)]
pub struct Wish {
    pub server: Arc<Server>,
    pub profile: Arc<Profile>,
}

/// What each of so many workers is to open, what is most likely to be needed first.
pub fn wishes(snapshot: &Snapshot, remembered: &[(Profile, u32)], workers: usize) -> Vec<Wish> {
    let reached: BTreeSet<HostgroupId> = snapshot.rules.destinations().collect();
    let mut ranked = Vec::new();
    let of_nobody =
        |hostgroup: &Hostgroup| hostgroup.attributes.settings.proxy_protocol == ProxyProtocol::Off;
    for (id, hostgroup) in snapshot.hostgroups.iter().filter(|(_, hostgroup)| of_nobody(hostgroup)) {
        let profiles = profiles(snapshot, remembered, *id, &reached);
        for member in hostgroup.members.iter().filter(|member| serves(member)) {
            let wanted = enough(snapshot, hostgroup, member, workers);
            for (profile, count) in shares(&profiles, wanted) {
                let wish = Wish { server: member.server.clone(), profile };
                ranked.extend((0..count).map(|nth| (nth, wish.clone())));
            }
        }
    }
    // First one of each, then a second.
    ranked.sort_by_key(|(nth, _)| *nth);
    ranked.into_iter().map(|(_, wish)| wish).take(MOST).collect()
}

/// The password that logs this user in at a backend, where one is known before the user has come.
pub fn secret_of(user: &User) -> Option<Secret> {
    user.backend_secret().or_else(|| match &user.credential {
        Credential::Clear(password) => Some(Secret::Password(password.to_string())),
        Credential::Native(_) | Credential::Sha2(_) => None,
    })
}

fn serves(member: &Member) -> bool {
    member.status == Status::Online && member.weight > 0 && !member.is_silent
}

/// How many connections at rest a worker wants at this server.
fn enough(snapshot: &Snapshot, hostgroup: &Hostgroup, member: &Member, workers: usize) -> usize {
    let (own, all) = (&hostgroup.attributes, &snapshot.variables);
    let pct = own.free_connections_pct.unwrap_or(all.free_connections_pct);
    let limit = idle_limit(member.max_connections, pct, workers);
    let fills = own.connection_warming.unwrap_or(all.connection_warming);
    if fills { limit } else { limit.min(FEW) }
}

/// For whom, with weights, the greatest first.
fn profiles(
    snapshot: &Snapshot,
    remembered: &[(Profile, u32)],
    hostgroup: HostgroupId,
    reached: &BTreeSet<HostgroupId>,
) -> Vec<(Arc<Profile>, u32)> {
    let fits = |(_, user): &(&str, &User)| !user.fast_forward && secret_of(user).is_some();
    let is_user = |name: &str| snapshot.users.get(name).is_some_and(|user| fits(&(name, &**user)));
    let mut known: Vec<_> = remembered
        .iter()
        .filter(|(profile, _)| profile.hostgroup == hostgroup && is_user(&profile.user))
        .map(|(profile, count)| (Arc::new(profile.clone()), *count))
        .collect();
    known.sort_by(|a, b| (Reverse(a.1), &a.0).cmp(&(Reverse(b.1), &b.0)));
    if !known.is_empty() {
        return known;
    }
    let at_home = |(_, user): &(&str, &User)| user.default_hostgroup == hostgroup;
    let all = || snapshot.users.iter().filter(fits);
    let mut strangers: Vec<_> = all().filter(at_home).take(STRANGERS).collect();
    if strangers.is_empty() && reached.contains(&hostgroup) {
        strangers = all().take(STRANGERS).collect();
    }
    let profile = |(name, user): (&str, &User)| Profile {
        hostgroup,
        user: name.into(),
        schema: user.default_schema.clone(),
        traits: Traits::default(),
        collation: COLLATION,
    };
    strangers.into_iter().map(|stranger| (Arc::new(profile(stranger)), 1)).collect()
}

/// Divides so many connections by weight; each gets one while there are some.
fn shares(profiles: &[(Arc<Profile>, u32)], wanted: usize) -> Vec<(Arc<Profile>, usize)> {
    let total = profiles.iter().map(|(_, weight)| u64::from(*weight)).sum::<u64>().max(1);
    let mut left = wanted;
    let mut shares = Vec::new();
    for (profile, weight) in profiles {
        let fair = (wanted as u64).saturating_mul(u64::from(*weight)).div_ceil(total);
        let share = usize::try_from(fair).unwrap_or(usize::MAX).max(1).min(left);
        if share == 0 {
            break;
        }
        left -= share;
        shares.push((profile.clone(), share));
    }
    shares
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
