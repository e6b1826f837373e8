//! Two hosts on a bridge of their own: one runs `standfast-vrrpd` with a liveness feed that says "serving", the other
//! keepalived.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use super::cell::{Cell, Protocol};
use crate::lab::netns::Netns;
use crate::lab::{netns, process, teardown, wait};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Ours,
    Theirs,
}

impl Side {
    pub(crate) fn other(self) -> Side {
        if self == Side::Ours { Side::Theirs } else { Side::Ours }
    }
}

const OURS: u8 = 11;
const THEIRS: u8 = 12;

pub(crate) struct Bed {
    cell: Cell,
    binaries: PathBuf,
    /// The words that start keepalived.
    keepalived: Vec<String>,
    directory: PathBuf,
    switch: Netns,
    ours: Netns,
    theirs: Netns,
    running: [Option<Child>; 2],
}

impl Bed {
    pub(crate) fn new(cell: Cell, binaries: &Path, keepalived: &[String]) -> Result<Bed> {
        let place = Cell::all().iter().position(|it| *it == cell).unwrap_or_default();
        let create = |what: &str| Netns::create(&format!("{}i{place}{what}", teardown::prefix()));
        let (switch, ours, theirs) = (create("s")?, create("o")?, create("k")?);
        switch.ip(&["link", "add", "br0", "type", "bridge", "mcast_snooping", "0", "forward_delay", "0"])?;
        switch.ip(&["link", "set", "br0", "up"])?;
        let directory = teardown::directory().join(format!("i{place}"));
        fs::create_dir_all(directory.join("run"))?;
        let bed = Bed {
            cell,
            binaries: binaries.into(),
            keepalived: keepalived.to_vec(),
            directory,
            switch,
            ours,
            theirs,
            running: [None, None],
        };
        bed.plug(Side::Ours, OURS)?;
        bed.plug(Side::Theirs, THEIRS)?;
        let ready =
            |side| bed.netns(side).ip(&["-6", "addr", "show", "tentative"]).is_ok_and(|text| text.is_empty());
        wait::until("IPv6 addresses", Duration::from_secs(10), || ready(Side::Ours) && ready(Side::Theirs))?;
        let forwards = |port| {
            let shown = bed.switch.ip(&["-d", "link", "show", "dev", port]);
            shown.is_ok_and(|text| text.contains("state forwarding"))
        };
        wait::until("the switch", Duration::from_secs(5), || forwards("ours") && forwards("theirs"))?;
        fs::write(bed.directory.join("standfast.toml"), bed.our_config())?;
        fs::write(bed.directory.join("keepalived.conf"), bed.their_config())?;
        bed.feed()?;
        Ok(bed)
    }

    fn plug(&self, side: Side, last: u8) -> Result<()> {
        let netns = self.netns(side);
        let port = port(side);
        self.switch.ip(&[
            "link",
            "add",
            port,
            "type",
            "veth",
            "peer",
            "name",
            "eth0",
            "netns",
            &netns.name,
        ])?;
        self.switch.ip(&["link", "set", port, "master", "br0", "up"])?;
        netns.ip(&["addr", "add", &format!("10.77.0.{last}/24"), "dev", "eth0"])?;
        netns.ip(&["addr", "add", &format!("fd00:77::{last}/64"), "dev", "eth0", "nodad"])?;
        netns.ip(&["link", "set", "eth0", "up"]).map(drop)
    }

    fn netns(&self, side: Side) -> &Netns {
        if side == Side::Ours { &self.ours } else { &self.theirs }
    }

