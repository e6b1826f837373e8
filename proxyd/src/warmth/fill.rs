//! Opens what was wished for, server by server at the same time, and lays it into the pool.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use super::plan::{Wish, secret_of};
use super::profiles::Profile;
use crate::backend::{Account, Backend, ConnectError, FitError};
use crate::pool::member_of;
use crate::session::first_settings;
use crate::snapshot::{Server, Status};
use crate::worker::Worker;

/// Opens connections to all servers; how many there are then.
pub async fn fill(worker: Rc<Worker>, wishes: Vec<Wish>) -> usize {
    let mut by_server: HashMap<*const Server, Vec<Wish>> = HashMap::new();
    for wish in wishes {
        by_server.entry(Arc::as_ptr(&wish.server)).or_default().push(wish);
    }
    let tasks: Vec<_> = by_server
        .into_values()
        .map(|wishes| tokio::task::spawn_local(fill_server(worker.clone(), wishes)))
        .collect();
    let mut opened = 0;
    for task in tasks {
        opened += task.await.unwrap_or(0);
    }
    opened
}

/// One after the other, until the server refuses; who cannot log in is not tried again.
async fn fill_server(worker: Rc<Worker>, wishes: Vec<Wish>) -> usize {
    let mut opened = 0;
    let mut denied: Vec<Arc<Profile>> = Vec::new();
    for wish in wishes {
        if denied.contains(&wish.profile) {
            continue;
        }
        match open(&worker, &wish).await {
            Ok(Some(backend)) => {
                worker.pool.give(backend, &worker.snapshot(), worker.workers, Instant::now());
                opened += 1;
            }
            Ok(None) => break,
            Err(error) => {
                let (server, user) = (&wish.server, &wish.profile.user);
                tracing::info!(server = %server.hostname, port = server.port, user, %error, "not opened in advance");
                if !error.is_the_accounts() {
                    break;
                }
                denied.push(wish.profile);
            }
        }
    }
    opened
}

/// Nothing where there is no room, or nobody may log in, any more.
async fn open(worker: &Worker, wish: &Wish) -> Result<Option<Box<Backend>>, ConnectError> {
    let snapshot = worker.snapshot();
    let Wish { server, profile } = wish;
    let member = member_of(&snapshot, server).filter(|member| member.status == Status::Online);
    let user = snapshot.users.get(&profile.user);
    let (Some(member), Some(user)) = (member, user) else { return Ok(None) };
    let Some(secret) = secret_of(&user) else { return Ok(None) };
    let Some(reservation) = server.reserve(member.max_connections) else { return Ok(None) };
    if !worker.may_open(&snapshot, server.hostgroup) {
        return Ok(None);
    }
    let account = Account {
        user: &profile.user,
        secret: &secret,
        traits: profile.traits,
        collation: profile.collation,
        exactly: None,
        compress: false,
        preface: b"",
        tls: None,
    };
    let limit = snapshot.variables.connect_timeout_server;
    let opened = async {
        let mut backend = worker.open_backend(reservation, member, account, limit).await?;
        backend.profile = worker.profiles.enter(Profile::clone(profile));
        let settings = first_settings(&profile.schema, profile.collation, &user);
        match backend.fit(&settings, &worker.buffers).await {
            // A schema that is gone is no use to anybody; the connection may be.
            Ok(()) | Err(FitError::Refused(_)) => Ok(Some(backend)),
            Err(FitError::Lost(error)) => Err(ConnectError::Io(error)),
        }
    };
    tokio::time::timeout(limit, opened).await.unwrap_or(Err(ConnectError::Timeout(limit)))
}
