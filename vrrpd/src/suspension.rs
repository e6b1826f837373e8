//! How long the machine was suspended: timers stand still then, and only the clock that counts since boot knows. Pure.

use std::time::Duration;

/// Both clocks are not read at the same instant.
const UNCERTAIN: Duration = Duration::from_millis(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suspension {
    /// By how much the clock since boot is ahead of the one that stands still.
    ahead: Duration,
}

impl Suspension {
    #[must_use]
    pub fn new(since_boot: Duration, awake: Duration) -> Suspension {
        Suspension { ahead: since_boot.saturating_sub(awake) }
    }

    /// How long it slept since the last look, if it did.
    pub fn look(&mut self, since_boot: Duration, awake: Duration) -> Option<Duration> {
        let ahead = since_boot.saturating_sub(awake);
        let slept = ahead.checked_sub(self.ahead).filter(|slept| *slept > UNCERTAIN)?;
        self.ahead = ahead;
        Some(slept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleep_is_what_only_one_clock_has_seen() {
        let s = Duration::from_secs;
        let mut suspension = Suspension::new(s(100), s(90));
        assert_eq!(suspension.look(s(110), s(100)), None);
        assert_eq!(suspension.look(s(150), s(101)), Some(s(39)));
        assert_eq!(suspension.look(s(151), s(102)), None);
    }
}
