//! A worker's backend connections: who gets which, when one is opened, when one is closed.
//!
//! Connections belong to their worker. A worker at a server's `max_connections` asks its siblings to let go of an
//! idle one; it never takes what another thread reads from.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use tokio::sync::Notify;

use crate::backend::{Backend, Traits};
use crate::session::settings::Settings;
use crate::snapshot::{Hostgroup, HostgroupId, Member, Server, Snapshot, Status, is_among};
use crate::stats::{FreeRow, ServerKey};

/// So many logins may be under way at one server for one worker. Were there one for each of a thousand clients that wait for a proxy which
/// has just started, all of them would be slow enough to time out; the few are done soon, and serve one client after the other.
const LOGINS_AT_ONCE: usize = 16;

/// What a session needs of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Want<'a> {
    pub user: &'a str,
    pub traits: Traits,
    pub settings: &'a Settings,
}

/// The idle connections of one worker.
#[derive(Debug, Default)]
pub struct Pool {
    /// By the address of the server, which every connection on the shelf keeps alive.
    shelves: RefCell<HashMap<*const Server, Vec<Idle>>>,
    /// Somebody gave a connection back, or a server changed: whoever waits may look again.
    pub changed: Notify,
    random: Cell<u64>,
    /// Connections opened in the second that began then, by hostgroup.
    opened: RefCell<HashMap<HostgroupId, (Instant, u32)>>,
    /// A login under way holds one of its server's.
    logins: RefCell<HashMap<*const Server, Rc<()>>>,
}

/// A login under way, until this is dropped.
#[derive(Debug)]
pub struct Login {
    _one: Rc<()>,
    /// Keeps the address the server's.
    _server: Arc<Server>,
}

#[derive(Debug)]
struct Idle {
    backend: Box<Backend>,
    since: Instant,
}

impl Idle {
    fn row(&self, now: Instant) -> FreeRow {
        let backend = &self.backend;
        let millis =
            |since| u64::try_from(now.saturating_duration_since(since).as_millis()).unwrap_or(u64::MAX);
        FreeRow {
            fd: backend.connection.fd(),
            server: ServerKey::clone(&backend.place.server),
            user: backend.user().to_owned(),
            schema: backend.settings.schema.to_string(),
            time_zone: backend.settings.variable("time_zone").map(str::to_owned),
            sql_mode: backend.settings.variable("sql_mode").map(str::to_owned),
            autocommit: backend.settings.autocommit,
            idle_ms: millis(self.since),
            age_ms: millis(backend.opened),
            bytes_sent: backend.connection.bytes_out,
            bytes_recv: backend.connection.bytes_in,
            thread_id: backend.thread_id,
        }
    }
}

impl Pool {
    pub fn new(seed: u64) -> Pool {
        Pool { random: Cell::new(seed | 1), ..Pool::default() }
    }

    /// An idle connection to this server for this user, the one with the least to replay first.
    pub fn take(&self, server: &Arc<Server>, want: &Want<'_>, now: Instant) -> Option<Box<Backend>> {
        let mut shelves = self.shelves.borrow_mut();
        let shelf = shelves.get_mut(&Arc::as_ptr(server))?;
        while let Some(at) = best_match(shelf, want) {
            // The newest is at the end; swap_remove keeps the search cheap and the order only roughly by age.
            let idle = shelf.swap_remove(at);
            if idle.backend.is_quiet_after(now.saturating_duration_since(idle.since)) {
                return Some(idle.backend);
            }
        }
        None
    }

    /// Keeps a clean connection for the next session, unless the server has enough idle ones or is not wanted.
    pub fn give(&self, backend: Box<Backend>, snapshot: &Snapshot, workers: usize, now: Instant) {
        let server = backend.server();
        let hostgroup = snapshot.hostgroups.get(&server.hostgroup);
        let room = hostgroup.and_then(|hostgroup| {
            let member = hostgroup.member(server).filter(|member| member.status == Status::Online)?;
            let age = snapshot.variables.connection_max_age;
            let pct = hostgroup.attributes.free_connections_pct;
            let pct = pct.unwrap_or(snapshot.variables.free_connections_pct);
            let is_young = age.is_zero() || now - backend.opened < age;
            is_young.then(|| idle_limit(member.max_connections, pct, workers))
        });
        if let Some(room) = room {
            let mut shelves = self.shelves.borrow_mut();
            let shelf = shelves.entry(Arc::as_ptr(server)).or_default();
            if shelf.len() < room {
                shelf.push(Idle { backend, since: now });
                // It can serve one. Whoever is woken in vain leaves the others to their next look.
                self.changed.notify_one();
                return;
            }
        }
        drop(backend);
        self.changed.notify_waiters();
    }

    /// Every idle connection.
    pub fn free(&self, now: Instant) -> Vec<FreeRow> {
        self.shelves.borrow().values().flatten().map(|idle| idle.row(now)).collect()
    }

    pub fn idle_count(&self, server: &Arc<Server>) -> usize {
        self.shelves.borrow().get(&Arc::as_ptr(server)).map_or(0, Vec::len)
    }

