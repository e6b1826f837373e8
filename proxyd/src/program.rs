//! One run of a foreign program, from its start to its end or its time-out: the scheduler's and the REST routes'.
//!
//! It gets no more than its arguments: no standard input, no environment but PATH, and, under a proxy that runs as root,
//! nobody's rights.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, geteuid};

/// Between two looks whether it has ended or written something: at first, and after a while without either.
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LOOK: Duration = Duration::from_millis(20);
/// Reads of its output between two looks at the clock.
const READS: usize = 64;
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// nobody and nogroup.
const NOBODY: u32 = 65_534;

/// What to run, and within which bounds.
#[derive(Debug, Clone)]
pub struct Program {
    /// Its whole path.
    pub filename: String,
    pub arguments: Vec<String>,
    /// Then it is killed, with whatever it has started.
    pub patience: Duration,
    /// Of each of its outputs, so many bytes are kept; the rest is read and forgotten.
    pub keep: usize,
    /// Where its standard error goes.
    pub errors: Errors,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Errors {
    /// Into [`Run::output`], in the order of writing.
    WithOutput,
    /// Into [`Run::errors`].
    Apart,
}

/// How it went.
#[derive(Debug)]
pub struct Run {
    /// `None` when it had to be killed; an error when it could not be run.
    pub end: io::Result<Option<ExitStatus>>,
    pub output: Kept,
    pub errors: Kept,
}

/// The beginning of what was written.
#[derive(Debug, Default)]
pub struct Kept {
    pub bytes: Vec<u8>,
    /// There was more.
    pub cut: bool,
}

impl Kept {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).trim_end().to_owned()
    }
}

/// Runs a program to its end; blocks.
pub fn run(program: &Program) -> Run {
    let (mut output, mut errors) = (Kept::default(), Kept::default());
    let end = follow(program, &mut output, &mut errors);
    Run { end, output, errors }
}

fn follow(program: &Program, output: &mut Kept, errors: &mut Kept) -> io::Result<Option<ExitStatus>> {
    let (mut stdout, write_output) = pipe()?;
    let (mut stderr, write_errors) = match program.errors {
        Errors::WithOutput => (None, write_output.try_clone()?),
        Errors::Apart => {
            let (ours, theirs) = pipe()?;
            (Some(ours), theirs)
        }
    };
    let mut take_all = || -> io::Result<bool> {
        let said = take(&mut stdout, output, program.keep)?;
        let complained = stderr.as_mut().map(|stderr| take(stderr, errors, program.keep)).transpose()?;
        Ok(said || complained.unwrap_or(false))
    };
    let deadline = Instant::now() + program.patience;
    let mut child = start(program, write_output, write_errors)?;
    let mut nap = FIRST_LOOK;
    loop {
        if let Some(status) = child.try_wait()? {
            // What it wrote last; what its own children write later is theirs.
            take_all()?;
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            kill(&mut child)?;
            return Ok(None);
        }
        nap = if take_all()? { FIRST_LOOK } else { (nap * 2).min(LOOK) };
        std::thread::sleep(nap);
    }
}

/// Our end, which never blocks, and the program's.
fn pipe() -> io::Result<(UnixStream, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    Ok((ours, theirs))
}

fn start(program: &Program, output: UnixStream, errors: UnixStream) -> io::Result<Child> {
    let mut command = Command::new(&program.filename);
    command
        .args(&program.arguments)
        .env_clear()
        .env("PATH", PATH)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(OwnedFd::from(output))
        .stderr(OwnedFd::from(errors))
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

/// Reads what is there and keeps the beginning; false when nothing was.
fn take(from: &mut UnixStream, kept: &mut Kept, keep: usize) -> io::Result<bool> {
    let mut buffer = [0; 16 * 1024];
    let mut some = false;
    for _ in 0..READS {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => {
                let room = keep.saturating_sub(kept.bytes.len()).min(length);
                kept.bytes.extend_from_slice(&buffer[..room]);
                kept.cut |= room < length;
                some = true;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(text: &str, milliseconds: u64, errors: Errors) -> Program {
        let patience = Duration::from_millis(milliseconds);
        let arguments = vec!["-c".into(), text.into()];
        Program { filename: "/bin/sh".into(), arguments, patience, keep: 100, errors }
    }

    /// Gone, or a zombie that its parent has not looked at yet.
    fn is_dead(process: &str) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{process}/stat"));
        status.map_or(true, |status| status.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')))
    }

    #[test]
    fn what_takes_too_long_is_killed_with_all_that_it_started() {
        let begun = Instant::now();
        let run = run(&script("trap '' TERM; sleep 300 & echo $!; wait", 500, Errors::Apart));
        assert!(matches!(run.end, Ok(None)), "{:?}", run.end);
        assert!(begun.elapsed() >= Duration::from_millis(500) && begun.elapsed() < Duration::from_secs(60));
        let background = run.output.text();
        assert!(!background.is_empty(), "what it wrote before its end is kept");
        while !is_dead(&background) {
            assert!(begun.elapsed() < Duration::from_secs(60), "{background} lives");
            std::thread::sleep(LOOK);
        }
    }

    #[test]
    fn outputs_are_kept_together_or_apart_and_cut() {
        let both = "echo out; echo err >&2; echo out";
        assert_eq!(run(&script(both, 60_000, Errors::WithOutput)).output.text(), "out\nerr\nout");
        let apart = run(&script(both, 60_000, Errors::Apart));
        assert_eq!((apart.output.text(), apart.errors.text()), ("out\nout".into(), "err".into()));
        assert!(!apart.output.cut);
        let long = run(&script("head -c 101 /dev/zero", 60_000, Errors::Apart));
        assert_eq!((long.output.bytes.len(), long.output.cut), (100, true));
    }
}
