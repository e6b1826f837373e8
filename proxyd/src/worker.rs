//! One worker: an OS thread, its own runtime, its own listeners, sessions, backend connections and counters.
//!
//! Nothing here is shared with another worker but the [`Gate`] (once a login) and a server's connection count (once a
//! backend connect). A worker that stops turning its loop stops its heartbeat, which the angel takes for a hang.

mod sweep;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use health::heartbeat::{Segment, State};
use tokio::runtime::LocalOptions;
use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;

use crate::audit::{self, Event};
use crate::budget::Budget;
use crate::cache::QueryCache;
use crate::clock::Clock;
use crate::control::{WorkerCommand, WorkerEvent, WorkerHandle};
use crate::counters::Counters;
use crate::executed::ExecutedSets;
use crate::gate::Gate;
use crate::hosts::ClientHosts;
use crate::logs::Logs;
use crate::net::{BufferPool, Listener, Stream};
use crate::peer::Peer;
use crate::pool::Pool;
use crate::route::Hits;
use crate::session::mirror::Mirrors;
use crate::session::prepared::cache::Cache;
use crate::session::record::{Interrupt, Record};
use crate::session::{self, FullAuthCache, SessionEnd};
use crate::snapshot::{Snapshot, View};
use crate::stats::{ServerKey, WorkerStats};
use crate::tls::{BackendTls, ClientTls, RsaKey};
use crate::users::{NamedUser, Unreadable};
use crate::warmth::{self, Profiles};

/// Often enough that the angel can call 400 ms of silence a hang, seldom enough to cost nothing.
const HEARTBEAT: Duration = Duration::from_millis(20);
/// How soon it is asked again who a user is when that could not be told.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// What a worker is given at its start.
pub struct Setup {
    pub index: usize,
    pub listeners: Vec<health::listener::Listener>,
    pub commands: mpsc::UnboundedReceiver<WorkerCommand>,
    pub shared: Arc<WorkerShared>,
}

/// What all workers are given.
pub struct WorkerShared {
    pub workers: usize,
    pub published: Arc<arc_swap::ArcSwap<Snapshot>>,
    pub heartbeat: Arc<Segment>,
    pub siblings: Vec<WorkerHandle>,
    pub events: mpsc::Sender<WorkerEvent>,
    pub gate: Arc<Gate>,
    pub client_tls: ClientTls,
    pub backend_tls: BackendTls,
    pub rsa: Arc<OnceLock<RsaKey>>,
    pub full_auth: Arc<FullAuthCache>,
    pub logs: Logs,
    pub hosts: Arc<ClientHosts>,
    /// What long packets may take in each worker, in bytes.
    pub packet_memory: usize,
}

/// A worker's state, shared by its tasks (all on its thread).
pub struct Worker {
    pub index: usize,
    pub workers: usize,
    pub clock: Clock,
    pub pool: Pool,
    pub buffers: BufferPool,
    /// For what does not fit in them.
    pub budget: Rc<Budget>,
    pub counters: Counters,
    /// Room for the texts of statements in flight, for the process list; as many as ever were in flight at once.
    pub texts: RefCell<Vec<Vec<u8>>>,
    pub digester: RefCell<proxyd_sql::Digester>,
    pub known_shapes: RefCell<proxyd_sql::KnownShapes>,
    pub cache: RefCell<QueryCache>,
    pub mirrors: Mirrors,
    /// For whom there are backend connections.
    pub profiles: Profiles,
    /// What its clients have prepared.
    pub statements: RefCell<Cache>,
    /// The rules that matched the statement that is being routed.
    pub hits: RefCell<Hits>,
    /// What the servers have executed, for causal reads.
    pub executed: RefCell<ExecutedSets>,
    pub shared: Arc<WorkerShared>,
    snapshot: RefCell<View>,
    sessions: RefCell<HashMap<u32, Rc<Record>>>,
    /// The sessions that have had a command lately: they keep what they need for one.
    pub at_work: RefCell<Vec<Rc<Record>>>,
    next_session: Cell<u32>,
    /// Nobody's time is up before then.
    next_look: Cell<Instant>,
    /// One for each listener, until the worker drains.
    acceptors: RefCell<Vec<AbortHandle>>,
    /// New clients are left in the listeners' queues.
    paused: Cell<bool>,
    pause_changed: Notify,
}

/// Runs a worker until its command channel closes. Meant to be a thread's whole life.
pub fn run(setup: Setup) -> std::io::Result<()> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build_local(LocalOptions::default())?.block_on(serve(setup))
}

