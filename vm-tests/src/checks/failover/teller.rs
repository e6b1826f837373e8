//! Clients that keep books: each knows what every one of its statements must answer, and what it was told is written.
//!
//! Like an application that was made with care, a teller runs a transaction again after the error that says so (1213), goes on
//! after other errors, and connects anew only when its connection is gone. It hides nothing of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use super::bed::Bed;
use super::server::Server;
use crate::lab::netns::Netns;
use crate::mysql::Failure;
use crate::mysql::client::{Account, Client, Rows};

/// A statement that takes longer is a failure: no application waits for ever.
const LIMIT: Duration = Duration::from_secs(25);
/// An idle teller has done so many statements when its rest begins.
const SETTLED: u64 = 9;
pub(crate) const PAUSE: Duration = Duration::from_millis(3);

/// What a teller does over and over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trade {
    /// Reads with autocommit, by text and prepared, from the readers.
    Reads,
    /// Writes with autocommit, by text and prepared.
    Writes,
    /// Transactions: read, write twice, commit.
    Transactions,
    /// Nothing until the end; then a read and a write, on the connection that it has had from the start.
    Idle,
}

impl Trade {
    pub(crate) const ALL: [Trade; 4] = [Trade::Reads, Trade::Writes, Trade::Transactions, Trade::Idle];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Trade::Reads => "reads",
            Trade::Writes => "writes",
            Trade::Transactions => "transactions",
            Trade::Idle => "idle",
        }
    }
}

/// What the tellers of one trade met.
#[derive(Debug, Clone, Default)]
pub(crate) struct Met {
    pub statements: u64,
    /// Errors of the server or proxy, by code and the first words; the connection stayed.
    pub errors: BTreeMap<String, usize>,
    /// Connections that were gone, and answers that were wrong.
    pub broken: Vec<String>,
    /// The slowest statement.
    pub slowest: Duration,
    /// The most errors that one teller met.
    pub most: usize,
}

impl Met {
    pub(crate) fn count(&self) -> usize {
        self.errors.values().sum()
    }

    pub(crate) fn codes(&self) -> BTreeSet<u16> {
        self.errors
            .keys()
            .filter_map(|text| text.split(' ').nth(1)?.trim_end_matches(':').parse().ok())
            .collect()
    }
}

/// One teller's book.
#[derive(Debug, Default)]
struct Book {
    met: Met,
    /// What the database has confirmed.
    written: BTreeSet<i64>,
    /// What may or may not be written: the connection or the server was lost before the answer.
    unknown: BTreeSet<i64>,
}

/// Running tellers. They stop at [`Tellers::stop`].
#[derive(Debug)]
pub(crate) struct Tellers {
    books: Vec<(Trade, Arc<Mutex<Book>>)>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// What they met, by trade, and what must be in the ledger.
#[derive(Debug)]
pub(crate) struct Report {
    pub met: BTreeMap<Trade, Met>,
    books: Vec<(BTreeSet<i64>, BTreeSet<i64>)>,
}

impl Tellers {
    /// So many of each trade, who rest between two turns. Returns when each has done something.
    pub(crate) fn start(bed: &Bed, each: usize, rest: Duration) -> Result<Self> {
        bed.servers
            .iter()
            .find(|server| server.query("SELECT @@read_only").is_ok_and(|on| on == "0"))
            .map_or_else(
                || bail!("no server takes writes"),
                |writer| {
                    let rows: Vec<_> =
                        (0..each * Trade::ALL.len()).map(|client| format!("({client}, 0)")).collect();
                    let counters = format!("REPLACE INTO test.counters VALUES {}", rows.join(","));
                    writer.query(&format!("DELETE FROM test.ledger; {counters}")).map(drop)
                },
            )?;
        let stop = Arc::new(AtomicBool::new(false));
        let (mut books, mut threads) = (Vec::new(), Vec::new());
        for trade in Trade::ALL {
            for _ in 0..each {
                let book = Arc::new(Mutex::new(Book::default()));
                let teller = Teller {
                    number: books.len() as i64,
                    trade,
                    account: bed.account("app"),
                    book: book.clone(),
                    stop: stop.clone(),
                    next: 0,
                    rest,
                };
                books.push((trade, book));
                let netns = bed.netns.clone();
                threads.push(std::thread::spawn(move || teller.work(&netns)));
            }
        }
        let tellers = Self { books, stop, threads };
        tellers.until_all_did(5)?;
        Ok(tellers)
    }

