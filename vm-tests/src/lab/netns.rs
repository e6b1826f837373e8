//! One network namespace, made and removed by `ip netns`.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use nix::sched::{CloneFlags, setns};

/// Where `ip netns` mounts its namespaces.
pub(crate) const NETNS_DIR: &str = "/run/netns";

/// A handle on a namespace that exists.
#[derive(Debug, Clone)]
pub(crate) struct Netns {
    pub name: String,
    file: Arc<File>,
    inode: u64,
}

impl Netns {
    /// Creates it, with its loopback up.
    pub(crate) fn create(name: &str) -> Result<Self> {
        ip(&["netns", "add", name])?;
        let file = File::open(PathBuf::from(NETNS_DIR).join(name))
            .with_context(|| format!("open namespace {name}"))?;
        let inode = file.metadata()?.ino();
        let netns = Self { name: name.into(), file: Arc::new(file), inode };
        netns.ip(&["link", "set", "lo", "up"])?;
        Ok(netns)
    }

    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(NETNS_DIR).join(&self.name)
    }

    /// What `/proc/PID/ns/net` of its processes points at.
    pub(crate) fn inode(&self) -> u64 {
        self.inode
    }

    /// Moves the calling thread (not the process) into it: sockets that it opens from now on belong there.
    pub(crate) fn enter(&self) -> Result<()> {
        setns(&*self.file, CloneFlags::CLONE_NEWNET).with_context(|| format!("enter namespace {}", self.name))
    }

    /// Runs `ip` inside.
    pub(crate) fn ip(&self, arguments: &[&str]) -> Result<String> {
        let mut all = vec!["-n", &self.name];
        all.extend_from_slice(arguments);
        ip(&all)
    }
}

/// Runs `ip` and gives its output; its complaint is the error.
pub(crate) fn ip(arguments: &[&str]) -> Result<String> {
    let output = Command::new("ip")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .context("run ip (apt-get install iproute2)")?;
    if !output.status.success() {
        bail!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The inode of a namespace by its name; `None` if it is gone.
pub(crate) fn inode_of(name: &str) -> Option<u64> {
    fs::metadata(PathBuf::from(NETNS_DIR).join(name)).ok().map(|m| m.ino())
}
