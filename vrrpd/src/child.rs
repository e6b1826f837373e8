//! Programs that vrrpd starts, and never waits for: each is a descriptor that is ready when the program has ended.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// One running program. Dropped, it is killed and reaped.
pub(crate) struct Running {
    child: Child,
    pidfd: OwnedFd,
    pub(crate) since: Instant,
}

impl Running {
    /// Starts it with nothing to read; what it says goes where vrrpd's own log goes.
    pub(crate) fn start(command: &mut Command) -> io::Result<Running> {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = command.spawn()?;
        let pid = libc::pid_t::try_from(child.id()).map_err(io::Error::other)?;
        // SAFETY: pidfd_open(2) takes two numbers; our own child is not reaped yet, so the pid is its.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        if fd < 0 {
            let error = io::Error::last_os_error();
            let _ = child.kill();
            let _ = child.wait();
            return Err(error);
        }
        let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
        // SAFETY: the kernel has just given us this descriptor, and nobody else knows of it.
        let pidfd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Running { child, pidfd, since: Instant::now() })
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.pidfd.as_raw_fd()
    }

    /// Its exit status once it has ended; a signal counts as none.
    pub(crate) fn ended(&mut self) -> Option<Option<i32>> {
        match self.child.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(status.code()),
            Err(_) => Some(None),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
