//! Golden bytes, in both directions: what real servers and clients send, typed in from their documentation.

use proxyd_wire::handshake::{
    AuthMoreData, AuthSwitchRequest, ChangeUser, ClientHello, Greeting, HandshakeResponse, HelloError,
    SslRequest,
};
use proxyd_wire::response::{ColumnDefinition, TYPE_VAR_STRING, parse_text_row, put_text_row};
use proxyd_wire::{Capabilities, EofPacket, ErrPacket, Malformed, OkPacket, Status};

const C41: Capabilities = Capabilities::PROTOCOL_41;

#[test]
fn ok() {
    let plain = OkPacket {
        affected_rows: 251,
        last_insert_id: 1,
        status: Status::AUTOCOMMIT,
        warnings: 3,
        info: b"hi".to_vec(),
        session_track: Vec::new(),
    };
    let bytes = b"\x00\xfc\xfb\x00\x01\x02\x00\x03\x00\x02hi";
    assert_eq!(plain.encode(C41), bytes);
    assert_eq!(OkPacket::parse(bytes, C41), Ok(plain.clone()));
    // As the documentation has it for clients without SESSION_TRACK.
    let unsized_info = b"\x00\xfc\xfb\x00\x01\x02\x00\x03\x00hi";
    assert_eq!(OkPacket::parse(unsized_info, C41), Ok(plain.clone()));

    let track = C41 | Capabilities::SESSION_TRACK;
    let tracked = OkPacket {
        status: Status::AUTOCOMMIT | Status::SESSION_STATE_CHANGED,
        session_track: b"\x01\x05\x04shop".to_vec(),
        ..plain
    };
    let bytes = b"\x00\xfc\xfb\x00\x01\x02\x40\x03\x00\x02hi\x07\x01\x05\x04shop";
    assert_eq!(tracked.encode(track), bytes);
    assert_eq!(OkPacket::parse(bytes, track), Ok(tracked));
    assert_eq!(OkPacket::default().encode_end(track), b"\xfe\x00\x00\x00\x00\x00\x00");
}

#[test]
fn err_with_and_without_sqlstate() {
    let error = ErrPacket::new(1045, b"28000", "Access denied");
    let bytes = b"\xff\x15\x04#28000Access denied";
    assert_eq!(error.encode(), bytes);
    assert_eq!(ErrPacket::parse(bytes), Ok(error.clone()));
    assert_eq!(error.to_string(), "1045 (28000): Access denied");
    let early = ErrPacket::parse(b"\xff\x10\x04Too many connections");
    assert_eq!(early, Ok(ErrPacket::new(1040, b"HY000", "Too many connections")));
}

#[test]
fn eof() {
    let packet = EofPacket { warnings: 1, status: Status::AUTOCOMMIT | Status::MORE_RESULTS_EXISTS };
    assert_eq!(packet.encode(), b"\xfe\x01\x00\x0a\x00");
    assert_eq!(EofPacket::parse(b"\xfe\x01\x00\x0a\x00"), Ok(packet));
}

#[test]
fn column_definition_and_row() {
    let column = ColumnDefinition {
        schema: "shop".into(),
        table: "o".into(),
        org_table: "orders".into(),
        name: "n".into(),
        org_name: "name".into(),
        collation: 45,
        length: 1024,
        kind: TYPE_VAR_STRING,
        flags: 1,
        decimals: 0,
    };
    let bytes =
        b"\x03def\x04shop\x01o\x06orders\x01n\x04name\x0c\x2d\x00\x00\x04\x00\x00\xfd\x01\x00\x00\x00\x00";
    assert_eq!(column.encode(), bytes);
    assert_eq!(ColumnDefinition::parse(bytes), Ok(column));

    let mut out = Vec::new();
    put_text_row(&mut out, &[Some(b"ab"), None, Some(b"")]);
    assert_eq!(out, b"\x02ab\xfb\x00");
    assert_eq!(parse_text_row(&out, 3), Ok(vec![Some(&b"ab"[..]), None, Some(b"")]));
    assert_eq!(parse_text_row(&out, 2), Err(Malformed::TrailingBytes));
    assert_eq!(parse_text_row(&out, 9), Err(Malformed::Truncated));
}

#[test]
fn greeting_of_mysql() {
    let greeting = Greeting {
        server_version: "8.0.11".into(),
        thread_id: 0x0102_0304,
        nonce: *b"abcdefghijklmnopqrst",
        capabilities: C41
            | Capabilities::LONG_PASSWORD
            | Capabilities::SECURE_CONNECTION
            | Capabilities::PLUGIN_AUTH
            | Capabilities::DEPRECATE_EOF,
        collation: 255,
        status: Status::AUTOCOMMIT,
        plugin: "caching_sha2_password".into(),
    };
    let bytes = b"\x0a8.0.11\0\x04\x03\x02\x01abcdefgh\0\x01\x82\xff\x02\x00\x08\x01\x15\0\0\0\0\0\0\0\0\0\0\
        ijklmnopqrst\0caching_sha2_password\0";
    assert_eq!(greeting.encode(), bytes);
    assert_eq!(Greeting::parse(bytes), Ok(greeting));
}