    /// Closes one idle connection to `server`, whoever it was opened for. False when there is none.
    pub fn close_one(&self, server: &Arc<Server>) -> bool {
        let closed = self.shelves.borrow_mut().get_mut(&Arc::as_ptr(server)).and_then(Vec::pop).is_some();
        if closed {
            self.changed.notify_waiters();
        }
        closed
    }

    /// Drops what a new snapshot no longer wants, and what has been closed by the server.
    pub fn sweep(&self, snapshot: &Snapshot) {
        self.shelves.borrow_mut().retain(|_, shelf| {
            shelf.retain(|idle| {
                let member = member_of(snapshot, idle.backend.server());
                member.is_some_and(|m| m.status == Status::Online) && idle.backend.is_quiet()
            });
            !shelf.is_empty()
        });
        self.logins.borrow_mut().retain(|_, one| Rc::strong_count(one) > 1);
        self.changed.notify_waiters();
    }

    /// One connection to this server broke: those at rest that broke with it are no use to the next statement.
    pub fn drop_broken(&self, server: &Arc<Server>) {
        if let Some(shelf) = self.shelves.borrow_mut().get_mut(&Arc::as_ptr(server)) {
            shelf.retain(|idle| idle.backend.is_quiet());
        }
    }

    /// This server shuts down, and its connections end.
    pub fn drop_all(&self, server: &Arc<Server>) {
        self.shelves.borrow_mut().remove(&Arc::as_ptr(server));
        self.changed.notify_waiters();
    }

    /// Takes out the connections that have been idle for `interval`, to be pinged and given back.
    pub fn take_stale(&self, interval: Duration, now: Instant) -> impl Iterator<Item = Box<Backend>> {
        let mut stale = Vec::new();
        for shelf in self.shelves.borrow_mut().values_mut() {
            let (old, fresh) =
                std::mem::take(shelf).into_iter().partition(|idle| now - idle.since >= interval);
            *shelf = fresh;
            stale.extend(Vec::<Idle>::into_iter(old).map(|idle| idle.backend));
        }
        stale.into_iter()
    }

    /// Picks a server by weighted chance among those that are ONLINE and have room (xorshift, one state a worker).
    pub fn choose<'s>(&self, hostgroup: &'s Hostgroup, avoid: &[Arc<Server>]) -> Option<&'s Member> {
        self.choose_where(hostgroup, avoid, |_| true)
    }

    /// The same among those that suit.
    pub fn choose_where<'s>(
        &self,
        hostgroup: &'s Hostgroup,
        avoid: &[Arc<Server>],
        suits: impl Fn(&Server) -> bool,
    ) -> Option<&'s Member> {
        let eligible = |member: &&Member| {
            member.status == Status::Online
                && member.weight > 0
                && !is_among(&member.server, avoid)
                && suits(&member.server)
                && (self.idle_count(&member.server) > 0
                    || member.server.connections() < member.max_connections)
        };
        if hostgroup.has_too_many_online() {
            return None;
        }
        let mut all = hostgroup.members.iter().filter(eligible);
        let first = all.next()?;
        let others: u64 = all.map(|member| u64::from(member.weight)).sum();
        if others == 0 {
            return Some(first);
        }
        let mut ticket = self.random() % (u64::from(first.weight) + others);
        hostgroup.members.iter().filter(eligible).find(|member| {
            let here = ticket < u64::from(member.weight);
            ticket = ticket.saturating_sub(u64::from(member.weight));
            here
        })
    }

    /// Takes the right to open one connection to a hostgroup that may have `per_second` of them from this worker.
    pub fn may_open(&self, hostgroup: HostgroupId, per_second: u32, now: Instant) -> bool {
        let mut opened = self.opened.borrow_mut();
        let (since, count) = opened.entry(hostgroup).or_insert((now, 0));
        if now.saturating_duration_since(*since) >= Duration::from_secs(1) {
            (*since, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        *count <= per_second
    }

    /// The right to log in at a server, for somebody who has looked in vain so often, each time without delay. What takes long although
    /// this worker is not busy is the server or the way to it: the limit doubles with each look.
    pub fn may_log_in(&self, server: &Arc<Server>, looks: u32) -> Option<Login> {
        let limit = LOGINS_AT_ONCE << looks.min(16);
        let mut logins = self.logins.borrow_mut();
        let one = logins.entry(Arc::as_ptr(server)).or_default();
        // The book's own is no login.
        (Rc::strong_count(one) <= limit).then(|| Login { _one: one.clone(), _server: server.clone() })
    }

    /// The next of this worker's random numbers.
    pub fn random(&self) -> u64 {
        let mut x = self.random.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.random.set(x);
        x
    }
}

/// The member of the snapshot that this server is, if it still is one.
pub fn member_of<'s>(snapshot: &'s Snapshot, server: &Arc<Server>) -> Option<&'s Member> {
    snapshot.hostgroups.get(&server.hostgroup)?.member(server)
}

