//! Streams one command to a backend and its response to the client. Holds one buffer, never a result set: a client
//! that reads slowly stops the reading from the backend.

use std::future::{Future, poll_fn};
use std::io;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use proxyd_wire::ErrPacket;
use proxyd_wire::frame;
use proxyd_wire::response::{End, Outcome, ResponseTracker};

use crate::backend::Backend;
use crate::control::WorkerEvent;
use crate::net::{Buffer, Connection};
use crate::pool::{is_lost, why_lost};
use crate::reply::Refusal;
use crate::worker::Worker;

use super::cached::Tee;
use super::elsewhere::Why;
use super::record::{Interrupt, Record};
use super::{Alarm, alarm};

/// After `KILL QUERY` the server has this long to end the statement.
const KILL_PATIENCE: Duration = Duration::from_secs(2);

/// Server shutdown in progress: it has not run the statement, or has undone it, and will run no other.
pub const SHUTDOWN: u16 = 1053;

/// What a server says of a statement that it was told to end.
const INTERRUPTED: u16 = 1317;

/// Why a response did not go to the client, whole.
#[derive(Debug)]
pub enum Trouble {
    /// The backend refused with an error that another backend may not have; the client has seen nothing.
    Refused { code: u16, message: String },
    /// The backend's connection broke.
    BackendLost { error: io::Error, client_saw_some: bool },
    /// The client's connection broke; the backend is in the middle of something.
    ClientLost(io::Error),
    /// Somebody stopped it; the backend is in the middle of something.
    Interrupted { why: Interrupt, client_saw_some: bool },
}

/// The three parties of a relay.
pub struct Relay<'a> {
    pub client: &'a mut Connection,
    pub backend: &'a mut Backend,
    pub record: &'a Record,
    pub worker: &'a Worker,
    pub user: &'a str,
    /// Takes a copy of what the client is sent.
    pub tee: Option<&'a mut Tee>,
    pub reported: Reported,
}

/// Which errors are reported as a refusal instead of passed on, because the statement may be tried again.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reported {
    /// The server is not the one for it now.
    pub not_here: bool,
    /// The server shuts down.
    pub shutdown: bool,
    /// The server has lost a prepared statement.
    pub lost_statement: bool,
}

impl Reported {
    fn any(self) -> bool {
        self.not_here || self.shutdown || self.lost_statement
    }

    fn has(self, code: u16, message: &str) -> bool {
        if is_about_the_server(code, message) {
            match why_refused(code) {
                Why::Closing => self.shutdown,
                Why::NotHere | Why::Lost => self.not_here,
            }
        } else {
            self.lost_statement && lost_statement(code)
        }
    }
}

