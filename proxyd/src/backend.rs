//! One connection to a backend: connect, log in, make it fit a session, and the few statements the proxy runs itself.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proxyd_wire::auth::Secret;
use proxyd_wire::client::{Config, Login, LoginError, Step, Tls};
use proxyd_wire::response::tracker::{Expect, ResponseTracker};
use proxyd_wire::response::{ColumnDefinition, Outcome, parse_text_row};
use proxyd_wire::{Capabilities, Command, ErrPacket};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use crate::counters::ServerCounters;
use crate::net::{BufferPool, Connection, Packets, Stream};
use crate::reply::{frames_of, query_frames};
use crate::session::record::BackendPlace;
use crate::session::settings::{Charset, Difference, Settings};
use crate::snapshot::{Reservation, Server};
use crate::tls::rsa_encrypt;

/// No packet of a login is longer than this.
const LOGIN_PACKET: usize = 64 * 1024;
/// An answer to a statement of the proxy's own is no longer than this.
const OWN_ANSWER: usize = 4 << 20;
/// First TCP keep-alive probe on a silent backend connection.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// The capabilities of a client that change what a backend does, so that connections with other ones do not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traits {
    pub found_rows: bool,
    pub ignore_space: bool,
    pub multi_statements: bool,
}

/// Who logs in at a backend, and how.
pub struct Account<'a> {
    pub user: &'a str,
    pub secret: &'a Secret,
    pub traits: Traits,
    pub collation: u16,
    /// Set for `use_ssl=1`.
    pub tls: Option<&'a TlsConnector>,
}

