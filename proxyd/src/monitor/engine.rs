//! One task for each monitored address: waits, checks, reports.
//!
//! A server's checks run one after the other on its own task, so a silent server delays nobody else's, and there are
//! never more tasks than addresses. [`Monitors::run`] starts and stops them as the configuration changes; stopping is
//! aborting, which is safe anywhere: a task holds nothing but its own connection, and its last word on the server is
//! taken back.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::sleep_until;

use super::decide::{Fault, Finding, Judge, Limits, read_only_query};
use super::galera::GaleraStatus;
use super::lag::heartbeat_query;
use super::probe::{Credentials, Prober};
use super::schedule::{Intervals, Kind, Schedule};
use crate::admin::{Admin, AuroraSeen, Check, CheckLog};
use crate::runtime::{
    Address, AuroraServer, ClusterKind, Lag, NodeReport, Runtime, ServerChange, SharedRuntime, Sight,
};
use crate::snapshot::{HostgroupId, Server};
use crate::tls::BackendTls;

/// How soon a changed configuration is noticed.
const RECONCILE: Duration = Duration::from_millis(250);
/// A server that is shunned is pinged at least this often: recovery waits for nobody's traffic.
const SHUNNED_PING: Duration = Duration::from_secs(1);

/// Starts the monitors on the current `LocalSet`; they end with the handle.
pub fn start(runtime: SharedRuntime, admin: Rc<Admin>, tls: BackendTls) -> Handle {
    start_with(runtime, Some(tls), move |log| admin.record_check(log))
}

/// The same, with the log rows going to `record`.
pub(super) fn start_with(
    runtime: SharedRuntime,
    tls: Option<BackendTls>,
    record: impl Fn(&CheckLog) + 'static,
) -> Handle {
    let monitors = Rc::new(Monitors {
        runtime,
        tls,
        record: Box::new(record),
        watches: RefCell::default(),
        random: RandomState::new(),
    });
    let task = tokio::task::spawn_local(monitors.clone().run());
    Handle { monitors, task }
}

/// The running monitors.
pub struct Handle {
    monitors: Rc<Monitors>,
    task: JoinHandle<()>,
}

impl Handle {
    /// Checks at once what this server may do, and every node of its clusters: a worker has reason to think that it changed.
    pub fn check_role_now(&self, server: &Server) {
        let address = Address { hostname: server.hostname.clone(), port: server.port };
        let mut concerned = self.monitors.runtime.borrow().nodes_beside(&address);
        concerned.insert(address);
        self.monitors.hurry(concerned);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.task.abort();
        self.monitors.watches.borrow_mut().clear();
    }
}

struct Monitors {
    runtime: SharedRuntime,
    /// `None` when it could not be set up: servers with `use_ssl` are left alone then, not asked in the clear.
    tls: Option<BackendTls>,
    /// Takes a row for the log tables.
    record: Box<dyn Fn(&CheckLog)>,
    watches: RefCell<HashMap<Address, Watch>>,
    random: RandomState,
}

/// The task of one address.
struct Watch {
    task: JoinHandle<()>,
    nudge: Rc<Notify>,
    use_ssl: bool,
    judge: Rc<RefCell<Judge>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a task has to know now; asked anew before each check, as all of it may change.
struct Plan {
    intervals: Intervals,
    pairs: Vec<(HostgroupId, &'static str)>,
    /// The writer hostgroups of the Galera clusters that it is a node of.
    galera: Vec<HostgroupId>,
    /// Those of the replication groups that it is a member of.
    groups: Vec<HostgroupId>,
    /// The writer hostgroups of its Aurora clusters, and how long one may take to answer.
    aurora: Vec<(HostgroupId, Duration)>,
    limits: Limits,
    credentials: Credentials,
    connect_timeout: Duration,
    ping_timeout: Duration,
    read_only_timeout: Duration,
    galera_timeout: Duration,
    group_timeout: Duration,
    group_behind_rule: u32,
    lag_timeout: Duration,
    lag_when_null: u32,
    /// The statement that reads a heartbeat table, if one is named; an error when its name is none.
    heartbeat: Result<Option<String>, String>,
}

impl Monitors {
    async fn run(self: Rc<Self>) {
        let mut tick = tokio::time::interval(RECONCILE);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            self.reconcile();
        }
    }

