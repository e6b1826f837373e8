//! The drills: one claim a file, each measured by a client that knows nothing of the cause.
//!
//! A drill names the event, does it, and waits for the condition that ends it; [`stage`] does the measuring.

pub(crate) mod angel_kill;
pub(crate) mod cascade;
pub(crate) mod host_off;
pub(crate) mod host_on;
pub(crate) mod package_stop;
pub(crate) mod proxyd_hang;
pub(crate) mod proxyd_kill;
pub(crate) mod stage;
pub(crate) mod vrrpd_kill;

use anyhow::Result;
use stage::Stage;

/// One round of everything. The order spares the crash-loop rule (two crashes inside 30 s move the VIP): each host's proxy is
/// killed or hung once, and its angel is started anew by a later drill before it is that host's turn again.
pub(crate) fn round(stage: &mut Stage) -> Result<()> {
    proxyd_kill::run(stage)?;
    angel_kill::run(stage)?;
    vrrpd_kill::run(stage)?;
    package_stop::run(stage)?;
    proxyd_hang::run(stage)?;
    host_off::run(stage)?;
    host_on::run(stage)?;
    cascade::run(stage)
}
