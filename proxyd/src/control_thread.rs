//! The control thread: boots the configuration, serves the admin interface, runs the monitors, and does for the workers
//! what they must not wait for.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use configs::Appliance;
use health::heartbeat::Segment;
use health::listener::Listener;
use proxyd_wire::auth::Secret;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;

use crate::admin::{self, Admin, End};
use crate::backend::{Account, Backend};
use crate::control::{WorkerCommand, WorkerEvent, WorkerHandle};
use crate::counters::ServerCounters;
use crate::hosts::ClientHosts;
use crate::logs::Logs;
use crate::memory::{Memory, Notebook};
use crate::monitor;
use crate::net::BufferPool;
use crate::pool::member_of;
use crate::runtime::{Runtime, SharedRuntime, collect_profiles};
use crate::scheduler::keep_schedule;
use crate::snapshot::{Credential, Reservation, Server, Snapshot, Status};
use crate::tls::{BackendTls, ClientTls, ServerTls};
use crate::warmth::Warmth;
use crate::web::{self, Web};

/// How often shuns are looked over and the angel is told of the backends.
const TICK: Duration = Duration::from_millis(100);
/// After so long the proxy counts as warm, whomever its monitors could not ask yet.
const LONGEST_COLD: Duration = Duration::from_secs(15);
/// How often it is noted for whom there are backend connections.
const NOTES: Duration = Duration::from_secs(10);
/// A `KILL` at a server must be done by then.
const KILL_PATIENCE: Duration = Duration::from_secs(2);
/// How often a `KILL` looks for room at a server that has all the connections that it may have.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// What the control thread owns.
pub struct Control {
    runtime: SharedRuntime,
    admin: Rc<Admin>,
    workers: Vec<WorkerHandle>,
    heartbeat: Arc<Segment>,
    socket: std::path::PathBuf,
    drain: Duration,
    web: Web,
    backend_tls: BackendTls,
    client_tls: ClientTls,
    warmth: Warmth,
    memory: Rc<RefCell<Memory>>,
    notebook: Notebook,
}

impl Control {
    /// Reads the configuration and publishes the first snapshot.
    pub fn boot(
        appliance: &Appliance,
        config: &Path,
        host: Option<&str>,
        published: Arc<ArcSwap<Snapshot>>,
        workers: Vec<WorkerHandle>,
        heartbeat: Arc<Segment>,
    ) -> io::Result<Control> {
        let memory = Memory::read(&appliance.paths.data_dir);
        let mut runtime = Runtime::new(published, workers.clone());
        runtime.restore_single_writers(memory.single_writers.iter().cloned());
        let runtime = Rc::new(RefCell::new(runtime));
        let (config, host) = (config.to_owned(), host.map(str::to_owned));
        let read_config = Box::new(move || {
            configs::load(&config, host.as_deref())
                .map(|now| now.first_boot)
                .map_err(|problems| problems.to_string())
        });
        let admin = Rc::new(Admin::boot(appliance, runtime.clone(), read_config).map_err(io::Error::other)?);
        let socket = appliance.paths.proxyd_socket();
        let server_tls =
            ServerTls::open(&appliance.paths.data_dir, &appliance.host.name).map_err(io::Error::other)?;
        let client_tls = server_tls.clients();
        let backend_tls = BackendTls::open(&runtime.borrow().wanted_tls());
        admin.set_tls(server_tls, backend_tls.clone());
        let daemons = admin.web.daemons.clone();
        let web = web::start(workers.clone(), daemons, admin.routes(), client_tls.clone())?;
        Ok(Control {
            web,
            runtime,
            admin,
            workers,
            heartbeat,
            socket,
            drain: appliance.angel.drain,
            backend_tls,
            client_tls,
            warmth: Warmth::default(),
            notebook: Notebook::new(&appliance.paths.data_dir, memory.clone()),
            memory: Rc::new(RefCell::new(memory)),
        })
    }

    /// Some users in memory are stored as `$A$` hashes: an RSA key will be asked for.
    pub fn has_hashed_users(&self) -> bool {
        let snapshot = self.runtime.borrow().snapshot();
        snapshot.users.iter().any(|(_, user)| matches!(user.credential, Credential::Sha2(_)))
    }

