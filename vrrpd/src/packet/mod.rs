//! VRRP adverts as bytes: version 2 (RFC 3768, with RFC 2338's simple authentication) and version 3 (RFC 9568).
//!
//! Owns the wire form and every check of RFC 9568 §7.1 that needs no knowledge of the receiving router; the
//! others are in [`Advert::check`]. Touches no socket and never panics, whatever the bytes.
//!
//! **IPv6** is version 3's alone: its checksum has a pseudo-header, its addresses sixteen bytes; all else is the same.
//!
//! **Version 3's IPv4 checksum.** RFC 5798 and keepalived include a pseudo-header, RFC 9568 §5.2.8 says that IPv4
//! has none. Both are accepted (and the latter counted); we send the former, which every deployed peer accepts.

mod ipv4;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::interval::AdvertInterval;
use crate::priority::Priority;

pub use ipv4::Ipv4Packet;

/// IP protocol number of VRRP.
pub const PROTOCOL: u8 = 112;
/// Where adverts go when they are multicast (RFC 9568 §5.1.1.2, §5.1.2.2).
pub const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
pub const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);
/// The only TTL (IPv6: hop limit) that an advert may arrive with: nobody beyond this link can send one.
pub const TTL: u8 = 255;
/// Longest advert: header and 255 IPv6 addresses.
pub const MAX_LENGTH: usize = HEADER + 255 * 16;

const HEADER: usize = 8;
const AUTH_DATA: usize = 8;
const ADVERTISEMENT: u8 = 1;
const AUTH_NONE: u8 = 0;
const AUTH_SIMPLE: u8 = 1;
const AUTH_AH: u8 = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    V2,
    V3,
}

/// Version 2's eight bytes of clear text. No secret: it keeps neighbours' mistakes away, not attackers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SimpleAuth(pub [u8; AUTH_DATA]);

impl SimpleAuth {
    /// The first eight bytes of `pass`, filled up with zeros.
    #[must_use]
    pub fn new(pass: &str) -> SimpleAuth {
        let mut data = [0; AUTH_DATA];
        data.iter_mut().zip(pass.bytes()).for_each(|(to, from)| *to = from);
        SimpleAuth(data)
    }
}

impl std::fmt::Debug for SimpleAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SimpleAuth(..)")
    }
}

/// The virtual addresses of an advert, all of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addresses<'a> {
    V4(&'a [[u8; 4]]),
    V6(&'a [[u8; 16]]),
}

impl<'a> Addresses<'a> {
    /// As many as `count` of the family of `source`, and what follows them.
    fn split(body: &'a [u8], count: u8, source: IpAddr) -> Result<(Addresses<'a>, &'a [u8]), Discard> {
        let size = if source.is_ipv4() { 4 } else { 16 };
        let (list, rest) = body.split_at_checked(usize::from(count) * size).ok_or(Discard::PacketLength)?;
        let addresses = match source {
            IpAddr::V4(_) => Addresses::V4(list.as_chunks().0),
            IpAddr::V6(_) => Addresses::V6(list.as_chunks().0),
        };
        Ok((addresses, rest))
    }

    #[must_use]
    pub fn len(self) -> usize {
        match self {
            Addresses::V4(list) => list.len(),
            Addresses::V6(list) => list.len(),
        }
    }

    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    fn bytes(self) -> &'a [u8] {
        match self {
            Addresses::V4(list) => list.as_flattened(),
            Addresses::V6(list) => list.as_flattened(),
        }
    }

    /// Whether both have the same addresses, in whatever order.
    #[must_use]
    pub fn same(self, other: Addresses<'_>) -> bool {
        self.len() == other.len()
            && match (self, other) {
                (Addresses::V4(own), Addresses::V4(other)) => other.iter().all(|it| own.contains(it)),
                (Addresses::V6(own), Addresses::V6(other)) => other.iter().all(|it| own.contains(it)),
                _ => false,
            }
    }
}

/// One advert. The addresses stay in the buffer that it was parsed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advert<'a> {
    pub version: Version,
    pub vrid: u8,
    pub priority: Priority,
    pub interval: AdvertInterval,
    pub addresses: Addresses<'a>,
    /// Version 2 only.
    pub auth: Option<SimpleAuth>,
}

