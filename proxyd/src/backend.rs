//! One connection to a backend: connect, log in, make it fit a session, and the few statements the proxy runs itself.

use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proxyd_wire::auth::Secret;
use proxyd_wire::client::{Config, Login, LoginError, Step, Tls};
use proxyd_wire::compression::Algorithm;
use proxyd_wire::frame::{self, Located};
use proxyd_wire::response::tracker::{Expect, ResponseTracker};
use proxyd_wire::response::{Answer, AnswerCollector, Outcome};
use proxyd_wire::{Capabilities, Command, ErrPacket};
use tokio::net::{TcpStream, UnixStream};

use crate::counters::ServerCounters;
use crate::net::{BufferPool, Connection, Packets, Role, Stream};
use crate::reply::{frames_of, query_frames};
use crate::session::prepared::Handles;
use crate::session::record::BackendPlace;
use crate::session::settings::{Charset, Difference, Settings};
use crate::snapshot::{Reservation, Server};
use crate::tls::{Connector, rsa_encrypt};

/// No packet of a login is longer than this.
const LOGIN_PACKET: usize = 64 * 1024;
/// An answer to a statement of the proxy's own is no longer than this.
const OWN_ANSWER: usize = 8 << 20;
/// First TCP keep-alive probe on a silent backend connection.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// A connection that rested for less is taken again without a look at its socket.
const A_MOMENT: Duration = Duration::from_millis(10);

/// The capabilities of a client that change what a backend does, so that connections with other ones do not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traits {
    pub found_rows: bool,
    pub ignore_space: bool,
    pub multi_statements: bool,
    /// The client hands out files for LOAD DATA LOCAL.
    pub local_files: bool,
    /// The client may send query attributes.
    pub attributes: bool,
    /// The client that a PROXY header has named to the server: the connection is for nobody else.
    pub origin: Option<IpAddr>,
}

/// Who logs in at a backend, and how.
pub struct Account<'a> {
    pub user: &'a str,
    pub secret: &'a Secret,
    pub traits: Traits,
    pub collation: u16,
    /// Nothing will be translated: this client's own, and no other's.
    pub exactly: Option<Exactly<'a>>,
    /// The compressed protocol, where the server has it.
    pub compress: bool,
    /// What goes before everything else: a PROXY header, or nothing.
    pub preface: &'a [u8],
    /// Set for `use_ssl=1`.
    pub tls: Option<&'a Connector>,
}

/// Names and values that a client tells of itself at its login: program, driver, host and the like.
#[derive(Debug, Clone)]
pub struct ConnectAttributes(Vec<(String, String)>);

impl From<Vec<(String, String)>> for ConnectAttributes {
    fn from(pairs: Vec<(String, String)>) -> ConnectAttributes {
        ConnectAttributes(pairs)
    }
}

/// A client as it is, for the login of a connection that is its alone.
#[derive(Clone, Copy)]
pub struct Exactly<'a> {
    /// As far as the server has them.
    pub capabilities: Capabilities,
    /// Its connection attributes, if it has told any.
    pub attributes: Option<&'a ConnectAttributes>,
}

impl Exactly<'_> {
    fn own_attributes(&self) -> Vec<(String, String)> {
        self.attributes.map(|attributes| attributes.0.clone()).unwrap_or_default()
    }
}

/// A connection that is logged in, and what is known of its session.
#[derive(Debug)]
pub struct Backend {
    pub connection: Connection,
    pub thread_id: u32,
    pub capabilities: Capabilities,
    pub traits: Traits,
    pub settings: Settings,
    /// The prepared statements that live here.
    pub statements: Handles,
    pub opened: Instant,
    pub counters: Rc<ServerCounters>,
    /// Where it leads, for the process list.
    pub place: Rc<BackendPlace>,
    user: Box<str>,
    is_mariadb: bool,
    tracking: Tracking,
    /// Some of a replay was refused: nobody knows what is set.
    half_set: bool,
    reservation: Reservation,
}

/// Whether the server tells what statements change of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tracking {
    /// It cannot, or would not.
    Off,
    /// To be switched on before the next statement.
    Due,
    On,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("cannot connect: {0}")]
    Io(#[from] io::Error),
    #[error("no answer in {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The account is at fault, not the server: trying elsewhere would not help.
    #[error("login refused: {0}")]
    Denied(ErrPacket),
    #[error("the server refuses connections: {0}")]
    Refused(ErrPacket),
    #[error("no TLS: {0}")]
    Tls(String),
    #[error("login failed: {0}")]
    Login(LoginError),
}

