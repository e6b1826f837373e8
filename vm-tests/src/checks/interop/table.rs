//! The results as the page `docs/interop.md`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::Neighbours;
use super::cell::{Cell, Neighbour};
use super::play::Times;

const ABOUT: &str = "\
# vrrpd beside keepalived

One host runs `standfast-vrrpd`, the other keepalived, on a bridge of their own in network namespaces. Each row is an election,
a resignation (SIGTERM of the leader), its return, a split of the bridge in which both become master, and its healing; at every
step exactly the right one holds the VIP, and vrrpd drops no advert. Version 2 advertises every second, version 3 every 100 ms.
With a password that does not fit, right is that neither takes the other's word, and that vrrpd counts why.

*Leader* has priority 200, the other 150. *After resignation* and *after silence*: milliseconds until the other had the VIP, as
seen by a look every 15 ms from outside. By the RFC a resignation costs the other 414 ms (v2) or 41 ms (v3), silence 3414 or
341 ms, but vrrpd, first in line after the only master, takes over at once, and after silence of 3 1/10 adverts; without preemption it is the leader that takes over after silence, in 3219 or 322 ms. Silence is counted from the split,
up to one advert later than the RFC does.

keepalived 2.2 sends IPv6 unicast adverts with the kernel's hop limit of 64. VRRP demands 255 (an advert from beyond the link must
not count), vrrpd drops them and counts `ip_ttl_err`: such instances need `unicast_ttl 255` in keepalived.conf, as here.
";

pub(crate) fn render(results: &BTreeMap<Cell, Result<Times>>, neighbours: &Neighbours) -> Result<String> {
    let mut versions = Vec::new();
    for neighbour in [Neighbour::V2_2, Neighbour::V2_3] {
        if let Some((program, rest)) = neighbours.words(neighbour).split_first() {
            let told =
                Command::new(program).args(rest).arg("--version").output().context("run keepalived")?;
            versions
                .push(String::from_utf8_lossy(&told.stderr).lines().next().unwrap_or_default().to_owned());
        }
    }
    let version = versions.join("; ");
    let mut text = format!("{ABOUT}\n{version}. Written by `standfast-lab test interop`.\n\n");
    text += "| keepalived | VRRP | transport | password | leader | mode | after resignation | after silence | result |\n";
    text += "|---|---|---|---|---|---|---|---|---|\n";
    for (cell, result) in results {
        let (times, outcome) = match result {
            Ok(times) if cell.password.fits() => (*times, "agree"),
            Ok(times) => (*times, "refused, as it should be"),
            Err(_) => (Times::default(), "FAILED"),
        };
        let (resigned, silent) = (ms(times.after_resignation), ms(times.after_silence));
        let _ = writeln!(text, "| {} | {resigned} | {silent} | {outcome} |", cell.words().join(" | "));
    }
    Ok(text)
}

fn ms(time: Option<Duration>) -> String {
    time.map_or_else(|| "-".into(), |time| format!("{} ms", time.as_millis()))
}
