//! Golden bytes in both directions, every reason to discard, and random bytes.

use super::*;

const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 11));
const TO_ALL: IpAddr = IpAddr::V4(GROUP);
const SOURCE_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x11));
const TO_ALL_V6: IpAddr = IpAddr::V6(GROUP_V6);
const VIPS_V6: [[u8; 16]; 2] = [
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x88).octets(),
    Ipv6Addr::new(0xfd00, 0x77, 0, 0, 0, 0, 0, 0x88).octets(),
];
const VIPS: [[u8; 4]; 2] = [[192, 168, 4, 88], [192, 168, 4, 89]];

/// VRRPv2, vrid 51, priority 101, 1 s, one address, password "standfst".
const V2: [u8; 20] = [
    0x21, 0x33, 0x65, 0x01, 0x01, 0x01, 0x07, 0x0c, 0xc0, 0xa8, 0x04, 0x58, b's', b't', b'a', b'n', b'd',
    b'f', b's', b't',
];
/// VRRPv3, vrid 52, priority 200, 100 ms, two addresses, multicast from 10.77.0.11.
const V3: [u8; 16] =
    [0x31, 0x34, 0xc8, 0x02, 0x00, 0x0a, 0x91, 0xd1, 0xc0, 0xa8, 0x04, 0x58, 0xc0, 0xa8, 0x04, 0x59];

fn v2() -> Advert<'static> {
    Advert {
        version: Version::V2,
        vrid: 51,
        priority: Priority(101),
        interval: AdvertInterval::from_seconds(1).unwrap(),
        addresses: Addresses::V4(&VIPS[..1]),
        auth: Some(SimpleAuth::new("standfst")),
    }
}

fn v3() -> Advert<'static> {
    Advert {
        version: Version::V3,
        vrid: 52,
        priority: Priority(200),
        interval: AdvertInterval::from_centiseconds(10).unwrap(),
        addresses: Addresses::V4(&VIPS),
        auth: None,
    }
}

fn parse(bytes: &[u8]) -> Result<(Advert<'_>, Checksum), Discard> {
    Advert::parse(bytes, 255, SOURCE, TO_ALL)
}

/// Sets the checksum of a message that a test has changed, version 2's way.
fn resum(message: &mut [u8]) {
    message[6..8].fill(0);
    let checksum = !fold(sum(0, message));
    message[6..8].copy_from_slice(&checksum.to_be_bytes());
}

#[test]
fn emits_golden_bytes_and_nothing_more() {
    for (advert, golden) in [(v2(), V2.as_slice()), (v3(), V3.as_slice())] {
        let mut buffer = [0xa5; MAX_LENGTH];
        let length = advert.emit(SOURCE, TO_ALL, &mut buffer).unwrap().len();
        assert_eq!(buffer[..length], *golden, "{:02x?}", &buffer[..length]);
        assert!(buffer[length..].iter().all(|byte| *byte == 0xa5));
    }
}

#[test]
fn parses_golden_bytes() {
    assert_eq!(parse(&V2), Ok((v2(), Checksum::Usual)));
    assert_eq!(parse(&V3), Ok((v3(), Checksum::Usual)));
}

#[test]
fn accepts_version_3_without_a_pseudo_header() {
    let mut message = V3;
    resum(&mut message);
    assert_eq!(parse(&message), Ok((v3(), Checksum::WithoutPseudoHeader)));
}

