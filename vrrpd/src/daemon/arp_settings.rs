//! Two settings that vrrpd changes on an interface with a virtual MAC address above it or a balanced VIP beside it: it has no
//! part in the ARP of addresses that other interfaces of this host have.
//!
//! What they were is kept in RUN_DIR, for a vrrpd that dies, and put back when no router here needs the change any more;
//! each for itself, and only if it still is what vrrpd made of it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use configs::MacAddress;

use crate::log::log;
use crate::net::{ArpSettings, Interface, Rtnl};

use super::Daemon;
use super::kernel::Kernel;
use super::station::Station;

const FILE: &str = "vrrpd.arp";

/// Of each interface that was changed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Former(Vec<(String, ArpSettings)>);

impl Former {
    fn path(run_dir: &Path) -> PathBuf {
        run_dir.join(FILE)
    }

    fn read(run_dir: &Path) -> Former {
        Former::parse(&fs::read_to_string(Former::path(run_dir)).unwrap_or_default())
    }

    fn write(&self, run_dir: &Path) -> io::Result<()> {
        if self.0.is_empty() {
            return match fs::remove_file(Former::path(run_dir)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                done => done,
            };
        }
        fs::write(Former::path(run_dir), self.emit())
    }

    /// A line each: the interface, arp_ignore, arp_announce.
    fn parse(text: &str) -> Former {
        let line = |line: &str| {
            let mut words = line.split(' ');
            let name = words.next()?.to_owned();
            let (ignore, announce) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
            Some((name, ArpSettings { ignore, announce }))
        };
        Former(text.lines().filter_map(line).collect())
    }

    fn emit(&self) -> String {
        self.0.iter().map(|(name, was)| format!("{name} {} {}\n", was.ignore, was.announce)).collect()
    }
}

/// What to put back: nothing that somebody has changed since.
fn restored(now: ArpSettings, was: ArpSettings) -> ArpSettings {
    let one = |now, ours, was| if now == ours { was } else { now };
    let ours = ArpSettings::APART;
    ArpSettings {
        ignore: one(now.ignore, ours.ignore, was.ignore),
        announce: one(now.announce, ours.announce, was.announce),
    }
}

impl Kernel {
    pub(super) fn keep_arp_apart(&mut self, interface: &Interface) -> io::Result<()> {
        let now = self.rtnl.arp_settings(interface.index)?;
        if now == ArpSettings::APART {
            return Ok(());
        }
        let mut former = Former::read(&self.run_dir);
        former.0.retain(|(name, _)| *name != interface.name);
        former.0.push((interface.name.clone(), now));
        former.write(&self.run_dir)?;
        self.rtnl.set_arp(interface.index, ArpSettings::APART)
    }
}

/// Puts back what was, but for the interfaces that are still `needed`.
pub(crate) fn restore(rtnl: &mut Rtnl, run_dir: &Path, interfaces: &[Interface], needed: &[String]) {
    let former = Former::read(run_dir);
    let mut kept = Former::default();
    for (name, was) in &former.0 {
        let Some(there) = interfaces.iter().find(|it| it.name == *name) else { continue };
        if needed.contains(name) {
            kept.0.push((name.clone(), *was));
            continue;
        }
        let done =
            rtnl.arp_settings(there.index).and_then(|now| rtnl.set_arp(there.index, restored(now, *was)));
        done.unwrap_or_else(|error| log!("warn", "arp-not-restored", "interface={name} error=\"{error}\""));
    }
    if kept != former {
        let written = kept.write(run_dir);
        written.unwrap_or_else(|error| log!("warn", "arp-not-restored", "error=\"{error}\""));
    }
}

impl Daemon {
    /// After a start or a reload: what a router that is no more has changed. A router that does not know its interface now may
    /// need any of them.
    pub(super) fn restore_arp(&mut self, interfaces: &[Interface]) {
        let needs = |it: &&Station| it.config.balanced || it.config.mac == MacAddress::Virtual;
        let homes = self.stations.iter().filter(needs).map(|it| Some(it.wire.as_ref()?.interface.clone()));
        if let Some(needed) = homes.collect::<Option<Vec<_>>>() {
            restore(&mut self.kernel.rtnl, &self.appliance.paths.run_dir, interfaces, &needed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_is_kept_and_what_others_changed_is_theirs() {
        let was = ArpSettings { ignore: 0, announce: 1 };
        let former = Former(vec![("eth0".into(), was), ("bond0.7".into(), ArpSettings::APART)]);
        assert_eq!(former.emit(), "eth0 0 1\nbond0.7 1 2\n");
        assert_eq!(Former::parse(&former.emit()), former);
        assert_eq!(Former::parse("rubbish\neth0 x 1\n"), Former::default());
        assert_eq!(restored(ArpSettings::APART, was), was);
        let theirs = ArpSettings { ignore: 8, announce: 2 };
        assert_eq!(restored(theirs, was), ArpSettings { ignore: 8, announce: 1 });
    }
}
