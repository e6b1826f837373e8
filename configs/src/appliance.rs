//! The configuration as one host sees it: every name resolved, every default filled in, every number checked.
//!
//! This is what the daemons read. Nobody but this crate looks at the file itself.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::listen::Listen;
use crate::routing::{Route, Rule};

/// Everything the daemons of one host need to know.
#[derive(Debug, Clone, PartialEq)]
pub struct Appliance {
    /// This host.
    pub host: Host,
    /// The other hosts, in the order of the file.
    pub peers: Vec<Host>,
    pub routers: Vec<Router>,
    /// The operator's own checks; routers ask for them by name.
    pub checks: Vec<Check>,
    pub angel: Angel,
    pub proxy: Proxy,
    pub paths: Paths,
    /// Rows that fill the admin tables when there is no database yet.
    pub first_boot: FirstBoot,
}

/// One of the cluster's hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    pub name: String,
    pub address: IpAddr,
}

/// One VRRP virtual router as this host takes part in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Router {
    /// The operator's name for it (`VI_01`), used in logs and status.
    pub name: String,
    /// Virtual router identifier, 1..=255.
    pub vrid: u8,
    pub version: VrrpVersion,
    /// Base priority of this host, 1..=254; 255 is MASTER whenever it is fit (RFC 9568's address owner).
    pub priority: u8,
    /// This host's place in the order of preference; 0 is the preferred host.
    pub rank: u8,
    /// Who is first in line when this host lets go, if the file says it of all hosts.
    pub next_in_line: Option<String>,
    /// Added to `priority` while the proxy is live: the article's arithmetic. 0 when it is not used.
    pub weight: u8,
    /// 10 ms ..= 40.95 s for version 3, whole seconds for version 2.
    pub advert: Duration,
    pub transport: Transport,
    /// The interface that adverts use; `None` is the one that carries this host's address.
    pub interface: Option<String>,
    pub vips: Vec<Vip>,
    /// Whose MAC address the VIPs have.
    pub mac: MacAddress,
    /// Packets to the VIPs are taken (RFC 9568's Accept_Mode); otherwise dropped, but by the host whose own address it is.
    pub accept: bool,
    /// Its owner spreads new connections over the proxies of all hosts, by the kernel's IPVS.
    pub balanced: bool,
    /// There while this host is MASTER.
    pub routes: Vec<Route>,
    pub rules: Vec<Rule>,
    pub failback: Failback,
    /// All routers of this name are on one host, or on none.
    pub sync: Option<String>,
    pub notify: Notify,
    /// FAULT while one of them is missing or down.
    pub track_interface: Vec<String>,
    /// Names of checks.
    pub checks: Vec<String>,
    /// VRRPv2 simple authentication (at most 8 bytes).
    pub auth_pass: Option<String>,
}

/// Programs that are run at changes of state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notify {
    /// At every change, with keepalived's arguments.
    pub always: Option<PathBuf>,
    /// Program and arguments, nothing added; empty for none.
    pub master: Vec<String>,
    pub backup: Vec<String>,
    pub fault: Vec<String>,
    pub stop: Vec<String>,
}

impl Notify {
    /// The command for a state, by the word that operators read.
    pub fn of(&self, state: &str) -> &[String] {
        match state {
            "MASTER" => &self.master,
            "BACKUP" => &self.backup,
            "FAULT" => &self.fault,
            "STOP" => &self.stop,
            _ => &[],
        }
    }
}

/// A program of the operator's that says whether a host may serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub name: String,
    /// Program and arguments.
    pub command: Vec<String>,
    pub interval: Duration,
    /// After that it is killed, which counts as a failure.
    pub timeout: Duration,
    /// So many failures in a row make it bad.
    pub fall: u32,
    /// So many successes in a row make it good.
    pub rise: u32,
    /// Added to the priority while it is good or, if negative, while it is bad; without one, a bad check is FAULT.
    pub weight: Option<i16>,
    /// Who runs it, if vrrpd may change users.
    pub user: String,
}

/// A virtual address, its prefix length, and the interface that carries it if not the router's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vip {
    pub address: IpAddr,
    pub prefix: u8,
    pub interface: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VrrpVersion {
    V2,
    V3,
}

/// Whose MAC address a VIP has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacAddress {
    /// The interface's.
    Own,
    /// The virtual router's (RFC 9568 §7.3), on an interface of its own.
    Virtual,
}

/// How adverts travel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// 224.0.0.18, and ff02::12 for IPv6 (RFC 9568 §5.1.1.2, §5.1.2.2).
    Multicast,
    /// To each of these hosts; adverts from anybody else are dropped.
    Unicast(Vec<IpAddr>),
}

/// When a host takes a VIP back from a host that it outranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failback {
    /// RFC's Preempt_Mode = True: at once.
    AtOnce,
    /// After this host has been healthy for so long.
    AfterHealthy(Duration),
    /// Preempt_Mode = False: stay where it is.
    Never,
    /// As `Never`, until an operator says so.
    Manual,
}

/// The supervisor's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Angel {
    /// A proxy that is gone for no longer than this never moves a VIP.
    pub grace: Duration,
    /// A worker without a heartbeat for this long is hung.
    pub hang_timeout: Duration,
    /// This many crashes ...
    pub crash_limit: u32,
    /// ... inside this window are a crash loop.
    pub crash_window: Duration,
    /// The longest pause between two restarts of a crash loop.
    pub max_backoff: Duration,
    /// After a crash loop, so long healthy before `Serving` again.
    pub recovery: Duration,
    /// On stop: sessions in a transaction may finish for so long.
    pub drain: Duration,
}

/// Where proxyd listens and with how many threads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Worker threads; each has one listener per address (SO_REUSEPORT), all share that of a Unix socket.
    pub workers: usize,
    pub mysql_listen: Vec<Listen>,
    pub admin_listen: Vec<Listen>,
    /// What clients' long packets may take, all together, in bytes.
    pub packet_memory: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// `/run/standfast`: sockets and pids.
    pub run_dir: PathBuf,
    /// `/var/lib/standfast`: the admin database, certificates, the generated password.
    pub data_dir: PathBuf,
}

impl Paths {
    /// The angel's control socket: one request line in, JSON lines out; `subscribe` is the liveness feed.
    pub fn angel_socket(&self) -> PathBuf {
        self.run_dir.join("angel.sock")
    }
    /// vrrpd's control socket: one request line in (`status`), one JSON line out.
    pub fn vrrpd_socket(&self) -> PathBuf {
        self.run_dir.join("vrrpd.sock")
    }
    /// proxyd's control socket: one request line in (`status`), one JSON line out.
    pub fn proxyd_socket(&self) -> PathBuf {
        self.run_dir.join("proxyd.sock")
    }
}

/// Rows for the admin tables, by ProxySQL's table and column names, and variables without their prefix.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FirstBoot {
    /// Those of the admin tables that a file may fill, `mysql_servers` and so on, by name.
    pub tables: BTreeMap<String, Vec<BTreeMap<String, Value>>>,
    pub mysql_variables: BTreeMap<String, String>,
    pub admin_variables: BTreeMap<String, String>,
}

/// A cell of a first-boot row.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Integer(i64),
    Text(String),
}