/// How the checksum of a received advert had been made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// As version 2, or RFC 5798 with its pseudo-header.
    Usual,
    /// Version 3 without a pseudo-header, as RFC 9568 words it.
    WithoutPseudoHeader,
}

/// Why an advert is dropped; each is a counter, by keepalived's names where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discard {
    PacketLength,
    Ttl,
    Version,
    Type,
    Checksum,
    Interval,
    AddressList,
    InvalidAuthType,
    AuthTypeMismatch,
    AuthFailure,
    UnknownVrid,
    UnknownSource,
}

impl Discard {
    pub const ALL: [Discard; 12] = [
        Discard::PacketLength,
        Discard::Ttl,
        Discard::Version,
        Discard::Type,
        Discard::Checksum,
        Discard::Interval,
        Discard::AddressList,
        Discard::InvalidAuthType,
        Discard::AuthTypeMismatch,
        Discard::AuthFailure,
        Discard::UnknownVrid,
        Discard::UnknownSource,
    ];

    /// The counter's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Discard::PacketLength => "packet_len_err",
            Discard::Ttl => "ip_ttl_err",
            Discard::Version => "version_err",
            Discard::Type => "invalid_type_rcvd",
            Discard::Checksum => "checksum_err",
            Discard::Interval => "advert_interval_err",
            Discard::AddressList => "addr_list_err",
            Discard::InvalidAuthType => "invalid_authtype",
            Discard::AuthTypeMismatch => "authtype_mismatch",
            Discard::AuthFailure => "auth_failure",
            Discard::UnknownVrid => "vrid_err",
            Discard::UnknownSource => "unicast_src_err",
        }
    }
}

impl<'a> Advert<'a> {
    /// Reads the payload of an IP packet that came with `ttl` (hop limit) from `source` to `destination`.
    pub fn parse(
        message: &'a [u8],
        ttl: u8,
        source: IpAddr,
        destination: IpAddr,
    ) -> Result<(Advert<'a>, Checksum), Discard> {
        if ttl != TTL {
            return Err(Discard::Ttl);
        }
        let (header, body) = message.split_first_chunk::<HEADER>().ok_or(Discard::PacketLength)?;
        let [version_type, vrid, priority, count, sixth, seventh, ..] = *header;
        let version = match version_type >> 4 {
            2 if source.is_ipv4() => Version::V2,
            3 => Version::V3,
            _ => return Err(Discard::Version),
        };
        if version_type & 0x0f != ADVERTISEMENT {
            return Err(Discard::Type);
        }
        let (addresses, rest) = Addresses::split(body, count, source)?;
        let checksum = verify(version, message, source, destination)?;
        if vrid == 0 {
            return Err(Discard::UnknownVrid);
        }
        if addresses.is_empty() {
            return Err(Discard::AddressList);
        }
        let (interval, auth) = match version {
            Version::V2 => (AdvertInterval::from_seconds(seventh), simple_auth(sixth, rest)?),
            Version::V3 if !rest.is_empty() => return Err(Discard::PacketLength),
            Version::V3 => {
                let centiseconds = u16::from_be_bytes([sixth & 0x0f, seventh]);
                (AdvertInterval::from_centiseconds(centiseconds), None)
            }
        };
        let interval = interval.ok_or(Discard::Interval)?;
        Ok((Advert { version, vrid, priority: Priority(priority), interval, addresses, auth }, checksum))
    }

    /// The checks that need the receiving router's own settings. The address list is not among them: peers with
    /// another list would otherwise both become Active (callers count and warn instead).
    pub fn check(
        &self,
        version: Version,
        interval: AdvertInterval,
        auth: Option<SimpleAuth>,
    ) -> Result<(), Discard> {
        if self.version != version {
            return Err(Discard::Version);
        }
        if version == Version::V2 {
            match (auth, self.auth) {
                (None, None) => {}
                (Some(own), Some(theirs)) if own == theirs => {}
                (Some(_), Some(_)) => return Err(Discard::AuthFailure),
                (None, Some(_)) | (Some(_), None) => return Err(Discard::AuthTypeMismatch),
            }
            if self.interval != interval {
                return Err(Discard::Interval);
            }
        }
        Ok(())
    }

