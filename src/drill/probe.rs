//! The client that measures: a new connection every 10 ms, served when the proxy greets it. Needs no account.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_millis(10);
/// A lost SYN is sent again after a second; a fresh attempt is sooner.
const PATIENCE: Duration = Duration::from_millis(250);
/// As many attempts at a time, so that one that hangs does not hide when service is back.
const AT_ONCE: u32 = 8;

/// When attempts ended, and whether they were served.
type Attempts = Arc<Mutex<Vec<(Instant, bool)>>>;

pub(super) struct Probe {
    attempts: Attempts,
    stop: Arc<AtomicBool>,
}

pub(super) struct Seen {
    /// The longest time between two served clients.
    pub(super) outage: Duration,
    pub(super) failures: usize,
}

impl Probe {
    pub(super) fn start(target: SocketAddr) -> Probe {
        let probe = Probe { attempts: Attempts::default(), stop: Arc::default() };
        for place in 0..AT_ONCE {
            let (attempts, stop) = (Arc::clone(&probe.attempts), Arc::clone(&probe.stop));
            thread::spawn(move || {
                thread::sleep(EVERY * place);
                while !stop.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    let served = greets(target);
                    lock(&attempts).push((Instant::now(), served));
                    thread::sleep((EVERY * AT_ONCE).saturating_sub(began.elapsed()));
                }
            });
        }
        probe
    }

    pub(super) fn since(&self, from: Instant) -> Seen {
        measure(&lock(&self.attempts), from, Instant::now())
    }

    /// Served for so long without a failure.
    pub(super) fn is_calm(&self, time: Duration) -> bool {
        let attempts = lock(&self.attempts);
        let Some(from) = Instant::now().checked_sub(time) else { return false };
        let recent = || attempts.iter().rev().take_while(|(end, _)| *end >= from);
        recent().count() > 10 && recent().all(|(_, served)| *served)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// The proxy says hello before it is asked anything.
pub(super) fn greets(target: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect_timeout(&target, PATIENCE) else { return false };
    let mut greeting = [0; 5];
    stream.set_read_timeout(Some(2 * PATIENCE)).is_ok()
        && stream.read_exact(&mut greeting).is_ok()
        && greeting.last() == Some(&10)
}

fn lock(attempts: &Attempts) -> MutexGuard<'_, Vec<(Instant, bool)>> {
    attempts.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Attempts end in the order of their places in the list.
fn measure(attempts: &[(Instant, bool)], from: Instant, to: Instant) -> Seen {
    let first = attempts.partition_point(|(end, _)| *end < from);
    let served_before = attempts.iter().take(first).rev().find(|(_, served)| *served);
    let mut last = served_before.map_or(from, |(end, _)| *end);
    let mut seen = Seen { outage: Duration::ZERO, failures: 0 };
    for (end, served) in attempts.iter().skip(first) {
        if *served {
            seen.outage = seen.outage.max(end.saturating_duration_since(last));
            last = *end;
        } else {
            seen.failures += 1;
        }
    }
    seen.outage = seen.outage.max(to.saturating_duration_since(last));
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outage_is_the_longest_gap_between_served_clients() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let attempts = [(at(0), true), (at(10), true), (at(20), false), (at(60), true), (at(70), true)];
        let seen = measure(&attempts, at(15), at(75));
        assert_eq!((seen.outage, seen.failures), (Duration::from_millis(50), 1));
        assert_eq!(measure(&attempts, at(65), at(200)).outage, Duration::from_millis(130), "still out");
        assert_eq!(measure(&[], at(0), at(7)).outage, Duration::from_millis(7));
    }
}