async fn serve(setup: Setup) -> std::io::Result<()> {
    let Setup { index, listeners, mut commands, shared } = setup;
    let snapshot = shared.published.load_full();
    let worker = Rc::new(Worker {
        index,
        workers: shared.workers,
        clock: Clock::new(),
        pool: Pool::new(u64::from(std::process::id()) << 16 | index as u64),
        buffers: BufferPool::default(),
        budget: Budget::new(shared.packet_memory),
        counters: Counters::new(shared.workers),
        texts: RefCell::default(),
        mirrors: Mirrors::default(),
        profiles: Profiles::default(),
        cache: RefCell::new(QueryCache::new(snapshot.variables.query_cache_size / shared.workers.max(1))),
        digester: RefCell::new(proxyd_sql::Digester::new(snapshot.variables.digest_options)),
        known_shapes: RefCell::default(),
        statements: RefCell::new(Cache::new(index, shared.workers)),
        hits: RefCell::default(),
        executed: RefCell::default(),
        snapshot: RefCell::new(snapshot.into()),
        sessions: RefCell::default(),
        at_work: RefCell::default(),
        next_session: Cell::new(1),
        next_look: Cell::new(Instant::now()),
        acceptors: RefCell::default(),
        paused: Cell::new(false),
        pause_changed: Notify::new(),
        shared,
    });
    for listener in listeners {
        let acceptor = tokio::task::spawn_local(accept(worker.clone(), Listener::new(listener)?));
        worker.acceptors.borrow_mut().push(acceptor.abort_handle());
    }
    tokio::task::spawn_local(beat(worker.clone()));
    tokio::task::spawn_local(sweep::run(worker.clone()));
    while let Some(command) = commands.recv().await {
        worker.obey(command);
    }
    Ok(())
}

/// Takes clients until the worker drains and aborts this; after that they wait in the listener's queue, which the angel
/// holds, for the next proxy. Running out of descriptors is waited out the same way.
async fn accept(worker: Rc<Worker>, listener: Listener) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept(), if !worker.paused.get() => accepted,
            () = worker.pause_changed.notified() => continue,
        };
        match accepted {
            Ok((stream, peer)) => worker.clone().start_session(stream, peer),
            Err(error) => {
                tracing::warn!(worker = worker.index, %error, "cannot accept a client; trying again");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

/// A session's life, turn by turn; its panic is an outcome.
struct Caught<'w, F> {
    clock: &'w Clock,
    life: Pin<Box<F>>,
}

impl<F: Future> Future for Caught<'_, F> {
    type Output = std::thread::Result<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.clock.begin_turn();
        // After a panic nobody polls it again, and its parts were dropped on the way out.
        match catch_unwind(AssertUnwindSafe(|| self.life.as_mut().poll(cx))) {
            Ok(polled) => polled.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    }
}

async fn beat(worker: Rc<Worker>) {
    let slot = worker.shared.heartbeat.worker(worker.index);
    slot.set_thread(u32::try_from(nix::unistd::gettid().as_raw()).unwrap_or(0));
    slot.set_state(State::Ready);
    let mut tick = tokio::time::interval(HEARTBEAT);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        slot.beat();
        slot.set_sessions(u32::try_from(worker.sessions.borrow().len()).unwrap_or(u32::MAX));
        tick.tick().await;
    }
}

impl Worker {
    /// The runtime configuration, without touching a shared counter.
    pub fn snapshot(&self) -> View {
        self.snapshot.borrow().clone()
    }

    /// The user of this name. Soon after a start it may be impossible to say who there is: then the client waits.
    pub async fn user_named(&self, name: &str) -> Option<Arc<NamedUser>> {
        loop {
            let found = self.snapshot().users.find(name);
            match found {
                Ok(user) => return user,
                Err(Unreadable) => tokio::time::sleep(ASK_AGAIN).await,
            }
        }
    }

    /// Tells the control thread; a full queue drops the event, the next one of its kind will do.
    pub fn tell(&self, event: WorkerEvent) {
        let _ = self.shared.events.try_send(event);
    }

    /// Asks every sibling to let go of an idle connection to this server.
    pub fn ask_siblings_for_room(&self, server: &Arc<crate::snapshot::Server>) {
        for sibling in self.shared.siblings.iter().filter(|s| s.index != self.index) {
            // A sibling that is gone is gone with the process.
            let _ = sibling.commands.send(WorkerCommand::ReleaseIdle(server.clone()));
        }
    }

