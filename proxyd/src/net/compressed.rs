//! A stream under MySQL's compressed protocol: reads and writes the frames, the wire has the blocks.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use proxyd_wire::compression::{self, Algorithm, Found, Numbers};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::Stream;

/// What is asked of the stream at once.
const READ: usize = 16 * 1024;

/// Which side of the protocol we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Blocks go on counting from what the client sent.
    Server,
    /// What is written is whole commands, each of which begins its count anew.
    Client,
}

/// The stream, and what of a block has come or is to go.
#[derive(Debug)]
pub struct Compressed {
    stream: Stream,
    algorithm: Algorithm,
    role: Role,
    received: Count,
    sent: Count,
    /// The next block begins an answer.
    answer_due: bool,
    /// Packets go on counting instead of beginning anew.
    follows: bool,
    /// What was read, up to one block and a read.
    blocks: Vec<u8>,
    /// What came out of blocks and nobody has taken yet, from `taken` on.
    plain: Vec<u8>,
    taken: usize,
    /// What is being written, from `written` on.
    out: Vec<u8>,
    written: usize,
}

/// The numbers of frames in one direction.
#[derive(Debug, Default)]
struct Count {
    numbers: Numbers,
    /// Of the next block, and of the next frame.
    block: u8,
    frame: u8,
}

impl Count {
    /// Takes note of frames that go out as they are.
    fn observe(&mut self, bytes: &[u8]) {
        let mut at = 0;
        while let Some((index, _)) = self.numbers.next(bytes, &mut at) {
            self.frame = bytes.get(index).map_or(0, |number| number.wrapping_add(1));
        }
    }

    /// Gives frames the numbers that they would have without compression; `anew`: each packet begins at 0.
    fn renumber(&mut self, bytes: &mut [u8], anew: bool) {
        let mut at = 0;
        while let Some((index, continues)) = self.numbers.next(bytes, &mut at) {
            if anew && !continues {
                self.frame = 0;
            }
            if let Some(number) = bytes.get_mut(index) {
                *number = self.frame;
            }
            self.frame = self.frame.wrapping_add(1);
        }
    }
}

impl Compressed {
    pub fn new(stream: Stream, algorithm: Algorithm, role: Role) -> Compressed {
        let (blocks, plain, out) = (Vec::new(), Vec::new(), Vec::new());
        let (received, sent) = (Count::default(), Count::default());
        let (answer_due, follows) = (true, false);
        Compressed {
            stream,
            algorithm,
            role,
            received,
            sent,
            answer_due,
            follows,
            blocks,
            plain,
            taken: 0,
            out,
            written: 0,
        }
    }

    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Nothing has come that nobody has taken.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty() && self.plain.is_empty()
    }

    /// What comes next goes on with the exchange (a file, of several packets) until it is said that it is over.
    pub fn follow(&mut self, on: bool) {
        self.received.frame = self.sent.frame;
        self.follows = on;
    }

    /// Sends an answer, or commands.
    pub async fn send(&mut self, frames: &[u8]) -> io::Result<()> {
        if self.role == Role::Server {
            return self.send_more(frames).await;
        }
        for command in compression::commands(frames) {
            self.sent.block = 0;
            self.sent.observe(command);
            compression::pack(command, self.algorithm, &mut self.sent.block, &mut self.out);
        }
        self.answer_due = true;
        self.flush().await
    }

    /// Sends more of an exchange that is under way.
    pub async fn send_more(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sent.observe(bytes);
        compression::pack(bytes, self.algorithm, &mut self.sent.block, &mut self.out);
        self.answer_due = true;
        self.flush().await
    }

    /// Writes what waits in `out`, which is empty, and free, at the end.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.out.len() {
            let rest = &self.out[self.written..];
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.written += count,
            }
        }
        self.out = Vec::new();
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    /// Opens a block if a whole one is there.
    fn open(&mut self) -> io::Result<()> {
        let found = compression::unpack(&self.blocks, self.algorithm, &mut self.plain);
        let found = found.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        if let Found::Block { length, sequence } = found {
            // Of commands that were sent together, each answer's blocks begin their numbers anew.
            let begins = self.answer_due || sequence != self.received.block;
            if self.role == Role::Client && begins {
                self.received.frame = self.sent.frame;
            }
            self.answer_due = false;
            self.received.block = sequence.wrapping_add(1);
            self.sent.block = self.received.block;
            self.received.renumber(&mut self.plain, self.role == Role::Server && !self.follows);
            self.blocks.drain(..length);
            if self.blocks.is_empty() {
                self.blocks = Vec::new();
            }
        }
        Ok(())
    }
}

impl AsyncRead for Compressed {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if let Some(rest) = this.plain.get(this.taken..).filter(|rest| !rest.is_empty()) {
                let count = rest.len().min(buf.remaining());
                buf.put_slice(&rest[..count]);
                this.taken += count;
                if this.taken == this.plain.len() {
                    this.plain = Vec::new();
                    this.taken = 0;
                }
                return Poll::Ready(Ok(()));
            }
            this.open()?;
            if !this.plain.is_empty() {
                continue;
            }
            let before = this.blocks.len();
            this.blocks.resize(before + READ, 0);
            let mut room = ReadBuf::new(&mut this.blocks[before..]);
            let polled = Pin::new(&mut this.stream).poll_read(cx, &mut room);
            let count = room.filled().len();
            this.blocks.truncate(before + count);
            if before + count == 0 {
                this.blocks = Vec::new();
            }
            ready!(polled)?;
            match (count, before) {
                (0, 0) => return Poll::Ready(Ok(())),
                (0, _) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                _ => {}
            }
        }
    }
}

impl AsyncWrite for Compressed {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        this.sent.observe(buf);
        compression::pack(buf, this.algorithm, &mut this.sent.block, &mut this.out);
        // What does not go at once goes before the next bytes, or with a flush.
        match this.poll_drain(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(buf.len())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}