    /// The log files, for the workers.
    pub fn logs(&self) -> Logs {
        self.admin.logs().clone()
    }

    /// Client hosts that failed to log in, for the workers.
    pub fn client_hosts(&self) -> Arc<ClientHosts> {
        self.admin.client_hosts()
    }

    /// TLS towards clients, for the workers.
    pub fn client_tls(&self) -> ClientTls {
        self.client_tls.clone()
    }

    /// TLS towards backends, for the workers.
    pub fn backend_tls(&self) -> BackendTls {
        self.backend_tls.clone()
    }
}

/// Runs until SIGTERM or SIGINT, then drains the workers.
pub fn run(control: Control, admin: Vec<Listener>, events: mpsc::Receiver<WorkerEvent>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, serve(control, admin, events))
}

async fn serve(
    mut control: Control,
    admin: Vec<Listener>,
    mut events: mpsc::Receiver<WorkerEvent>,
) -> io::Result<()> {
    let booted = control.admin.clone();
    tokio::task::spawn_local(async move { booted.finish_boot().await });
    for listener in admin {
        let listener = crate::net::Listener::new(listener)?;
        tokio::task::spawn_local(admin::serve(
            listener,
            control.admin.clone(),
            Some(control.client_tls.clone()),
        ));
    }
    match health::control::bind(&control.socket) {
        Ok(listener) => {
            listener.set_nonblocking(true)?;
            let listener = tokio::net::UnixListener::from_std(listener)?;
            tokio::task::spawn_local(admin::serve_status(listener, control.admin.clone()));
        }
        Err(error) => tracing::warn!(%error, "no control socket: standfast status will not see this proxy"),
    }
    if let Some(questions) = control.web.questions.take() {
        tokio::task::spawn_local(web::answer_questions(questions, control.admin.clone()));
    }
    tokio::task::spawn_local(admin::keep_history(control.admin.clone()));
    tokio::task::spawn_local(monitor::listen_to_readers(control.runtime.clone()));
    tokio::task::spawn_local(keep_schedule(control.admin.jobs()));
    tokio::task::spawn_local(note_profiles(control.memory.clone(), control.workers.clone()));
    let monitors =
        monitor::start(control.runtime.clone(), control.admin.clone(), control.backend_tls.clone());
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            Some(event) = events.recv() => control.on_event(event, &monitors),
            _ = tick.tick() => control.tick(&monitors),
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            how = control.admin.ended() => match how {
                End::Orderly => break,
                // The angel takes it for an end that nobody needs to investigate.
                End::AtOnce => std::process::exit(0),
            },
        }
    }
    control.drain().await;
    control.admin.logs().audit.flush();
    control.admin.logs().events.flush();
    Ok(())
}

impl Control {
    fn on_event(&self, event: WorkerEvent, monitors: &monitor::Handle) {
        match event {
            WorkerEvent::ConnectFailed { server, code, text } => {
                self.runtime.borrow_mut().connect_failed(&server, code, &text, Instant::now());
                monitors.check_role_now(&server);
            }
            WorkerEvent::ServesNot { server } => monitors.check_role_now(&server),
            WorkerEvent::Kill { session, query_only, user } => {
                let workers = self.workers.clone();
                tokio::task::spawn_local(async move {
                    crate::runtime::kill(&workers, session, query_only, Some(&user)).await
                });
            }
            WorkerEvent::KillBackend { server, user, thread_id, query_only } => {
                let (runtime, tls) = (self.runtime.clone(), self.backend_tls.clone());
                tokio::task::spawn_local(async move {
                    let kill = kill_at_server(&runtime, &tls, &server, &user, thread_id, query_only);
                    let outcome = tokio::time::timeout(KILL_PATIENCE, kill).await;
                    if !matches!(outcome, Ok(Some(()))) {
                        tracing::info!(server = %server.hostname, thread_id, "a KILL at the server was not answered");
                    }
                });
            }
        }
    }

