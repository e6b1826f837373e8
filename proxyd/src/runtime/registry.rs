//! [`Runtime`]: takes configuration and observations. Every server's status is worked out, and published, in [`members`]; what
//! concerns clusters is in [`follow`], what concerns pairs of hostgroups in [`pairs`].

mod follow;
mod members;
mod pairs;

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::aurora::{AuroraBook, AuroraServer};
use super::discovery::{Discovery, Peer};
use super::executed::ExecutedBook;
use super::lag::{Lag, LagBook};
use super::servers::{Address, ReadOnlyVerdicts, ReplicationHostgroup, ServerRow, ServersConfig};
use super::settings::Settings;
use super::shun::ShunBook;
use super::single_writer::Incumbents;
use super::topology::{ClusterKind, Limits, Sight, Topology};
use crate::control::WorkerHandle;
use crate::route::{Firewall, RuleSet};
use crate::snapshot::{HostgroupAttributes, HostgroupId, Server, Snapshot, Status, User};
use crate::stats::ServerKey;
use crate::tls::{ServerParams, WantedTls};
use crate::users::Users;
use crate::variables::Variables;

/// The control thread's shared handle; borrow it for one call, never across an await.
pub type SharedRuntime = Rc<RefCell<Runtime>>;

/// What a monitor found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerChange {
    /// The monitors' word on a server, for all its hostgroups; `Online` takes an earlier one back.
    Status { address: Address, status: Status, reason: String },
    /// The answer to the `check_type` of this writer hostgroup's pair. An unanswered check is no answer: send nothing.
    ReadOnly { writer_hostgroup: HostgroupId, address: Address, read_only: bool },
    /// Too many checks of `read_only` in a row without an answer, or nobody listens there. What it said last holds; only
    /// where there is to be a single writer, another that may write takes over.
    Unheard { writer_hostgroup: HostgroupId, address: Address },
    /// What a check of a cluster's node found, for the cluster of this writer hostgroup.
    Node { writer_hostgroup: HostgroupId, address: Address, sight: Sight },
    /// A member of the replication group of this writer hostgroup names itself and the others.
    Members { writer_hostgroup: HostgroupId, address: Address, own: Box<str>, peers: Vec<Peer> },
    /// What a server of the Aurora cluster of this writer hostgroup said of all; `None` when its check had no result.
    Aurora { writer_hostgroup: HostgroupId, address: Address, servers: Option<Rc<[AuroraServer]>> },
    /// The answer to a check of replication lag. An unanswered check is no answer: send nothing.
    Lag { address: Address, lag: Lag },
    /// A new connection was answered: whoever could not connect before may try again.
    Connected { address: Address },
    /// The round trip of the last ping.
    Latency { address: Address, micros: u64 },
}

/// A row of `runtime_mysql_servers`: the configured columns and the status that holds now.
#[derive(Debug, Clone)]
pub struct MemberState {
    pub row: ServerRow,
    pub server: Arc<Server>,
    pub status: Status,
    /// Why it is not ONLINE; empty otherwise.
    pub reason: String,
    /// No longer a place of this server; stays OFFLINE_HARD (or OFFLINE_SOFT, where the server still serves) until its connections are closed.
    pub removed: bool,
}

/// The runtime tables and everything that changes them.
#[derive(Debug)]
pub struct Runtime {
    started: Instant,
    config: ServersConfig,
    users: Arc<Users>,
    rules: Arc<RuleSet>,
    firewall: Arc<Firewall>,
    attributes: HashMap<HostgroupId, HostgroupAttributes>,
    tls_params: Vec<ServerParams>,
    settings: Settings,
    variables: Variables,
    read_only: ReadOnlyVerdicts,
    incumbents: Incumbents,
    monitor_status: HashMap<Address, (Status, String)>,
    latency: HashMap<Address, u64>,
    shuns: ShunBook,
    lags: LagBook,
    topology: Topology,
    aurora: AuroraBook,
    discovery: Discovery,
    pub(super) executed: ExecutedBook,
    members: Vec<MemberState>,
    /// Where in `members` the places of each server are, without those that it has left.
    places: HashMap<Address, Vec<usize>>,
    /// Hostgroups with a server that is ONLINE.
    online: HashSet<HostgroupId>,
    generation: u64,
    slot: Arc<ArcSwap<Snapshot>>,
    workers: Vec<WorkerHandle>,
}

