//! Programs that vrrpd starts, and never waits for: each is a descriptor that is ready when the program has ended.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// The user that nobody is, where the wanted one is not known.
const NOBODY: u32 = 65534;

/// A program of the operator's, without any of vrrpd's rights: no capability, no way to get one, and the user that was
/// asked for if vrrpd is root (else vrrpd's own, which may do no more).
pub(crate) fn unprivileged(program: &str, arguments: &[String], user: &str) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).stderr(Stdio::null());
    if nix::unistd::geteuid().is_root() && user != "root" {
        let known = nix::unistd::User::from_name(user).ok().flatten();
        let (uid, gid) = known.map_or((NOBODY, NOBODY), |it| (it.uid.as_raw(), it.gid.as_raw()));
        command.uid(uid).gid(gid);
    }
    // SAFETY: between fork and exec only prctl(2) is called, with numbers, which is async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            let (none, yes) = (0 as libc::c_ulong, 1 as libc::c_ulong);
            libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, none, none, none);
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, yes, none, none, none);
            // vrrpd waits for its signals with a descriptor; a script takes them as they come.
            nix::sys::signal::SigSet::empty().thread_set_mask().map_err(io::Error::from)
        });
    }
    command
}

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
