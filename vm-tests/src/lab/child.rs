//! A program without a service manager, inside a namespace: it ends with the value that stands for it.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::netns::Netns;

/// A child that is killed with this value.
#[derive(Debug)]
pub(crate) struct Owned(pub Child);

impl Owned {
    /// Starts it; what it prints is added to a log.
    pub(crate) fn spawn(mut command: Command, log: &Path) -> Result<Self> {
        let log =
            File::options().create(true).append(true).open(log).with_context(|| log.display().to_string())?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        command.spawn().map(Self).with_context(|| format!("start {command:?}"))
    }

    pub(crate) fn pid(&self) -> i32 {
        self.0.id().cast_signed()
    }

    /// Kills it, and waits for its end.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // Nothing of it is needed any more; one that is dead already is what is wanted.
        let _ = self.kill();
    }
}

/// A command that will run inside a namespace, to which arguments may be added.
pub(crate) fn inside(netns: &Netns, program: impl AsRef<OsStr>) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("exec-unit").arg(netns.path()).arg("--").arg(program);
    Ok(command)
}

/// One of the product's programs, where it was built.
pub(crate) fn built(binaries: &Path, name: &str) -> Result<PathBuf> {
    let program = binaries.join(name);
    ensure!(program.exists(), "{} is not built: cargo build --release", program.display());
    Ok(program)
}