impl Relay<'_> {
    /// Sends `request` (whole frames) and passes the response on.
    pub async fn run(&mut self, request: &[u8], tracker: &mut ResponseTracker) -> Result<Outcome, Trouble> {
        if let Err(error) = self.backend.connection.write_all(request).await {
            return Err(Trouble::BackendLost { error, client_saw_some: false });
        }
        let mut pace = Pace::new(self.worker.snapshot().variables.throttle_max_bytes_per_second_to_client);
        let mut give_up = None;
        let mut timed_out = false;
        loop {
            let client_saw_some = !tracker.is_untouched();
            match poll_fn(|cx| self.poll_wait(cx, give_up.as_mut(), &mut pace)).await {
                Waited::Filled(Ok(0)) => {
                    return Err(lost(io::ErrorKind::UnexpectedEof.into(), client_saw_some));
                }
                Waited::Filled(Ok(_)) => {}
                Waited::Filled(Err(error)) => return Err(lost(error, client_saw_some)),
                Waited::ClientGone => {
                    return Err(Trouble::ClientLost(io::ErrorKind::ConnectionAborted.into()));
                }
                Waited::Interrupted(why @ (Interrupt::KillQuery | Interrupt::QueryTimeout))
                    if give_up.is_none() =>
                {
                    timed_out = why == Interrupt::QueryTimeout;
                    // The server ends the statement and says so; the connection, and a transaction, stay.
                    self.kill_query();
                    give_up = Some(alarm(Instant::now() + KILL_PATIENCE));
                    continue;
                }
                Waited::Interrupted(Interrupt::BackendGone) => {
                    self.kill(false);
                    let why = why_lost(&self.worker.snapshot(), self.backend.server());
                    return Err(lost(io::Error::other(why), client_saw_some));
                }
                Waited::Interrupted(why) => return Err(Trouble::Interrupted { why, client_saw_some }),
            }
            if !client_saw_some {
                let first = self.backend.connection.input.filled();
                match inspect(first, self.reported) {
                    Inspected::TooShort => continue,
                    Inspected::Pass => {}
                    Inspected::Refusal { code, message } => {
                        self.backend.connection.input.consume(usize::MAX);
                        return Err(Trouble::Refused { code, message });
                    }
                }
            }
            let sent_before = self.client.bytes_out;
            let passed = self.pass_on(tracker, timed_out).await;
            pace.sent(self.client.bytes_out - sent_before);
            match passed {
                Ok(None) => {}
                Ok(Some(outcome)) if outcome.end == Some(End::LocalInfile) => {
                    Box::pin(self.send_file()).await?;
                }
                Ok(Some(outcome)) => return Ok(outcome),
                Err(PassError::Client(error)) => return Err(Trouble::ClientLost(error)),
                Err(PassError::Backend(error)) => {
                    return Err(lost(error, client_saw_some || !tracker.is_untouched()));
                }
            }
        }
    }

    /// Waits for more of the answer, which is read at the pace that the client is to have it.
    fn poll_wait(
        &mut self,
        cx: &mut Context<'_>,
        give_up: Option<&mut Alarm>,
        pace: &mut Pace,
    ) -> Poll<Waited> {
        if pace.poll(cx).is_ready()
            && let Poll::Ready(filled) = self.backend.connection.poll_fill(cx, 0, &self.worker.buffers)
        {
            return Poll::Ready(Waited::Filled(filled));
        }
        while let Poll::Ready(why) = self.record.poll_interrupted(cx) {
            // That another server is gone, one that the session had left by then, is no word to this statement.
            let is_stale =
                why == Interrupt::BackendGone && !is_lost(&self.worker.snapshot(), self.backend.server());
            if !is_stale {
                return Poll::Ready(Waited::Interrupted(why));
            }
        }
        if self.client.poll_peer_closed(cx).is_ready() {
            return Poll::Ready(Waited::ClientGone);
        }
        match give_up.map(|timer| timer.as_mut().poll(cx)) {
            Some(Poll::Ready(())) => Poll::Ready(Waited::Interrupted(Interrupt::QueryTimeout)),
            _ => Poll::Pending,
        }
    }

    pub(super) fn kill_query(&self) {
        self.kill(true);
    }

    fn kill(&self, query_only: bool) {
        self.worker.tell(WorkerEvent::KillBackend {
            server: self.backend.server().clone(),
            user: self.user.into(),
            thread_id: self.backend.thread_id,
            query_only,
        });
    }

    /// Writes what the backend has sent so far; the outcome if that was the end of the response.
    async fn pass_on(
        &mut self,
        tracker: &mut ResponseTracker,
        timed_out: bool,
    ) -> Result<Option<Outcome>, PassError> {
        let input = &mut self.backend.connection.input;
        let (mut ready, mut done) = (0, None);
        while done.is_none() {
            let converted = tracker
                .convert(&mut input.filled_mut()[ready..])
                .map_err(|error| PassError::Backend(io::Error::new(io::ErrorKind::InvalidData, error)))?;
            let before = ready;
            ready += converted.consumed;
            done = converted.done;
            let Some(edit) = converted.edit else { break };
            let (from, to) = (before + edit.range.start, before + edit.range.end);
            input.replace(from..to, &edit.with);
            ready = ready + edit.with.len() - (to - from);
        }
        if let Some(error) = done.as_ref().and_then(|outcome| outcome.error.as_ref()).filter(|_| timed_out) {
            ready = say_timed_out(input, ready, error);
        }
        if ready > 0 {
            self.client.write_all(&input.filled()[..ready]).await.map_err(PassError::Client)?;
            if let Some(tee) = &mut self.tee {
                tee.copy(&input.filled()[..ready]);
            }
            input.consume(ready);
        }
        if done.is_some() {
            if !input.is_empty() {
                let error = io::Error::new(io::ErrorKind::InvalidData, "bytes after the end of the response");
                return Err(PassError::Backend(error));
            }
            input.release(&self.worker.buffers);
        }
        Ok(done)
    }
}

