//! One command to one hostgroup: borrow a backend, make it fit, relay, retry what may be retried, settle.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proxyd_sql::{Kind, Statement};
use proxyd_wire::Status;
use proxyd_wire::proxy_header::{self, Ends};
use proxyd_wire::response::{Dialect, Expect, Outcome, ResponseTracker};

use super::causal::{self, Destination};
use super::patience::{Unfit, stopped};
use super::pins::{Pins, Reply};
use super::prepared::{Execution, Unready, cache};
use super::record::Interrupt;
use super::relay::{Relay, Relayed, lost_statement};
use super::{Cause, Phase, Session, SessionEnd};
use crate::backend::{Backend, ConnectError, Traits};
use crate::control::WorkerEvent;
use crate::counters::InUse;
use crate::pool::{Want, why_lost};
use crate::reply::Refusal;
use crate::snapshot::{HostgroupId, Member, ProxyProtocol, Reservation, Server, Snapshot};

/// A backend connection that a session holds, and why.
#[derive(Debug)]
pub struct Attached {
    /// Boxed: it changes hands several times a query.
    pub backend: Box<Backend>,
    pub pins: Pins,
    _in_use: InUse,
}

impl Attached {
    fn new(backend: Box<Backend>) -> Attached {
        let in_use = InUse::new(backend.counters.clone());
        Attached { backend, pins: Pins::default(), _in_use: in_use }
    }

    pub fn hostgroup(&self) -> HostgroupId {
        self.backend.server().hostgroup
    }
}

/// What is to be forwarded, and how often it may be tried.
pub struct Job<'a, 'f> {
    /// Whole frames, as the client sent them.
    pub frames: &'a [u8],
    pub expect: Expect,
    pub statement: &'a Statement<'a>,
    pub to: Destination<'a>,
    pub retries: u32,
    pub timeout: Option<Duration>,
    /// COM_STMT_EXECUTE: its frames depend on the connection; `frames` is empty.
    pub execution: Option<&'a mut Execution<'f>>,
}

/// Before a server that says that it does not serve gets the statement once more for want of another: the monitors will have
/// looked at it by then.
const ROLES: Duration = Duration::from_millis(500);
/// How often, and how long, somebody who waits for a connection looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

