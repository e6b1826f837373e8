//! The kernel's side of VRRP: raw sockets, addresses, announcements, resets. Decides nothing.

pub(crate) mod advert_socket;
pub(crate) mod announcer;
pub(crate) mod claims;
pub(crate) mod diag;
mod ipvs;
mod macvlan;
mod netlink;
mod nft;
pub(crate) mod poller;
mod routing;
pub(crate) mod rtnl;

pub(crate) use advert_socket::{AdvertSocket, Packet};
pub(crate) use announcer::Announcer;
pub(crate) use claims::Claims;
pub(crate) use diag::ConnectionReset;
pub(crate) use ipvs::Ipvs;
pub(crate) use macvlan::ArpSettings;
pub(crate) use nft::{Nft, RuleMonitor};
pub(crate) use poller::Poller;
pub(crate) use rtnl::{Interface, Monitor, Rtnl};