/// `mysql-throttle_max_bytes_per_second_to_client`: when more of an answer may be read.
struct Pace {
    per_second: u32,
    next: Option<Alarm>,
}

impl Pace {
    fn new(per_second: u32) -> Pace {
        Pace { per_second, next: None }
    }

    fn sent(&mut self, bytes: u64) {
        if self.per_second > 0 {
            let lasts = Duration::from_secs_f64(bytes as f64 / f64::from(self.per_second));
            self.next = Some(alarm(Instant::now() + lasts));
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.next.as_mut().map_or(Poll::Ready(()), |next| next.as_mut().poll(cx))
    }
}

/// The server's word that the statement was interrupted, at the end of these bytes, becomes ours that it took too long.
/// Nothing happens where the packet is not there whole. Gives the new end.
fn say_timed_out(input: &mut Buffer, end: usize, error: &ErrPacket) -> usize {
    let said = error.encode();
    let Some(start) = end.checked_sub(frame::HEADER + said.len()) else { return end };
    let Some((header, payload)) =
        input.filled().get(start..end).and_then(|packet| packet.split_first_chunk())
    else {
        return end;
    };
    let header: &[u8; frame::HEADER] = header;
    if error.code != INTERRUPTED || frame::Header::parse(header).length != said.len() || payload != said {
        return end;
    }
    let ours = Refusal::timed_out().frames(header[3]);
    input.replace(start..end, &ours);
    start + ours.len()
}

enum PassError {
    Client(io::Error),
    Backend(io::Error),
}

pub(super) fn lost(error: io::Error, client_saw_some: bool) -> Trouble {
    Trouble::BackendLost { error, client_saw_some }
}

enum Waited {
    Filled(io::Result<usize>),
    ClientGone,
    Interrupted(Interrupt),
}

/// What the first bytes of a response are to the relay.
#[derive(Debug, PartialEq, Eq)]
enum Inspected {
    /// More bytes are needed to tell.
    TooShort,
    Pass,
    /// An ERR that means "not on this server, not now".
    Refusal {
        code: u16,
        message: String,
    },
}

/// Looks at the first packet of a response, if anything depends on it.
fn inspect(bytes: &[u8], wanted: Reported) -> Inspected {
    let Some((header, rest)) = bytes.split_first_chunk::<{ frame::HEADER }>() else {
        return Inspected::TooShort;
    };
    let length = frame::Header::parse(header).length;
    let Some(kind) = rest.first().copied() else { return Inspected::TooShort };
    if kind != 0xff || !wanted.any() {
        return Inspected::Pass;
    }
    match rest.get(..length) {
        None if length < 4096 => Inspected::TooShort,
        Some([_, low, high, text @ ..]) => {
            let code = u16::from_le_bytes([*low, *high]);
            let message = String::from_utf8_lossy(text.get(6..).unwrap_or(text)).into_owned();
            if wanted.has(code, &message) { Inspected::Refusal { code, message } } else { Inspected::Pass }
        }
        _ => Inspected::Pass,
    }
}

/// Errors that speak of the server's state, not of the statement: WSREP not ready, shutting down, read-only. 1290 is also what
/// `--secure-file-priv` and other options give, which every server would.
pub fn is_about_the_server(code: u16, message: &str) -> bool {
    matches!(code, 1047 | SHUTDOWN | 1836) || (code == 1290 && message.contains("read-only"))
}

/// What such an error says.
pub fn why_refused(code: u16) -> Why {
    if code == SHUTDOWN { Why::Closing } else { Why::NotHere }
}

/// The server cannot use a prepared statement any more, or does not know it: prepare it again.
pub fn lost_statement(code: u16) -> bool {
    matches!(code, 1243 | 1615)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::BufferPool;

    const NOT_HERE: Reported = Reported { not_here: true, shutdown: false, lost_statement: false };

    fn err(code: u16, text: &str) -> Vec<u8> {
        let payload = [&[0xff][..], &code.to_le_bytes(), b"#HY000", text.as_bytes()].concat();
        [&[u8::try_from(payload.len()).unwrap(), 0, 0, 1][..], &payload].concat()
    }

    #[test]
    fn only_errors_about_the_server_are_refusals() {
        let wsrep = err(1047, "WSREP not ready");
        let refusal = Inspected::Refusal { code: 1047, message: "WSREP not ready".to_owned() };
        assert_eq!(inspect(&wsrep, NOT_HERE), refusal);
        assert_eq!(inspect(&wsrep, Reported::default()), Inspected::Pass);
        assert_eq!(inspect(&wsrep[..9], NOT_HERE), Inspected::TooShort);
        let option =
            |name: &str| err(1290, &format!("The server is running with the {name} option so it cannot"));
        assert!(matches!(
            inspect(&option("--super-read-only"), NOT_HERE),
            Inspected::Refusal { code: 1290, .. }
        ));
        assert_eq!(inspect(&option("--secure-file-priv"), NOT_HERE), Inspected::Pass);
        assert_eq!(inspect(&err(1064, "syntax"), NOT_HERE), Inspected::Pass);
        assert_eq!(inspect(&[7, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0], NOT_HERE), Inspected::Pass);
        assert_eq!(inspect(&[7, 0, 0], NOT_HERE), Inspected::TooShort);
    }

    #[test]
    fn a_shutdown_is_reported_where_it_is_asked_for() {
        let closing = err(SHUTDOWN, "Server shutdown in progress");
        let refusal =
            Inspected::Refusal { code: SHUTDOWN, message: "Server shutdown in progress".to_owned() };
        assert_eq!(inspect(&closing, Reported { shutdown: true, ..Reported::default() }), refusal);
        assert_eq!(inspect(&closing, NOT_HERE), Inspected::Pass, "it may have run: a CALL");
    }

    #[test]
    fn an_interrupted_statement_has_timed_out() {
        let buffers = BufferPool::default();
        let interrupted = ErrPacket::new(INTERRUPTED, b"70100", "Query execution was interrupted");
        let renamed = |before: &[u8], error: &ErrPacket, end_early: usize| {
            let bytes = [before, &crate::reply::frames_of(&error.encode(), 9)].concat();
            let mut input = Buffer::default();
            input.spare(bytes.len(), &buffers)[..bytes.len()].copy_from_slice(&bytes);
            input.advance(bytes.len());
            let end = say_timed_out(&mut input, bytes.len() - end_early, error);
            (input.filled() == bytes, input.filled()[..end].to_vec())
        };
        let (_, told) = renamed(b"rows", &interrupted, 0);
        assert_eq!(told, [b"rows", &Refusal::timed_out().frames(9)[..]].concat());
        assert!(renamed(b"", &ErrPacket::new(1064, b"42000", "syntax"), 0).0);
        assert!(renamed(b"", &interrupted, 3).0, "part of it has gone to the client");
    }

    #[test]
    fn a_statement_that_the_server_lost_is_prepared_again_once() {
        let lost = err(1615, "Prepared statement needs to be re-prepared");
        let wanted = Reported { lost_statement: true, ..Reported::default() };
        assert!(matches!(inspect(&lost, wanted), Inspected::Refusal { code: 1615, .. }));
        assert_eq!(inspect(&lost, NOT_HERE), Inspected::Pass);
        assert!(matches!(inspect(&err(1243, "Unknown"), wanted), Inspected::Refusal { code: 1243, .. }));
        assert_eq!(inspect(&err(1047, "WSREP"), wanted), Inspected::Pass);
    }
}