    /// Writes the advert as sent from `source` to `destination`; `None` when `buffer` is too small or there are
    /// more than 255 addresses. The bytes of `buffer` beyond the advert are not touched.
    #[must_use]
    pub fn emit<'b>(
        &self,
        source: IpAddr,
        destination: IpAddr,
        buffer: &'b mut [u8],
    ) -> Option<&'b mut [u8]> {
        let count = u8::try_from(self.addresses.len()).ok()?;
        let trailer = if self.version == Version::V2 { AUTH_DATA } else { 0 };
        let addresses = self.addresses.bytes();
        let message = buffer.get_mut(..HEADER + addresses.len() + trailer)?;
        let (header, body) = message.split_first_chunk_mut::<HEADER>()?;
        let (list, authentication) = body.split_at_mut_checked(addresses.len())?;
        *header = match self.version {
            Version::V2 => {
                let auth_type = if self.auth.is_some() { AUTH_SIMPLE } else { AUTH_NONE };
                [0x21, self.vrid, self.priority.0, count, auth_type, self.interval.seconds(), 0, 0]
            }
            Version::V3 => {
                let [high, low] = self.interval.centiseconds().to_be_bytes();
                [0x31, self.vrid, self.priority.0, count, high & 0x0f, low, 0, 0]
            }
        };
        list.copy_from_slice(addresses);
        if self.version == Version::V2 {
            authentication.copy_from_slice(&self.auth.unwrap_or(SimpleAuth([0; AUTH_DATA])).0);
        }
        let start =
            if self.version == Version::V3 { pseudo_header(source, destination, message.len()) } else { 0 };
        let checksum = !fold(sum(start, message));
        message.get_mut(6..8)?.copy_from_slice(&checksum.to_be_bytes());
        Some(message)
    }
}

fn simple_auth(auth_type: u8, data: &[u8]) -> Result<Option<SimpleAuth>, Discard> {
    let (data, beyond) = data.split_first_chunk::<AUTH_DATA>().ok_or(Discard::PacketLength)?;
    if !beyond.is_empty() {
        return Err(Discard::PacketLength);
    }
    match auth_type {
        AUTH_NONE => Ok(None),
        AUTH_SIMPLE => Ok(Some(SimpleAuth(*data))),
        AUTH_AH => Err(Discard::AuthTypeMismatch),
        _ => Err(Discard::InvalidAuthType),
    }
}

/// A message together with its own checksum sums up to all ones.
fn verify(
    version: Version,
    message: &[u8],
    source: IpAddr,
    destination: IpAddr,
) -> Result<Checksum, Discard> {
    let plain = fold(sum(0, message)) == 0xffff;
    match version {
        Version::V2 if plain => Ok(Checksum::Usual),
        Version::V2 => Err(Discard::Checksum),
        Version::V3 => {
            if fold(sum(pseudo_header(source, destination, message.len()), message)) == 0xffff {
                Ok(Checksum::Usual)
            } else if plain && source.is_ipv4() {
                Ok(Checksum::WithoutPseudoHeader)
            } else {
                Err(Discard::Checksum)
            }
        }
    }
}

/// The sum over the pseudo-header of RFC 5798 (IPv4) and RFC 8200 §8.1 (IPv6): both addresses, the protocol, the
/// length. The two are laid out differently, but these words are all that is not zero in either.
fn pseudo_header(source: IpAddr, destination: IpAddr, length: usize) -> u32 {
    let octets = |start, address| match address {
        IpAddr::V4(address) => sum(start, &Ipv4Addr::octets(&address)),
        IpAddr::V6(address) => sum(start, &Ipv6Addr::octets(&address)),
    };
    let addresses = octets(octets(0, source), destination);
    addresses + u32::from(PROTOCOL) + u32::try_from(length).unwrap_or(0)
}

/// RFC 1071: the sum of 16-bit big-endian words, an odd last byte standing in the high half. Messages are at most
/// 64 KiB long, so 32 bits never overflow.
fn sum(start: u32, bytes: &[u8]) -> u32 {
    let (words, odd) = bytes.as_chunks::<2>();
    let even = words.iter().fold(start, |total, word| total + u32::from(u16::from_be_bytes(*word)));
    odd.iter().fold(even, |total, byte| total + (u32::from(*byte) << 8))
}

fn fold(sum: u32) -> u16 {
    let once = (sum & 0xffff) + (sum >> 16);
    let twice = (once & 0xffff) + (once >> 16);
    u16::try_from(twice & 0xffff).unwrap_or(0)
}

#[cfg(test)]
mod tests;
