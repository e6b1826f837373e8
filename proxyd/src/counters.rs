//! A worker's live counters: plain cells, found without hashing a name or copying one. [`WorkerStats`] is the report
//! that is made of them when somebody asks.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use proxyd_sql::Kind;

use crate::digests::Digests;
use crate::errors::Errors;
use crate::snapshot::Server;
use crate::stats::{CommandStats, GlobalStats, ServerKey, ServerStats, WorkerStats};

/// All of one worker's counters.
#[derive(Debug)]
pub struct Counters {
    pub global: RefCell<GlobalStats>,
    /// By the number of the [`Kind`].
    commands: RefCell<Vec<CommandStats>>,
    rule_hits: RefCell<hashbrown::HashMap<i64, u64>>,
    /// How often a session was tied to a connection, by what tied it; a dozen at most.
    pins: RefCell<Vec<(&'static str, u64)>>,
    /// By the address of the server, which the entry keeps alive.
    servers: RefCell<HashMap<*const Server, Rc<ServerCounters>>>,
    pub digests: RefCell<Digests>,
    pub errors: RefCell<Errors>,
}

/// One server's counters in one worker; each of its connections holds them.
#[derive(Debug)]
pub struct ServerCounters {
    pub key: Rc<ServerKey>,
    pub stats: RefCell<ServerStats>,
    /// Open connections, used or idle.
    pub open: Cell<u64>,
    _server: Arc<Server>,
}

impl ServerCounters {
    /// Counters of their own: for a connection that serves no client.
    pub fn new(server: &Arc<Server>) -> Rc<ServerCounters> {
        Rc::new(ServerCounters {
            key: Rc::new(ServerKey::from(server)),
            stats: RefCell::default(),
            open: Cell::new(0),
            _server: server.clone(),
        })
    }
}

impl Counters {
    /// The counters of one of so many workers.
    pub fn new(workers: usize) -> Counters {
        Counters {
            global: RefCell::default(),
            commands: RefCell::new(vec![CommandStats::default(); Kind::ALL.len()]),
            rule_hits: RefCell::default(),
            pins: RefCell::default(),
            servers: RefCell::default(),
            digests: RefCell::new(Digests::new(workers)),
            errors: RefCell::default(),
        }
    }

    pub fn command(&self, kind: Kind, micros: u64) {
        if let Some(stats) = self.commands.borrow_mut().get_mut(kind as usize) {
            stats.record(micros);
        }
    }

    pub fn rule_hit(&self, rule: i64) {
        *self.rule_hits.borrow_mut().entry(rule).or_default() += 1;
    }

    /// A session is tied to its connection from now on.
    pub fn pinned(&self, reason: &'static str) {
        let mut pins = self.pins.borrow_mut();
        match pins.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += 1,
            None => pins.push((reason, 1)),
        }
    }

    /// The counters of a server; asked for once a connection.
    pub fn server(&self, server: &Arc<Server>) -> Rc<ServerCounters> {
        let mut servers = self.servers.borrow_mut();
        servers.entry(Arc::as_ptr(server)).or_insert_with(|| ServerCounters::new(server)).clone()
    }

    /// The report. What is not counted but looked up (idle connections, users) is the worker's to add.
    pub fn report(&self) -> WorkerStats {
        let mut global = self.global.borrow().clone();
        let servers = self.servers.borrow();
        {
            let digests = self.digests.borrow();
            global.query_digests_evicted = digests.evicted();
            global.query_digest_memory = digests.bytes() as u64;
        }
        global.server_connections_connected = servers.values().map(|server| server.open.get()).sum();
        let counted = self.commands.borrow();
        let commands = Kind::ALL.iter().zip(counted.iter()).filter(|(_, stats)| stats.total_count > 0);
        WorkerStats {
            global,
            servers: servers.values().map(|s| (ServerKey::clone(&s.key), s.stats.borrow().clone())).collect(),
            commands: commands.map(|(kind, stats)| (kind.name(), stats.clone())).collect(),
            rule_hits: self.rule_hits.borrow().iter().map(|(rule, hits)| (*rule, *hits)).collect(),
            users: HashMap::new(),
            pins: HashMap::new(),
            pinned_so_far: self.pins.borrow().iter().copied().collect(),
            max_statement_id: 0,
        }
    }
}

/// A connection in use, counted from its making to its drop.
#[derive(Debug)]
pub struct InUse(Rc<ServerCounters>);

impl InUse {
    pub fn new(counters: Rc<ServerCounters>) -> InUse {
        {
            let mut stats = counters.stats.borrow_mut();
            stats.conn_used += 1;
            stats.max_conn_used = stats.max_conn_used.max(stats.conn_used);
        }
        InUse(counters)
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        self.0.stats.borrow_mut().conn_used -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn use_is_counted_and_its_peak_kept() {
        let counters = Counters::new(1);
        let server = Arc::new(Server::new(1, "127.0.0.1", 3306));
        let uses: Vec<_> = (0..3).map(|_| InUse::new(counters.server(&server))).collect();
        drop(uses);
        let _one = InUse::new(counters.server(&server));
        counters.command(Kind::Select, 70);
        let report = counters.report();
        let stats = &report.servers[&ServerKey::from(&server)];
        assert_eq!((stats.conn_used, stats.max_conn_used), (1, 3));
        assert_eq!(report.commands["SELECT"].buckets[0], 1);
        assert!(!report.commands.contains_key("INSERT"));
    }
}
