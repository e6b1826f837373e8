//! Clients that write and read through the proxy all the time, and what they met.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::client::samples::{Failures, Sample, calm, outage};
use crate::lab::netns::Netns;
use crate::mysql::Failure;
use crate::mysql::client::{Account, Client};

/// Clients of each kind.
const CLIENTS: usize = 3;
const PAUSE: Duration = Duration::from_millis(5);
/// A statement that takes longer is a failure: no application waits for ever.
const LIMIT: Duration = Duration::from_secs(15);
/// A view change of a cluster that is well holds writes back for about a second.
const CALM_PAUSE: Duration = Duration::from_millis(700);

/// Without AUTO_INCREMENT: a session that may ask for LAST_INSERT_ID() stays with its server, and would not feel a move.
const WRITE: &str = "REPLACE INTO test.written VALUES (FLOOR(RAND() * 1000000), SYSDATE(6))";
const READ: &str = "SELECT COUNT(*) FROM test.seed";

/// What the clients of one kind met in a span of time.
#[derive(Debug, Default)]
pub(crate) struct Met {
    pub failures: Failures,
    /// The longest time that one client was without a success.
    pub outage: Duration,
}

impl Met {
    pub(crate) fn errors(&self) -> usize {
        self.failures.refused + self.failures.errors
    }
}

/// What one client does, and what came of it.
#[derive(Debug)]
struct Life {
    sql: &'static str,
    samples: Mutex<Vec<Sample>>,
}

impl Life {
    fn samples(&self) -> MutexGuard<'_, Vec<Sample>> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The running clients; they stop when this is dropped.
#[derive(Debug)]
pub(crate) struct Load {
    lives: Vec<Arc<Life>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    pub(crate) fn start(netns: &Netns, proxy: SocketAddr) -> Self {
        let account = Account {
            address: proxy,
            user: "load_RW".into(),
            password: "test".into(),
            database: Some("test".into()),
        };
        let kinds = [[WRITE; CLIENTS], [READ; CLIENTS]].concat();
        let lives: Vec<_> =
            kinds.into_iter().map(|sql| Arc::new(Life { sql, samples: Mutex::default() })).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let live = |life: &Arc<Life>| {
            let (life, stop) = (Arc::clone(life), Arc::clone(&stop));
            let (netns, account) = (netns.clone(), account.clone());
            std::thread::spawn(move || live(&life, &stop, &netns, &account))
        };
        let threads = lives.iter().map(live).collect();
        Self { lives, stop, threads }
    }

    /// Waits until every client has been served for this long without an error.
    pub(crate) fn until_calm(&self, span: Duration, limit: Duration) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < limit {
            std::thread::sleep(Duration::from_millis(50));
            let now = Instant::now();
            if self.lives.iter().all(|life| calm(&life.samples(), now, span, CALM_PAUSE)) {
                return Ok(());
            }
        }
        bail!("the clients found no calm in {limit:?}: {:?}", self.since(start));
    }

    /// What writers and readers met since then.
    pub(crate) fn since(&self, start: Instant) -> (Met, Met) {
        let of = |sql: &str| {
            let mut met = Met::default();
            for life in self.lives.iter().filter(|life| life.sql == sql) {
                let samples = life.samples();
                met.outage = met.outage.max(outage(&samples, start, Instant::now()));
                met.failures.add(&Failures::count(&samples, start));
            }
            met
        };
        (of(WRITE), of(READ))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A client that panicked has said so on its own.
            let _ = thread.join();
        }
    }
}

/// One client's life, on a thread of its own inside the namespace.
fn live(life: &Life, stop: &AtomicBool, netns: &Netns, account: &Account) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let (Ok(()), Ok(runtime)) = (netns.enter(), runtime) else { return };
    let mut connection = None;
    while !stop.load(Ordering::Relaxed) {
        let start = Instant::now();
        let result = runtime.block_on(async {
            let statement = one(&mut connection, account, life.sql);
            tokio::time::timeout(LIMIT, statement).await.unwrap_or(Err(Failure::TimedOut("query")))
        });
        life.samples().push(Sample { start, end: Instant::now(), result });
        std::thread::sleep(PAUSE);
    }
}

/// One statement, on the connection that is there or a new one. A server's error leaves the connection good; anything else
/// does not.
async fn one(connection: &mut Option<Client>, account: &Account, sql: &str) -> Result<(), Failure> {
    let mut client = match connection.take() {
        Some(client) => client,
        None => Client::connect(account).await?,
    };
    let outcome = client.query(sql).await;
    if matches!(outcome, Ok(_) | Err(Failure::Server { .. })) {
        *connection = Some(client);
    }
    outcome.map(drop)
}
