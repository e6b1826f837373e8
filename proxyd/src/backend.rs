//! One connection to a backend: opened (`login.rs`), made to fit a session, and the few statements the proxy runs itself.

mod login;

use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proxyd_wire::compression::Algorithm;
use proxyd_wire::frame::{self, Located};
use proxyd_wire::response::tracker::{Expect, ResponseTracker};
use proxyd_wire::response::{Answer, AnswerCollector, Outcome};
use proxyd_wire::{Capabilities, Command, ErrPacket};

pub use login::{Account, ConnectAttributes, ConnectError, Exactly};

use crate::counters::ServerCounters;
use crate::net::{BufferPool, Connection, Role};
use crate::reply::{frames_of, query_frames};
use crate::session::prepared::Handles;
use crate::session::record::BackendPlace;
use crate::session::settings::{Charset, Difference, Settings};
use crate::snapshot::{Reservation, Server};
use crate::warmth::Profile;

/// An answer to a statement of the proxy's own is no longer than this.
const OWN_ANSWER: usize = 8 << 20;
/// First TCP keep-alive probe on a silent backend connection.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// A connection that rested for less is taken again without a look at its socket.
const A_MOMENT: Duration = Duration::from_millis(10);

/// The capabilities of a client that change what a backend does, so that connections with other ones do not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
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
    /// What it counts as, where the like of it is worth opening before it is asked for.
    pub profile: Option<Rc<Profile>>,
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
        let stream = login::connect(reservation.server()).await?;
        let mut connection = Connection::new(stream);
        connection.keepalive(KEEPALIVE);
        if !account.preface.is_empty() {
            connection.write_all(account.preface).await?;
        }
        let connected = login::log_in(&mut connection, &account, reservation.server(), buffers).await?;
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
            profile: None,
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
        if self.fits(wanted) { Ok(()) } else { Box::pin(self.replay(wanted, buffers)).await }
    }

    /// Whether [`Backend::fit`] has nothing to do.
    pub fn fits(&self, wanted: &Settings) -> bool {
        !self.half_set && self.tracking != Tracking::Due && self.settings == *wanted
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
