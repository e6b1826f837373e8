//! One client connection, from accept to end. The steps stand in the order they happen; each has its own file.
//!
//! accept → [`login`] → read one command → classify → route (rules, ties) → [`forward`] (borrow a backend that fits: [`checkout`],
//! [`relay`]) → settle: give the backend back, or keep it while something ties the session to it ([`pins`]).

mod account;
mod cached;
mod causal;
pub mod charset;
mod checkout;
mod elsewhere;
pub mod end;
mod fast_forward;
pub mod forward;
mod full_auth;
mod gtids;
mod housekeeping;
mod insert_id;
mod local;
mod local_file;
mod login;
pub mod mirror;
mod opening;
mod patience;
pub mod pins;
pub mod prepared;
mod querylog;
pub mod record;
mod relay;
pub mod settings;
mod tracked;
mod tries;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use proxyd_sql::Statement;
use proxyd_wire::auth::Secret;
use proxyd_wire::command::NO_ATTRIBUTES;
use proxyd_wire::handshake::NONCE;
use proxyd_wire::response::{Expect, Outcome, SchemaDebt};
use proxyd_wire::{Capabilities, Command, Request, Status, frame};

use crate::audit::Event;
use crate::backend::{ConnectAttributes, Traits};
use crate::budget::Hold;
use crate::gate::Ticket;
use crate::net::{Buffer, Connection, STANDARD, Stream};
use crate::reply::{self, Codes, Refusal};
use crate::snapshot::View;
use crate::users::NamedUser;
use crate::worker::Worker;

pub use end::{Cause, Phase, SessionEnd};
pub use full_auth::{FullAuthCache, prepare_rsa};
pub use housekeeping::ping_idle;
pub use local::annotations;
pub use login::first_settings;

use forward::{Attached, Job};
use prepared::ClientStatements;
use querylog::Logged;
use record::{Interrupt, Record};
use settings::Settings;
use tracked::Ran;

/// Of a packet that is longer so much must have come before it is believed.
const EARNEST: usize = 64 * 1024;

/// A logged-in client.
pub struct Session {
    worker: Rc<Worker>,
    record: Rc<Record>,
    client: Connection,
    capabilities: Capabilities,
    /// Which error codes its library takes from a server.
    codes: Codes,
    /// Held for its drop: the client counts against the limits until then.
    ticket: Ticket,
    account: Arc<NamedUser>,
    /// What the client has proven to know, for the login at backends.
    secret: Secret,
    client_address: Box<str>,
    proxy_address: Box<str>,
    proxy_port: u16,
    traits: Traits,
    collation: u16,
    settings: Settings,
    /// Backend connections that something ties to this session; usually none.
    attached: Vec<Attached>,
    /// Made when it prepares its first.
    statements: Option<Box<ClientStatements>>,
    /// What `LAST_INSERT_ID()` is where no connection of this session has it.
    last_insert_id: u64,
    /// The status flags that say how SQL is read in this session.
    modes: Status,
    /// Memory for more than a short command.
    hold: Option<Box<Hold>>,
    /// Whether the client has still to be told that its schema has changed.
    schema_debt: SchemaDebt,
    /// The rules' flag for the next statement (`next_query_flagIN`).
    next_flag: u32,
    /// The answer under way, if it may be kept in the query cache.
    tee: Option<Box<cached::Tee>>,
    /// A comment asks for a connection that nobody used before.
    new_connection: bool,
    /// The greeting's: COM_CHANGE_USER is answered with it.
    nonce: [u8; NONCE],
    /// The connection attributes of a `fast_forward` user: its server is to have them.
    attributes: Option<Box<ConnectAttributes>>,
}

