//! The lab as the reaper of orphans: a proxy that outlives its angel becomes the lab's child, as it would become systemd's.

use std::time::Duration;

use anyhow::Result;
use nix::libc;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use super::process;

/// Makes this process the parent of its orphaned grandchildren, and collects those that die.
pub(crate) fn start() -> Result<()> {
    // SAFETY: PR_SET_CHILD_SUBREAPER takes one integer and changes only who inherits orphans.
    let set = unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
    nix::errno::Errno::result(set)?;
    std::thread::Builder::new().name("reaper".into()).spawn(|| {
        loop {
            std::thread::sleep(Duration::from_millis(100));
            reap();
        }
    })?;
    Ok(())
}

/// Only programs that the lab never starts itself: the exit of its own children belongs to whoever waits for them.
fn reap() {
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    for orphan in process::all() {
        if orphan.zombie && orphan.parent == own && orphan.comm.starts_with("standfast-proxy") {
            // It is a zombie child; there is nothing that could go wrong and matter.
            let _ = waitpid(Pid::from_raw(orphan.pid), Some(WaitPidFlag::WNOHANG));
        }
    }
}
