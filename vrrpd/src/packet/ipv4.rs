//! As much of an IPv4 header as a raw socket's reader needs.

use std::net::Ipv4Addr;

use super::Discard;

/// One IPv4 packet, as the kernel hands it to a raw socket: header first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv4Packet<'a> {
    pub ttl: u8,
    pub source: Ipv4Addr,
    pub destination: Ipv4Addr,
    pub payload: &'a [u8],
}

impl<'a> Ipv4Packet<'a> {
    pub fn parse(bytes: &'a [u8]) -> Result<Ipv4Packet<'a>, Discard> {
        let (fixed, _) = bytes.split_first_chunk::<20>().ok_or(Discard::PacketLength)?;
        let [first, _, high, low, _, _, _, _, ttl, _, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = *fixed;
        if first >> 4 != 4 {
            return Err(Discard::Version);
        }
        let header = usize::from(first & 0x0f) * 4;
        let total = usize::from(u16::from_be_bytes([high, low]));
        if header < 20 {
            return Err(Discard::PacketLength);
        }
        let payload = bytes.get(header..total).ok_or(Discard::PacketLength)?;
        Ok(Ipv4Packet {
            ttl,
            source: Ipv4Addr::new(s0, s1, s2, s3),
            destination: Ipv4Addr::new(d0, d1, d2, d3),
            payload,
        })
    }
}
