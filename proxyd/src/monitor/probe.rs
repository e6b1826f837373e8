//! The checks themselves, with their sockets: everything ends in its time-out, with a result or a [`Fault`].
//!
//! All but the connect check share one connection that is kept; the connect check opens one of its own each time.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proxyd_wire::ErrPacket;
use proxyd_wire::auth::Secret;
use proxyd_wire::client::LoginError;
use tokio::time::timeout;

use super::aurora;
use super::decide::{Fault, read_only_value};
use super::galera::{self, GaleraStatus};
use super::group_replication::{GroupStatus, Source};
use super::lag::{self, Form};
use crate::backend::{Account, Backend, ConnectError, FitError, Table};
use crate::counters::ServerCounters;
use crate::net::BufferPool;
use crate::runtime::{Address, AuroraServer, Lag};
use crate::snapshot::Server;
use crate::tls::BackendTls;

/// Server shutdown in progress: an answer, but not one of a server that serves.
const ER_SERVER_SHUTDOWN: u16 = 1053;
const ER_PARSE_ERROR: u16 = 1064;
const ER_BAD_FIELD: u16 = 1054;
const ER_NO_SUCH_TABLE: u16 = 1146;

/// Who the monitors log in as.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub user: String,
    pub password: String,
}

/// Asks one server.
pub struct Prober {
    /// An identity of its own: the monitors' connections do not count against `max_connections`.
    server: Arc<Server>,
    tls: Option<BackendTls>,
    buffers: BufferPool,
    /// The connection that is kept, and who is logged in on it.
    kept: Option<(Backend, Credentials)>,
    /// The form of the replica status that this server understood last.
    lag_form: Form,
    /// The source about its group that this server had last.
    group_source: Source,
}

impl Prober {
    pub fn new(address: &Address, tls: Option<BackendTls>) -> Prober {
        let server = Arc::new(Server::new(0, &address.hostname, address.port));
        Prober {
            server,
            tls,
            buffers: BufferPool::default(),
            kept: None,
            lag_form: Form::default(),
            group_source: Source::default(),
        }
    }

    /// Connects, logs in and leaves.
    pub async fn connect(&mut self, credentials: &Credentials, limit: Duration) -> Result<(), Fault> {
        let opened = timeout(limit, self.open(credentials)).await.map_err(|_| Fault::Timeout(limit))?;
        opened?.connection.shutdown().await;
        Ok(())
    }

    /// The round trip of a COM_PING, without the connect that may precede it.
    pub async fn ping(&mut self, credentials: &Credentials, limit: Duration) -> Result<Duration, Fault> {
        let exchange = async {
            let mut backend = self.take(credentials).await?;
            let begin = Instant::now();
            backend.ping(&self.buffers).await.map_err(fault_of_exchange)?;
            let round_trip = begin.elapsed();
            self.kept = Some((backend, credentials.clone()));
            Ok(round_trip)
        };
        timeout(limit, exchange).await.map_err(|_| Fault::Timeout(limit))?
    }

    /// Runs a statement of [`super::decide::read_only_query`].
    pub async fn read_only(
        &mut self,
        sql: &str,
        credentials: &Credentials,
        limit: Duration,
    ) -> Result<bool, Fault> {
        let exchange = async {
            let table = self.ask(sql, credentials).await?.map_err(fault_of_refusal)?;
            let value = table.rows.first().and_then(|row| row.first()).and_then(Option::as_deref);
            let text = || Fault::Answered(format!("{value:?} is no value of read_only"));
            value.and_then(read_only_value).ok_or_else(text)
        };
        timeout(limit, exchange).await.map_err(|_| Fault::Timeout(limit))?
    }

    /// How far the server is behind: by the heartbeat statement if there is one, else by its replica status.
    pub async fn replication_lag(
        &mut self,
        heartbeat: Option<&str>,
        credentials: &Credentials,
        limit: Duration,
    ) -> Result<Lag, Fault> {
        let exchange = async {
            let lag = match heartbeat {
                Some(sql) => lag::of_heartbeat(&self.ask(sql, credentials).await?.map_err(fault_of_refusal)?),
                None => lag::of_status(&self.replica_status(credentials).await?),
            };
            lag.ok_or_else(|| Fault::Answered("its answer has no replication lag".into()))
        };
        timeout(limit, exchange).await.map_err(|_| Fault::Timeout(limit))?
    }

    /// How a Galera node is. A kept connection that turns out to be broken says nothing yet: a new one does.
    pub async fn galera(
        &mut self,
        credentials: &Credentials,
        limit: Duration,
    ) -> Result<GaleraStatus, Fault> {
        let exchange = async {
            match self.galera_status(credentials).await {
                Err(Fault::Unreachable(_)) => self.galera_status(credentials).await,
                other => other,
            }
        };
        timeout(limit, exchange).await.map_err(|_| Fault::Timeout(limit))?
    }

    /// How a member of a replication group is; as with Galera.
    pub async fn group(&mut self, credentials: &Credentials, limit: Duration) -> Result<GroupStatus, Fault> {
        let exchange = async {
            match self.group_status(credentials).await {
                Err(Fault::Unreachable(_)) => self.group_status(credentials).await,
                other => other,
            }
        };
        timeout(limit, exchange).await.map_err(|_| Fault::Timeout(limit))?
    }

