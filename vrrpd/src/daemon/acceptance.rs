//! VIPs that this host announces and takes no packets for (`accept = false`): rules of nftables, which are there before such an
//! address is and until after it.
//!
//! Where the kernel will not have them the VIP is served all the same, and that is said: to be unreachable is the greater harm.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vrrpd::nft::in_force;

use crate::log::log;
use crate::net::{Nft, Poller, RuleMonitor};

/// A kernel without nftables may get it.
const AGAIN: Duration = Duration::from_secs(10);
/// Rules are put back no more often: somebody else may want them otherwise just as firmly.
const PACE: Duration = Duration::from_millis(100);
/// In RUN_DIR while there may be rules of ours, so that a vrrpd that needs none looks for none.
const MARK: &str = "vrrpd.nft";

#[derive(Default)]
pub(crate) struct Acceptance {
    refused: Vec<IpAddr>,
    monitor: Option<RuleMonitor>,
    error: Option<String>,
    again_at: Option<Instant>,
    /// When they were written last.
    written_at: Option<Instant>,
}

/// The addresses that are not the host's own, of routers that take nothing for them.
fn wanted(appliance: &configs::Appliance) -> Vec<IpAddr> {
    let refusing = appliance.routers.iter().filter(|it| !it.accept);
    let addresses = refusing.flat_map(|it| &it.vips).map(|vip| vip.address);
    addresses.filter(|address| *address != appliance.host.address).collect()
}

impl Acceptance {
    /// Brings the rules to what the configuration wants.
    pub(super) fn adopt(&mut self, now: Instant, appliance: &configs::Appliance) {
        let run_dir = &appliance.paths.run_dir;
        self.refused = wanted(appliance);
        if self.refused.is_empty() {
            (self.monitor, self.error, self.again_at) = (None, None, None);
            return remove(run_dir);
        }
        self.monitor = self.monitor.take().or_else(|| RuleMonitor::open().ok());
        let done = fs::write(run_dir.join(MARK), "").and_then(|()| self.write(now));
        self.note(now, done);
    }

    fn write(&mut self, now: Instant) -> io::Result<()> {
        self.written_at = Some(now);
        Nft::open()?.refuse(&self.refused)
    }

    /// Somebody may have taken the rules away or changed them, or they could not be made yet.
    pub(super) fn settle(&mut self, now: Instant, poller: &Poller) {
        let heard = self.monitor.as_ref().filter(|it| poller.is_ready(it.fd())).map(RuleMonitor::drain);
        if heard.is_none() && self.again_at.is_none_or(|at| now < at) {
            return;
        }
        let lost = match Nft::open().and_then(Nft::rules) {
            Ok(found) if in_force(&self.refused, &found) => return self.note(now, Ok(())),
            Ok(_) => self.error.is_none(),
            Err(_) => false,
        };
        if let Some(at) = self.written_at.map(|at| at + PACE).filter(|at| now < *at) {
            self.again_at = Some(at);
            return;
        }
        if lost {
            log!("warn", "rules-lost", "table=standfast");
        }
        let done = self.write(now);
        self.note(now, done);
    }

    fn note(&mut self, now: Instant, done: io::Result<()>) {
        let error = done.err().map(|error| match error.raw_os_error() {
            Some(libc::EOPNOTSUPP | libc::EPROTONOSUPPORT | libc::EINVAL) => {
                "this kernel has no nftables (module nf_tables): packets to the VIP are taken".to_owned()
            }
            _ => error.to_string(),
        });
        if let Some(text) = error.as_ref().filter(|it| self.error.as_ref() != Some(it)) {
            log!("error", "not-refused", "error=\"{text}\"");
        }
        // Without a monitor nobody tells that the rules have gone: they are looked at now and then.
        let look_again = error.is_some() || self.monitor.is_none();
        self.again_at = look_again.then(|| now + AGAIN);
        self.error = error;
    }

    pub(super) fn fd(&self) -> Option<i32> {
        self.monitor.as_ref().map(RuleMonitor::fd)
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.again_at
    }

    /// Whose packets are not taken.
    pub(super) fn to_json(&self) -> Value {
        let refused: Vec<_> = self.refused.iter().map(IpAddr::to_string).collect();
        json!({ "refused": refused, "error": self.error })
    }
}

/// The rules of a vrrpd that is gone, if it had any.
pub(crate) fn remove(run_dir: &Path) {
    let mark = run_dir.join(MARK);
    if !mark.exists() {
        return;
    }
    let removed = Nft::open().and_then(|nft| nft.refuse(&[])).and_then(|()| fs::remove_file(mark));
    removed.unwrap_or_else(|error| log!("warn", "rules-not-removed", "error=\"{error}\""));
}