impl ConnectError {
    /// The MySQL error code that says it best.
    pub fn code(&self) -> u16 {
        match self {
            ConnectError::Io(_) => 2003,
            ConnectError::Timeout(_) => 2013,
            ConnectError::Denied(packet) | ConnectError::Refused(packet) => packet.code,
            ConnectError::Tls(_) | ConnectError::Login(LoginError::TlsNotOffered) => 2026,
            ConnectError::Login(_) => 2012,
        }
    }
}

impl ConnectError {
    /// The account's fault: another server would say the same, and this one is as good as ever for other accounts.
    pub fn is_the_accounts(&self) -> bool {
        use LoginError::{PasswordUnknown, Plugin};
        matches!(self, ConnectError::Denied(_) | ConnectError::Login(PasswordUnknown(_) | Plugin(_)))
    }
}

impl From<LoginError> for ConnectError {
    fn from(error: LoginError) -> ConnectError {
        match error {
            // Access denied, no such schema, no privilege for it: what the account says wrong.
            LoginError::Refused(packet) if matches!(packet.code, 1044 | 1045 | 1049 | 1698) => {
                ConnectError::Denied(packet)
            }
            LoginError::Refused(packet) => ConnectError::Refused(packet),
            other => ConnectError::Login(other),
        }
    }
}

impl From<FitError> for ConnectError {
    fn from(error: FitError) -> ConnectError {
        match error {
            FitError::Refused(packet) => ConnectError::Refused(packet),
            FitError::Lost(error) => ConnectError::Io(error),
        }
    }
}

/// Why a connection does not fit a session.
#[derive(Debug)]
pub enum FitError {
    /// The server refuses what the session needs; the connection is still good.
    Refused(ErrPacket),
    Lost(io::Error),
}

impl Backend {
    /// Connects and logs in. Bound its time from outside.
    pub async fn open(
        reservation: Reservation,
        account: Account<'_>,
        counters: Rc<ServerCounters>,
        buffers: &BufferPool,
    ) -> Result<Backend, ConnectError> {
        let stream = connect(reservation.server()).await?;
        let mut connection = Connection::new(stream);
        connection.keepalive(KEEPALIVE);
        if !account.preface.is_empty() {
            connection.write_all(account.preface).await?;
        }
        let connected = log_in(&mut connection, &account, reservation.server(), buffers).await?;
        if let Some(algorithm) = Algorithm::agreed(connected.capabilities, None) {
            connection.compress(algorithm, Role::Client);
        }
        let local = connection.local_addr();
        counters.stats.borrow_mut().conn_ok += 1;
        counters.open.set(counters.open.get() + 1);
        let can_track = connected.capabilities.contains(Capabilities::SESSION_TRACK);
        Ok(Backend {
            connection,
            thread_id: connected.thread_id,
            // MariaDB's greeting leaves LONG_PASSWORD out.
            is_mariadb: !connected.capabilities.contains(Capabilities::LONG_PASSWORD),
            tracking: if can_track { Tracking::Due } else { Tracking::Off },
            half_set: false,
            capabilities: connected.capabilities,
            traits: account.traits,
            settings: Settings::new("", Charset::Id(account.collation)),
            statements: Handles::default(),
            opened: Instant::now(),
            place: Rc::new(BackendPlace { server: counters.key.clone(), local }),
            counters,
            user: account.user.into(),
            reservation,
        })
    }

    pub fn server(&self) -> &Arc<Server> {
        self.reservation.server()
    }

    pub fn is_mariadb(&self) -> bool {
        self.is_mariadb
    }

    /// Whether it names the transactions that it commits.
    pub fn names_commits(&self) -> bool {
        self.tracking == Tracking::On
    }

    pub fn user(&self) -> &str {
        &self.user
    }

    /// True while the server has sent nothing: neither an answer left over nor a good-bye.
    pub fn is_quiet(&self) -> bool {
        self.connection.input.is_empty() && self.connection.is_quiet()
    }

    /// As [`Backend::is_quiet`] for one that was at rest for so long. For a moment, what the reactor has seen is enough; after
    /// longer the kernel is asked, as the server may have lost patience.
    pub fn is_quiet_after(&self, rest: Duration) -> bool {
        let known =
            rest < A_MOMENT && self.connection.input.is_empty() && self.connection.is_reported_quiet();
        known || self.is_quiet()
    }