    /// What a server of an Aurora cluster says of all of them; as with Galera.
    pub async fn aurora(
        &mut self,
        credentials: &Credentials,
        limit: Duration,
    ) -> Result<Vec<AuroraServer>, Fault> {
        let exchange = async {
            let asked = match self.ask(aurora::STATUS, credentials).await {
                Err(Fault::Unreachable(_)) => self.ask(aurora::STATUS, credentials).await?,
                other => other?,
            };
            aurora::servers(&asked.map_err(fault_of_refusal)?).map_err(Fault::Answered)
        };
        timeout(limit, exchange).await.map_err(|_| Fault::Timeout(limit))?
    }

    async fn group_status(&mut self, credentials: &Credentials) -> Result<GroupStatus, Fault> {
        let mut source = self.group_source;
        let table = match self.ask(source.sql(), credentials).await? {
            Ok(table) => table,
            Err(packet) if matches!(packet.code, ER_BAD_FIELD | ER_NO_SUCH_TABLE) => {
                source = source.other();
                self.ask(source.sql(), credentials).await?.map_err(fault_of_refusal)?
            }
            Err(packet) => return Err(fault_of_refusal(packet)),
        };
        self.group_source = source;
        GroupStatus::read(source, &table).map_err(Fault::NoMember)
    }

    async fn galera_status(&mut self, credentials: &Credentials) -> Result<GaleraStatus, Fault> {
        let status = self.ask(galera::STATUS, credentials).await?.map_err(fault_of_refusal)?;
        let variables = self.ask(galera::VARIABLES, credentials).await?.map_err(fault_of_refusal)?;
        GaleraStatus::read(&status, &variables).map_err(Fault::NoMember)
    }

    async fn replica_status(&mut self, credentials: &Credentials) -> Result<Table, Fault> {
        match self.ask(self.lag_form.sql(), credentials).await? {
            Ok(table) => Ok(table),
            Err(packet) if packet.code == ER_PARSE_ERROR => {
                let other = self.lag_form.other();
                let table = self.ask(other.sql(), credentials).await?.map_err(fault_of_refusal)?;
                self.lag_form = other;
                Ok(table)
            }
            Err(packet) => Err(fault_of_refusal(packet)),
        }
    }

    /// Runs a statement on the kept connection. The inner error is the server's own: the connection is good.
    async fn ask(&mut self, sql: &str, credentials: &Credentials) -> Result<Result<Table, ErrPacket>, Fault> {
        let mut backend = self.take(credentials).await?;
        let answer = match backend.query_table(sql, &self.buffers).await {
            Ok(table) => Ok(table),
            Err(FitError::Refused(packet)) => Err(packet),
            Err(lost) => return Err(fault_of_exchange(lost)),
        };
        self.kept = Some((backend, credentials.clone()));
        Ok(answer)
    }

    /// The kept connection, if it still is one and for this user, else a new one. It is put back after a good exchange,
    /// so that one that failed or timed out in the middle is never used again.
    async fn take(&mut self, credentials: &Credentials) -> Result<Backend, Fault> {
        match self.kept.take() {
            Some((backend, user)) if user == *credentials && backend.is_quiet() => Ok(backend),
            _ => self.open(credentials).await,
        }
    }

    async fn open(&self, credentials: &Credentials) -> Result<Backend, Fault> {
        let refused = || Fault::Unreachable("no room for a monitor's connection".into());
        let reservation = self.server.reserve(u32::MAX).ok_or_else(refused)?;
        let secret = Secret::Password(credentials.password.clone());
        let Server { hostname, port, .. } = &*self.server;
        let connector = self.tls.as_ref().map(|tls| tls.connector(hostname, *port, &credentials.user));
        let connector =
            connector.transpose().map_err(|reason| Fault::Answered(format!("no TLS: {reason}")))?;
        let account = Account::plain(&credentials.user, &secret, connector.as_ref());
        let counters = ServerCounters::new(reservation.server());
        Backend::open(reservation, account, counters, &self.buffers).await.map_err(fault_of_connect)
    }
}

/// Whether a failed connect shows a server that lives.
fn fault_of_connect(error: ConnectError) -> Fault {
    let text = error.to_string();
    match error {
        ConnectError::Timeout(limit) => Fault::Timeout(limit),
        ConnectError::Io(error) if is_nobody(error.kind()) => Fault::Refused(text),
        ConnectError::Io(_) => Fault::Unreachable(text),
        ConnectError::Refused(packet) if packet.code == ER_SERVER_SHUTDOWN => Fault::Refused(text),
        ConnectError::Denied(_) | ConnectError::Refused(_) => Fault::Answered(text),
        ConnectError::Login(LoginError::Malformed(_) | LoginError::Greeting(_)) => Fault::Unreachable(text),
        ConnectError::Tls(_) | ConnectError::Login(_) => Fault::Answered(text),
    }
}

/// The kernel of a host that lives says that there is no server; or, for a Unix socket, its file is not there.
fn is_nobody(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound)
}

fn fault_of_exchange(error: FitError) -> Fault {
    match error {
        FitError::Refused(packet) => fault_of_refusal(packet),
        FitError::Lost(error) => Fault::Unreachable(format!("connection lost: {error}")),
    }
}

fn fault_of_refusal(packet: ErrPacket) -> Fault {
    match packet.code {
        ER_SERVER_SHUTDOWN => Fault::Refused(packet.to_string()),
        _ => Fault::Answered(packet.to_string()),
    }
}
