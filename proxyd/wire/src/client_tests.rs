//! The client's machine against scripted servers, and against this crate's own server machine.

use super::*;
use crate::auth::native::{stage1, stage2};
use crate::server;

const NONCE_BYTES: [u8; NONCE] = *b"abcdefghijklmnopqrst";

fn config(secret: Secret) -> Config {
    Config {
        user: "app".into(),
        secret,
        database: Some("shop".into()),
        collation: 45,
        tls: Tls::Disabled,
        capabilities: Capabilities::SESSION_TRACK | Capabilities::LONG_PASSWORD,
        max_packet: 1 << 24,
        attributes: vec![("_client_name".into(), "standfast".into())],
        compress: false,
    }
}

fn password(text: &str) -> Secret {
    Secret::Password(text.into())
}

fn greeting(plugin: &str, extra: Capabilities) -> Vec<u8> {
    Greeting {
        server_version: "5.5.5-10.11.19-MariaDB".into(),
        thread_id: 42,
        nonce: NONCE_BYTES,
        capabilities: Capabilities::PROTOCOL_41
            | Capabilities::SECURE_CONNECTION
            | Capabilities::PLUGIN_AUTH
            | extra,
        collation: 45,
        status: Status::AUTOCOMMIT,
        plugin: plugin.into(),
    }
    .encode()
}

/// Lets both machines of this crate talk; true when both think that the login succeeded.
fn meet(secret: Secret, plugin: server::Credential, default: Plugin, tls: Tls) -> Result<bool, LoginError> {
    let mut server = server::Login::new(server::Config {
        server_version: "8.0.11".into(),
        thread_id: 42,
        nonce: NONCE_BYTES,
        capabilities: Capabilities::all(),
        collation: 45,
        default_plugin: default,
        tls_available: true,
        is_local: false,
        public_key_pem: Some("PEM".into()),
        peer_host: "127.0.0.1".into(),
    });
    let mut client = Login::new(Config { tls, ..config(secret) });
    let mut step = client.on(&server.greeting())?;
    for _ in 0..10 {
        let sent = match step {
            Step::Connected(connected) => return Ok(connected.thread_id == 42),
            Step::SendThenTls(request) => {
                assert_eq!(server.on(&request), server::Step::StartTls);
                step = client.tls_started()?;
                continue;
            }
            Step::NeedRsaEncrypt { pem, plain } => {
                assert_eq!(pem, "PEM");
                step = client.encrypted([plain, vec![0; 256]].concat())?;
                continue;
            }
            Step::Send(sent) => sent,
            Step::Wait => panic!("nobody speaks"),
        };
        let mut answer = server.on(&sent);
        loop {
            answer = match answer {
                server::Step::NeedCredential => server.credential(Some(plugin.clone())),
                server::Step::NeedRsaDecrypt(mut bytes) => {
                    bytes.truncate(bytes.len() - 256);
                    server.decrypted(Some(bytes))
                }
                server::Step::NeedHashCheck(_) => server.hash_checked(true),
                server::Step::Send(payload) => break step = client.on(&payload)?,
                server::Step::Refuse(error) => break step = client.on(&error.encode())?,
                server::Step::StartTls => panic!("TLS is asked for by an SSL request"),
                server::Step::Accept { before_ok } => {
                    if let Some(payload) = before_ok {
                        assert_eq!(client.on(&payload)?, Step::Wait);
                    }
                    let ok = OkPacket { status: Status::AUTOCOMMIT, ..OkPacket::default() };
                    break step = client.on(&ok.encode(server.client().capabilities))?;
                }
            };
        }
    }
    Ok(false)
}

#[test]
fn both_machines_of_this_crate_agree() {
    let hash = || server::Credential::Sha2 { hash: b"$A$005$".to_vec(), cached: None };
    let native = || server::Credential::Native(stage2(&stage1(b"secret")));
    let clear = || server::Credential::Clear("secret".into());
    for default in [Plugin::NativePassword, Plugin::CachingSha2] {
        for tls in [Tls::Disabled, Tls::Preferred, Tls::Required] {
            for stored in [hash(), native(), clear()] {
                assert_eq!(meet(password("secret"), stored, default, tls), Ok(true));
            }
            assert_eq!(meet(Secret::NativeStage1(stage1(b"secret")), native(), default, tls), Ok(true));
            let wrong = meet(password("wrong"), clear(), default, tls);
            assert!(matches!(wrong, Err(LoginError::Refused(error)) if error.code == 1045));
            let unable = meet(Secret::NativeStage1(stage1(b"secret")), hash(), default, tls);
            assert_eq!(unable, Err(LoginError::PasswordUnknown("caching_sha2_password")));
        }
    }
}

#[test]
fn what_the_server_lacks_is_not_used() {
    let mut login = Login::new(config(password("secret")));
    let Ok(Step::Send(sent)) = login.on(&greeting("mysql_native_password", Capabilities::empty())) else {
        panic!()
    };
    let Ok(crate::handshake::ClientHello::Response(sent)) = crate::handshake::ClientHello::parse(&sent)
    else {
        panic!()
    };
    let must = Capabilities::PROTOCOL_41 | Capabilities::SECURE_CONNECTION | Capabilities::PLUGIN_AUTH;
    assert_eq!(sent.capabilities, must);
    assert_eq!(sent.database, None);
    let Ok(Step::Connected(connected)) = login.on(&OkPacket::default().encode(must)) else { panic!() };
    assert_eq!((connected.thread_id, connected.server_version.as_str()), (42, "10.11.19-MariaDB"));
}

#[test]
fn a_server_is_not_trusted_with_the_password_for_the_asking() {
    let mut login = Login::new(config(password("secret")));
    login.on(&greeting("mysql_native_password", Capabilities::empty())).unwrap();
    let switch = AuthSwitchRequest { plugin: "client_ed25519".into(), data: vec![7; 32] };
    let signed = crate::auth::ed25519::sign(b"secret", &[7; 32]).to_vec();
    assert_eq!(login.on(&switch.encode()), Ok(Step::Send(signed)));
    let switch = AuthSwitchRequest { plugin: "mysql_clear_password".into(), data: Vec::new() };
    assert_eq!(login.on(&switch.encode()), Err(LoginError::Plugin("mysql_clear_password".into())));
    let mut login = Login::new(Config { tls: Tls::Required, ..config(password("secret")) });
    let plain = greeting("caching_sha2_password", Capabilities::empty());
    assert_eq!(login.on(&plain), Err(LoginError::TlsNotOffered));
}

#[test]
fn a_refusal_in_place_of_a_greeting_is_told() {
    let bytes = b"\xff\x10\x04Too many connections";
    let error = ErrPacket::new(1040, b"HY000", "Too many connections");
    assert_eq!(Login::new(config(password("x"))).on(bytes), Err(LoginError::Refused(error)));
}

#[test]
fn what_is_out_of_turn_is_an_error() {
    let mut login = Login::new(config(password("x")));
    assert_eq!(login.tls_started(), Err(LoginError::OutOfTurn));
    assert_eq!(login.encrypted(Vec::new()), Err(LoginError::OutOfTurn));
    assert!(login.on(&[]).is_err());
}
