//! What is measured against what: the database itself, its peers in front of it, and proxyd.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::cases::{Backend, Case, Kind};
use super::database::{Database, PASSWORD, USER};
use super::{Options, canned, handshake, proxy, router, sysbench};
use crate::lab::child::{self, Owned};
use crate::lab::{teardown, wait};
use crate::mysql::client::Account;
use crate::mysql::packet::{self, Greeting};

/// The target that everything is compared with.
pub(crate) const PEER: &str = "haproxy";
/// What a storm under TLS is compared with.
pub(crate) const HANDSHAKE: &str = "handshake";

/// Somewhere to send queries to.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub name: String,
    /// None: a TLS handshake and nothing else.
    pub backend: Option<Backend>,
    /// The first is for queries; a hundred thousand clients need them all.
    pub addresses: Vec<SocketAddr>,
    /// The process whose time counts; none for the database itself.
    pub pid: Option<i32>,
}

impl Target {
    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    pub(crate) fn account(&self, index: usize) -> Account {
        Account {
            address: self.addresses[index % self.addresses.len()],
            user: USER.into(),
            password: PASSWORD.into(),
            database: Some(super::database::DATABASE.into()),
        }
    }
}

/// The last byte of proxyd's addresses, to which its backend's number is added.
const PROXYD: u8 = 10;

/// Everything that runs for one bench. It is gone with this value.
#[derive(Debug)]
pub(crate) struct Bed {
    pub targets: Vec<Target>,
    database: Database,
    children: Vec<Owned>,
    /// With their directories.
    proxies: Vec<(Owned, PathBuf)>,
}

impl Bed {
    pub(crate) fn start(options: &Options, cases: &[Case]) -> Result<Self> {
        let directory = teardown::directory();
        let database = Database::start(own_address(1), &directory.join("db"))?;
        sysbench::prepare(database.address)?;
        let mut bed = Self { targets: Vec::new(), database, children: Vec::new(), proxies: Vec::new() };
        let wants = |name: &str| options.targets.is_empty() || options.targets.iter().any(|t| t == name);
        let needs = |backend: Backend| cases.iter().any(|case| case.backend == backend);
        let mut backends = vec![(Backend::MariaDb, bed.database.address)];
        if needs(Backend::Canned) {
            backends.push((Backend::Canned, bed.start_canned(&directory)?));
        }
        if needs(Backend::ManyRules) {
            backends.push((Backend::ManyRules, bed.database.address));
        }
        if wants(PEER) {
            bed.start_haproxy(&directory.join("haproxy"), &backends)?;
        }
        for (backend, address) in backends {
            if wants("direct") && backend != Backend::ManyRules {
                bed.add("direct", backend, vec![address], None);
            }
            bed.start_proxies(options, &directory, backend, address, &wants)?;
        }
        if wants("router") {
            bed.start_router(&directory.join("router"))?;
        }
        let under_tls = |case: &Case| matches!(case.kind, Kind::Storm { tls: true, .. });
        if wants(HANDSHAKE) && cases.iter().any(under_tls) {
            bed.start_handshake(&directory)?;
        }
        for peer in &options.peers {
            bed.targets.push(peer_of(peer).with_context(|| format!("--peer {peer}: NAME=host:port:pid"))?);
        }
        Ok(bed)
    }

    /// The targets of a case. An idle client's memory is of interest in proxyd only: the others have no sessions. Not everybody
    /// has TLS.
    pub(crate) fn targets_of(&self, case: &Case) -> Vec<&Target> {
        let fits = |t: &&Target| match (case.kind, t.backend) {
            (Kind::Storm { tls: true, .. }, None) => true,
            (_, backend) if backend != Some(case.backend) => false,
            (Kind::Storm { tls: true, .. }, _) => offers_tls(t.address()),
            (Kind::Idle { .. }, _) => t.name == "proxyd" || t.name == "other",
            _ => true,
        };
        self.targets.iter().filter(fits).collect()
    }