/// A session's life. What a session does not need while it rests is in boxes: an idle client should be small.
pub fn run(stream: Stream, record: Rc<Record>, worker: Rc<Worker>) -> impl Future<Output = SessionEnd> {
    let login = Box::pin(login::accept(stream, record.clone(), worker.clone()));
    async move {
        let mut session = match login.await {
            Ok(session) => session,
            Err(end) => {
                worker.note_login(&record, Some(&end));
                return end;
            }
        };
        worker.note_login(&record, None);
        worker.audit(Event::Connected, &record, Some(session.client.is_tls()));
        let served = match session.account.fast_forward {
            true => Box::pin(session.fast_forward()).await,
            false => session.serve().await,
        };
        let end = match served {
            Ok(never) => match never {},
            Err(end) => end,
        };
        session.release();
        end
    }
}

impl Session {
    async fn serve(&mut self) -> Result<std::convert::Infallible, SessionEnd> {
        loop {
            let rest = self.rest().await;
            Box::pin(self.work(rest)).await?;
        }
    }

    /// What a session does until it has rested for long: commands that follow each other share the room that one needs.
    async fn work(&mut self, first: Rest) -> Result<(), SessionEnd> {
        self.worker.at_work.borrow_mut().push(self.record.clone());
        let mut rest = first;
        while !matches!(rest, Rest::Long) {
            self.turn(rest).await?;
            rest = self.rest().await;
        }
        Ok(())
    }

    /// What a session does after a rest.
    async fn turn(&mut self, rest: Rest) -> Result<(), SessionEnd> {
        match rest {
            Rest::Command { framed } => self.command(framed).await,
            Rest::Malformed(frame::FrameError::TooLarge { .. }) => {
                let end = SessionEnd::protocol(Phase::Command, "a packet over mysql-max_allowed_packet");
                self.refuse(&Refusal::packet_too_large()).await?;
                self.let_finish_sending().await;
                Err(end)
            }
            Rest::Malformed(error) => Err(self.broken(&error.to_string()).await),
            Rest::Empty => Err(self.broken("an empty packet").await),
            Rest::Ended if self.client.input.is_empty() => Err(SessionEnd::quit()),
            Rest::Ended => Err(SessionEnd::client(Phase::Command, std::io::ErrorKind::UnexpectedEof.into())),
            Rest::Failed(error) => Err(SessionEnd::client(Phase::Command, error)),
            Rest::Interrupted(why) => self.interrupted_at_rest(why),
            Rest::Long => Ok(()),
            Rest::TieEnds => {
                self.let_go(Instant::now());
                self.fetch_insert_ids().await;
                Ok(())
            }
        }
    }

    /// Obeys the command that is `framed` bytes at the front of what the client has sent.
    async fn command(&mut self, framed: usize) -> Result<(), SessionEnd> {
        let started = self.worker.clock.now();
        let mut buffer = std::mem::take(&mut self.client.input);
        {
            let mut global = self.worker.counters.global.borrow_mut();
            global.questions += 1;
            global.queries_frontends_bytes_recv += framed as u64;
        }
        let sent_before = self.client.bytes_out;
        self.obey(&mut buffer.filled_mut()[..framed], started).await?;
        let sent = self.client.bytes_out - sent_before;
        self.worker.counters.global.borrow_mut().queries_frontends_bytes_sent += sent;
        self.take_back(buffer, framed);
        if !self.attached.is_empty() {
            self.fetch_insert_ids().await;
        }
        self.worker.texts.borrow_mut().push(self.record.rest(self.worker.clock.now()));
        Ok(())
    }

