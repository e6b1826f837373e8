//! Mirrored statements (`mirror_hostgroup`, `mirror_flagOUT`): copies that run elsewhere and whose answers nobody reads.
//!
//! A mirror is a session whose client is nowhere. It never makes a real client wait: so many run at once
//! (`mysql-mirror_max_concurrency`), so many wait (`mysql-mirror_max_queue_length`, and no more than a bound of bytes); what is
//! beyond that is not mirrored, and counted. Both limits are shared by the workers.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::time::{Duration, Instant};

use proxyd_sql::classify;
use proxyd_wire::command::no_attributes;
use proxyd_wire::frame;
use proxyd_wire::response::Expect;

use super::forward::Job;
use super::login::{Identity, build};
use super::record::Record;
use super::{Session, SessionEnd};
use crate::gate::Gate;
use crate::net::{Connection, Stream};
use crate::reply;
use crate::route::{Decision, DigestFacts, Hits, QueryFacts};
use crate::snapshot::{HostgroupId, Snapshot};
use crate::worker::Worker;

/// Longer statements are not mirrored, as in ProxySQL.
const LONGEST: usize = 15 << 20;
/// Statements that wait in one worker take no more than this.
const MAX_WAITING: usize = 32 << 20;

/// Where a copy of a statement is to run, and as what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    pub hostgroup: HostgroupId,
    /// The text, if the mirror's own rules have rewritten it.
    pub rewritten: Option<Vec<u8>>,
    pub timeout: Duration,
}

impl Mirror {
    /// What the rules want mirrored. With a `mirror_flagOUT` the copy goes through the rules on its own, from that flag on.
    pub fn of(
        decision: &Decision<'_>,
        snapshot: &Snapshot,
        facts: &QueryFacts<'_>,
        default_hostgroup: HostgroupId,
    ) -> Option<(Mirror, Hits)> {
        let (hostgroup, flag) = (decision.mirror_hostgroup, decision.mirror_flag_out);
        if hostgroup.is_none() && flag.is_none() {
            return None;
        }
        let timeout = snapshot.variables.default_query_timeout;
        let hostgroup = hostgroup.unwrap_or(default_hostgroup);
        let mut hits = Hits::default();
        let Some(flag_in) = flag else {
            return Some((Mirror { hostgroup, rewritten: None, timeout }, hits));
        };
        // The copy is of what runs, so its digest is that of the rewritten text.
        let query = decision.rewritten.as_deref().unwrap_or(facts.query);
        let mut digester = proxyd_sql::Digester::new(snapshot.variables.digest_options);
        let wanted = decision.rewritten.is_some() && facts.digest.is_some();
        let digest = wanted
            .then(|| digester.digest(query).len())
            .map_or(facts.digest, |_| Some(DigestFacts { text: digester.text(), hash: digester.hash() }));
        let own = snapshot.rules.decide(&QueryFacts { query, digest, flag_in, ..*facts }, &mut hits);
        let mirror = Mirror {
            hostgroup: own.destination_hostgroup.unwrap_or(hostgroup),
            rewritten: own.rewritten,
            timeout: own.timeout.map_or(timeout, |ms| Duration::from_millis(ms.into())),
        };
        Some((mirror, hits))
    }
}

/// The mirrored statements of one worker.
#[derive(Default)]
pub struct Mirrors {
    running: Cell<usize>,
    waiting: RefCell<VecDeque<Copy>>,
    waiting_bytes: Cell<usize>,
    /// Not mirrored for lack of room.
    dropped: Cell<u64>,
}

/// The numbers of `stats_mysql_global`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MirrorStats {
    pub running: u64,
    pub waiting: u64,
    pub dropped: u64,
}

impl std::ops::AddAssign for MirrorStats {
    fn add_assign(&mut self, other: MirrorStats) {
        self.running += other.running;
        self.waiting += other.waiting;
        self.dropped += other.dropped;
    }
}

struct Copy {
    session: Identity,
    mirror: Mirror,
    frames: Vec<u8>,
}

/// What is to become of one more copy.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Run,
    Wait,
    Drop,
}

impl Mirrors {
    pub fn stats(&self) -> MirrorStats {
        MirrorStats {
            running: self.running.get() as u64,
            waiting: self.waiting.borrow().len() as u64,
            dropped: self.dropped.get(),
        }
    }

    fn place(&self, bytes: usize, snapshot: &Snapshot, workers: usize) -> Place {
        let share = |limit: usize| if limit == 0 { 0 } else { limit.div_ceil(workers.max(1)) };
        let queue = share(snapshot.variables.mirror_max_queue_length);
        let waiting = self.waiting.borrow().len();
        if bytes > LONGEST || waiting >= queue || self.waiting_bytes.get() + bytes > MAX_WAITING {
            Place::Drop
        } else if waiting == 0 && self.running.get() < share(snapshot.variables.mirror_max_concurrency) {
            Place::Run
        } else {
            Place::Wait
        }
    }

    fn next(&self) -> Option<Copy> {
        let next = self.waiting.borrow_mut().pop_front()?;
        self.waiting_bytes.set(self.waiting_bytes.get() - next.frames.len());
        Some(next)
    }
}

