//! The control socket: one request line in, one JSON line out. A client that is slow waits alone, and makes room when
//! others come.

use std::io::{Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};

use health::control::RequestLine;

/// With more at once, those that have said nothing for longest are dropped.
const MAX_CLIENTS: usize = 8;

pub(crate) struct Control {
    listener: UnixListener,
    clients: Vec<(UnixStream, RequestLine)>,
}

impl Control {
    pub(crate) fn new(listener: UnixListener) -> Control {
        Control { listener, clients: Vec::with_capacity(MAX_CLIENTS) }
    }

    /// Accepts, reads, and lets `answer` reply to each whole request.
    pub(crate) fn poll(&mut self, mut answer: impl FnMut(&str) -> String) {
        while let Ok((stream, _)) = self.listener.accept() {
            if stream.set_nonblocking(true).is_ok() {
                if self.clients.len() == MAX_CLIENTS {
                    self.clients.remove(0);
                }
                self.clients.push((stream, RequestLine::default()));
            }
        }
        self.clients.retain_mut(|(stream, line)| {
            let mut bytes = [0; 256];
            let request = match stream.read(&mut bytes) {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return true,
                Ok(0) | Err(_) => return false,
                Ok(count) => line.push(bytes.get(..count).unwrap_or_default()),
            };
            match request {
                Ok(None) => true,
                Ok(Some(request)) => {
                    // One small line fits into an empty socket buffer; who cannot take it goes without.
                    let _ = stream.write_all(format!("{}\n", answer(&request)).as_bytes());
                    false
                }
                Err(_) => false,
            }
        });
    }

    pub(crate) fn fds(&self) -> impl Iterator<Item = RawFd> {
        let clients = self.clients.iter().map(|(stream, _)| stream.as_raw_fd());
        std::iter::once(self.listener.as_raw_fd()).chain(clients)
    }
}