impl Session {
    /// Forwards a command. `Some` is the response's outcome; `None` means that the client was given an error instead.
    /// The connection used is in `self.attached`, last, until [`Session::settle`].
    pub(super) async fn forward(&mut self, mut job: Job<'_, '_>) -> Result<Option<Outcome>, SessionEnd> {
        self.leave_retired_backends(job.statement).await;
        let deadline = Instant::now() + self.snapshot().variables.connect_timeout_server_max;
        let mut retries = job.retries;
        let mut avoid = Vec::new();
        let mut to = job.to;
        loop {
            let mut held = match self.attach(&mut to, deadline, &avoid).await {
                Ok(held) => held,
                Err(Attach::Refused(refusal)) => return self.refuse(&refusal).await.map(|()| None),
                Err(Attach::End(end)) => return Err(end),
            };
            let tied = !held.pins.is_free();
            let may_repeat = retries > 0 && !tied && is_repeatable(job.statement);
            self.worker.limit(&self.record, job.timeout);
            let before = (held.backend.connection.bytes_out, held.backend.connection.bytes_in);
            if let Some(execution) = job.execution.as_deref_mut() {
                held = match self.make_ready(execution, held).await {
                    Ok(held) => held,
                    Err(Unready::Elsewhere(server, _)) if retries > 0 => {
                        avoid.push(server);
                        retries -= 1;
                        continue;
                    }
                    Err(Unready::Elsewhere(_, refusal)) => return self.refuse(&refusal).await.map(|()| None),
                    Err(Unready::Told) => return Ok(None),
                    Err(Unready::End(end)) => return Err(end),
                };
            }
            if let Err(error) = self.bring_along(&mut held, job.statement).await {
                tracing::info!(session = self.record.id, %error, "a connection broke before it was used");
                if held.pins.is_free() {
                    continue;
                }
                let server = held.backend.server();
                let refusal = Refusal::lost(server, &error.to_string(), held.pins.transaction);
                return self.refuse(&refusal).await.map(|()| None);
            }
            let dialect = Dialect::new(
                held.backend.capabilities,
                self.capabilities,
                self.status(),
                held.pins.own_tracking,
            );
            let tracker = ResponseTracker::new(job.expect, held.backend.capabilities).with_dialect(dialect);
            let relay = Relay {
                client: &mut self.client,
                backend: &mut held.backend,
                record: &self.record,
                worker: &self.worker,
                user: &self.user,
                tee: self.tee.as_mut(),
                may_prepare_again: job.execution.as_ref().is_some_and(|execution| !execution.again),
            };
            let frames = job.execution.as_deref().map_or(job.frames, Execution::frames);
            let relayed = relay.run(frames, tracker, retries > 0 && !tied).await;
            self.count_traffic(&held.backend, before);
            let server = held.backend.server().clone();
            if matches!(relayed, Relayed::BackendLost { .. }) {
                self.worker.pool.drop_broken(&server);
            }
            match relayed {
                Relayed::Done(outcome) => {
                    self.count_causal(to, &held.backend);
                    self.attached.push(held);
                    return Ok(Some(outcome));
                }
                Relayed::Refused { code, .. } if lost_statement(code) => {
                    if let Some(execution) = job.execution.as_deref_mut() {
                        held.backend.statements.forget(execution.server_id);
                        execution.again = true;
                    }
                    self.attached.push(held);
                }
                Relayed::Refused { code, message } => {
                    self.note_refusal(&server, code, &message);
                    self.wait_for_roles(job.to.hostgroup, &server).await;
                    avoid.push(server);
                    retries -= 1;
                }
                Relayed::BackendLost { error, client_saw_some: false } if may_repeat => {
                    tracing::info!(session = self.record.id, %error, server = %server.hostname, "retrying a read");
                    self.worker.counters.global.borrow_mut().backend_retries += 1;
                    avoid.push(server);
                    retries -= 1;
                }
                Relayed::BackendLost { error, client_saw_some } => {
                    self.note_lost_answer(job.statement, &server);
                    if client_saw_some {
                        return Err(SessionEnd::proxy(Phase::Result, Cause::Io(error)));
                    }
                    // A COMMIT may have been done: to run that transaction again could be to run it twice.
                    let is_undone = held.pins.transaction && job.statement.kind != Kind::Commit;
                    let refusal = Refusal::lost(&server, &error.to_string(), is_undone);
                    return self.refuse(&refusal).await.map(|()| None);
                }
                Relayed::ClientLost(error) => {
                    self.kill_backend(&held.backend, false);
                    return Err(SessionEnd::client(Phase::Result, error));
                }
                Relayed::Interrupted { why, client_saw_some } => {
                    self.note_lost_answer(job.statement, &server);
                    return self.interrupted(why, client_saw_some, &held).await.map(|()| None);
                }
            }
        }
    }

    /// The connection this session holds in the hostgroup, or one from the pool, made to fit. Where no server has what the
    /// session has written, it leads to the fallback, and `to` says so.
    pub(super) async fn attach(
        &mut self,
        to: &mut Destination<'_>,
        deadline: Instant,
        avoid: &[Arc<Server>],
    ) -> Result<Attached, Attach> {
        loop {
            match self.attach_to(*to, deadline, avoid).await? {
                Some(held) => return Ok(held),
                None => *to = to.fallback(),
            }
        }
    }