#[test]
fn greeting_of_mariadb() {
    let bytes = b"\x0a5.5.5-10.11.6-MariaDB\0\x2a\0\0\0abcdefgh\0\xfe\xf7\x2d\x02\x00\xff\x81\x15\0\0\0\0\0\0\x1d\0\0\0\
        ijklmnopqrst\0mysql_native_password\0";
    let greeting = Greeting::parse(bytes).unwrap();
    assert_eq!((greeting.server_version.as_str(), greeting.thread_id), ("10.11.6-MariaDB", 42));
    assert_eq!(greeting.capabilities.mariadb(), 0x1d);
    assert!(greeting.capabilities.contains(Capabilities::MARIADB_STMT_BULK_OPERATIONS));
    assert!(!greeting.capabilities.contains(Capabilities::LONG_PASSWORD));
    let again = Greeting { server_version: "5.5.5-10.11.6-MariaDB".into(), ..greeting };
    assert_eq!(again.encode(), bytes);
}

fn hello() -> HandshakeResponse {
    HandshakeResponse {
        capabilities: C41
            | Capabilities::LONG_PASSWORD
            | Capabilities::SECURE_CONNECTION
            | Capabilities::CONNECT_WITH_DB
            | Capabilities::PLUGIN_AUTH
            | Capabilities::CONNECT_ATTRS,
        max_packet: 1 << 24,
        collation: 45,
        user: "app".into(),
        auth_response: b"token".to_vec(),
        database: Some("shop".into()),
        plugin: "mysql_native_password".into(),
        attributes: vec![("k".into(), "v".into())],
        zstd_level: None,
    }
}

#[test]
fn handshake_response() {
    let front = b"\x09\x82\x18\x00\x00\x00\x00\x01\x2d\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let rest = b"app\0\x05tokenshop\0mysql_native_password\0\x04\x01k\x01v";
    let bytes = [&front[..], rest].concat();
    assert_eq!(hello().encode(), bytes);
    assert_eq!(ClientHello::parse(&bytes), Ok(ClientHello::Response(hello())));
    // A client may leave the last NUL out, and the attributes too.
    let bytes = [&front[..], b"app\0\x05tokenshop\0mysql_native_password"].concat();
    let short = HandshakeResponse { attributes: Vec::new(), ..hello() };
    assert_eq!(ClientHello::parse(&bytes), Ok(ClientHello::Response(short)));
}

#[test]
fn ssl_request() {
    let capabilities = C41 | Capabilities::SSL | Capabilities::LONG_PASSWORD;
    let request = SslRequest { capabilities, max_packet: 1 << 24, collation: 45 };
    let bytes = b"\x01\x0a\x00\x00\x00\x00\x00\x01\x2d\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    assert_eq!(request.encode(), bytes);
    assert_eq!(ClientHello::parse(bytes), Ok(ClientHello::SslRequest(request)));
}

#[test]
fn old_clients_and_long_names_are_refused() {
    assert_eq!(ClientHello::parse(b"\x85\x24\0\0\0old\0"), Err(HelloError::OldProtocol));
    assert_eq!(ClientHello::parse(b""), Err(HelloError::Malformed(Malformed::Truncated)));
    let long = HandshakeResponse { user: "u".repeat(2000), ..hello() };
    assert_eq!(ClientHello::parse(&long.encode()), Err(HelloError::Malformed(Malformed::TooMany)));
    let many = HandshakeResponse { attributes: vec![("k".into(), "v".repeat(70_000))], ..hello() };
    assert_eq!(ClientHello::parse(&many.encode()), Err(HelloError::Malformed(Malformed::TooMany)));
}

#[test]
fn change_user() {
    let change = ChangeUser {
        user: "app".into(),
        auth_response: b"token".to_vec(),
        database: None,
        collation: 45,
        plugin: "mysql_native_password".into(),
        attributes: Vec::new(),
    };
    let bytes = b"\x11app\0\x05token\0\x2d\0mysql_native_password\0";
    let capabilities = C41 | Capabilities::PLUGIN_AUTH;
    assert_eq!(change.encode(capabilities), bytes);
    assert_eq!(ChangeUser::parse(bytes, capabilities), Ok(change));
}

#[test]
fn auth_switch_and_more_data() {
    let switch =
        AuthSwitchRequest { plugin: "mysql_native_password".into(), data: b"abcdefghijklmnopqrst".to_vec() };
    let bytes = b"\xfemysql_native_password\0abcdefghijklmnopqrst\0";
    assert_eq!(switch.encode(), bytes);
    assert_eq!(AuthSwitchRequest::parse(bytes), Ok(switch));
    assert_eq!(AuthSwitchRequest::parse(b"\xfe").unwrap().plugin, "mysql_old_password");
    assert_eq!(AuthMoreData(&[3]).encode(), b"\x01\x03");
    assert_eq!(AuthMoreData::parse(b"\x01\x03"), Ok(AuthMoreData(&[3])));
}

#[test]
fn every_cut_of_a_packet_is_refused_or_read_but_never_a_panic() {
    let whole = hello().encode();
    for end in 0..whole.len() {
        let _ = ClientHello::parse(&whole[..end]);
    }
    let greeting = b"\x0a8.0.11\0\x04\x03\x02\x01abcdefgh\0\x01\x82\xff\x02\x00\x08\x01\x15\0\0\0\0\0\0\0\0\0\0ijklmnopqrst\0";
    for end in 0..greeting.len() - 1 {
        assert!(Greeting::parse(&greeting[..end]).is_err());
    }
}