    /// Brings the session of this connection to `wanted`: session tracking, schema, character set, variables, only what
    /// differs, in one round trip.
    pub async fn fit(&mut self, wanted: &Settings, buffers: &BufferPool) -> Result<(), FitError> {
        let fits = self.settings == *wanted && !self.half_set && self.tracking != Tracking::Due;
        if fits { Ok(()) } else { Box::pin(self.replay(wanted, buffers)).await }
    }

    async fn replay(&mut self, wanted: &Settings, buffers: &BufferPool) -> Result<(), FitError> {
        let mut difference = self.settings.difference(wanted);
        let reset = self.half_set || difference == Difference::Reset;
        if reset {
            difference = self.settings.after_reset().difference(wanted);
        }
        let (schema, set) = match difference {
            Difference::Replay { schema, set } => (schema, set),
            Difference::None | Difference::Reset => (None, Vec::new()),
        };
        let track = self.tracking == Tracking::Due || (reset && self.tracking == Tracking::On);
        let mut frames = Vec::new();
        if reset {
            frames.extend(frames_of(&[Command::ResetConnection as u8], 0));
        }
        if track {
            frames.extend(query_frames(self.tracking_statement().as_bytes(), self.capabilities));
        }
        if let Some(schema) = &schema {
            let payload = [&[Command::InitDb as u8], schema.as_bytes()].concat();
            frames.extend(frames_of(&payload, 0));
        }
        set.iter().for_each(|statement| frames.extend(query_frames(statement.as_bytes(), self.capabilities)));
        if frames.is_empty() {
            return Ok(());
        }
        self.connection.write_all(&frames).await.map_err(FitError::Lost)?;
        if reset {
            self.was_reset(buffers).await?;
        }
        if track {
            self.was_told_to_track(buffers).await?;
        }
        self.was_set(schema, set.len(), wanted, buffers).await
    }

    async fn was_reset(&mut self, buffers: &BufferPool) -> Result<(), FitError> {
        if let Some(error) = self.verdict(buffers).await? {
            // What was sent behind it met the state that it should have ended.
            return Err(FitError::Lost(io::Error::other(error)));
        }
        self.settings = self.settings.after_reset();
        self.statements.clear();
        self.half_set = false;
        if self.tracking == Tracking::On {
            self.tracking = Tracking::Due;
        }
        Ok(())
    }

    async fn was_told_to_track(&mut self, buffers: &BufferPool) -> Result<(), FitError> {
        let refused = self.verdict(buffers).await?;
        self.tracking = if refused.is_none() { Tracking::On } else { Tracking::Off };
        if let Some(error) = refused {
            tracing::warn!(server = %self.server().hostname, %error, "no session tracking");
        }
        Ok(())
    }

    /// The answers to schema and variables: all are taken, the first refusal is reported.
    async fn was_set(
        &mut self,
        schema: Option<Box<str>>,
        sets: usize,
        wanted: &Settings,
        buffers: &BufferPool,
    ) -> Result<(), FitError> {
        let mut refused = None;
        if let Some(schema) = schema {
            refused = self.verdict(buffers).await?;
            if refused.is_none() {
                self.settings.schema = schema;
            }
        }
        for _ in 0..sets {
            refused = refused.or(self.verdict(buffers).await?);
        }
        if let Some(error) = refused {
            // What has been set is not worked out: the next user starts from a reset.
            self.half_set |= sets > 0;
            return Err(FitError::Refused(error));
        }
        let schema = std::mem::take(&mut self.settings.schema);
        self.settings.clone_from(wanted);
        if wanted.schema.is_empty() {
            self.settings.schema = schema;
        }
        Ok(())
    }