    /// Does what one command says. `frames` are the whole packet.
    async fn obey(&mut self, frames: &mut [u8], now: Instant) -> Result<(), SessionEnd> {
        let head = &frames[frame::HEADER..frames.len().min(frame::HEADER + frame::MAX_PAYLOAD)];
        let request = match Request::parse(head, self.capabilities) {
            Ok(request) => request,
            Err(error) => return self.malformed(error).await,
        };
        let command = head.first().and_then(|&byte| Command::from_byte(byte));
        let room = self.worker.texts.borrow_mut().pop().unwrap_or_default();
        self.record.start(command.map_or("Unknown", Command::name), text_of(&request), room, now);
        match request {
            Request::Quit => Err(SessionEnd::quit()),
            Request::Ping => self.ok().await,
            Request::Query(_) | Request::InitDb(_) | Request::FieldList { .. } => {
                self.statement(frames, request, now).await
            }
            Request::StmtPrepare(_) => Box::pin(self.prepare(frames, now)).await,
            Request::StmtExecute { statement, .. } => self.execute(statement, frames, now).await,
            Request::StmtFetch { statement, .. } => Box::pin(self.fetch(statement, frames)).await,
            Request::StmtReset { statement } => self.reset_statement(statement).await,
            Request::StmtSendLongData { statement, .. } => {
                self.long_data(statement, frames);
                Ok(())
            }
            Request::StmtClose { statement } => {
                self.close_statement(statement).await;
                Ok(())
            }
            Request::ProcessKill { thread_id } => self.kill(thread_id, false).await,
            Request::Statistics => self.statistics().await,
            Request::ResetConnection => {
                self.start_over();
                self.ok().await
            }
            Request::ChangeUser => Box::pin(self.change_user(frames)).await,
            Request::SetOption(option) => self.set_option(option).await,
            Request::Other(Command::RegisterSlave | Command::BinlogDump | Command::BinlogDumpGtid) => {
                self.replicate(frames).await
            }
            Request::Debug | Request::Other(_) | Request::Unknown(_) => {
                self.refuse(&Refusal::unsupported(command.map_or("unknown", Command::name))).await
            }
        }
    }

    /// COM_QUERY, and the commands that are statements in another form: classify, route, forward, settle.
    async fn statement(
        &mut self,
        frames: &[u8],
        request: Request<'_>,
        now: Instant,
    ) -> Result<(), SessionEnd> {
        let head = &frames[frame::HEADER..frames.len().min(frame::HEADER + frame::MAX_PAYLOAD)];
        let (text, expect, attributes) = match request {
            Request::Query(query) => (query.text, Expect::Results, query.attributes),
            Request::FieldList { .. } => (&b"SHOW COLUMNS"[..], Expect::FieldList, &[][..]),
            _ => (&b"USE"[..], Expect::Simple, &[][..]),
        };
        let statement = local::read(self, text);
        if let Some(answer) = local::answer(self, text, &statement) {
            return self.answer_locally(answer).await;
        }
        if self.account.schema_locked
            && let Some(schema) = local::leaves_schema(self, head, text, &statement)
        {
            return self.refuse(&Refusal::schema_locked(self.user(), &schema)).await;
        }
        let mut route = match self.route(text, &statement) {
            Ok(route) => route,
            Err(reply) => return self.answer_locally(reply).await,
        };
        if attributes.len() > NO_ATTRIBUTES.len() {
            // The answer may depend on them.
            route.cache = None;
        }
        if let Some(answer) = self.look_up(&route, text) {
            return self.answer_from_cache(answer, &route, text, statement.kind, now).await;
        }
        if let Some(mirror) = route.mirror.take().filter(|_| expect == Expect::Results) {
            self.mirror(mirror, route.rewritten.as_deref().unwrap_or(text));
        }
        if let Some(delay) = route.delay {
            tokio::time::sleep(delay).await;
        }
        let rewritten = route.rewritten.as_deref().map(|text| reply::attributed_frames(attributes, text));
        let job = Job {
            frames: rewritten.as_deref().unwrap_or(frames),
            expect,
            statement: &statement,
            to: route.destination(),
            retries: route.retries,
            timeout: route.timeout,
            execution: None,
        };
        self.tee = self.tee(&route);
        self.new_connection = route.new_connection;
        let outcome = self.forward(job).await?;
        if let Some(outcome) = &outcome {
            self.keep_answer(&route, text, outcome);
            if let Some(held) = self.attached.last_mut() {
                held.pins.heed(route.sticky, route.multiplex);
            }
            self.note_session_changes(Ran { head, text, statement: &statement }, outcome);
            if let Some(error) = &outcome.error {
                self.count_error(error);
            }
        }
        let command = (expect == Expect::Results).then_some("COM_QUERY");
        let ended = Ended { command, statement: &statement, text, route: &route, started: now };
        self.conclude(&ended, outcome.as_ref());
        Ok(())
    }

