//! What others may know of a session, and how they reach it: the row of the process list, `KILL`, time-outs.
//!
//! The session writes its cells as it goes; the worker reads them when somebody asks. One thread, so no locks.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::gtids::LastGtids;
use crate::peer::Peer;
use crate::pool::is_lost;
use crate::snapshot::Server;
use crate::stats::{ProcessRow, ServerKey};
use crate::users::NamedUser;
use crate::variables::Variables;
use crate::worker::Worker;

/// A statement's text is kept up to this length for the process list; an idle session keeps none.
const INFO_LIMIT: usize = 1024;
/// A client that came this recently still has to log in, or to send its first statement.
const ARRIVAL: Duration = Duration::from_millis(400);

/// Why a session is to stop what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupt {
    /// `KILL [CONNECTION] id`, or the server is going away.
    KillConnection,
    /// `KILL QUERY id`.
    KillQuery,
    /// A rule's or the default query time-out.
    QueryTimeout,
    /// `mysql-wait_timeout`, `mysql-max_transaction_idle_time`, `mysql-max_transaction_time`.
    IdleTimeout,
    /// A server this session holds a connection to is OFFLINE_HARD, or silent.
    BackendGone,
}

pub struct Record {
    pub id: u32,
    /// Who the client is; a PROXY header may tell better.
    peer: Cell<Peer>,
    pub born: Instant,
    pub names: RefCell<Names>,
    pub command: Cell<&'static str>,
    /// Whether there has been a command.
    asked: Cell<bool>,
    pub since: Cell<Instant>,
    /// The statement in flight must be done by then.
    pub deadline: Cell<Option<Instant>>,
    pub in_transaction: Cell<bool>,
    /// Since when there has been one.
    transaction_since: Cell<Instant>,
    pub pin_reason: Cell<&'static str>,
    pub backend: RefCell<Option<Rc<BackendPlace>>>,
    /// What the servers said of this session's last commits.
    pub gtids: RefCell<LastGtids>,
    info: Cell<Vec<u8>>,
    interrupt: Cell<Option<Interrupt>>,
    /// It has been told that it has rested for long.
    rested: Cell<bool>,
    /// Who is told of it: the session's task, once it has waited.
    waiting: Cell<Option<Waker>>,
}

/// Whose session it is, once the login is done, and where it is.
#[derive(Debug, Default)]
pub struct Names {
    pub user: Option<Arc<NamedUser>>,
    pub schema: Box<str>,
}

impl Names {
    /// Empty before the login.
    pub fn user(&self) -> &str {
        self.user.as_ref().map_or("", |user| &user.name)
    }
}

/// The backend connection that a session uses now.
#[derive(Debug, Clone)]
pub struct BackendPlace {
    pub server: Rc<ServerKey>,
    pub local: Option<SocketAddr>,
}

impl Record {
    pub fn new(id: u32, peer: Peer, now: Instant) -> Record {
        Record {
            id,
            peer: Cell::new(peer),
            born: now,
            names: RefCell::default(),
            command: Cell::new("Connect"),
            asked: Cell::new(false),
            since: Cell::new(now),
            deadline: Cell::new(None),
            in_transaction: Cell::new(false),
            transaction_since: Cell::new(now),
            pin_reason: Cell::new(""),
            backend: RefCell::new(None),
            gtids: RefCell::default(),
            info: Cell::default(),
            interrupt: Cell::new(None),
            rested: Cell::new(false),
            waiting: Cell::new(None),
        }
    }

    pub fn peer(&self) -> Peer {
        self.peer.get()
    }

    /// A proxy that is trusted says so.
    pub fn set_peer(&self, peer: Peer) {
        self.peer.set(peer);
    }

    /// Whether there is a transaction, after a statement.
    pub fn note_transaction(&self, is_open: bool, now: Instant) {
        if is_open && !self.in_transaction.replace(is_open) {
            self.transaction_since.set(now);
        }
        self.in_transaction.set(is_open);
    }

