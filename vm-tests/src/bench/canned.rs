//! A backend without a database: every login succeeds, every query has the same answer, at once, by text and prepared.
//!
//! It is a process of its own (`standfast-lab bench-backend`), one thread, so that its time is not a target's.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::process::Command;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::mysql::packet::{self, Greeting};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Where to listen
    #[arg(long)]
    listen: SocketAddr,
}

/// What starts it with these options.
pub(crate) fn arguments(command: &mut Command, listen: SocketAddr) -> &mut Command {
    command.args(["bench-backend", "--listen"]).arg(listen.to_string())
}

/// Serves until the process is killed.
pub(crate) fn run(options: &Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, async {
        let listener = TcpListener::bind(options.listen)
            .await
            .with_context(|| format!("listen on {}", options.listen))?;
        let answers = std::rc::Rc::new(Answers::new());
        loop {
            let (stream, _) = listener.accept().await?;
            let answers = std::rc::Rc::clone(&answers);
            // Whatever ends a connection, there is nobody left to tell.
            tokio::task::spawn_local(async move { serve(stream, &answers).await });
        }
    })
}

struct Answers {
    row: Vec<u8>,
    /// The same row for a prepared statement.
    binary_row: Vec<u8>,
    /// To COM_STMT_PREPARE; the statement's id is yet to be put in.
    prepared: Vec<u8>,
    done: Vec<u8>,
}

/// Where the id stands in the answer to COM_STMT_PREPARE: behind the header and the OK's first byte.
const STATEMENT_ID: Range<usize> = 5..9;

impl Answers {
    /// One column, one row of 120 characters, as sysbench's point select has it.
    fn new() -> Self {
        let text = packet::row(&[Some(vec![b'x'; 119])]);
        // No parameter and no column of it is NULL.
        let binary = [&[0, 0], &text[..]].concat();
        let column = || packet::column("c", 0xfe);
        let eof = || packet::eof(packet::AUTOCOMMIT);
        // One column, one parameter, no warnings.
        let head = vec![0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0];
        Self {
            row: answer(&[vec![1], column(), eof(), text, eof()]),
            binary_row: answer(&[vec![1], column(), eof(), binary, eof()]),
            prepared: answer(&[head, packet::column("?", 0xfd), eof(), column(), eof()]),
            done: answer(&[packet::ok(0, 0, packet::AUTOCOMMIT)]),
        }
    }

    fn prepared(&self, id: u32) -> Vec<u8> {
        let mut bytes = self.prepared.clone();
        bytes[STATEMENT_ID].copy_from_slice(&id.to_le_bytes());
        bytes
    }
}

/// Packets in their frames, after a command.
fn answer(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for (sequence, payload) in (1u8..).zip(packets) {
        append(&mut out, payload, sequence);
    }
    out
}

fn append(out: &mut Vec<u8>, payload: &[u8], sequence: u8) {
    out.extend_from_slice(&packet::header(payload.len(), sequence));
    out.extend_from_slice(payload);
}

async fn serve(mut stream: TcpStream, answers: &Answers) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let greeting = Greeting::native("8.0.11-canned", &[b'n'; 20]);
    let mut out = Vec::new();
    append(&mut out, &greeting.encode(1), 0);
    stream.write_all(&out).await?;
    let mut buffer = vec![0; 64 * 1024];
    read_packet(&mut stream, &mut buffer).await?;
    out.clear();
    append(&mut out, &packet::ok(0, 0, packet::AUTOCOMMIT), buffer[3].wrapping_add(1));
    stream.write_all(&out).await?;
    let mut statements = 0;
    loop {
        let payload = read_packet(&mut stream, &mut buffer).await?;
        match buffer[payload].split_first() {
            None | Some((0x01, _)) => return Ok(()),
            Some((0x03, query)) if selects(query) => stream.write_all(&answers.row).await?,
            Some((0x16, _)) => {
                statements += 1;
                stream.write_all(&answers.prepared(statements)).await?;
            }
            Some((0x17, _)) => stream.write_all(&answers.binary_row).await?,
            // COM_STMT_CLOSE has no answer.
            Some((0x19, _)) => {}
            Some(_) => stream.write_all(&answers.done).await?,
        }
    }
}

fn selects(query: &[u8]) -> bool {
    query.get(..6).is_some_and(|word| word.eq_ignore_ascii_case(b"select"))
}

/// One packet of the other side, which says one thing at a time; where its payload is in the buffer.
async fn read_packet(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<Range<usize>> {
    let mut filled = 0;
    loop {
        let count = stream.read(&mut buffer[filled..]).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        filled += count;
        if filled >= 4 {
            let end = 4 + u32::from_le_bytes([buffer[0], buffer[1], buffer[2], 0]) as usize;
            if end > buffer.len() {
                return Err(io::Error::other("a packet too large for a bench"));
            }
            if filled >= end {
                return Ok(4..end);
            }
        }
    }
}
