//! Doing what `PROXYSQL …` says.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use super::commands::with_warning;
use super::proxysql::Order;
use super::service::{Admin, AdminError, Answer, Session, done};
use super::store::ClusterClient;
use crate::control::WorkerCommand;

/// The angel answers at once or not at all.
const ANGEL_PATIENCE: Duration = Duration::from_secs(2);
const LONGEST_ANSWER: u64 = 64 << 10;
/// The client gets its OK before the process goes.
const LAST_WORDS: Duration = Duration::from_millis(100);
/// Nodes of clusters that are remembered.
const MAX_CLUSTER_CLIENTS: usize = 1024;

/// How the process is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Sessions may finish, within the time to drain.
    Orderly,
    AtOnce,
}

impl Admin {
    pub(super) async fn obey(&self, session: &mut Session, order: Order) -> Result<Answer, AdminError> {
        match order {
            Order::ReadOnly(on) => return self.set_read_only(on),
            Order::FlushLogs => self.logs().rotate(),
            Order::FlushQueryCache => self.tell_workers(|| WorkerCommand::FlushQueryCache),
            Order::FlushClientHosts => return Ok(done(self.hosts.report(true).len())),
            Order::FlushConfigDb => self.store.borrow_mut().reopen_disk()?,
            Order::ReloadTls => self.reload_tls()?,
            Order::Pause(on) => return Ok(self.pause(session, on)),
            Order::Stop => {
                self.set_paused(true);
                self.tell_workers(|| WorkerCommand::Stop);
                return Ok(with_warning(
                    session,
                    "all sessions are cut and new clients wait until PROXYSQL START, or until this proxy is restarted; to move \
                     the VIP away use `standfast drain`",
                ));
            }
            Order::Start => return Ok(self.pause(session, false)),
            Order::Restart => {
                let socket = self.run_dir.join("angel.sock");
                if let Err(error) = ask(&socket, "status").await {
                    return Err(AdminError::failed(&format!(
                        "no angel would start this proxy again ({}: {error})",
                        socket.display()
                    )));
                }
                self.end(End::Orderly);
                return Ok(with_warning(session, "the angel has the next proxy serving at once"));
            }
            Order::Shutdown { slow } => return Ok(self.shut_down(session, slow).await),
            Order::Kill => self.end(End::AtOnce),
            Order::ClusterNode { uuid, interfaces } => self.note_cluster_node(session, uuid, interfaces),
        }
        Ok(done(0))
    }

    /// With an angel a proxy that ends is started again: the host is drained first, so that the next one gets no clients.
    async fn shut_down(&self, session: &mut Session, slow: bool) -> Answer {
        let drained = ask(&self.run_dir.join("angel.sock"), "drain").await;
        self.end(if slow { End::Orderly } else { End::AtOnce });
        match drained {
            Ok(()) => with_warning(
                session,
                "the host is drained and the angel keeps a proxy ready without a VIP: `standfast undrain` takes it back, \
                 `systemctl stop standfast.target` ends everything",
            ),
            // Without an angel this was the end.
            Err(_) => done(0),
        }
    }

    fn end(&self, how: End) {
        tracing::info!(?how, "ended by an administrator");
        self.ending.send_replace(Some(how));
    }

    /// Resolves when an administrator ended this process, a moment after the answer.
    pub async fn ended(&self) -> End {
        let mut ending = self.ending.subscribe();
        loop {
            let how = *ending.borrow_and_update();
            if let Some(how) = how {
                tokio::time::sleep(LAST_WORDS).await;
                return how;
            }
            // The sender is ours: it is there.
            let _ = ending.changed().await;
        }
    }

    pub(super) fn tell_workers(&self, command: impl Fn() -> WorkerCommand) {
        for worker in self.runtime.borrow().workers() {
            // A worker that is gone has its own alarm: the heartbeat.
            let _ = worker.commands.send(command());
        }
    }

    fn reload_tls(&self) -> Result<(), AdminError> {
        let Some((clients, backends)) = &*self.tls.borrow() else {
            return Err(AdminError::failed("this admin interface has no TLS to reload"));
        };
        clients.reload().and_then(|()| backends.reload()).map_err(|error| {
            AdminError::failed(&format!("{}; the certificate in use stays", error.in_full()))
        })
    }

    fn note_cluster_node(&self, session: &Session, uuid: String, admin_ifaces: String) {
        let mut clients = self.cluster_clients.borrow_mut();
        if clients.len() >= MAX_CLUSTER_CLIENTS && !clients.contains_key(&uuid) {
            return;
        }
        let (hostname, port) =
            session.peer.map_or_else(Default::default, |peer| (peer.host(), peer.port().unwrap_or_default()));
        let last_seen = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let client = ClusterClient { uuid: uuid.clone(), hostname, port, admin_ifaces, last_seen };
        clients.insert(uuid, client);
    }
}

/// One request to the angel; an answer with an error in it is one.
async fn ask(socket: &Path, request: &str) -> io::Result<()> {
    let exchange = async {
        let mut stream = UnixStream::connect(socket).await?;
        stream.write_all(format!("{request}\n").as_bytes()).await?;
        let mut line = String::new();
        BufReader::new(stream.take(LONGEST_ANSWER)).read_line(&mut line).await?;
        let answer: serde_json::Value = serde_json::from_str(&line)?;
        match answer.get("error") {
            Some(error) => Err(io::Error::other(error.to_string())),
            None => Ok(()),
        }
    };
    tokio::time::timeout(ANGEL_PATIENCE, exchange).await.map_err(|_| io::ErrorKind::TimedOut)?
}
