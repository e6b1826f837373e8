//! Programs as a person would run them at the client's prompt: inside its namespace, in a directory of their own, for so long.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::lab::netns::Netns;

/// What a program printed.
#[derive(Debug)]
pub(crate) struct Output {
    pub stdout: String,
    pub stderr: String,
    /// It ended by itself, with status 0.
    pub success: bool,
}

/// Fails with the package to install if a program is not there.
pub(crate) fn require(program: &str, package: &str) -> Result<()> {
    let found =
        Command::new("sh").args(["-c", &format!("command -v {program}")]).stdout(Stdio::null()).status()?;
    ensure!(found.success(), "{program} is missing: apt-get install -y {package}");
    Ok(())
}

/// Runs a script with bash inside a namespace; whatever still runs at the limit is killed, which is no error.
pub(crate) fn bash(netns: &Netns, directory: &Path, script: &str, limit: Duration) -> Result<Output> {
    bash_until(netns, directory, script, limit, |_| false)
}

/// The same; what still runs is killed as well once `enough` says so of the file with what was printed.
pub(crate) fn bash_until(
    netns: &Netns,
    directory: &Path,
    script: &str,
    limit: Duration,
    mut enough: impl FnMut(&Path) -> bool,
) -> Result<Output> {
    std::fs::create_dir_all(directory)?;
    let (out, err) = (directory.join("stdout"), directory.join("stderr"));
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("exec-unit").arg(netns.path()).args(["--", "bash", "-c", script]);
    command.current_dir(directory).env("TERM", "xterm").env("COLUMNS", "200").env("LINES", "60");
    command.stdin(Stdio::null()).stdout(File::create(&out)?).stderr(File::create(&err)?).process_group(0);
    let mut child = command.spawn().context("start bash")?;
    let start = Instant::now();
    let mut status = None;
    while status.is_none() && start.elapsed() < limit && !enough(&out) {
        std::thread::sleep(Duration::from_millis(10));
        status = child.try_wait()?;
    }
    if status.is_none() {
        killpg(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGKILL)?;
        child.wait()?;
    }
    let read = |path: &Path| std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Ok(Output { stdout: read(&out)?, stderr: read(&err)?, success: status.is_some_and(|s| s.success()) })
}

/// What a server answers to statements at the prompt of Debian's client, which is told by its options whom to ask, and as whom.
pub(crate) fn mariadb(
    netns: &Netns,
    directory: &Path,
    options: &str,
    sql: &str,
    limit: Duration,
) -> Result<String> {
    let script = format!("mariadb --no-defaults -N {options} -e \"{sql}\"");
    let output = bash(netns, directory, &script, limit)?;
    ensure!(output.success, "`{sql}`: {}", output.stderr.trim());
    Ok(output.stdout.trim_end().to_owned())
}

/// Runs blocking code inside a namespace.
pub(crate) fn inside<T: Send + 'static>(
    netns: &Netns,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let netns = netns.clone();
    let done = std::thread::spawn(move || {
        netns.enter()?;
        work()
    });
    done.join().unwrap_or_else(|_| bail!("a client thread panicked"))
}

/// SQLite's words for a table `n` with the whole numbers `i` from 1 to `count`, in parts that the admin interface gets done in its
/// time.
pub(crate) fn numbers(count: u32) -> impl Iterator<Item = String> {
    const PART: u32 = 10_000;
    (0..count).step_by(PART as usize).map(move |before| {
        let (first, last) = (before + 1, count.min(before + PART));
        format!("WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last})")
    })
}
