//! VRRP's pure parts: what adverts look like, when a router is Active, what announcements say.
//!
//! Nothing in this library opens a socket or reads a clock; the binary `standfast-vrrpd` does both, and nothing else.

pub mod arp;
pub mod fsm;
pub mod interval;
pub mod ipvs;
pub mod ndp;
pub mod netlink;
pub mod nft;
pub mod pace;
pub mod packet;
pub mod priority;
pub mod suspension;
