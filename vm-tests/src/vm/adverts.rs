//! Who advertised a virtual router, as the switch saw it: tcpdump's lines, turned into times of two masters. The reading is pure.
//!
//! The switch's clock is the only one that counts: the guests' own may be what a drill plays with.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

use crate::lab::child::Owned;
use crate::lab::net::Network;

/// One advert on its way into the switch.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Advert {
    pub at: Duration,
    /// The switch's port, which says whose it is.
    pub port: String,
    pub router: u8,
    pub priority: u8,
}

/// Watches until it is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    seen: Arc<Mutex<Vec<Advert>>>,
    _tcpdump: Owned,
}

impl Watch {
    pub(crate) fn start(network: &Network) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("exec-unit").arg(network.switch().path()).args(["--", "tcpdump"]);
        // IPv6 in a filter has no protocol behind extension headers; VRRP has none.
        command.args(["-i", "any", "-l", "-n", "-tt", "-Q", "in", "ip proto 112 or ip6 proto 112"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut tcpdump = command.spawn().context("start tcpdump")?;
        let lines = BufReader::new(tcpdump.stdout.take().context("tcpdump's output")?).lines();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&seen);
        std::thread::Builder::new().name("adverts".into()).spawn(move || {
            for advert in lines.map_while(|line| line.ok()).filter_map(|line| parse(&line)) {
                list.lock().unwrap_or_else(PoisonError::into_inner).push(advert);
            }
        })?;
        Ok(Self { seen, _tcpdump: Owned(tcpdump) })
    }

    /// What came since then.
    pub(crate) fn since(&self, start: SystemTime) -> Vec<Advert> {
        let start = start.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().filter(|advert| advert.at >= start).cloned().collect()
    }
}

/// `1700000000.1 p-test1 In IP 192.168.0.11 > 192.168.0.12: VRRPv3, Advertisement, vrid 51, prio 200, …`
fn parse(line: &str) -> Option<Advert> {
    let mut words = line.split_whitespace();
    let at = Duration::try_from_secs_f64(words.next()?.parse().ok()?).ok()?;
    let port = words.next()?.to_owned();
    let number = |key: &str| {
        let rest = line.split_once(key)?.1;
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..end].parse().ok()
    };
    if !line.contains("VRRP") || !port.starts_with("p-") {
        return None;
    }
    Some(Advert { at, port, router: number("vrid ")?, priority: number("prio ")? })
}

/// A time in which one port advertised one router.
struct Reign {
    begin: Duration,
    last: Duration,
    resigned: bool,
}

/// For how long two ports advertised the same router. A port does so from an advert to its next one, unless that is more than an
/// interval and a half later, or the first of the two resigns with priority 0.
pub(crate) fn two_masters(adverts: &[Advert], interval: Duration) -> Duration {
    let mut routers: BTreeMap<u8, BTreeMap<&str, Vec<Reign>>> = BTreeMap::new();
    for advert in adverts {
        let reigns = routers.entry(advert.router).or_default().entry(&advert.port).or_default();
        let resigned = advert.priority == 0;
        match reigns.last_mut() {
            Some(reign) if !reign.resigned && advert.at <= reign.last + interval + interval / 2 => {
                (reign.last, reign.resigned) = (advert.at, resigned);
            }
            _ if resigned => {}
            _ => reigns.push(Reign { begin: advert.at, last: advert.at, resigned }),
        }
    }
    let spans = |ports: &BTreeMap<&str, Vec<Reign>>| -> Vec<(Duration, Duration)> {
        ports.values().flatten().map(|reign| (reign.begin, reign.last)).collect()
    };
    routers.values().map(|ports| overlap(&spans(ports))).sum()
}

/// The time that lies in two or more of these spans.
fn overlap(spans: &[(Duration, Duration)]) -> Duration {
    let mut edges: Vec<(Duration, i32)> =
        spans.iter().flat_map(|(begin, end)| [(*begin, 1), (*end, -1)]).collect();
    edges.sort_unstable();
    let (mut depth, mut total, mut last) = (0, Duration::ZERO, Duration::ZERO);
    for (at, step) in edges {
        if depth > 1 {
            total += at - last;
        }
        depth += step;
        last = at;
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(100);

    fn advert(ms: u64, port: &str, priority: u8) -> Advert {
        Advert { at: Duration::from_millis(ms), port: port.into(), router: 51, priority }
    }

    #[test]
    fn a_line_of_tcpdump_is_an_advert() {
        let line = "1700000000.250000 p-test1 In  IP 192.168.0.11 > 192.168.0.12: VRRPv3, Advertisement, vrid 51, prio 200, intvl 10cs, length 12";
        let advert = parse(line).expect("advert");
        assert_eq!((advert.port.as_str(), advert.router, advert.priority), ("p-test1", 51, 200));
        assert_eq!(advert.at, Duration::from_millis(1_700_000_000_250));
        assert_eq!(parse("1.0 p-test1 In IP6 fd77::1 > ff02::12: ICMP6"), None);
    }

    #[test]
    fn a_hand_over_has_no_two_masters_and_a_split_has() {
        let one = [advert(0, "a", 200), advert(100, "a", 200), advert(130, "a", 0), advert(180, "b", 150)];
        assert_eq!(two_masters(&one, INTERVAL), Duration::ZERO);
        let died = [advert(0, "a", 200), advert(100, "a", 200), advert(400, "b", 150), advert(500, "b", 150)];
        assert_eq!(two_masters(&died, INTERVAL), Duration::ZERO);
        let split = [0, 100, 200, 300].map(|ms| [advert(ms, "a", 200), advert(ms + 50, "b", 150)]).concat();
        assert_eq!(two_masters(&split, INTERVAL), Duration::from_millis(250));
    }
}
