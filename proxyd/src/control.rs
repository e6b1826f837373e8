//! What crosses between the control thread and the workers. Nothing here is on the way of a query.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::{mpsc, oneshot};

use crate::digests::DigestRow;
use crate::errors::{ErrorKey, ErrorStats};
use crate::executed::News;
use crate::runtime::Address;
use crate::snapshot::Server;
use crate::stats::{FreeRow, ProcessRow, StatementRow, WorkerStats};
use crate::warmth::{Profile, Wish};

/// Asked of a worker by the control thread, or by a sibling (`ReleaseIdle`).
#[derive(Debug)]
pub enum WorkerCommand {
    Stats(oneshot::Sender<WorkerStats>),
    Processlist(oneshot::Sender<Vec<ProcessRow>>),
    FreeConnections(oneshot::Sender<Vec<FreeRow>>),
    /// What clients have prepared.
    Statements(oneshot::Sender<Vec<StatementRow>>),
    /// Another worker's client has changed a schema.
    SchemaChanged,
    /// What ran, by digest; with `reset`, counted from zero afterwards.
    Digests {
        reset: bool,
        reply: oneshot::Sender<Vec<DigestRow>>,
    },
    /// Which errors the servers gave; with `reset`, forgotten afterwards.
    Errors {
        reset: bool,
        reply: oneshot::Sender<HashMap<ErrorKey, ErrorStats>>,
    },
    /// `KILL [CONNECTION|QUERY] id`; the answer is whether this worker has that session. With an owner, only if the
    /// session is that user's.
    Kill {
        session: u32,
        query_only: bool,
        owner: Option<Box<str>>,
        reply: oneshot::Sender<bool>,
    },
    /// Close one idle connection to this server: a sibling needs its place under `max_connections`.
    ReleaseIdle(Arc<Server>),
    /// A new snapshot was published: close pooled connections it no longer wants.
    SnapshotChanged,
    /// What a server has executed. At most one in a millisecond for each server.
    Executed(Arc<(Address, News)>),
    /// Open these connections in advance, then say how many there are.
    Fill {
        wishes: Vec<Wish>,
        done: oneshot::Sender<usize>,
    },
    /// For whom how many connections are open.
    Profiles(oneshot::Sender<Vec<(Profile, u32)>>),
    /// `PROXYSQL FLUSH QUERY CACHE`.
    FlushQueryCache,
    /// `PROXYSQL PAUSE` (true): leave new clients in the listeners' queues until `RESUME` (false).
    Pause(bool),
    /// `PROXYSQL STOP`: as `Pause(true)`, and end all sessions.
    Stop,
    /// Finish what runs, refuse new sessions, then report.
    Drain(oneshot::Sender<()>),
}

/// Where a worker takes its commands. Unbounded: senders are the admin's own statements and siblings at a limit.
#[derive(Debug, Clone)]
pub struct WorkerHandle {
    pub index: usize,
    pub commands: mpsc::UnboundedSender<WorkerCommand>,
    /// For whoever asks when it has no time to answer.
    pub last_report: Arc<Mutex<WorkerStats>>,
}

impl WorkerHandle {
    pub fn new(index: usize, commands: mpsc::UnboundedSender<WorkerCommand>) -> WorkerHandle {
        WorkerHandle { index, commands, last_report: Arc::default() }
    }
}

/// Told to the control thread by a worker. The queue is bounded; a full one drops the event (another will follow).
#[derive(Debug)]
pub enum WorkerEvent {
    /// A connect or login failed with a code that counts for `mysql-shun_on_failures`.
    ConnectFailed { server: Arc<Server>, code: u16, text: String },
    /// A backend answered that it may not do what was asked (1290, 1836), is not ready (1047) or is shutting down (1053): check its
    /// role at once.
    ServesNot { server: Arc<Server> },
    /// A client of this user asked `KILL [QUERY|CONNECTION] id` of a session this worker does not have.
    Kill { session: u32, query_only: bool, user: Box<str> },
    /// End this statement at the server: `KILL QUERY thread_id` on a connection of its own.
    KillBackend { server: Arc<Server>, user: Box<str>, thread_id: u32, query_only: bool },
}
