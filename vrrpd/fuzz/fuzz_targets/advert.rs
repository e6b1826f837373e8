//! Any packet at all: `cargo fuzz run advert`. The same property runs for a moment in the crate's own tests.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vrrpd::packet::{Advert, Checksum, Ipv4Packet, MAX_LENGTH, TTL};

fuzz_target!(|bytes: &[u8]| {
    let Ok(packet) = Ipv4Packet::parse(bytes) else { return };
    let parsed = Advert::parse(packet.payload, TTL, packet.source, packet.destination);
    let Ok((advert, _)) = parsed else { return };
    let mut buffer = [0xa5; MAX_LENGTH];
    let again = advert.emit(packet.source, packet.destination, &mut buffer).expect("what was parsed fits");
    let reparsed = Advert::parse(again, TTL, packet.source, packet.destination);
    assert_eq!(reparsed, Ok((advert, Checksum::Usual)));
});