    /// Switches on what the server can tell of a session's changes.
    fn tracking_statement(&self) -> &'static str {
        match self.is_mariadb {
            true => {
                "SET SESSION session_track_system_variables='*', session_track_schema=ON, \
                 session_track_state_change=ON, session_track_transaction_info='CHARACTERISTICS'"
            }
            false => {
                "SET SESSION session_track_system_variables='*', session_track_schema=ON, \
                 session_track_state_change=ON, session_track_transaction_info='CHARACTERISTICS', \
                 session_track_gtids='OWN_GTID'"
            }
        }
    }

    /// COM_RESET_CONNECTION: rolls back, and forgets all that a session has left, but not the schema.
    pub async fn reset(&mut self, buffers: &BufferPool) -> Result<(), FitError> {
        let frames = frames_of(&[Command::ResetConnection as u8], 0);
        self.connection.write_all(&frames).await.map_err(FitError::Lost)?;
        self.was_reset(buffers).await
    }

    /// COM_PING.
    pub async fn ping(&mut self, buffers: &BufferPool) -> Result<(), FitError> {
        self.simple(&[Command::Ping as u8], buffers).await
    }

    /// A command that is answered with OK or ERR.
    async fn simple(&mut self, payload: &[u8], buffers: &BufferPool) -> Result<(), FitError> {
        self.connection.write_all(&frames_of(payload, 0)).await.map_err(FitError::Lost)?;
        self.verdict(buffers).await?.map_or(Ok(()), |error| Err(FitError::Refused(error)))
    }

    /// The answer to such a command: the error, if it is one.
    async fn verdict(&mut self, buffers: &BufferPool) -> Result<Option<ErrPacket>, FitError> {
        let answer = self.answer(Expect::Simple, buffers).await.map_err(FitError::Lost)?;
        Ok(answer.0.error)
    }

    /// Runs a query of the proxy's own; rows as text, NULL as `None`.
    ///
    /// # Errors
    /// The server's error, or the stream's. Answers over 8 MiB are an error: they are not ours to hold.
    pub async fn query(
        &mut self,
        sql: &str,
        buffers: &BufferPool,
    ) -> Result<Vec<Vec<Option<String>>>, FitError> {
        self.query_table(sql, buffers).await.map(|table| table.rows)
    }

    /// The same, with the names of the columns.
    pub async fn query_table(&mut self, sql: &str, buffers: &BufferPool) -> Result<Table, FitError> {
        let frames = query_frames(sql.as_bytes(), self.capabilities);
        self.connection.write_all(&frames).await.map_err(FitError::Lost)?;
        let (outcome, bytes) = self.answer(Expect::Results, buffers).await.map_err(FitError::Lost)?;
        match outcome.error {
            Some(error) => Err(FitError::Refused(error)),
            None => table_of(&bytes, self.capabilities).map_err(FitError::Lost),
        }
    }

    /// Sends a command and takes its whole answer, raw.
    pub async fn exchange(
        &mut self,
        frames: &[u8],
        expect: Expect,
        buffers: &BufferPool,
    ) -> io::Result<(Outcome, Vec<u8>)> {
        self.connection.write_all(frames).await?;
        self.answer(expect, buffers).await
    }

    /// Takes the whole answer to a command of the proxy's own, raw.
    async fn answer(&mut self, expect: Expect, buffers: &BufferPool) -> io::Result<(Outcome, Vec<u8>)> {
        let mut tracker = ResponseTracker::new(expect, self.capabilities);
        let mut answer = Vec::new();
        loop {
            // The answer to an earlier command may have brought some of this one.
            if self.connection.input.is_empty() && self.connection.fill(0, buffers).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let input = &mut self.connection.input;
            let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
            let scan = tracker.scan(input.filled()).map_err(invalid)?;
            answer.extend_from_slice(&input.filled()[..scan.consumed]);
            input.consume(scan.consumed);
            input.release(buffers);
            if answer.len() > OWN_ANSWER {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is too long"));
            }
            if let Some(outcome) = scan.done {
                return Ok((outcome, answer));
            }
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.counters.open.set(self.counters.open.get() - 1);
    }
}

impl From<FitError> for io::Error {
    fn from(error: FitError) -> io::Error {
        match error {
            FitError::Lost(error) => error,
            FitError::Refused(packet) => io::Error::other(packet),
        }
    }
}

async fn connect(server: &Server) -> io::Result<Stream> {
    if server.port == 0 {
        return Ok(Stream::Unix(UnixStream::connect(&*server.hostname).await?));
    }
    Ok(Stream::Tcp(TcpStream::connect((&*server.hostname, server.port)).await?))
}