    /// A connection to just this destination; `None` if no server there will do.
    async fn attach_to(
        &mut self,
        to: Destination<'_>,
        deadline: Instant,
        avoid: &[Arc<Server>],
    ) -> Result<Option<Attached>, Attach> {
        if let Some(at) = self.attached.iter().position(|held| held.hostgroup() == to.hostgroup) {
            if !self.is_caught_up(to, &self.attached[at].backend) {
                return Ok(None);
            }
            let mut held = self.attached.swap_remove(at);
            if held.pins.is_free() && !held.backend.settings.can_become(&self.settings) {
                self.leave(held);
                return self.attach_from_pool(to, deadline, avoid).await;
            }
            match self.fit(&mut held.backend, deadline).await {
                Ok(()) => return Ok(Some(held)),
                Err(Unfit::Refused(error)) => {
                    self.attached.push(held);
                    return Err(Attach::Refused(Refusal::from_backend(&error)));
                }
                Err(Unfit::Stopped(Attach::Refused(_))) if !held.pins.is_free() => {
                    // Whoever it was stopped for, what is tied to the connection is gone with it.
                    let (server, pins) = (held.backend.server(), &held.pins);
                    return Err(Attach::Refused(Refusal::lost(server, "interrupted", pins.transaction)));
                }
                Err(Unfit::Stopped(stopped)) => return Err(stopped),
                Err(Unfit::Lost(error)) if !held.pins.is_free() => {
                    let cause = error.to_string();
                    let refusal = Refusal::lost(held.backend.server(), &cause, held.pins.transaction);
                    return Err(Attach::Refused(refusal));
                }
                Err(Unfit::Lost(_)) => {}
            }
        }
        self.attach_from_pool(to, deadline, avoid).await
    }

    /// A connection from the pool, made to fit.
    async fn attach_from_pool(
        &mut self,
        to: Destination<'_>,
        deadline: Instant,
        avoid: &[Arc<Server>],
    ) -> Result<Option<Attached>, Attach> {
        let mut avoid = avoid.to_vec();
        loop {
            let Some(mut backend) = self.checkout(to, deadline, &mut avoid).await? else { return Ok(None) };
            match self.fit(&mut backend, deadline).await {
                Ok(()) if to.causal.is_none() => return Ok(Some(Attached::new(backend))),
                // In a box: few statements are so far, and every session would have the room.
                Ok(()) => return Ok(Box::pin(self.once_caught_up(to, backend)).await.map(Attached::new)),
                Err(Unfit::Stopped(stopped)) => return Err(stopped),
                Err(Unfit::Refused(error)) => {
                    let snapshot = self.snapshot();
                    self.worker.pool.give(backend, &snapshot, self.worker.workers, Instant::now());
                    return Err(Attach::Refused(Refusal::from_backend(&error)));
                }
                Err(Unfit::Lost(_)) => {}
            }
        }
    }

    /// A connection from the pool, or a new one; waits for either until the deadline (error 9001 after it), but not for a
    /// server that must have something: `None` if there is none at once.
    async fn checkout(
        &mut self,
        to: Destination<'_>,
        deadline: Instant,
        avoid: &mut Vec<Arc<Server>>,
    ) -> Result<Option<Box<Backend>>, Attach> {
        let mut waited = false;
        let started = Instant::now();
        loop {
            let snapshot = self.snapshot();
            let traits = self.traits_in(&snapshot, to.hostgroup);
            let want = Want { user: &self.user, traits, settings: &self.settings };
            let servers = snapshot.hostgroups.get(&to.hostgroup);
            let pick = servers.and_then(|hostgroup| match to.causal {
                Some(causal) => causal::choose(&self.worker, hostgroup, avoid, causal),
                // Somebody to avoid is better than nobody at all.
                None => self
                    .worker
                    .pool
                    .choose(hostgroup, avoid)
                    .or_else(|| self.worker.pool.choose(hostgroup, &[]).filter(|_| waited)),
            });
            if to.causal.is_some() && pick.is_none() {
                return Ok(None);
            }
            if let Some(member) = pick {
                if !self.new_connection
                    && let Some(backend) = self.worker.pool.take(&member.server, &want)
                {
                    self.count_checkout(true, waited);
                    return Ok(Some(backend));
                }
                let room = self.make_room(member, &snapshot);
                if let Room::Taken(reservation) = room {
                    let server = member.server.clone();
                    let opening = self.open(reservation, member.use_ssl, deadline);
                    let opened = match Box::pin(self.unless_stopped(&server, opening)).await {
                        Ok(opened) => opened,
                        // The monitors are quicker than the time-out.
                        Err(Interrupt::BackendGone) => continue,
                        Err(why) => return Err(stopped(why)),
                    };
                    match opened {
                        Ok(backend) => {
                            self.count_checkout(true, waited);
                            return Ok(Some(backend));
                        }
                        Err(error) if error.is_the_accounts() => {
                            return Err(Attach::Refused(Refusal::connect(&error)));
                        }
                        Err(error) => self.note_connect_failure(&server, &error),
                    }
                    avoid.push(server);
                } else if matches!(room, Room::Full) {
                    self.worker.ask_siblings_for_room(&member.server);
                }
                if to.causal.is_some() {
                    // Nobody waits for room where somebody else may do.
                    avoid.push(member.server.clone());
                    continue;
                }
            } else if let Some(full) = servers.and_then(|hg| hg.members.iter().find(|m| m.is_full())) {
                self.worker.ask_siblings_for_room(&full.server);
            }
            waited = true;
            if Instant::now() + LOOK_AGAIN >= deadline {
                self.count_checkout(false, waited);
                return Err(Attach::Refused(Refusal::no_server(&snapshot, to.hostgroup, started.elapsed())));
            }
            match Box::pin(self.wait_for_room()).await {
                None | Some(Interrupt::BackendGone) => {}
                Some(why) => return Err(stopped(why)),
            }
        }
    }

