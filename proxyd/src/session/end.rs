//! How a session ended: one value, one log line, one metric label.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::audit::Event;

/// Who ended it, while doing what, and why.
#[derive(Debug)]
pub struct SessionEnd {
    pub side: Side,
    pub phase: Phase,
    pub cause: Cause,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Client,
    Proxy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Handshake,
    Command,
    Result,
}

#[derive(Debug)]
pub enum Cause {
    /// COM_QUIT or a clean end of the stream between commands.
    Quit,
    /// The client's stream failed.
    Io(io::Error),
    /// The client sent what the protocol does not allow.
    Protocol(String),
    /// Refused at login, with the reason that the client was told.
    Refused(String),
    /// Too slow to log in, or idle for too long.
    Timeout,
    Killed,
}

impl SessionEnd {
    pub fn quit() -> SessionEnd {
        SessionEnd { side: Side::Client, phase: Phase::Command, cause: Cause::Quit }
    }

    pub fn client(phase: Phase, error: io::Error) -> SessionEnd {
        SessionEnd { side: Side::Client, phase, cause: Cause::Io(error) }
    }

    pub fn protocol(phase: Phase, what: impl Into<String>) -> SessionEnd {
        SessionEnd { side: Side::Client, phase, cause: Cause::Protocol(what.into()) }
    }

    pub fn proxy(phase: Phase, cause: Cause) -> SessionEnd {
        SessionEnd { side: Side::Proxy, phase, cause }
    }

    /// What the audit log says of it.
    pub fn event(&self, age: Duration) -> Event<'_> {
        match &self.cause {
            Cause::Refused(reason) => Event::Refused(reason),
            _ if self.phase == Phase::Handshake => Event::Refused("the login was not finished"),
            _ => Event::Closed { after: age },
        }
    }

    /// Everything but a client that said good-bye.
    pub fn is_abort(&self) -> bool {
        !matches!(self.cause, Cause::Quit)
    }

    /// Worth a line at the usual log level: somebody may have to act.
    pub fn is_notable(&self) -> bool {
        matches!(self.cause, Cause::Protocol(_) | Cause::Refused(_))
    }
}

impl fmt::Display for SessionEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = match self.side {
            Side::Client => "client",
            Side::Proxy => "proxy",
        };
        let phase = match self.phase {
            Phase::Handshake => "handshake",
            Phase::Command => "command",
            Phase::Result => "result",
        };
        write!(f, "side={side} phase={phase} cause=")?;
        match &self.cause {
            Cause::Quit => f.write_str("quit"),
            Cause::Io(error) => write!(f, "io error=\"{error}\""),
            Cause::Protocol(what) => write!(f, "protocol error=\"{what}\""),
            Cause::Refused(why) => write!(f, "refused error=\"{why}\""),
            Cause::Timeout => f.write_str("timeout"),
            Cause::Killed => f.write_str("killed"),
        }
    }
}
