//! What stations do to the world, with every failure counted and told, and none of them fatal.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use vrrpd::packet::Discard;

use crate::log::log;
use crate::net::{AdvertSocket, Announcer, ConnectionReset, Rtnl};
use crate::record::{Record, RouterId};

use super::counters::Counters;
use super::neighbours::Question;
use super::notifier::Notifier;
use super::vips::Placed;

/// Which socket a router uses: one per interface and address that adverts are sent from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WireId {
    /// A renamed interface and one that was made anew need a new socket.
    pub(crate) interface: String,
    pub(crate) index: u32,
    pub(crate) source: IpAddr,
}

pub(crate) struct Wire {
    pub(crate) id: WireId,
    pub(crate) socket: AdvertSocket,
}

pub(crate) struct Kernel {
    pub(crate) wires: Vec<Wire>,
    pub(crate) rtnl: Rtnl,
    pub(crate) announcer: Announcer,
    /// `None` when this kernel has no sock_diag.
    pub(crate) resets: Option<ConnectionReset>,
    pub(crate) record: Record,
    pub(crate) counters: Counters,
    /// What has happened in this round, for those who follow.
    pub(crate) events: Vec<Value>,
    pub(crate) notifier: Notifier,
    pub(crate) run_dir: PathBuf,
}

impl Kernel {
    /// Sees to it that there is a socket. An address that is not ready yet has none; its being ready is an event.
    pub(crate) fn open(&mut self, id: &WireId, multicast: bool) -> bool {
        if self.wires.iter().any(|wire| wire.id == *id) {
            return true;
        }
        match AdvertSocket::open(&id.interface, id.index, id.source, multicast) {
            Ok(socket) => self.wires.push(Wire { id: id.clone(), socket }),
            Err(error) => {
                log!("error", "no-advert-socket", "interface={} error=\"{error}\"", id.interface);
                return false;
            }
        }
        true
    }

    pub(crate) fn send(&mut self, wire: &WireId, message: &[u8], destination: IpAddr) {
        let Some(wire) = self.wires.iter().find(|it| it.id == *wire) else { return };
        match wire.socket.send(message, destination) {
            Ok(()) => self.counters.advert_sent += 1,
            Err(error) => {
                self.counters.advert_send_err += 1;
                if self.counters.advert_send_err.is_power_of_two() {
                    let times = self.counters.advert_send_err;
                    log!("warn", "advert-not-sent", "to={destination} error=\"{error}\" times={times}");
                }
            }
        }
    }

    /// What could not be done for a router is told and counted.
    pub(super) fn count(&mut self, done: io::Result<()>, what: &str, router: &str) {
        if let Err(error) = done {
            self.counters.vip_err += 1;
            log!("error", "routing", "router={router} {what} error=\"{error}\"");
        }
    }

    pub(crate) fn install(&mut self, vip: Placed) {
        if let Err(error) = self.rtnl.add(vip.index, vip.address, vip.prefix) {
            self.counters.vip_err += 1;
            log!("error", "vip-not-added", "vip={} error=\"{error}\"", vip.address);
        }
    }

    pub(crate) fn uninstall(&mut self, vip: Placed) {
        if let Err(error) = self.rtnl.remove(vip.index, vip.address, vip.prefix) {
            self.counters.vip_err += 1;
            log!("error", "vip-not-removed", "vip={} error=\"{error}\"", vip.address);
        }
    }

    pub(crate) fn announce(&mut self, vip: Placed) {
        let Some(mac) = vip.mac else { return };
        match self.announcer.announce(vip.index, mac, vip.address) {
            Ok(()) => self.counters.garp_sent += 1,
            Err(error) => {
                self.counters.garp_err += 1;
                log!("warn", "not-announced", "vip={} error=\"{error}\"", vip.address);
            }
        }
    }

    /// Where a neighbour is. One that is not asked for now is asked for by the kernel later.
    pub(super) fn ask(&self, question: &Question) {
        let Question { index, mac, source, target } = *question;
        if let Err(error) = self.announcer.ask(index, mac, source, target) {
            log!("warn", "not-asked", "neighbour={target} error=\"{error}\"");
        }
    }

    pub(crate) fn reset(&mut self, address: IpAddr, budget: Duration) {
        let Some(resets) = &mut self.resets else { return };
        match resets.reset(address, budget) {
            Ok(count) => self.counters.connections_reset += u64::try_from(count).unwrap_or(u64::MAX),
            Err(error) => {
                log!("warn", "connections-not-reset", "vip={address} error=\"{error}\"");
                if resets.refused {
                    self.resets = None;
                }
            }
        }
    }

    /// Writes the record of being Active.
    pub(crate) fn note(&mut self, place: usize, id: RouterId, active: bool) {
        if let Err(error) = self.record.write(place, id, active) {
            log!("warn", "no-record", "place={place} error=\"{error}\"");
        }
    }

    pub(crate) fn discard(&mut self, reason: Discard, source: IpAddr) {
        if self.counters.discard(reason) {
            log!("warn", "advert-discarded", "source={source} reason={}", reason.name());
        }
    }
}
