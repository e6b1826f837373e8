//! The clients of `angel.sock`: one request line each, answered and closed, or subscribed to the liveness feed.
//!
//! Nobody here can hold the angel up: sockets are non-blocking, and a subscriber that does not read is dropped.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};

use health::control::RequestLine;

use crate::log;

/// More than vrrpd, a status view and a few operators.
const MAX_CLIENTS: usize = 64;

/// What a client asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    Status,
    Subscribe,
    Drain,
    Undrain,
    RestartProxy,
}

impl Request {
    fn parse(line: &str) -> Option<Request> {
        match line.trim() {
            "status" => Some(Request::Status),
            "subscribe" => Some(Request::Subscribe),
            "drain" => Some(Request::Drain),
            "undrain" => Some(Request::Undrain),
            "restart-proxy" => Some(Request::RestartProxy),
            _ => None,
        }
    }
}

const UNKNOWN: &str =
    "{\"error\":\"unknown request; there are: status, subscribe, drain, undrain, restart-proxy\"}\n";

#[derive(Debug)]
struct Client {
    stream: UnixStream,
    line: RequestLine,
    subscribed: bool,
}

#[derive(Debug)]
pub(crate) struct Clients {
    listener: UnixListener,
    clients: Vec<Client>,
}

impl Clients {
    pub(crate) fn new(listener: UnixListener) -> Clients {
        Clients { listener, clients: Vec::new() }
    }

    /// Everything to poll for reading.
    pub(crate) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        [self.listener.as_fd()].into_iter().chain(self.clients.iter().map(|client| client.stream.as_fd()))
    }

    /// Takes what is there to take, and answers each request with what `answer` says.
    pub(crate) fn serve(&mut self, mut answer: impl FnMut(Request) -> String) {
        self.accept();
        self.clients.retain_mut(|client| match client.read() {
            Step::Wait => true,
            Step::Close => false,
            Step::Unknown => {
                client.send(UNKNOWN);
                false
            }
            Step::Asked(request) => {
                client.subscribed = request == Request::Subscribe;
                client.send(&answer(request)) && client.subscribed
            }
        });
    }

    /// The line for every subscriber.
    pub(crate) fn publish(&mut self, line: &str) {
        self.clients.retain_mut(|client| {
            let keep = !client.subscribed || client.send(line);
            if !keep {
                log::warning(format_args!("event=subscriber-dropped"));
            }
            keep
        });
    }

    fn accept(&mut self) {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    if stream.set_nonblocking(true).is_ok() && self.make_room() {
                        self.clients.push(Client { stream, line: RequestLine::default(), subscribed: false });
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }

    /// Those who connected and never asked must not keep vrrpd out: the longest silent one goes.
    fn make_room(&mut self) -> bool {
        if self.clients.len() < MAX_CLIENTS {
            return true;
        }
        let silent = self.clients.iter().position(|client| !client.subscribed);
        silent.map(|index| self.clients.remove(index)).is_some()
    }
}

enum Step {
    Wait,
    Asked(Request),
    Unknown,
    Close,
}

impl Client {
    fn read(&mut self) -> Step {
        let mut buffer = [0; 512];
        loop {
            let bytes = match self.stream.read(&mut buffer) {
                Ok(0) => return Step::Close,
                Ok(length) => buffer.get(..length).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Step::Wait,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return Step::Close,
            };
            if self.subscribed {
                continue;
            }
            match self.line.push(bytes) {
                Ok(None) => {}
                Ok(Some(line)) => return Request::parse(&line).map_or(Step::Unknown, Step::Asked),
                Err(_) => return Step::Unknown,
            }
        }
    }

    /// Whole or not at all: half a line is of no use to anybody.
    fn send(&mut self, text: &str) -> bool {
        matches!(self.stream.write(text.as_bytes()), Ok(length) if length == text.len())
    }
}
