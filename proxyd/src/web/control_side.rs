//! The control thread's part: what only that thread knows, and the answers to the web thread's questions.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};

use super::daemons::Daemons;
use super::doors::Wanted;
use super::journal::{Event, Journal};
use crate::admin::{Admin, Check, CheckLog};
use crate::logfile::Counts;
use crate::runtime::{Address, Runtime};
use crate::snapshot::{HostgroupId, Status, User};
use crate::stats::ServerKey;
use crate::variables::Variables;

/// A user with its name, about: counting a million of them for every scrape is not worth the last digits.
const USER_BYTES: usize = size_of::<User>() + 32;
/// Events on the status page.
const EVENTS: usize = 50;

/// Asked by the web thread.
#[derive(Debug)]
pub enum Question {
    Facts(oneshot::Sender<Facts>),
    Notes(oneshot::Sender<Notes>),
}

/// What the counters of the workers do not say.
#[derive(Debug, Clone)]
pub struct Facts {
    pub uptime: Duration,
    pub generation: u64,
    pub workers: usize,
    pub paused: bool,
    pub backends: Vec<BackendFacts>,
    pub checks: [CheckCount; CHECKS.len()],
    pub auth_memory: u64,
    /// Lines of the log files.
    pub logs: Counts,
    pub variables: Variables,
}

/// A server in a hostgroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendFacts {
    pub hostgroup: HostgroupId,
    pub address: Address,
    pub status: Status,
    /// Why it is not ONLINE; empty otherwise.
    pub reason: String,
    pub latency_us: u64,
}

impl BackendFacts {
    pub fn key(&self) -> ServerKey {
        ServerKey {
            hostgroup: self.hostgroup,
            hostname: self.address.hostname.clone(),
            port: self.address.port,
        }
    }
}

/// What the status page tells besides numbers.
#[derive(Debug, Clone, Default)]
pub struct Notes {
    /// Newest first.
    pub events: Vec<Event>,
    /// Modules whose runtime differs from disk.
    pub unsaved: Vec<&'static str>,
}

/// The monitors' checks, as [`check_place`] numbers them.
pub const CHECKS: [&str; 7] =
    ["connect", "ping", "read_only", "replication_lag", "galera", "group_replication", "aurora"];

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CheckCount {
    pub ok: u64,
    pub err: u64,
}

fn check_place(check: &Check) -> usize {
    match check {
        Check::Connect => 0,
        Check::Ping => 1,
        Check::ReadOnly(_) => 2,
        Check::Lag(_) => 3,
        Check::Galera(_) => 4,
        Check::GroupReplication(_) => 5,
        Check::Aurora(_) => 6,
    }
}

/// Held by [`Admin`], on the control thread.
#[derive(Debug)]
pub struct ControlSide {
    pub daemons: Daemons,
    journal: RefCell<Journal>,
    checks: RefCell<[CheckCount; CHECKS.len()]>,
    /// Of the runtime, when it was last looked at.
    generation: RefCell<Option<u64>>,
    /// Asked for often, and costly on a large configuration: forgotten whenever it may have changed.
    unsaved: RefCell<Option<Vec<&'static str>>>,
}

impl ControlSide {
    pub fn new(daemons: Daemons) -> ControlSide {
        ControlSide {
            daemons,
            journal: RefCell::default(),
            checks: RefCell::default(),
            generation: RefCell::default(),
            unsaved: RefCell::default(),
        }
    }

    /// Notes what the runtime has become since the last look. Call it several times a second; without a change it is cheap.
    pub fn follow(&self, runtime: &Runtime, wanted: &watch::Sender<Wanted>) {
        let generation = runtime.snapshot().generation;
        if self.generation.replace(Some(generation)) == Some(generation) {
            return;
        }
        self.journal.borrow_mut().compare(runtime.members());
        let wishes = Wanted::from_settings(runtime.settings());
        wanted.send_if_modified(|before| {
            let differs = *before != wishes;
            *before = wishes;
            differs
        });
    }

    /// A module was loaded to runtime.
    pub fn note_load(&self, words: &str) {
        self.forget_unsaved();
        self.journal.borrow_mut().note(format!("{words}: loaded to runtime"));
    }

    /// Something was changed that may make runtime and disk differ, or agree.
    pub fn forget_unsaved(&self) {
        self.unsaved.replace(None);
    }

    pub fn count_check(&self, log: &CheckLog) {
        if let Some(count) = self.checks.borrow_mut().get_mut(check_place(&log.check)) {
            match log.error {
                None => count.ok += 1,
                Some(_) => count.err += 1,
            }
        }
    }
}

impl Admin {
    /// What the control thread knows now.
    pub fn facts(&self) -> Facts {
        let runtime = self.runtime.borrow();
        let backends = runtime.members().iter().map(|member| BackendFacts {
            hostgroup: member.row.hostgroup_id,
            address: member.row.address.clone(),
            status: member.status,
            reason: member.reason.clone(),
            latency_us: runtime.latency_us(&member.row.address),
        });
        Facts {
            uptime: Instant::now().saturating_duration_since(runtime.started()),
            generation: runtime.snapshot().generation,
            workers: runtime.workers().len(),
            paused: self.is_paused(),
            backends: backends.collect(),
            checks: *self.web.checks.borrow(),
            auth_memory: (runtime.users().len() * USER_BYTES) as u64,
            logs: self.logs().counts(),
            variables: runtime.variables().clone(),
        }
    }

    fn notes(&self) -> Notes {
        let unsaved = self.web.unsaved.borrow().clone();
        let unsaved = unsaved.unwrap_or_else(|| {
            let modules = self.unsaved_modules();
            self.web.unsaved.replace(Some(modules.clone()));
            modules
        });
        Notes { events: self.web.journal.borrow().latest(EVENTS), unsaved }
    }
}

/// Answers the web thread until it is gone. Must run on the control thread's `LocalSet`.
pub async fn answer_questions(mut questions: mpsc::Receiver<Question>, admin: Rc<Admin>) {
    while let Some(question) = questions.recv().await {
        // Whoever asked may have stopped waiting.
        match question {
            Question::Facts(reply) => drop(reply.send(admin.facts())),
            Question::Notes(reply) => drop(reply.send(admin.notes())),
        }
    }
}
