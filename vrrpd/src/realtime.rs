//! What keeps adverts on time on a busy host: memory that is not paged out, and a real-time scheduling class.

use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::resource::{Resource, setrlimit};

use crate::log::log;

/// Above ordinary processes, below the kernel's own threads.
const PRIORITY: libc::c_int = 20;
/// Microseconds of uninterrupted computing after which the kernel may stop us: a loop must not take the host down.
const RTTIME: u64 = 200_000;

/// Asks for all of it; what is refused is logged and done without.
pub(crate) fn request() {
    if let Err(error) = mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE) {
        log!("warn", "memory-not-locked", "error=\"{error}\"");
    }
    if let Err(error) = setrlimit(Resource::RLIMIT_RTTIME, RTTIME, RTTIME * 5) {
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