    /// A statement has changed a schema, here or, if it stands alone, everywhere: what is known of prepared statements
    /// may not be true any more.
    pub fn schema_changed(&self, statement: &proxyd_sql::Statement<'_>) {
        self.statements.borrow_mut().schema_changed();
        if !statement.flags.has(proxyd_sql::Flags::MULTI_STATEMENT) {
            for sibling in self.shared.siblings.iter().filter(|s| s.index != self.index) {
                // A sibling that is gone is gone with the process.
                let _ = sibling.commands.send(WorkerCommand::SchemaChanged);
            }
        }
    }

    /// Interrupts the session with this id, if it is this worker's.
    pub fn kill(&self, id: u32, query_only: bool) -> bool {
        let sessions = self.sessions.borrow();
        let Some(record) = sessions.get(&id) else { return false };
        record.interrupt(if query_only { Interrupt::KillQuery } else { Interrupt::KillConnection });
        true
    }

    /// The user of the session with this id, if it is this worker's.
    pub fn user_of(&self, id: u32) -> Option<Box<str>> {
        self.sessions.borrow().get(&id).map(|record| record.names.borrow().user().into())
    }

    /// Counts a login for or against its host; one that we cut short counts for neither.
    pub fn note_login(&self, record: &Record, failure: Option<&SessionEnd>) {
        if failure.is_some_and(|end| matches!(end.cause, session::Cause::Killed)) {
            return;
        }
        let limits = self.snapshot().variables.client_hosts;
        let now = u64::try_from(crate::start::uptime().as_micros()).unwrap_or(u64::MAX);
        if let Some(address) = record.peer().ip() {
            self.shared.hosts.note(address, failure.is_none(), now, limits);
        }
    }

    /// A line of the audit log about one of the sessions.
    pub fn audit(&self, event: Event<'_>, record: &Record, tls: Option<bool>) {
        let log = &self.shared.logs.audit;
        if !log.is_on() {
            return;
        }
        let names = record.names.borrow();
        let (user, schema) = (names.user(), &*names.schema);
        let client = record.peer();
        let who = audit::Who { admin: false, client, user, schema, thread_id: record.id, tls };
        log.line(audit::line(event, who, SystemTime::now()));
    }

    fn start_session(self: Rc<Self>, stream: Stream, peer: Peer) {
        let id = self.next_id();
        let record = Rc::new(Record::new(id, peer, Instant::now()));
        self.sessions.borrow_mut().insert(id, record.clone());
        {
            let mut global = self.counters.global.borrow_mut();
            global.client_connections_created += 1;
            global.client_connections_connected += 1;
        }
        // A bug ends one session, not the worker.
        let life = Box::pin(session::run(stream, record.clone(), self.clone()));
        tokio::task::spawn_local(async move {
            let outcome = Caught { clock: &self.clock, life }.await;
            self.sessions.borrow_mut().remove(&id);
            let mut global = self.counters.global.borrow_mut();
            global.client_connections_connected -= 1;
            match outcome {
                Ok(end) => {
                    let peer = record.peer();
                    self.audit(end.event(record.born.elapsed()), &record, None);
                    global.client_connections_aborted += u64::from(end.is_abort());
                    if end.is_notable() {
                        tracing::warn!(session = id, %peer, "session ended: {end}");
                    } else {
                        tracing::debug!(session = id, %peer, "session ended: {end}");
                    }
                }
                Err(panic) => {
                    global.session_panics += 1;
                    let said = panic.downcast_ref::<&str>().copied();
                    let said = said.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
                    tracing::error!(session = id, %peer, "session ended by a bug: {}", said.unwrap_or("a panic"));
                }
            }
        });
    }

    /// Session ids: unique in the process, each worker counting in steps of the number of workers.
    fn next_id(&self) -> u32 {
        let step = u32::try_from(self.workers).unwrap_or(1);
        loop {
            let turn = self.next_session.get();
            self.next_session.set(turn.checked_add(1).filter(|n| n.checked_mul(step).is_some()).unwrap_or(1));
            let id = turn.wrapping_mul(step).wrapping_add(u32::try_from(self.index).unwrap_or(0));
            if !self.sessions.borrow().contains_key(&id) {
                return id;
            }
        }
    }

