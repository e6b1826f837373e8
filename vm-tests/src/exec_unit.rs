//! `standfast-lab exec-unit [--hostname NAME] NETNS -- PROGRAM ARGUMENTS…`: becomes a program inside a namespace, with the pid that it already has.
//!
//! A small process of its own, so that the lab needs no code between fork and exec: enter, say whose descriptors these are, exec.

use std::convert::Infallible;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::SigSet;
use nix::unistd::sethostname;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The namespace's file.
    netns: PathBuf,
    /// What the program takes for the machine's name.
    #[arg(long)]
    hostname: Option<String>,
    /// The program and its arguments.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// Returns only if it could not.
pub(crate) fn run(options: &Options) -> Result<Infallible> {
    let netns = File::open(&options.netns).with_context(|| format!("open {}", options.netns.display()))?;
    setns(&netns, CloneFlags::CLONE_NEWNET).context("enter the namespace")?;
    if let Some(name) = &options.hostname {
        unshare(CloneFlags::CLONE_NEWUTS).context("a machine name of its own")?;
        sethostname(name).context("set the machine name")?;
    }
    // The lab blocks the signals that it waits for; a service must not inherit that.
    SigSet::empty().thread_set_mask()?;
    let (program, arguments) = options.command.split_first().context("no program")?;
    let mut command = Command::new(program);
    command.args(arguments);
    if std::env::var_os("LISTEN_FDS").is_some() {
        command.env("LISTEN_PID", std::process::id().to_string());
    }
    Err(command.exec()).with_context(|| format!("exec {program}"))
}