    /// Returns when each (but the idle ones) has done so many statements more without an error in between.
    pub(crate) fn until_all_did(&self, count: u64) -> Result<()> {
        for (trade, book) in &self.books {
            let look = || {
                let book = book.lock().unwrap_or_else(PoisonError::into_inner);
                (book.met.statements, book.met.count() + book.met.broken.len())
            };
            let mut from = look();
            let needed = if *trade == Trade::Idle { SETTLED.saturating_sub(from.0) } else { count };
            let end = Instant::now() + Duration::from_secs(60);
            while look().0 < from.0 + needed {
                let now = look();
                if now.1 > from.1 {
                    from = now;
                }
                ensure!(Instant::now() < end, "a teller of {} does nothing: {:?}", trade.name(), look());
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        Ok(())
    }

    /// Lets each end what it is at.
    pub(crate) fn stop(mut self) -> Result<Report> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            ensure!(thread.join().is_ok(), "a teller panicked");
        }
        let mut report = Report { met: BTreeMap::new(), books: Vec::new() };
        for (trade, book) in self.books.drain(..) {
            let book = std::mem::take(&mut *book.lock().unwrap_or_else(PoisonError::into_inner));
            let met = report.met.entry(trade).or_default();
            met.statements += book.met.statements;
            met.slowest = met.slowest.max(book.met.slowest);
            met.most = met.most.max(book.met.count());
            book.met
                .errors
                .iter()
                .for_each(|(text, count)| *met.errors.entry(text.clone()).or_default() += count);
            met.broken.extend(book.met.broken);
            report.books.push((book.written, book.unknown));
        }
        Ok(report)
    }
}

impl Drop for Tellers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Report {
    pub(crate) fn of(&self, trade: Trade) -> &Met {
        &self.met[&trade]
    }

    /// Every confirmed write is there, and nothing else but what may be.
    pub(crate) fn agrees_with(&self, server: &Server) -> Result<()> {
        let mut there: BTreeMap<usize, BTreeSet<i64>> = BTreeMap::new();
        for line in server.query("SELECT client, n FROM test.ledger")?.lines() {
            let Some((client, n)) = line.split_once('\t') else { bail!("a row {line:?}") };
            there.entry(client.parse()?).or_default().insert(n.parse()?);
        }
        for (client, (written, unknown)) in self.books.iter().enumerate() {
            let there = there.remove(&client).unwrap_or_default();
            let lost: Vec<_> = written.difference(&there).collect();
            ensure!(lost.is_empty(), "client {client}: confirmed and not there: {lost:?}");
            let more: Vec<_> =
                there.iter().filter(|n| !written.contains(n) && !unknown.contains(n)).collect();
            ensure!(more.is_empty(), "client {client}: there and never confirmed: {more:?}");
        }
        Ok(())
    }

    /// What was done, in a line.
    pub(crate) fn line(&self) -> String {
        let of = |(trade, met): (&Trade, &Met)| {
            format!("{} {}: slowest {} ms", met.statements, trade.name(), met.slowest.as_millis())
        };
        self.met.iter().map(of).collect::<Vec<_>>().join("; ")
    }

    /// No error, no connection lost.
    pub(crate) fn saw_nothing(&self) -> Result<()> {
        for (trade, met) in &self.met {
            ensure!(met.count() == 0 && met.broken.is_empty(), "{}: {met:?}", trade.name());
        }
        Ok(())
    }
}

/// A logged-in connection and what is prepared on it.
struct Desk {
    client: Client,
    insert: u32,
    read: u32,
}

struct Teller {
    number: i64,
    trade: Trade,
    account: Account,
    book: Arc<Mutex<Book>>,
    stop: Arc<AtomicBool>,
    next: i64,
    rest: Duration,
}

impl Teller {
    fn work(mut self, netns: &Netns) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let (Ok(()), Ok(runtime)) = (netns.enter(), runtime) else { return };
        runtime.block_on(async {
            let mut desk = None;
            while !self.stop.load(Ordering::Relaxed) {
                let turn = self.turn(&mut desk).await;
                self.note(&turn, &mut desk);
                tokio::time::sleep(self.rest).await;
            }
            if self.trade == Trade::Idle {
                // The connection of the beginning must still be good.
                let last = self.first_and_last(&mut desk).await;
                self.note(&last, &mut desk);
            }
            if let Some(desk) = desk {
                desk.client.quit().await;
            }
        });
    }

    fn note(&self, turn: &Result<(), Failure>, desk: &mut Option<Desk>) {
        let Err(failure) = turn else { return };
        let met = &mut self.book().met;
        match failure {
            Failure::Server { .. } => {
                let words: String = failure.to_string().chars().take(60).collect();
                *met.errors.entry(words).or_default() += 1;
            }
            other => {
                met.broken.push(other.to_string());
                *desk = None;
            }
        }
    }

    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn turn(&mut self, desk: &mut Option<Desk>) -> Result<(), Failure> {
        if desk.is_none() {
            *desk = Some(self.sit_down().await?);
        }
        let Some(desk_now) = desk.as_mut() else { return Ok(()) };
        match self.trade {
            Trade::Reads => self.read(desk_now).await,
            Trade::Writes => self.write(desk_now).await,
            Trade::Transactions => self.transaction(desk_now).await,
            Trade::Idle if self.next == 0 => self.first_and_last(desk).await,
            Trade::Idle => Ok(()),
        }
    }

