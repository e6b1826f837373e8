//! The rest of the load on a VIP: connections that only wait, and the article's loop of statements.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::time::timeout;

use super::probe::{Background, Log, runtime};
use super::samples::Sample;
use crate::lab::netns::Netns;
use crate::mysql::client::Account;
use crate::mysql::{Client, Failure};

/// How many connections wait idle during a drill.
pub(crate) const IDLE: usize = 20;

/// Before anything happens nobody is in a hurry.
const OPENING: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(2);
const TURN: Duration = Duration::from_millis(20);

/// The article's table, as the article creates it.
pub(crate) const CREATE_TABLE: &str = "CREATE TABLE IF NOT EXISTS test.`testtable2` (
  `autoInc` bigint(11) NOT NULL AUTO_INCREMENT,
  `a` varchar(100) COLLATE utf8_bin NOT NULL,
  `b` varchar(100) COLLATE utf8_bin NOT NULL,
  `host` varchar(100) COLLATE utf8_bin NOT NULL,
  `userhost` varchar(100) COLLATE utf8_bin NOT NULL,
  PRIMARY KEY (`autoInc`)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC";

/// The article's loop, statement by statement.
const STATEMENTS: [&str; 6] = [
    "BEGIN",
    "set @userHost='a'",
    "select concat(user,'_', host) into @userHost from information_schema.processlist  where user = 'load_RW' limit 1",
    "insert into test.testtable2 values(NULL,'standfast',SYSDATE(6),@@hostname,@userHost)",
    "commit",
    "select * from test.testtable2 order by 1 DESC limit 1",
];

/// Connections that say nothing until they are asked.
#[derive(Debug)]
pub(crate) struct IdleSessions {
    ask: mpsc::Sender<mpsc::Sender<usize>>,
}

impl IdleSessions {
    /// Logs them all in.
    pub(crate) fn open(netns: &Netns, account: &Account) -> Result<Self> {
        let (ask, asked) = mpsc::channel::<mpsc::Sender<usize>>();
        let (opened, wait) = mpsc::channel();
        let (netns, account) = (netns.clone(), account.clone());
        let address = account.address;
        std::thread::Builder::new().name("idle".into()).spawn(move || {
            let entered = netns.enter().and_then(|()| runtime());
            let Ok(runtime) = entered else { return };
            let mut clients = Vec::new();
            for _ in 0..IDLE {
                match runtime.block_on(async { timeout(OPENING, Client::connect(&account)).await }) {
                    Ok(Ok(client)) => clients.push(client),
                    Ok(Err(failure)) => return drop(opened.send(Err(failure))),
                    Err(_) => return drop(opened.send(Err(Failure::TimedOut("connect")))),
                }
            }
            drop(opened.send(Ok(())));
            while let Ok(answer) = asked.recv() {
                if answer.send(runtime.block_on(count_lost(&mut clients))).is_err() {
                    break;
                }
            }
        })?;
        let result = wait.recv().context("the idle sessions' thread ended")?;
        result.map_err(|failure| anyhow::anyhow!("open an idle session at {address}: {failure}"))?;
        Ok(Self { ask })
    }

    /// Pings each; how many are gone.
    pub(crate) fn lost(&self) -> Result<usize> {
        let (answer, wait) = mpsc::channel();
        self.ask.send(answer).context("the idle sessions' thread ended")?;
        wait.recv().context("the idle sessions' thread ended")
    }
}

async fn count_lost(clients: &mut [Client]) -> usize {
    let mut lost = 0;
    for client in clients {
        let alive = timeout(Duration::from_millis(500), client.ping()).await;
        lost += usize::from(!matches!(alive, Ok(Ok(()))));
    }
    lost
}

/// The article's BEGIN … SELECT on one connection, again and again; a new connection after each failure.
#[derive(Debug)]
pub(crate) struct ArticleLoop {
    pub log: Log,
    _thread: Background,
}

impl ArticleLoop {
    pub(crate) fn start(netns: &Netns, account: Account) -> Result<Self> {
        let log = Log::default();
        let samples = log.clone();
        let thread = Background::spawn("loop", netns, |stop| turns(account, samples, stop))?;
        Ok(Self { log, _thread: thread })
    }
}

async fn turns(account: Account, log: Log, stop: Arc<AtomicBool>) {
    let mut client = None;
    while !stop.load(Ordering::Relaxed) {
        let start = Instant::now();
        let turn = timeout(PATIENCE, turn(&mut client, &account)).await;
        let result = turn.unwrap_or(Err(Failure::TimedOut("loop")));
        if result.is_err() {
            client = None;
        }
        log.push(Sample { start, end: Instant::now(), result });
        tokio::time::sleep(TURN).await;
    }
}

async fn turn(client: &mut Option<Client>, account: &Account) -> Result<(), Failure> {
    let client = match client {
        Some(client) => client,
        None => client.insert(Client::connect(account).await?),
    };
    let mut rows = Vec::new();
    for statement in STATEMENTS {
        rows = client.query(statement).await?;
    }
    if rows.len() == 1 { Ok(()) } else { Err(Failure::Protocol("the loop's SELECT gave no row")) }
}

/// Runs statements once, on a connection of their own, from inside a namespace.
pub(crate) fn run_once(netns: &Netns, account: &Account, statements: &[&str]) -> Result<()> {
    let statements: Vec<String> = statements.iter().map(|s| (*s).to_owned()).collect();
    let (netns, account) = (netns.clone(), account.clone());
    let ran = std::thread::spawn(move || -> Result<()> {
        netns.enter()?;
        let work = async {
            let mut client = Client::connect(&account).await?;
            for statement in &statements {
                client.query(statement).await?;
            }
            Ok::<(), Failure>(())
        };
        let result = runtime()?.block_on(async { timeout(Duration::from_secs(20), work).await });
        result.unwrap_or(Err(Failure::TimedOut("statement"))).map_err(|failure| anyhow::anyhow!("{failure}"))
    });
    ran.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a client thread panicked")))
}
