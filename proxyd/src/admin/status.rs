//! `standfast status`: one line in on a Unix socket, one line of JSON out.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::spawn_local;
use tokio::time::timeout;

use super::service::Admin;
use crate::runtime::collect_stats;
use crate::stats::ServerKey;

/// A request line is one word; more than this is not one.
const MAX_REQUEST: u64 = 256;
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
        other => json!({ "error": format!("unknown request '{other}': status is") }),
    };
    stream.get_mut().write_all(format!("{reply}\n").as_bytes()).await
}

impl Admin {
    /// The proxy's part of `standfast status`.
    pub async fn status(&self) -> Value {
        let workers = self.runtime.borrow().workers().to_vec();
        let stats = collect_stats(&workers).await;
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
        })
    }
}
