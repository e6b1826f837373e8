//! One guest: QEMU's process with its disk, its cable and its power, and the agent inside.
//!
//! Emulated in software (TCG): nothing of it needs /dev/kvm. Every guest has the same devices, so that a saved state fits all.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::hand::{Hand, Job, Said};
use super::image::Image;
use super::qmp;
use crate::lab::netns::Netns;
use crate::lab::{cache, process, wait};

/// A guest boots in 13 s on a machine of its own and in more than a minute on a busy one.
pub(crate) const BOOT: Duration = Duration::from_secs(300);
/// How long a script inside may take.
pub(crate) const SCRIPT: Duration = Duration::from_secs(180);
/// Enough for the product beside Debian.
const MEMORY_MIB: u32 = 256;
const EMULATOR: &str = "qemu-system-x86_64";

/// Who a guest is on the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub name: String,
    pub mac: String,
    /// With their prefix lengths.
    pub addresses: Vec<String>,
}

/// One guest. Dropping it cuts its power.
#[derive(Debug)]
pub(crate) struct Machine {
    pub identity: Identity,
    switch: Netns,
    tap: String,
    directory: PathBuf,
    image: Image,
    memory_mib: u32,
    emulator: Option<Child>,
    hand: Option<Hand>,
}

impl Machine {
    /// Off, with a disk that is a copy of `disk`. `tap` is a port of the switch, inside its namespace.
    pub(crate) fn new(
        identity: Identity,
        switch: &Netns,
        tap: &str,
        image: &Image,
        disk: &Path,
        directory: &Path,
    ) -> Result<Self> {
        fs::create_dir_all(directory)?;
        let machine = Self {
            identity,
            switch: switch.clone(),
            tap: tap.into(),
            directory: directory.into(),
            image: image.clone(),
            memory_mib: MEMORY_MIB,
            emulator: None,
            hand: None,
        };
        machine.copy_disk(disk)?;
        Ok(machine)
    }

    /// More memory than others have. A saved state fits only those.
    pub(crate) fn with_memory(mut self, mib: u32) -> Self {
        self.memory_mib = mib;
        self
    }

    fn copy_disk(&self, disk: &Path) -> Result<()> {
        let copied = Command::new("cp").arg("--sparse=always").arg(disk).arg(self.disk()).status()?;
        ensure!(copied.success(), "copy {}", disk.display());
        Ok(())
    }

    pub(crate) fn name(&self) -> &str {
        &self.identity.name
    }

    pub(crate) fn disk(&self) -> PathBuf {
        self.directory.join("disk.img")
    }

    /// Puts a file onto the disk of a guest that is off.
    pub(crate) fn put_offline(&self, file: &Path, inside: &str) -> Result<()> {
        let request = format!("write \"{}\" \"{inside}\"", file.display());
        let output = Command::new("debugfs")
            .args(["-w", "-R", &request])
            .arg(self.disk())
            .output()
            .context("debugfs")?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // It says its version there, and exits with 0 whatever happened.
        let complaints: Vec<&str> = said.lines().filter(|line| !line.starts_with("debugfs ")).collect();
        ensure!(output.status.success() && complaints.is_empty(), "debugfs: {}", complaints.join("; "));
        Ok(())
    }

    /// Power on, from the kernel up.
    pub(crate) fn power_on(&mut self) -> Result<()> {
        self.spawn(&[])
    }

    /// Power on, in the middle of a life that was saved: paused until [`Self::resume`].
    pub(crate) fn power_on_from(&mut self, state: &Path) -> Result<()> {
        self.spawn(&["-incoming".into(), format!("exec:cat '{}'", state.display())])
    }

    fn spawn(&mut self, more: &[String]) -> Result<()> {
        self.power_off()?;
        for socket in ["qmp", "hand"] {
            // Absent at the first start.
            let _ = fs::remove_file(self.directory.join(socket));
        }
        let output = File::create(self.directory.join("qemu.log"))?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("exec-unit").arg(self.switch.path()).args(["--", EMULATOR]);
        command.args(self.arguments()).args(more);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        self.emulator = Some(command.spawn().context("start qemu")?);
        let socket = self.directory.join("hand");
        wait::until(&format!("QEMU of {}", self.name()), Duration::from_secs(60), || {
            self.hand = Hand::connect(&socket).ok();
            self.hand.is_some() || !self.is_on()
        })?;
        ensure!(self.is_on(), "QEMU of {} ended at once: {}", self.name(), self.emulator_said());
        Ok(())
    }

