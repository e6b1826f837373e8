//! Events as MySQL 9.7 writes them, and noise.

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn anything(mut head: Vec<u8>, kind in prop::sample::select(&[GTID, GTID_TAGGED, 2][..])) {
        let _ = parse(&head);
        if let Some(byte) = head.get_mut(5) {
            *byte = kind;
        }
        if let Some(byte) = head.first_mut() {
            *byte = 0;
        }
        let _ = parse(&head);
    }
}

/// A packet of a dump with an event of a log.
fn packet(hex: &str) -> Vec<u8> {
    let bytes =
        hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap());
    std::iter::once(0).chain(bytes).collect()
}

const UNTAGGED: &str = "7eca016b21010000004f000000fe010000000000ba9a56d6e5ca11f1935702fc00000001020000000000000002010000\
                        00000000000200000000000000f2db1014cc6006fc110150620100e72823b0";
const TAGGED: &str = "7eca016b2a0100000052000000260400000000027600000002e9026902ac59039503290322c5034d02ae04f1030000000204\
                      08060a6d7974616708040a100c7f80e21014cc60061051041283120bfec512d4";

#[test]
fn transactions_with_and_without_a_tag() {
    for (event, gtid) in [
        (UNTAGGED, "ba9a56d6-e5ca-11f1-9357-02fc00000001:2"),
        (TAGGED, "ba9a56d6-e5ca-11f1-9357-02fc00000001:mytag:2"),
    ] {
        assert_eq!(parse(&packet(event)), Ok(Packet::Gtid(gtid.parse().unwrap())));
        for length in 0..packet(event).len() - 40 {
            // Whatever is cut off, it is refused or is no transaction.
            assert_ne!(parse(&packet(event)[..length]), Ok(Packet::Other), "{length}");
        }
    }
}

#[test]
fn what_else_comes() {
    let heartbeat = packet(&format!("00000000{:02x}{}", 27, "00".repeat(14)));
    assert_eq!(parse(&heartbeat), Ok(Packet::Other));
    assert_eq!(parse(&[0xfe, 0, 0, 2, 0]), Ok(Packet::End));
    assert!(matches!(parse(b"\xff\xd4\x04#HY000lost"), Ok(Packet::Refused(error)) if error.code == 1236));
    assert_eq!(parse(b""), Err(Malformed::Truncated.into()));
    assert_eq!(parse(b"\x01"), Err(Malformed::UnexpectedByte(1).into()));
}
