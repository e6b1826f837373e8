//! A worker's clock: one reading serves everything that happens in one turn of a session, which ends where it waits.

use std::cell::Cell;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[derive(Debug)]
pub struct Clock {
    /// The last reading of this turn.
    turn: Cell<Option<Instant>>,
    second: Cell<Second>,
}

/// A second of the calendar. One that is set anew under way is found out when it ends.
#[derive(Debug, Clone, Copy)]
struct Second {
    /// Since 1970.
    number: u64,
    ends: Instant,
}

impl Clock {
    pub fn new() -> Clock {
        let now = Instant::now();
        Clock { turn: Cell::new(None), second: Cell::new(Second { number: 0, ends: now }) }
    }

    /// A session that has waited goes on.
    pub fn begin_turn(&self) {
        self.turn.set(None);
    }

    /// The time of this turn, as it was read last.
    pub fn now(&self) -> Instant {
        self.turn.get().unwrap_or_else(|| self.read())
    }

    /// The time as it is at this very moment, for what is to be measured.
    pub fn read(&self) -> Instant {
        let now = Instant::now();
        self.turn.set(Some(now));
        now
    }

    /// Seconds since 1970.
    pub fn seconds(&self) -> u64 {
        let now = self.now();
        if now >= self.second.get().ends {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let left =
                Duration::from_secs(1).saturating_sub(Duration::from_nanos(since.subsec_nanos().into()));
            self.second.set(Second { number: since.as_secs(), ends: now + left });
        }
        self.second.get().number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_has_one_time_until_it_is_read_again() {
        let clock = Clock::new();
        let first = clock.now();
        std::thread::sleep(Duration::from_millis(1));
        assert_eq!(clock.now(), first);
        let second = clock.read();
        assert!(second > first);
        assert_eq!(clock.now(), second);
        std::thread::sleep(Duration::from_millis(1));
        clock.begin_turn();
        assert!(clock.now() > second);
    }

    #[test]
    fn the_calendar_is_followed() {
        let clock = Clock::new();
        let calendar = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        for _ in 0..3 {
            clock.begin_turn();
            let (before, told, after) = (calendar(), clock.seconds(), calendar());
            assert!((before..=after).contains(&told), "{before} {told} {after}");
            std::thread::sleep(Duration::from_millis(400));
        }
    }
}
