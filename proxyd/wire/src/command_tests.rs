use super::*;

const NONE: Capabilities = Capabilities::empty();

#[test]
fn every_byte_is_its_own_command_or_none() {
    for byte in 0..=255u8 {
        match Command::from_byte(byte) {
            Some(command) => assert_eq!(command as u8, byte),
            None => assert!(byte > 0x1f),
        }
    }
}

#[test]
fn arguments_golden() {
    let table: [(&[u8], Request<'_>); 14] = [
        (b"\x01", Request::Quit),
        (b"\x02shop", Request::InitDb(b"shop")),
        (b"\x03SELECT 1", Request::Query(Query { text: b"SELECT 1", attributes: b"", attribute_count: 0 })),
        (b"\x04orders\0%", Request::FieldList { table: b"orders", wildcard: b"%" }),
        (b"\x0c\x01\x02\0\0", Request::ProcessKill { thread_id: 513 }),
        (b"\x0e", Request::Ping),
        (b"\x11", Request::ChangeUser),
        (b"\x16SELECT ?", Request::StmtPrepare(b"SELECT ?")),
        (b"\x17\x07\0\0\0\x01\x01\0\0\0", Request::StmtExecute { statement: 7, cursor: 1 }),
        (b"\x18\x07\0\0\0\x02\0abc", Request::StmtSendLongData { statement: 7, parameter: 2, data: b"abc" }),
        (b"\x19\x07\0\0\0", Request::StmtClose { statement: 7 }),
        (b"\x1b\x01\0", Request::SetOption(1)),
        (b"\x1c\x07\0\0\0\x0a\0\0\0", Request::StmtFetch { statement: 7, rows: 10 }),
        (b"\x63", Request::Unknown(0x63)),
    ];
    for (bytes, request) in table {
        assert_eq!(Request::parse(bytes, NONE), Ok(request));
    }
}

#[test]
fn short_arguments_are_refused() {
    for bytes in [&b""[..], b"\x0c\x01", b"\x17\x07\0\0\0", b"\x1c\x07\0\0\0\x01", b"\x1b"] {
        assert_eq!(Request::parse(bytes, NONE), Err(Malformed::Truncated));
    }
}

#[test]
fn query_attributes_are_stepped_over() {
    let caps = Capabilities::QUERY_ATTRIBUTES;
    let text = |bytes| match Request::parse(bytes, caps) {
        Ok(Request::Query(query)) => (query.text, query.attributes.len(), query.attribute_count),
        other => panic!("{other:?}"),
    };
    assert_eq!(text(b"\x03\x00\x01SELECT 1"), (&b"SELECT 1"[..], 2, 0));
    // Two attributes: n = 5 (BIGINT), and a NULL string.
    let two = b"\x03\x02\x01\x02\x01\x08\x00\x01n\xfd\x00\x01s\x05\0\0\0\0\0\0\0SELECT 2";
    assert_eq!(text(two), (&b"SELECT 2"[..], 20, 2));
}

#[test]
fn more_attributes_than_bytes_are_refused() {
    let bytes = b"\x03\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01SELECT 1";
    assert_eq!(Request::parse(bytes, Capabilities::QUERY_ATTRIBUTES), Err(Malformed::TooMany));
}