    /// Until there may be a connection, or somebody has ended the wait for it.
    async fn wait_for_room(&self) -> Option<Interrupt> {
        tokio::select! {
            () = self.worker.pool.changed.notified() => None,
            () = tokio::time::sleep(LOOK_AGAIN) => None,
            why = self.record.interrupted() => Some(why),
            () = self.client.peer_closed() => Some(Interrupt::KillConnection),
        }
    }

    /// The right to one more connection to this server, if it and the hostgroup's limits have it.
    fn make_room(&self, member: &Member, snapshot: &Snapshot) -> Room {
        let reservation = member.server.reserve(member.max_connections).or_else(|| {
            // The idle connections that are in the way belong to other users.
            self.worker.pool.close_one(&member.server);
            member.server.reserve(member.max_connections)
        });
        let Some(reservation) = reservation else { return Room::Full };
        let hostgroup = member.server.hostgroup;
        let own =
            snapshot.hostgroups.get(&hostgroup).and_then(|its| its.attributes.throttle_connections_per_sec);
        let per_second = own.unwrap_or(snapshot.variables.throttle_connections_per_sec_to_hostgroup);
        let share = per_second.div_ceil(u32::try_from(self.worker.workers).unwrap_or(1).max(1));
        match self.worker.pool.may_open(hostgroup, share, Instant::now()) {
            true => Room::Taken(reservation),
            false => Room::Throttled,
        }
    }

    /// What a connection in this hostgroup must be like: where servers are told who the client is, for that client only.
    fn traits_in(&self, snapshot: &Snapshot, hostgroup: HostgroupId) -> Traits {
        let told = proxy_protocol(snapshot, hostgroup) != ProxyProtocol::Off;
        Traits { origin: told.then(|| self.record.peer().ip()), ..self.traits }
    }

    /// The PROXY header for a new connection in this hostgroup, if its servers are sent one.
    fn preface(&self, snapshot: &Snapshot, hostgroup: HostgroupId) -> Vec<u8> {
        let destination = self.proxy_address.parse().ok().map(|ip| SocketAddr::new(ip, self.proxy_port));
        let ends = destination.map(|destination| Ends { source: self.record.peer(), destination });
        match proxy_protocol(snapshot, hostgroup) {
            ProxyProtocol::Off => Vec::new(),
            ProxyProtocol::V1 => proxy_header::v1(ends),
            ProxyProtocol::V2 => proxy_header::v2(ends),
        }
    }

