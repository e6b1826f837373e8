//! The operator's own checks: when each is started, how long it may take, and what its answers add up to.
//!
//! Until a check has failed often enough it is good. One that never ends is killed at its time-out, which is a failure like
//! any other; the next one starts in its time.

use std::time::Instant;

use configs::Check;
use serde_json::{Value, json};

use crate::child::{self, Running};
use crate::log::log;

/// Answers in a row, and what they make of a check. Pure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Score {
    good: bool,
    /// Answers in a row that say otherwise.
    against: u32,
}

impl Score {
    /// True if this answer turns it.
    fn count(&mut self, success: bool, check: &Check) -> bool {
        if success == self.good {
            self.against = 0;
            return false;
        }
        self.against += 1;
        if self.against < if success { check.rise } else { check.fall } {
            return false;
        }
        *self = Score { good: success, against: 0 };
        true
    }
}

struct Watched {
    check: Check,
    score: Score,
    next_at: Instant,
    running: Option<Running>,
    failures: u64,
    timeouts: u64,
}

#[derive(Default)]
pub(crate) struct Checks(Vec<Watched>);

impl Checks {
    /// Those of a configuration; one that was there before keeps what it knows.
    pub(crate) fn adopt(&mut self, checks: &[Check], now: Instant) {
        let mut before = std::mem::take(&mut self.0);
        for check in checks {
            let known = before.iter().position(|it| it.check == *check);
            self.0.push(match known {
                Some(place) => before.swap_remove(place),
                None => Watched {
                    check: check.clone(),
                    score: Score { good: true, against: 0 },
                    next_at: now,
                    running: None,
                    failures: 0,
                    timeouts: 0,
                },
            });
        }
    }

    /// Starts what is due and takes what has ended. True if a check has turned.
    pub(crate) fn poll(&mut self, now: Instant) -> bool {
        self.0.iter_mut().fold(false, |turned, watched| watched.poll(now) | turned)
    }

    /// Whether a router with these checks may serve, and what they add to its priority.
    pub(crate) fn verdict(&self, names: &[String]) -> (bool, i16) {
        let of_it = self.0.iter().filter(|it| names.contains(&it.check.name));
        of_it.fold((true, 0_i16), |(fit, weight), it| match it.check.weight {
            None => (fit && it.score.good, weight),
            Some(more) if (more > 0) == it.score.good => (fit, weight.saturating_add(more)),
            Some(_) => (fit, weight),
        })
    }

    pub(crate) fn fds(&self) -> impl Iterator<Item = i32> {
        self.0.iter().filter_map(|it| it.running.as_ref().map(Running::fd))
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.0.iter().map(Watched::deadline).min()
    }

    pub(crate) fn to_json(&self) -> Vec<Value> {
        let tell = |it: &Watched| {
            json!({
                "name": it.check.name, "good": it.score.good, "failures": it.failures, "timeouts": it.timeouts,
            })
        };
        self.0.iter().map(tell).collect()
    }
}

impl Watched {
    fn deadline(&self) -> Instant {
        self.running.as_ref().map_or(self.next_at, |running| running.since + self.check.timeout)
    }

    fn poll(&mut self, now: Instant) -> bool {
        let ended = self.running.as_mut().and_then(Running::ended);
        let late = self.running.is_some() && ended.is_none() && now >= self.deadline();
        let answer = match ended {
            Some(code) => Some(code == Some(0)),
            None if late => Some(false),
            None => None,
        };
        let mut turned = false;
        if let Some(success) = answer {
            self.running = None;
            self.timeouts += u64::from(late);
            turned = self.answered(success, late);
        }
        if self.running.is_none() && now >= self.next_at {
            self.next_at = now + self.check.interval;
            turned |= self.start();
        }
        turned
    }

    fn start(&mut self) -> bool {
        let Some((program, arguments)) = self.check.command.split_first() else { return false };
        match Running::start(&mut child::unprivileged(program, arguments, &self.check.user)) {
            Ok(running) => {
                self.running = Some(running);
                false
            }
            Err(error) => {
                if self.failures.is_power_of_two() || self.failures == 0 {
                    log!("error", "check-not-started", "check={} error=\"{error}\"", self.check.name);
                }
                self.answered(false, false)
            }
        }
    }

    fn answered(&mut self, success: bool, late: bool) -> bool {
        self.failures += u64::from(!success);
        let turned = self.score.count(success, &self.check);
        if turned {
            let (name, word) = (&self.check.name, if success { "good" } else { "bad" });
            log!("warn", "check", "check={name} is={word} timed_out={late}");
        }
        turned
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn check(weight: Option<i16>) -> Check {
        Check {
            name: "disk".into(),
            command: vec!["/bin/true".into()],
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            fall: 2,
            rise: 3,
            weight,
            user: "nobody".into(),
        }
    }

    #[test]
    fn answers_in_a_row_turn_a_check() {
        let (check, mut score) = (check(None), Score { good: true, against: 0 });
        let answers = [false, true, false, false, true, true, false, true, true, true];
        let turned: Vec<bool> = answers.iter().map(|answer| score.count(*answer, &check)).collect();
        let places: Vec<usize> = (0..turned.len()).filter(|place| turned[*place]).collect();
        assert_eq!(places, [3, 9]);
        assert!(score.good);
    }

    #[test]
    fn what_checks_add_up_to() {
        let names = ["disk".to_owned()];
        for (weight, good, wanted) in [
            (None, true, (true, 0)),
            (None, false, (false, 0)),
            (Some(5), true, (true, 5)),
            (Some(5), false, (true, 0)),
            (Some(-60), true, (true, 0)),
            (Some(-60), false, (true, -60)),
        ] {
            let mut checks = Checks::default();
            checks.adopt(&[check(weight)], Instant::now());
            checks.0[0].score.good = good;
            assert_eq!(checks.verdict(&names), wanted, "{weight:?} {good}");
            assert_eq!(checks.verdict(&[]), (true, 0));
        }
    }
}
