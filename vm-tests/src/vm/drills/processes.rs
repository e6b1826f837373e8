//! What happens to the processes of one host: they die, hang, are replaced, are stopped.

use anyhow::Result;

use crate::vm::machine::Machine;
use crate::vm::product::Product;
use crate::vm::stage::{Expect, LIMIT, Stage};
use crate::vm::trio::Site;

/// Nothing that the VIP could notice, and nobody refused.
const IN_PLACE: Expect = Expect { stays: true, moves: false, nobody_notices: false, nobody_refused: true };

/// Kills or stops the proxy, and waits until another one is there.
pub(crate) fn signal_proxy(host: &Machine, signal: &str) -> Result<()> {
    host.run(&format!(
        "old=$(cat /run/standfast/proxyd.pid) && kill -{signal} $old\n\
         until new=$(cat /run/standfast/proxyd.pid) && [ \"$new\" != $old ]; do sleep 0.05; done"
    ))
    .map(drop)
}

pub(super) fn proxy_kill(stage: &mut Stage, _: &Site) -> Result<()> {
    stage.measure("proxy-kill", IN_PLACE, |trio, owner| signal_proxy(&trio.hosts[owner], "KILL")).map(drop)
}

pub(super) fn proxy_hang(stage: &mut Stage, _: &Site) -> Result<()> {
    stage.measure("proxy-hang", IN_PLACE, |trio, owner| signal_proxy(&trio.hosts[owner], "STOP")).map(drop)
}

/// Kills a unit's main process, and waits until another one is ready.
pub(super) fn kill_main(host: &Machine, unit: &str) -> Result<()> {
    host.run(&format!(
        "old=$(systemctl show -p MainPID --value {unit}) && kill -KILL $old\n\
         until new=$(systemctl show -p MainPID --value {unit}) && [ $new != $old ] && [ $new != 0 ] && \
         systemctl --quiet is-active {unit}; do sleep 0.1; done"
    ))
    .map(drop)
}

/// What speaks VRRP on the VIP's host. keepalived is several processes, and its unit has no `Restart=`.
pub(super) fn vrrpd_kill(stage: &mut Stage, _: &Site) -> Result<()> {
    let expect = Expect { nobody_refused: true, ..Expect::default() };
    let product = stage.product;
    stage
        .measure("vrrpd-kill", expect, |trio, owner| match product {
            Product::Standfast => kill_main(&trio.hosts[owner], product.vrrp_unit()),
            Product::Keepalived => trio.hosts[owner].run("kill -KILL $(pidof keepalived); sleep 1").map(drop),
        })
        .map(drop)
}

pub(super) fn angel_kill(stage: &mut Stage, _: &Site) -> Result<()> {
    stage
        .measure("angel-kill", IN_PLACE, |trio, owner| kill_main(&trio.hosts[owner], "standfast-angel"))
        .map(drop)
}

/// By the package manager, while clients come.
pub(super) fn upgrade(stage: &mut Stage, _: &Site) -> Result<()> {
    let expect = Expect { nobody_notices: true, ..Expect::default() };
    stage.measure("upgrade", expect, |trio, owner| {
        trio.hosts[owner].run("DEBIAN_FRONTEND=noninteractive apt-get install -y -q /root/new.deb")?;
        let serving = "systemctl --quiet is-active standfast-angel standfast-vrrpd && ! ls -l /proc/[0-9]*/exe 2>/dev/null | grep 'standfast.*(deleted)'";
        trio.wait_for(owner, "the new version", LIMIT, serving)
    })
    .map(drop)
}

pub(super) fn stop(stage: &mut Stage, _: &Site) -> Result<()> {
    let gone = Expect { moves: true, ..Expect::default() };
    let units = stage.product.units();
    let host = stage.measure("stop", gone, |trio, owner| {
        trio.hosts[owner].run(&format!("systemctl stop {units}")).map(drop)
    })?;
    stage
        .measure("start again", Expect::default(), |trio, _| {
            trio.hosts[host].run(&format!("systemctl start {units}")).map(drop)
        })
        .map(drop)
}