    async fn open(
        &self,
        reservation: Reservation,
        use_ssl: bool,
        deadline: Instant,
    ) -> Result<Box<Backend>, ConnectError> {
        let snapshot = self.snapshot();
        let patience = snapshot.variables.connect_timeout_server;
        let limit = patience.min(deadline.saturating_duration_since(Instant::now()));
        let Server { hostname, port, .. } = &**reservation.server();
        let hostgroup = reservation.server().hostgroup;
        let traits = self.traits_in(&snapshot, hostgroup);
        let preface = self.preface(&snapshot, hostgroup);
        let tls = &self.worker.shared.backend_tls;
        let connector = use_ssl.then(|| tls.connector(hostname, *port, &self.user)).transpose();
        let connector = connector.map_err(ConnectError::Tls)?;
        let account = crate::backend::Account {
            user: &self.user,
            secret: &self.secret,
            traits,
            preface: &preface,
            collation: self.collation,
            tls: connector.as_ref(),
            exactly: self.account.fast_forward.then_some(self.capabilities),
        };
        let counters = self.worker.counters.server(reservation.server());
        let attributes = snapshot.hostgroups.get(&hostgroup).map(|hostgroup| &hostgroup.attributes);
        let init_connect = attributes.and_then(|its| its.init_connect.as_deref());
        let init_connect = init_connect.unwrap_or(&snapshot.variables.init_connect);
        let opened = async {
            let mut backend = Backend::open(reservation, account, counters, &self.worker.buffers).await?;
            if !init_connect.is_empty() {
                backend.query(init_connect, &self.worker.buffers).await?;
            }
            Ok(Box::new(backend))
        };
        tokio::time::timeout(limit, opened).await.unwrap_or(Err(ConnectError::Timeout(limit)))
    }

    /// After a response: what the session now has, and whether the connection stays with it.
    pub(super) fn settle(&mut self, statement: &Statement<'_>, outcome: &Outcome) {
        let Some(held) = self.attached.last_mut() else { return };
        let now = Instant::now();
        if let Some(status) = outcome.status {
            let autocommit = status.contains(Status::AUTOCOMMIT);
            self.settings.autocommit = autocommit;
            self.modes = status & Status::MODES;
            held.backend.settings.autocommit = autocommit;
        }
        let reply = Reply {
            in_transaction: outcome.status.map(|status| status.contains(Status::IN_TRANS)),
            read_only: outcome.status.is_some_and(|status| status.contains(Status::IN_TRANS_READONLY)),
            failed: outcome.is_err(),
            warnings: outcome.warnings,
            last_insert_id: outcome.last_insert_id,
        };
        held.pins.after(statement, &reply, now);
        if let Some((_, others)) = self.attached.split_last_mut() {
            others.iter_mut().for_each(|other| other.pins.superseded(statement, &reply));
        }
        if !outcome.is_err() && cache::changes_schema(statement) {
            self.worker.schema_changed(statement);
        }
        self.let_go(now);
    }

    /// Gives back every connection that nothing ties to this session.
    pub(super) fn let_go(&mut self, now: Instant) {
        let snapshot = self.snapshot();
        if snapshot.variables.multiplexing {
            let mut at = 0;
            while let Some(held) = self.attached.get_mut(at) {
                held.pins.expire(now);
                if held.pins.is_free() && multiplexes(&snapshot, held.hostgroup()) {
                    let held = self.attached.swap_remove(at);
                    self.worker.pool.give(held.backend, &snapshot, self.worker.workers, now);
                } else {
                    at += 1;
                }
            }
        }
        let tied = self.attached.iter().max_by_key(|held| held.pins.is_hard());
        let reason =
            tied.map_or("", |held| if held.pins.is_free() { "multiplexing-off" } else { held.pins.reason() });
        if self.record.pin_reason.replace(reason) != reason && !reason.is_empty() {
            self.worker.counters.pinned(reason);
        }
        self.record.note_transaction(self.attached.iter().any(|held| held.pins.transaction), now);
        *self.record.backend.borrow_mut() = tied.map(|held| held.backend.place.clone());
    }

    pub(super) async fn interrupted(
        &mut self,
        why: Interrupt,
        saw: bool,
        held: &Attached,
    ) -> Result<(), SessionEnd> {
        self.kill_backend(&held.backend, false);
        match why {
            Interrupt::KillConnection | Interrupt::IdleTimeout => {
                Err(SessionEnd::proxy(Phase::Result, Cause::Killed))
            }
            _ if saw => Err(SessionEnd::proxy(Phase::Result, Cause::Killed)),
            Interrupt::BackendGone => {
                let why = why_lost(&self.snapshot(), held.backend.server());
                let refusal = Refusal::lost(held.backend.server(), &why, held.pins.transaction);
                self.refuse(&refusal).await
            }
            Interrupt::QueryTimeout => self.refuse(&Refusal::timed_out()).await,
            Interrupt::KillQuery => self.refuse(&Refusal::interrupted()).await,
        }
    }

