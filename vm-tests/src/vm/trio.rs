//! Three guests on one switch with a client and a database, running a shipped layout from the installed package.

use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::database::Database;
use super::image::{Image, Pristine};
use super::machine::{self, Identity, Machine, SCRIPT};
use super::product::Product;
use crate::lab::net::{self, Network};
use crate::lab::netns::Netns;
use crate::lab::{teardown, wait};
use crate::mysql::client::Account;

/// What the guests run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Layout {
    SingleVip,
    MultiVip,
    /// `single-vip` with addresses of IPv6.
    Ipv6,
}

impl Layout {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Layout::SingleVip => "single-vip",
            Layout::MultiVip => "multi-vip",
            Layout::Ipv6 => "ipv6",
        }
    }

    pub(crate) fn vips(self) -> Vec<IpAddr> {
        match self {
            Layout::SingleVip => vec![net::vips()[0].into()],
            Layout::MultiVip => net::vips().map(IpAddr::V4).to_vec(),
            Layout::Ipv6 => vec!["fd77::88".parse().unwrap_or(IpAddr::V6(std::net::Ipv6Addr::LOCALHOST))],
        }
    }

    /// The host that each VIP goes back to, where it does.
    pub(crate) fn homes(self) -> Option<[usize; 3]> {
        (self == Layout::MultiVip).then_some([0, 1, 2])
    }
}

/// The port that applications connect to.
pub(crate) const PORT: u16 = 6033;
/// What the shipped layouts say.
pub(crate) const ADVERT: Duration = Duration::from_millis(100);

/// The article's account at an address.
pub(crate) fn account(vip: IpAddr) -> Account {
    let any = std::net::Ipv4Addr::UNSPECIFIED;
    Account { address: (vip, PORT).into(), ..crate::client::probe::account(any, PORT) }
}

/// The network of the drills, its database, and ports for guests. It outlives the guests.
#[derive(Debug)]
pub(crate) struct Site {
    pub network: Network,
    taps: Vec<String>,
    _database: Database,
}

impl Site {
    pub(crate) fn build() -> Result<Self> {
        let network = Network::build(&net::database_hosts()[..1])?;
        network.add_address(net::CLIENT, "fd77::100/64")?;
        let database = Database::start(&network, &teardown::directory().join("db"))?;
        let taps: Result<Vec<String>> =
            net::proxy_hosts().iter().map(|host| network.tap(&host.name)).collect();
        Ok(Self { network, taps: taps?, _database: database })
    }

    pub(crate) fn client(&self) -> Result<Netns> {
        self.network.namespace(net::CLIENT)
    }

    /// The first guest's port, for the one guest that is there before the three.
    pub(crate) fn first_tap(&self) -> &str {
        &self.taps[0]
    }
}

/// The three guests.
#[derive(Debug)]
pub(crate) struct Trio {
    pub hosts: Vec<Machine>,
    pub taps: Vec<String>,
    /// Hosts that a drill has taken away from the others: nobody asks them what they carry.
    pub absent: Vec<bool>,
}

impl Trio {
    /// Off, each with a fresh copy of a disk.
    pub(crate) fn off(site: &Site, image: &Image, disk: &Path) -> Result<Self> {
        let mut hosts = Vec::new();
        for (host, tap) in net::proxy_hosts().iter().zip(&site.taps) {
            let last = host.address.octets()[3];
            let identity = Identity {
                name: host.name.clone(),
                mac: format!("52:54:00:5f:00:{last:02x}"),
                addresses: vec![format!("{}/24", host.address), format!("fd77::{last}/64")],
            };
            let place = teardown::directory().join(&host.name);
            site.network.attach(tap, true)?;
            site.network.isolate(tap, false)?;
            hosts.push(Machine::new(identity, site.network.switch(), tap, image, disk, &place)?);
        }
        Ok(Self { absent: vec![false; hosts.len()], hosts, taps: site.taps.clone() })
    }

    /// Booted from the bare image, all at once; the package lies in `/root/old.deb`.
    pub(crate) fn boot(site: &Site, image: &Image, package: &Path) -> Result<Self> {
        let mut trio = Self::off(site, image, &image.disk())?;
        for host in &mut trio.hosts {
            host.put_offline(package, "/root/old.deb")?;
            host.power_on()?;
        }
        trio.hosts.iter().try_for_each(Machine::wait_until_up)?;
        Ok(trio)
    }

