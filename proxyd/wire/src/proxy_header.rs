//! The PROXY protocol's header, versions 1 and 2: with what a proxy in front of us says who its client is, and we say so to a
//! backend.
//!
//! Source: HAProxy, "The PROXY protocol", sections 2.1 and 2.2.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest header of version 1, with its CR and LF.
const LONGEST_V1: usize = 107;
/// `PROXY UNKNOWN` with CR and LF.
const SHORTEST_V1: usize = 15;
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
const HEADER_V2: usize = 16;
/// More than any address and what may follow it; MySQL's own first packets are not longer either.
const LONGEST_V2: usize = HEADER_V2 + 2048;

/// The two ends of the connection that the header speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    pub source: SocketAddr,
    pub destination: SocketAddr,
}

/// What stands at the front of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Not enough to tell: so many bytes are needed, none of which is beyond the header.
    Incomplete { want: usize },
    /// Something else.
    None,
    /// So many bytes; without ends when the proxy speaks for itself, or of something that is not TCP.
    Header { length: usize, ends: Option<Ends> },
}

/// A header that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the PROXY header is malformed")]
pub struct BadHeader;

/// Looks for a header at the front of `bytes`.
///
/// # Errors
/// A header that is begun as one and is not.
pub fn find(bytes: &[u8]) -> Result<Found, BadHeader> {
    let begins = |word: &[u8]| bytes.iter().zip(word).all(|(a, b)| a == b);
    // No packet of MySQL's begins like either: its fourth byte is its number in the exchange.
    if begins(b"PROXY ") {
        return find_v1(bytes);
    }
    match begins(&SIGNATURE) {
        true => find_v2(bytes),
        false => Ok(Found::None),
    }
}

fn find_v1(bytes: &[u8]) -> Result<Found, BadHeader> {
    if bytes.len() < SHORTEST_V1 {
        return Ok(Found::Incomplete { want: if bytes.len() < 6 { 6 } else { SHORTEST_V1 } });
    }
    let line = bytes.get(..bytes.len().min(LONGEST_V1)).unwrap_or_default();
    let Some(end) = line.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < LONGEST_V1 {
            Ok(Found::Incomplete { want: bytes.len() + 1 })
        } else {
            Err(BadHeader)
        };
    };
    let text = line.get(..end).and_then(|line| std::str::from_utf8(line).ok()).ok_or(BadHeader)?;
    let length = end + 2;
    let words: Vec<&str> = text.split(' ').collect();
    let ends = match words.as_slice() {
        ["PROXY", "UNKNOWN", ..] => None,
        ["PROXY", "TCP4", source, destination, from, to] => Some(Ends {
            source: (source.parse::<Ipv4Addr>().map_err(|_| BadHeader)?, port(from)?).into(),
            destination: (destination.parse::<Ipv4Addr>().map_err(|_| BadHeader)?, port(to)?).into(),
        }),
        ["PROXY", "TCP6", source, destination, from, to] => Some(Ends {
            source: (source.parse::<Ipv6Addr>().map_err(|_| BadHeader)?, port(from)?).into(),
            destination: (destination.parse::<Ipv6Addr>().map_err(|_| BadHeader)?, port(to)?).into(),
        }),
        _ => return Err(BadHeader),
    };
    Ok(Found::Header { length, ends })
}

fn port(word: &str) -> Result<u16, BadHeader> {
    word.parse().map_err(|_| BadHeader)
}

fn find_v2(bytes: &[u8]) -> Result<Found, BadHeader> {
    let Some((front, _)) = bytes.split_first_chunk::<HEADER_V2>() else {
        return Ok(Found::Incomplete { want: HEADER_V2 });
    };
    let [.., version_command, family, high, low] = *front;
    let length = HEADER_V2 + usize::from(u16::from_be_bytes([high, low]));
    if length > LONGEST_V2 || version_command >> 4 != 2 {
        return Err(BadHeader);
    }
    let Some(block) = bytes.get(HEADER_V2..length) else { return Ok(Found::Incomplete { want: length }) };
    let ends = match (version_command & 0xf, family) {
        (0, _) => None,
        (1, 0x11) => Some(ends_of(block, 4, |ip: [u8; 4]| Ipv4Addr::from(ip).into())?),
        (1, 0x21) => Some(ends_of(block, 16, |ip: [u8; 16]| Ipv6Addr::from(ip).into())?),
        (1, _) => None,
        _ => return Err(BadHeader),
    };
    Ok(Found::Header { length, ends })
}