    fn obey(self: &Rc<Self>, command: WorkerCommand) {
        match command {
            WorkerCommand::Stats(reply) => drop(reply.send(self.collect())),
            WorkerCommand::FreeConnections(reply) => drop(reply.send(self.pool.free(Instant::now()))),
            WorkerCommand::Digests { reset, reply } => {
                drop(reply.send(self.counters.digests.borrow_mut().report(reset)));
            }
            WorkerCommand::Errors { reset, reply } => {
                drop(reply.send(self.counters.errors.borrow_mut().report(reset)));
            }
            WorkerCommand::Processlist(reply) => {
                let now = Instant::now();
                let rows =
                    self.sessions.borrow().values().map(|record| record.row(self.index, now)).collect();
                drop(reply.send(rows));
            }
            WorkerCommand::Statements(reply) => drop(reply.send(self.statements.borrow().rows())),
            WorkerCommand::SchemaChanged => self.statements.borrow_mut().schema_changed(),
            WorkerCommand::Kill { session, query_only, owner, reply } => {
                let allowed = owner.is_none_or(|owner| self.user_of(session) == Some(owner));
                let _ = reply.send(allowed && self.kill(session, query_only));
            }
            WorkerCommand::Executed(told) => self.executed.borrow_mut().learn(&told.0, &told.1),
            WorkerCommand::Profiles(reply) => drop(reply.send(self.profiles.counts())),
            WorkerCommand::Fill { wishes, done } => {
                let filling = warmth::fill(self.clone(), wishes);
                tokio::task::spawn_local(async move {
                    // Whoever asked may have stopped waiting.
                    let _ = done.send(filling.await);
                });
            }
            WorkerCommand::FlushQueryCache => drop(self.cache.borrow_mut().flush()),
            WorkerCommand::Pause(on) => self.pause(on),
            WorkerCommand::Stop => {
                self.pause(true);
                for record in self.sessions.borrow().values() {
                    record.interrupt(Interrupt::KillConnection);
                }
            }
            WorkerCommand::ReleaseIdle(server) => drop(self.pool.close_one(&server)),
            WorkerCommand::SnapshotChanged => {
                let snapshot = self.shared.published.load_full();
                self.pool.sweep(&snapshot);
                self.follow_digest_options(&snapshot);
                self.cache.borrow_mut().set_budget(snapshot.variables.query_cache_size / self.workers.max(1));
                self.snapshot.replace(snapshot.into());
                self.next_look.set(Instant::now());
                self.drop_lost_backends();
            }
            WorkerCommand::Drain(reply) => {
                tokio::task::spawn_local(self.clone().drain(reply));
            }
        }
    }

    fn pause(&self, on: bool) {
        self.paused.set(on);
        self.pause_changed.notify_waiters();
    }

    fn follow_digest_options(&self, snapshot: &Snapshot) {
        let mut digester = self.digester.borrow_mut();
        if *digester.options() != snapshot.variables.digest_options {
            *digester = proxyd_sql::Digester::new(snapshot.variables.digest_options);
        }
    }

    /// The counters, with what is looked up only now: idle connections, users and pins.
    fn collect(&self) -> WorkerStats {
        let mut stats = self.counters.report();
        stats.global.mirrors = self.mirrors.stats();
        stats.global.packet_memory = self.budget.held() as u64;
        stats.global.query_cache = self.cache.borrow().stats();
        let snapshot = self.snapshot();
        stats.note_statements(&self.statements.borrow());
        stats.global.active_transactions =
            self.sessions.borrow().values().filter(|record| record.in_transaction.get()).count() as u64;
        stats.global.sessions_in_flight =
            self.sessions.borrow().values().filter(|record| record.is_in_flight()).count() as u64;
        for member in snapshot.hostgroups.values().flat_map(|hostgroup| &hostgroup.members) {
            let idle = self.pool.idle_count(&member.server) as u64;
            stats.servers.entry(ServerKey::from(&member.server)).or_default().conn_free = idle;
        }
        for record in self.sessions.borrow().values() {
            if let Some(user) = &record.names.borrow().user {
                *stats.users.entry(user.name.clone()).or_default() += 1;
            }
            if !record.pin_reason.get().is_empty() {
                *stats.pins.entry(record.pin_reason.get()).or_default() += 1;
            }
        }
        stats
    }

    /// Lets what runs finish: sessions that rest end now, the others when they get there.
    async fn drain(self: Rc<Self>, done: tokio::sync::oneshot::Sender<()>) {
        // Not by a flag: whoever waits in `accept` would take one client more, only to cut it off.
        self.acceptors.take().iter().for_each(AbortHandle::abort);
        self.shared.heartbeat.worker(self.index).set_state(State::Draining);
        while !self.sessions.borrow().is_empty() {
            let now = Instant::now();
            for record in self.sessions.borrow().values().filter(|record| !record.ends_soon(now)) {
                record.interrupt(Interrupt::KillConnection);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // Whoever asked may have stopped waiting.
        let _ = done.send(());
    }
}
