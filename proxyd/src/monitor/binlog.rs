//! Listens to binlog readers: one connection for each server that has a `gtid_port`, on the control thread.
//!
//! What a reader tells goes to the runtime, and from there to the workers, at most once a millisecond for each server. A reader that
//! cannot be reached, hangs up or talks nonsense makes its server unknown, and is tried again.

use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant};

use proxyd_gtid::reader::{Decoder, Message, WireError};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::executed::News;
use crate::runtime::{Address, SharedRuntime};

/// How soon a changed configuration is noticed.
const RECONCILE: Duration = Duration::from_millis(250);
/// A reader that does not take a connection for so long is not there.
const CONNECT: Duration = Duration::from_secs(5);
/// The first pause before another try; each is twice as long as the last, up to `mysql-binlog_reader_connect_retry_msec`.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// What comes in less is one piece of news.
const BATCH: Duration = Duration::from_millis(1);
/// A reader whose host is gone is found out after some fifteen seconds of silence.
const KEEPALIVE: Duration = Duration::from_secs(9);
const PROBES: Duration = Duration::from_secs(2);

/// Why a reader is not listened to any longer.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it closed the connection")]
    Closed,
    #[error("{0}")]
    Wire(#[from] WireError),
    #[error("it tells of too many intervals")]
    TooMuch,
}

/// The tasks, one for each server; they end with this.
struct Ears {
    runtime: SharedRuntime,
    listening: HashMap<Address, (u16, JoinHandle<()>)>,
}

impl Drop for Ears {
    fn drop(&mut self) {
        self.listening.values().for_each(|(_, task)| task.abort());
    }
}

/// Listens to the readers that the runtime has, as it changes. Never returns.
pub async fn listen_to_readers(runtime: SharedRuntime) {
    let mut ears = Ears { runtime, listening: HashMap::new() };
    let mut tick = tokio::time::interval(RECONCILE);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        ears.reconcile();
    }
}

impl Ears {
    fn reconcile(&mut self) {
        let wanted = self.runtime.borrow().binlog_readers();
        self.listening.retain(|address, (port, task)| {
            let keep = wanted.get(address) == Some(port) && !task.is_finished();
            if !keep {
                task.abort();
                self.runtime.borrow_mut().forget_executed(address);
            }
            keep
        });
        for (address, port) in wanted {
            let runtime = self.runtime.clone();
            self.listening
                .entry(address.clone())
                .or_insert_with(|| (port, tokio::task::spawn_local(listen(runtime, address, port))));
        }
    }
}

/// One reader, for as long as the task lives.
async fn listen(runtime: SharedRuntime, address: Address, port: u16) {
    let mut pause = FIRST_PAUSE;
    loop {
        let mut was_heard = false;
        let Err(lost) = listen_once(&runtime, &address, port, &mut was_heard).await;
        runtime.borrow_mut().learn_executed(&address, News::Silence);
        if was_heard {
            pause = FIRST_PAUSE;
        }
        tracing::warn!(server = %address, port, cause = %lost, "the binlog reader is not heard");
        let longest = runtime.borrow().variables().binlog_reader_connect_retry;
        sleep(pause.min(longest)).await;
        pause = (pause * 2).min(longest);
    }
}

async fn listen_once(
    runtime: &SharedRuntime,
    address: &Address,
    port: u16,
    was_heard: &mut bool,
) -> Result<std::convert::Infallible, Lost> {
    let connect = TcpStream::connect((&*address.hostname, port));
    let mut stream = timeout(CONNECT, connect).await.map_err(io::Error::from)??;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(PROBES).with_retries(3);
    SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
    let (mut decoder, mut buffer) = (Decoder::default(), Vec::new());
    loop {
        buffer.clear();
        buffer.reserve(64 * 1024);
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(Lost::Closed);
        }
        let began = Instant::now();
        let (mut everything, mut more) = (None, Vec::new());
        decoder.push(&buffer, |message| match message {
            Message::Executed(executed) => {
                everything = Some(executed);
                more.clear();
            }
            Message::More(range) => more.push(range),
        })?;
        if everything.is_some() && !std::mem::replace(was_heard, true) {
            tracing::info!(server = %address, port, "the binlog reader is heard");
        }
        let news = [everything.map(News::Everything), (!more.is_empty()).then_some(News::More(more))];
        for news in news.into_iter().flatten() {
            if !runtime.borrow_mut().learn_executed(address, news) {
                return Err(Lost::TooMuch);
            }
        }
        sleep(BATCH.saturating_sub(began.elapsed())).await;
    }
}