    /// What every statement ends with, by text or prepared: the log, the connection's way back, the counts.
    fn conclude(&mut self, ended: &Ended<'_>, outcome: Option<&Outcome>) {
        let Ended { command, statement, text, route, started } = *ended;
        if let Some(command) = command.filter(|_| self.wants_log(route.log)) {
            let kind = statement.kind;
            self.log_statement(&Logged { command, kind, text, outcome, from_cache: false, started });
        }
        let now = self.worker.clock.read();
        match outcome {
            Some(outcome) => self.settle(statement, outcome, now),
            None => self.let_go(now),
        }
        self.count_statement(statement.kind, route.digest, outcome, now - started);
    }

    /// Where a statement that has been read ([`local::read`]) goes: to the connection it is tied to, else where the rules
    /// send it.
    fn route(&mut self, text: &[u8], statement: &Statement<'_>) -> Result<local::Route, local::Answer> {
        let mut route = local::apply_rules(self, text)?;
        let tied = self
            .attached
            .iter()
            .find(|held| held.pins.is_hard())
            .or_else(|| self.attached.iter().find(|held| held.pins.wants(statement)));
        let tied = tied.filter(|held| !self.may_leave(held));
        if let Some(held) = tied {
            route.hostgroup = held.hostgroup();
            route.cache = None;
        } else if !self.settings.autocommit {
            route.cache = None;
            // With autocommit off the first statement begins a transaction: it goes where BEGIN would.
            route.hostgroup = self.account.default_hostgroup;
        }
        if self.record.in_transaction.get() || !cached::may_be_cached(statement) {
            route.cache = None;
        }
        self.heed_commits(&mut route, tied.is_some() || !self.settings.autocommit);
        route.digest = self.enter_digest(route.hostgroup);
        Ok(route)
    }

    /// `transaction_persistent=0`: a transaction alone does not keep statements from following the rules.
    fn may_leave(&self, held: &Attached) -> bool {
        !self.account.transaction_persistent && held.pins.reason() == "transaction"
    }

    /// Waits until a whole command is there, or something ends the wait for it.
    fn rest(&mut self) -> impl Future<Output = Rest> {
        let limit = self.snapshot().variables.max_allowed_packet;
        let tie_ends = self.attached.iter().filter_map(|held| held.pins.deadline()).min();
        let mut timer = tie_ends.map(alarm);
        poll_fn(move |cx| self.poll_rest(cx, limit, timer.as_mut()))
    }

