//! A host whose appliance was stopped comes back cold while another serves its VIP: it takes the VIP home once its monitors have
//! seen the servers and its pools are filled, and no client meets an error of a server or of the proxy for it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::runner::Runner;
use super::shell;
use crate::drills::stage::{LIMIT, Stage};
use crate::lab::cluster::BackendKind;
use crate::lab::host::Host;
use crate::lab::layout::{Layout, Numbers, Template};
use crate::lab::{teardown, wait};

/// The hostgroups of the shipped layout: writers and readers.
const HOSTGROUPS: usize = 2;
/// So many answers are looked at after the VIP has come home.
const FIRST: usize = 20;

/// With servers that cost no start.
pub(crate) fn short(runner: &mut Runner) -> Result<()> {
    run(runner, "fail-back", BackendKind::Sqlite)
}

/// With three MariaDB nodes.
pub(crate) fn long(runner: &mut Runner) -> Result<()> {
    run(runner, "fail-backs", BackendKind::Mariadb)
}

fn run(runner: &mut Runner, group: &str, servers: BackendKind) -> Result<()> {
    let template = Template::new(Layout::SingleVip, Numbers::Standfast, &runner.configs)
        .with("vrrp.failback", "after 3s healthy")
        .with("admin_variables.admin_credentials", "admin:admin");
    let mut stage = runner.stage(template, servers)?;
    runner.check(&format!("{group}/a cold host fills its pools before it takes its VIP home"), || {
        comes_home(&mut stage)
    });
    Ok(())
}

fn comes_home(stage: &mut Stage) -> Result<()> {
    let vip = stage.vip();
    let home = stage.holder(vip)?;
    let remembered = stage.host(home).directory().join("data/remembered.json");
    wait::until("whom the proxy served to be noted", LIMIT, || {
        std::fs::read_to_string(&remembered).is_ok_and(|text| text.contains("load_RW"))
    })?;
    ensure!(stage.cluster.hosts[home].stop(), "{} did not stop by itself", stage.host(home).name);
    wait::until("another host with the VIP", LIMIT, || {
        stage.cluster.holder(vip).is_some_and(|host| host != home)
    })?;
    let start = Instant::now();
    let mut filled = false;
    let comes_up = |cluster: &mut crate::lab::cluster::Cluster| {
        cluster.hosts[home].start()?;
        cluster.hosts[home].ready()?;
        let (host, mut told) = (&cluster.hosts[home], Ok(0));
        wait::until("full pools, or the VIP", LIMIT, || {
            told = free_hostgroups(host);
            filled = matches!(told, Ok(HOSTGROUPS)) && cluster.holder(vip) != Some(home);
            filled || cluster.holder(vip) == Some(home)
        })
        .with_context(|| format!("hostgroups with connections: {told:?}"))
        .map(drop)
    };
    stage.measure("fail-back", vip, comes_up, |cluster| cluster.holder(vip) == Some(home))?;
    let moved = stage.holders_since(start).into_iter().find(|seen| seen.hosts.first() == Some(&vec![home]));
    let mut first = stage.first_answers(moved.context("it never came home")?.at, FIRST);
    first.sort_unstable();
    println!(
        "fail-back: of the first {} answers at home the median took {:?}, the slowest {:?}",
        first.len(),
        first.get(first.len() / 2).copied().unwrap_or_default(),
        first.last().copied().unwrap_or(Duration::ZERO)
    );
    ensure!(filled, "the VIP was home before the pools were full");
    let failures = stage.failures_since(start);
    let said: Vec<&String> = failures.by_text.keys().filter(|text| text.starts_with("error ")).collect();
    ensure!(said.is_empty(), "clients met {said:?}");
    ensure!(failures.refused == 0, "{} connections were refused", failures.refused);
    Ok(())
}

/// How many of the hostgroups have connections at rest on this host.
fn free_hostgroups(host: &Host) -> Result<usize> {
    let script = "mariadb --no-defaults -h127.0.0.1 -P6032 -uadmin -padmin -N -e \
                  'SELECT COUNT(DISTINCT hostgroup) FROM stats_mysql_connection_pool WHERE ConnFree > 0'";
    let output = shell::bash(&host.netns, &teardown::directory().join("operator"), script, LIMIT)?;
    ensure!(output.success, "{}", output.stderr.trim());
    output.stdout.trim().parse().context("a number")
}
