//! Start-up in order: descriptors, snapshot, workers, control loop. Every millisecond here is one that clients wait.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use configs::{Appliance, Listen};
use health::heartbeat::Segment;
use health::inherit::Inherited;
use health::listener::{self, Listener};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::sync::mpsc;

use crate::control::{WorkerCommand, WorkerHandle};
use crate::control_thread::{self, Control};
use crate::gate::Gate;
use crate::session::{FullAuthCache, prepare_rsa};
use crate::snapshot::Snapshot;
use crate::worker::{self, Setup, WorkerShared};

/// Events from workers that wait for the control thread; more are dropped, as their kind comes again.
const EVENTS: usize = 4096;
/// Connections that may wait at a listener of our own.
const BACKLOG: i32 = 4096;

static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

/// How long this process has been at work.
pub fn uptime() -> Duration {
    STARTED.elapsed()
}

/// Runs proxyd until it is told to stop.
pub fn run(appliance: &Appliance, config: &Path, host: Option<&str>) -> io::Result<()> {
    LazyLock::force(&STARTED);
    raise_descriptor_limit();
    std::fs::create_dir_all(&appliance.paths.data_dir)?;
    let inherited = match Inherited::from_env().map_err(io::Error::other)? {
        Some(inherited) => inherited,
        None => bind(appliance)?,
    };
    let heartbeat = Arc::new(inherited.heartbeat);
    let workers = appliance.proxy.workers.clamp(1, heartbeat.workers().max(1));
    let published = Arc::new(ArcSwap::from_pointee(Snapshot::default()));
    let (events, event_queue) = mpsc::channel(EVENTS);
    let channels: Vec<_> = (0..workers).map(|_| mpsc::unbounded_channel::<WorkerCommand>()).collect();
    let handles: Vec<WorkerHandle> = channels
        .iter()
        .enumerate()
        .map(|(index, (commands, _))| WorkerHandle::new(index, commands.clone()))
        .collect();
    let rsa = Arc::default();
    let control =
        Control::boot(appliance, config, host, published.clone(), handles.clone(), heartbeat.clone())?;
    if control.has_hashed_users() {
        prepare_rsa(Arc::clone(&rsa));
    }
    let shared = Arc::new(WorkerShared {
        workers,
        published,
        heartbeat,
        siblings: handles,
        events,
        gate: Arc::new(Gate::default()),
        client_tls: control.client_tls(),
        backend_tls: control.backend_tls(),
        rsa,
        full_auth: Arc::new(FullAuthCache::default()),
        logs: control.logs(),
        hosts: control.client_hosts(),
        packet_memory: appliance.proxy.packet_memory / workers,
    });
    let mut listeners: Vec<Vec<Listener>> = (0..workers).map(|_| Vec::new()).collect();
    for (index, listener) in inherited.mysql {
        // More listeners than workers would be a queue nobody serves.
        let owner = index % workers;
        if matches!(listener, Listener::Unix(_)) {
            for other in (0..workers).filter(|&other| other != owner) {
                listeners[other].push(Listener::from_fd(listener.as_fd().try_clone_to_owned()?)?);
            }
        }
        // The descriptor itself stays: an angel that has lost its own copies looks for it under its number.
        listeners[owner].push(listener);
    }
    for (index, ((_, commands), listeners)) in channels.into_iter().zip(listeners).enumerate() {
        let setup = Setup { index, listeners, commands, shared: shared.clone() };
        std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
            if let Err(error) = worker::run(setup) {
                // Not through the log: its thread would be cut off by the abort.
                eprintln!("worker {index} cannot run: {error}");
                std::process::abort();
            }
        })?;
    }
    control_thread::run(control, inherited.admin, event_queue)
}

/// Without an angel: the same listeners, ours.
fn bind(appliance: &Appliance) -> io::Result<Inherited> {
    let workers = appliance.proxy.workers;
    let mut mysql = Vec::new();
    for place in &appliance.proxy.mysql_listen {
        let sockets = if place.unix().is_some() { 1 } else { workers };
        for worker in 0..sockets {
            mysql.push((worker, listen(place)?));
        }
    }
    let admin = appliance.proxy.admin_listen.iter().map(listen).collect::<io::Result<_>>()?;
    Ok(Inherited { mysql, admin, heartbeat: Segment::create(workers)? })
}

fn listen(place: &Listen) -> io::Result<Listener> {
    let listener = match place {
        Listen::Tcp(address) => listen_tcp(*address).map(Listener::Tcp),
        Listen::Unix(path) => listener::bind_unix(path, BACKLOG).map(Listener::Unix),
    };
    listener.map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {place}: {error}")))
}

fn listen_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Each client and each backend connection is a descriptor: take all that the unit allows.
fn raise_descriptor_limit() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::warn!(%error, soft, "the limit of open files stays low");
    }
}