/// VRRPv3 on IPv6, vrid 53, priority 150, 1 s, two addresses, multicast from fe80::11. The checksum is that of
/// RFC 8200's pseudo-header and the message, computed elsewhere.
#[test]
fn ipv6_has_a_pseudo_header_and_no_version_2() {
    let advert = Advert {
        version: Version::V3,
        vrid: 53,
        priority: Priority(150),
        interval: AdvertInterval::from_seconds(1).unwrap(),
        addresses: Addresses::V6(&VIPS_V6),
        auth: None,
    };
    let mut buffer = [0xa5; MAX_LENGTH];
    let message = advert.emit(SOURCE_V6, TO_ALL_V6, &mut buffer).unwrap().to_vec();
    assert_eq!(message[..8], [0x31, 0x35, 0x96, 0x02, 0x00, 0x64, 0x3d, 0x1c]);
    assert_eq!(message[8..24], VIPS_V6[0]);
    assert_eq!(message[24..], VIPS_V6[1]);
    let parse = |bytes: &[u8], source| {
        Advert::parse(bytes, 255, source, TO_ALL_V6).map(|(it, sum)| (it.addresses.len(), sum))
    };
    assert_eq!(parse(&message, SOURCE_V6), Ok((2, Checksum::Usual)));
    assert_eq!(Advert::parse(&message, 255, SOURCE_V6, TO_ALL_V6).unwrap().0, advert);
    assert_eq!(Advert::parse(&message, 254, SOURCE_V6, TO_ALL_V6).unwrap_err(), Discard::Ttl);
    assert_eq!(parse(&message[..39], SOURCE_V6), Err(Discard::PacketLength));
    let other = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x12));
    assert_eq!(parse(&message, other), Err(Discard::Checksum));
    let mut plain = message;
    resum(&mut plain);
    assert_eq!(parse(&plain, SOURCE_V6), Err(Discard::Checksum), "IPv6 has no form without a pseudo-header");
    assert_eq!(parse(&V2, SOURCE_V6), Err(Discard::Version));
    let most = vec![VIPS_V6[0]; 255];
    let most = Advert { addresses: Addresses::V6(&most), ..advert };
    assert_eq!(most.emit(SOURCE_V6, TO_ALL_V6, &mut buffer).unwrap().len(), MAX_LENGTH);
}

#[test]
fn address_lists_are_sets() {
    let turned = [VIPS[1], VIPS[0]];
    assert!(Addresses::V4(&VIPS).same(Addresses::V4(&turned)));
    assert!(!Addresses::V4(&VIPS).same(Addresses::V4(&VIPS[..1])));
    assert!(!Addresses::V4(&VIPS).same(Addresses::V6(&VIPS_V6)));
    assert!(Addresses::V6(&VIPS_V6).same(Addresses::V6(&VIPS_V6)));
}

#[test]
fn emit_refuses_what_does_not_fit() {
    assert!(v3().emit(SOURCE, TO_ALL, &mut [0; 15]).is_none());
    let many = [[10, 0, 0, 1]; 256];
    assert!(
        Advert { addresses: Addresses::V4(&many), ..v3() }.emit(SOURCE, TO_ALL, &mut [0; 4096]).is_none()
    );
    let most = Advert { addresses: Addresses::V4(&many[..255]), ..v2() };
    let mut buffer = [0; MAX_LENGTH];
    let bytes = most.emit(SOURCE, TO_ALL, &mut buffer).unwrap();
    assert_eq!(bytes.len(), HEADER + 255 * 4 + AUTH_DATA);
    assert_eq!(parse(bytes), Ok((most, Checksum::Usual)));
}

#[test]
fn every_reason_to_discard() {
    let changed = |from: &[u8], at: usize, to: u8| {
        let mut message = from.to_vec();
        message[at] = to;
        resum(&mut message);
        message
    };
    let cases: Vec<(&str, Vec<u8>, Discard)> = vec![
        ("empty", vec![], Discard::PacketLength),
        ("half a header", V3[..7].to_vec(), Discard::PacketLength),
        ("truncated list", V3[..15].to_vec(), Discard::PacketLength),
        ("more addresses than bytes", changed(&V3, 3, 3), Discard::PacketLength),
        ("trailing bytes in v3", changed(&V3, 3, 1), Discard::PacketLength),
        ("v2 without authentication data", changed(&V2[..12], 3, 1), Discard::PacketLength),
        ("v2 with bytes beyond it", changed(&[&V2[..], &[0; 2]].concat(), 3, 1), Discard::PacketLength),
        ("version 4", changed(&V3, 0, 0x41), Discard::Version),
        ("type 2", changed(&V3, 0, 0x32), Discard::Type),
        ("vrid 0", changed(&V3, 1, 0), Discard::UnknownVrid),
        ("no address in v3", changed(&V3[..8], 3, 0), Discard::AddressList),
        ("interval 0 in v3", changed(&V3, 5, 0), Discard::Interval),
        ("interval 0 in v2", changed(&V2, 5, 0), Discard::Interval),
        ("authentication header", changed(&V2, 4, 2), Discard::AuthTypeMismatch),
        ("authentication type 3", changed(&V2, 4, 3), Discard::InvalidAuthType),
    ];
    for (name, message, reason) in cases {
        assert_eq!(parse(&message), Err(reason), "{name}");
    }
    for golden in [V2.as_slice(), V3.as_slice()] {
        assert_eq!(Advert::parse(golden, 254, SOURCE, TO_ALL), Err(Discard::Ttl));
        let mut damaged = golden.to_vec();
        damaged[2] ^= 1;
        assert_eq!(parse(&damaged), Err(Discard::Checksum));
    }
    assert_eq!(
        Advert::parse(&V3, 255, IpAddr::V4(Ipv4Addr::new(10, 77, 0, 12)), TO_ALL),
        Err(Discard::Checksum)
    );
}

