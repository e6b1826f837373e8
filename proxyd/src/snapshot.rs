//! What the workers route by: an immutable picture of the runtime configuration, swapped whole.
//!
//! The control thread builds one on `LOAD … TO RUNTIME`, on a monitor's decision and on a shun; workers read it
//! through an atomic pointer and never change it. What must outlive a swap (how many connections a server has) sits
//! in [`Server`], shared by every snapshot that names the same server.

use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hashbrown::HashMap;
use proxyd_wire::auth::Secret;

use crate::route::{Firewall, RuleSet};
use crate::runtime::{HostgroupSettings, ServersDefaults};
use crate::users::Users;
use crate::variables::Variables;

pub type HostgroupId = u32;

/// The runtime configuration.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Grows by one with each swap.
    pub generation: u64,
    pub hostgroups: HashMap<HostgroupId, Hostgroup>,
    pub users: Arc<Users>,
    /// Shared: a change of a server's status does not copy them.
    pub rules: Arc<RuleSet>,
    pub firewall: Arc<Firewall>,
    pub variables: Variables,
}

/// A worker's hold on the snapshot: cloned once a statement, without touching a counter that other workers share.
#[derive(Debug, Clone)]
pub struct View(Rc<Shared>);

#[derive(Debug)]
struct Shared(Arc<Snapshot>);

impl From<Arc<Snapshot>> for View {
    fn from(snapshot: Arc<Snapshot>) -> View {
        View(Rc::new(Shared(snapshot)))
    }
}

impl Deref for View {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.0.0
    }
}

/// The servers of one hostgroup, in the order of `runtime_mysql_servers`.
#[derive(Debug, Default, Clone)]
pub struct Hostgroup {
    pub members: Vec<Member>,
    pub attributes: HostgroupAttributes,
}

/// The columns of `mysql_hostgroup_attributes` that act. `None`: the variable of that name holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostgroupAttributes {
    /// With more ONLINE servers than this the hostgroup serves nobody.
    pub max_num_online_servers: u32,
    pub free_connections_pct: Option<u32>,
    pub connection_warming: Option<bool>,
    pub init_connect: Option<Box<str>>,
    pub multiplex: bool,
    pub throttle_connections_per_sec: Option<u32>,
    pub settings: HostgroupSettings,
    pub servers_defaults: ServersDefaults,
}

/// Whether servers are told by a PROXY header who the client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProxyProtocol {
    #[default]
    Off,
    V1,
    V2,
}

impl Default for HostgroupAttributes {
    fn default() -> HostgroupAttributes {
        HostgroupAttributes {
            max_num_online_servers: 1_000_000,
            free_connections_pct: None,
            connection_warming: None,
            init_connect: None,
            multiplex: true,
            throttle_connections_per_sec: None,
            settings: HostgroupSettings::default(),
            servers_defaults: ServersDefaults::default(),
        }
    }
}

/// Whether this very server is one of them.
pub fn is_among(server: &Arc<Server>, servers: &[Arc<Server>]) -> bool {
    servers.iter().any(|known| Arc::ptr_eq(known, server))
}

impl Hostgroup {
    /// The member that this server is.
    pub fn member(&self, server: &Arc<Server>) -> Option<&Member> {
        self.members.iter().find(|member| Arc::ptr_eq(&member.server, server))
    }

    /// The number of ONLINE servers is beyond what this hostgroup may have.
    pub fn has_too_many_online(&self) -> bool {
        let online = self.members.iter().filter(|member| member.status == Status::Online).count();
        online > self.attributes.max_num_online_servers as usize
    }
}

/// One server as a member of one hostgroup, with what the configuration and the monitors say of it now.
#[derive(Debug, Clone)]
pub struct Member {
    pub server: Arc<Server>,
    pub status: Status,
    /// Already clamped to ProxySQL's 0..=10_000_000.
    pub weight: u32,
    pub max_connections: u32,
    pub use_ssl: bool,
    pub compression: bool,
    /// It answers no pings: nothing is to be expected on its open connections either.
    pub is_silent: bool,
    /// Why the status is not ONLINE, for error 9001 and logs; empty otherwise.
    pub reason: Box<str>,
}

impl Member {
    /// Its open connections are no good any more.
    pub fn is_lost(&self) -> bool {
        self.status == Status::OfflineHard || self.is_silent
    }

    /// All of `max_connections` are taken.
    pub fn is_full(&self) -> bool {
        self.server.connections() >= self.max_connections
    }
}

/// `mysql_servers.status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Online,
    Shunned,
    OfflineSoft,
    OfflineHard,
}

