//! The fuzz targets' bodies, for a moment, on random bytes and on real packets with random bytes in them.

use proptest::prelude::*;
use proxyd_wire::frame;
use proxyd_wire::fuzz::{logins, packets, streams};
use proxyd_wire::handshake::HandshakeResponse;
use proxyd_wire::response::{ColumnDefinition, text_resultset};
use proxyd_wire::{Capabilities, OkPacket, Status};

fn seeds() -> Vec<Vec<u8>> {
    let rows = [vec![Some("a".to_owned()), None]];
    let columns = [ColumnDefinition::text("a"), ColumnDefinition::integer("b")];
    let mut ok = Vec::new();
    let packet = OkPacket { session_track: b"\x01\x05\x04shop".to_vec(), ..OkPacket::default() };
    frame::write(&mut ok, &mut 1, &packet.encode(Capabilities::all()));
    let hello = HandshakeResponse {
        capabilities: Capabilities::all() - Capabilities::SSL,
        user: "app".into(),
        auth_response: vec![1; 32],
        plugin: "caching_sha2_password".into(),
        ..HandshakeResponse::default()
    };
    vec![
        text_resultset(&columns, &rows, Status::AUTOCOMMIT, Capabilities::all()),
        text_resultset(&columns, &rows, Status::MORE_RESULTS_EXISTS, Capabilities::empty()),
        ok,
        hello.encode(),
        b"\x0a8.0.11\0\x04\x03\x02\x01abcdefgh\0\x01\x82\xff\x02\x00\x08\x01\x15\0\0\0\0\0\0\0\0\0\0ijklmnopqrst\0".to_vec(),
        b"\x03\x02\x01\x02\x01\x08\x00\x01n\xfd\x00\x01s\x05\0\0\0\0\0\0\0SELECT 2".to_vec(),
    ]
}

/// Random bytes, or a real packet with some bytes overwritten, after two bytes of choices.
fn input() -> impl Strategy<Value = Vec<u8>> {
    let mutated = (prop::sample::select(seeds()), prop::collection::vec((any::<u16>(), any::<u8>()), 0..4));
    let mutated = mutated.prop_map(|(mut seed, changes)| {
        for (at, byte) in changes {
            let at = usize::from(at) % seed.len();
            seed[at] = byte;
        }
        seed
    });
    let body = prop_oneof![prop::collection::vec(any::<u8>(), 0..300), mutated];
    (any::<[u8; 2]>(), body).prop_map(|(choices, body)| [&choices[..], &body].concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn on_any_bytes(bytes in input()) {
        packets(&bytes[2..]);
        packets(&bytes);
        streams(&bytes);
        logins(&bytes);
    }
}
