//! The heartbeat segment: shared memory in which each proxyd worker shows that its event loop makes progress.
//!
//! The angel creates it (a sealed memfd), proxyd maps the same pages, and either may die without taking it along.
//! A beat is one relaxed atomic add on a cache line that no other worker writes. The segment holds numbers only: it
//! never decides what they mean (see [`crate::hang`]).
//!
//! Layout, all in host byte order, every part [`ALIGN`] bytes: one header (magic, version, worker count, backends),
//! then one [`Slot`] a worker.

use std::ffi::c_void;
use std::io;
use std::mem::size_of;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use nix::sys::stat::fstat;
use nix::unistd::ftruncate;

/// Two cache lines: the adjacent-line prefetcher of x86 pulls lines in pairs.
pub const ALIGN: usize = 128;
/// More workers than any machine has use for; bounds what a foreign segment can make us map.
pub const MAX_WORKERS: usize = 1024;

const MAGIC: u64 = u64::from_le_bytes(*b"stndfast");
const VERSION: u32 = 1;

/// How far a worker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not yet accepting.
    Starting = 0,
    /// Accepting and answering.
    Ready = 1,
    /// Finishing its sessions; accepts no more.
    Draining = 2,
}

/// One worker's place.
#[derive(Debug)]
#[repr(C, align(128))]
pub struct Slot {
    beat: AtomicU64,
    state: AtomicU32,
    sessions: AtomicU32,
    thread: AtomicU32,
}

impl Slot {
    /// "My event loop came round." To be called at least every 20 ms while the worker is well.
    pub fn beat(&self) {
        self.beat.fetch_add(1, Ordering::Relaxed);
    }

    pub fn set_state(&self, state: State) {
        self.state.store(state as u32, Ordering::Release);
    }

    /// Client sessions that this worker has now.
    pub fn set_sessions(&self, sessions: u32) {
        self.sessions.store(sessions, Ordering::Relaxed);
    }

    /// The kernel's number of the worker's thread (gettid), so that the angel can see what a silent one does.
    pub fn set_thread(&self, thread: u32) {
        self.thread.store(thread, Ordering::Relaxed);
    }

    /// 0 when the worker has not said.
    pub fn thread(&self) -> u32 {
        self.thread.load(Ordering::Relaxed)
    }

    /// Counts up; only its changing means something.
    pub fn beats(&self) -> u64 {
        self.beat.load(Ordering::Relaxed)
    }

    /// A number that this version does not know reads as `Starting`: not ready.
    pub fn state(&self) -> State {
        match self.state.load(Ordering::Acquire) {
            1 => State::Ready,
            2 => State::Draining,
            _ => State::Starting,
        }
    }

    pub fn sessions(&self) -> u32 {
        self.sessions.load(Ordering::Relaxed)
    }
}

/// Backends as the monitor sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backends {
    pub online: u32,
    /// 0 = proxyd has not said yet, or none is configured.
    pub known: u32,
}

#[repr(C, align(128))]
struct Header {
    magic: AtomicU64,
    version: AtomicU32,
    workers: AtomicU32,
    /// `online << 32 | known`, in one word so that a reader never sees half of a change.
    backends: AtomicU64,
    /// 1 from a start until proxyd knows its backends; a proxyd that does not know the word never changes it.
    cold: AtomicU32,
}

impl Header {
    /// The number of workers, if this is a header that we know.
    fn check(&self) -> Result<usize, HeartbeatError> {
        if self.magic.load(Ordering::Acquire) != MAGIC {
            return Err(HeartbeatError::Magic);
        }
        let version = self.version.load(Ordering::Relaxed);
        if version != VERSION {
            return Err(HeartbeatError::Version(version));
        }
        let workers = self.workers.load(Ordering::Relaxed);
        match workers as usize {
            count @ 1..=MAX_WORKERS => Ok(count),
            _ => Err(HeartbeatError::Workers(workers)),
        }
    }
}

/// Why a descriptor is not a heartbeat segment.
#[derive(Debug, thiserror::Error)]
pub enum HeartbeatError {
    #[error("the heartbeat segment cannot be used")]
    Io(#[from] io::Error),
    #[error("the heartbeat segment has {found} bytes, {wanted} are needed")]
    Size { found: u64, wanted: u64 },
    #[error("the heartbeat segment could shrink while it is in use: it is not sealed")]
    NotSealed,
    #[error("not a heartbeat segment: wrong magic number")]
    Magic,
    #[error("the heartbeat segment has layout version {0}, this program knows version {VERSION}")]
    Version(u32),
    #[error("the heartbeat segment claims {0} workers, 1 to {MAX_WORKERS} are possible")]
    Workers(u32),
}

/// A mapped segment. Dropping it unmaps the pages and closes the descriptor; other processes keep theirs.
#[derive(Debug)]
pub struct Segment {
    map: Map,
    workers: usize,
    fd: OwnedFd,
}

/// Mapped pages, at least a header; unmapped when dropped.
#[derive(Debug)]
struct Map {
    start: NonNull<c_void>,
    len: NonZeroUsize,
}

// SAFETY: the mapping lives as long as the value, and everything in it is read and written as atomics.
unsafe impl Send for Map {}
// SAFETY: as above.
unsafe impl Sync for Map {}

impl Map {
    /// The header and `workers` slots of `fd`.
    fn new(fd: &OwnedFd, workers: usize) -> io::Result<Map> {
        let len = NonZeroUsize::new(Segment::size(workers)).ok_or(io::ErrorKind::InvalidInput)?;
        let flags = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new shared mapping at an address of the kernel's choice; the callers made sure that the file is at
        // least `len` long and sealed against shrinking.
        let start = unsafe { mmap(None, len, flags, MapFlags::MAP_SHARED, fd, 0)? };
        Ok(Map { start, len })
    }

