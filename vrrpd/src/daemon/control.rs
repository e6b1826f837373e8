//! The control socket: one request line in, one JSON line out, or with `events` a line for each event as it comes. A client
//! that is slow waits alone, and makes room when others come.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};

use health::control::RequestLine;

use crate::net::Poller;

/// With more at once, those that have been there for longest are dropped.
const MAX_CLIENTS: usize = 8;
/// Those that follow events.
const MAX_FOLLOWERS: usize = 8;
/// What may wait for a client that does not read: the status of many routers, or an hour of events.
const MOST_WAITING: usize = 4 << 20;

/// What a request is answered with.
pub(crate) enum Answer {
    Line(String),
    /// A first line, and then every event.
    Follow(String),
}

struct Client {
    stream: UnixStream,
    request: RequestLine,
    /// Not written yet.
    waiting: Vec<u8>,
    answered: bool,
    follows: bool,
}

pub(crate) struct Control {
    listener: UnixListener,
    clients: Vec<Client>,
}

impl Control {
    pub(crate) fn new(listener: UnixListener) -> Control {
        Control { listener, clients: Vec::with_capacity(MAX_CLIENTS + MAX_FOLLOWERS) }
    }

    /// Accepts, reads, lets `answer` reply to each whole request, and writes.
    pub(crate) fn poll(&mut self, mut answer: impl FnMut(&str) -> Answer) {
        while let Ok((stream, _)) = self.listener.accept() {
            if stream.set_nonblocking(true).is_ok() {
                self.make_room(false, MAX_CLIENTS);
                let request = RequestLine::default();
                let (waiting, answered, follows) = (Vec::new(), false, false);
                self.clients.push(Client { stream, request, waiting, answered, follows });
            }
        }
        self.clients.retain_mut(|client| client.read(&mut answer) && client.write());
        while self.clients.iter().filter(|client| client.follows).count() > MAX_FOLLOWERS {
            self.make_room(true, MAX_FOLLOWERS);
        }
    }

    fn make_room(&mut self, follows: bool, limit: usize) {
        let alike = |client: &Client| client.follows == follows;
        if self.clients.iter().filter(|client| alike(client)).count() >= limit
            && let Some(oldest) = self.clients.iter().position(alike)
        {
            self.clients.remove(oldest);
        }
    }

    /// A line to everybody who follows.
    pub(crate) fn publish(&mut self, line: &str) {
        self.clients.retain_mut(|client| {
            if client.follows {
                client.waiting.extend_from_slice(line.as_bytes());
                client.waiting.push(b'\n');
            }
            client.write()
        });
    }

    pub(crate) fn has_followers(&self) -> bool {
        self.clients.iter().any(|client| client.follows)
    }

    pub(crate) fn watch(&self, poller: &mut Poller) {
        poller.watch(self.listener.as_raw_fd());
        for client in &self.clients {
            if client.waiting.is_empty() {
                poller.watch(client.stream.as_raw_fd());
            } else {
                poller.watch_output(client.stream.as_raw_fd());
            }
        }
    }

    pub(crate) fn is_ready(&self, poller: &Poller) -> bool {
        self.fds().any(|fd| poller.is_ready(fd))
    }

    fn fds(&self) -> impl Iterator<Item = RawFd> {
        let clients = self.clients.iter().map(|client| client.stream.as_raw_fd());
        std::iter::once(self.listener.as_raw_fd()).chain(clients)
    }
}

impl Client {
    /// False when it is to be dropped.
    fn read(&mut self, answer: &mut impl FnMut(&str) -> Answer) -> bool {
        let mut bytes = [0; 256];
        let request = match self.stream.read(&mut bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
            // It may have closed its half and wait for the answer.
            Ok(0) => return self.answered && !self.follows && !self.waiting.is_empty(),
            Err(_) => return false,
            Ok(_) if self.answered => return true,
            Ok(count) => self.request.push(bytes.get(..count).unwrap_or_default()),
        };
        let line = match request {
            Ok(None) => return true,
            Err(_) => return false,
            Ok(Some(request)) => match answer(&request) {
                Answer::Line(line) => line,
                Answer::Follow(line) => {
                    self.follows = true;
                    line
                }
            },
        };
        self.answered = true;
        self.waiting.extend_from_slice(line.as_bytes());
        self.waiting.push(b'\n');
        true
    }

    /// Writes what the client takes. False when it is to be dropped: it is gone, done, or does not read.
    fn write(&mut self) -> bool {
        while !self.waiting.is_empty() {
            match self.stream.write(&self.waiting) {
                Ok(0) => return false,
                Ok(count) => drop(self.waiting.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return self.waiting.len() <= MOST_WAITING;
                }
                Err(_) => return false,
            }
        }
        self.follows || !self.answered
    }
}
