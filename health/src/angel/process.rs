//! One running proxyd: started, or taken over from an earlier angel; signalled and waited for by its pidfd, so that a pid
//! that was given to somebody else in the meantime is never touched.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use health::hang::Thread;
use health::inherit;
use health::restart::Ending;
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// What is needed to start a proxyd, prepared once so that a restart is one fork and one exec.
pub(crate) struct Launcher {
    program: PathBuf,
    command: Command,
}

impl Launcher {
    /// `inherited` are the descriptors that stay open in the child.
    pub(crate) fn new(
        program: &Path,
        arguments: &[&OsStr],
        entries: &[inherit::Entry],
        heartbeat: RawFd,
    ) -> Launcher {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env(inherit::LISTENERS, inherit::encode(entries))
            .env(inherit::HEARTBEAT_FD, heartbeat.to_string())
            .stdin(Stdio::null())
            .process_group(0);
        for ours in
            ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"]
        {
            command.env_remove(ours);
        }
        let kept: Vec<RawFd> = entries.iter().map(|entry| entry.fd).chain([heartbeat]).collect();
        let keep_open = move || {
            for fd in &kept {
                // SAFETY: plain fcntl on a number; the listeners and the segment outlive the launcher.
                if unsafe { libc::fcntl(*fd, libc::F_SETFD, 0) } == -1 {
                    return Err(io::Error::last_os_error());
                }
            }
            // The angel blocks the signals that it reads from a descriptor; proxyd must hear its SIGTERM.
            SigSet::empty().thread_set_mask().map_err(io::Error::from)
        };
        // SAFETY: between fork and exec the closure only calls fcntl and sigprocmask, which are async-signal-safe; it does
        // not allocate (making an error from errno does not either).
        unsafe { command.pre_exec(keep_open) };
        Launcher { program: program.to_owned(), command }
    }

    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    pub(crate) fn start(&mut self) -> io::Result<Proxy> {
        // Dropping a `Child` neither kills nor reaps it; the pidfd does both from here on.
        let mut child = self.command.spawn()?;
        let pid = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
        match pidfd_open(pid) {
            Ok(pidfd) => Ok(Proxy { pid, pidfd, child: true }),
            Err(error) => {
                // One that cannot be watched must not run.
                child.kill()?;
                child.wait()?;
                Err(error)
            }
        }
    }
}

/// A process that is proxyd.
#[derive(Debug)]
pub(crate) struct Proxy {
    pid: Pid,
    pidfd: OwnedFd,
    /// Ours to reap.
    child: bool,
}

impl Proxy {
    /// A proxyd that somebody else started; `None` if it has ended.
    pub(crate) fn from_pidfd(pidfd: OwnedFd) -> Option<Proxy> {
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).ok()?;
        let pid = pid_of_fdinfo(&info)?;
        let proxy = Proxy { pid, pidfd, child: false };
        (!proxy.has_ended(0)).then_some(proxy)
    }

    /// The proxyd with this pid, if the process runs `program` in our own network namespace: a pid file may be old, and
    /// several hosts may be played on one machine.
    pub(crate) fn from_pid(pid: Pid, program: &OsStr) -> Option<Proxy> {
        let proxy = Proxy { pid, pidfd: pidfd_open(pid).ok()?, child: false };
        // Looked at after the pidfd was taken: if it still lives now, the path was its own.
        let path = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
        let network = fs::read_link(format!("/proc/{pid}/ns/net")).ok()?;
        let here = network == fs::read_link("/proc/self/ns/net").ok()?;
        (here && runs(&path, program) && !proxy.has_ended(0)).then_some(proxy)
    }

    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// The angel lowers its own score and a child inherits it: back to what is usual here.
    pub(crate) fn set_oom_score(&self, score: &str) {
        let _ = fs::write(format!("/proc/{}/oom_score_adj", self.pid), score);
    }

    pub(crate) fn is_adopted(&self) -> bool {
        !self.child
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let none = std::ptr::null::<libc::siginfo_t>();
        let fd = self.pidfd.as_raw_fd();
        // SAFETY: the arguments are a descriptor that we own, a signal number, no siginfo, no flags. The only failure is
        // that the process has ended, which the pidfd tells as well.
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, signal as libc::c_int, none, 0) };
    }

    /// Waits up to `timeout_ms` for the end.
    pub(crate) fn has_ended(&self, timeout_ms: u16) -> bool {
        let mut fds = [PollFd::new(self.pidfd.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::from(timeout_ms)).is_ok_and(|ready| ready > 0)
    }

    /// Stopped by a signal or a tracer: it will not run a handler, nor leave a core.
    /// What one of its threads does now; `None` when the kernel does not tell.
    pub(crate) fn thread(&self, thread: u32) -> Option<Thread> {
        let read = |file| fs::read_to_string(format!("/proc/{}/task/{thread}/{file}", self.pid)).ok();
        thread_of(&read("stat")?, &read("schedstat")?)
    }

    pub(crate) fn is_stopped(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        matches!(state_of_stat(&stat), Some('T' | 't'))
    }

    /// After the pidfd became readable: how it ended. Reaps a child.
    pub(crate) fn ending(&self) -> Ending {
        if !self.child {
            return Ending::Unknown;
        }
        loop {
            return match waitpid(self.pid, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(_, 0)) => Ending::Clean,
                Ok(WaitStatus::Exited(_, code)) => Ending::Code(code),
                Ok(WaitStatus::Signaled(_, signal, _)) => Ending::Signal(signal as i32),
                Err(Errno::EINTR) => continue,
                _ => Ending::Unknown,
            };
        }
    }

    /// A copy of a descriptor that the process has open (needs the right to trace it).
    pub(crate) fn copy_fd(&self, fd: RawFd) -> io::Result<OwnedFd> {
        // SAFETY: the arguments are a descriptor that we own, a number, no flags.
        let copy = unsafe { libc::syscall(libc::SYS_pidfd_getfd, self.pidfd.as_raw_fd(), fd, 0) };
        owned(copy)
    }
}

