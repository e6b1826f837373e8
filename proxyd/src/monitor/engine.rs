//! One task for each monitored address: waits, checks, reports.
//!
//! A server's checks run one after the other on its own task, so a silent server delays nobody else's, and there are
//! never more tasks than addresses. [`Monitors::run`] starts and stops them as the configuration changes; stopping is
//! aborting, which is safe anywhere: a task holds nothing but its own connection, and its last word on the server is
//! taken back.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::sleep_until;

use super::decide::{Fault, Finding, Judge};
use super::galera::GaleraStatus;
use super::plan::Plan;
use super::probe::Prober;
use super::schedule::{Kind, Schedule};
use crate::admin::{Admin, AuroraSeen, Check, CheckLog};
use crate::runtime::{Address, AuroraServer, Lag, NodeReport, ServerChange, SharedRuntime, Sight};
use crate::snapshot::{HostgroupId, Server};
use crate::tls::BackendTls;

/// How soon a changed configuration is noticed.
const RECONCILE: Duration = Duration::from_millis(250);
/// The longest sleep of a task that is told of changes.
const LONGEST: Duration = Duration::from_secs(3600);

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
        changed: Notify::new(),
        reconciled: Cell::new(false),
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

impl Handle {
    /// Every server that is to be monitored has been checked once, whatever came of it.
    pub fn has_seen_all(&self) -> bool {
        self.monitors.reconciled.get()
            && self.monitors.watches.borrow().values().all(|watch| watch.seen.get())
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
    /// There is another snapshot: whoever sleeps until a check is due may have something else to do.
    changed: Notify,
    /// Every server of the configuration has its task.
    reconciled: Cell<bool>,
}

/// The task of one address.
struct Watch {
    task: JoinHandle<()>,
    nudge: Rc<Notify>,
    use_ssl: bool,
    judge: Rc<RefCell<Judge>>,
    /// All its checks were made once.
    seen: Rc<Cell<bool>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Monitors {
    async fn run(self: Rc<Self>) {
        let mut tick = tokio::time::interval(RECONCILE);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut known = None;
        loop {
            tick.tick().await;
            let generation = Some(self.runtime.borrow().generation());
            if generation != known {
                known = generation;
                self.reconcile();
                self.changed.notify_waiters();
            }
            self.revive();
        }
    }

    /// A task that has ended by itself is started again.
    fn revive(self: &Rc<Self>) {
        if self.watches.borrow().values().any(|watch| watch.task.is_finished()) {
            self.reconcile();
        }
    }

    /// Starts tasks for new addresses and stops those of addresses that are gone (or of all, when monitoring is off).
    fn reconcile(self: &Rc<Self>) {
        let wanted: HashMap<Address, bool> = {
            let runtime = self.runtime.borrow();
            let monitored =
                if runtime.variables().monitor.enabled { runtime.monitored() } else { Vec::new() };
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
        self.reconciled.set(true);
    }

    fn watch(self: &Rc<Self>, address: Address, use_ssl: bool) -> Watch {
        let nudge = Rc::new(Notify::new());
        let judge = Rc::new(RefCell::new(Judge::new(address.clone())));
        let prober = Prober::new(&address, self.tls.clone().filter(|_| use_ssl));
        let seen = Rc::new(Cell::new(false));
        let life = self.clone().attend(address, prober, judge.clone(), nudge.clone(), seen.clone());
        Watch { task: tokio::task::spawn_local(life), nudge, use_ssl, judge, seen }
    }

    /// The life of one address's task.
    async fn attend(
        self: Rc<Self>,
        address: Address,
        mut prober: Prober,
        judge: Rc<RefCell<Judge>>,
        nudge: Rc<Notify>,
        seen: Rc<Cell<bool>>,
    ) {
        let mut schedule = Schedule::default();
        let mut turn = 0u64;
        loop {
            let plan = Plan::new(&self.runtime.borrow(), &address, judge.borrow().is_shunned());
            let now = Instant::now();
            match schedule.next(now, plan.intervals) {
                Some((kind, due)) if due <= now => {
                    turn = turn.wrapping_add(1);
                    schedule.began(kind, now, self.random.hash_one((&address, turn)));
                    self.check(kind, &address, &plan, &mut prober, &judge).await;
                }
                next => {
                    seen.set(true);
                    let longest = if plan.may_hasten() { RECONCILE } else { LONGEST };
                    let until = next.map_or(now + longest, |(_, due)| due.min(now + longest));
                    tokio::select! {
                        () = sleep_until(until.into()) => {}
                        () = self.changed.notified() => {}
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
                if outcome.as_ref().err().is_none_or(Fault::is_answer) {
                    self.tell(Finding::Change(ServerChange::Connected { address: address.clone() }));
                }
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