    /// Connects, and leaves session state that must come along wherever the session goes.
    async fn sit_down(&self) -> Result<Desk, Failure> {
        let mut client = self.limited(Client::connect(&self.account)).await?;
        let number = self.number;
        self.limited(client.query(&format!("SET @teller={number}, time_zone='+0{}:00'", number % 10)))
            .await?;
        let insert = self
            .limited(client.prepare("INSERT INTO ledger (client, n, how) VALUES (?, ?, 'prepared')"))
            .await?;
        let read =
            self.limited(client.prepare("SELECT CAST(COUNT(*) AS CHAR) FROM seed WHERE id < ?")).await?;
        Ok(Desk { client, insert, read })
    }

    async fn limited<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let started = Instant::now();
        let done = tokio::time::timeout(LIMIT, work).await.unwrap_or(Err(Failure::TimedOut("statement")));
        let met = &mut self.book().met;
        met.slowest = met.slowest.max(started.elapsed());
        met.statements += 1;
        done
    }

    async fn read(&mut self, desk: &mut Desk) -> Result<(), Failure> {
        let rows = self.limited(desk.client.query("SELECT COUNT(*), @teller, @@time_zone FROM seed")).await?;
        let zone = format!("+0{}:00", self.number % 10);
        self.must_be(&rows, &["3", &self.number.to_string(), &zone])?;
        let rows = self.limited(desk.client.execute(desk.read, &[3])).await?;
        self.must_be(&rows, &["2"])
    }

    async fn write(&mut self, desk: &mut Desk) -> Result<(), Failure> {
        let (number, n) = (self.number, self.take_number());
        let sql = format!("INSERT INTO ledger (client, n, how) VALUES ({number}, {n}, 'text')");
        let done = self.limited(desk.client.query(&sql)).await;
        self.enter(n, done)?;
        let n = self.take_number();
        let done = self.limited(desk.client.execute(desk.insert, &[number, n])).await;
        self.enter(n, done)
    }

    async fn transaction(&mut self, desk: &mut Desk) -> Result<(), Failure> {
        let n = self.take_number();
        let done = self.whole_transaction(desk, n).await;
        if matches!(&done, Err(Failure::Server { code, .. }) if *code != 1213) {
            // An error that does not say that the transaction is gone: it is to be ended.
            self.limited(desk.client.query("ROLLBACK")).await?;
        }
        done
    }

    async fn whole_transaction(&mut self, desk: &mut Desk, n: i64) -> Result<(), Failure> {
        let number = self.number;
        self.limited(desk.client.query("BEGIN")).await?;
        let read = format!("SELECT n FROM counters WHERE client={number} FOR UPDATE");
        let rows = self.limited(desk.client.query(&read)).await?;
        let sql = format!("UPDATE counters SET n=n+1 WHERE client={number}");
        self.limited(desk.client.query(&sql)).await?;
        self.limited(desk.client.execute(desk.insert, &[number, n])).await?;
        let after = self.limited(desk.client.query(&read)).await?;
        let count = |rows: &Rows| rows.first().and_then(|row| row.first()?.as_ref()?.parse::<i64>().ok());
        if count(&after) != Some(count(&rows).unwrap_or(0) + 1) {
            return Err(Failure::Protocol("a transaction that lost its update"));
        }
        let done = self.limited(desk.client.query("COMMIT")).await;
        self.enter(n, done)
    }

    /// What an idle session does before and after its rest.
    async fn first_and_last(&mut self, desk: &mut Option<Desk>) -> Result<(), Failure> {
        let Some(desk) = desk.as_mut() else { return Err(Failure::Lost("the connection of the beginning")) };
        self.limited(desk.client.ping()).await?;
        self.read(desk).await?;
        self.write(desk).await
    }

    fn take_number(&mut self) -> i64 {
        self.next += 1;
        self.next
    }

    /// A write that was answered, or not.
    fn enter(&self, n: i64, done: Result<Rows, Failure>) -> Result<(), Failure> {
        match done {
            Ok(_) => drop(self.book().written.insert(n)),
            // Refused for certain: read-only servers and rolled back transactions write nothing.
            Err(Failure::Server { code: 1290 | 1836 | 9001, .. }) => {}
            Err(_) => drop(self.book().unknown.insert(n)),
        }
        done.map(drop)
    }

    fn must_be(&self, rows: &Rows, expected: &[&str]) -> Result<(), Failure> {
        let found: Vec<_> = rows.iter().flatten().map(|value| value.as_deref().unwrap_or("NULL")).collect();
        if found == expected {
            return Ok(());
        }
        self.book().met.broken.push(format!("{found:?} where {expected:?} was due"));
        Ok(())
    }
}
