use super::*;
use crate::auth::native::{stage1, stage2};

const NONCE_BYTES: [u8; NONCE] = *b"abcdefghijklmnopqrst";
const HASH: &[u8] = b"$A$005$saltstringsaltstring";

fn config() -> Config {
    Config {
        server_version: "8.0.11".into(),
        thread_id: 7,
        nonce: NONCE_BYTES,
        capabilities: Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA | Capabilities::LONG_PASSWORD,
        collation: 45,
        default_plugin: Plugin::CachingSha2,
        tls_available: true,
        is_local: false,
        public_key_pem: Some("PEM".into()),
        peer_host: "127.0.0.1".into(),
    }
}

fn response(plugin: &str, auth_response: &[u8]) -> Vec<u8> {
    let plugins = if plugin.is_empty() { Capabilities::empty() } else { Capabilities::PLUGIN_AUTH };
    HandshakeResponse {
        capabilities: Capabilities::PROTOCOL_41
            | Capabilities::SECURE_CONNECTION
            | Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA
            | Capabilities::LONG_PASSWORD
            | plugins,
        user: "app".into(),
        auth_response: auth_response.to_vec(),
        plugin: plugin.into(),
        ..HandshakeResponse::default()
    }
    .encode()
}

fn native_token(password: &str) -> Vec<u8> {
    native::token(&stage1(password.as_bytes()), &NONCE_BYTES).to_vec()
}

fn sha2_token(password: &str) -> Vec<u8> {
    sha2::token(password.as_bytes(), &NONCE_BYTES).to_vec()
}

fn clear(password: &str) -> Option<Credential> {
    Some(Credential::Clear(password.into()))
}

/// A login after the client's first answer and the look-up of the user.
fn after(plugin: &str, answer: &[u8], credential: Option<Credential>) -> (Login, Step) {
    let mut login = Login::new(config());
    assert_eq!(login.on(&response(plugin, answer)), Step::NeedCredential);
    assert_eq!(login.user(), "app");
    let step = login.credential(credential);
    (login, step)
}

fn switch_to(plugin: Plugin) -> Step {
    Step::Send([&[0xfe][..], plugin.name().as_bytes(), &[0], &NONCE_BYTES, &[0]].concat())
}

fn denied(step: &Step) -> bool {
    matches!(step, Step::Refuse(error) if error.code == 1045 && &error.sqlstate == b"28000")
}

const ACCEPT: Step = Step::Accept { before_ok: None };

fn accept_fast() -> Step {
    Step::Accept { before_ok: Some(vec![1, 3]) }
}

#[test]
fn a_clear_password_is_checked_by_the_clients_own_plugin() {
    let (login, step) = after("caching_sha2_password", &sha2_token("secret"), clear("secret"));
    assert_eq!(step, accept_fast());
    assert_eq!(login.learned(), Some(&Secret::Password("secret".into())));
    assert_eq!(after("mysql_native_password", &native_token("secret"), clear("secret")).1, ACCEPT);
    assert_eq!(after("", &native_token("secret"), clear("secret")).1, ACCEPT);
    assert_eq!(after("", b"", clear("")).1, ACCEPT);
    assert_eq!(after("caching_sha2_password", &[0], clear("")).1, ACCEPT);
}

#[test]
fn a_wrong_password_an_empty_one_and_no_user_look_alike() {
    for plugin in ["caching_sha2_password", "mysql_native_password", ""] {
        let token =
            if plugin == "caching_sha2_password" { sha2_token("wrong") } else { native_token("wrong") };
        let wrong = after(plugin, &token, clear("secret")).1;
        assert!(denied(&wrong));
        assert_eq!(wrong, after(plugin, &token, None).1);
        let empty = after(plugin, b"", clear("secret")).1;
        assert!(denied(&empty) || empty == switch_to(Plugin::NativePassword));
        assert_eq!(empty, after(plugin, b"", None).1);
        assert!(denied(&after(plugin, &token, clear("")).1));
    }
}

#[test]
fn an_unknown_plugin_is_switched_from() {
    let (mut login, step) = after("client_ed25519", b"whatever", clear("secret"));
    assert_eq!(step, switch_to(Plugin::CachingSha2));
    assert_eq!(login.on(&sha2_token("secret")), accept_fast());
    let (mut login, step) = after("mysql_clear_password", b"secret\0", None);
    assert_eq!(step, switch_to(Plugin::CachingSha2));
    assert!(denied(&login.on(&sha2_token("secret"))));
}

#[test]
fn a_native_hash_switches_to_native_and_yields_stage1() {
    let stored = || Some(Credential::Native(stage2(&stage1(b"secret"))));
    let (mut login, step) = after("caching_sha2_password", &sha2_token("secret"), stored());
    assert_eq!(step, switch_to(Plugin::NativePassword));
    assert_eq!(login.on(&native_token("secret")), ACCEPT);
    assert_eq!(login.learned(), Some(&Secret::NativeStage1(stage1(b"secret"))));
    assert!(denied(&after("mysql_native_password", &native_token("wrong"), stored()).1));
}

