//! `standfast-angel`: holds the listening sockets, keeps one proxyd running behind them, and says how it is.
//!
//! It stays small on purpose - one thread, no runtime, no protocol - because it is what must not fail. When it does all
//! the same, proxyd goes on serving and the next angel takes it over (see [`legacy`]). proxyd therefore does not die with
//! its parent: the unit must say `KillMode=process`.

mod arguments;
mod clients;
mod legacy;
mod listeners;
mod log;
mod process;
mod status;
mod supervisor;
mod systemd;

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, abort};
use std::time::Instant;

use configs::Appliance;
use health::control;
use health::heartbeat::Segment;
use health::restart::{Limits, RestartPolicy};
use health::verdict::{Patience, Tracker};
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use arguments::Arguments;
use clients::Clients;
use legacy::Legacy;
use listeners::{Completed, Listeners};
use process::Launcher;
use supervisor::{Files, Parts, Supervisor};
use systemd::Manager;

/// sysexits(3): the command line is wrong.
const USAGE: u8 = 64;
/// sysexits(3): the operating system refuses something that the angel cannot do without.
const OSERR: u8 = 71;
/// sysexits(3): the configuration is wrong; starting again will not help.
const CONFIG: u8 = 78;

/// Kept away from the OOM killer as far as that is allowed; proxyd is not.
const OOM_SCORE: &str = "-900";
const OOM_FILE: &str = "/proc/self/oom_score_adj";

fn main() -> ExitCode {
    // First of all: the descriptors of the fd store are ours before anything else is opened.
    let received = systemd::received();
    abort_on_panic();
    let arguments = match arguments::parse(env::args_os().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => return ExitCode::SUCCESS,
        Err(error) => {
            log::error(format_args!("event=usage error={error:?} usage={:?}", arguments::USAGE));
            return ExitCode::from(USAGE);
        }
    };
    let appliance = match configs::load(&arguments.config, arguments.host.as_deref()) {
        Ok(appliance) => appliance,
        Err(problems) => {
            problems.iter().for_each(|problem| log::error(format_args!("event=config-error {problem}")));
            return ExitCode::from(CONFIG);
        }
    };
    match run(&arguments, &appliance, Legacy::from_store(received)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error(format_args!("event=angel-failed error={:?}", log::chain(error.as_ref())));
            ExitCode::from(OSERR)
        }
    }
}

type Failure = Box<dyn std::error::Error>;

fn run(arguments: &Arguments, appliance: &Appliance, stored: Legacy) -> Result<(), Failure> {
    let run_dir = &appliance.paths.run_dir;
    fs::create_dir_all(run_dir).map_err(|error| format!("cannot make {}: {error}", run_dir.display()))?;
    let _only_one = lock(&run_dir.join("angel.lock"))?;
    let oom_score = fs::read_to_string(OOM_FILE).unwrap_or_default();
    let _ = fs::write(OOM_FILE, OOM_SCORE);
    let signals = take_signals()?;
    let program = proxyd_program()?;
    let files = Files {
        proxy_pid: run_dir.join("proxyd.pid"),
        drained: run_dir.join("drained"),
        socket: appliance.paths.angel_socket(),
    };
    let mut manager = Manager::from_env();
    let inheritance = take_over(appliance, stored, &files, &program, &mut manager)?;
    let Inheritance { listeners, heartbeat, proxy } = inheritance;
    for (name, listener) in listeners.iter() {
        manager.store_once(&name.to_string(), listener.as_fd());
    }
    manager.store_once(legacy::HEARTBEAT, heartbeat.as_fd());

    let socket = control::bind(&files.socket)?;
    let words = [
        OsStr::new("--config"),
        arguments.config.as_os_str(),
        OsStr::new("--host"),
        appliance.host.name.as_ref(),
    ];
    let launcher = Launcher::new(&program, &words, &listeners.entries(), heartbeat.as_fd().as_raw_fd());
    let now = Instant::now();
    let angel = appliance.angel;
    let parts = Parts {
        host: appliance.host.name.clone(),
        limits: angel,
        heartbeat,
        launcher,
        oom_score,
        manager,
        files,
        tracker: Tracker::new(Patience { grace: angel.grace, recovery: angel.recovery }, now),
        policy: RestartPolicy::new(Limits {
            crash_limit: angel.crash_limit,
            crash_window: angel.crash_window,
            max_backoff: angel.max_backoff,
            recovery: angel.recovery,
        }),
    };
    let mut supervisor = Supervisor::new(parts, now);
    if let Some(proxy) = proxy {
        supervisor.adopt(proxy, now);
    }
    supervisor.run(&signals, &mut Clients::new(socket))?;
    supervisor.leave_nothing();
    listeners.remove_files();
    Ok(())
}

/// What the supervisor begins with.
struct Inheritance {
    listeners: Listeners,
    heartbeat: Segment,
    proxy: Option<process::Proxy>,
}

/// Takes over what can be taken over. A proxyd whose listeners or workers are not those of the configuration is stopped:
/// connections to a listener that it does not have would wait for ever.
fn take_over(
    appliance: &Appliance,
    stored: Legacy,
    files: &Files,
    program: &Path,
    manager: &mut Manager,
) -> Result<Inheritance, Failure> {
    let names: Vec<String> = stored.names();
    names.iter().for_each(|name| manager.is_stored(name));
    let legacy = match stored.proxy {
        Some(_) => stored,
        None => {
            let running = Legacy::from_running(&files.proxy_pid, program.file_name().unwrap_or_default());
            if running.proxy.is_some() { running } else { stored }
        }
    };
    let workers = appliance.proxy.workers;
    let wanted = listeners::wanted(&appliance.proxy);
    let Completed { listeners, same, dropped } = Listeners::complete(&wanted, legacy.listeners)?;
    for name in dropped.iter().map(ToString::to_string).chain(legacy.strangers) {
        manager.remove(&name);
    }
    let heartbeat = legacy.heartbeat.filter(|segment| segment.workers() == workers);
    let adoptable = same && heartbeat.is_some();
    let heartbeat = match heartbeat {
        Some(segment) => segment,
        None => {
            manager.remove(legacy::HEARTBEAT);
            Segment::create(workers)?
        }
    };
    let proxy = legacy.proxy.filter(|proxy| {
        if !adoptable {
            legacy::stop(proxy);
        }
        adoptable
    });
    Ok(Inheritance { listeners, heartbeat, proxy })
}

/// Two angels in one run directory would fight over the listeners.
fn lock(path: &Path) -> Result<Flock<File>, Failure> {
    let file = File::create(path).map_err(|error| format!("cannot open {}: {error}", path.display()))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock)
        .map_err(|(_, error)| format!("another angel holds {}: {error}", path.display()).into())
}

fn take_signals() -> nix::Result<SignalFd> {
    let mut mask = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGCHLD] {
        mask.add(signal);
    }
    mask.thread_block()?;
    SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
}

/// `$STANDFAST_PROXYD`, or the one beside this program.
fn proxyd_program() -> Result<PathBuf, Failure> {
    if let Some(program) = env::var_os("STANDFAST_PROXYD") {
        return Ok(program.into());
    }
    Ok(env::current_exe()?.with_file_name("standfast-proxyd"))
}

/// An angel in an unknown state is worse than a new one.
fn abort_on_panic() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        print(info);
        abort();
    }));
}
