//! Waiting for sockets, without an allocation a round.

use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

#[derive(Default)]
pub(crate) struct Poller {
    set: Vec<libc::pollfd>,
}

impl Poller {
    /// Forgets the sockets of the last round; the memory stays.
    pub(crate) fn clear(&mut self) {
        self.set.clear();
    }

    /// Watches `fd` for input.
    pub(crate) fn watch(&mut self, fd: RawFd) {
        self.set.push(libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
    }

    /// Watches `fd` until it takes output.
    pub(crate) fn watch_output(&mut self, fd: RawFd) {
        self.set.push(libc::pollfd { fd, events: libc::POLLOUT, revents: 0 });
    }

    /// Waits until one of them has something, or for `timeout`. Nanoseconds count: adverts may be 10 ms apart.
    pub(crate) fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        let timeout = libc::timespec {
            tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: libc::c_long::from(timeout.subsec_nanos().cast_signed()),
        };
        let count = libc::nfds_t::try_from(self.set.len()).map_err(io::Error::other)?;
        // SAFETY: the pointers are to a live array of `count` entries and a live timespec; no signal mask is given.
        let ready =
            unsafe { libc::ppoll(self.set.as_mut_ptr(), count, &raw const timeout, std::ptr::null()) };
        match ready {
            -1 => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => Ok(()),
                error => Err(error),
            },
            _ => Ok(()),
        }
    }

    /// Whether `fd` has input, an error, or its end to tell.
    pub(crate) fn is_ready(&self, fd: RawFd) -> bool {
        self.set.iter().any(|entry| entry.fd == fd && entry.revents != 0)
    }
}