    fn tick(&mut self, monitors: &monitor::Handle) {
        if self.warmth.is_cold() && monitors.has_seen_all() {
            let snapshot = self.runtime.borrow().snapshot();
            let remembered = &self.memory.borrow().profiles;
            // Without a memory the users are chosen from all of them.
            if snapshot.users.is_whole() || !remembered.is_empty() {
                self.warmth.fill(&snapshot, remembered, &self.workers);
            }
        }
        if self.warmth.is_full() || self.runtime.borrow().started().elapsed() > LONGEST_COLD {
            self.heartbeat.set_warm();
        }
        self.remember();
        let mut runtime = self.runtime.borrow_mut();
        runtime.tick(Instant::now());
        self.admin.web.follow(&runtime, &self.web.wanted);
        let known = runtime.members().len();
        let snapshot = runtime.snapshot();
        let members = snapshot.hostgroups.values().flat_map(|hostgroup| &hostgroup.members);
        let online = members.filter(|member| member.status == Status::Online).count();
        let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        self.heartbeat.set_backends(small(online), small(known));
    }

    /// Keeps what the next proxy here should know, as soon as it has changed.
    fn remember(&mut self) {
        let mut memory = self.memory.borrow_mut();
        memory.single_writers = self.runtime.borrow().single_writers();
        self.notebook.keep(&memory);
    }

    /// Sessions may end their transactions; whoever is left at the deadline is cut.
    async fn drain(&self) {
        tracing::info!("draining");
        let asked: Vec<_> = self
            .workers
            .iter()
            .filter_map(|worker| {
                let (done, drained) = oneshot::channel();
                worker.commands.send(WorkerCommand::Drain(done)).ok().map(|()| drained)
            })
            .collect();
        let all = async {
            for drained in asked {
                // A worker that is gone has nothing left to drain.
                let _ = drained.await;
            }
        };
        if tokio::time::timeout(self.drain, all).await.is_err() {
            tracing::warn!("sessions were cut at the end of the drain time");
        }
    }
}

/// Notes for whom there are connections, for the next start.
async fn note_profiles(memory: Rc<RefCell<Memory>>, workers: Vec<WorkerHandle>) {
    loop {
        tokio::time::sleep(NOTES).await;
        let profiles = collect_profiles(&workers).await;
        memory.borrow_mut().learn(profiles);
    }
}

/// `KILL [QUERY] id` on a connection of its own, as the session's own user: no privilege is needed for that.
async fn kill_at_server(
    runtime: &SharedRuntime,
    tls: &BackendTls,
    server: &Arc<Server>,
    user: &str,
    thread_id: u32,
    query_only: bool,
) -> Option<()> {
    let snapshot = runtime.borrow().snapshot();
    let row = snapshot.users.get(user)?;
    let secret = match (&row.credential, row.backend_secret()) {
        (_, Some(secret)) => secret,
        (Credential::Clear(password), None) => Secret::Password(password.to_string()),
        (Credential::Native(_) | Credential::Sha2(_), None) => return None,
    };
    let buffers = BufferPool::default();
    let members = &snapshot.hostgroups.get(&server.hostgroup)?.members;
    let use_ssl = members.iter().any(|member| Arc::ptr_eq(&member.server, server) && member.use_ssl);
    let connector = || tls.connector(&server.hostname, server.port, user).ok();
    let tls = if use_ssl { Some(connector()?) } else { None };
    let account = Account::plain(user, &secret, tls.as_ref());
    let reservation = room_for_one(runtime, server).await;
    let mut backend =
        Backend::open(reservation, account, ServerCounters::new(server), &buffers).await.ok()?;
    let what = if query_only { "QUERY" } else { "CONNECTION" };
    // A thread that is gone already is what was wanted.
    let _ = backend.query(&format!("KILL {what} {thread_id}"), &buffers).await;
    Some(())
}

/// The right to one connection, once there is one: `max_connections` holds for this one too.
async fn room_for_one(runtime: &SharedRuntime, server: &Arc<Server>) -> Reservation {
    loop {
        let snapshot = runtime.borrow().snapshot();
        let most = member_of(&snapshot, server).map_or(u32::MAX, |member| member.max_connections);
        if let Some(reservation) = server.reserve(most) {
            return reservation;
        }
        for worker in runtime.borrow().workers() {
            // A worker that is gone has no idle connection either.
            let _ = worker.commands.send(WorkerCommand::ReleaseIdle(server.clone()));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
