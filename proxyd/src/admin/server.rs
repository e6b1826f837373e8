//! The admin interface's MySQL server: sockets and packets around [`Admin::execute`].

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use proxyd_wire::auth::Plugin;
use proxyd_wire::response::{ColumnDefinition, ResultSetWriter};
use proxyd_wire::server::{Config, Credential, Login, Step, nonce_from};
use proxyd_wire::{Capabilities, EofPacket, ErrPacket, OkPacket, Request, Status, frame};
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use super::facts::SERVER_VERSION;
use super::service::{Admin, AdminError, Answer, Session};
use crate::audit::{self, Event};
use crate::net::{BufferPool, Connection, Listener, Packets, Stream};
use crate::peer::Peer;
use crate::tls::ClientTls;

/// Nobody administers with more; the next one is told so.
const MAX_CLIENTS: usize = 256;
/// From the greeting to the OK.
const LOGIN_TIME: Duration = Duration::from_secs(10);
const LOGIN_PACKET: usize = 64 * 1024;
/// The longest statement (or statements) in one packet.
const MAX_PACKET: usize = 64 << 20;
/// utf8mb4_general_ci.
const COLLATION: u8 = 45;
/// A column's default value in the answer to COM_FIELD_LIST: NULL.
const NO_DEFAULT: u8 = 0xfb;

