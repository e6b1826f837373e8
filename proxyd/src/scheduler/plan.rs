//! Which job is due when. Pure.

use std::time::Instant;

use super::Job;

#[derive(Debug, Default)]
pub(super) struct Plan(Vec<Planned>);

#[derive(Debug)]
struct Planned {
    job: Job,
    next: Instant,
    running: bool,
    /// It came up while its last run went on; said once until that ends.
    overlapped: bool,
    /// No longer in the table; kept until its last run ends.
    removed: bool,
}

impl Plan {
    /// The table's rows now. A job that is unchanged keeps its time; one that runs is not started again beside itself.
    pub(super) fn load(&mut self, jobs: Vec<Job>, now: Instant) {
        let mut before = std::mem::take(&mut self.0);
        for job in jobs {
            let known = before.iter().position(|planned| planned.job.id == job.id);
            let known = known.map(|index| before.swap_remove(index));
            let running = known.as_ref().is_some_and(|known| known.running);
            let next = match known {
                Some(known) if known.job == job => known.next,
                _ => now + job.interval,
            };
            self.0.push(Planned { job, next, running, overlapped: false, removed: false });
        }
        let still_running = before.into_iter().filter(|planned| planned.running);
        self.0.extend(still_running.map(|planned| Planned { removed: true, ..planned }));
    }

    /// The jobs to start now, which count as running from here on, as long as no more than `most` run.
    pub(super) fn take_due(&mut self, now: Instant, most: usize) -> Vec<Job> {
        let mut running = self.0.iter().filter(|planned| planned.running).count();
        let mut due = Vec::new();
        for planned in self.0.iter_mut().filter(|planned| !planned.removed && planned.next <= now) {
            // From now on, not from when it was due: after a pause nothing is made up for.
            planned.next = now + planned.job.interval;
            if planned.running || running >= most {
                if !planned.overlapped {
                    let (id, filename) = (planned.job.id, planned.job.filename.as_str());
                    tracing::warn!(id, filename, "a scheduled program's last run still goes on: left out");
                }
                planned.overlapped = true;
                continue;
            }
            running += 1;
            planned.running = true;
            due.push(planned.job.clone());
        }
        due
    }

    pub(super) fn ended(&mut self, id: i64) {
        for planned in self.0.iter_mut().filter(|planned| planned.job.id == id) {
            (planned.running, planned.overlapped) = (false, false);
        }
        self.0.retain(|planned| !planned.removed || planned.running);
    }

    /// When the next job is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.iter().filter(|planned| !planned.removed).map(|planned| planned.next).min()
    }
}
