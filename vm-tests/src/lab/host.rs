//! One host of the product: the two units of the package on a machine of the lab, and what can happen to it.

use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::keepalived::{self, Instance};
use super::layout::Template;
use super::net::Network;
use super::netns::Netns;
use super::process;
use super::unit::{Spec, Unit};
use super::wait;

/// How long a unit may take to say that it is ready.
const READY: Duration = Duration::from_secs(60);
/// `TimeoutStopSec=`: longer than the drain time of every layout.
const STOP: Duration = Duration::from_secs(20);

/// Where the built programs are.
#[derive(Debug, Clone)]
pub(crate) struct Binaries {
    pub directory: PathBuf,
}

impl Binaries {
    /// All of them must be there.
    pub(crate) fn find(directory: &Path) -> Result<Self> {
        for name in ["standfast-angel", "standfast-proxyd", "standfast-vrrpd"] {
            let path = directory.join(name);
            anyhow::ensure!(path.exists(), "{} is not built: cargo build --release", path.display());
        }
        Ok(Self { directory: directory.into() })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

/// A host: `test1` to `test3`.
#[derive(Debug)]
pub(crate) struct Host {
    pub name: String,
    pub address: Ipv4Addr,
    pub netns: Netns,
    /// Its power and its cable are in.
    connected: Arc<AtomicBool>,
    /// Who elects, if not vrrpd.
    keepalived: Option<Instance>,
    network: Network,
    binaries: Binaries,
    directory: PathBuf,
    angel: Option<Unit>,
    vrrpd: Option<Unit>,
}

impl Host {
    pub(crate) fn new(
        name: &str,
        address: Ipv4Addr,
        network: &Network,
        binaries: &Binaries,
        directory: &Path,
        template: &Template,
    ) -> Result<Self> {
        let host = Self {
            name: name.into(),
            address,
            netns: network.namespace(name)?,
            connected: Arc::new(AtomicBool::new(true)),
            keepalived: None,
            network: network.clone(),
            binaries: binaries.clone(),
            directory: directory.join(name),
            angel: None,
            vrrpd: None,
        };
        std::fs::create_dir_all(host.run_dir())?;
        std::fs::create_dir_all(host.directory.join("data"))?;
        let text = template.render(name, &host.run_dir(), &host.directory.join("data"))?;
        std::fs::write(host.config(), text).context("write the host's configuration")?;
        Ok(host)
    }

    pub(crate) fn run_dir(&self) -> PathBuf {
        self.directory.join("run")
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.directory.join("standfast.toml")
    }

    /// Logs of its units.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Shared with whoever watches who is on the network.
    pub(crate) fn connected(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.connected)
    }

    pub(crate) fn is_on(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    /// `systemctl start standfast-angel standfast-vrrpd`
    pub(crate) fn start(&mut self) -> Result<()> {
        self.start_angel()?;
        let elects = self.elects()?;
        self.vrrpd = Some(Unit::start(elects, &self.netns)?);
        Ok(())
    }

    /// From the next start on, keepalived elects in vrrpd's place.
    pub(crate) fn use_keepalived(&mut self, instance: Instance) {
        self.keepalived = Some(instance);
    }

    fn elects(&self) -> Result<Spec> {
        let Some(instance) = &self.keepalived else { return Ok(self.spec("vrrpd", true)) };
        Ok(Spec {
            name: "keepalived".into(),
            program: keepalived::program(),
            arguments: instance.prepare(&self.name, &self.netns.name, &self.directory)?,
            stop_post: None,
            stop_timeout: STOP,
            directory: self.directory.clone(),
        })
    }

    /// `systemctl start standfast-angel`
    pub(crate) fn start_angel(&mut self) -> Result<()> {
        std::fs::create_dir_all(self.run_dir())?;
        self.angel = Some(Unit::start(self.spec("angel", false), &self.netns)?);
        let angel = self.angel()?;
        wait::until(&format!("{}: standfast-angel ready", self.name), READY, || angel.is_ready())
            .with_context(|| self.tail("angel"))?;
        Ok(())
    }

    /// Waits until both units have said that they are ready.
    pub(crate) fn ready(&self) -> Result<()> {
        let (angel, vrrpd) = (("angel", self.angel()?), ("vrrpd", self.vrrpd()?));
        // keepalived says nothing; whoever waits for it waits for what it does.
        let units = if self.keepalived.is_some() { vec![angel] } else { vec![angel, vrrpd] };
        for (name, unit) in units {
            wait::until(&format!("{}: standfast-{name} ready", self.name), READY, || unit.is_ready())
                .with_context(|| self.tail(name))?;
        }
        Ok(())
    }

    /// `systemctl stop`, in the order of the package: vrrpd, then the angel. True if both went without force.
    pub(crate) fn stop(&mut self) -> bool {
        let vrrpd = self.vrrpd.take().is_none_or(|mut unit| unit.stop());
        let angel = self.angel.take().is_none_or(|mut unit| unit.stop());
        vrrpd && angel
    }

    /// `systemctl stop` of whoever elects, while the proxy goes on. True if it went without force.
    pub(crate) fn stop_election(&mut self) -> bool {
        self.vrrpd.take().is_none_or(|mut unit| unit.stop())
    }

    /// And its start.
    pub(crate) fn start_election(&mut self) -> Result<()> {
        self.vrrpd = Some(Unit::start(self.elects()?, &self.netns)?);
        Ok(())
    }

    /// Whether its election takes part: as BACKUP or MASTER, whoever elects.
    pub(crate) fn stands_by(&self) -> bool {
        let states = ["BACKUP", "MASTER"];
        if self.keepalived.is_none() {
            let status = self.control("vrrpd.sock", "status").unwrap_or_default();
            let status: Value = serde_json::from_str(&status).unwrap_or_default();
            return status["routers"][0]["state"].as_str().is_some_and(|state| states.contains(&state));
        }
        let log = std::fs::read_to_string(self.directory.join("keepalived.log")).unwrap_or_default();
        let last =
            log.lines().rev().find(|line| line.contains("Entering") || line.contains("Stopped Keepalived"));
        last.is_some_and(|line| states.iter().any(|state| line.contains(state)))
    }

    /// Its cable is pulled; everything on it goes on.
    pub(crate) fn pull_cable(&self) -> Result<()> {
        self.connected.store(false, Ordering::Relaxed);
        self.network.cut(&self.name)
    }

    pub(crate) fn plug_cable(&self) -> Result<()> {
        self.network.join(&self.name)?;
        self.connected.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// `systemctl stop standfast-angel`, while vrrpd goes on.
    pub(crate) fn stop_angel(&mut self) -> bool {
        self.angel.take().is_none_or(|mut unit| unit.stop())
    }

    /// Power off: the cable first (a dying host says nothing), then every process, with nothing cleaned up.
    pub(crate) fn power_off(&mut self) -> Result<()> {
        self.connected.store(false, Ordering::Relaxed);
        self.network.cut(&self.name)?;
        for unit in [self.vrrpd.take(), self.angel.take()].iter_mut().flatten() {
            unit.vanish();
        }
        let all_dead = || {
            let alive = process::inside(self.netns.inode());
            alive.iter().for_each(|p| process::signal(p.pid, Signal::SIGKILL));
            alive.is_empty()
        };
        wait::until(&format!("{}: its processes dead", self.name), Duration::from_secs(30), all_dead)
            .map(drop)
    }

    /// Power on: no addresses but its own, no run directory, the cable in, the units started.
    pub(crate) fn power_on(&mut self) -> Result<()> {
        // Absent after a first power-off that found nothing running.
        let _ = std::fs::remove_dir_all(self.run_dir());
        for stale in keepalived::PID_FILES {
            // As any /run after a boot; keepalived takes an old number for a running daemon.
            let _ = std::fs::remove_file(self.directory.join(stale));
        }
        self.network.address(&self.name)?;
        self.network.join(&self.name)?;
        self.connected.store(true, Ordering::Relaxed);
        self.start()
    }

    pub(crate) fn angel(&self) -> Result<&Unit> {
        self.angel.as_ref().with_context(|| format!("{}: standfast-angel is not started", self.name))
    }

    pub(crate) fn vrrpd(&self) -> Result<&Unit> {
        self.vrrpd.as_ref().with_context(|| format!("{}: standfast-vrrpd is not started", self.name))
    }

    /// The pid of the running proxy, found by its name inside this host's namespace.
    pub(crate) fn proxyd(&self) -> Option<i32> {
        let inside = process::inside(self.netns.inode());
        inside.iter().find(|p| p.comm.starts_with("standfast-proxy")).map(|p| p.pid)
    }

    pub(crate) fn signal_proxyd(&self, signal: Signal) -> Result<i32> {
        let pid = self.proxyd().with_context(|| format!("{}: no standfast-proxyd runs", self.name))?;
        process::signal(pid, signal);
        Ok(pid)
    }

    /// One request to a control socket (`angel.sock`, `vrrpd.sock`, `proxyd.sock`); its whole answer.
    pub(crate) fn control(&self, socket: &str, request: &str) -> Result<String> {
        let path = self.run_dir().join(socket);
        let mut stream = UnixStream::connect(&path).with_context(|| format!("connect {}", path.display()))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(format!("{request}\n").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).with_context(|| format!("read {}", path.display()))?;
        Ok(answer)
    }

    /// The end of a unit's log, for an error message.
    pub(crate) fn tail(&self, unit: &str) -> String {
        let path = self.directory.join(format!("{unit}.log"));
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let from = lines.len().saturating_sub(12);
        format!("{} {unit}.log ends with:\n{}", self.name, lines[from..].join("\n"))
    }

    fn spec(&self, unit: &str, cleans_up: bool) -> Spec {
        let program = self.binaries.path(&format!("standfast-{unit}"));
        let config = self.config().display().to_string();
        let common = ["--config".to_owned(), config, "--host".to_owned(), self.name.clone()];
        let stop_post = cleans_up.then(|| {
            let arguments = std::iter::once("--cleanup".to_owned()).chain(common.clone()).collect();
            (program.clone(), arguments)
        });
        Spec {
            name: unit.into(),
            program,
            arguments: common.to_vec(),
            stop_post,
            stop_timeout: STOP,
            directory: self.directory.clone(),
        }
    }
}