    /// All processes that are part of the bench.
    pub(crate) fn pids(&self) -> Vec<i32> {
        let proxies = self.proxies.iter().map(|(proxy, _)| proxy);
        let children = self.children.iter().chain(proxies).map(Owned::pid).chain([self.database.pid()]);
        children.chain(self.targets.iter().filter_map(|t| t.pid)).collect()
    }

    fn add(&mut self, name: &str, backend: Backend, addresses: Vec<SocketAddr>, pid: Option<i32>) {
        self.targets.push(Target { name: name.into(), backend: Some(backend), addresses, pid });
    }

    /// With the certificate that a proxyd of this bench shows.
    fn start_handshake(&mut self, directory: &Path) -> Result<()> {
        let address = SocketAddr::from((own_address(51), 6033));
        let data = directory.join(format!("proxy{}", PROXYD + Backend::MariaDb as u8)).join("data");
        ensure!(data.exists(), "the handshake's certificate is proxyd's: measure both");
        let mut command = owned(std::env::current_exe()?, &directory.join(HANDSHAKE), HANDSHAKE)?;
        let child = Owned(handshake::arguments(&mut command, address, &data).spawn()?);
        wait::until("the handshake's server", Duration::from_secs(30), || {
            std::net::TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
        })?;
        let (name, pid) = (HANDSHAKE.into(), Some(child.pid()));
        self.targets.push(Target { name, backend: None, addresses: vec![address], pid });
        self.children.push(child);
        Ok(())
    }

    fn start_canned(&mut self, directory: &Path) -> Result<SocketAddr> {
        let address = SocketAddr::from((own_address(2), 3306));
        let mut command = owned(std::env::current_exe()?, &directory.join("canned"), "canned")?;
        self.children.push(Owned(canned::arguments(&mut command, address).spawn()?));
        accepts(address)?;
        Ok(address)
    }

    fn start_proxies(
        &mut self,
        options: &Options,
        directory: &Path,
        backend: Backend,
        database: SocketAddr,
        wants: &dyn Fn(&str) -> bool,
    ) -> Result<()> {
        let built = child::built(&options.places.binaries()?, "standfast-proxyd")?;
        let number = backend as u8;
        let few = if backend == Backend::ManyRules { 200 } else { 10 };
        let mut wanted: Vec<(&str, PathBuf, usize, u8)> =
            vec![("proxyd", built.clone(), few, PROXYD + number)];
        if backend == Backend::ManyRules {
            wanted.push(("proxyd-10-rules", built, 10, 20 + number));
        }
        if let Some(other) = &options.compare {
            wanted.push(("other", other.clone(), few, 30 + number));
        }
        for (name, program, rules, last) in wanted {
            if !wants(name) {
                continue;
            }
            let addresses: Vec<SocketAddr> =
                (0..5).map(|third| (own_network(third, last), 6033).into()).collect();
            let plan = proxy::Plan { program, under: Vec::new(), addresses, database, rules, workers: None };
            let place = directory.join(format!("proxy{last}"));
            let child = Owned(proxy::start(&plan, &place)?);
            self.add(name, backend, plan.addresses, Some(child.pid()));
            self.proxies.push((child, place));
        }
        Ok(())
    }

    fn start_haproxy(&mut self, directory: &Path, backends: &[(Backend, SocketAddr)]) -> Result<()> {
        std::fs::create_dir_all(directory)?;
        let mut text = "global\n  nbthread 2\n  maxconn 8000\ndefaults\n  mode tcp\n  timeout connect 5s\n  \
                        timeout client 1h\n  timeout server 1h\n"
            .to_owned();
        let mut places = Vec::new();
        for (backend, database) in backends {
            let bind = SocketAddr::from((own_address(40 + *backend as u8), 6033));
            text += &format!("listen b{}\n  bind {bind}\n  server s {database}\n", *backend as u8);
            places.push((*backend, bind));
        }
        let config = directory.join("haproxy.cfg");
        std::fs::write(&config, text)?;
        let child = Owned(
            owned("haproxy", directory, "haproxy")?
                .args(["-db", "-f"])
                .arg(&config)
                .spawn()
                .context("haproxy is missing: apt-get install -y --no-install-recommends haproxy")?,
        );
        for (backend, bind) in places {
            accepts(bind)?;
            self.add(PEER, backend, vec![bind], Some(child.pid()));
        }
        self.children.push(child);
        Ok(())
    }