    /// Ends what runs on a connection that is about to be dropped: the server would finish it for nobody.
    fn kill_backend(&self, backend: &Backend, query_only: bool) {
        self.worker.tell(WorkerEvent::KillBackend {
            server: backend.server().clone(),
            user: self.user.clone(),
            thread_id: backend.thread_id,
            query_only,
        });
    }

    pub(super) fn note_backend(&self, backend: &Backend) {
        *self.record.backend.borrow_mut() = Some(backend.place.clone());
    }

    /// Waits while this server is the only one of the hostgroup, for [`ROLES`] at most.
    async fn wait_for_roles(&self, hostgroup: HostgroupId, server: &Arc<Server>) {
        let until = Instant::now() + ROLES;
        let avoid = std::slice::from_ref(server);
        let is_alone = || {
            let snapshot = self.snapshot();
            let servers = snapshot.hostgroups.get(&hostgroup);
            let pool = &self.worker.pool;
            servers.is_some_and(|hg| pool.choose(hg, avoid).is_none() && pool.choose(hg, &[]).is_some())
        };
        while Instant::now() < until && is_alone() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    fn note_refusal(&self, server: &Arc<Server>, code: u16, message: &str) {
        tracing::warn!(server = %server.hostname, port = server.port, code, message, "trying another server");
        self.worker.tell(WorkerEvent::ServesNot { server: server.clone() });
    }

    fn note_connect_failure(&self, server: &Arc<Server>, error: &ConnectError) {
        self.worker.counters.server(server).stats.borrow_mut().conn_err += 1;
        self.worker.counters.global.borrow_mut().server_connections_aborted += 1;
        self.count_server_error(server, error.code(), &error.to_string());
        tracing::warn!(server = %server.hostname, port = server.port, %error, "cannot connect");
        self.worker.tell(WorkerEvent::ConnectFailed {
            server: server.clone(),
            code: error.code(),
            text: error.to_string(),
        });
    }

    fn count_checkout(&self, got: bool, waited: bool) {
        let mut global = self.worker.counters.global.borrow_mut();
        global.connpool_get_conn_success += u64::from(got);
        global.connpool_get_conn_immediate += u64::from(got && !waited);
        global.connpool_get_conn_failure += u64::from(!got);
        global.max_connect_timeouts += u64::from(!got);
    }

    pub(super) fn count_traffic(&self, backend: &Backend, (sent, received): (u64, u64)) {
        let (sent, received) = (backend.connection.bytes_out - sent, backend.connection.bytes_in - received);
        let mut global = self.worker.counters.global.borrow_mut();
        global.queries_backends_bytes_sent += sent;
        global.queries_backends_bytes_recv += received;
        let mut server = backend.counters.stats.borrow_mut();
        server.queries += 1;
        server.bytes_sent += sent;
        server.bytes_recv += received;
    }
}

/// Whether there is a place for one more connection.
enum Room {
    Taken(Reservation),
    /// The hostgroup has had its connections of this second.
    Throttled,
    Full,
}

fn proxy_protocol(snapshot: &Snapshot, hostgroup: HostgroupId) -> ProxyProtocol {
    let found = snapshot.hostgroups.get(&hostgroup);
    found.map_or(ProxyProtocol::Off, |found| found.attributes.settings.proxy_protocol)
}

/// `mysql_hostgroup_attributes.multiplex`.
fn multiplexes(snapshot: &Snapshot, hostgroup: HostgroupId) -> bool {
    snapshot.hostgroups.get(&hostgroup).is_none_or(|hostgroup| hostgroup.attributes.multiplex)
}

/// Why no connection was had.
pub(super) enum Attach {
    /// The client is to be told.
    Refused(Refusal),
    End(SessionEnd),
}

/// Running it twice is as good as once: reads, and what only prepares a session.
fn is_repeatable(statement: &Statement<'_>) -> bool {
    statement.is_read()
        || matches!(statement.kind, Kind::Begin | Kind::StartTransaction | Kind::Set | Kind::Use)
}
