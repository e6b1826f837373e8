//! How a session comes by a connection: the one that it holds, one from the pool, or a new one; it waits for either, as long as
//! it may.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proxyd_wire::proxy_header::{self, Ends};

use super::causal::{self, Destination};
use super::forward::Attached;
use super::patience::{Unfit, stopped};
use super::record::Interrupt;
use super::{Session, SessionEnd};
use crate::backend::{Account, Backend, ConnectError, Exactly, Traits};
use crate::control::WorkerEvent;
use crate::counters::InUse;
use crate::peer::Peer;
use crate::pool::{Login, Want};
use crate::reply::Refusal;
use crate::snapshot::{Hostgroup, Member, ProxyProtocol, Reservation, Server, Snapshot, is_among};
use crate::warmth::Profile;

/// How often, and how long, somebody who waits for a connection looks again.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(10);

impl Session {
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
            let Some(mut held) = self.checkout(to, deadline, &mut avoid).await? else { return Ok(None) };
            match self.fit(&mut held.backend, deadline).await {
                Ok(()) if to.causal.is_none() => return Ok(Some(held)),
                // In a box: few statements are so far, and every session would have the room.
                Ok(()) => return Ok(Box::pin(self.once_caught_up(to, held)).await),
                Err(Unfit::Stopped(stopped)) => return Err(stopped),
                Err(Unfit::Refused(error)) => {
                    let snapshot = self.snapshot();
                    self.worker.pool.give(held.backend, &snapshot, self.worker.workers, Instant::now());
                    return Err(Attach::Refused(Refusal::from_backend(&error)));
                }
                Err(Unfit::Lost(_)) => {}
            }
        }
    }

    /// A connection from the pool, or a new one; waits for either until the deadline (error 9001 after it), but not for a
    /// server that must have something: `None` if there is none at once. It counts as used from the moment that its server is
    /// chosen: whoever drains that server must not be told too early that nobody is there any more.
    async fn checkout(
        &mut self,
        to: Destination<'_>,
        deadline: Instant,
        avoid: &mut Vec<Arc<Server>>,
    ) -> Result<Option<Attached>, Attach> {
        let mut waited = false;
        let mut looks = 0;
        let started = self.worker.clock.now();
        let mut now = started;
        loop {
            let snapshot = self.snapshot();
            let servers = snapshot.hostgroups.get(&to.hostgroup);
            let want = Want { user: self.user(), traits: self.traits_in(servers), settings: &self.settings };
            let pick = servers.and_then(|hostgroup| self.pick(to, hostgroup, avoid, waited));
            if to.causal.is_some() && pick.is_none() {
                return Ok(None);
            }
            if let Some(member) = pick {
                // One that has failed it is asked again on a new connection: those of before may be about to fail, too.
                let has_failed = is_among(&member.server, avoid);
                if !(self.new_connection || has_failed)
                    && let Some(backend) = self.worker.pool.take(&member.server, &want, now)
                {
                    self.count_checkout(true, waited);
                    return Ok(Some(Attached::new(backend)));
                }
                match Box::pin(self.open_at(member, &snapshot, deadline, looks)).await? {
                    Opened::Ready(held) => {
                        self.count_checkout(true, waited);
                        return Ok(Some(held));
                    }
                    Opened::Gone => continue,
                    Opened::Failed => avoid.push(member.server.clone()),
                    Opened::NoRoom => {}
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
            let before = Instant::now();
            match Box::pin(self.wait_for_room()).await {
                None | Some(Interrupt::BackendGone) => {}
                Some(why) => return Err(stopped(why)),
            }
            now = Instant::now();
            let took = now - before;
            looks += u32::from((LOOK_AGAIN..2 * LOOK_AGAIN).contains(&took));
        }
    }

    /// A server of the hostgroup that may be asked. After a first wait, somebody to avoid is better than nobody at all.
    fn pick<'s>(
        &self,
        to: Destination<'_>,
        hostgroup: &'s Hostgroup,
        avoid: &[Arc<Server>],
        waited: bool,
    ) -> Option<&'s Member> {
        let pool = &self.worker.pool;
        match to.causal {
            Some(causal) => causal::choose(&self.worker, hostgroup, avoid, causal),
            None => pool.choose(hostgroup, avoid).or_else(|| pool.choose(hostgroup, &[]).filter(|_| waited)),
        }
    }

    /// A new connection to this server, if there is room for one.
    async fn open_at(
        &self,
        member: &Member,
        snapshot: &Snapshot,
        deadline: Instant,
        looks: u32,
    ) -> Result<Opened, Attach> {
        let server = &member.server;
        let (reservation, _login) = match self.make_room(member, snapshot, looks) {
            Room::Taken(reservation, login) => (reservation, login),
            Room::Throttled => return Ok(Opened::NoRoom),
            Room::Full => {
                self.worker.ask_siblings_for_room(server);
                return Ok(Opened::NoRoom);
            }
        };
        let in_use = InUse::new(self.worker.counters.server(server));
        let patience = snapshot.variables.connect_timeout_server;
        let limit = patience.min(deadline.saturating_duration_since(Instant::now()));
        match self.unless_stopped(server, self.open(reservation, member, limit)).await {
            Ok(Ok(backend)) => Ok(Opened::Ready(Attached::counted(backend, in_use))),
            Ok(Err(error)) if error.is_the_accounts() => Err(Attach::Refused(Refusal::connect(&error))),
            // The statement's time was up, which says nothing of the server.
            Ok(Err(ConnectError::Timeout(_))) if limit < patience => Ok(Opened::Failed),
            Ok(Err(error)) => {
                self.note_connect_failure(server, &error);
                Ok(Opened::Failed)
            }
            // The monitors are quicker than the time-out.
            Err(Interrupt::BackendGone) => Ok(Opened::Gone),
            Err(why) => Err(stopped(why)),
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
    fn make_room(&self, member: &Member, snapshot: &Snapshot, looks: u32) -> Room {
        let Some(login) = self.worker.pool.may_log_in(&member.server, looks) else { return Room::Throttled };
        let reservation = member.server.reserve(member.max_connections).or_else(|| {
            // The idle connections that are in the way belong to other users.
            self.worker.pool.close_one(&member.server);
            member.server.reserve(member.max_connections)
        });
        let Some(reservation) = reservation else { return Room::Full };
        match self.worker.may_open(snapshot, member.server.hostgroup) {
            true => Room::Taken(reservation, login),
            false => Room::Throttled,
        }
    }

    /// What a connection in this hostgroup must be like: where servers are told who the client is, for that client only.
    fn traits_in(&self, hostgroup: Option<&Hostgroup>) -> Traits {
        let told = proxy_protocol(hostgroup) != ProxyProtocol::Off;
        Traits { origin: self.record.peer().ip().filter(|_| told), ..self.traits }
    }

    /// The PROXY header for a new connection in this hostgroup, if its servers are sent one.
    fn preface(&self, hostgroup: Option<&Hostgroup>) -> Vec<u8> {
        let destination = self.proxy_address.parse().ok().map(|ip| SocketAddr::new(ip, self.proxy_port));
        let ends = match (self.record.peer(), destination) {
            (Peer::Tcp(source), Some(destination)) => Some(Ends { source, destination }),
            _ => None,
        };
        match proxy_protocol(hostgroup) {
            ProxyProtocol::Off => Vec::new(),
            ProxyProtocol::V1 => proxy_header::v1(ends),
            ProxyProtocol::V2 => proxy_header::v2(ends),
        }
    }

    async fn open(
        &self,
        reservation: Reservation,
        options: &Member,
        limit: Duration,
    ) -> Result<Box<Backend>, ConnectError> {
        let snapshot = self.snapshot();
        let hostgroup = reservation.server().hostgroup;
        let servers = snapshot.hostgroups.get(&hostgroup);
        let traits = self.traits_in(servers);
        let preface = self.preface(servers);
        let account = Account {
            user: self.user(),
            secret: &self.secret,
            traits,
            compress: false,
            preface: &preface,
            collation: self.collation,
            tls: None,
            exactly: self.account.fast_forward.then_some(Exactly {
                capabilities: self.capabilities,
                attributes: self.attributes.as_deref(),
            }),
        };
        let mut backend = self.worker.open_backend(reservation, options, account, limit).await?;
        if !self.account.fast_forward && traits.origin.is_none() {
            backend.profile = self.worker.profiles.enter(Profile {
                hostgroup,
                user: self.user().into(),
                schema: self.settings.schema.clone(),
                traits,
                collation: self.collation,
            });
        }
        Ok(backend)
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
}

/// What came of opening a connection.
enum Opened {
    Ready(Attached),
    /// The server was lost meanwhile; there may be others by now.
    Gone,
    Failed,
    NoRoom,
}

/// Whether there is a place for one more connection.
enum Room {
    /// Held while it is being opened.
    Taken(Reservation, Login),
    /// The hostgroup has had its connections of this second, or enough of them are being opened.
    Throttled,
    Full,
}

fn proxy_protocol(hostgroup: Option<&Hostgroup>) -> ProxyProtocol {
    hostgroup.map_or(ProxyProtocol::Off, |hostgroup| hostgroup.attributes.settings.proxy_protocol)
}

/// Why no connection was had.
pub(super) enum Attach {
    /// The client is to be told.
    Refused(Refusal),
    End(SessionEnd),
}