impl Status {
    /// The word of the admin tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Online => "ONLINE",
            Status::Shunned => "SHUNNED",
            Status::OfflineSoft => "OFFLINE_SOFT",
            Status::OfflineHard => "OFFLINE_HARD",
        }
    }
}

/// The identity of a server in a hostgroup; lives across snapshots.
#[derive(Debug)]
pub struct Server {
    pub hostgroup: HostgroupId,
    pub hostname: Box<str>,
    /// 0 means `hostname` is the path of a Unix socket.
    pub port: u16,
    /// Connections open or being opened, over all workers. Taken before a connect, so that `max_connections` holds.
    connections: AtomicU32,
    /// The most that there ever were.
    peak: AtomicU32,
}

impl Server {
    pub fn new(hostgroup: HostgroupId, hostname: &str, port: u16) -> Server {
        Server {
            hostgroup,
            hostname: hostname.into(),
            port,
            connections: AtomicU32::new(0),
            peak: AtomicU32::new(0),
        }
    }

    /// Takes the right to one connection, or says no.
    pub fn reserve(self: &Arc<Self>, max: u32) -> Option<Reservation> {
        let taken = self
            .connections
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| (n < max).then_some(n + 1));
        taken.ok().map(|before| {
            self.peak.fetch_max(before + 1, Ordering::Relaxed);
            Reservation(self.clone())
        })
    }

    /// The most connections that there ever were at once.
    pub fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed).into()
    }

    pub fn connections(&self) -> u32 {
        self.connections.load(Ordering::Relaxed)
    }
}

/// The right to one open connection to a server; given back on drop.
#[derive(Debug)]
pub struct Reservation(Arc<Server>);

impl Reservation {
    pub fn server(&self) -> &Arc<Server> {
        &self.0
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A transaction isolation level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    ReadUncommitted,
    ReadCommitted,
    RepeatableRead,
    Serializable,
}

impl Isolation {
    /// From SQL's words, in any case; a dash may stand for the blank.
    pub fn parse(words: &str) -> Option<Isolation> {
        match words.to_ascii_uppercase().replace('-', " ").as_str() {
            "READ UNCOMMITTED" => Some(Isolation::ReadUncommitted),
            "READ COMMITTED" => Some(Isolation::ReadCommitted),
            "REPEATABLE READ" => Some(Isolation::RepeatableRead),
            "SERIALIZABLE" => Some(Isolation::Serializable),
            _ => None,
        }
    }

    /// The statement that sets it.
    pub fn statement(self) -> &'static str {
        match self {
            Isolation::ReadUncommitted => "SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED",
            Isolation::ReadCommitted => "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
            Isolation::RepeatableRead => "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
            Isolation::Serializable => "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        }
    }
}

/// A row of `runtime_mysql_users`.
#[derive(Debug, Clone)]
pub struct User {
    pub credential: Credential,
    /// Of the row for backends, where that is another row (`frontend=0`).
    pub backend_credential: Option<Credential>,
    pub default_hostgroup: HostgroupId,
    /// Empty: `mysql-default_schema`.
    pub default_schema: Box<str>,
    pub transaction_persistent: bool,
    /// No other schema than the default one.
    pub schema_locked: bool,
    /// Bytes pass untouched after the login.
    pub fast_forward: bool,
    /// `default-transaction_isolation` of `attributes`: what a session begins with.
    pub isolation: Option<Isolation>,
    /// `spiffe_id` of `attributes`: the URI that the client's certificate must name.
    pub spiffe_id: Option<Box<str>>,
    pub use_ssl: bool,
    pub max_connections: u32,
}

impl User {
    /// What logs in at backends, if the user has a row of its own for that.
    pub fn backend_secret(&self) -> Option<Secret> {
        match self.backend_credential.as_ref()? {
            Credential::Clear(password) => Some(Secret::Password(password.to_string())),
            // A hash logs in nowhere.
            Credential::Native(_) | Credential::Sha2(_) => None,
        }
    }
}

/// What is stored for a user: enough to check a client, and enough to log in at a backend when it is clear text.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    Clear(Box<str>),
    /// `*HEX`: SHA1(SHA1(password)).
    Native([u8; 20]),
    /// `$A$…`: a caching_sha2_password hash string; such a user needs one full authentication.
    Sha2(Box<str>),
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Credential::Clear(_) => "Clear(hidden)",
            Credential::Native(_) => "Native(hidden)",
            Credential::Sha2(_) => "Sha2(hidden)",
        })
    }
}