impl Session {
    /// Sends a copy on its way. `text` is what the client's statement runs as.
    pub(super) fn mirror(&self, mirror: Mirror, text: &[u8]) {
        let mirrors = &self.worker.mirrors;
        let place = mirrors.place(text.len(), &self.snapshot(), self.worker.workers);
        if place == Place::Drop {
            mirrors.dropped.set(mirrors.dropped.get() + 1);
            return;
        }
        let frames = reply::query_frames(mirror.rewritten.as_deref().unwrap_or(text), self.capabilities);
        let copy = Copy { session: self.identity(), mirror, frames };
        if place == Place::Run {
            let (worker, mut running) = (self.worker.clone(), Box::pin(run(self.worker.clone(), copy)));
            tokio::task::spawn_local(poll_fn(move |cx| {
                worker.clock.begin_turn();
                running.as_mut().poll(cx)
            }));
        } else {
            mirrors.waiting_bytes.set(mirrors.waiting_bytes.get() + copy.frames.len());
            mirrors.waiting.borrow_mut().push_back(copy);
        }
    }
}

/// Counts as running until its drop, however it ends.
struct Running(Rc<Worker>);

impl Running {
    fn new(worker: Rc<Worker>) -> Running {
        worker.mirrors.running.set(worker.mirrors.running.get() + 1);
        Running(worker)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.mirrors.running.set(self.0.mirrors.running.get() - 1);
    }
}

/// Runs one copy, then those that wait.
async fn run(worker: Rc<Worker>, first: Copy) {
    let _running = Running::new(worker.clone());
    let mut next = Some(first);
    while let Some(copy) = next {
        let timeout = copy.mirror.timeout;
        match tokio::time::timeout(timeout, run_one(worker.clone(), copy)).await {
            Ok(Ok(())) => {}
            Ok(Err(end)) => tracing::debug!("a mirrored statement failed: {end}"),
            Err(_) => tracing::debug!("a mirrored statement took too long"),
        }
        next = worker.mirrors.next();
    }
}

async fn run_one(worker: Rc<Worker>, copy: Copy) -> Result<(), SessionEnd> {
    let started = Instant::now();
    let nobody = std::net::SocketAddr::from(([0, 0, 0, 0], 0));
    let record = Rc::new(Record::new(0, nobody.into(), started));
    // No limit on clients concerns it.
    let Some(ticket) = std::sync::Arc::<Gate>::default().enter(1) else { return Ok(()) };
    let client = Connection::new(Stream::Nowhere);
    let mut session = build(client, ticket, record, worker, copy.session);
    let before = frame::HEADER + 1 + no_attributes(session.capabilities).len();
    let text = copy.frames.get(before..).unwrap_or_default();
    let statement = classify(text);
    let digest = session.enter_digest_of(copy.mirror.hostgroup, text);
    let job = Job {
        frames: &copy.frames,
        expect: Expect::Results,
        statement: &statement,
        to: copy.mirror.hostgroup.into(),
        retries: 0,
        timeout: None,
        execution: None,
    };
    let outcome = session.forward(job).await?;
    if let Some(outcome) = &outcome {
        session.settle(&statement, outcome, Instant::now());
    }
    session.count_statement(statement.kind, digest, outcome.as_ref(), started.elapsed());
    // A transaction that it opened is rolled back: the client's next statements go elsewhere.
    session.release();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::{QueryRule, RuleSet};

    fn facts(query: &str) -> QueryFacts<'_> {
        QueryFacts {
            username: "app",
            schemaname: "shop",
            client_addr: "10.0.0.1",
            proxy_addr: "10.0.0.9",
            proxy_port: 6033,
            query: query.as_bytes(),
            digest: None,
            flag_in: 0,
            iterations: 0,
            random: 1,
        }
    }

    fn mirror(decision: &Decision<'_>, snapshot: &Snapshot) -> Option<Mirror> {
        Mirror::of(decision, snapshot, &facts("SELECT a"), 1).map(|(mirror, _)| mirror)
    }

    #[test]
    fn a_flag_sends_the_copy_through_the_rules() {
        let rule = QueryRule {
            rule_id: 5,
            active: true,
            flag_in: 100,
            match_pattern: Some("SELECT a".into()),
            replace_pattern: Some("SELECT b".into()),
            timeout: Some(7),
            ..QueryRule::default()
        };
        let rules = RuleSet::compile(vec![rule]).unwrap();
        let snapshot = Snapshot { rules: rules.into(), ..Snapshot::default() };
        assert_eq!(mirror(&Decision::default(), &snapshot), None);
        let to_hostgroup = Decision { mirror_hostgroup: Some(3), ..Decision::default() };
        let plain = mirror(&to_hostgroup, &snapshot).unwrap();
        assert_eq!((plain.hostgroup, &plain.rewritten), (3, &None));
        let by_flag =
            mirror(&Decision { mirror_flag_out: Some(100), ..Decision::default() }, &snapshot).unwrap();
        assert_eq!((by_flag.hostgroup, by_flag.rewritten.as_deref()), (1, Some(&b"SELECT b"[..])));
        assert_eq!(by_flag.timeout, Duration::from_millis(7));
    }

    #[test]
    fn what_is_beyond_the_limits_is_dropped() {
        let mut snapshot = Snapshot::default();
        snapshot.variables.mirror_max_concurrency = 4;
        snapshot.variables.mirror_max_queue_length = 2;
        let mirrors = Mirrors::default();
        assert_eq!(mirrors.place(10, &snapshot, 2), Place::Run);
        mirrors.running.set(2);
        assert_eq!(mirrors.place(10, &snapshot, 2), Place::Wait);
        assert_eq!(mirrors.place(LONGEST + 1, &snapshot, 2), Place::Drop);
        mirrors.waiting_bytes.set(MAX_WAITING);
        assert_eq!(mirrors.place(10, &snapshot, 2), Place::Drop);
        snapshot.variables.mirror_max_queue_length = 0;
        assert_eq!(Mirrors::default().place(10, &snapshot, 2), Place::Drop, "as in ProxySQL");
    }
}