    /// Starts tasks for new addresses and stops those of addresses that are gone (or of all, when monitoring is off).
    fn reconcile(self: &Rc<Self>) {
        let wanted: HashMap<Address, bool> = {
            let runtime = self.runtime.borrow();
            let monitored =
                if runtime.variables().monitor_enabled { runtime.monitored() } else { Vec::new() };
            monitored.into_iter().filter(|(_, use_ssl)| !use_ssl || self.tls.is_some()).collect()
        };
        let mut watches = self.watches.borrow_mut();
        watches.retain(|address, watch| {
            let keep = wanted.get(address) == Some(&watch.use_ssl) && !watch.task.is_finished();
            if !keep {
                let lag = ServerChange::Lag { address: address.clone(), lag: Lag::NoReplica };
                let changes = watch.judge.borrow_mut().retire().into_iter().chain([lag]);
                changes.for_each(|change| self.tell(Finding::Change(change)));
            }
            keep
        });
        for (address, use_ssl) in wanted {
            watches.entry(address.clone()).or_insert_with(|| self.watch(address, use_ssl));
        }
    }

    fn watch(self: &Rc<Self>, address: Address, use_ssl: bool) -> Watch {
        let nudge = Rc::new(Notify::new());
        let judge = Rc::new(RefCell::new(Judge::new(address.clone())));
        let prober = Prober::new(&address, self.tls.clone().filter(|_| use_ssl));
        let life = self.clone().attend(address, prober, judge.clone(), nudge.clone());
        Watch { task: tokio::task::spawn_local(life), nudge, use_ssl, judge }
    }

    /// The life of one address's task.
    async fn attend(
        self: Rc<Self>,
        address: Address,
        mut prober: Prober,
        judge: Rc<RefCell<Judge>>,
        nudge: Rc<Notify>,
    ) {
        let mut schedule = Schedule::default();
        let mut turn = 0u64;
        loop {
            let plan = self.plan(&address, judge.borrow().is_shunned());
            let now = Instant::now();
            match schedule.next(now, plan.intervals) {
                Some((kind, due)) if due <= now => {
                    turn = turn.wrapping_add(1);
                    schedule.began(kind, now, self.random.hash_one((&address, turn)));
                    self.check(kind, &address, &plan, &mut prober, &judge).await;
                }
                next => {
                    let until = next.map_or(now + RECONCILE, |(_, due)| due.min(now + RECONCILE));
                    tokio::select! {
                        () = sleep_until(until.into()) => {}
                        () = nudge.notified() => {
                            schedule.hurry(Kind::ReadOnly);
                            schedule.hurry(Kind::Galera);
                            schedule.hurry(Kind::GroupReplication);
                            schedule.hurry(Kind::Aurora);
                        }
                    }
                }
            }
        }
    }

    async fn check(
        &self,
        kind: Kind,
        address: &Address,
        plan: &Plan,
        prober: &mut Prober,
        judge: &RefCell<Judge>,
    ) {
        let begin = Begin::now();
        match kind {
            Kind::Connect => {
                let outcome = prober.connect(&plan.credentials, plan.connect_timeout).await;
                self.log(address, judge, Check::Connect, (begin, begin.clock.elapsed()), outcome.err());
            }
            Kind::Ping => {
                let outcome = prober.ping(&plan.credentials, plan.ping_timeout).await;
                let took = *outcome.as_ref().unwrap_or(&Duration::ZERO);
                let findings = judge.borrow_mut().on_ping(&outcome, plan.limits);
                self.log(address, judge, Check::Ping, (begin, took), outcome.err());
                findings.into_iter().for_each(|finding| self.tell(finding));
            }
            Kind::ReadOnly => {
                for &(writer, sql) in &plan.pairs {
                    let begin = Begin::now();
                    let outcome = prober.read_only(sql, &plan.credentials, plan.read_only_timeout).await;
                    let findings = judge.borrow_mut().on_read_only(writer, &outcome, plan.limits);
                    let answer = Check::ReadOnly(outcome.as_ref().ok().copied());
                    self.log(address, judge, answer, (begin, begin.clock.elapsed()), outcome.err());
                    findings.into_iter().for_each(|finding| self.tell(finding));
                }
            }
            Kind::Galera => self.check_galera(address, judge, plan, prober).await,
            Kind::GroupReplication => self.check_group(address, judge, plan, prober).await,
            Kind::Aurora => self.check_aurora(address, judge, plan, prober).await,
            Kind::Lag => {
                let (outcome, when_null) = match &plan.heartbeat {
                    Ok(sql) => {
                        let asked =
                            prober.replication_lag(sql.as_deref(), &plan.credentials, plan.lag_timeout);
                        (asked.await, plan.lag_when_null)
                    }
                    Err(text) => (Err(Fault::Answered(text.clone())), 0),
                };
                let seconds = outcome.as_ref().ok().and_then(|lag| lag.seconds(when_null));
                if let Ok(lag) = outcome {
                    self.tell(Finding::Change(ServerChange::Lag { address: address.clone(), lag }));
                }
                self.log(address, judge, Check::Lag(seconds), (begin, begin.clock.elapsed()), outcome.err());
            }
        }
    }

