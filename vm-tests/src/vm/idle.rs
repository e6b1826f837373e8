//! A hundred thousand clients that only stay: what one costs the proxy in memory, all of them in processor time, and one active
//! client among them in latency. In a guest, because a container's limit of open files is often below that.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::image::{Image, Packages};
use super::machine::{Identity, Machine};
use super::product::EMULATED;
use super::stage::LIMIT;
use super::trio::{PORT, Site};
use crate::client::crowd::Crowd;
use crate::client::probe;
use crate::lab::netns::Netns;
use crate::lab::{net, teardown, wait};
use crate::mysql::Client;
use crate::mysql::client::Account;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How many clients stay
    #[arg(long, default_value_t = 100_000)]
    clients: usize,
    /// For how many seconds they are watched
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

/// Sockets of a hundred thousand connections take the kernel half a gigabyte.
const MEMORY_MIB: u32 = 3072;
/// One process of clients holds so many.
const IN_ONE: usize = 15_000;
/// One address of the guest can be reached from so many ports.
const BY_ONE_ADDRESS: usize = 45_000;
/// Of the active client.
const QUERIES: usize = 500;

pub(crate) fn run(image: &Image, packages: &Packages, options: &Options) -> Result<bool> {
    let site = Site::build()?;
    let addresses = options.clients.div_ceil(BY_ONE_ADDRESS);
    let guest = boot(&site, image, packages, addresses)?;
    let client = site.client()?;
    // The client's ports, all of them: a setting of its own namespace.
    within(&client, || {
        let path = "/proc/sys/net/ipv4/ip_local_port_range";
        std::fs::write(path, "1024 65535").context(path)
    })?;
    let first = account(0)?;
    active(&client, &first)?;
    let (before, alone) = (private_bytes(&guest)?, active(&client, &first)?);
    println!("one client alone: {alone:.2} ms a query (median)");

    let began = Instant::now();
    let mut crowd = Crowd::default();
    let mut left = options.clients;
    for number in 0.. {
        let count = left.min(IN_ONE);
        if count == 0 {
            break;
        }
        crowd.add(&client, &account(number % addresses)?, count)?;
        left -= count;
    }
    crowd.wait()?;
    println!("{} clients logged in after {:.0} s", options.clients, began.elapsed().as_secs_f64());

    let after = settled_bytes(&guest)?;
    let used = processor(&guest)?;
    let watched = Instant::now();
    std::thread::sleep(Duration::from_secs(options.seconds));
    let idle = (processor(&guest)? - used) / watched.elapsed().as_secs_f64();
    let each = after.saturating_sub(before) as f64 / options.clients as f64;
    println!("memory of proxyd a client: {each:.0} bytes ({before} before, {after} with all)");
    println!("proxyd while all are idle: {:.2} % of the guest's processor", idle * 100.0);
    println!("one active client among them: {:.2} ms a query (median)", active(&client, &first)?);
    println!("{}", guest.run("ss -s | head -2; free -m | head -2")?);
    Ok(true)
}

/// One guest with enough memory, its package installed and its proxy up.
fn boot(site: &Site, image: &Image, packages: &Packages, addresses: usize) -> Result<Machine> {
    let host = net::proxy_hosts().into_iter().next().context("no host")?;
    let own = vec![format!("{}/24", address(0).ip())];
    let identity = Identity { name: host.name.clone(), mac: "52:54:00:5f:00:0b".into(), addresses: own };
    let place = teardown::directory().join(&host.name);
    let mut guest =
        Machine::new(identity, site.network.switch(), site.first_tap(), image, &image.disk(), &place)?
            .with_memory(MEMORY_MIB);
    guest.put_offline(&packages.old, "/root/old.deb")?;
    guest.power_on()?;
    guest.wait_until_up()?;
    for number in 1..addresses {
        guest.run(&format!("ip address add {}/24 dev eth0", address(number).ip()))?;
    }
    guest.run("DEBIAN_FRONTEND=noninteractive apt-get install -y -q /root/old.deb")?;
    guest.run(&format!(
        "set -e\n\
         sed '/^transaction_persistent/a max_connections = 1000000' /usr/share/doc/standfast/examples/single-vip/standfast.toml \
             >/etc/standfast/standfast.toml\n\
         printf '{EMULATED}\\n[mysql_variables]\\nmax_connections = 1000000\\n' >>/etc/standfast/standfast.toml\n\
         chown root:standfast /etc/standfast/standfast.toml && chmod 640 /etc/standfast/standfast.toml\n\
         standfast check /etc/standfast/standfast.toml\n\
         systemctl start standfast-angel || {{ journalctl --no-pager -n 30 -u standfast-angel; exit 1; }}"
    ))?;
    Ok(guest)
}

