//! `standfast drill` and `standfast move` as an operator gives them on the owner of the VIP.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::runner::Runner;
use super::shell::{self, Output};
use crate::drills::stage::{LIMIT, Stage};
use crate::lab::cluster::BackendKind;
use crate::lab::layout::{Layout, Numbers, Template};
use crate::lab::{teardown, wait};

pub(crate) fn run(runner: &mut Runner) -> Result<()> {
    let template = Template::new(Layout::SingleVip, Numbers::Standfast, &runner.configs);
    let mut stage = runner.stage(template, BackendKind::Sqlite)?;
    let binary = runner.binaries.join("standfast");
    runner.check("drill/move to the next in line and back to whoever asks", || moves(&stage, &binary));
    runner.check("drill/kill-angel and kill-vrrpd are measured and reported", || measured(&stage, &binary));
    runner.check("drill/refused when nobody could take over", || refused(&mut stage, &binary));
    Ok(())
}

/// The operator's command at the prompt of a host.
fn standfast(stage: &Stage, binary: &Path, host: usize, arguments: &str) -> Result<Output> {
    let host = stage.host(host);
    let script = format!("{} {arguments} --config {}", binary.display(), host.config().display());
    shell::bash(&host.netns, &teardown::directory().join("operator"), &script, LIMIT)
}

fn moves(stage: &Stage, binary: &Path) -> Result<()> {
    let vip = stage.vip();
    let owner = stage.holder(vip)?;
    let next = if owner == 0 { 1 } else { 0 };
    let name = |index: usize| stage.host(index).name.clone();
    let gone = standfast(stage, binary, owner, &format!("move {vip} {} --within 20", name(next)))?;
    ensure!(
        gone.success && gone.stdout.contains(&format!("is on {}", name(next))),
        "{} {}",
        gone.stdout,
        gone.stderr
    );
    ensure!(stage.holder(vip)? == next, "it is elsewhere");
    let back = standfast(stage, binary, owner, &format!("move {vip}"))?;
    ensure!(
        back.success && back.stdout.contains(&format!("is on {}", name(owner))),
        "{} {}",
        back.stdout,
        back.stderr
    );
    stage.cluster.wait_for_holder(vip, owner, LIMIT).map(drop)
}

fn measured(stage: &Stage, binary: &Path) -> Result<()> {
    let owner = stage.holder(stage.vip())?;
    let report = teardown::directory().join("report");
    let dry = standfast(stage, binary, owner, "drill kill-proxy")?;
    ensure!(dry.success && dry.stdout.contains("nothing was done"), "{} {}", dry.stdout, dry.stderr);
    let arguments = format!("drill kill-angel kill-vrrpd --yes --report {}", report.display());
    let done = standfast(stage, binary, owner, &arguments)?;
    ensure!(done.success, "{}\n{}", done.stdout, done.stderr);
    let text = std::fs::read_to_string(report.join("drill.json")).context("the report")?;
    let json: serde_json::Value = serde_json::from_str(&text)?;
    for (place, event) in ["kill-angel", "kill-vrrpd"].into_iter().enumerate() {
        let seen = &json["events"][place];
        ensure!(seen["event"] == event && seen["error"].is_null(), "{text}");
        ensure!(seen["outage_ms"].as_u64().is_some_and(|ms| ms < 10_000), "{text}");
    }
    ensure!(std::fs::read_to_string(report.join("drill.html"))?.contains("kill-vrrpd"), "the page");
    Ok(())
}

fn refused(stage: &mut Stage, binary: &Path) -> Result<()> {
    let owner = stage.holder(stage.vip())?;
    for host in (0..stage.cluster.hosts.len()).filter(|host| *host != owner) {
        stage.cluster.hosts[host].power_off()?;
    }
    wait::until("the others are off", LIMIT, || {
        (0..stage.cluster.hosts.len()).all(|host| host == owner || !stage.host(host).is_on())
    })?;
    let told = standfast(stage, binary, owner, "drill kill-proxy --yes")?;
    ensure!(
        !told.success && told.stderr.contains("nobody could take over"),
        "{} {}",
        told.stdout,
        told.stderr
    );
    Ok(())
}