impl AsFd for Proxy {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

fn pidfd_open(pid: Pid) -> io::Result<OwnedFd> {
    // SAFETY: a number and no flags.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
    owned(fd)
}

/// Both pidfd calls return a new descriptor, close-on-exec, or -1.
fn owned(result: libc::c_long) -> io::Result<OwnedFd> {
    match RawFd::try_from(result) {
        // SAFETY: the kernel has just made it for us.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// proc(5): the `Pid:` line of a pidfd; -1 once the process is gone.
/// From proc(5): the state stands behind the name in parentheses; schedstat begins with the time on a processor in ns.
fn thread_of(stat: &str, schedstat: &str) -> Option<Thread> {
    let state = state_of_stat(stat)?;
    let ran = schedstat.split(' ').next()?.parse().ok()?;
    Some(Thread { wants_to_run: matches!(state, 'R' | 'D'), ran: Duration::from_nanos(ran) })
}

fn pid_of_fdinfo(info: &str) -> Option<Pid> {
    let pid = info.lines().find_map(|line| line.strip_prefix("Pid:"))?;
    pid.trim().parse().ok().filter(|pid| *pid > 0).map(Pid::from_raw)
}

/// proc(5): the state follows the name, which is in parentheses and may hold anything.
fn state_of_stat(stat: &str) -> Option<char> {
    stat.rsplit_once(") ")?.1.chars().next()
}

/// `path` as /proc shows it: a program that was replaced by an upgrade has ` (deleted)` behind its name.
fn runs(path: &Path, program: &OsStr) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.strip_suffix(" (deleted)").unwrap_or(&name) == program.to_string_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_proc_says() {
        assert_eq!(
            pid_of_fdinfo("pos:\t0\nflags:\t02000002\nPid:\t4711\nNSpid:\t4711\n"),
            Some(Pid::from_raw(4711))
        );
        assert_eq!(pid_of_fdinfo("Pid:\t-1\n"), None);
        assert_eq!(pid_of_fdinfo("pos:\t0\n"), None);
        assert_eq!(state_of_stat("12 (a) R (b) T 1 12"), Some('T'));
        assert_eq!(state_of_stat(""), None);
        let runnable = Thread { wants_to_run: true, ran: Duration::from_nanos(4_200) };
        assert_eq!(thread_of("12 (worker) 0) R 1 12", "4200 77 3"), Some(runnable));
        assert!(!thread_of("12 (worker-0) S 1 12", "4200 77 3").unwrap().wants_to_run);
        assert_eq!(thread_of("12 (worker-0) S 1 12", ""), None);
        assert!(runs(Path::new("/usr/bin/standfast-proxyd (deleted)"), OsStr::new("standfast-proxyd")));
        assert!(!runs(Path::new("/usr/bin/bash"), OsStr::new("standfast-proxyd")));
    }
}
