//! The verdict: one word for the proxy of this host, which vrrpd turns into "keep the VIP" or "give it up".

use std::fmt;
use std::str::FromStr;

/// What the rest of the host may expect of the proxy now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Answers on its listeners.
    Serving,
    /// Gone for less than the grace; the angel is bringing it back. A master keeps its VIP, a backup does not compete.
    Restarting,
    /// Gone for longer than the grace, or in a crash loop.
    Down,
    /// An operator is taking the host out of service.
    Draining,
    /// Answers, but has no backend that is ONLINE.
    Degraded,
}

impl Verdict {
    pub const ALL: [Verdict; 5] =
        [Verdict::Serving, Verdict::Restarting, Verdict::Down, Verdict::Draining, Verdict::Degraded];

    /// The word of the feed and of the JSON answers.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Serving => "serving",
            Verdict::Restarting => "restarting",
            Verdict::Down => "down",
            Verdict::Draining => "draining",
            Verdict::Degraded => "degraded",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The text is none of the five words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a verdict")]
pub struct UnknownVerdict;

impl FromStr for Verdict {
    type Err = UnknownVerdict;

    fn from_str(text: &str) -> Result<Self, UnknownVerdict> {
        Verdict::ALL.into_iter().find(|verdict| verdict.word() == text).ok_or(UnknownVerdict)
    }
}
