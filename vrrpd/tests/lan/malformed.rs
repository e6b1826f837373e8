//! Adverts as nobody should send them, to a master that must not care: every one is counted by its reason, none moves a VIP.
//!
//! `VRRPD_MALFORMED=N` sends more of them (1,000,000 at night).

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use serde_json::Value;
use socket2::{Domain, Protocol, Socket, Type};
use vrrpd::interval::AdvertInterval;
use vrrpd::packet::{Addresses, Advert, Discard, MAX_LENGTH, PROTOCOL, TTL, Version};
use vrrpd::priority::Priority;

use super::bed::{Lan, Wire, inside};

const FROM: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 12);
const TO: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 11);
/// Fewer than a socket's buffer holds.
const BATCH: u64 = 100;

/// xorshift64*, as in the simulator.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }
}

/// One packet that must be refused, and the TTL to send it with.
fn malformed(random: &mut Random) -> (Vec<u8>, u32) {
    let mut ttl = u32::from(TTL);
    let address = [[10, 77, 0, 88]];
    let mut advert = Advert {
        version: Version::V3,
        vrid: 51,
        priority: Priority(1),
        interval: AdvertInterval::nearest(Duration::from_millis(200)),
        addresses: Addresses::V4(&address),
        auth: None,
    };
    let mut buffer = [0; MAX_LENGTH];
    let kind = random.below(8);
    match kind {
        // Of another protocol version, and of a router that is not here: sound but for that.
        0 => advert.version = Version::V2,
        1 => advert.vrid = 52 + u8::try_from(random.below(100)).unwrap(),
        _ => {}
    }
    let mut packet = advert.emit(IpAddr::V4(FROM), IpAddr::V4(TO), &mut buffer).unwrap().to_vec();
    let place = usize::try_from(random.below(u64::try_from(packet.len()).unwrap())).unwrap();
    match kind {
        0 | 1 => {}
        2 => ttl = u32::try_from(1 + random.below(254)).unwrap(),
        3 => packet.truncate(place),
        4 => packet[0] = (packet[0] & 0xf0) | (2 + random.byte() % 14),
        5 => packet[0] = 0x41 + (random.byte() % 12) * 0x10,
        6 => packet[3] = packet[3].wrapping_add(1 + random.byte() % 254),
        _ => packet[place] ^= 1 << random.below(8),
    }
    (packet, ttl)
}

fn counters(lan: &Lan) -> Value {
    let status: Value = serde_json::from_str(&lan.ask(1, "status")).unwrap();
    status["counters"].clone()
}

fn refused(counters: &Value) -> u64 {
    Discard::ALL.iter().map(|reason| counters[reason.name()].as_u64().unwrap()).sum()
}

#[test]
fn malformed_adverts_are_counted_by_reason_and_move_nothing() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root for network namespaces");
        return;
    }
    let many = std::env::var("VRRPD_MALFORMED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000);
    let mut lan = Lan::new("x", Wire::V4, 2);
    lan.start(1);
    lan.wait_for(&[1]);
    let socket = inside(&lan.namespace(2), || {
        let protocol = Protocol::from(i32::from(PROTOCOL));
        Socket::new(Domain::IPV4, Type::RAW, Some(protocol)).unwrap()
    });
    let (mut random, mut sent) = (Random(0x9e37_79b9_7f4a_7c15), 0);
    while sent < many {
        for _ in 0..BATCH.min(many - sent) {
            let (packet, ttl) = malformed(&mut random);
            socket.set_ttl_v4(ttl).unwrap();
            socket.send_to(&packet, &SocketAddrV4::new(TO, 0).into()).unwrap();
            sent += 1;
        }
        let end = Instant::now() + Duration::from_secs(10);
        while refused(&counters(&lan)) < sent {
            assert!(Instant::now() < end, "{sent} sent: {}", counters(&lan));
        }
    }
    let counted = counters(&lan);
    assert_eq!(refused(&counted), sent, "{counted}");
    assert_eq!((counted["advert_rcvd"].as_u64(), counted["release_master"].as_u64()), (Some(0), Some(0)));
    for reason in ["packet_len_err", "ip_ttl_err", "version_err", "invalid_type_rcvd", "checksum_err"] {
        assert!(counted[reason].as_u64() > Some(sent / 100), "{reason}: {counted}");
    }
    assert_eq!(lan.holders(), [1]);
}
