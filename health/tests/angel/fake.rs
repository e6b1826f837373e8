//! A proxyd that answers each connection with its pid and closes it.

use std::io::Write;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use health::heartbeat::{Segment, State};
use health::inherit::Inherited;
use health::listener::Listener;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::{SigSet, Signal};

/// A file beside the configuration: while it exists, the stand-in exits with code 3 as soon as it is started.
pub(crate) const CRASH: &str = "crash-at-start";
/// While it exists, a started stand-in says that none of its three backends is ONLINE.
pub(crate) const NO_BACKEND: &str = "no-backend";

pub(crate) fn run() -> ExitCode {
    let config = std::env::args().skip_while(|argument| argument != "--config").nth(1).expect("--config");
    let beside = |name: &str| Path::new(&config).with_file_name(name).exists();
    if beside(CRASH) {
        return ExitCode::from(3);
    }
    let mut terminate = SigSet::empty();
    terminate.add(Signal::SIGTERM);
    terminate.thread_block().expect("to block SIGTERM");
    let inherited = Inherited::from_env().expect("the angel's hand-over").expect("an angel");
    let heartbeat = Arc::new(inherited.heartbeat);
    heartbeat.set_backends(if beside(NO_BACKEND) { 0 } else { 3 }, 3);
    let drained = Arc::clone(&heartbeat);
    thread::spawn(move || drain(&terminate, &drained));
    let workers: Vec<_> = inherited
        .mysql
        .into_iter()
        .map(|(worker, listener)| {
            let heartbeat = Arc::clone(&heartbeat);
            let Listener::Tcp(listener) = listener else { panic!("{listener:?}") };
            thread::spawn(move || serve(&heartbeat, worker, &listener))
        })
        .collect();
    workers.into_iter().for_each(|worker| worker.join().expect("a worker"));
    ExitCode::SUCCESS
}

/// On SIGTERM: no more connections, and the end a moment later.
fn drain(terminate: &SigSet, heartbeat: &Segment) {
    let _ = terminate.wait();
    heartbeat.slots().iter().for_each(|slot| slot.set_state(State::Draining));
    thread::sleep(Duration::from_millis(100));
    std::process::exit(0);
}

fn serve(heartbeat: &Segment, worker: usize, listener: &TcpListener) {
    let slot = heartbeat.worker(worker);
    slot.set_state(State::Ready);
    while slot.state() != State::Draining {
        slot.beat();
        let mut fds = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut fds, 10_u8);
        while let Ok((mut client, _)) = listener.accept() {
            let _ = writeln!(client, "{}", std::process::id());
        }
    }
    thread::park();
}
