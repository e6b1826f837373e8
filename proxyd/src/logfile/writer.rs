//! The thread behind a [`LogFile`](super::LogFile): batches, files, numbers.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use super::{LINE_COST, Message, Shared, Target};

/// One write takes so many bytes of lines at most, but at least one line.
const BATCH: usize = 64 << 10;
/// After a failed write the next one is tried so much later; lines until then are lost.
const RETRY: Duration = Duration::from_secs(1);
/// A file that keeps failing is in the system's log this often.
const COMPLAIN: Duration = Duration::from_secs(60);

pub(super) struct Writer {
    name: &'static str,
    shared: Arc<Shared>,
    target: Option<Target>,
    open: Option<Open>,
    failed: Option<Instant>,
    complained: Option<Instant>,
}

/// The file that is being written.
struct Open {
    file: File,
    number: u32,
    size: u64,
}

impl Writer {
    pub(super) fn new(name: &'static str, shared: Arc<Shared>) -> Writer {
        Writer { name, shared, target: None, open: None, failed: None, complained: None }
    }

    /// Until the last handle is dropped.
    pub(super) fn run(mut self, messages: &Receiver<Message>) {
        let mut next = None;
        while let Some(message) = next.take().or_else(|| messages.recv().ok()) {
            match message {
                Message::Line(first) => next = self.batch(first, messages),
                Message::Aim(target) if target == self.target => {}
                Message::Aim(target) => {
                    let moved = self.path() != target.as_ref().map(|target| target.path.as_path());
                    self.target = target;
                    if moved {
                        (self.open, self.failed) = (None, None);
                    }
                }
                Message::Rotate => self.rotate(),
                Message::Flush(done) => {
                    // Whoever asked may have stopped waiting.
                    let _ = done.send(());
                }
            }
        }
    }

    fn path(&self) -> Option<&Path> {
        self.target.as_ref().map(|target| target.path.as_path())
    }

    /// Writes this line and those behind it that fit; returns what came after them.
    fn batch(&mut self, first: Vec<u8>, messages: &Receiver<Message>) -> Option<Message> {
        let (mut batch, mut lines, mut cost) = (first, 1, 0);
        cost += batch.len() + LINE_COST;
        let mut next = None;
        while batch.len() < BATCH {
            match messages.try_recv() {
                Ok(Message::Line(line)) if self.fits(batch.len() + line.len()) => {
                    cost += line.len() + LINE_COST;
                    lines += 1;
                    batch.extend_from_slice(&line);
                }
                Ok(other) => {
                    next = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        let counter = if self.write(&batch) { &self.shared.written } else { &self.shared.lost };
        counter.fetch_add(lines, Ordering::Relaxed);
        self.shared.waiting.fetch_sub(cost, Ordering::Relaxed);
        next
    }

    /// Whether so much more may stand in the file that is open.
    fn fits(&self, more: usize) -> bool {
        let size = self.open.as_ref().map_or(0, |open| open.size);
        self.target.as_ref().is_none_or(|target| size + more as u64 <= target.max_bytes)
    }

    fn write(&mut self, batch: &[u8]) -> bool {
        if self.failed.is_some_and(|at| at.elapsed() < RETRY) {
            return false;
        }
        match self.try_write(batch) {
            Ok(()) => {
                self.failed = None;
                true
            }
            Err(error) => {
                (self.failed, self.open) = (Some(Instant::now()), None);
                if self.complained.is_none_or(|at| at.elapsed() > COMPLAIN) {
                    self.complained = Some(Instant::now());
                    let file = self.path().unwrap_or(Path::new("")).display();
                    tracing::error!(log = self.name, %file, %error, "lines of this log are lost");
                }
                false
            }
        }
    }

    fn try_write(&mut self, batch: &[u8]) -> io::Result<()> {
        let Some(target) = self.target.clone() else { return Err(io::ErrorKind::NotFound.into()) };
        let mut open = match self.open.take() {
            Some(open) => open,
            None => open_last(&target)?,
        };
        if open.size > 0 && open.size + batch.len() as u64 > target.max_bytes {
            open = open_number(&target, open.number.wrapping_add(1))?;
            prune(&target);
        }
        if let Err(error) = open.file.write_all(batch) {
            // No half of a line stays; a file that cannot be cut is left as it is.
            let _ = open.file.set_len(open.size);
            return Err(error);
        }
        open.size += batch.len() as u64;
        self.open = Some(open);
        Ok(())
    }

    fn rotate(&mut self) {
        let Some(target) = self.target.clone() else { return };
        let number = match self.open.take() {
            Some(open) => Ok(open.number),
            None => numbers(&target.path).map(|numbers| numbers.last().copied().unwrap_or(0)),
        };
        match number.and_then(|number| open_number(&target, number.wrapping_add(1))) {
            Ok(open) => {
                self.open = Some(open);
                self.failed = None;
                prune(&target);
            }
            Err(error) => tracing::error!(log = self.name, %error, "the next log file cannot be begun"),
        }
    }
}

/// The last file goes on after a restart: a proxy that restarts often must not rotate its history away.
fn open_last(target: &Target) -> io::Result<Open> {
    let last = numbers(&target.path)?.last().copied().unwrap_or(1);
    let open = open_number(target, last)?;
    prune(target);
    Ok(open)
}

fn open_number(target: &Target, number: u32) -> io::Result<Open> {
    let path = numbered(&target.path, number);
    let file = OpenOptions::new().append(true).create(true).mode(0o640).open(path)?;
    let size = file.metadata()?.len();
    Ok(Open { file, number, size })
}

/// Removes the oldest files beyond the number to keep.
fn prune(target: &Target) {
    let Ok(numbers) = numbers(&target.path) else { return };
    let surplus = numbers.len().saturating_sub(target.keep.max(1));
    for number in numbers.into_iter().take(surplus) {
        let path = numbered(&target.path, number);
        if let Err(error) = fs::remove_file(&path) {
            tracing::warn!(file = %path.display(), %error, "an old log file could not be removed");
        }
    }
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number:08}"));
    name.into()
}

/// The numbers of the files that are there, smallest first.
fn numbers(path: &Path) -> io::Result<Vec<u32>> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut prefix: OsString = path.file_name().unwrap_or_default().to_owned();
    prefix.push(".");
    let mut numbers = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let suffix = name.as_encoded_bytes().strip_prefix(prefix.as_encoded_bytes());
        let digits = suffix.and_then(|suffix| std::str::from_utf8(suffix).ok());
        let digits = digits.filter(|digits| digits.len() == 8);
        numbers.extend(digits.and_then(|digits| digits.parse::<u32>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}