    /// Woken from the saved state, each with its own name, address and time.
    pub(crate) fn wake(site: &Site, pristine: &Pristine) -> Result<Self> {
        let mut trio = Self::off(site, &pristine.image, &pristine.disk())?;
        for host in &mut trio.hosts {
            host.power_on_from(&pristine.state())?;
        }
        for host in &trio.hosts {
            host.resume()?;
        }
        trio.everywhere(|host| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            let identity = &host.identity;
            format!(
                "date -s @{:.3} >/dev/null && /usr/local/sbin/lab-net {} {} {}",
                now.as_secs_f64(),
                identity.name,
                identity.mac,
                identity.addresses.join(" ")
            )
        })?;
        Ok(trio)
    }

    /// Configures all with a layout, and starts the product.
    pub(crate) fn apply(&self, product: Product, layout: Layout) -> Result<()> {
        self.everywhere(|host| product.set_up(layout, &host.identity)).map(drop)
    }

    /// For how long each host's emulator has waited for a processor of this machine, in its life.
    pub(crate) fn starved(&self) -> Vec<Duration> {
        self.hosts.iter().map(Machine::starved).collect()
    }

    /// The same script on all hosts at once.
    pub(crate) fn everywhere(&self, script: impl Fn(&Machine) -> String) -> Result<Vec<String>> {
        let mut jobs = Vec::new();
        for host in &self.hosts {
            let script = script(host);
            jobs.push((host, host.begin(&script)?, script));
        }
        jobs.into_iter()
            .map(|(host, job, script)| {
                let said = job.wait(SCRIPT).with_context(|| format!("{}: {script}", host.name()))?;
                machine::finished(host.name(), &script, said)
            })
            .collect()
    }

    /// For each VIP the hosts that carry it, by their own word. Hosts that are off or do not answer carry nothing.
    pub(crate) fn owners(&self, vips: &[IpAddr]) -> Vec<Vec<usize>> {
        let ask = |host: &Machine| host.begin("ip -o address show dev eth0").ok();
        let present = self.hosts.iter().zip(&self.absent);
        let jobs: Vec<_> = present.map(|(host, absent)| if *absent { None } else { ask(host) }).collect();
        let said: Vec<String> = jobs
            .into_iter()
            .map(|job| job.and_then(|job| job.wait(Duration::from_secs(10)).ok()))
            .map(|said| said.map(|said| said.text).unwrap_or_default())
            .collect();
        let carries = |text: &str, vip: &IpAddr| text.contains(&format!(" {vip}/"));
        vips.iter().map(|vip| (0..said.len()).filter(|host| carries(&said[*host], vip)).collect()).collect()
    }

    /// Waits until each VIP has exactly one owner, twice in a row; the owners.
    pub(crate) fn settled(&self, vips: &[IpAddr], limit: Duration) -> Result<Vec<usize>> {
        let start = Instant::now();
        let mut before: Option<Vec<usize>> = None;
        loop {
            let owners = self.owners(vips);
            let single: Option<Vec<usize>> = owners
                .iter()
                .map(|list| <[usize; 1]>::try_from(list.as_slice()).ok().map(|[one]| one))
                .collect();
            if single.is_some() && single == before {
                return Ok(single.unwrap_or_default());
            }
            before = single;
            ensure!(start.elapsed() < limit, "no single owner of each VIP: {}", self.describe(vips, &owners));
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn describe(&self, vips: &[IpAddr], owners: &[Vec<usize>]) -> String {
        let names =
            |list: &Vec<usize>| -> Vec<&str> { list.iter().map(|host| self.hosts[*host].name()).collect() };
        let each: Vec<String> =
            vips.iter().zip(owners).map(|(vip, list)| format!("{vip} on {:?}", names(list))).collect();
        each.join(", ")
    }

    /// What each host's units logged since a moment, for a reader.
    pub(crate) fn logs(&self, since: std::time::SystemTime) -> Vec<(String, String)> {
        let since = since.duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
        let script = format!(
            "journalctl --no-pager -o short-precise --no-hostname --since=@{since} -n 60 \
             -u standfast-angel -u standfast-vrrpd -u keepalived 2>&1"
        );
        let present = self.hosts.iter().zip(&self.absent).filter(|(_, absent)| !**absent);
        let jobs: Vec<_> = present.map(|(host, _)| (host.name(), host.begin(&script).ok())).collect();
        jobs.into_iter()
            .map(|(name, job)| {
                let said = job.and_then(|job| job.wait(SCRIPT).ok());
                (name.to_owned(), said.map_or_else(|| "is off".into(), |said| said.text))
            })
            .collect()
    }

    /// Waits until a host's script succeeds.
    pub(crate) fn wait_for(&self, host: usize, what: &str, limit: Duration, script: &str) -> Result<()> {
        let what = format!("{} on {}", what, self.hosts[host].name());
        wait::until(&what, limit, || {
            std::thread::sleep(Duration::from_millis(50));
            self.hosts[host].ask(script).is_ok_and(|said| said.status == 0)
        })
        .map(drop)
    }
}