    fn header(&self) -> &Header {
        // SAFETY: every segment begins with a header, on a page boundary; all fields are atomics, for which every bit
        // pattern is valid; the reference borrows the mapping.
        unsafe { self.start.cast::<Header>().as_ref() }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, of this length, and nothing borrowed from it outlives `self`.
        let _ = unsafe { munmap(self.start, self.len.get()) };
    }
}

impl Segment {
    /// A new segment, zeroed, every worker `Starting`. Also right for a proxyd that runs without an angel.
    pub fn create(workers: usize) -> io::Result<Segment> {
        if workers == 0 || workers > MAX_WORKERS {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "1 to 1024 workers are possible"));
        }
        let fd = memfd_create("standfast-heartbeat", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
        let size = i64::try_from(Self::size(workers)).map_err(io::Error::other)?;
        ftruncate(&fd, size)?;
        fcntl(&fd, FcntlArg::F_ADD_SEALS(required_seals() | SealFlag::F_SEAL_SEAL))?;
        let map = Map::new(&fd, workers)?;
        let header = map.header();
        header.version.store(VERSION, Ordering::Relaxed);
        header.workers.store(workers as u32, Ordering::Relaxed);
        header.magic.store(MAGIC, Ordering::Release);
        Ok(Segment { map, workers, fd })
    }

    /// Maps a segment that another process created, after checking that it is one and that it cannot shrink. The
    /// descriptor keeps its number: a later angel finds it under that (see [`crate::inherit`]).
    pub fn from_fd(fd: OwnedFd) -> Result<Segment, HeartbeatError> {
        let found = u64::try_from(fstat(&fd).map_err(io::Error::from)?.st_size).unwrap_or(0);
        let least = Self::size(1) as u64;
        if found < least {
            return Err(HeartbeatError::Size { found, wanted: least });
        }
        let seals = fcntl(&fd, FcntlArg::F_GET_SEALS).map_err(|_| HeartbeatError::NotSealed)?;
        if !SealFlag::from_bits_retain(seals).contains(required_seals()) {
            return Err(HeartbeatError::NotSealed);
        }
        // Map the header alone first: only it says how long the whole must be.
        let workers = Map::new(&fd, 0)?.header().check()?;
        let wanted = Self::size(workers) as u64;
        if found != wanted {
            return Err(HeartbeatError::Size { found, wanted });
        }
        Ok(Segment { map: Map::new(&fd, workers)?, workers, fd })
    }

    pub fn workers(&self) -> usize {
        self.workers
    }

    /// The place of worker `index`; `None` if the segment has fewer workers.
    pub fn get(&self, index: usize) -> Option<&Slot> {
        self.slots().get(index)
    }

    /// The place of worker `index`. Panics if there is no such worker.
    pub fn worker(&self, index: usize) -> &Slot {
        &self.slots()[index]
    }

    pub fn slots(&self) -> &[Slot] {
        // SAFETY: `map` placed `workers` slots behind the header; page alignment covers theirs; all fields are atomics,
        // for which every bit pattern is valid; the slice borrows `self`, which keeps the mapping.
        unsafe {
            let first = self.map.start.as_ptr().cast::<u8>().add(size_of::<Header>()).cast::<Slot>();
            std::slice::from_raw_parts(first, self.workers)
        }
    }

    pub fn set_backends(&self, online: u32, known: u32) {
        let both = u64::from(online) << 32 | u64::from(known);
        self.map.header().backends.store(both, Ordering::Relaxed);
    }

    pub fn backends(&self) -> Backends {
        let both = self.map.header().backends.load(Ordering::Relaxed);
        Backends { online: (both >> 32) as u32, known: both as u32 }
    }

    /// The monitors have seen every backend once: routing stands on what is, not on what was configured.
    pub fn set_warm(&self) {
        self.map.header().cold.store(0, Ordering::Relaxed);
    }

    pub fn is_warm(&self) -> bool {
        self.map.header().cold.load(Ordering::Relaxed) == 0
    }

    /// Every worker is ready to serve.
    pub fn all_ready(&self) -> bool {
        self.slots().iter().all(|slot| slot.state() == State::Ready)
    }

    /// Sessions of all workers.
    pub fn sessions(&self) -> u32 {
        self.slots().iter().fold(0, |sum, slot| sum.saturating_add(slot.sessions()))
    }

    /// Before a new proxyd starts: forget what the last one said. Beats go on from where they are.
    pub fn reset(&self) {
        for slot in self.slots() {
            slot.set_state(State::Starting);
            slot.set_sessions(0);
        }
        self.set_backends(0, 0);
        self.map.header().cold.store(1, Ordering::Relaxed);
    }

    fn size(workers: usize) -> usize {
        size_of::<Header>() + workers * size_of::<Slot>()
    }
}

impl AsFd for Segment {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn required_seals() -> SealFlag {
    SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW
}

#[cfg(test)]
#[path = "heartbeat_tests.rs"]
mod tests;