async fn log_in(
    connection: &mut Connection,
    account: &Account<'_>,
    server: &Server,
    buffers: &BufferPool,
) -> Result<proxyd_wire::client::Connected, ConnectError> {
    let mut capabilities = Capabilities::LONG_PASSWORD
        | Capabilities::LONG_FLAG
        | Capabilities::TRANSACTIONS
        | Capabilities::MULTI_RESULTS
        | Capabilities::PS_MULTI_RESULTS
        | Capabilities::SESSION_TRACK
        | Capabilities::DEPRECATE_EOF;
    capabilities.set(Capabilities::FOUND_ROWS, account.traits.found_rows);
    capabilities.set(Capabilities::IGNORE_SPACE, account.traits.ignore_space);
    capabilities.set(Capabilities::MULTI_STATEMENTS, account.traits.multi_statements);
    capabilities.set(Capabilities::LOCAL_FILES, account.traits.local_files);
    capabilities.set(Capabilities::QUERY_ATTRIBUTES, account.traits.attributes);
    if let Some(exactly) = account.exactly {
        // What the login itself needs is the login's own.
        let of_a_login = Capabilities::CONNECT_WITH_DB
            | Capabilities::CONNECT_ATTRS
            | Capabilities::SSL
            | Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA;
        capabilities = exactly.capabilities.difference(of_a_login);
    }
    let mut login = Login::new(Config {
        user: account.user.to_owned(),
        secret: account.secret.clone(),
        database: None,
        collation: account.collation as u8,
        tls: account
            .tls
            .map_or(Tls::Disabled, |tls| if tls.required { Tls::Required } else { Tls::Preferred }),
        capabilities,
        max_packet: 0x4000_0000,
        attributes: account.exactly.map_or_else(own_attributes, |exactly| exactly.own_attributes()),
        // What passes untouched passes without commands to tell apart.
        compress: account.compress && account.exactly.is_none(),
    });
    let mut packets = Packets::new(connection, buffers, LOGIN_PACKET);
    let first = packets.receive().await?;
    let mut step = login.on(&first)?;
    loop {
        step = match step {
            Step::Send(payload) => {
                packets.send(&payload).await?;
                login.on(&packets.receive().await?)?
            }
            Step::Wait => login.on(&packets.receive().await?)?,
            Step::SendThenTls(payload) => {
                packets.send(&payload).await?;
                let connector = account.tls.ok_or(LoginError::TlsNotOffered)?;
                let started = packets.connection.connect_tls(&connector.tls, server_name(server)?).await;
                started.map_err(|error| ConnectError::Tls(error.to_string()))?;
                login.tls_started()?
            }
            Step::NeedRsaEncrypt { pem, plain } => {
                let sealed = rsa_encrypt(pem.as_bytes(), &plain).ok_or(LoginError::NoPublicKey)?;
                login.encrypted(sealed)?
            }
            Step::Connected(connected) => {
                packets.connection.input.release(buffers);
                return Ok(connected);
            }
        };
    }
}

/// What a server's `session_connect_attrs` shows of a connection that serves whoever comes.
fn own_attributes() -> Vec<(String, String)> {
    let pid = std::process::id().to_string();
    let pairs = [
        ("_client_name", "standfast"),
        ("_client_version", env!("CARGO_PKG_VERSION")),
        ("_pid", pid.as_str()),
        ("program_name", "standfast"),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

fn server_name(server: &Server) -> io::Result<rustls::pki_types::ServerName<'static>> {
    rustls::pki_types::ServerName::try_from(server.hostname.to_string())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}

/// A result set of this proxy's own statements, held whole: it is small.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Option<String>>>,
}

/// A text result set, from its frames; empty for an OK.
fn table_of(mut bytes: &[u8], capabilities: Capabilities) -> io::Result<Table> {
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, "not a result set");
    let mut collector = AnswerCollector::new(capabilities, OWN_ANSWER);
    while let Ok(Located::Complete { framed, .. }) = frame::locate(bytes, OWN_ANSWER) {
        let (packet, rest) = bytes.split_at(framed);
        bytes = rest;
        match collector.on(&frame::payload(packet)).map_err(|_| invalid())? {
            None => {}
            Some(Answer::Ok(_)) => return Ok(Table::default()),
            Some(Answer::Err(error)) => return Err(io::Error::other(error)),
            Some(Answer::Rows { columns, rows }) => {
                let text = |value: Vec<u8>| String::from_utf8_lossy(&value).into_owned();
                let row = |row: Vec<Option<Vec<u8>>>| row.into_iter().map(|value| value.map(text)).collect();
                return Ok(Table {
                    columns: columns.into_iter().map(|column| column.name).collect(),
                    rows: rows.into_iter().map(row).collect(),
                });
            }
        }
    }
    Err(invalid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_the_account_can_mend_is_not_held_against_the_server() {
        let refused = |code| {
            let packet = ErrPacket::new(code, b"HY000", "");
            ConnectError::from(LoginError::Refused(packet)).is_the_accounts()
        };
        assert!(refused(1045) && refused(1049));
        assert!(!refused(1040) && !refused(1129));
        assert!(ConnectError::Login(LoginError::PasswordUnknown("caching_sha2_password")).is_the_accounts());
        assert!(ConnectError::Login(LoginError::Plugin("auth_socket".into())).is_the_accounts());
        assert!(!ConnectError::Login(LoginError::TlsNotOffered).is_the_accounts());
        assert!(!ConnectError::Timeout(Duration::from_secs(1)).is_the_accounts());
    }
}
