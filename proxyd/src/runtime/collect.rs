//! Asking the workers: their counters, their sessions, and to end one. A hung worker costs the asker [`PATIENCE`], no more.

use std::collections::HashMap;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::control::{WorkerCommand, WorkerHandle};
use crate::digests::{self, DigestRow};
use crate::errors::{self, ErrorKey, ErrorStats};
use crate::stats::{FreeRow, ProcessRow, StatementRow, WorkerStats};
use crate::warmth::Profile;

const PATIENCE: Duration = Duration::from_millis(200);

/// The sum of all workers' counters. One that does not answer in time counts with what it said last: a counter never falls.
/// What it uses is unknown then, so never 0: nobody may take a server for drained because a worker was late.
pub async fn collect_stats(workers: &[WorkerHandle]) -> WorkerStats {
    let mut sum = WorkerStats::default();
    for (worker, stats) in ask_each(workers, WorkerCommand::Stats).await {
        let mut last = worker.last_report.lock().unwrap_or_else(PoisonError::into_inner);
        match stats {
            Some(stats) => *last = stats,
            None => last.servers.values_mut().for_each(|server| server.conn_used = server.conn_used.max(1)),
        }
        sum.merge(&last);
    }
    sum
}

/// All sessions of all workers that answer.
pub async fn collect_processlist(workers: &[WorkerHandle]) -> Vec<ProcessRow> {
    ask_all(workers, WorkerCommand::Processlist).await.into_iter().flatten().collect()
}

/// The idle backend connections of all workers that answer.
pub async fn collect_free_connections(workers: &[WorkerHandle]) -> Vec<FreeRow> {
    ask_all(workers, WorkerCommand::FreeConnections).await.into_iter().flatten().collect()
}

/// What clients have prepared: one row for each statement, however many workers have it.
pub async fn collect_statements(workers: &[WorkerHandle]) -> Vec<StatementRow> {
    let mut rows: Vec<StatementRow> =
        ask_all(workers, WorkerCommand::Statements).await.into_iter().flatten().collect();
    rows.sort_by(|a, b| (&a.user, &a.schema, &a.text, a.id).cmp(&(&b.user, &b.schema, &b.text, b.id)));
    rows.dedup_by(|later, first| {
        let same = (&later.user, &later.schema, &later.text) == (&first.user, &first.schema, &first.text);
        if same {
            first.clients += later.clients;
            first.servers += later.servers;
        }
        same
    });
    rows
}

/// For whom there are how many backend connections, over all workers that answer.
pub async fn collect_profiles(workers: &[WorkerHandle]) -> Vec<(Profile, u32)> {
    let mut sum: HashMap<Profile, u32> = HashMap::new();
    for (profile, count) in ask_all(workers, WorkerCommand::Profiles).await.into_iter().flatten() {
        let total = sum.entry(profile).or_default();
        *total = total.saturating_add(count);
    }
    sum.into_iter().collect()
}

/// What ran, by digest, over all workers; with `reset`, they count from zero afterwards.
pub async fn collect_digests(workers: &[WorkerHandle], reset: bool) -> Vec<DigestRow> {
    digests::merge(ask_all(workers, |reply| WorkerCommand::Digests { reset, reply }).await)
}

/// The servers' errors, over all workers; with `reset`, they forget them.
pub async fn collect_errors(workers: &[WorkerHandle], reset: bool) -> HashMap<ErrorKey, ErrorStats> {
    errors::merge(ask_all(workers, |reply| WorkerCommand::Errors { reset, reply }).await)
}

/// Ends a session, or only what it runs; false when no worker has it. With an owner, only a session of that user.
pub async fn kill(workers: &[WorkerHandle], session: u32, query_only: bool, owner: Option<&str>) -> bool {
    let question = |reply| WorkerCommand::Kill { session, query_only, owner: owner.map(Into::into), reply };
    let replies = ask_all(workers, question).await;
    replies.into_iter().any(|found| found)
}

/// The answers of those that answer in time.
async fn ask_all<T>(
    workers: &[WorkerHandle],
    question: impl Fn(oneshot::Sender<T>) -> WorkerCommand,
) -> Vec<T> {
    ask_each(workers, question).await.into_iter().filter_map(|(_, answer)| answer).collect()
}

/// Sends the question to every worker first and only then waits, so that all of them share one deadline.
async fn ask_each<T>(
    workers: &[WorkerHandle],
    question: impl Fn(oneshot::Sender<T>) -> WorkerCommand,
) -> Vec<(&WorkerHandle, Option<T>)> {
    let deadline = Instant::now() + PATIENCE;
    let mut waiting = Vec::with_capacity(workers.len());
    for worker in workers {
        let (sender, receiver) = oneshot::channel();
        // With a worker that is gone, so is the sender.
        let _ = worker.commands.send(question(sender));
        waiting.push((worker, receiver));
    }
    let mut answers = Vec::with_capacity(waiting.len());
    for (worker, receiver) in waiting {
        let answer = timeout_at(deadline, receiver).await.ok().and_then(Result::ok);
        if answer.is_none() {
            tracing::warn!(worker = worker.index, "a worker did not answer the control thread in time");
        }
        answers.push((worker, answer));
    }
    answers
}
