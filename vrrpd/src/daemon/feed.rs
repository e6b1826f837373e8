//! The subscription to the angel's liveness feed. Connects again and again; what silence means is `FeedWatch`'s.

use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use health::feed::{FeedEvent, FeedReader, FeedWatch, SUBSCRIBE};
use health::verdict::Verdict;
use socket2::{Domain, SockAddr, Socket, Type};

/// The angel is back within a moment of its death; so are we.
const RETRY: Duration = Duration::from_millis(20);

pub(crate) struct Feed {
    path: PathBuf,
    stream: Option<UnixStream>,
    reader: FeedReader,
    watch: FeedWatch,
    retry_at: Instant,
}

impl Feed {
    pub(crate) fn new(path: PathBuf, grace: Duration, now: Instant) -> Feed {
        Feed {
            path,
            stream: None,
            reader: FeedReader::new(),
            watch: FeedWatch::new(grace, now),
            retry_at: now,
        }
    }

    /// Reads what has come, connects if that is due, and says what holds.
    pub(crate) fn poll(&mut self, now: Instant) -> Verdict {
        if self.stream.is_none() && now >= self.retry_at {
            self.retry_at = now + RETRY;
            self.stream = self.connect().ok();
            self.reader = FeedReader::new();
        }
        while let Some(stream) = &mut self.stream {
            let mut bytes = [0; 1024];
            let read = match stream.read(&mut bytes) {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Ok(0) | Err(_) => None,
                Ok(count) => bytes.get(..count),
            };
            match read.map(|bytes| self.reader.push(bytes)) {
                Some(Ok(reports)) => {
                    for report in reports {
                        self.watch.on(FeedEvent::Report(report), now);
                    }
                }
                Some(Err(_)) | None => {
                    self.stream = None;
                    self.retry_at = now + RETRY;
                    self.watch.on(FeedEvent::Disconnected, now);
                }
            }
        }
        self.watch.on(FeedEvent::Tick, now)
    }

    /// Never waits: a full backlog is an error like any other.
    fn connect(&self) -> std::io::Result<UnixStream> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.connect(&SockAddr::unix(&self.path)?)?;
        let mut stream = UnixStream::from(OwnedFd::from(socket));
        stream.write_all(SUBSCRIBE.as_bytes())?;
        Ok(stream)
    }

    /// Whether the proxy knows its backends.
    pub(crate) fn is_warm(&self) -> bool {
        self.watch.is_warm()
    }

    pub(crate) fn cause(&self) -> &str {
        self.watch.cause()
    }

    pub(crate) fn fd(&self) -> Option<RawFd> {
        self.stream.as_ref().map(AsRawFd::as_raw_fd)
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let retry = if self.stream.is_none() { Some(self.retry_at) } else { None };
        [retry, self.watch.next_deadline()].into_iter().flatten().min()
    }
}