    fn arguments(&self) -> Vec<String> {
        let at = |name: &str| self.directory.join(name).display().to_string();
        let image = |name: &str| self.image.directory.join(name).display().to_string();
        let identity = &self.identity;
        let append = format!(
            "console=ttyS0 quiet panic=-1 mitigations=off nokaslr random.trust_cpu=on net.ifnames=0 \
             systemd.machine_id={:032x} lab.host={},{},{}",
            u128::from(hash(identity.name.as_bytes())) + 1,
            identity.name,
            identity.mac,
            identity.addresses.join(","),
        );
        let words = [
            "-M q35 -accel tcg,thread=multi,tb-size=128 -cpu qemu64 -smp 1 -nodefaults -no-user-config",
            "-display none -no-reboot -device virtio-serial-pci -device virtio-rng-pci",
            "-device virtserialport,chardev=hand,name=lab.0 -serial chardev:console",
            "-device virtio-blk-pci,drive=disk -device pcie-root-port,id=port1,chassis=1,slot=1",
        ];
        let mut all: Vec<String> = words.iter().flat_map(|line| line.split(' ')).map(Into::into).collect();
        let valued = [
            ("-name", identity.name.clone()),
            ("-m", self.memory_mib.to_string()),
            ("-kernel", image("vmlinuz")),
            ("-initrd", image("initrd.img")),
            ("-append", append),
            ("-drive", format!("file={},format=raw,if=none,id=disk,cache=unsafe", at("disk.img"))),
            ("-chardev", format!("socket,id=hand,path={},server=on,wait=off", at("hand"))),
            ("-chardev", format!("file,id=console,path={},append=on", at("console.log"))),
            ("-qmp", format!("unix:{},server=on,wait=off", at("qmp"))),
            ("-netdev", format!("tap,id=net,ifname={},script=no,downscript=no", self.tap)),
            ("-device", format!("virtio-net-pci,netdev=net,id=nic,bus=port1,mac={},romfile=", identity.mac)),
        ];
        all.extend(valued.into_iter().flat_map(|(option, value)| [option.into(), value]));
        all
    }

    /// A command of QEMU's monitor.
    pub(crate) fn monitor(&self, command: &str, arguments: Value) -> Result<Value> {
        qmp::command(&self.directory.join("qmp"), command, arguments).with_context(|| self.name().to_owned())
    }

    /// Waits until a saved state is in, and lets it run.
    pub(crate) fn resume(&self) -> Result<()> {
        let mut state = String::new();
        wait::until(&format!("the saved state of {}", self.name()), BOOT, || {
            let asked = self.monitor("query-status", json!({}));
            state = asked.ok().and_then(|it| it["status"].as_str().map(Into::into)).unwrap_or_default();
            !(state.is_empty() || state == "inmigrate")
        })?;
        if state != "running" {
            self.monitor("cont", json!({}))?;
        }
        Ok(())
    }

    /// Saves memory and devices while it stands still. The disk has to be copied before it runs on.
    pub(crate) fn save(&self, state: &Path) -> Result<()> {
        self.monitor("stop", json!({}))?;
        self.monitor("migrate", json!({ "uri": format!("exec:cat >'{}'", state.display()) }))?;
        let mut status = String::new();
        wait::until(&format!("the state of {} on disk", self.name()), BOOT, || {
            let asked = self.monitor("query-migrate", json!({}));
            status = asked.ok().and_then(|it| it["status"].as_str().map(Into::into)).unwrap_or_default();
            matches!(status.as_str(), "completed" | "failed")
        })?;
        ensure!(status == "completed", "the state of {} could not be saved", self.name());
        Ok(())
    }

    /// The cable, as the guest sees it: without carrier when out.
    pub(crate) fn cable(&self, plugged: bool) -> Result<()> {
        self.monitor("set_link", json!({ "name": "nic", "up": plugged })).map(drop)
    }

    /// Whether the emulator runs.
    pub(crate) fn is_on(&mut self) -> bool {
        self.emulator.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// A signal to the emulator: a host whose time is taken away.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let child = self.emulator.as_ref().context("the guest is off")?;
        process::signal(i32::try_from(child.id())?, signal);
        Ok(())
    }