impl Runtime {
    /// An empty runtime that publishes into `slot` and tells `workers`.
    pub fn new(slot: Arc<ArcSwap<Snapshot>>, workers: Vec<WorkerHandle>) -> Runtime {
        Runtime {
            started: Instant::now(),
            config: ServersConfig::default(),
            users: Arc::default(),
            rules: Arc::default(),
            firewall: Arc::default(),
            attributes: HashMap::new(),
            tls_params: Vec::new(),
            settings: Settings::default(),
            variables: Variables::default(),
            read_only: HashMap::new(),
            incumbents: Incumbents::default(),
            monitor_status: HashMap::new(),
            latency: HashMap::new(),
            shuns: ShunBook::default(),
            lags: LagBook::default(),
            topology: Topology::default(),
            aurora: AuroraBook::default(),
            discovery: Discovery::default(),
            executed: ExecutedBook::default(),
            members: Vec::new(),
            places: HashMap::new(),
            online: HashSet::new(),
            generation: 0,
            slot,
            workers,
        }
    }

    /// `LOAD MYSQL SERVERS TO RUNTIME`. What the monitors last saw keeps holding, so a load never undoes a fail-over.
    pub fn load_servers(&mut self, mut config: ServersConfig) {
        let clusters: BTreeSet<HostgroupId> = config.cluster_writers().collect();
        let configured: BTreeSet<Address> = config.servers.iter().map(|row| row.address.clone()).collect();
        self.discovery.retain(|writer| clusters.contains(&writer), |address| configured.contains(address));
        config.servers.extend(self.discovered_rows(&clusters));
        self.config = config;
        let known: BTreeSet<Address> = self.config.servers.iter().map(|row| row.address.clone()).collect();
        let pairs: BTreeSet<HostgroupId> = self.config.replication.iter().map(|pair| pair.writer).collect();
        self.read_only.retain(|(writer, address), _| pairs.contains(writer) && known.contains(address));
        self.incumbents.retain(|writer, address| pairs.contains(&writer) && known.contains(address));
        self.monitor_status.retain(|address, _| known.contains(address));
        self.latency.retain(|address, _| known.contains(address));
        self.lags.retain(|address| known.contains(address));
        self.aurora.retain(|writer| clusters.contains(&writer));
        self.topology.retain(|writer, address| clusters.contains(&writer) && known.contains(address));
        self.refresh_members();
        self.publish();
    }

    /// The part of `LOAD MYSQL SERVERS TO RUNTIME` that is about hostgroups; published by [`Runtime::load_servers`].
    pub fn set_hostgroup_attributes(&mut self, attributes: HashMap<HostgroupId, HostgroupAttributes>) {
        self.attributes = attributes;
    }

    /// `mysql_servers_ssl_params`, with the servers.
    pub fn set_tls_params(&mut self, params: Vec<ServerParams>) {
        self.tls_params = params;
    }

    /// What the configuration says of TLS towards backends.
    pub fn wanted_tls(&self) -> WantedTls {
        WantedTls {
            default: self.variables.ssl_p2s.clone(),
            servers: self.tls_params.clone(),
            verify_identity: self.variables.ssl_p2s_verify_identity,
        }
    }

    /// `LOAD MYSQL FIREWALL TO RUNTIME`.
    pub fn load_firewall(&mut self, firewall: Firewall) {
        self.firewall = Arc::new(firewall);
        self.publish();
    }

    /// `LOAD MYSQL USERS TO RUNTIME`.
    pub fn load_users(&mut self, users: Users) {
        let before = std::mem::replace(&mut self.users, Arc::new(users));
        self.publish();
        retire(before);
    }

