//! Who carries which virtual address, sampled every 5 ms from inside each host's namespace.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Result;
use nix::ifaddrs::getifaddrs;

use crate::lab::host::Host;
use crate::lab::net::Network;
use crate::lab::netns::Netns;

const EVERY: Duration = Duration::from_millis(5);

/// The IPv4 addresses inside a namespace; empty if it is gone. Asks on a thread of its own: entering a namespace is for good.
pub(crate) fn addresses(netns: &Netns) -> BTreeSet<Ipv4Addr> {
    let netns = netns.clone();
    let asked = std::thread::spawn(move || netns.enter().map(|()| own_addresses()));
    asked.join().ok().and_then(Result::ok).unwrap_or_default()
}

/// Whether something listens on a TCP port of a machine.
pub(crate) fn listens_on(network: &Network, machine: &str, port: u16) -> bool {
    let Ok(netns) = network.namespace(machine) else { return false };
    std::thread::spawn(move || {
        netns.enter().ok()?;
        let table = std::fs::read_to_string("/proc/thread-self/net/tcp").ok()?;
        let listening = |line: &str| {
            let mut fields = line.split_whitespace().skip(1);
            let local = fields.next()?.rsplit_once(':')?.1.to_owned();
            Some(u16::from_str_radix(&local, 16).ok()? == port && fields.nth(1)? == "0A")
        };
        Some(table.lines().skip(1).any(|line| listening(line) == Some(true)))
    })
    .join()
    .ok()
    .flatten()
    .unwrap_or(false)
}

fn own_addresses() -> BTreeSet<Ipv4Addr> {
    let Ok(interfaces) = getifaddrs() else { return BTreeSet::new() };
    interfaces.filter_map(|i| Some(i.address?.as_sockaddr_in()?.ip())).collect()
}

/// At one moment: which hosts (by index) carry each VIP, and are on the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holding {
    pub at: Instant,
    /// For each VIP in the order of the layout.
    pub hosts: Vec<Vec<usize>>,
}

/// Watches hosts in the background until it is dropped.
#[derive(Debug)]
pub(crate) struct Holders {
    seen: Arc<Mutex<Vec<Holding>>>,
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Watched {
    netns: Netns,
    connected: Arc<AtomicBool>,
}

impl Holders {
    pub(crate) fn watch(hosts: &[Host], vips: Vec<Ipv4Addr>) -> Result<Self> {
        let hosts: Vec<Watched> =
            hosts.iter().map(|h| Watched { netns: h.netns.clone(), connected: h.connected() }).collect();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (stop, stopped) = mpsc::channel();
        let list = Arc::clone(&seen);
        let thread = std::thread::Builder::new().name("holders".into()).spawn(move || {
            while let Err(mpsc::RecvTimeoutError::Timeout) = stopped.recv_timeout(EVERY) {
                let holding = sample(&hosts, &vips);
                list.lock().unwrap_or_else(PoisonError::into_inner).push(holding);
            }
        })?;
        Ok(Self { seen, stop: Some(stop), thread: Some(thread) })
    }

    /// What was seen since, oldest first.
    pub(crate) fn since(&self, start: Instant) -> Vec<Holding> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen[seen.partition_point(|h| h.at < start)..].to_vec()
    }

    /// The live hosts that carried a VIP (by its place in the layout) in the latest sample.
    pub(crate) fn now(&self, vip: usize) -> Vec<usize> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.last().and_then(|h| h.hosts.get(vip)).cloned().unwrap_or_default()
    }
}

impl Drop for Holders {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A watcher that panicked has nothing more to tell.
            let _ = thread.join();
        }
    }
}

fn sample(hosts: &[Watched], vips: &[Ipv4Addr]) -> Holding {
    let mut holding = Holding { at: Instant::now(), hosts: vec![Vec::new(); vips.len()] };
    for (index, host) in hosts.iter().enumerate() {
        let addresses = addresses_if_live(host);
        for (vip, list) in vips.iter().zip(&mut holding.hosts) {
            if addresses.contains(vip) {
                list.push(index);
            }
        }
    }
    for (vip, list) in vips.iter().zip(&mut holding.hosts) {
        together(list, |host| hosts.get(host).is_some_and(|it| addresses_if_live(it).contains(vip)));
    }
    holding
}

/// What a host has that is on the network.
fn addresses_if_live(host: &Watched) -> BTreeSet<Ipv4Addr> {
    if !host.connected.load(Ordering::Relaxed) || host.netns.enter().is_err() {
        return BTreeSet::new();
    }
    let addresses = own_addresses();
    // It may have lost its power while being asked.
    if host.connected.load(Ordering::Relaxed) { addresses } else { BTreeSet::new() }
}

/// Hosts are asked one after the other, and the VIP may move meanwhile, the more so when whoever asks has to wait for a processor.
/// So of several that seemed to have it only those count that still have it after the last one was seen with it. What is over by then is
/// not seen, like what is over between two looks.
fn together(seen: &mut Vec<usize>, mut still: impl FnMut(usize) -> bool) {
    if let Some(last) = seen.pop() {
        seen.retain(|host| still(*host));
        seen.push(last);
    }
}

/// For how long more than one live host carried the same VIP.
pub(crate) fn two_masters(seen: &[Holding]) -> Duration {
    let doubled = |h: &Holding| h.hosts.iter().any(|list| list.len() > 1);
    seen.windows(2).filter(|pair| doubled(&pair[0])).map(|pair| pair[1].at - pair[0].at).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_masters_are_counted_from_sample_to_sample() {
        let start = Instant::now();
        let at = |ms, hosts: &[usize]| Holding {
            at: start + Duration::from_millis(ms),
            hosts: vec![hosts.to_vec()],
        };
        let seen = [at(0, &[0]), at(5, &[0, 1]), at(11, &[0, 1]), at(15, &[1])];
        assert_eq!(two_masters(&seen), Duration::from_millis(10));
        assert_eq!(two_masters(&seen[..1]), Duration::ZERO);
    }

    #[test]
    fn a_vip_that_moved_while_the_hosts_were_asked_was_not_with_two() {
        let of = |seen: &[usize], still: &[usize]| {
            let mut seen = seen.to_vec();
            together(&mut seen, |host| still.contains(&host));
            seen
        };
        assert!(of(&[], &[0]).is_empty());
        assert_eq!(of(&[0], &[]), [0], "one is never asked again");
        assert_eq!(of(&[0, 1], &[1]), [1], "it moved");
        assert_eq!(of(&[0, 1], &[0, 1]), [0, 1], "two masters");
        assert_eq!(of(&[0, 1, 2], &[1]), [1, 2]);
    }
}
