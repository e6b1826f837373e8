//! The article's chains, with its own numbers: down from host to host, and home again.

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;

use super::runner::Runner;
use crate::drills::stage::{LIMIT, Stage};
use crate::lab::cluster::BackendKind;
use crate::lab::layout::{Layout, Numbers, Template};
use crate::lab::wait;

pub(crate) fn run(runner: &mut Runner) -> Result<()> {
    let template = Template::new(Layout::SingleVip, Numbers::Article, &runner.configs);
    let mut stage = runner.stage(template, BackendKind::Sqlite)?;
    runner.check("chains/a killed proxy is back on test1 and the VIP stays", || kill_stays(&stage));
    runner.check("chains/test1, test2, test3 and home again", || down_and_home(&mut stage, 1));
    drop(stage);
    let template = Template::new(Layout::MultiVip, Numbers::Article, &runner.configs);
    let mut stage = runner.stage(template, BackendKind::Sqlite)?;
    runner.check("chains/three VIPs at home, all three on test3, and home again", || {
        down_and_home(&mut stage, 3)
    });
    Ok(())
}

fn kill_stays(stage: &Stage) -> Result<()> {
    let home = stage.cluster.index("test1")?;
    stage.cluster.wait_for_holder(stage.vip(), home, LIMIT)?;
    let old = stage.host(home).signal_proxyd(Signal::SIGKILL)?;
    wait::until("a new proxy on test1", LIMIT, || stage.host(home).proxyd().is_some_and(|p| p != old))?;
    stage.wait_for_calm()?;
    ensure!(stage.cluster.holder(stage.vip()) == Some(home), "the VIP left test1");
    Ok(())
}

/// Stops test1, then test2; every VIP must be on test3; starts them again, and each must go home.
fn down_and_home(stage: &mut Stage, vips: usize) -> Result<()> {
    ensure!(stage.cluster.vips().len() == vips, "the layout has {} VIPs", stage.cluster.vips().len());
    wait::until("every VIP at home", LIMIT, || stage.cluster.is_home())?;
    let last = stage.cluster.index("test3")?;
    for name in ["test1", "test2"] {
        let index = stage.cluster.index(name)?;
        ensure!(stage.cluster.hosts[index].stop(), "{name}: a unit had to be killed to stop");
        let vips = stage.cluster.vips();
        let moved = || vips.iter().all(|vip| stage.cluster.holder(*vip).is_some_and(|now| now != index));
        wait::until(&format!("every VIP off {name}"), LIMIT, moved)?;
    }
    for vip in stage.cluster.vips() {
        stage.cluster.wait_for_holder(vip, last, LIMIT)?;
    }
    stage.wait_for_calm()?;
    for name in ["test2", "test1"] {
        let index = stage.cluster.index(name)?;
        stage.cluster.hosts[index].start()?;
        stage.cluster.hosts[index].ready()?;
    }
    wait::until("every VIP at home again", LIMIT, || stage.cluster.is_home())?;
    stage.wait_for_calm()
}
