//! What is said to the kernel's IPVS (linux/ip_vs.h, generic netlink): requests as bytes, replies as answers, and the steps
//! from the services that are there to those that should be. Pure.
//!
//! Servers are reached by direct routing: the packet goes to another host's MAC address as it is, the host has the virtual
//! address on its loopback and answers the client itself.

use std::net::IpAddr;

use crate::netlink::{self, NESTED, attribute, messages};

/// `NETLINK_GENERIC`'s own family, which knows the numbers of the others.
const CONTROL: u16 = 0x10;
const GET_FAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;
const NAME: &[u8] = b"IPVS\0";

const NEW_SERVICE: u8 = 1;
const DEL_SERVICE: u8 = 3;
const NEW_DEST: u8 = 5;
const SET_DEST: u8 = 6;
const SERVICE: u16 = 1;
const DEST: u16 = 2;
/// Weighted least connections: sessions of a database live long.
const SCHEDULER: &[u8] = b"wlc\0";
/// `IP_VS_CONN_F_DROUTE`.
const DIRECT_ROUTING: u32 = 3;
const TCP: u16 = 6;

const REQUEST_AND_ACK: u16 = 1 | 4;

/// A virtual address and port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Service {
    pub address: IpAddr,
    pub port: u16,
}

/// A server behind it: the same port on a host's own address. Without weight it gets no new connections and keeps those
/// that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Server {
    pub address: IpAddr,
    pub weight: u32,
}

/// A service with its servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Virtual {
    pub service: Service,
    pub servers: Vec<Server>,
}

/// One request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Add(Service),
    /// Takes its servers with it.
    Remove(Service),
    AddServer(Service, Server),
    Weigh(Service, Server),
}

/// From what is there to what should be. The servers of a service never change but in their weights.
#[must_use]
pub fn steps(there: &[Virtual], wanted: &[Virtual]) -> Vec<Step> {
    let of = |list: &[Virtual], service| list.iter().find(|it| it.service == service).cloned();
    let gone = there.iter().filter(|it| of(wanted, it.service).is_none());
    let mut steps: Vec<Step> = gone.map(|it| Step::Remove(it.service)).collect();
    for new in wanted {
        let Some(old) = of(there, new.service) else {
            steps.push(Step::Add(new.service));
            steps.extend(new.servers.iter().map(|server| Step::AddServer(new.service, *server)));
            continue;
        };
        let changed = new.servers.iter().filter(|server| !old.servers.contains(server));
        steps.extend(changed.map(|server| Step::Weigh(new.service, *server)));
    }
    steps
}

impl Step {
    /// What it is when it has been done already: a vrrpd that was killed has left it.
    #[must_use]
    pub fn again(self) -> Option<Step> {
        match self {
            Step::AddServer(service, server) => Some(Step::Weigh(service, server)),
            Step::Add(_) | Step::Remove(_) | Step::Weigh(..) => None,
        }
    }

    /// The request, for the family with this number.
    #[must_use]
    pub fn emit(self, family: u16) -> Vec<u8> {
        match self {
            Step::Add(it) => request(family, NEW_SERVICE, &[(SERVICE, service(it, true))]),
            Step::Remove(it) => request(family, DEL_SERVICE, &[(SERVICE, service(it, false))]),
            Step::AddServer(it, to) => {
                request(family, NEW_DEST, &[(SERVICE, service(it, false)), (DEST, server(it, to))])
            }
            Step::Weigh(it, to) => {
                request(family, SET_DEST, &[(SERVICE, service(it, false)), (DEST, server(it, to))])
            }
        }
    }
}

/// Asks for the number of IPVS's family; the kernel loads the module if it has one.
#[must_use]
pub fn ask_for_family() -> Vec<u8> {
    let mut name = Vec::new();
    attribute(&mut name, FAMILY_NAME, NAME);
    message(CONTROL, GET_FAMILY, &name)
}

/// What the kernel said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    Done,
    /// An error number.
    Refused(i32),
    Family(u16),
}

/// One datagram's first message; `None` for what is none.
#[must_use]
pub fn reply(datagram: &[u8]) -> Option<Reply> {
    let message = messages(datagram).next()?;
    if let Some(error) = message.error() {
        return Some(if error == 0 { Reply::Done } else { Reply::Refused(error) });
    }
    // Behind the generic header: attributes, each a length, a kind and a value, padded to four bytes.
    let mut rest = message.payload.get(4..)?;
    while let Some([l0, l1, k0, k1]) = rest.first_chunk::<4>() {
        let length = usize::from(u16::from_ne_bytes([*l0, *l1]));
        let value = rest.get(4..length)?;
        if u16::from_ne_bytes([*k0, *k1]) == FAMILY_ID {
            return value.first_chunk::<2>().map(|id| Reply::Family(u16::from_ne_bytes(*id)));
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    None
}

fn request(family: u16, command: u8, nests: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (kind, inside) in nests {
        attribute(&mut body, kind | NESTED, inside);
    }
    message(family, command, &body)
}

/// Behind netlink's header the generic one, with the protocol's version.
fn message(kind: u16, command: u8, body: &[u8]) -> Vec<u8> {
    netlink::message(kind, REQUEST_AND_ACK, 0, &[&[command, 1, 0, 0], body].concat())
}

/// `union nf_inet_addr`: always sixteen bytes.
fn address(address: IpAddr) -> [u8; 16] {
    let mut bytes = [0; 16];
    match address {
        IpAddr::V4(four) => bytes.iter_mut().zip(four.octets()).for_each(|(to, from)| *to = from),
        IpAddr::V6(six) => bytes = six.octets(),
    }
    bytes
}

fn family_of(address: IpAddr) -> u16 {
    u16::try_from(if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 }).unwrap_or_default()
}

/// By what a service is known; and with `whole`, everything that it is.
fn service(service: Service, whole: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    attribute(&mut bytes, 1, &family_of(service.address).to_ne_bytes());
    attribute(&mut bytes, 2, &TCP.to_ne_bytes());
    attribute(&mut bytes, 3, &address(service.address));
    attribute(&mut bytes, 4, &service.port.to_be_bytes());
    if whole {
        let mask: u32 = if service.address.is_ipv4() { u32::MAX } else { 128 };
        attribute(&mut bytes, 6, SCHEDULER);
        attribute(&mut bytes, 7, &[[0; 4], [0xff; 4]].concat()); // no flags, all of them meant
        attribute(&mut bytes, 8, &0_u32.to_ne_bytes()); // not persistent
        attribute(&mut bytes, 9, &mask.to_ne_bytes());
    }
    bytes
}

fn server(service: Service, server: Server) -> Vec<u8> {
    let mut bytes = Vec::new();
    attribute(&mut bytes, 1, &address(server.address));
    attribute(&mut bytes, 2, &service.port.to_be_bytes());
    attribute(&mut bytes, 3, &DIRECT_ROUTING.to_ne_bytes());
    attribute(&mut bytes, 4, &server.weight.to_ne_bytes());
    attribute(&mut bytes, 5, &0_u32.to_ne_bytes()); // no limits of connections
    attribute(&mut bytes, 6, &0_u32.to_ne_bytes());
    attribute(&mut bytes, 11, &family_of(server.address).to_ne_bytes());
    bytes
}

#[cfg(test)]
mod tests;