#[test]
fn checks_against_the_own_router() {
    let second = AdvertInterval::from_seconds(1).unwrap();
    let two = AdvertInterval::from_seconds(2).unwrap();
    let auth = Some(SimpleAuth::new("standfst"));
    assert_eq!(v2().check(Version::V2, second, auth), Ok(()));
    assert_eq!(v2().check(Version::V3, second, auth), Err(Discard::Version));
    assert_eq!(v2().check(Version::V2, two, auth), Err(Discard::Interval));
    assert_eq!(v2().check(Version::V2, second, None), Err(Discard::AuthTypeMismatch));
    assert_eq!(v2().check(Version::V2, second, Some(SimpleAuth::new("other"))), Err(Discard::AuthFailure));
    assert_eq!(
        Advert { auth: None, ..v2() }.check(Version::V2, second, auth),
        Err(Discard::AuthTypeMismatch)
    );
    assert_eq!(v3().check(Version::V3, second, auth), Ok(()), "version 3 adopts the sender's interval");
}

#[test]
fn passwords_are_cut_filled_and_never_printed() {
    assert_eq!(SimpleAuth::new("abc").0, *b"abc\0\0\0\0\0");
    assert_eq!(SimpleAuth::new("standfast").0, *b"standfas");
    assert_eq!(format!("{:?}", SimpleAuth::new("secret")), "SimpleAuth(..)");
}

#[test]
fn ipv4_headers() {
    let mut packet = vec![0x45, 0xc0, 0, 36, 0, 1, 0, 0, 255, 112, 0, 0, 10, 77, 0, 11, 224, 0, 0, 18];
    packet.extend_from_slice(&V3);
    let parsed = Ipv4Packet::parse(&packet).unwrap();
    assert_eq!((parsed.ttl, parsed.source, parsed.destination), (255, Ipv4Addr::new(10, 77, 0, 11), GROUP));
    assert_eq!(parsed.payload, V3);
    packet.extend_from_slice(&[0; 10]);
    assert_eq!(Ipv4Packet::parse(&packet).unwrap().payload, V3, "padding of the frame is no payload");
    for (at, to, reason) in [
        (0, 0x65, Discard::Version),
        (0, 0x44, Discard::PacketLength),
        (3, 19, Discard::PacketLength),
        (2, 1, Discard::PacketLength),
    ] {
        let mut wrong = packet.clone();
        wrong[at] = to;
        assert_eq!(Ipv4Packet::parse(&wrong), Err(reason));
    }
    assert_eq!(Ipv4Packet::parse(&packet[..19]), Err(Discard::PacketLength));
}

/// The fuzz target's property on 200,000 random, mutated and truncated packets: no panic, and what is accepted is
/// emitted to bytes that parse to the same advert.
#[test]
fn survives_random_bytes() {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let mut accepted = 0;
    for round in 0..200_000_u32 {
        let mut message = match round % 3 {
            0 => V2.to_vec(),
            1 => V3.to_vec(),
            _ => (0..next() % 64).map(|_| next().to_le_bytes()[0]).collect(),
        };
        for _ in 0..next() % 4 {
            let at = usize::try_from(next()).unwrap() % message.len().max(1);
            if let Some(byte) = message.get_mut(at) {
                *byte = next().to_le_bytes()[0];
            }
        }
        if next().is_multiple_of(4) {
            message.truncate(usize::try_from(next() % 24).unwrap());
        }
        if message.len() >= 8 && next().is_multiple_of(2) {
            resum(&mut message);
        }
        let _ = Ipv4Packet::parse(&message);
        let _ = Advert::parse(&message, 255, SOURCE_V6, TO_ALL_V6);
        if let Ok((advert, _)) = parse(&message) {
            accepted += 1;
            let mut buffer = [0; MAX_LENGTH];
            let again = advert.emit(SOURCE, TO_ALL, &mut buffer).unwrap();
            assert_eq!(parse(again), Ok((advert, Checksum::Usual)));
        }
    }
    assert!(accepted > 1_000, "only {accepted} packets were valid: the test has lost its aim");
}
