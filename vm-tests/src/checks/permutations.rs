//! The tie trap: two of three hosts have no live proxy, and whichever they are, and whoever has the highest address, the VIP
//! must be on the third. With the article's arithmetic a dead 101 ties with a healthy 99 + 2, and the address decided.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::runner::Runner;
use crate::drills::stage::{LIMIT, Stage};
use crate::lab::cluster::BackendKind;
use crate::lab::layout::{Layout, Numbers, Template};
use crate::lab::net::{self, Machine};

/// The VIP must not come back to a dead host after it has found the living one: watched for some adverts of a second.
const STAYS: Duration = Duration::from_secs(3);

pub(crate) fn run(runner: &mut Runner) -> Result<()> {
    for highest in 0..3 {
        let hosts = permuted(highest);
        let name = hosts[highest].name.clone();
        let template =
            Template::new(Layout::SingleVip, Numbers::Article, &runner.configs).with_addresses(&hosts);
        let mut stage = match runner.stage_of(template, BackendKind::Sqlite, hosts) {
            Ok(stage) => stage,
            Err(error) => {
                runner.failed(&format!("permutations/{name} highest: set-up"), &error);
                continue;
            }
        };
        for alive in 0..3 {
            let living = stage.host(alive).name.clone();
            let claim = format!("permutations/{name} has the highest address, only {living} has a proxy");
            runner.check(&claim, || only_one_alive(&mut stage, alive));
        }
    }
    Ok(())
}

/// The article's three addresses, dealt so that the host at this place has the highest.
fn permuted(highest: usize) -> Vec<Machine> {
    let hosts = net::proxy_hosts();
    let mut addresses: Vec<_> = hosts.iter().map(|h| h.address).collect();
    addresses.swap(highest, 2);
    hosts.into_iter().zip(addresses).map(|(host, address)| Machine { address, ..host }).collect()
}

/// Stops the other two angels; their vrrpds live on and must see that they may not have the VIP.
fn only_one_alive(stage: &mut Stage, alive: usize) -> Result<()> {
    let vip = stage.vip();
    for dead in (0..3).filter(|i| *i != alive) {
        stage.cluster.hosts[dead].stop_angel();
    }
    let outcome = (|| {
        stage.cluster.wait_for_holder(vip, alive, LIMIT)?;
        stage.wait_for_calm()?;
        std::thread::sleep(STAYS);
        ensure!(stage.cluster.holder(vip) == Some(alive), "the VIP is on {}", stage.cluster.holder_name(vip));
        Ok(())
    })();
    for dead in (0..3).filter(|i| *i != alive) {
        stage.cluster.hosts[dead].start_angel()?;
    }
    stage.wait_for_calm()?;
    outcome
}
