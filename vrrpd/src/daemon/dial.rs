//! Whether other hosts take connections: one attempt a second to each, never waited for.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use nix::sys::socket::{getsockopt, sockopt};
use socket2::{Domain, SockAddr, Socket, Type};

const EVERY: Duration = Duration::from_secs(1);
/// An attempt without an end by then is a failure.
const PATIENCE: Duration = Duration::from_millis(800);
/// So many failures in a row end a server's part.
const FALL: u32 = 2;

/// Answers in a row, and what they make of a host. Pure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Standing {
    answers: bool,
    failures: u32,
}

impl Standing {
    /// One answer is enough to serve; one failure may be an accident.
    fn count(&mut self, success: bool) {
        self.failures = if success { 0 } else { self.failures.saturating_add(1) };
        self.answers = success || self.answers && self.failures < FALL;
    }
}

pub(crate) struct Dial {
    pub(crate) address: IpAddr,
    to: SocketAddr,
    standing: Standing,
    next_at: Instant,
    attempt: Option<(Socket, Instant)>,
}

impl Dial {
    pub(crate) fn new(address: IpAddr, port: u16, now: Instant) -> Dial {
        let to = SocketAddr::new(address, port);
        Dial { address, to, standing: Standing::default(), next_at: now, attempt: None }
    }

    pub(crate) fn answers(&self) -> bool {
        self.standing.answers
    }

    /// Begins what is due and ends what is over. `is_ready` knows which descriptors are.
    pub(crate) fn poll(&mut self, now: Instant, is_ready: impl Fn(RawFd) -> bool) {
        let over = self.attempt.as_ref().and_then(|(socket, began)| {
            if is_ready(socket.as_raw_fd()) {
                return Some(getsockopt(socket, sockopt::SocketError).is_ok_and(|error| error == 0));
            }
            (now >= *began + PATIENCE).then_some(false)
        });
        if let Some(success) = over {
            self.attempt = None;
            self.standing.count(success);
        }
        if self.attempt.is_none() && now >= self.next_at {
            self.next_at = now + EVERY;
            match self.begin() {
                Ok(socket) => self.attempt = Some((socket, now)),
                Err(_) => self.standing.count(false),
            }
        }
    }

    fn begin(&self) -> std::io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(self.to), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        match socket.connect(&SockAddr::from(self.to)) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
            _ => Ok(socket),
        }
    }

    pub(crate) fn fd(&self) -> Option<RawFd> {
        self.attempt.as_ref().map(|(socket, _)| socket.as_raw_fd())
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.attempt.as_ref().map_or(self.next_at, |(_, began)| *began + PATIENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_answer_begins_a_part_and_two_failures_end_it() {
        let mut standing = Standing::default();
        let seen = [false, true, false, true, false, false, false, true].map(|success| {
            standing.count(success);
            standing.answers
        });
        assert_eq!(seen, [false, true, true, true, true, false, false, true]);
    }
}
