//! `standfast status`: one line in on a Unix socket, one line of JSON out.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::spawn_local;
use tokio::time::timeout;

use super::boot::DATABASE;
use super::route::Question;
use super::service::Admin;
use crate::runtime::collect_stats;
use crate::stats::ServerKey;

/// A request is one line: a word, or `route` with a statement.
const MAX_REQUEST: u64 = 2 << 20;
const PATIENCE: Duration = Duration::from_secs(5);

/// Answers requests until the listener fails. Must run on a `LocalSet`.
pub async fn serve_status(listener: UnixListener, admin: Rc<Admin>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let admin = admin.clone();
                spawn_local(async move {
                    if let Ok(Err(error)) = timeout(PATIENCE, answer(stream, &admin)).await {
                        tracing::debug!(%error, "status client");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the status socket could not accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn answer(stream: UnixStream, admin: &Admin) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    (&mut stream).take(MAX_REQUEST).read_line(&mut line).await?;
    let reply = match line.trim() {
        "status" => admin.status().await,
        request if request.starts_with("route ") => {
            match Question::from_json(request.trim_start_matches("route ")) {
                Ok(question) => admin.route(&question),
                Err(reason) => json!({ "error": reason }),
            }
        }
        other => json!({ "error": format!("unknown request '{}': status and route are", shortened(other)) }),
    };
    stream.get_mut().write_all(format!("{reply}\n").as_bytes()).await
}

/// A request may be long; what is said of it is not.
fn shortened(request: &str) -> &str {
    request.char_indices().nth(80).map_or(request, |(end, _)| request.get(..end).unwrap_or_default())
}

impl Admin {
    /// The proxy's part of `standfast status`.
    pub async fn status(&self) -> Value {
        let workers = self.runtime.borrow().workers().to_vec();
        let stats = collect_stats(&workers).await;
        let unsaved = self.unsaved(&self.data_dir.join(DATABASE));
        let runtime = self.runtime.borrow();
        let backends: Vec<Value> = runtime
            .members()
            .iter()
            .map(|member| {
                let counters =
                    stats.servers.get(&ServerKey::from(&member.server)).cloned().unwrap_or_default();
                json!({
                    "hostgroup": member.row.hostgroup_id,
                    "server": member.row.address.to_string(),
                    "status": member.status.as_str(),
                    "reason": member.reason,
                    "used": counters.conn_used,
                    "free": counters.conn_free,
                    "queries": counters.queries,
                    "latency_us": runtime.latency_us(&member.row.address),
                })
            })
            .collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "uptime_ms": u64::try_from(runtime.started().elapsed().as_millis()).unwrap_or(u64::MAX),
            "sessions": stats.global.client_connections_connected,
            "in_flight": stats.global.sessions_in_flight,
            "backends": backends,
            "unsaved": unsaved,
        })
    }
}