/// Two addresses of `size` bytes, two ports, and what may come after them.
fn ends_of<const N: usize>(block: &[u8], size: usize, ip: fn([u8; N]) -> IpAddr) -> Result<Ends, BadHeader> {
    let address = |at: usize| block.get(at..at + size)?.first_chunk::<N>().map(|bytes| ip(*bytes));
    let port = |at: usize| block.get(at..)?.first_chunk::<2>().map(|bytes| u16::from_be_bytes(*bytes));
    let end = |index: usize| Some(SocketAddr::new(address(index * size)?, port(2 * size + 2 * index)?));
    Ok(Ends { source: end(0).ok_or(BadHeader)?, destination: end(1).ok_or(BadHeader)? })
}

/// The header of version 1; without ends, or with ends of two families, it says that nothing is known.
pub fn v1(ends: Option<Ends>) -> Vec<u8> {
    let Some(Ends { source, destination }) = ends.map(alike) else { return b"PROXY UNKNOWN\r\n".to_vec() };
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (source.port(), destination.port());
    format!("PROXY {family} {} {} {from} {to}\r\n", source.ip(), destination.ip()).into_bytes()
}

/// The header of version 2; without ends it says that the proxy speaks for itself.
pub fn v2(ends: Option<Ends>) -> Vec<u8> {
    let mut out = SIGNATURE.to_vec();
    let Some(Ends { source, destination }) = ends.map(alike) else {
        out.extend([0x20, 0, 0, 0]);
        return out;
    };
    match (source.ip(), destination.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            out.extend([0x21, 0x11, 0, 12]);
            out.extend(from.octets());
            out.extend(to.octets());
        }
        (from, to) => {
            out.extend([0x21, 0x21, 0, 36]);
            out.extend(v6(from).octets());
            out.extend(v6(to).octets());
        }
    }
    out.extend(source.port().to_be_bytes());
    out.extend(destination.port().to_be_bytes());
    out
}

/// Both ends in one family: IPv4 where both are, however they are written.
fn alike(ends: Ends) -> Ends {
    let plain = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
    let (source, destination) = (plain(ends.source), plain(ends.destination));
    if source.is_ipv4() == destination.is_ipv4() {
        return Ends { source, destination };
    }
    let wide = |end: SocketAddr| SocketAddr::new(v6(end.ip()).into(), end.port());
    Ends { source: wide(source), destination: wide(destination) }
}

fn v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(source: &str, destination: &str) -> Ends {
        Ends { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
    }

    /// Every front of a header asks for more, and never for what is beyond it.
    fn round_trip(header: &[u8], expected: Option<Ends>) {
        let stream = [header, b"what follows"].concat();
        assert_eq!(find(&stream), Ok(Found::Header { length: header.len(), ends: expected }));
        for end in 0..header.len() {
            match find(&header[..end]) {
                Ok(Found::Incomplete { want }) => {
                    assert!(want > end && want <= header.len(), "{end}: {want}")
                }
                other => panic!("{end}: {other:?}"),
            }
        }
    }

    #[test]
    fn golden_headers_in_both_directions() {
        let four = ends("192.0.2.1:56324", "192.0.2.11:443");
        assert_eq!(v1(Some(four)), b"PROXY TCP4 192.0.2.1 192.0.2.11 56324 443\r\n");
        round_trip(&v1(Some(four)), Some(four));
        let bytes = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\xc0\x00\x02\x0b\xdc\x04\x01\xbb";
        assert_eq!(v2(Some(four)), bytes);
        round_trip(bytes, Some(four));
        let six = ends("[2001:db8::1]:1", "[2001:db8::2]:65535");
        round_trip(&v1(Some(six)), Some(six));
        round_trip(&v2(Some(six)), Some(six));
        round_trip(&v1(None), None);
        round_trip(&v2(None), None);
        let mixed = ends("192.0.2.1:1", "[2001:db8::2]:2");
        assert_eq!(v1(Some(mixed)), b"PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 1 2\r\n");
        let mapped = ends("[::ffff:192.0.2.1]:1", "192.0.2.2:2");
        assert_eq!(v1(Some(mapped)), b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n");
    }

    #[test]
    fn additions_are_passed_over_and_other_things_are_not_headers() {
        let mut header = v2(Some(ends("192.0.2.1:1", "192.0.2.2:2")));
        header[15] += 5;
        header.extend(b"\x04\x00\x02ok");
        round_trip(&header, Some(ends("192.0.2.1:1", "192.0.2.2:2")));
        assert_eq!(find(&[32, 0, 0, 1, 0x85]), Ok(Found::None));
        assert_eq!(find(b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n    "), Err(BadHeader));
        assert_eq!(find(b"PROXY TCP4 1.2.3.400 5.6.7.8 1 2\r\n"), Err(BadHeader));
        assert_eq!(find(&[b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 100]].concat()), Err(BadHeader));
        assert_eq!(find(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff"), Err(BadHeader));
        assert_eq!(find(b"\r\n\r\n\0\r\nQUIT\n\x31\x11\x00\x00"), Err(BadHeader));
        assert_eq!(find(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x02ab"), Err(BadHeader));
    }
}
