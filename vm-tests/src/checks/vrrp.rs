//! Adverts as an ill-behaved neighbour would send them, from the client's namespace.

use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::{Context, Result};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::lab::net::CLIENT_ADDRESS;
use crate::lab::netns::Netns;

const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
const VRRP: i32 = 112;

/// A VRRPv3 advert for one address, with the highest priority and an honest checksum (RFC 9568 section 5.2).
pub(crate) fn advert(vrid: u8, vip: Ipv4Addr) -> Vec<u8> {
    let mut bytes = vec![0x31, vrid, 255, 1, 0, 10, 0, 0];
    bytes.extend_from_slice(&vip.octets());
    let sum = checksum(&bytes);
    bytes[6..8].copy_from_slice(&sum.to_be_bytes());
    bytes
}

/// Over the pseudo-header and the advert.
fn checksum(advert: &[u8]) -> u16 {
    let len = advert.len() as u8;
    let mut all = Vec::new();
    all.extend_from_slice(&CLIENT_ADDRESS.octets());
    all.extend_from_slice(&GROUP.octets());
    all.extend_from_slice(&[0, VRRP as u8, 0, len]);
    all.extend_from_slice(advert);
    let mut sum: u32 = all
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or_default()])))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Sends each packet to the group and to every unicast address, with this TTL.
pub(crate) fn send(netns: &Netns, packets: Vec<Vec<u8>>, ttl: u8, unicast: Vec<Ipv4Addr>) -> Result<()> {
    let netns = netns.clone();
    let sent = std::thread::spawn(move || -> Result<()> {
        netns.enter()?;
        let socket =
            Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(VRRP))).context("raw socket")?;
        socket.set_multicast_ttl_v4(u32::from(ttl))?;
        socket.set_ttl_v4(u32::from(ttl))?;
        socket.set_multicast_if_v4(&CLIENT_ADDRESS)?;
        for packet in &packets {
            for target in unicast.iter().chain([&GROUP]) {
                socket
                    .send_to(packet, &SockAddr::from(SocketAddrV4::new(*target, 0)))
                    .context("send an advert")?;
            }
        }
        Ok(())
    });
    sent.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the sender panicked")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_over_an_honest_advert_is_zero() {
        let advert = advert(51, Ipv4Addr::new(192, 168, 0, 88));
        assert_eq!(advert.len(), 12);
        assert_eq!(checksum(&advert), 0);
    }
}
