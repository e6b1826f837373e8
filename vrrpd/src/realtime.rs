//! What keeps adverts on time on a busy host: memory that is not paged out, and a real-time scheduling class.
//!
//! A real-time process that computes without a pause keeps everybody else from the processor, so the kernel tells it
//! (SIGXCPU), and kills it if it goes on. On a host that is starved itself, a virtual machine among too many, ordinary
//! work is enough for that. So the signal does not end vrrpd: it goes on as an ordinary process, which the kernel does
//! not kill and which can harm nobody, says so, and asks for real time again after a while. Being busy alone must not
//! lead there: who has found something to do in every round for a while pauses for a moment.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use crate::log::log;

/// Above ordinary processes, below the kernel's own threads.
const PRIORITY: libc::c_int = 20;
/// Microseconds of uninterrupted computing after which the kernel says so: more than a round takes on a starved host.
const RTTIME: u64 = 500_000;
/// And after which it would kill us, which only a handler that never ran can lead to.
const RTTIME_MOST: u64 = 10_000_000;
/// Work in every round for so long ends with a pause, however short.
const BUSY: Duration = Duration::from_millis(100);
const PAUSE: Duration = Duration::from_micros(100);
/// A wait that took longer was one.
const WAITED: Duration = Duration::from_micros(200);
/// As an ordinary process for so long.
const PENANCE: Duration = Duration::from_secs(60);

/// Set by the handler, taken by the loop.
static TOLD: AtomicBool = AtomicBool::new(false);

/// Before anything takes time: a vrrpd that turned into this one has left it its scheduling class.
pub(crate) fn survive() {
    let action = SigAction::new(SigHandler::Handler(become_ordinary), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler makes a system call with constant arguments and an atomic store; both are async-signal-safe.
    if let Err(error) = unsafe { sigaction(Signal::SIGXCPU, &action) } {
        log!("warn", "no-rttime-handler", "error=\"{error}\"");
    }
}

/// The scheduling class, and when to ask for the better one again.
pub(crate) struct Realtime {
    again_at: Option<Instant>,
    rested_at: Instant,
}

impl Realtime {
    pub(crate) fn new(now: Instant) -> Realtime {
        Realtime { again_at: None, rested_at: now }
    }

    /// Asks for all of it; what is refused is logged and done without.
    pub(crate) fn request(&mut self) {
        if let Err(error) = mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE) {
            log!("warn", "memory-not-locked", "error=\"{error}\"");
        }
        become_realtime();
    }

    /// Says what the handler could not say, and asks again when it is time.
    pub(crate) fn poll(&mut self, now: Instant) {
        if TOLD.swap(false, Ordering::Relaxed) {
            log!(
                "warn",
                "realtime-given-up",
                "for_s={} why=\"computed for too long without a pause\"",
                PENANCE.as_secs()
            );
            self.again_at = Some(now + PENANCE);
        }
        if self.again_at.is_some_and(|at| now >= at) {
            self.again_at = None;
            become_realtime();
        }
    }

    /// A wait for sockets began at `began`, and is over `now`.
    pub(crate) fn waited(&mut self, began: Instant, now: Instant) {
        if now - began >= WAITED {
            self.rested_at = now;
        } else if now - self.rested_at >= BUSY {
            sleep(PAUSE);
            self.rested_at = now;
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.again_at
    }
}

fn become_realtime() {
    // The kernel raises the soft limit by a second each time that it tells, so it is set anew.
    if let Err(error) = setrlimit(Resource::RLIMIT_RTTIME, RTTIME, RTTIME_MOST) {
        log!("warn", "no-rttime-limit", "error=\"{error}\"");
    }
    let parameter = libc::sched_param { sched_priority: PRIORITY };
    // SCHED_RESET_ON_FORK: what we start (the guard) is an ordinary process.
    let policy = libc::SCHED_RR | libc::SCHED_RESET_ON_FORK;
    // SAFETY: the pointer is to a live sched_param that the kernel only reads; 0 is this process.
    if unsafe { libc::sched_setscheduler(0, policy, &raw const parameter) } != 0 {
        log!("warn", "no-realtime-scheduling", "error=\"{}\"", std::io::Error::last_os_error());
    }
}

extern "C" fn become_ordinary(_: libc::c_int) {
    let parameter = libc::sched_param { sched_priority: 0 };
    let policy = libc::SCHED_OTHER | libc::SCHED_RESET_ON_FORK;
    // SAFETY: the pointer is to a live sched_param that the kernel only reads; 0 is this process. errno belongs to what
    // was interrupted; a call that gives something up does not fail.
    unsafe { libc::sched_setscheduler(0, policy, &raw const parameter) };
    TOLD.store(true, Ordering::Relaxed);
}