    fn poll_rest(&mut self, cx: &mut Context<'_>, limit: usize, timer: Option<&mut Alarm>) -> Poll<Rest> {
        loop {
            let want = match frame::locate(self.client.input.filled(), limit) {
                Ok(frame::Located::Complete { framed, .. }) if framed > frame::HEADER => {
                    return Poll::Ready(Rest::Command { framed });
                }
                Ok(frame::Located::Complete { .. }) => return Poll::Ready(Rest::Empty),
                Ok(frame::Located::Incomplete { want }) => want,
                Err(error) => return Poll::Ready(Rest::Malformed(error)),
            };
            // A huge packet is announced long before it arrives: it gets its memory once a part of it has come.
            let room = if self.client.input.len() < EARNEST { want.min(EARNEST) } else { want };
            if self.poll_memory(cx, room).is_pending() {
                match self.client.poll_peer_closed(cx) {
                    Poll::Ready(()) => {
                        return Poll::Ready(Rest::Failed(std::io::ErrorKind::ConnectionAborted.into()));
                    }
                    Poll::Pending => break,
                }
            }
            match self.client.poll_fill(cx, room, &self.worker.buffers) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Rest::Ended),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Rest::Failed(error)),
                Poll::Pending => break,
            }
        }
        if let Poll::Ready(why) = self.record.poll_interrupted(cx) {
            return Poll::Ready(Rest::Interrupted(why));
        }
        if self.record.has_rested() {
            return Poll::Ready(Rest::Long);
        }
        match timer.map(|timer| timer.as_mut().poll(cx)) {
            Some(Poll::Ready(())) => Poll::Ready(Rest::TieEnds),
            _ => Poll::Pending,
        }
    }

    /// Ready when there is memory for a client's buffer of this size, and for what it has sent ahead.
    fn poll_memory(&mut self, cx: &Context<'_>, room: usize) -> Poll<()> {
        match self.beyond_standard(room) {
            0 => Poll::Ready(()),
            bytes => {
                let new = || Box::new(Hold::new(&self.worker.budget));
                self.hold.get_or_insert_with(new).poll_grow(cx, bytes)
            }
        }
    }

    /// After a command: holds what is still there.
    fn settle_memory(&mut self) {
        match self.beyond_standard(0) {
            0 => self.hold = None,
            bytes => self.hold.get_or_insert_with(|| Box::new(Hold::new(&self.worker.budget))).set(bytes),
        }
    }

    fn beyond_standard(&self, room: usize) -> usize {
        let buffer = room.max(self.client.input.capacity());
        let ahead = self.statements.as_ref().map_or(0, |statements| statements.long_data());
        buffer.saturating_sub(STANDARD) + ahead
    }

    fn interrupted_at_rest(&mut self, why: Interrupt) -> Result<(), SessionEnd> {
        match why {
            // There is no query to kill.
            Interrupt::KillQuery | Interrupt::QueryTimeout => Ok(()),
            Interrupt::BackendGone => {
                self.drop_lost_backends();
                Ok(())
            }
            Interrupt::KillConnection => Err(SessionEnd::proxy(Phase::Command, Cause::Killed)),
            Interrupt::IdleTimeout => Err(SessionEnd::proxy(Phase::Command, Cause::Timeout)),
        }
    }

    /// The buffer of a command goes back, without the command; what the client sent ahead stays in it.
    fn take_back(&mut self, mut buffer: Buffer, framed: usize) {
        buffer.consume(framed);
        buffer.release(&self.worker.buffers);
        self.client.input = buffer;
        self.settle_memory();
    }

    fn user(&self) -> &str {
        &self.account.name
    }

    fn snapshot(&self) -> View {
        self.worker.snapshot()
    }
}

/// A statement that ran, or could not.
struct Ended<'a> {
    /// What the events log calls it; `None` for what it does not list.
    command: Option<&'static str>,
    statement: &'a Statement<'a>,
    text: &'a [u8],
    route: &'a local::Route,
    started: Instant,
}

/// What ends a session's rest.
enum Rest {
    /// A command of so many bytes, with its frames, is at the front of what the client has sent.
    Command {
        framed: usize,
    },
    /// A packet without a command in it.
    Empty,
    Malformed(frame::FrameError),
    /// The client's stream is at its end.
    Ended,
    Failed(std::io::Error),
    Interrupted(Interrupt),
    TieEnds,
    /// Nothing has come for a while: what the session has for its work is to go.
    Long,
}

fn text_of<'a>(request: &Request<'a>) -> &'a [u8] {
    match request {
        Request::Query(query) => query.text,
        Request::InitDb(text) | Request::StmtPrepare(text) => text,
        _ => b"",
    }
}

/// A timer of its own: it is large, and most waits have none.
type Alarm = Pin<Box<tokio::time::Sleep>>;

fn alarm(when: Instant) -> Alarm {
    Box::pin(tokio::time::sleep_until(when.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<A, B, C, F>(_: impl Fn(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    /// What an idle client takes of proxyd: these, and some 600 bytes for names, its place among the worker's sessions, and
    /// tokio's part of a task and of a socket.
    #[test]
    fn an_idle_session_is_small() {
        let sizes = [size(run), size_of::<Session>(), size_of::<Record>()];
        assert!(sizes.iter().sum::<usize>() <= 840, "{sizes:?}");
    }
}