    fn start_router(&mut self, directory: &Path) -> Result<()> {
        let bind = SocketAddr::from((own_address(50), 6446));
        let child = Owned(router::start(directory, bind, self.database.address)?);
        accepts(bind)?;
        self.add("router", Backend::MariaDb, vec![bind], Some(child.pid()));
        self.children.push(child);
        Ok(())
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        for (proxy, directory) in &mut self.proxies {
            if let Err(error) = proxy::end(proxy, directory) {
                eprintln!("{error:#}");
            }
        }
    }
}

/// A command whose process does not outlive this one, with a log of its own.
pub(crate) fn owned(program: impl AsRef<std::ffi::OsStr>, directory: &Path, name: &str) -> Result<Command> {
    std::fs::create_dir_all(directory)?;
    let log = File::create(directory.join(format!("{name}.log")))?;
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]);
    // Through this program: it gives back the signals that the lab itself waits for.
    command.arg(std::env::current_exe()?).args(["exec-unit", "/proc/self/ns/net", "--"]).arg(program);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    Ok(command)
}

/// Waits until somebody answers there with a greeting.
pub(crate) fn accepts(address: SocketAddr) -> Result<()> {
    let greets = || first_packet(address).is_ok_and(|packet| packet.first() != Some(&packet::ERR));
    wait::until(&format!("a server at {address}"), Duration::from_secs(30), greets).map(drop)
}

fn offers_tls(address: SocketAddr) -> bool {
    let greeting = first_packet(address).ok().and_then(|packet| Greeting::parse(&packet));
    greeting.is_some_and(|greeting| greeting.capabilities & packet::SSL != 0)
}

/// What a server says first.
fn first_packet(address: SocketAddr) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut stream = std::net::TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut header = [0; 4];
    stream.read_exact(&mut header)?;
    // No greeting is longer than its first byte of length can say.
    let mut packet = vec![0; header[0].into()];
    stream.read_exact(&mut packet)?;
    Ok(packet)
}

/// An address of this bench alone, so that two benches on one machine do not meet.
pub(crate) fn own_address(last: u8) -> Ipv4Addr {
    own_network(0, last)
}

fn own_network(third: u8, last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 100 + (std::process::id() % 100) as u8, third, last)
}

/// `NAME=host:port:pid`
fn peer_of(text: &str) -> Option<Target> {
    let (name, place) = text.split_once('=')?;
    let (address, pid) = place.rsplit_once(':')?;
    let address = address.parse().ok().or_else(|| {
        use std::net::ToSocketAddrs;
        address.to_socket_addrs().ok()?.next()
    })?;
    let pid = pid.parse().ok()?;
    let backend = Some(Backend::MariaDb);
    Some(Target { name: name.into(), backend, addresses: vec![address], pid: Some(pid) })
}

/// Programs that a bench needs beside its own.
pub(crate) fn require() -> Result<()> {
    for (program, package) in [("sysbench", "sysbench"), ("setpriv", "util-linux")] {
        let found =
            Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        ensure!(found.is_ok(), "{program} is missing: apt-get install -y --no-install-recommends {package}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_named_by_place_and_process() {
        let peer = peer_of("old=127.0.0.1:6033:42").expect("peer");
        assert_eq!((peer.name.as_str(), peer.address().port(), peer.pid), ("old", 6033, Some(42)));
        assert!(peer_of("old=127.0.0.1:6033").is_none());
    }
}