    /// `LOAD MYSQL USER … TO RUNTIME`; without a row the user goes. True when the user was known before.
    pub fn load_user(&mut self, name: &str, row: Option<User>) -> bool {
        let users = Arc::make_mut(&mut self.users);
        let known = match row {
            Some(row) => users.insert(name.into(), row),
            None => users.remove(name),
        };
        self.publish();
        known
    }

    /// `LOAD MYSQL QUERY RULES TO RUNTIME`, compiled before.
    pub fn load_rules(&mut self, rules: RuleSet) {
        self.rules = Arc::new(rules);
        self.publish();
    }

    /// `LOAD MYSQL VARIABLES` or `LOAD ADMIN VARIABLES TO RUNTIME`, validated before.
    pub fn load_settings(&mut self, settings: Settings) {
        self.variables = Variables::from_settings(&settings);
        self.settings = settings;
        self.refresh_members();
        self.publish();
    }

    /// Takes a monitor's finding; publishes only when it changes what the workers route by. True when it was news.
    pub fn apply(&mut self, change: ServerChange) -> bool {
        let changed = match change {
            ServerChange::Latency { address, micros } => {
                self.latency.insert(address, micros);
                return false;
            }
            ServerChange::Connected { address } => {
                // Whether that ends a shun depends on who else there is: the next tick tells.
                self.shuns.answered(&address);
                return false;
            }
            ServerChange::Status { address, status: Status::Online, .. } => {
                self.monitor_status.remove(&address).is_some()
            }
            ServerChange::Status { address, status, reason } => {
                let said = (status, reason);
                self.monitor_status.insert(address, said.clone()).as_ref() != Some(&said)
            }
            ServerChange::ReadOnly { writer_hostgroup, address, read_only } => {
                let back = self.incumbents.heard(writer_hostgroup, &address);
                let is_placed = self.is_placed(writer_hostgroup, &address, read_only);
                let answered = self.read_only.insert((writer_hostgroup, address.clone()), read_only);
                let is_news = answered != Some(read_only);
                if is_news && answered.is_some() {
                    // It serves in another part: errors of the part before say nothing.
                    self.shuns.forget(&address);
                }
                back || is_news && !is_placed
            }
            ServerChange::Unheard { writer_hostgroup, address } => {
                self.incumbents.unheard(writer_hostgroup, address)
            }
            ServerChange::Lag { address, lag } => self.apply_lag(&address, lag),
            ServerChange::Node { writer_hostgroup, address, sight } => {
                return self.apply_sight(writer_hostgroup, address, sight);
            }
            ServerChange::Members { writer_hostgroup, address, own, peers } => {
                return self.apply_members(writer_hostgroup, &address, &own, &peers);
            }
            ServerChange::Aurora { writer_hostgroup, address, servers } => {
                return self.apply_aurora(writer_hostgroup, address, servers.as_deref());
            }
        };
        if changed {
            self.refresh_members();
            self.publish();
        }
        changed
    }

    /// Counts for every place that the server has as a reader; true when one of them changed.
    fn apply_lag(&mut self, address: &Address, lag: Lag) -> bool {
        let when_null = self.variables.monitor.slave_lag_when_null;
        let mut changed = false;
        for row in self.members.iter().map(|member| &member.row).filter(|row| row.address == *address) {
            let limited = row.max_replication_lag > 0 && !self.config.is_writer_hostgroup(row.hostgroup_id);
            let own = self.attributes.get(&row.hostgroup_id);
            let when_null = own.and_then(|own| own.settings.slave_lag_when_null).unwrap_or(when_null);
            let seconds = lag.seconds(when_null).filter(|_| limited);
            changed |= self.lags.observe(row, seconds, self.variables.monitor.replication_lag_count);
        }
        changed
    }

    /// Whether a limit of replication lag holds for any of this server's places.
    pub fn limits_lag(&self, address: &Address) -> bool {
        self.places_of(address).any(|member| {
            member.row.max_replication_lag > 0 && !self.config.is_writer_hostgroup(member.row.hostgroup_id)
        })
    }

    /// The places that a server has now.
    pub fn places_of(&self, address: &Address) -> impl Iterator<Item = &MemberState> {
        let places = self.places.get(address).map_or(&[][..], Vec::as_slice);
        places.iter().filter_map(|index| self.members.get(*index))
    }

