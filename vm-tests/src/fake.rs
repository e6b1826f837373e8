//! Many database servers that are none: one thread that speaks MySQL's protocol on many addresses and answers from a script.
//!
//! Any account may log in. For what no real server here can be: an Aurora cluster, and two thousand servers at once.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::LocalSet;

use crate::lab::netns::Netns;
use crate::mysql::packet::{self, Greeting};

/// What a statement gets.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Done,
    Rows(Vec<&'static str>, Vec<Vec<Option<String>>>),
    /// The connection is closed.
    Gone,
}

/// What the server at this address says to this statement; an empty one stands for a login.
pub(crate) type Script = dyn Fn(SocketAddr, &str) -> Answer + Send + Sync;

/// The longest command that is read.
const LONGEST: usize = 1 << 20;
/// How soon a server that was taken away hangs up.
const LOOK: std::time::Duration = std::time::Duration::from_millis(300);

/// The running servers; they end when this is dropped.
#[derive(Debug)]
pub(crate) struct Fake {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Fake {
    /// Listens on all addresses, inside the namespace if there is one.
    pub(crate) fn start(
        netns: Option<&Netns>,
        addresses: &[SocketAddr],
        script: Arc<Script>,
    ) -> Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (started, ready) = std::sync::mpsc::channel();
        let (netns, addresses) = (netns.cloned(), addresses.to_vec());
        let work = move || {
            let listeners = listen(netns.as_ref(), &addresses);
            let outcome = listeners.and_then(|listeners| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                Ok((listeners, runtime))
            });
            let (listeners, runtime) = match outcome {
                Ok(ready) => ready,
                // Whoever waits for the start is told; if nobody does, nobody needs it.
                Err(error) => return drop(started.send(Err(error))),
            };
            let _ = started.send(Ok(()));
            LocalSet::new().block_on(&runtime, async {
                for listener in listeners {
                    tokio::task::spawn_local(accept(listener, Arc::clone(&script)));
                }
                // The sender's end is the signal, however it comes.
                let _ = stopped.await;
            });
        };
        let thread = std::thread::Builder::new().name("fake".into()).spawn(work)?;
        ready.recv().context("the fake servers ended at once")??;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // One that panicked has said so on its own.
            let _ = thread.join();
        }
    }
}

fn listen(netns: Option<&Netns>, addresses: &[SocketAddr]) -> Result<Vec<TcpListener>> {
    netns.map_or(Ok(()), Netns::enter)?;
    let one = |address: &SocketAddr| {
        let listener = TcpListener::bind(address).with_context(|| format!("listen on {address}"))?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    addresses.iter().map(one).collect()
}

async fn accept(listener: TcpListener, script: Arc<Script>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let Ok(own) = listener.local_addr() else { return };
    while let Ok((stream, _)) = listener.accept().await {
        let script = Arc::clone(&script);
        // Whatever ends a connection, there is nobody left to tell.
        tokio::task::spawn_local(async move { serve(stream, own, &*script).await });
    }
}

async fn serve(mut stream: TcpStream, own: SocketAddr, script: &Script) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    if matches!(script(own, ""), Answer::Gone) {
        return Ok(());
    }
    let greeting = Greeting::native("8.0.11-fake", &[b'n'; 20]);
    let ok = packet::ok(0, 0, packet::AUTOCOMMIT);
    write(&mut stream, 0, &[greeting.encode(1)]).await?;
    let (sequence, _) = read(&mut stream).await?;
    write(&mut stream, sequence.wrapping_add(1), std::slice::from_ref(&ok)).await?;
    loop {
        // A server that is gone hangs up by itself, as a dead process does. Only a look at the bytes tells whether there are any:
        // `readable` says so of a connection whose last read took exactly all there was.
        while tokio::time::timeout(LOOK, stream.peek(&mut [0])).await.is_err() {
            if matches!(script(own, ""), Answer::Gone) {
                return Ok(());
            }
        }
        let (_, command) = read(&mut stream).await?;
        let sql = match command.split_first() {
            None | Some((0x01, _)) => return Ok(()),
            Some((0x03, sql)) => String::from_utf8_lossy(sql),
            Some(_) => "DO 0".into(),
        };
        match script(own, &sql) {
            Answer::Done => write(&mut stream, 1, std::slice::from_ref(&ok)).await?,
            Answer::Rows(columns, rows) => write(&mut stream, 1, &result(&columns, rows)).await?,
            Answer::Gone => return Ok(()),
        }
    }
}

fn result(columns: &[&str], rows: Vec<Vec<Option<String>>>) -> Vec<Vec<u8>> {
    let mut count = Vec::new();
    packet::put_lenenc_int(&mut count, columns.len() as u64);
    let mut packets = vec![count];
    packets.extend(columns.iter().map(|name| packet::column(name, 0xfd)));
    packets.push(packet::eof(packet::AUTOCOMMIT));
    let cells = |row: Vec<Option<String>>| row.into_iter().map(|cell| cell.map(String::into_bytes)).collect();
    packets.extend(rows.into_iter().map(|row| {
        packet::row(&{
            let cells: Vec<_> = cells(row);
            cells
        })
    }));
    packets.push(packet::eof(packet::AUTOCOMMIT));
    packets
}

async fn write(stream: &mut TcpStream, first: u8, payloads: &[Vec<u8>]) -> std::io::Result<()> {
    let mut out = Vec::new();
    let mut sequence = first;
    for payload in payloads {
        out.extend_from_slice(&packet::header(payload.len(), sequence));
        out.extend_from_slice(payload);
        sequence = sequence.wrapping_add(1);
    }
    stream.write_all(&out).await
}

/// One packet of the other side: its number and its payload.
async fn read(stream: &mut TcpStream) -> std::io::Result<(u8, Vec<u8>)> {
    let mut header = [0; 4];
    stream.read_exact(&mut header).await?;
    let length = u32::from_le_bytes([header[0], header[1], header[2], 0]) as usize;
    if length > LONGEST {
        return Err(std::io::Error::other("a packet too large for a fake"));
    }
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).await?;
    Ok((header[3], payload))
}
