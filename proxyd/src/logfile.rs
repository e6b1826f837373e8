//! A log file that is bounded in size, in the number of files kept, and in what may wait to be written.
//!
//! A thread of its own writes it. Whoever has a line hands it over and goes on: when the disk is full or slow, lines are
//! lost and counted, and nobody waits. Files are `<path>.00000001`, `.00000002`, …; the oldest go first. It knows nothing
//! of what the lines say.

mod writer;

#[cfg(test)]
mod tests;

use std::io;
use std::ops::Add;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::time::Duration;

use writer::Writer;

/// Bytes of lines that may wait; with the disk standing still, later lines are lost.
const MAX_WAITING: usize = 16 << 20;
/// What a waiting line takes beside its text.
const LINE_COST: usize = 64;
/// How long the end of the process waits for the last lines.
const LAST_LINES: Duration = Duration::from_millis(500);

/// Where lines go and how much of them is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The files are this path with a number behind it.
    pub path: PathBuf,
    /// A file that would grow beyond this is followed by the next one.
    pub max_bytes: u64,
    /// Files that are kept, with the one that is being written; at least 1.
    pub keep: usize,
}

/// Lines so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub written: u64,
    pub lost: u64,
}

impl Add for Counts {
    type Output = Counts;

    fn add(self, other: Counts) -> Counts {
        Counts { written: self.written + other.written, lost: self.lost + other.lost }
    }
}

/// A handle on one log; clones write the same one.
#[derive(Debug, Clone)]
pub struct LogFile {
    queue: Sender<Message>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    on: AtomicBool,
    /// Bytes in the queue.
    waiting: AtomicUsize,
    written: AtomicU64,
    lost: AtomicU64,
}

#[derive(Debug)]
enum Message {
    Line(Vec<u8>),
    Aim(Option<Target>),
    Rotate,
    /// Answered when everything before it is written.
    Flush(Sender<()>),
}

impl LogFile {
    /// Starts the thread; nothing is written before [`LogFile::aim`]. The name is the thread's.
    pub fn start(name: &'static str) -> io::Result<LogFile> {
        let (queue, messages) = mpsc::channel();
        let shared = Arc::<Shared>::default();
        let writer = Writer::new(name, shared.clone());
        std::thread::Builder::new().name(name.into()).spawn(move || writer.run(&messages))?;
        Ok(LogFile { queue, shared })
    }

    /// Whether lines go anywhere: ask before making one.
    pub fn is_on(&self) -> bool {
        self.shared.on.load(Ordering::Relaxed)
    }

    /// Hands a line over, without its end; never waits.
    pub fn line(&self, mut line: Vec<u8>) {
        if !self.is_on() {
            return;
        }
        line.push(b'\n');
        let size = line.len() + LINE_COST;
        if self.shared.waiting.fetch_add(size, Ordering::Relaxed) + size > MAX_WAITING
            || self.queue.send(Message::Line(line)).is_err()
        {
            self.shared.waiting.fetch_sub(size, Ordering::Relaxed);
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// From now on lines go here, or nowhere.
    pub fn aim(&self, target: Option<Target>) {
        self.shared.on.store(target.is_some(), Ordering::Relaxed);
        self.tell(Message::Aim(target));
    }

    /// Begins the next file: `PROXYSQL FLUSH LOGS`.
    pub fn rotate(&self) {
        self.tell(Message::Rotate);
    }

    /// Waits a moment until what was handed over is written; false when that takes longer.
    pub fn flush(&self) -> bool {
        let (done, written) = mpsc::channel();
        self.tell(Message::Flush(done));
        written.recv_timeout(LAST_LINES).is_ok()
    }

    pub fn counts(&self) -> Counts {
        Counts {
            written: self.shared.written.load(Ordering::Relaxed),
            lost: self.shared.lost.load(Ordering::Relaxed),
        }
    }

    fn tell(&self, message: Message) {
        // The thread ends with the last handle, so it is there.
        let _ = self.queue.send(message);
    }
}