/// A connection that is logged in, and what is known of its session.
#[derive(Debug)]
pub struct Backend {
    pub connection: Connection,
    pub thread_id: u32,
    pub capabilities: Capabilities,
    pub traits: Traits,
    pub settings: Settings,
    pub opened: Instant,
    pub counters: Rc<ServerCounters>,
    /// Where it leads, for the process list.
    pub place: Rc<BackendPlace>,
    user: Box<str>,
    reservation: Reservation,
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
        let connected = log_in(&mut connection, &account, reservation.server(), buffers).await?;
        let local = connection.local_addr();
        counters.stats.borrow_mut().conn_ok += 1;
        counters.open.set(counters.open.get() + 1);
        Ok(Backend {
            connection,
            thread_id: connected.thread_id,
            capabilities: connected.capabilities,
            traits: account.traits,
            settings: Settings::new("", Charset::Id(account.collation)),
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

    pub fn user(&self) -> &str {
        &self.user
    }

    /// True while the server has sent nothing: neither an answer left over nor a good-bye.
    pub fn is_quiet(&self) -> bool {
        self.connection.input.is_empty() && self.connection.is_quiet()
    }

    /// Brings the session of this connection to `wanted`: schema, character set, variables, only what differs.
    pub async fn fit(&mut self, wanted: &Settings, buffers: &BufferPool) -> Result<(), FitError> {
        let (schema, set) = match self.settings.difference(wanted) {
            Difference::None => return Ok(()),
            Difference::Replay { schema, set } => (schema, set),
            Difference::Reset => {
                self.reset(buffers).await?;
                match self.settings.difference(wanted) {
                    Difference::Replay { schema, set } => (schema, set),
                    _ => return Ok(()),
                }
            }
        };
        if let Some(schema) = schema {
            let payload = [&[Command::InitDb as u8], schema.as_bytes()].concat();
            self.simple(&payload, buffers).await?;
            self.settings.schema = schema;
        }
        for statement in set {
            let payload = [&[Command::Query as u8], statement.as_bytes()].concat();
            if let Err(error) = self.simple(&payload, buffers).await {
                // Some of it may have been set: the next user starts from a reset.
                self.settings.charset = Charset::Unknown;
                return Err(error);
            }
        }
        self.settings = wanted.clone();
        Ok(())
    }

    /// COM_RESET_CONNECTION: rolls back, and forgets all that a session has left, but not the schema.
    pub async fn reset(&mut self, buffers: &BufferPool) -> Result<(), FitError> {
        self.simple(&[Command::ResetConnection as u8], buffers).await?;
        self.settings = self.settings.after_reset();
        Ok(())
    }

    /// COM_PING.
    pub async fn ping(&mut self, buffers: &BufferPool) -> Result<(), FitError> {
        self.simple(&[Command::Ping as u8], buffers).await
    }

    /// A command that is answered with OK or ERR.
    async fn simple(&mut self, payload: &[u8], buffers: &BufferPool) -> Result<(), FitError> {
        let outcome =
            self.exchange(&frames_of(payload, 0), Expect::Simple, buffers).await.map_err(FitError::Lost)?;
        outcome.0.error.map_or(Ok(()), |error| Err(FitError::Refused(error)))
    }

    /// Runs a query of the proxy's own; rows as text, NULL as `None`.
    ///
    /// # Errors
    /// The server's error, or the stream's. Answers over 4 MiB are an error: they are not ours to hold.
    pub async fn query(
        &mut self,
        sql: &str,
        buffers: &BufferPool,
    ) -> Result<Vec<Vec<Option<String>>>, FitError> {
        self.query_table(sql, buffers).await.map(|table| table.rows)
    }

    /// The same, with the names of the columns.
    pub async fn query_table(&mut self, sql: &str, buffers: &BufferPool) -> Result<Table, FitError> {
        let frames = query_frames(sql.as_bytes());
        let (outcome, bytes) =
            self.exchange(&frames, Expect::Results, buffers).await.map_err(FitError::Lost)?;
        match outcome.error {
            Some(error) => Err(FitError::Refused(error)),
            None => table_of(&bytes).map_err(FitError::Lost),
        }
    }

    /// Sends a command and takes its whole answer, raw.
    async fn exchange(
        &mut self,
        frames: &[u8],
        expect: Expect,
        buffers: &BufferPool,
    ) -> io::Result<(Outcome, Vec<u8>)> {
        self.connection.write_all(frames).await?;
        let mut tracker = ResponseTracker::new(expect, self.capabilities);
        let mut answer = Vec::new();
        loop {
            if self.connection.fill(0, buffers).await? == 0 {
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
        | Capabilities::PS_MULTI_RESULTS;
    capabilities.set(Capabilities::FOUND_ROWS, account.traits.found_rows);
    capabilities.set(Capabilities::IGNORE_SPACE, account.traits.ignore_space);
    capabilities.set(Capabilities::MULTI_STATEMENTS, account.traits.multi_statements);
    let mut login = Login::new(Config {
        user: account.user.to_owned(),
        secret: account.secret.clone(),
        database: None,
        collation: account.collation as u8,
        tls: if account.tls.is_some() { Tls::Preferred } else { Tls::Disabled },
        capabilities,
        max_packet: 0x4000_0000,
        attributes: vec![("program_name".to_owned(), "standfast".to_owned())],
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
                packets.connection.connect_tls(connector, server_name(server)?).await?;
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

/// A text result set: column count, definitions, EOF, rows, EOF.
fn table_of(mut bytes: &[u8]) -> io::Result<Table> {
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, "not a result set");
    let mut next = || {
        let Ok(proxyd_wire::frame::Located::Complete { framed, .. }) =
            proxyd_wire::frame::locate(bytes, OWN_ANSWER)
        else {
            return None;
        };
        let (packet, rest) = bytes.split_at(framed);
        bytes = rest;
        Some(proxyd_wire::frame::payload(packet))
    };
    let first = next().ok_or_else(invalid)?;
    let columns = match first.first() {
        Some(0) | None => return Ok(Table::default()),
        Some(&count) => usize::from(count),
    };
    let mut names = Vec::with_capacity(columns);
    for _ in 0..columns {
        let definition = next().ok_or_else(invalid)?;
        names.push(ColumnDefinition::parse(&definition).map_err(|_| invalid())?.name);
    }
    // The EOF after them.
    next().ok_or_else(invalid)?;
    let mut rows = Vec::new();
    while let Some(packet) = next() {
        if packet.first() == Some(&0xfe) && packet.len() < 9 {
            return Ok(Table { columns: names, rows });
        }
        let row = parse_text_row(&packet, columns).map_err(|_| invalid())?;
        let text = |value: Option<&[u8]>| value.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        rows.push(row.into_iter().map(text).collect());
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