    /// A proxy that is always well.
    fn feed(&self) -> Result<()> {
        let listener = UnixListener::bind(self.directory.join("run/angel.sock"))?;
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let line = "standfast-health 1 verdict=serving cause=test since_ms=1 restarts=0 sessions=0 backends=1/1";
                std::thread::spawn(move || {
                    while writeln!(stream, "{line}").is_ok() {
                        std::thread::sleep(Duration::from_millis(50));
                    }
                });
            }
        });
        Ok(())
    }

    fn vip(&self) -> &'static str {
        if self.cell.protocol == Protocol::V3OnIpv6 { "fd00:77::88" } else { "10.77.0.88" }
    }

    fn address(&self, last: u8) -> String {
        let net = if self.cell.protocol == Protocol::V3OnIpv6 { "fd00:77::" } else { "10.77.0." };
        format!("{net}{last}")
    }

    fn our_config(&self) -> String {
        let cell = self.cell;
        let mut text = String::new();
        for (name, last) in [("ours", OURS), ("theirs", THEIRS)] {
            let _ = writeln!(text, "[[hosts]]\nname = \"{name}\"\naddress = \"{}\"", self.address(last));
        }
        let (version, transport) =
            (if cell.is_slow() { 2 } else { 3 }, if cell.unicast { "unicast" } else { "multicast" });
        let failback = if cell.preempt { "at once" } else { "never" };
        let advert = cell.advert().as_millis();
        let _ = writeln!(
            text,
            "[vrrp]\nversion = {version}\nadvert_ms = {advert}\ntransport = \"{transport}\"\nfailback = \"{failback}\""
        );
        if let Some(password) = cell.password.ours() {
            let _ = writeln!(text, "auth_pass = \"{password}\"");
        }
        let addresses = match cell.protocol {
            Protocol::V3OnIpv6 => format!("[\"fe80::88/64\", \"{}/64\"]", self.vip()),
            Protocol::V2 | Protocol::V3 => format!("\"{}/24\"", self.vip()),
        };
        let prefer = if cell.we_lead { r#"["ours", "theirs"]"# } else { r#"["theirs", "ours"]"# };
        let _ = writeln!(text, "[[vip]]\nrouter_id = 51\naddress = {addresses}\nprefer = {prefer}");
        let _ = writeln!(text, "[paths]\nrun_dir = \"{}\"", self.directory.join("run").display());
        text
    }

    fn their_config(&self) -> String {
        let cell = self.cell;
        let mut text =
            String::from("vrrp_instance VI_1 {\n  state BACKUP\n  interface eth0\n  virtual_router_id 51\n");
        let (version, priority) = (if cell.is_slow() { 2 } else { 3 }, if cell.we_lead { 150 } else { 200 });
        let advert = cell.advert().as_secs_f64();
        let _ = writeln!(text, "  version {version}\n  priority {priority}\n  advert_int {advert}");
        if !cell.preempt {
            text += "  nopreempt\n";
        }
        if cell.unicast {
            let (own, peer) = (self.address(THEIRS), self.address(OURS));
            // Without it, keepalived 2.2 sends IPv6 with the kernel's hop limit of 64, which says "from afar" (RFC 9568 §5.1.2.3).
            text += "  unicast_ttl 255\n";
            let _ = writeln!(text, "  unicast_src_ip {own}\n  unicast_peer {{\n    {peer}\n  }}");
        }
        if let Some(password) = cell.password.theirs() {
            let _ = writeln!(text, "  authentication {{\n    auth_type PASS\n    auth_pass {password}\n  }}");
        }
        let addresses = match cell.protocol {
            Protocol::V3OnIpv6 => format!("fe80::88/64\n    {}/64", self.vip()),
            Protocol::V2 | Protocol::V3 => format!("{}/24", self.vip()),
        };
        let _ = writeln!(text, "  virtual_ipaddress {{\n    {addresses}\n  }}\n}}");
        text
    }

    pub(crate) fn start(&mut self, side: Side) -> Result<()> {
        let file = |name: &str| self.directory.join(name);
        let (mut command, log) = match side {
            Side::Ours => {
                let mut command = self.inside(side, &self.binaries.join("standfast-vrrpd"));
                command.arg("--config").arg(file("standfast.toml")).args(["--host", "ours"]);
                (command, file("vrrpd.log"))
            }
            Side::Theirs => {
                let (program, rest) = self.keepalived.split_first().context("no keepalived")?;
                let mut command = self.inside(side, Path::new(program));
                command.args(rest);
                command.args(["--dont-fork", "--log-console", "--log-detail", "--vrrp"]);
                command.arg("--use-file").arg(file("keepalived.conf"));
                command.arg("--pid").arg(file("keepalived.pid")).arg("--vrrp_pid").arg(file("vrrp.pid"));
                // Two that start in the same instant would think that one of them runs already.
                command.arg("--bfd_pid").arg(file("bfd.pid")).arg("--checkers_pid").arg(file("checkers.pid"));
                (command, file("keepalived.log"))
            }
        };
        let log = File::options().create(true).append(true).open(log)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.running[side as usize] = Some(command.spawn().context("start")?);
        Ok(())
    }

    fn inside(&self, side: Side, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.netns(side).name]).arg(program);
        command
    }

    /// SIGTERM; whoever is asked so resigns. Does not wait for its end.
    pub(crate) fn dismiss(&mut self, side: Side) {
        if let Some(child) = &self.running[side as usize] {
            process::signal(child.id().cast_signed(), Signal::SIGTERM);
        }
    }

    /// Waits for the end of one that was dismissed.
    pub(crate) fn bury(&mut self, side: Side) -> Result<()> {
        let Some(mut child) = self.running[side as usize].take() else { return Ok(()) };
        let ended = wait::until("its end", Duration::from_secs(10), || !matches!(child.try_wait(), Ok(None)));
        if ended.is_err() {
            child.kill()?;
            child.wait()?;
        }
        ended.map(drop)
    }

    /// The bridge carries nothing between the two any more, or again; both links stay up.
    pub(crate) fn split(&self, split: bool) -> Result<()> {
        let word = if split { "on" } else { "off" };
        for side in [Side::Ours, Side::Theirs] {
            let port = port(side);
            self.switch.ip(&["link", "set", "dev", port, "type", "bridge_slave", "isolated", word])?;
        }
        Ok(())
    }

    pub(crate) fn holds(&self, side: Side) -> bool {
        let shown = self.netns(side).ip(&["-o", "addr", "show", "dev", "eth0"]);
        shown.is_ok_and(|text| text.contains(&format!(" {}/", self.vip())))
    }

    /// vrrpd's answer to `status`.
    pub(crate) fn status(&self) -> Result<serde_json::Value> {
        let mut stream = UnixStream::connect(self.directory.join("run/vrrpd.sock"))?;
        stream.write_all(b"status\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Who holds, what vrrpd counted, and the ends of both logs.
    pub(crate) fn describe(&self) -> String {
        let tail = |name: &str| {
            let text = fs::read_to_string(self.directory.join(name)).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(8)..].join("\n")
        };
        let holders = [Side::Ours, Side::Theirs].map(|side| self.holds(side));
        let counters = self.status().map(|status| status["counters"].to_string()).unwrap_or_default();
        let (ours, theirs) = (tail("vrrpd.log"), tail("keepalived.log"));
        format!("holders (vrrpd, keepalived): {holders:?}\n{counters}\n{ours}\n{theirs}")
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        for side in [Side::Ours, Side::Theirs] {
            self.dismiss(side);
            // A process that will not end is killed with its namespace when the lab comes down.
            let _ = self.bury(side);
        }
        for netns in [&self.ours, &self.theirs, &self.switch] {
            let _ = netns::ip(&["netns", "delete", &netns.name]);
        }
    }
}

fn port(side: Side) -> &'static str {
    if side == Side::Ours { "ours" } else { "theirs" }
}
