//! Which worker has stopped making progress. Pure: beat counters and the time of looking in, a hang out.
//!
//! Time counts only as the angel itself got to see it: one look adds at most [`MAX_CREDIT`] to a worker's silence, however
//! long ago the last look was. On a machine with no processor time to give, the angel looks late too, and a worker that
//! was never scheduled is not taken for hung; nor is one that was paused together with the angel (a suspended VM).
//!
//! The angel may get its turns while a worker does not: the kernel is asked what a silent worker's thread does. One that
//! wants to run and is not run, or waits for a disk, is starved, and a restart would be starved too: its silence counts a
//! quarter. One that runs and still makes no progress (a spin), sleeps (a lock) or is stopped counts in full.

use std::time::{Duration, Instant};

/// How often the angel looks.
pub const PERIOD: Duration = Duration::from_millis(20);
/// The most silence that one look can prove.
pub const MAX_CREDIT: Duration = Duration::from_millis(30);

/// A silence shorter than this needs no explanation.
const ASK_AFTER: Duration = Duration::from_millis(100);
/// The silence of a starved worker is divided by this.
const STARVED_DIVISOR: u32 = 4;

/// What the kernel says of a worker's thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thread {
    /// Runnable, or in an uninterruptible wait (states R and D of proc(5)).
    pub wants_to_run: bool,
    /// The processor time it has had in its life.
    pub ran: Duration,
}

/// A worker that made no progress for the hang timeout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hang {
    pub worker: usize,
    /// When this worker was last seen to have moved.
    pub since: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Watched {
    beats: u64,
    moved: Instant,
    silence: Duration,
    thread: Option<Thread>,
}

impl Watched {
    fn new(beats: u64, now: Instant) -> Watched {
        Watched { beats, moved: now, silence: Duration::ZERO, thread: None }
    }

    /// One more look without a beat, worth at most `credit`.
    fn still(&mut self, credit: Duration, ask: impl FnOnce() -> Option<Thread>) {
        let thread = if self.silence >= ASK_AFTER { ask() } else { None };
        let starved = match (self.thread, thread) {
            (Some(before), Some(now)) => now.wants_to_run && now.ran.saturating_sub(before.ran) < credit / 2,
            _ => false,
        };
        self.thread = thread;
        self.silence += if starved { credit / STARVED_DIVISOR } else { credit };
    }
}

/// Watches the workers of one proxy process; a new process gets a new detector.
#[derive(Debug, Clone)]
pub struct HangDetector {
    timeout: Duration,
    last_look: Option<Instant>,
    workers: Vec<Watched>,
}

impl HangDetector {
    pub fn new(timeout: Duration) -> HangDetector {
        HangDetector { timeout, last_look: None, workers: Vec::new() }
    }

    /// One look at all counters, in the order of the workers. The first look only learns them. `thread` tells what a
    /// worker's thread does now, if that can be known.
    pub fn look(
        &mut self,
        beats: impl IntoIterator<Item = u64>,
        thread: impl Fn(usize) -> Option<Thread>,
        now: Instant,
    ) -> Option<Hang> {
        let passed = self.last_look.map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        let credit = passed.min(MAX_CREDIT);
        self.last_look = Some(now);
        let mut hang = None;
        for (worker, beats) in beats.into_iter().enumerate() {
            let Some(watched) = self.workers.get_mut(worker) else {
                self.workers.push(Watched::new(beats, now));
                continue;
            };
            if watched.beats != beats {
                *watched = Watched::new(beats, now);
                continue;
            }
            watched.still(credit, || thread(worker));
            if watched.silence >= self.timeout && hang.is_none() {
                hang = Some(Hang { worker, since: watched.moved });
            }
        }
        hang
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(400);

    /// Looks at `times` (ms); worker 1 of two beats until `last_beat` only. The ms of the hang.
    fn hang_at(times: impl IntoIterator<Item = u64>, last_beat: u64) -> Option<(u64, usize, u64)> {
        let start = Instant::now();
        let mut detector = HangDetector::new(TIMEOUT);
        times.into_iter().find_map(|ms| {
            let now = start + Duration::from_millis(ms);
            let hang = detector.look([ms, ms.min(last_beat)], |_| None, now)?;
            Some((ms, hang.worker, hang.since.duration_since(start).as_millis() as u64))
        })
    }

    #[test]
    fn on_time_looks_find_a_hang_after_the_timeout() {
        assert_eq!(hang_at((0..).step_by(20), 1000), Some((1400, 1, 1000)));
        // The last beat fell between two looks.
        assert_eq!(hang_at((0..).step_by(20), 1001), Some((1420, 1, 1020)));
    }

    #[test]
    fn a_worker_that_beats_never_hangs() {
        assert_eq!(hang_at((0..100_000).step_by(20), u64::MAX), None);
    }

    #[test]
    fn one_late_look_proves_little() {
        // The angel slept from 1000 to 3000 together with everybody else.
        let times = (0..=1000).step_by(20).chain((3000..).step_by(20));
        assert_eq!(hang_at(times, 1000), Some((3380, 1, 1000)));
    }

    #[test]
    fn jitter_only_delays() {
        // Looks 5 to 55 ms apart, 30 ms on average.
        let mut at = 0;
        let times = std::iter::from_fn(|| {
            at += [5, 55, 20, 40, 30][(at % 5) as usize];
            Some(at)
        });
        let (found, worker, _) = hang_at(times, 1000).unwrap();
        assert_eq!(worker, 1);
        assert!((1400..1800).contains(&found), "{found}");
    }

    /// A worker that beats last at 1000 ms, and whose thread is as `thread` says at each ms. The ms of the hang.
    fn hang_of(thread: impl Fn(u64) -> Thread) -> Option<u64> {
        let start = Instant::now();
        let mut detector = HangDetector::new(TIMEOUT);
        (0..10_000).step_by(20).find(|&ms| {
            let now = start + Duration::from_millis(ms);
            detector.look([ms.min(1000)], |_| Some(thread(ms)), now).is_some()
        })
    }

    #[test]
    fn a_starved_worker_is_given_four_times_the_time() {
        let ran = Duration::from_millis(7);
        // 100 ms in full, one look to compare with, then 20 ms of each 80.
        assert_eq!(hang_of(|_| Thread { wants_to_run: true, ran }), Some(2240));
    }

    #[test]
    fn a_spin_a_lock_and_a_stop_are_hangs_like_any() {
        let spin = |ms| Thread { wants_to_run: true, ran: Duration::from_millis(ms) };
        assert_eq!(hang_of(spin), Some(1400));
        let asleep = Thread { wants_to_run: false, ran: Duration::from_millis(7) };
        assert_eq!(hang_of(|_| asleep), Some(1400));
    }

    #[test]
    fn a_starved_machine_has_no_hang_while_each_worker_moves_within_thirteen_looks() {
        // Everybody runs every 300 ms only; the worker moves at every third look of the angel.
        let start = Instant::now();
        let mut detector = HangDetector::new(TIMEOUT);
        for look in 0..1000_u64 {
            let now = start + Duration::from_millis(look * 300);
            assert_eq!(detector.look([look / 13], |_| None, now), None);
        }
    }
}
