//! A service manager in small, standing in for systemd on the hosts of the lab.
//!
//! It gives a unit what its systemd unit file would: `Type=notify`, `Restart=always` after 100 ms, a descriptor store,
//! `ExecStopPost=` with `SERVICE_RESULT`, `KillMode=process`, and a stop that asks first and kills after a time-out.

use std::fs::OpenOptions;
use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use command_fds::{CommandFdExt, FdMapping};
use nix::cmsg_space;
use nix::sys::signal::Signal;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

use super::netns::Netns;
use super::notify::Notification;
use super::process;
use super::store::Store;
use super::teardown;

/// `RestartSec=`
const RESTART_DELAY: Duration = Duration::from_millis(100);
/// The first descriptor that is passed (SD_LISTEN_FDS_START).
const FIRST_FD: RawFd = 3;

/// A unit file, as far as the lab knows them.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    pub name: String,
    pub program: PathBuf,
    pub arguments: Vec<String>,
    /// `ExecStopPost=`: program and arguments, run after every end of the main process.
    pub stop_post: Option<(PathBuf, Vec<String>)>,
    /// `TimeoutStopSec=`
    pub stop_timeout: Duration,
    /// Where its notification socket and its log are.
    pub directory: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Running,
    Stopped,
    /// The host has lost its power: no ExecStopPost either.
    Gone,
}

#[derive(Debug)]
struct State {
    wanted: Wanted,
    pid: Option<i32>,
    ready: bool,
    starts: u32,
    store: Store,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A unit that has been started.
#[derive(Debug)]
pub(crate) struct Unit {
    spec: Spec,
    shared: Arc<Shared>,
    supervisor: Option<JoinHandle<()>>,
}

impl Unit {
    pub(crate) fn start(spec: Spec, netns: &Netns) -> Result<Self> {
        let socket_path = spec.directory.join(format!("{}.notify", spec.name));
        // A socket of the run before would refuse the bind.
        let _ = std::fs::remove_file(&socket_path);
        let socket =
            UnixDatagram::bind(&socket_path).with_context(|| format!("bind {}", socket_path.display()))?;
        socket.set_read_timeout(Some(Duration::from_millis(200)))?;
        let state =
            State { wanted: Wanted::Running, pid: None, ready: false, starts: 0, store: Store::default() };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let listener = Arc::clone(&shared);
        std::thread::Builder::new().name("notify".into()).spawn(move || listen(&socket, &listener))?;
        let supervised =
            Supervised { spec: spec.clone(), netns: netns.clone(), socket_path, shared: Arc::clone(&shared) };
        let supervisor =
            std::thread::Builder::new().name(spec.name.clone()).spawn(move || supervised.supervise())?;
        Ok(Self { spec, shared, supervisor: Some(supervisor) })
    }

    pub(crate) fn main_pid(&self) -> Option<i32> {
        self.shared.lock().pid
    }

    /// The main process runs and has said `READY=1`.
    pub(crate) fn is_ready(&self) -> bool {
        let state = self.shared.lock();
        state.ready && state.pid.is_some()
    }

    /// How often the main process has been started.
    pub(crate) fn starts(&self) -> u32 {
        self.shared.lock().starts
    }

    /// `systemctl kill --kill-whom=main`
    pub(crate) fn kill(&self, signal: Signal) -> Result<()> {
        let Some(pid) = self.main_pid() else { bail!("{} does not run", self.spec.name) };
        process::signal(pid, signal);
        Ok(())
    }

    /// `systemctl stop`: asks, then kills; says whether it went by itself.
    pub(crate) fn stop(&mut self) -> bool {
        self.end(Wanted::Stopped);
        if let Some(pid) = self.main_pid() {
            process::signal(pid, Signal::SIGTERM);
        }
        let deadline = Instant::now() + self.spec.stop_timeout;
        while self.main_pid().is_some() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
        let willing = self.main_pid().is_none();
        self.finish();
        willing
    }

    /// The host's power is gone: the process dies, nothing is cleaned up.
    pub(crate) fn vanish(&mut self) {
        self.end(Wanted::Gone);
        self.finish();
    }

    fn end(&self, wanted: Wanted) {
        self.shared.lock().wanted = wanted;
        self.shared.changed.notify_all();
    }

    fn finish(&mut self) {
        if let Some(pid) = self.main_pid() {
            process::signal(pid, Signal::SIGKILL);
        }
        if let Some(supervisor) = self.supervisor.take()
            && supervisor.join().is_err()
        {
            eprintln!("{}: its supervisor panicked", self.spec.name);
        }
    }
}

/// What the supervising thread owns.
struct Supervised {
    spec: Spec,
    netns: Netns,
    socket_path: PathBuf,
    shared: Arc<Shared>,
}

impl Supervised {
    fn supervise(&self) {
        loop {
            match self.spawn() {
                Ok(Some(child)) => self.wait(child),
                Ok(None) => break,
                Err(error) => eprintln!("{}: {error:#}", self.spec.name),
            }
            if self.pause() != Wanted::Running {
                break;
            }
        }
        self.shared.lock().store.clear();
    }

