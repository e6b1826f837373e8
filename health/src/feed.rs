//! The liveness feed: how the angel tells vrrpd its verdict, and what vrrpd makes of it. Pure: bytes, events and time in;
//! bytes and verdicts out.
//!
//! One line a report, sent at every change and at least every [`INTERVAL`]:
//!
//! ```text
//! standfast-health 1 verdict=serving cause=ready since_ms=1234 restarts=0 sessions=12 backends=3/3
//! ```
//!
//! `warm=no` is added while the proxy serves and has not yet seen its backends: such a host takes no VIP back from another.
//! The number is the version of the format. Within a version keys may be added; a reader skips those it does not know.

use std::fmt;
use std::time::{Duration, Instant};

use crate::heartbeat::Backends;
use crate::verdict::Verdict;

/// The angel repeats its report at least this often.
pub const INTERVAL: Duration = Duration::from_millis(100);
/// A connected feed that says nothing for so long counts as lost. Five reports: a busy machine loses none of its own.
pub const SILENCE: Duration = Duration::from_millis(500);
/// A reader that was itself away (a suspended machine, no processor time) for longer than [`SILENCE`] by this much did not
/// listen; the angel then has this long to be heard before its silence counts.
pub const LATE: Duration = Duration::from_millis(100);
/// The longest line, its newline included.
pub const MAX_LINE: usize = 512;
/// The request that turns a connection to the angel's control socket into a feed.
pub const SUBSCRIBE: &str = "subscribe\n";

const PREFIX: &str = "standfast-health 1 ";
const MAX_CAUSE: usize = 64;

/// What the angel knows, at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub verdict: Verdict,
    /// One word (`[a-z0-9-]`) for why.
    pub cause: String,
    /// For how long this has been the verdict; whole milliseconds on the wire.
    pub since: Duration,
    /// Starts of proxyd after the first one.
    pub restarts: u32,
    pub sessions: u32,
    pub backends: Backends,
    /// The proxy knows its backends.
    pub warm: bool,
}

impl fmt::Display for Report {
    /// The line without its newline.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { verdict, cause, since, restarts, sessions, backends, warm } = self;
        write!(f, "{PREFIX}verdict={verdict} cause={cause} since_ms={}", since.as_millis())?;
        write!(
            f,
            " restarts={restarts} sessions={sessions} backends={}/{}",
            backends.online, backends.known
        )?;
        f.write_str(if *warm { "" } else { " warm=no" })
    }
}

/// Why a line is not a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FeedError {
    #[error("a feed line is longer than {MAX_LINE} bytes")]
    TooLong,
    #[error("not a line of standfast-health version 1")]
    Format,
    #[error("the feed line has a bad value for `{0}`")]
    Value(&'static str),
    #[error("the feed line lacks `{0}`")]
    Missing(&'static str),
    #[error("the feed line has `{0}` twice")]
    Twice(&'static str),
}

/// The line as it goes out, newline included.
pub fn encode(report: &Report) -> String {
    format!("{report}\n")
}

/// One line, without its newline.
pub fn decode(line: &[u8]) -> Result<Report, FeedError> {
    if line.len() >= MAX_LINE {
        return Err(FeedError::TooLong);
    }
    let line = std::str::from_utf8(line).map_err(|_| FeedError::Format)?;
    let fields = line.strip_prefix(PREFIX).ok_or(FeedError::Format)?;
    let mut parts = Parts::default();
    for field in fields.split(' ') {
        let (key, value) = field.split_once('=').ok_or(FeedError::Format)?;
        parts.take(key, value)?;
    }
    parts.finish()
}

#[derive(Default)]
struct Parts {
    verdict: Option<Verdict>,
    cause: Option<String>,
    since: Option<Duration>,
    restarts: Option<u32>,
    sessions: Option<u32>,
    backends: Option<Backends>,
    warm: Option<bool>,
}

impl Parts {
    fn take(&mut self, key: &str, value: &str) -> Result<(), FeedError> {
        match key {
            "verdict" => set(&mut self.verdict, "verdict", value.parse().ok()),
            "cause" => set(&mut self.cause, "cause", is_cause(value).then(|| value.to_owned())),
            "since_ms" => set(&mut self.since, "since_ms", number(value).map(Duration::from_millis)),
            "restarts" => set(&mut self.restarts, "restarts", number(value)),
            "sessions" => set(&mut self.sessions, "sessions", number(value)),
            "backends" => set(&mut self.backends, "backends", backends(value)),
            "warm" => set(&mut self.warm, "warm", yes(value)),
            _ => Ok(()),
        }
    }

    fn finish(self) -> Result<Report, FeedError> {
        Ok(Report {
            verdict: self.verdict.ok_or(FeedError::Missing("verdict"))?,
            cause: self.cause.ok_or(FeedError::Missing("cause"))?,
            since: self.since.ok_or(FeedError::Missing("since_ms"))?,
            restarts: self.restarts.ok_or(FeedError::Missing("restarts"))?,
            sessions: self.sessions.ok_or(FeedError::Missing("sessions"))?,
            backends: self.backends.ok_or(FeedError::Missing("backends"))?,
            warm: self.warm.unwrap_or(true),
        })
    }
}

fn set<T>(place: &mut Option<T>, key: &'static str, value: Option<T>) -> Result<(), FeedError> {
    if place.is_some() {
        return Err(FeedError::Twice(key));
    }
    *place = Some(value.ok_or(FeedError::Value(key))?);
    Ok(())
}

fn is_cause(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.len() <= MAX_CAUSE && text.bytes().all(word)
}

/// Digits only: `parse` alone would take a sign.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

fn yes(text: &str) -> Option<bool> {
    [("yes", true), ("no", false)].into_iter().find(|(word, _)| *word == text).map(|(_, value)| value)
}

fn backends(text: &str) -> Option<Backends> {
    let (online, known) = text.split_once('/')?;
    let both = Backends { online: number(online)?, known: number(known)? };
    (both.online <= both.known).then_some(both)
}

/// Cuts a byte stream into reports.
#[derive(Debug, Default)]
pub struct FeedReader {
    line: Vec<u8>,
}

impl FeedReader {
    pub fn new() -> FeedReader {
        FeedReader { line: Vec::with_capacity(MAX_LINE) }
    }

    /// Every report that `bytes` completes, in order. After an error the connection is of no more use.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Report>, FeedError> {
        let mut reports = Vec::new();
        for chunk in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.line.len() + chunk.len() > MAX_LINE {
                return Err(FeedError::TooLong);
            }
            self.line.extend_from_slice(chunk);
            if let Some(line) = self.line.strip_suffix(b"\n") {
                reports.push(decode(line)?);
                self.line.clear();
            }
        }
        Ok(reports)
    }
}