/// The server is no member of its hostgroup any more, or one whose connections are no good: nothing may run there.
pub fn is_lost(snapshot: &Snapshot, server: &Arc<Server>) -> bool {
    member_of(snapshot, server).is_none_or(Member::is_lost)
}

/// Why, for the client whose statement ran there.
pub fn why_lost(snapshot: &Snapshot, server: &Arc<Server>) -> String {
    match member_of(snapshot, server) {
        Some(member) => format!("it is {}: {}", member.status.as_str(), member.reason),
        None => "it has no place in its hostgroup any more".to_owned(),
    }
}

/// `mysql-free_connections_pct` of `max_connections`, shared by the workers, and never less than one each.
pub fn idle_limit(max_connections: u32, pct: u32, workers: usize) -> usize {
    let total = max_connections as usize * pct as usize / 100;
    (total / workers.max(1)).max(1)
}

fn best_match(shelf: &[Idle], want: &Want<'_>) -> Option<usize> {
    let usable = |idle: &Idle| {
        idle.backend.user() == want.user
            && idle.backend.traits == want.traits
            && idle.backend.settings.can_become(want.settings)
    };
    let exact = |idle: &Idle| usable(idle) && idle.backend.settings == *want.settings;
    shelf.iter().rposition(exact).or_else(|| shelf.iter().rposition(usable))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::HostgroupAttributes;

    fn member(port: u16, status: Status, weight: u32) -> Member {
        let server = Arc::new(Server::new(1, "127.0.0.1", port));
        Member {
            server,
            status,
            weight,
            max_connections: 10,
            use_ssl: false,
            compression: false,
            is_silent: false,
            reason: "".into(),
        }
    }

    #[test]
    fn chance_follows_weight_and_leaves_out_who_is_not_eligible() {
        let mut hostgroup = Hostgroup {
            attributes: HostgroupAttributes::default(),
            members: vec![
                member(1, Status::Online, 300),
                member(2, Status::Online, 100),
                member(3, Status::Shunned, 1_000),
                member(4, Status::Online, 0),
            ],
        };
        let pool = Pool::new(7);
        let mut counts = HashMap::new();
        for _ in 0..4_000 {
            *counts.entry(pool.choose(&hostgroup, &[]).unwrap().server.port).or_insert(0) += 1;
        }
        assert!((2_800..3_200).contains(&counts[&1]), "{counts:?}");
        assert_eq!(counts[&1] + counts[&2], 4_000);
        let avoid = [hostgroup.members[0].server.clone()];
        assert_eq!(pool.choose(&hostgroup, &avoid).unwrap().server.port, 2);
        hostgroup.attributes.max_num_online_servers = 3;
        assert!(pool.choose(&hostgroup, &[]).is_some());
        hostgroup.attributes.max_num_online_servers = 2;
        assert!(pool.choose(&hostgroup, &[]).is_none(), "more ONLINE servers than there may be");
    }

    #[test]
    fn connects_are_throttled_by_the_second() {
        let (pool, start) = (Pool::new(7), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        let allowed = |ms| (0..10).filter(|_| pool.may_open(5, 3, at(ms))).count();
        assert_eq!([allowed(0), allowed(900), allowed(1_000), allowed(2_500)], [3, 0, 3, 3]);
        assert!(pool.may_open(6, 1, at(2_500)));
    }

    #[test]
    fn few_log_in_at_once_unless_it_is_not_this_worker_that_is_slow() {
        let pool = Pool::new(7);
        let (one, other) = (member(1, Status::Online, 1).server, member(2, Status::Online, 1).server);
        let mut logins: Vec<Login> = std::iter::from_fn(|| pool.may_log_in(&one, 0)).take(1_000).collect();
        assert_eq!(logins.len(), LOGINS_AT_ONCE);
        assert!(pool.may_log_in(&other, 0).is_some(), "each server has its own limit");
        logins.pop();
        logins.extend(pool.may_log_in(&one, 0));
        logins.extend(std::iter::from_fn(|| pool.may_log_in(&one, 3)).take(1_000));
        assert_eq!(logins.len(), 8 * LOGINS_AT_ONCE);
        pool.sweep(&Snapshot::default());
        assert!(pool.may_log_in(&one, 0).is_none(), "logins outlive a sweep");
    }

    #[test]
    fn nobody_is_chosen_when_nobody_is_eligible() {
        let pool = Pool::new(7);
        assert!(pool.choose(&Hostgroup::default(), &[]).is_none());
        let full = member(1, Status::Online, 1);
        let held: Vec<_> = (0..10).map(|_| full.server.reserve(10).unwrap()).collect();
        assert!(full.server.reserve(10).is_none());
        let hostgroup = Hostgroup { members: vec![full], ..Hostgroup::default() };
        assert!(pool.choose(&hostgroup, &[]).is_none());
        drop(held);
        assert!(pool.choose(&hostgroup, &[]).is_some());
    }

    #[test]
    fn idle_share_is_split_between_workers() {
        assert_eq!(idle_limit(1_000, 10, 2), 50);
        assert_eq!(idle_limit(2, 10, 2), 1);
    }
}