    /// Starts the main process under the lock, so that a stop either comes before or sees its pid.
    fn spawn(&self) -> Result<Option<Child>> {
        let mut state = self.shared.lock();
        if state.wanted != Wanted::Running || teardown::ending() {
            return Ok(None);
        }
        let (fds, names) = state.store.copies()?;
        let mut command = self.command(&self.spec.program, &self.spec.arguments)?;
        if !fds.is_empty() {
            command.env("LISTEN_FDS", fds.len().to_string()).env("LISTEN_FDNAMES", names);
            let mappings = fds
                .into_iter()
                .zip(FIRST_FD..)
                .map(|(parent_fd, child_fd)| FdMapping { parent_fd, child_fd });
            command.fd_mappings(mappings.collect())?;
        }
        let child = command.spawn().with_context(|| format!("start {}", self.spec.program.display()))?;
        state.pid = i32::try_from(child.id()).ok();
        state.ready = false;
        state.starts += 1;
        Ok(Some(child))
    }

    /// A command that enters the host by way of `standfast-lab exec-unit`.
    fn command(&self, program: &PathBuf, arguments: &[String]) -> Result<Command> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.spec.directory.join(format!("{}.log", self.spec.name)))?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("exec-unit").arg(self.netns.path()).arg("--").arg(program).args(arguments);
        command.env("NOTIFY_SOCKET", &self.socket_path);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(command)
    }

    fn wait(&self, mut child: Child) {
        let status = child.wait();
        let wanted = {
            let mut state = self.shared.lock();
            state.pid = None;
            state.ready = false;
            state.wanted
        };
        self.shared.changed.notify_all();
        if wanted == Wanted::Gone || teardown::ending() {
            return;
        }
        if let (Ok(status), Some((program, arguments))) = (status, &self.spec.stop_post)
            && let Err(error) = self.stop_post(status, program, arguments)
        {
            eprintln!("{}: ExecStopPost: {error:#}", self.spec.name);
        }
    }

    fn stop_post(&self, status: ExitStatus, program: &PathBuf, arguments: &[String]) -> Result<()> {
        let (result, code, value) = outcome(status);
        let mut command = self.command(program, arguments)?;
        command.env_remove("NOTIFY_SOCKET");
        command.env("SERVICE_RESULT", result).env("EXIT_CODE", code).env("EXIT_STATUS", value);
        let ended = command.status()?;
        if !ended.success() {
            bail!("{} {}: {ended}", program.display(), arguments.join(" "));
        }
        Ok(())
    }

    /// Waits `RestartSec=`, or less if the unit is not wanted any more.
    fn pause(&self) -> Wanted {
        let state = self.shared.lock();
        let running = |state: &mut State| state.wanted == Wanted::Running;
        match self.shared.changed.wait_timeout_while(state, RESTART_DELAY, running) {
            Ok((state, _)) => state.wanted,
            Err(poisoned) => poisoned.into_inner().0.wanted,
        }
    }
}

/// `SERVICE_RESULT`, `EXIT_CODE`, `EXIT_STATUS` as systemd.exec(5) lists them.
fn outcome(status: ExitStatus) -> (&'static str, &'static str, String) {
    let name = |number: i32| {
        Signal::try_from(number)
            .map_or_else(|_| number.to_string(), |s| s.as_str().trim_start_matches("SIG").into())
    };
    match (status.code(), status.signal()) {
        (Some(0), _) => ("success", "exited", "0".into()),
        (Some(code), _) => ("exit-code", "exited", code.to_string()),
        (None, Some(number)) if status.core_dumped() => ("core-dump", "dumped", name(number)),
        // systemd counts the signals that it sends itself to stop a unit as success.
        (None, Some(number)) if number == Signal::SIGTERM as i32 => ("success", "killed", name(number)),
        (None, Some(number)) => ("signal", "killed", name(number)),
        (None, None) => ("exit-code", "exited", "255".into()),
    }
}

/// Reads notifications until the unit is over.
fn listen(socket: &UnixDatagram, shared: &Shared) {
    let mut bytes = [0u8; 4096];
    loop {
        let received = receive(socket, &mut bytes);
        let mut state = shared.lock();
        if let Some((len, fds)) = received {
            apply(&mut state, &Notification::parse(&bytes[..len]), fds);
            shared.changed.notify_all();
        } else if state.wanted != Wanted::Running && state.pid.is_none() {
            return;
        }
    }
}

fn apply(state: &mut State, notification: &Notification, fds: Vec<OwnedFd>) {
    state.ready |= notification.ready;
    let name = notification.name.as_deref().unwrap_or("stored");
    if notification.remove {
        state.store.remove(name);
    }
    if notification.store {
        fds.into_iter().for_each(|fd| state.store.add(name, fd));
    }
}

/// One datagram and the descriptors in it; `None` after the read time-out.
fn receive(socket: &UnixDatagram, bytes: &mut [u8]) -> Option<(usize, Vec<OwnedFd>)> {
    let mut parts = [IoSliceMut::new(bytes)];
    let mut control = cmsg_space!([RawFd; 253]);
    let message =
        recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::MSG_CMSG_CLOEXEC).ok()?;
    let mut fds = Vec::new();
    for part in message.cmsgs().ok()? {
        if let ControlMessageOwned::ScmRights(raw) = part {
            // SAFETY: the kernel has just opened these descriptors for us; nobody else knows them.
            fds.extend(raw.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    Some((message.bytes, fds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_named_as_systemd_names_them() {
        let of = |raw| outcome(ExitStatus::from_raw(raw));
        assert_eq!(of(0), ("success", "exited", "0".into()));
        assert_eq!(of(2 << 8), ("exit-code", "exited", "2".into()));
        assert_eq!(of(9), ("signal", "killed", "KILL".into()));
        assert_eq!(of(6 | 0x80), ("core-dump", "dumped", "ABRT".into()));
        assert_eq!(of(15), ("success", "killed", "TERM".into()));
    }
}
