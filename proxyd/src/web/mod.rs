//! What an operator or a monitoring system reads over HTTP: `/metrics`, `/health` and the status page, which change nothing, and the
//! scripts of `restapi_routes`.
//!
//! A thread of its own speaks HTTP. It asks the workers for their counters, the angel and vrrpd for theirs, and the control
//! thread for what only that one knows; nobody waits for it, and it waits for nobody longer than a moment. The control
//! thread's part is [`ControlSide`]. The renderers are pure: a [`Report`] in, text or JSON out.

mod answer;
mod appliance;
mod control_side;
mod daemons;
mod doors;
mod exposition;
mod health;
mod http;
mod journal;
mod metrics;
mod report;
mod scripts;
mod status;

#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::admin::Admin;
use crate::control::WorkerHandle;
use crate::tls::ClientTls;

pub use control_side::{ControlSide, answer_questions};
pub use daemons::Daemons;
pub use doors::Wanted;
pub use scripts::Route;

use control_side::Question;
use report::Report;

/// Questions that wait for the control thread; whoever finds it full is told that it does not answer.
const QUESTIONS: usize = 16;

/// The control thread's ends of the channels to the web thread.
pub struct Web {
    pub wanted: watch::Sender<Wanted>,
    /// For [`answer_questions`], which takes them.
    pub questions: Option<mpsc::Receiver<Question>>,
}

/// Starts the thread. It opens its doors when [`Web::wanted`] says so.
pub fn start(
    workers: Vec<WorkerHandle>,
    daemons: Daemons,
    routes: watch::Receiver<Vec<Route>>,
    tls: ClientTls,
) -> io::Result<Web> {
    let (wanted, wishes) = watch::channel(Wanted::default());
    let (ask, questions) = mpsc::channel(QUESTIONS);
    let library = Arc::new(answer::Library::new(workers, daemons, ask, scripts::Scripts::new(routes)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new()
        .name("web".into())
        .spawn(move || runtime.block_on(doors::keep(wishes, library, tls)))?;
    Ok(Web { wanted, questions: Some(questions) })
}

/// The text of `/metrics`, for `SHOW PROMETHEUS METRICS`.
pub async fn metrics_text(admin: &Admin) -> String {
    let workers = admin.workers();
    let report = Report::gather(admin.facts(), &workers, &admin.web.daemons).await;
    metrics::render(&report)
}