    /// For how long its threads have wanted to run and were not run (schedstat of proc(5)); nothing when it is off.
    pub(crate) fn starved(&self) -> Duration {
        let Some(child) = &self.emulator else { return Duration::ZERO };
        let Ok(threads) = fs::read_dir(format!("/proc/{}/task", child.id())) else { return Duration::ZERO };
        let waited = |thread: fs::DirEntry| -> Option<u64> {
            let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            text.split(' ').nth(1)?.parse().ok()
        };
        Duration::from_nanos(threads.flatten().filter_map(waited).sum())
    }

    /// Pulls the plug.
    pub(crate) fn power_off(&mut self) -> Result<()> {
        self.hand = None;
        if let Some(mut child) = self.emulator.take() {
            // It may have ended by itself.
            let _ = child.kill();
            child.wait()?;
        }
        Ok(())
    }

    /// Waits until the guest has switched itself off.
    pub(crate) fn wait_until_off(&mut self, limit: Duration) -> Result<()> {
        let start = Instant::now();
        while self.is_on() {
            if start.elapsed() > limit {
                bail!(
                    "{} is still on after {:.0} s: {}",
                    self.name(),
                    limit.as_secs_f64(),
                    self.console_tail()
                );
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.power_off()
    }

    /// Begins a script inside.
    pub(crate) fn begin(&self, script: &str) -> Result<Job> {
        let hand = self.hand.as_ref().with_context(|| format!("{} is off", self.name()))?;
        hand.begin(script).with_context(|| {
            format!("{} does not listen: {}\n{}", self.name(), self.emulator_said(), self.console_tail())
        })
    }

    /// Runs a script inside, whatever it comes to.
    pub(crate) fn ask(&self, script: &str) -> Result<Said> {
        self.begin(script)?.wait(SCRIPT).with_context(|| format!("{}: {script}", self.name()))
    }

    /// Runs a script inside that must succeed.
    pub(crate) fn run(&self, script: &str) -> Result<String> {
        finished(self.name(), script, self.ask(script)?)
    }

    /// Waits until systemd has started everything.
    pub(crate) fn wait_until_up(&self) -> Result<()> {
        let job = self.begin("systemctl is-system-running --wait; systemctl --failed --no-legend")?;
        let said = job.wait(BOOT).with_context(|| {
            format!("the boot of {}: {}\n{}", self.name(), self.emulator_said(), self.console_tail())
        })?;
        ensure!(said.text.starts_with("running"), "{} came up {}", self.name(), said.text);
        Ok(())
    }

    fn emulator_said(&self) -> String {
        fs::read_to_string(self.directory.join("qemu.log")).unwrap_or_default().trim().to_owned()
    }

    pub(crate) fn console_tail(&self) -> String {
        let bytes = fs::read(self.directory.join("console.log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

/// What a script said, if it ended well.
pub(crate) fn finished(name: &str, script: &str, said: Said) -> Result<String> {
    ensure!(said.status == 0, "{name}: `{script}` ended with {}: {}", said.status, said.text);
    Ok(said.text)
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Err(error) = self.power_off() {
            eprintln!("{error:#}");
        }
    }
}

/// Any number that differs by name.
fn hash(name: &[u8]) -> u64 {
    name.iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// What the emulator says of itself.
pub(crate) fn version() -> Result<String> {
    cache::run(Command::new(EMULATOR).arg("--version"), "apt-get install -y qemu-system-x86")
}

/// Fails with what to install.
pub(crate) fn require() -> Result<()> {
    let programs = [
        (EMULATOR, "qemu-system-x86"),
        ("mmdebstrap", "mmdebstrap"),
        ("busybox", "busybox-static"),
        ("cpio", "cpio"),
        ("mke2fs", "e2fsprogs"),
        ("debugfs", "e2fsprogs"),
        ("tcpdump", "tcpdump"),
    ];
    ensure!(
        std::env::consts::ARCH == "x86_64",
        "the guests are x86-64; this machine is {}",
        std::env::consts::ARCH
    );
    ensure!(Path::new("/dev/net/tun").exists(), "/dev/net/tun is missing: the kernel has no tun");
    programs.iter().try_for_each(|(program, package)| crate::checks::shell::require(program, package))
}
