//! The `scheduler` table: programs that are run every so often.
//!
//! Each run is a child of its own on a thread of its own, so that nothing waits for it. A job whose last run still goes on
//! is not started a second time, and a run has an end: see [`Job::patience`]. What a program writes goes to the log, its
//! beginning at least. What it gets and what it may: [`crate::program`].

mod plan;
mod run;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use plan::Plan;
use tokio::sync::{mpsc, watch};

/// Between two looks at the plan, at most: a clock that was set must not stop it.
const LOOK: Duration = Duration::from_secs(1);
/// Programs at one time; more wait for their next turn.
const MAX_RUNNING: usize = 32;

/// An active row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    pub id: i64,
    pub interval: Duration,
    pub filename: String,
    pub arguments: Vec<String>,
}

impl Job {
    /// A run takes its interval at most, and ten seconds if that is longer; then it is killed.
    fn patience(&self) -> Duration {
        self.interval.max(Duration::from_secs(10))
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Success,
    /// What went wrong.
    Failure(String),
}

/// Runs what is due until the sender of `jobs` is gone.
pub async fn keep_schedule(mut jobs: watch::Receiver<Vec<Job>>) {
    let mut plan = Plan::default();
    plan.load(jobs.borrow_and_update().clone(), Instant::now());
    let (ended, mut ends) = mpsc::unbounded_channel();
    loop {
        for job in plan.take_due(Instant::now(), MAX_RUNNING) {
            let ended = ended.clone();
            tokio::task::spawn_blocking(move || {
                let (outcome, output) = run::run(&job);
                report(&job, &outcome, &output);
                // The schedule is gone only with the process.
                let _ = ended.send(job.id);
            });
        }
        let sleep = plan.next().map_or(LOOK, |next| next.saturating_duration_since(Instant::now()).min(LOOK));
        tokio::select! {
            changed = jobs.changed() => match changed {
                Ok(()) => plan.load(jobs.borrow_and_update().clone(), Instant::now()),
                Err(_) => return,
            },
            Some(id) = ends.recv() => plan.ended(id),
            () = tokio::time::sleep(sleep) => {}
        }
    }
}

fn report(job: &Job, outcome: &Outcome, output: &str) {
    let Job { id, filename, .. } = job;
    match outcome {
        Outcome::Success if output.is_empty() => tracing::debug!(id, filename, "scheduled program done"),
        Outcome::Success => tracing::info!(id, filename, output, "scheduled program"),
        Outcome::Failure(reason) => tracing::warn!(id, filename, output, reason, "scheduled program"),
    }
}
