//! The measuring client: every 5 ms a new connection to a VIP with one query, from inside the client's namespace.
//!
//! Attempts overlap, so a dead address costs no precision: the first attempt that a new master answers is at most 5 ms old.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, timeout};

use super::samples::Sample;
use crate::lab::netns::Netns;
use crate::mysql::client::Account;
use crate::mysql::{Client, Failure};

/// How often an attempt begins.
pub(crate) const EVERY: Duration = Duration::from_millis(5);
/// A SYN that is lost would be sent again after a second; a fresh attempt is sooner.
const CONNECT: Duration = Duration::from_millis(250);
/// From the connection to the answer: as patient as an application, so that a proxy that comes back in time costs no error.
const ANSWER: Duration = Duration::from_millis(1500);
const IN_FLIGHT: usize = 384;

/// The account of the article.
pub(crate) fn account(vip: Ipv4Addr, port: u16) -> Account {
    Account {
        address: (vip, port).into(),
        user: "load_RW".into(),
        password: "test".into(),
        database: Some("test".into()),
    }
}

/// Samples that a background thread collects; shared with whoever reads them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Book>>);

#[derive(Debug, Default)]
struct Book {
    samples: Vec<Sample>,
    /// When the attempts began that have not ended yet.
    pending: Vec<Instant>,
}

impl Log {
    /// In the order of their ends: one thread pushes, each sample as it ends.
    pub(crate) fn push(&self, sample: Sample) {
        let mut book = self.lock();
        if let Some(at) = book.pending.iter().position(|start| *start == sample.start) {
            book.pending.swap_remove(at);
        }
        book.samples.push(sample);
    }

    /// An attempt begins; its sample will have the same start.
    fn begin(&self, start: Instant) {
        self.lock().pending.push(start);
    }

    /// When the oldest attempt began that has not ended yet.
    pub(crate) fn oldest_pending(&self) -> Option<Instant> {
        self.lock().pending.iter().min().copied()
    }

    /// Samples that ended behind `start`, and those shortly before it.
    pub(crate) fn since(&self, start: Instant) -> Vec<Sample> {
        let margin = start.checked_sub(Duration::from_secs(2)).unwrap_or(start);
        let book = self.lock();
        book.samples[book.samples.partition_point(|s| s.end < margin)..].to_vec()
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread inside a namespace that runs until it is dropped.
#[derive(Debug)]
pub(crate) struct Background {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// `body` is called with the flag that tells it to return.
    pub(crate) fn spawn<F, Fut>(name: &str, netns: &Netns, body: F) -> Result<Self>
    where
        F: FnOnce(Arc<AtomicBool>) -> Fut + Send + 'static,
        Fut: Future<Output = ()>,
    {
        let stop = Arc::new(AtomicBool::new(false));
        let (flag, netns) = (Arc::clone(&stop), netns.clone());
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
            let entered = netns.enter().and_then(|()| runtime());
            match entered {
                Ok(runtime) => runtime.block_on(body(flag)),
                Err(error) => eprintln!("{error:#}"),
            }
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("a client thread panicked");
        }
    }
}

/// A runtime on the calling thread: its sockets belong to the namespace that the thread has entered.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("build a runtime")
}

/// How often an attempt begins, and how long it waits from the connection to the answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub every: Duration,
    pub answer: Duration,
}

/// A probe of one VIP.
#[derive(Debug)]
pub(crate) struct Probe {
    pub log: Log,
    _thread: Background,
}

impl Probe {
    pub(crate) fn start(netns: &Netns, account: Account) -> Result<Self> {
        Self::paced(Pace { every: EVERY, answer: ANSWER }, netns, account)
    }

    /// For hosts that are slower than this machine.
    pub(crate) fn paced(pace: Pace, netns: &Netns, account: Account) -> Result<Self> {
        let log = Log::default();
        let samples = log.clone();
        let thread = Background::spawn("probe", netns, move |stop| knock(account, pace, samples, stop))?;
        Ok(Self { log, _thread: thread })
    }
}

async fn knock(account: Account, pace: Pace, log: Log, stop: Arc<AtomicBool>) {
    let account = Arc::new(account);
    let permits = Arc::new(Semaphore::new(IN_FLIGHT));
    let mut clock = tokio::time::interval(pace.every);
    clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
    while !stop.load(Ordering::Relaxed) {
        clock.tick().await;
        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else { continue };
        let (account, log) = (Arc::clone(&account), log.clone());
        let start = Instant::now();
        log.begin(start);
        tokio::spawn(async move {
            let result = attempt(&account, pace.answer).await;
            log.push(Sample { start, end: Instant::now(), result });
            drop(permit);
        });
    }
}

/// One new connection with one query.
async fn attempt(account: &Account, patience: Duration) -> Result<(), Failure> {
    let stream =
        timeout(CONNECT, Client::dial(account)).await.map_err(|_| Failure::TimedOut("connect"))??;
    let answered = timeout(patience, async {
        let mut client = Client::log_in(stream, account).await?;
        let rows = client.query("SELECT 1").await?;
        client.quit().await;
        Ok(rows)
    });
    let rows = answered.await.map_err(|_| Failure::TimedOut("answer"))??;
    match rows.first().and_then(|row| row.first()) {
        Some(Some(one)) if one == "1" => Ok(()),
        _ => Err(Failure::Protocol("SELECT 1 is not 1")),
    }
}