/// The guest's own address, and more of them for more ports: none that another host has.
fn address(number: usize) -> SocketAddr {
    let [a, b, c, d] = net::proxy_hosts().first().map_or([127, 0, 0, 1], |host| host.address.octets());
    let last = match u8::try_from(number) {
        Ok(0) => d,
        other => d.saturating_add(100).saturating_add(other.unwrap_or(u8::MAX)),
    };
    ([a, b, c, last], PORT).into()
}

fn account(number: usize) -> Result<Account> {
    let SocketAddr::V4(address) = address(number) else { anyhow::bail!("an address of IPv4") };
    Ok(probe::account(*address.ip(), PORT))
}

/// Runs on a thread inside a namespace.
fn within<T: Send>(netns: &Netns, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| netns.enter().and_then(|()| work()));
        thread.join().map_err(|_| anyhow::anyhow!("a thread inside {} panicked", netns.name))?
    })
}

/// The median time of a query on a connection that stays, in milliseconds.
fn active(client: &Netns, account: &Account) -> Result<f64> {
    within(client, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut connected = Err(anyhow::anyhow!("not tried"));
            let start = Instant::now();
            while connected.is_err() && start.elapsed() < LIMIT {
                connected = Client::connect(account).await.map_err(|failure| anyhow::anyhow!("{failure}"));
            }
            let mut connection = connected?;
            let mut times = Vec::with_capacity(QUERIES);
            for _ in 0..QUERIES {
                let asked = Instant::now();
                connection.query("SELECT 1").await.map_err(|failure| anyhow::anyhow!("{failure}"))?;
                times.push(asked.elapsed());
            }
            times.sort();
            Ok(times[QUERIES / 2].as_secs_f64() * 1000.0)
        })
    })
}

/// Private memory of the guest's proxy once two looks agree: what the logins left to be done is done.
fn settled_bytes(guest: &Machine) -> Result<u64> {
    let mut last = private_bytes(guest)?;
    wait::until("proxyd at rest", LIMIT, || {
        std::thread::sleep(Duration::from_secs(3));
        let now = private_bytes(guest).unwrap_or_default();
        std::mem::replace(&mut last, now).abs_diff(now) < 64 * 1024
    })?;
    Ok(last)
}

fn private_bytes(guest: &Machine) -> Result<u64> {
    let script =
        "awk '/^Private_/ { kb += $2 } END { print kb }' /proc/$(pidof standfast-proxyd)/smaps_rollup";
    let kilobytes: u64 = guest.run(script)?.trim().parse().context("smaps_rollup")?;
    ensure!(kilobytes > 0, "proxyd has no memory");
    Ok(kilobytes * 1024)
}

/// Seconds on the guest's processor, by all of the proxy's threads.
fn processor(guest: &Machine) -> Result<f64> {
    let script = "cat /proc/$(pidof standfast-proxyd)/task/*/schedstat | awk '{ ns += $1 } END { printf \"%.0f\", ns }'";
    let nanoseconds: f64 = guest.run(script)?.trim().parse().context("schedstat")?;
    Ok(nanoseconds / 1e9)
}