    async fn check_galera(
        &self,
        address: &Address,
        judge: &RefCell<Judge>,
        plan: &Plan,
        prober: &mut Prober,
    ) {
        let begin = Begin::now();
        let outcome = prober.galera(&plan.credentials, plan.galera_timeout).await;
        self.tell_of_node(address, &plan.galera, outcome.as_ref().map(GaleraStatus::report));
        let seen = Check::Galera(outcome.as_ref().ok().map(|status| status.seen));
        self.log(address, judge, seen, (begin, begin.clock.elapsed()), outcome.err());
    }

    async fn check_group(&self, address: &Address, judge: &RefCell<Judge>, plan: &Plan, prober: &mut Prober) {
        let begin = Begin::now();
        let outcome = prober.group(&plan.credentials, plan.group_timeout).await;
        let report = outcome.as_ref().map(|status| status.report(plan.group_behind_rule));
        self.tell_of_node(address, &plan.groups, report);
        if let Some((own, peers)) = outcome.as_ref().ok().and_then(|status| status.members.clone()) {
            for &writer_hostgroup in &plan.groups {
                let (address, own, peers) = (address.clone(), own.clone(), peers.clone());
                self.tell(Finding::Change(ServerChange::Members { writer_hostgroup, address, own, peers }));
            }
        }
        let seen = Check::GroupReplication(outcome.as_ref().ok().map(|status| status.seen));
        self.log(address, judge, seen, (begin, begin.clock.elapsed()), outcome.err());
    }

    async fn check_aurora(
        &self,
        address: &Address,
        judge: &RefCell<Judge>,
        plan: &Plan,
        prober: &mut Prober,
    ) {
        for &(writer_hostgroup, timeout) in &plan.aurora {
            let begin = Begin::now();
            let outcome = prober.aurora(&plan.credentials, timeout).await;
            let servers: Option<Rc<[AuroraServer]>> =
                outcome.as_ref().ok().map(|servers| servers.as_slice().into());
            let writer = || self.runtime.borrow().aurora_writer(writer_hostgroup).cloned();
            let before = writer();
            let change =
                ServerChange::Aurora { writer_hostgroup, address: address.clone(), servers: servers.clone() };
            self.tell(Finding::Change(change));
            let promoted = writer().filter(|now| before.is_some_and(|before| before != *now));
            let lag = |server: &AuroraServer| {
                self.runtime.borrow().aurora_lag_ms(writer_hostgroup, &server.server_id)
            };
            let servers = servers.as_deref().unwrap_or_default().iter();
            let servers = servers.map(|server| (server.clone(), lag(server))).collect();
            let seen = Check::Aurora(AuroraSeen { writer_hostgroup, servers, promoted });
            self.log(address, judge, seen, (begin, begin.clock.elapsed()), outcome.err());
        }
    }

    /// Tells of a check of a node, for the clusters of these writer hostgroups.
    fn tell_of_node(&self, address: &Address, clusters: &[HostgroupId], report: Result<NodeReport, &Fault>) {
        let sight = match report {
            Ok(report) => Sight::Answered(report),
            Err(Fault::NoMember(text)) => Sight::Answered(NodeReport::stranger(text)),
            Err(Fault::Refused(text)) => Sight::Refused(text.clone()),
            Err(Fault::Timeout(_) | Fault::Unreachable(_)) => Sight::Silent,
            // The monitor's own trouble (a wrong password, too many connections), not the node's.
            Err(Fault::Answered(_)) => return,
        };
        for &writer_hostgroup in clusters {
            let (address, sight) = (address.clone(), sight.clone());
            self.tell(Finding::Change(ServerChange::Node { writer_hostgroup, address, sight }));
        }
    }

    fn tell(&self, finding: Finding) {
        match finding {
            Finding::Change(change) => {
                let role_of = match &change {
                    ServerChange::ReadOnly { address, .. } | ServerChange::Unheard { address, .. } => {
                        Some(address.clone())
                    }
                    _ => None,
                };
                let changed = self.runtime.borrow_mut().apply(change);
                if let Some(address) = role_of.filter(|_| changed) {
                    self.hurry_beside(&address);
                }
            }
            Finding::Warn(text) => tracing::warn!("{text}"),
        }
    }

    /// Whoever shares hostgroups with a server whose role changed may have changed with it.
    fn hurry_beside(&self, address: &Address) {
        let mut concerned = self.runtime.borrow().nodes_beside(address);
        concerned.remove(address);
        self.hurry(concerned);
    }