    /// A worker could not connect or log in; enough of these inside a second shun the server.
    pub fn connect_failed(&mut self, server: &Arc<Server>, code: u16, text: &str, now: Instant) {
        if self.shuns.failed(ServerKey::from(server), code, text, &self.variables, now) {
            self.refresh_members();
            self.publish();
        }
    }

    /// Ends shuns whose time has come and forgets removed servers without connections. Call it several times a second.
    pub fn tick(&mut self, now: Instant) {
        let has_nobody = |hostgroup| !self.online.contains(&hostgroup);
        let ended = self.shuns.expire(now, has_nobody, self.variables.monitor.enabled);
        let drained = self.members.iter().any(|member| member.removed && member.server.connections() == 0);
        if ended || drained {
            self.refresh_members();
            self.publish();
        }
    }

    /// The server is put aside for connect errors in one of its hostgroups.
    pub fn is_put_aside(&self, address: &Address) -> bool {
        self.places_of(address).any(|member| self.shuns.reason(&ServerKey::from(&member.server)).is_some())
    }

    /// Who wrote before this proxy was started, where there is to be one writer. Before the servers are loaded.
    pub fn restore_single_writers(&mut self, writers: impl IntoIterator<Item = (HostgroupId, Address)>) {
        self.incumbents.restore(writers);
    }

    /// Who writes where there is to be one writer, in order.
    pub fn single_writers(&self) -> Vec<(HostgroupId, Address)> {
        let mut writers: Vec<_> =
            self.incumbents.writers().map(|(hostgroup, address)| (hostgroup, address.clone())).collect();
        writers.sort();
        writers
    }

    pub fn started(&self) -> Instant {
        self.started
    }
    /// Counts up with every snapshot.
    pub fn generation(&self) -> u64 {
        self.generation
    }
    pub fn members(&self) -> &[MemberState] {
        &self.members
    }
    pub fn replication_hostgroups(&self) -> &[ReplicationHostgroup] {
        &self.config.replication
    }
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
    pub fn variables(&self) -> &Variables {
        &self.variables
    }
    pub fn workers(&self) -> &[WorkerHandle] {
        &self.workers
    }
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.slot.load_full()
    }
    pub fn users(&self) -> &Users {
        &self.users
    }
    /// The last ping's round trip in microseconds; 0 before the first.
    pub fn latency_us(&self, address: &Address) -> u64 {
        self.latency.get(address).copied().unwrap_or(0)
    }

    /// What the monitors are to check: every configured address that is not OFFLINE_HARD, and whether it wants TLS.
    pub fn monitored(&self) -> Vec<(Address, bool)> {
        let mut wanted: HashMap<&Address, bool> = HashMap::new();
        for row in self.config.servers.iter().filter(|row| row.status != Status::OfflineHard) {
            *wanted.entry(&row.address).or_default() |= row.use_ssl;
        }
        wanted.into_iter().map(|(address, use_ssl)| (address.clone(), use_ssl)).collect()
    }
}

fn cluster_limits(variables: &Variables, kind: ClusterKind) -> Limits {
    match kind {
        ClusterKind::Galera => {
            Limits { max_missed: variables.monitor.galera_healthcheck_max_timeout_count, behind_count: 1 }
        }
        ClusterKind::GroupReplication => Limits {
            max_missed: variables.monitor.groupreplication_healthcheck_max_timeout_count,
            behind_count: variables.monitor.groupreplication_max_transactions_behind_count,
        },
    }
}

/// Waits on a thread for the last of those who still look at many users, and drops them there: freeing a million would
/// hold up a worker.
fn retire(users: Arc<Users>) {
    const MANY: usize = 10_000;
    const LOOKS: u32 = 600;
    if users.len() < MANY {
        return;
    }
    let wait = move || {
        for _ in 0..LOOKS {
            if Arc::strong_count(&users) == 1 {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    if let Err(error) = std::thread::Builder::new().name("retire-users".into()).spawn(wait) {
        tracing::warn!(%error, "no thread to free the users of before");
    }
}
