//! What the fuzz targets run, so that the ordinary tests can run the same for a moment.
//!
//! Each function takes any bytes and must come back. It is public for the targets, and of no use to anyone else.

use crate::attributed::Attributed;
use crate::auth::{Plugin, Secret};
use crate::handshake::{AuthMoreData, AuthSwitchRequest, ChangeUser, ClientHello, Greeting};
use crate::response::{
    AnswerCollector, ColumnDefinition, Description, EofPacket, ErrPacket, Expect, OkPacket, ResponseTracker,
    parse_text_row, session_track,
};
use crate::{Capabilities, Request, Status, client, compression, execute, frame, proxy_header, server};

/// The two sets of capabilities that parsers branch on most.
fn capabilities(choice: u8) -> Capabilities {
    if choice & 1 == 0 { Capabilities::PROTOCOL_41 } else { Capabilities::all() }
}

/// Every parser of a single packet.
pub fn packets(bytes: &[u8]) {
    for choice in 0..2 {
        let capabilities = capabilities(choice);
        let _ = Request::parse(bytes, capabilities);
        let _ = ChangeUser::parse(bytes, capabilities);
        if let Ok((id, described)) = Description::parse(bytes, capabilities) {
            let again = described.answer(id, Status::empty(), capabilities);
            assert_eq!(Description::parse(&again, capabilities), Ok((id, described)));
        }
        if let Ok(ok) = OkPacket::parse(bytes, capabilities) {
            session_track::changes(&ok.session_track).for_each(drop);
            let _ = OkPacket::parse(&ok.encode(capabilities), capabilities);
        }
    }
    if let Ok(execute::Types::Relied { flag_at }) = execute::types(bytes, 9) {
        let typed = execute::with_types(bytes, flag_at, &[0; 18]);
        assert_eq!(execute::types(&typed, 9), Ok(execute::Types::Sent(&[0; 18])));
    }
    if let Ok(Some(found)) = Attributed::parse(bytes, 9) {
        let plain = found.plain(bytes, &[0; 18], |_| false);
        assert_eq!(execute::types(&plain, 9), Ok(execute::Types::Sent(&[0; 18])));
        if found.relies() {
            let typed = found.with_types(bytes, &[0; 18]);
            assert!(Attributed::parse(&typed, 9).is_ok_and(|typed| typed.is_some_and(|it| !it.relies())));
        }
    }
    let _ = ClientHello::parse(bytes);
    let _ = Greeting::parse(bytes);
    let _ = AuthSwitchRequest::parse(bytes);
    let _ = AuthMoreData::parse(bytes);
    let _ = ErrPacket::parse(bytes);
    let _ = EofPacket::parse(bytes);
    let _ = ColumnDefinition::parse(bytes);
    let _ = parse_text_row(bytes, bytes.first().copied().unwrap_or(0).into());
    session_track::changes(bytes).for_each(drop);
    let _ = proxy_header::find(bytes);
    let _ = crate::auth::sha2::verify_hash(b"short", bytes.get(..8).unwrap_or_default());
}

/// Frames, and a response in two pieces: the tracker must find the same end as in one.
pub fn streams(bytes: &[u8]) {
    let [choice, cut, stream @ ..] = bytes else { return };
    if let Ok(frame::Located::Complete { framed, .. }) = frame::locate(stream, 1 << 20) {
        let _ = frame::payload(stream.get(..framed).unwrap_or_default());
    }
    for algorithm in [compression::Algorithm::Zlib, compression::Algorithm::Zstd { level: 1 }] {
        let mut plain = Vec::new();
        let _ = compression::unpack(stream, algorithm, &mut plain);
        let mut packed = Vec::new();
        compression::pack(stream, algorithm, &mut 0, &mut packed);
        plain.clear();
        let unpacked = compression::unpack(&packed, algorithm, &mut plain);
        assert!(stream.is_empty() || unpacked.is_ok() && plain == stream);
    }
    let (mut numbers, mut at) = (compression::Numbers::default(), 0);
    while let Some((index, _)) = numbers.next(stream, &mut at) {
        assert!(index < stream.len());
    }
    assert!(compression::commands(stream).flatten().eq(stream));
    let mut collector = AnswerCollector::new(capabilities(*choice), 1 << 20);
    for payload in stream.chunks(usize::from(*cut).max(1)) {
        if !matches!(collector.on(payload), Ok(None)) {
            break;
        }
    }
    let expects =
        [Expect::Results, Expect::Prepare, Expect::FieldList, Expect::Fetch, Expect::Simple, Expect::Text];
    let expect = expects.get(usize::from(choice >> 1) % expects.len()).copied().unwrap_or(Expect::Nothing);
    let tracker = || ResponseTracker::new(expect, capabilities(*choice));
    let at_once = tracker().scan(stream);
    let (front, back) = stream.split_at(usize::from(*cut).min(stream.len()));
    let mut pieces = tracker();
    let in_two = match pieces.scan(front) {
        Ok(scan) if scan.done.is_none() => {
            pieces.scan(back).map(|scan| (front.len() + scan.consumed, scan.done))
        }
        other => other.map(|scan| (scan.consumed, scan.done)),
    };
    assert_eq!(at_once.map(|scan| (scan.consumed, scan.done)), in_two);
}

/// Both login machines, fed with packets cut from the bytes.
pub fn logins(bytes: &[u8]) {
    let [choice, piece, stream @ ..] = bytes else { return };
    let mut server = server::Login::new(server::Config {
        server_version: "8.0".into(),
        thread_id: 1,
        nonce: [b'n'; 20],
        capabilities: Capabilities::all(),
        collation: 45,
        default_plugin: Plugin::CachingSha2,
        tls_available: choice & 1 == 1,
        is_local: choice & 8 == 8,
        public_key_pem: Some("PEM".into()),
        peer_host: String::new(),
    });
    let hash = || server::Credential::Sha2 { hash: Vec::new(), cached: None };
    let credentials = [Some(hash()), None, Some(server::Credential::Native([7; 20]))];
    for payload in stream.chunks(usize::from(*piece).max(1)) {
        let mut step = server.on(payload);
        if step == server::Step::NeedCredential {
            let credential = credentials.get(usize::from(choice >> 1) % 3).cloned().flatten();
            step = server.credential(credential);
        }
        if let server::Step::NeedRsaDecrypt(plain) = step {
            step = server.decrypted(Some(plain));
        }
        assert!(!matches!(step, server::Step::Accept { .. }), "nobody knows a password here");
    }
    let mut client = client::Login::new(client::Config {
        user: "u".into(),
        secret: Secret::Password("p".into()),
        database: None,
        collation: 45,
        tls: client::Tls::Preferred,
        capabilities: Capabilities::all(),
        max_packet: 1 << 24,
        attributes: Vec::new(),
        compress: true,
    });
    for payload in stream.chunks(usize::from(*piece).max(1)) {
        if let Ok(client::Step::SendThenTls(_)) = client.on(payload) {
            let _ = client.tls_started();
        }
    }
}