/// Accepts administrators until the end of the process. Must run on a `LocalSet`.
pub async fn serve(listener: Listener, admin: Rc<Admin>, tls: Option<ClientTls>) {
    let clients = Rc::new(Cell::new(0));
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let place = Place::take(&clients);
                let client = Client { admin: admin.clone(), tls: tls.clone(), peer };
                spawn_local(async move {
                    let end = client.run(stream, place.0.get() <= MAX_CLIENTS).await;
                    if let Err(error) = end {
                        tracing::debug!(%peer, %error, "admin connection ended");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the admin interface could not accept a connection");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// One of the connections that are open; given back on drop.
struct Place(Rc<Cell<usize>>);

impl Place {
    fn take(count: &Rc<Cell<usize>>) -> Place {
        count.set(count.get() + 1);
        Place(count.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// One connection.
struct Client {
    admin: Rc<Admin>,
    tls: Option<ClientTls>,
    peer: Peer,
}

impl Client {
    async fn run(&self, stream: Stream, has_room: bool) -> io::Result<()> {
        let mut connection = Connection::new(stream);
        connection.keepalive(Duration::from_secs(60));
        let buffers = BufferPool::default();
        let mut packets = Packets::new(&mut connection, &buffers, LOGIN_PACKET);
        if !has_room {
            return packets.send(&ErrPacket::new(1040, b"08004", "Too many connections").encode()).await;
        }
        let login = timeout(LOGIN_TIME, self.log_in(&mut packets));
        let Some((mut session, capabilities)) = login.await.map_err(|_| io::ErrorKind::TimedOut)?? else {
            return Ok(());
        };
        let begun = Instant::now();
        self.audit(Event::Connected, &session);
        let end = self.serve(&mut session, capabilities, &mut packets).await;
        self.audit(Event::Closed { after: begun.elapsed() }, &session);
        end
    }

    /// One request after another until the client goes.
    async fn serve(
        &self,
        session: &mut Session,
        capabilities: Capabilities,
        packets: &mut Packets<'_>,
    ) -> io::Result<()> {
        packets.limit = MAX_PACKET;
        let mut multi_statements = capabilities.contains(Capabilities::MULTI_STATEMENTS);
        loop {
            let payload = packets.receive().await?;
            let mut reply = Reply { out: Vec::new(), sequence: packets.sequence, capabilities };
            match Request::parse(&payload, capabilities) {
                Ok(Request::Quit) => return Ok(()),
                Ok(Request::SetOption(option)) => {
                    multi_statements = option == 0;
                    reply.eof();
                }
                Ok(request) => self.answer(session, request, multi_statements, &mut reply).await,
                Err(error) => reply.error(&AdminError::syntax(&error.to_string())),
            }
            packets.connection.write_all(&reply.out).await?;
        }
    }

    /// Takes the client through the login; `None` when it was refused.
    async fn log_in(&self, packets: &mut Packets<'_>) -> io::Result<Option<(Session, Capabilities)>> {
        let id = self.admin.next_session_id();
        let mut login = Login::new(self.config(id)?);
        packets.send(&login.greeting()).await?;
        let mut step = login.on(&packets.receive().await?);
        loop {
            step = match step {
                Step::Send(payload) => {
                    packets.send(&payload).await?;
                    login.on(&packets.receive().await?)
                }
                Step::StartTls => {
                    let tls = self.tls.as_ref().ok_or(io::ErrorKind::Unsupported)?;
                    packets.connection.accept_tls(&tls.acceptor()).await?;
                    login.on(&packets.receive().await?)
                }
                Step::NeedCredential => {
                    let known = self.admin.find_login(login.user());
                    login.credential(known.map(|known| Credential::Clear(known.password)))
                }
                // Admin passwords are stored in the clear, so no client is asked for one under RSA.
                Step::NeedRsaDecrypt(_) => login.decrypted(None),
                Step::NeedHashCheck(check) => login.hash_checked(check.run()),
                Step::Accept { before_ok } => {
                    if let Some(payload) = before_ok {
                        packets.send(&payload).await?;
                    }
                    return self.begin(id, &login, packets).await;
                }
                Step::Refuse(error) => {
                    tracing::warn!(peer = %self.peer, user = login.user(), "admin login refused");
                    let refused = Session { id, user: login.user().to_owned(), ..Session::default() };
                    self.audit(Event::Refused(&error.message), &refused);
                    packets.send(&error.encode()).await?;
                    return Ok(None);
                }
            };
        }
    }

    fn config(&self, thread_id: u32) -> io::Result<Config> {
        let mut random = [0; proxyd_wire::handshake::NONCE];
        SystemRandom::new().fill(&mut random).map_err(|_| io::Error::other("no randomness"))?;
        let is_local = self.peer == Peer::Local;
        Ok(Config {
            server_version: SERVER_VERSION.to_owned(),
            thread_id,
            nonce: nonce_from(random),
            capabilities: Capabilities::LONG_PASSWORD
                | Capabilities::LONG_FLAG
                | Capabilities::TRANSACTIONS
                | Capabilities::MULTI_STATEMENTS
                | Capabilities::MULTI_RESULTS
                | Capabilities::CONNECT_ATTRS
                | Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA,
            collation: COLLATION,
            default_plugin: Plugin::CachingSha2,
            tls_available: self.tls.is_some() && !is_local,
            is_local,
            public_key_pem: None,
            peer_host: self.peer.host(),
        })
    }

    /// The login is proven: the session, and the OK.
    async fn begin(
        &self,
        id: u32,
        login: &Login,
        packets: &mut Packets<'_>,
    ) -> io::Result<Option<(Session, Capabilities)>> {
        let Some(known) = self.admin.find_login(login.user()) else { return Ok(None) };
        let mut session = self.admin.open_session(id, login.user(), known.rights);
        session.peer = Some(self.peer);
        session.tls = packets.connection.is_tls();
        let capabilities = login.client().capabilities;
        if let Some(schema) = login.client().database.as_deref().filter(|schema| !schema.is_empty())
            && let Err(error) = session.choose_schema(schema)
        {
            packets.send(&error_packet(&error).encode()).await?;
            return Ok(None);
        }
        let ok = OkPacket { status: status(false), ..OkPacket::default() };
        packets.send(&ok.encode(capabilities)).await?;
        Ok(Some((session, capabilities)))
    }

    async fn answer(&self, session: &mut Session, request: Request<'_>, multi: bool, reply: &mut Reply) {
        match request {
            Request::Ping | Request::Debug => reply.ok(0, 0, false),
            Request::Query(query) => {
                self.query(session, &String::from_utf8_lossy(query.text), multi, reply).await;
            }
            Request::InitDb(schema) => match session.choose_schema(&String::from_utf8_lossy(schema)) {
                Ok(()) => reply.ok(0, 0, false),
                Err(error) => reply.error(&error),
            },
            Request::FieldList { table, .. } => self.field_list(session, table, reply).await,
            Request::ProcessKill { thread_id } => {
                self.query(session, &format!("KILL {thread_id}"), false, reply).await;
            }
            Request::ResetConnection => {
                session.reset();
                reply.ok(0, 0, false);
            }
            Request::Statistics => reply.raw(b"Standfast admin interface: SELECT * FROM stats_mysql_global"),
            _ => {
                let text = "Standfast Admin Error: command not supported".into();
                reply.error(&AdminError { code: 9003, state: "HY000", text });
            }
        }
    }

    /// One COM_QUERY: its statements in order, up to the first that fails.
    async fn query(&self, session: &mut Session, text: &str, multi: bool, reply: &mut Reply) {
        let statements = self.admin.split(text);
        if statements.len() > 1 && !multi {
            let text = "several statements in one packet need CLIENT_MULTI_STATEMENTS";
            return reply.error(&AdminError::syntax(text));
        }
        if statements.is_empty() {
            // A comment alone is what mysqldump and others send; nothing at all is a mistake.
            return match text.trim().is_empty() {
                true => reply.error(&AdminError {
                    code: 1065,
                    state: "42000",
                    text: "Standfast Admin Error: query was empty".into(),
                }),
                false => reply.ok(0, 0, false),
            };
        }
        let last = statements.len() - 1;
        for (index, statement) in statements.iter().enumerate() {
            let done = self.admin.execute(session, statement).await;
            let error = done.as_ref().err().map(|error| error.text.as_str());
            self.audit(Event::Statement { sql: statement, error }, session);
            match done {
                Ok(answer) => reply.answer(&answer, index < last),
                Err(error) => return reply.error(&error),
            }
        }
    }

    fn audit(&self, event: Event<'_>, session: &Session) {
        let log = &self.admin.logs().audit;
        if log.is_on() {
            let Session { id: thread_id, user, schema, tls, .. } = session;
            let (client, thread_id) = (self.peer, *thread_id);
            let who = audit::Who { admin: true, client, user, schema, thread_id, tls: Some(*tls) };
            log.line(audit::line(event, who, SystemTime::now()));
        }
    }

    /// COM_FIELD_LIST: how clients learn column names for completion.
    async fn field_list(&self, session: &mut Session, table: &[u8], reply: &mut Reply) {
        let table = String::from_utf8_lossy(table).replace('"', "\"\"");
        match self.admin.execute(session, &format!("SELECT * FROM \"{table}\" LIMIT 0")).await {
            Ok(Answer::Rows(result)) => {
                for name in &result.columns {
                    let mut payload = ColumnDefinition::text(name).encode();
                    payload.push(NO_DEFAULT);
                    reply.raw(&payload);
                }
                reply.eof();
            }
            Ok(Answer::Ok { .. }) => reply.eof(),
            Err(error) => reply.error(&error),
        }
    }
}

/// The frames of one answer.
struct Reply {
    out: Vec<u8>,
    sequence: u8,
    capabilities: Capabilities,
}

impl Reply {
    fn raw(&mut self, payload: &[u8]) {
        frame::write(&mut self.out, &mut self.sequence, payload);
    }

    fn ok(&mut self, affected_rows: u64, warnings: u16, more: bool) {
        let ok = OkPacket { affected_rows, warnings, status: status(more), ..OkPacket::default() };
        self.raw(&ok.encode(self.capabilities));
    }

    fn eof(&mut self) {
        self.raw(&EofPacket { warnings: 0, status: status(false) }.encode());
    }

    fn error(&mut self, error: &AdminError) {
        self.raw(&error_packet(error).encode());
    }

    fn answer(&mut self, answer: &Answer, more: bool) {
        match answer {
            Answer::Ok { affected, warnings } => self.ok(*affected, *warnings, more),
            Answer::Rows(result) => {
                let columns: Vec<_> =
                    result.columns.iter().map(|name| ColumnDefinition::text(name)).collect();
                let mut writer =
                    ResultSetWriter::begin(&mut self.out, &mut self.sequence, self.capabilities, &columns);
                for row in &result.rows {
                    let cells: Vec<_> = row.iter().map(|cell| cell.as_deref().map(str::as_bytes)).collect();
                    writer.row(&cells);
                }
                writer.finish(status(more), 0);
            }
        }
    }
}

/// SQLite knows no backslash in a string: clients that are told so double their quotes instead.
fn status(more: bool) -> Status {
    let status = Status::AUTOCOMMIT | Status::NO_BACKSLASH_ESCAPES;
    if more { status | Status::MORE_RESULTS_EXISTS } else { status }
}

fn error_packet(error: &AdminError) -> ErrPacket {
    let mut state = *b"HY000";
    if error.state.len() == state.len() {
        state.copy_from_slice(error.state.as_bytes());
    }
    ErrPacket::new(error.code, &state, error.text.clone())
}