fn stored_sha2(cached: Option<CachedHash>) -> Option<Credential> {
    Some(Credential::Sha2 { hash: HASH.to_vec(), cached })
}

#[test]
fn a_sha2_hash_needs_the_password_once() {
    let cached = Some(sha2::cached_hash(b"secret"));
    assert_eq!(after("caching_sha2_password", &sha2_token("secret"), stored_sha2(cached)).1, accept_fast());

    let (mut login, step) = after("mysql_native_password", &native_token("secret"), stored_sha2(None));
    assert_eq!(step, switch_to(Plugin::CachingSha2));
    assert_eq!(login.on(&sha2_token("secret")), Step::Send(vec![1, 4]));
    assert_eq!(login.on(&[2]), Step::Send(b"\x01PEM".to_vec()));
    assert_eq!(login.on(&[9; 256]), Step::NeedRsaDecrypt(vec![9; 256]));
    let mut plain = b"secret\0".to_vec();
    sha2::xor_nonce(&mut plain, &NONCE_BYTES);
    let Step::NeedHashCheck(check) = login.decrypted(Some(plain)) else { panic!() };
    assert_eq!(check, HashCheck { password: b"secret".to_vec(), hash: HASH.to_vec() });
    assert_eq!(login.hash_checked(true), ACCEPT);
    assert_eq!(login.learned(), Some(&Secret::Password("secret".into())));
}

#[test]
fn an_empty_password_is_never_that_of_a_sha2_hash() {
    for answer in [&b""[..], b"\0"] {
        assert!(denied(&after("caching_sha2_password", answer, stored_sha2(None)).1));
    }
}

#[test]
fn the_public_key_may_come_with_the_credential() {
    let mut login = Login::new(Config { public_key_pem: None, ..config() });
    login.on(&response("caching_sha2_password", &sha2_token("secret")));
    login.set_public_key(Some("LATE".into()));
    assert_eq!(login.credential(stored_sha2(None)), Step::Send(vec![1, 4]));
    assert_eq!(login.on(&[2]), Step::Send(b"\x01LATE".to_vec()));
}

#[test]
fn a_password_in_the_clear_is_taken_under_tls_only() {
    for tls in [false, true] {
        let mut login = Login::new(config());
        if tls {
            let request = SslRequestFor::bytes();
            assert_eq!(login.on(&request), Step::StartTls);
        }
        login.on(&response("caching_sha2_password", &sha2_token("secret")));
        assert_eq!(login.credential(stored_sha2(None)), Step::Send(vec![1, 4]));
        let step = login.on(b"secret\0");
        assert_eq!(matches!(step, Step::NeedHashCheck(_)), tls);
        assert_eq!(denied(&step), !tls);
        if tls {
            assert!(denied(&login.hash_checked(false)));
            assert_eq!(login.learned(), None);
        }
    }
}

struct SslRequestFor;

impl SslRequestFor {
    fn bytes() -> Vec<u8> {
        let capabilities = Capabilities::PROTOCOL_41 | Capabilities::SSL | Capabilities::LONG_PASSWORD;
        crate::handshake::SslRequest { capabilities, max_packet: 1 << 24, collation: 45 }.encode()
    }
}

#[test]
fn tls_is_started_once_and_only_if_there_is_a_certificate() {
    let mut login = Login::new(config());
    assert_eq!(login.on(&SslRequestFor::bytes()), Step::StartTls);
    assert_eq!(login.on(&SslRequestFor::bytes()), Step::Refuse(bad_handshake()));
    let mut login = Login::new(Config { tls_available: false, ..config() });
    assert_eq!(login.on(&SslRequestFor::bytes()), Step::Refuse(bad_handshake()));
}

#[test]
fn change_user_starts_at_the_look_up() {
    let change = ChangeUser {
        user: "app".into(),
        auth_response: native_token("secret"),
        plugin: "mysql_native_password".into(),
        ..ChangeUser::default()
    };
    let capabilities = Capabilities::PROTOCOL_41 | Capabilities::PLUGIN_AUTH;
    let (mut login, step) = Login::change_user(config(), capabilities, false, change);
    assert_eq!(step, Step::NeedCredential);
    assert_eq!(login.credential(clear("secret")), ACCEPT);
}

#[test]
fn what_is_out_of_turn_is_refused() {
    let (mut login, _) = after("caching_sha2_password", &sha2_token("secret"), clear("secret"));
    assert_eq!(login.on(b"x"), Step::Refuse(out_of_turn()));
    assert_eq!(login.credential(None), Step::Refuse(out_of_turn()));
    assert_eq!(login.decrypted(None), Step::Refuse(out_of_turn()));
    assert_eq!(login.hash_checked(true), Step::Refuse(out_of_turn()));
    assert_eq!(Login::new(config()).on(b"\x05\x00"), Step::Refuse(old_protocol()));
    assert_eq!(Login::new(config()).on(b"\x05\x02"), Step::Refuse(bad_handshake()));
}

#[test]
fn a_nonce_has_no_nul() {
    let nonce = nonce_from([0, 0x80, 0xff, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(nonce[..4], [1, 1, 0x7f, 5]);
}
