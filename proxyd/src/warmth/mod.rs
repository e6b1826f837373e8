//! Warm pools: what a proxy that has just started opens before it says that it may take a VIP back.
//!
//! [`plan`] decides purely which connections, from what the proxy before it had open ([`profiles`], kept in a file by
//! [`crate::memory`]); [`fill`] opens them, each worker its own; [`Warmth`] waits for the workers, and not for longer than
//! [`LONGEST`]: a dead server must not keep a VIP from going home. Nobody refills a pool later: that is what clients do.

mod fill;
mod plan;
mod profiles;

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::control::{WorkerCommand, WorkerHandle};
use crate::snapshot::Snapshot;
pub use fill::fill;
pub use plan::{Wish, wishes};
pub use profiles::{Profile, Profiles};

/// So long the workers may take.
const LONGEST: Duration = Duration::from_secs(3);

/// How far this proxy's pools are.
#[derive(Debug, Default)]
pub struct Warmth(Rc<Cell<Stage>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    #[default]
    Cold,
    Filling,
    Full,
}

impl Warmth {
    pub fn is_cold(&self) -> bool {
        self.0.get() == Stage::Cold
    }

    /// The pools are full, or as full as they became in time.
    pub fn is_full(&self) -> bool {
        self.0.get() == Stage::Full
    }

    /// Has the workers fill their pools. Must run on a `LocalSet`.
    pub fn fill(&self, snapshot: &Snapshot, remembered: &[(Profile, u32)], workers: &[WorkerHandle]) {
        let wishes = wishes(snapshot, remembered, workers.len());
        if wishes.is_empty() {
            return self.0.set(Stage::Full);
        }
        self.0.set(Stage::Filling);
        let wanted = wishes.len() * workers.len();
        let ask = |worker: &WorkerHandle| {
            let (done, opened) = oneshot::channel();
            // A worker that is gone is gone with the process.
            worker.commands.send(WorkerCommand::Fill { wishes: wishes.clone(), done }).ok().map(|()| opened)
        };
        let asked: Vec<_> = workers.iter().filter_map(ask).collect();
        let stage = self.0.clone();
        tokio::task::spawn_local(async move {
            let begin = Instant::now();
            let all = async {
                let mut sum = 0;
                for opened in asked {
                    sum += opened.await.unwrap_or(0);
                }
                sum
            };
            match tokio::time::timeout(LONGEST, all).await {
                Ok(opened) => {
                    let ms = begin.elapsed().as_millis();
                    tracing::info!(opened, wanted, ms, "the pools are filled");
                }
                Err(_) => tracing::warn!(wanted, "the pools are not full in time"),
            }
            stage.set(Stage::Full);
        });
    }
}
