//! What a host runs out of: the right time, disk, memory.

use anyhow::Result;

use super::processes;
use crate::vm::stage::{Expect, Stage};
use crate::vm::trio::Site;

const STAYS: Expect = Expect { stays: true, moves: false, nobody_notices: false, nobody_refused: true };
const UNNOTICED: Expect = Expect { stays: true, moves: false, nobody_notices: true, nobody_refused: true };

/// An hour forward, two hours back, and right again.
pub(super) fn clock_jump(stage: &mut Stage, _: &Site) -> Result<()> {
    stage
        .measure("clock jumps", UNNOTICED, |trio, owner| {
            let host = &trio.hosts[owner];
            for step in ["+ 3600", "- 7200", "+ 3600"] {
                host.run(&format!("date -s @$(($(date +%s) {step})); sleep 1"))?;
            }
            Ok(())
        })
        .map(drop)
}

/// No byte is left; then the proxy, the angel and vrrpd have to start again.
pub(super) fn disk_full(stage: &mut Stage, _: &Site) -> Result<()> {
    let host = stage.measure("disk full", UNNOTICED, |trio, owner| {
        let fill = "fallocate -l $(($(df --output=avail -k / | tail -1) - 64))k /fill; cat /dev/zero >/more 2>/dev/null; df / | tail -1";
        trio.hosts[owner].run(fill).map(drop)
    })?;
    stage.measure("disk full: proxy-kill", STAYS, |trio, owner| {
        processes::signal_proxy(&trio.hosts[owner], "KILL")
    })?;
    stage.measure("disk full: angel-kill", STAYS, |trio, owner| {
        processes::kill_main(&trio.hosts[owner], "standfast-angel")
    })?;
    stage.measure("disk full: vrrpd-kill", Expect::default(), |trio, owner| {
        processes::kill_main(&trio.hosts[owner], "standfast-vrrpd")
    })?;
    stage
        .measure("disk has room again", UNNOTICED, |trio, _| {
            trio.hosts[host].run("rm -f /fill /more").map(drop)
        })
        .map(drop)
}

/// A program that takes all the memory there is: the kernel has to kill something, and it must not be one of ours.
pub(super) fn out_of_memory(stage: &mut Stage, _: &Site) -> Result<()> {
    stage
        .measure("out of memory", STAYS, |trio, owner| {
            let host = &trio.hosts[owner];
            // One buffer that is larger than the machine, filled by one system call.
            let eater = "echo 1 >/proc/sys/vm/overcommit_memory; sh -c 'echo 0 >/proc/self/oom_score_adj; exec dd if=/dev/zero of=/dev/null bs=1G count=1'; echo ended with $?";
            let said = host.run(eater)?;
            anyhow::ensure!(said.ends_with("137"), "the memory eater: {said}");
            Ok(())
        })
        .map(drop)
}
