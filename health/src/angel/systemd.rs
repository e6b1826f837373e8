//! systemd's side of the angel: sd_notify(3), the watchdog, and the fd store that keeps the listeners, the heartbeat
//! segment and proxyd's pidfd while the angel itself is replaced. Without NOTIFY_SOCKET every call does nothing.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::io::IoSlice;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

use crate::log;

/// sd_listen_fds(3): the first descriptor that is handed over.
const FIRST_FD: RawFd = 3;
/// More than any configuration of ours stores.
const MAX_FDS: RawFd = 10_000;

/// The service manager, if there is one.
#[derive(Debug)]
pub(crate) struct Manager {
    socket: Option<UnixDatagram>,
    /// Ping this often.
    watchdog: Option<Duration>,
    /// Names that are in the store now.
    stored: BTreeSet<String>,
    /// The last STATUS= line.
    status: (&'static str, &'static str),
}

impl Manager {
    pub(crate) fn from_env() -> Manager {
        let socket = env::var_os("NOTIFY_SOCKET").and_then(|path| match connect(&path) {
            Ok(socket) => Some(socket),
            Err(error) => {
                log::warning(format_args!("event=notify-socket-failed path={path:?} error={error:?}"));
                None
            }
        });
        let for_us = env::var("WATCHDOG_PID").map_or(true, |pid| pid == std::process::id().to_string());
        let micros = env::var("WATCHDOG_USEC").ok().filter(|_| for_us).and_then(|micros| micros.parse().ok());
        let watchdog = micros.filter(|micros| *micros > 0).map(|micros| Duration::from_micros(micros) / 2);
        Manager { socket, watchdog, stored: BTreeSet::new(), status: ("", "") }
    }

    /// Half the watchdog's time, if there is a watchdog.
    pub(crate) fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// `READY=1`, `STATUS=…`, `WATCHDOG=1`, `STOPPING=1`; lines are separated by newlines.
    pub(crate) fn tell(&self, state: &str) {
        self.send(state, None);
    }

    /// Puts a descriptor into the store, in place of what has that name there. FDPOLL=0: a pidfd that becomes readable,
    /// or a listener with a waiting client, is not a reason to throw it out.
    pub(crate) fn store(&mut self, name: &str, fd: BorrowedFd<'_>) {
        if self.stored.contains(name) {
            self.remove(name);
        }
        self.send(&format!("FDSTORE=1\nFDNAME={name}\nFDPOLL=0"), Some(fd));
        self.stored.insert(name.to_owned());
    }

    /// As `store`, unless something of that name is there: it came from there.
    pub(crate) fn store_once(&mut self, name: &str, fd: BorrowedFd<'_>) {
        if !self.stored.contains(name) {
            self.store(name, fd);
        }
    }

    /// `systemctl status` shows it; sent when it changes.
    pub(crate) fn status(&mut self, verdict: &'static str, cause: &'static str) {
        if self.status != (verdict, cause) {
            self.status = (verdict, cause);
            self.send(&format!("STATUS={verdict} ({cause})"), None);
        }
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.send(&format!("FDSTOREREMOVE=1\nFDNAME={name}"), None);
        self.stored.remove(name);
    }

    /// This name came back from the store, so it is there.
    pub(crate) fn is_stored(&mut self, name: &str) {
        self.stored.insert(name.to_owned());
    }

    /// Leaves nothing behind: a stop that was meant keeps no listener open.
    pub(crate) fn empty_store(&mut self) {
        for name in std::mem::take(&mut self.stored) {
            self.remove(&name);
        }
    }

    fn send(&self, state: &str, fd: Option<BorrowedFd<'_>>) {
        let Some(socket) = &self.socket else { return };
        let fds = fd.map(|fd| [fd.as_raw_fd()]);
        let rights: Vec<ControlMessage<'_>> = fds.iter().map(|fds| ControlMessage::ScmRights(fds)).collect();
        let text = [IoSlice::new(state.as_bytes())];
        if let Err(error) = sendmsg::<()>(socket.as_raw_fd(), &text, &rights, MsgFlags::MSG_NOSIGNAL, None) {
            log::warning(format_args!("event=notify-failed state={state:?} error={error}"));
        }
    }
}

fn connect(path: &OsString) -> std::io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    let address = match path.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(path)?,
    };
    socket.connect_addr(&address)?;
    // Many listeners are many messages: a busy manager is waited for, a dead one not for long.
    socket.set_write_timeout(Some(Duration::from_millis(250)))?;
    Ok(socket)
}

/// What the manager kept for us, by name. To be called once, before anything else opens descriptors.
pub(crate) fn received() -> Vec<(String, OwnedFd)> {
    let number = |name| env::var(name).ok().and_then(|text| text.parse::<i64>().ok());
    if number("LISTEN_PID") != Some(i64::from(std::process::id())) {
        return Vec::new();
    }
    let count =
        number("LISTEN_FDS").and_then(|count| RawFd::try_from(count).ok()).unwrap_or(0).clamp(0, MAX_FDS);
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    (FIRST_FD..FIRST_FD + count)
        .zip(names.split(':'))
        .filter_map(|(fd, name)| {
            // SAFETY: borrowed for the one call that tells whether it is open.
            let open = fcntl(unsafe { BorrowedFd::borrow_raw(fd) }, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC));
            // SAFETY: by sd_listen_fds(3) it is ours, and this runs once, first thing in `main`.
            open.is_ok().then(|| (name.to_owned(), unsafe { OwnedFd::from_raw_fd(fd) }))
        })
        .collect()
}