/// What happened to the feed, as vrrpd saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedEvent {
    Report(Report),
    /// The connection failed, was refused, or broke the format.
    Disconnected,
    /// Time passed.
    Tick,
}

/// The verdict as vrrpd must act on it, also while the angel is silent.
///
/// | last heard | feed is well | feed lost (closed, or silent for [`SILENCE`]) | lost for the grace |
/// |---|---|---|---|
/// | nothing yet | - | Restarting | Down |
/// | Serving, Restarting | as heard | Restarting | Down |
/// | Degraded | as heard | Degraded | Down |
/// | Draining, Down | as heard | as heard | as heard |
///
/// So an angel that is killed costs nothing: it is back inside the grace. The grace runs from the loss (closed
/// connection, or last report) and is not prolonged by reconnecting without hearing a report. The owner looks in at each
/// [`FeedWatch::next_deadline`] at the latest, and hands over what has arrived before it ticks.
#[derive(Debug, Clone)]
pub struct FeedWatch {
    grace: Duration,
    last: Option<Report>,
    /// When the last report came; before the first one, when the watch began.
    heard: Instant,
    /// Since when the feed is lost.
    lost: Option<Instant>,
    /// When the owner last looked in.
    looked: Instant,
}

impl FeedWatch {
    /// Begins with a feed that is lost from `now` on: a vrrpd that has just started neither resigns nor competes.
    pub fn new(grace: Duration, now: Instant) -> FeedWatch {
        FeedWatch { grace, last: None, heard: now, lost: Some(now), looked: now }
    }

    /// Takes an event and says what holds from now on.
    pub fn on(&mut self, event: FeedEvent, now: Instant) -> Verdict {
        match event {
            FeedEvent::Report(report) => {
                self.last = Some(report);
                self.heard = now;
                self.lost = None;
            }
            FeedEvent::Disconnected => {
                self.lost.get_or_insert(now);
            }
            FeedEvent::Tick => {}
        }
        let away = now.saturating_duration_since(self.looked) > SILENCE + LATE;
        self.looked = now;
        if away && let Some(chance) = (now + LATE).checked_sub(SILENCE) {
            self.heard = self.heard.max(chance);
        }
        if self.lost.is_none() && now.saturating_duration_since(self.heard) >= SILENCE {
            self.lost = Some(self.heard);
        }
        self.verdict(now)
    }

    /// What holds at `now`, as far as events up to now have told.
    pub fn verdict(&self, now: Instant) -> Verdict {
        let heard = self.last.as_ref().map_or(Verdict::Restarting, |report| report.verdict);
        let Some(lost) = self.lost else { return heard };
        let expired = now.saturating_duration_since(lost) >= self.grace;
        match heard {
            Verdict::Draining | Verdict::Down => heard,
            _ if expired => Verdict::Down,
            Verdict::Degraded => Verdict::Degraded,
            Verdict::Serving | Verdict::Restarting => Verdict::Restarting,
        }
    }

    /// One word for why: the angel's own, or `feed-lost`.
    pub fn cause(&self) -> &str {
        match (&self.last, self.lost) {
            (Some(report), None) => &report.cause,
            _ => "feed-lost",
        }
    }

    /// Whether the proxy knows its backends, as far as it was told; an angel that does not tell has one that does.
    pub fn is_warm(&self) -> bool {
        self.last.as_ref().is_none_or(|report| report.warm)
    }

    /// The last report, also when the feed was lost since.
    pub fn last(&self) -> Option<&Report> {
        self.last.as_ref()
    }

    /// When the verdict changes if nothing is heard until then; `Tick` then.
    pub fn next_deadline(&self) -> Option<Instant> {
        let settled =
            self.last.as_ref().is_some_and(|last| matches!(last.verdict, Verdict::Draining | Verdict::Down));
        match self.lost {
            _ if settled => None,
            None => Some(self.heard + SILENCE),
            Some(lost) => Some(lost + self.grace),
        }
    }
}

#[cfg(test)]
#[path = "feed_tests.rs"]
mod tests;