    fn hurry(&self, addresses: impl IntoIterator<Item = Address>) {
        let watches = self.watches.borrow();
        addresses
            .into_iter()
            .filter_map(|address| watches.get(&address))
            .for_each(|watch| watch.nudge.notify_one());
    }

    /// Ends a check: its log row, and what any answer says about the server's life.
    fn log(
        &self,
        address: &Address,
        judge: &RefCell<Judge>,
        check: Check,
        (begin, took): (Begin, Duration),
        fault: Option<Fault>,
    ) {
        if fault.as_ref().is_none_or(Fault::is_answer) {
            let alive = judge.borrow_mut().alive();
            alive.into_iter().for_each(|finding| self.tell(finding));
        }
        let error = fault.map(|fault| fault.to_string());
        if let Some(error) = &error {
            tracing::debug!(server = %address, ?check, error, "check failed");
        }
        (self.record)(&CheckLog { address: address.clone(), check, started_us: begin.wall_us, took, error });
    }

    fn plan(&self, address: &Address, shunned: bool) -> Plan {
        let runtime = self.runtime.borrow();
        let pairs: Vec<_> = runtime
            .replication_hostgroups()
            .iter()
            .filter(|pair| {
                let is_member = |hostgroup| hostgroup == pair.writer || hostgroup == pair.reader;
                let members = runtime.members().iter().filter(|member| !member.removed);
                members
                    .into_iter()
                    .any(|member| member.row.address == *address && is_member(member.row.hostgroup_id))
            })
            .filter_map(|pair| Some((pair.writer, read_only_query(&pair.check_type)?)))
            .collect();
        Plan::new(&runtime, address, pairs, shunned)
    }
}

impl Plan {
    fn new(
        runtime: &Runtime,
        address: &Address,
        pairs: Vec<(HostgroupId, &'static str)>,
        shunned: bool,
    ) -> Plan {
        let variables = runtime.variables();
        let ping = match shunned {
            true => variables.monitor_ping_interval.min(SHUNNED_PING),
            false => variables.monitor_ping_interval,
        };
        let clusters = runtime.clusters_of(address);
        let aurora = runtime.aurora_of(address);
        let writers = |kind| -> Vec<HostgroupId> {
            clusters
                .iter()
                .filter(|(cluster, _)| cluster.kind == kind)
                .map(|(cluster, _)| cluster.writer)
                .collect()
        };
        let interval = |kind, usual: Duration| {
            let own = clusters.iter().filter(|(cluster, _)| cluster.kind == kind);
            own.map(|(_, haste)| haste.map_or(usual, |haste| haste.min(usual))).min()
        };
        Plan {
            intervals: Intervals {
                read_only: (!pairs.is_empty()).then_some(variables.monitor_read_only_interval),
                galera: interval(ClusterKind::Galera, variables.monitor_galera_healthcheck_interval),
                group_replication: interval(
                    ClusterKind::GroupReplication,
                    variables.monitor_groupreplication_healthcheck_interval,
                ),
                aurora: aurora.iter().map(|(_, interval)| *interval).min(),
                lag: runtime.limits_lag(address).then_some(variables.monitor_replication_lag_interval),
                ping: Some(ping),
                connect: Some(variables.monitor_connect_interval),
            },
            pairs,
            galera: writers(ClusterKind::Galera),
            groups: writers(ClusterKind::GroupReplication),
            aurora: aurora.iter().map(|(cluster, _)| (cluster.writer, cluster.check_timeout)).collect(),
            limits: Limits {
                ping_max_failures: variables.monitor_ping_max_failures,
                read_only_max_timeout_count: variables.monitor_read_only_max_timeout_count,
            },
            credentials: Credentials {
                user: variables.monitor_username.clone(),
                password: variables.monitor_password.clone(),
            },
            connect_timeout: variables.monitor_connect_timeout,
            ping_timeout: variables.monitor_ping_timeout,
            read_only_timeout: variables.monitor_read_only_timeout,
            galera_timeout: variables.monitor_galera_healthcheck_timeout,
            group_timeout: variables.monitor_groupreplication_healthcheck_timeout,
            group_behind_rule: variables.monitor_groupreplication_max_transactions_behind_for_read_only,
            lag_timeout: variables.monitor_replication_lag_timeout,
            lag_when_null: variables.monitor_slave_lag_when_null,
            heartbeat: heartbeat_query(&variables.monitor_replication_lag_use_percona_heartbeat),
        }
    }
}

/// When a check began, by both clocks.
#[derive(Clone, Copy)]
struct Begin {
    clock: Instant,
    wall_us: u64,
}

impl Begin {
    fn now() -> Begin {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Begin { clock: Instant::now(), wall_us: u64::try_from(wall.as_micros()).unwrap_or(u64::MAX) }
    }
}
