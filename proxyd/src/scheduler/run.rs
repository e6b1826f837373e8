//! One run of a program, from its start to its end or its time-out.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, geteuid};

use super::{Job, Outcome};

/// Of what a program writes, so much is logged.
const OUTPUT: usize = 4096;
/// Between two looks whether it has ended.
const LOOK: Duration = Duration::from_millis(20);
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// nobody and nogroup.
const NOBODY: u32 = 65_534;

/// Runs the program to its end; blocks.
pub(super) fn run(job: &Job) -> (Outcome, String) {
    let mut output = Vec::new();
    let outcome = match follow(job, &mut output) {
        Ok(Some(status)) if status.success() => Outcome::Success,
        Ok(Some(status)) => Outcome::Failure(status.to_string()),
        Ok(None) => Outcome::Failure(format!("killed after {} s", job.patience().as_secs())),
        Err(error) => Outcome::Failure(format!("it cannot be run: {error}")),
    };
    (outcome, String::from_utf8_lossy(&output).trim_end().to_owned())
}

/// `None` when it had to be killed.
fn follow(job: &Job, output: &mut Vec<u8>) -> io::Result<Option<ExitStatus>> {
    let (mut ours, theirs) = UnixStream::pair()?;
    ours.set_read_timeout(Some(LOOK))?;
    let mut child = start(job, theirs)?;
    let deadline = Instant::now() + job.patience();
    loop {
        if let Some(status) = child.try_wait()? {
            // What it wrote last; what its own children write later is theirs.
            take(&mut ours, output)?;
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            kill(&mut child)?;
            return Ok(None);
        }
        if !take(&mut ours, output)? {
            std::thread::sleep(LOOK);
        }
    }
}

fn start(job: &Job, theirs: UnixStream) -> io::Result<Child> {
    let mut command = Command::new(&job.filename);
    command
        .args(&job.arguments)
        .env_clear()
        .env("PATH", PATH)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(OwnedFd::from(theirs.try_clone()?))
        .stderr(OwnedFd::from(theirs))
        .process_group(0);
    if geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.spawn()
}

/// The program and whatever it has started.
fn kill(child: &mut Child) -> io::Result<()> {
    let group = i32::try_from(child.id()).map_err(io::Error::other)?;
    if killpg(Pid::from_raw(group), Signal::SIGKILL).is_err() {
        child.kill()?;
    }
    child.wait().map(drop)
}

/// Reads what is there, waiting a moment for the first of it, and keeps the beginning; false when nobody writes any more.
fn take(from: &mut UnixStream, output: &mut Vec<u8>) -> io::Result<bool> {
    let mut buffer = [0; 4096];
    match from.read(&mut buffer) {
        Ok(0) => Ok(false),
        Ok(length) => {
            let room = OUTPUT.saturating_sub(output.len()).min(length);
            output.extend_from_slice(&buffer[..room]);
            Ok(true)
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
            Ok(true)
        }
        Err(error) => Err(error),
    }
}
