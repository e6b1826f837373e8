//! Any packet at all: `cargo fuzz run advert`. The same property runs for a moment in the crate's own tests.
#![no_main]

use std::net::{IpAddr, Ipv6Addr};

use libfuzzer_sys::fuzz_target;
use vrrpd::packet::{Advert, Checksum, GROUP_V6, Ipv4Packet, MAX_LENGTH, TTL};

fuzz_target!(|bytes: &[u8]| {
    there_and_back(bytes, Ipv6Addr::LOCALHOST.into(), GROUP_V6.into());
    let Ok(packet) = Ipv4Packet::parse(bytes) else { return };
    there_and_back(packet.payload, packet.source.into(), packet.destination.into());
});

fn there_and_back(message: &[u8], source: IpAddr, destination: IpAddr) {
    let Ok((advert, _)) = Advert::parse(message, TTL, source, destination) else { return };
    let mut buffer = [0xa5; MAX_LENGTH];
    let again = advert.emit(source, destination, &mut buffer).expect("what was parsed fits");
    assert_eq!(Advert::parse(again, TTL, source, destination), Ok((advert, Checksum::Usual)));
}