    /// When this session has rested, or kept a transaction open, for as long as it may.
    pub fn stays_until(&self, variables: &Variables) -> Option<Instant> {
        let rests = (self.command.get() == "Sleep").then(|| self.since.get());
        let open = self.in_transaction.get();
        [
            rests.map(|since| since + variables.wait_timeout),
            rests.filter(|_| open).map(|since| since + variables.max_transaction_idle_time),
            open.then(|| self.transaction_since.get() + variables.max_transaction_time),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Ending this session now would end work.
    pub fn is_in_flight(&self) -> bool {
        self.in_transaction.get() || !matches!(self.command.get(), "Sleep" | "Connect")
    }

    /// Whether a proxy that is about to end waits for this session: something is under way that ends by itself, or the client has
    /// just come and nobody has told it anything yet but this proxy.
    pub fn ends_soon(&self, now: Instant) -> bool {
        let arrives = !self.asked.get() && now.saturating_duration_since(self.born) < ARRIVAL;
        let endless = matches!(self.command.get(), "Fast forward" | "Binlog Dump" | "Binlog Dump GTID");
        arrives || self.is_in_flight() && !endless
    }

    /// A command starts; its text is for the process list, kept in `room`.
    pub fn start(&self, command: &'static str, text: &[u8], mut room: Vec<u8>, now: Instant) {
        self.command.set(command);
        self.asked.set(true);
        self.since.set(now);
        room.clear();
        room.extend_from_slice(&text[..text.len().min(INFO_LIMIT)]);
        self.info.replace(room);
        // An interrupt aimed at an earlier statement must not hit this one.
        if matches!(self.interrupt.get(), Some(Interrupt::KillQuery | Interrupt::QueryTimeout)) {
            self.interrupt.set(None);
        }
    }

    /// The command has been answered; gives back the room of its text.
    pub fn rest(&self, now: Instant) -> Vec<u8> {
        self.command.set("Sleep");
        self.since.set(now);
        self.deadline.set(None);
        self.info.take()
    }

    /// Tells the session to stop. The strongest reason wins if several come at once.
    pub fn interrupt(&self, why: Interrupt) {
        if self.interrupt.get() != Some(Interrupt::KillConnection) {
            self.interrupt.set(Some(why));
        }
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }

    /// Tells a session that has rested since then that this is long; false if it has not.
    pub fn tell_rested(&self, since: Instant) -> bool {
        let rests = self.command.get() == "Sleep" && self.since.get() <= since;
        if rests {
            self.rested.set(true);
            if let Some(waker) = self.waiting.take() {
                waker.wake();
            }
        }
        rests
    }

    /// Whether it has been told so, which it is once.
    pub fn has_rested(&self) -> bool {
        self.rested.take()
    }

    /// Resolves when somebody has interrupted this session. One task may wait for it: the session's.
    pub async fn interrupted(&self) -> Interrupt {
        poll_fn(|cx| self.poll_interrupted(cx)).await
    }

    /// As [`Record::interrupted`].
    pub fn poll_interrupted(&self, cx: &mut Context<'_>) -> Poll<Interrupt> {
        if let Some(why) = self.interrupt.take() {
            return Poll::Ready(why);
        }
        let waiting = self.waiting.take().filter(|waker| waker.will_wake(cx.waker()));
        self.waiting.set(Some(waiting.unwrap_or_else(|| cx.waker().clone())));
        Poll::Pending
    }

    /// The same for a session that uses a connection to this server: that another server is gone, one that the session had
    /// left by then, is no word to it.
    pub async fn interrupted_at(&self, server: &Arc<Server>, worker: &Worker) -> Interrupt {
        loop {
            let why = self.interrupted().await;
            if why != Interrupt::BackendGone || is_lost(&worker.snapshot(), server) {
                return why;
            }
        }
    }

    pub fn row(&self, thread_id: usize, now: Instant) -> ProcessRow {
        let backend = self.backend.borrow();
        let names = self.names.borrow();
        let info = self.info.take();
        let text = String::from_utf8_lossy(&info).into_owned();
        self.info.set(info);
        ProcessRow {
            thread_id,
            session_id: self.id,
            user: names.user().to_owned(),
            db: names.schema.to_string(),
            client: self.peer(),
            hostgroup: backend.as_ref().map(|place| place.server.hostgroup),
            local: backend.as_ref().and_then(|place| place.local),
            server: backend.as_ref().map(|place| ServerKey::clone(&place.server)),
            command: self.command.get(),
            time_ms: u64::try_from((now - self.since.get()).as_millis()).unwrap_or(u64::MAX),
            info: text,
            pin_reason: self.pin_reason.get(),
            last_gtid: self.gtids.borrow().newest().map(str::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_that_ends_waits_for_work_and_for_who_has_just_come() {
        let born = Instant::now();
        let soon = born + Duration::from_millis(20);
        let record = Record::new(1, Peer::Local, born);
        assert!(record.ends_soon(soon), "it logs in");
        drop(record.rest(soon));
        assert!(record.ends_soon(soon), "its first statement is on the way");
        assert!(!record.ends_soon(born + ARRIVAL), "it only stays");
        for command in ["Query", "Execute", "Prepare", "Ping"] {
            record.start(command, b"", Vec::new(), soon);
            assert!(record.ends_soon(born + 10 * ARRIVAL), "{command}");
            drop(record.rest(soon));
            assert!(!record.ends_soon(soon), "it has had its answer");
        }
        record.start("Fast forward", b"", Vec::new(), soon);
        assert!(!record.ends_soon(soon), "nobody knows when that ends");
        record.note_transaction(true, soon);
        drop(record.rest(soon));
        assert!(record.ends_soon(born + ARRIVAL));
    }
}
