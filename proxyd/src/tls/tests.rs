use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ServerConnection};

use super::*;

/// A directory of PEM files, gone at the end.
struct Files(PathBuf);

impl Files {
    fn new(name: &str) -> Files {
        let dir = std::env::temp_dir().join(format!("standfast-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Files(dir)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    fn write(&self, name: &str, pem: &str) -> String {
        fs::write(self.0.join(name), pem).unwrap();
        self.path(name)
    }

    /// A CA `NAME-ca.pem`, and `NAME.pem`, `NAME-key.pem` for this name or URI, signed by it.
    fn authority(&self, name: &str, subject: &str) -> rcgen::CertifiedIssuer<'static, rcgen::KeyPair> {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
        let ca = rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().unwrap()).unwrap();
        self.write(&format!("{name}-ca.pem"), &ca.pem());
        let mut leaf = rcgen::CertificateParams::new(Vec::new()).unwrap();
        let text = subject.try_into().unwrap();
        leaf.subject_alt_names = vec![match subject.contains(':') {
            true => rcgen::SanType::URI(text),
            false => rcgen::SanType::DnsName(text),
        }];
        leaf.serial_number = Some(7u64.into());
        let key = rcgen::KeyPair::generate().unwrap();
        self.write(&format!("{name}.pem"), &leaf.signed_by(&key, &ca).unwrap().pem());
        self.write(&format!("{name}-key.pem"), &key.serialize_pem());
        ca
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A handshake in memory; the server's side of it at the end.
fn shake(
    connector: &Connector,
    acceptor: &tokio_rustls::TlsAcceptor,
) -> Result<ServerConnection, rustls::Error> {
    let name = ServerName::try_from("db1").unwrap();
    let mut client = ClientConnection::new(connector.tls.config().clone(), name).unwrap();
    let mut server = ServerConnection::new(acceptor.config().clone()).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        server.read_tls(&mut bytes.as_slice()).unwrap();
        server.process_new_packets()?;
        bytes.clear();
        server.write_tls(&mut bytes).unwrap();
        client.read_tls(&mut bytes.as_slice()).unwrap();
        client.process_new_packets()?;
    }
    Ok(server)
}

fn wanted(default: TlsParams) -> WantedTls {
    WantedTls { default, verify_identity: true, ..WantedTls::default() }
}

/// A server that shows `NAME.pem`.
fn server(files: &Files, name: &str) -> tokio_rustls::TlsAcceptor {
    fs::copy(files.path(&format!("{name}.pem")), files.path("standfast-cert.pem")).unwrap();
    fs::copy(files.path(&format!("{name}-key.pem")), files.path("standfast-key.pem")).unwrap();
    ServerTls::open(&files.0, "test1").unwrap().clients().acceptor()
}

#[test]
fn tls_to_backends_follows_the_configuration_and_survives_bad_files() {
    let files = Files::new("trust");
    files.authority("a", "db1");
    let tls = BackendTls::open(&WantedTls::default());
    let config = |tls: &BackendTls| Arc::as_ptr(tls.connector("db1", 3306, "u").unwrap().tls.config());
    let (other, first) = (tls.clone(), config(&tls));
    let good = wanted(TlsParams {
        ca: files.path("a-ca.pem"),
        cert: files.path("a.pem"),
        key: files.path("a-key.pem"),
        ..TlsParams::default()
    });
    tls.follow(&good);
    let second = config(&other);
    assert_ne!(first, second);
    let connector = other.connector("db1", 3306, "u").unwrap();
    assert!(connector.required && connector.tls.config().client_auth_cert_resolver.has_certs());
    tls.follow(&good);
    assert_eq!(config(&other), second, "the same files are not read again by themselves");
    tls.reload().unwrap();
    let third = config(&other);
    assert_ne!(third, second);
    let bad = wanted(TlsParams { ca: files.path("nothing"), ..TlsParams::default() });
    assert!(bad.problems()[0].starts_with("mysql-ssl_p2s_*: "), "{:?}", bad.problems());
    tls.follow(&bad);
    assert_eq!(config(&other), third);
    assert!(tls.reload().is_err());
    assert!(BackendTls::open(&bad).connector("db1", 3306, "u").is_err(), "nothing good was ever there");
}

#[test]
fn a_row_speaks_for_its_server_and_user() {
    let files = Files::new("rows");
    files.authority("a", "db1");
    let row = |user: &str, ca: &str| ServerParams {
        hostname: "db1".into(),
        port: 3306,
        user: user.into(),
        params: TlsParams { ca: ca.into(), ..TlsParams::default() },
    };
    let ca = files.path("a-ca.pem");
    let mut all = WantedTls { servers: vec![row("", &ca), row("loose", "")], ..WantedTls::default() };
    let tls = BackendTls::open(&all);
    let required = |host: &str, user: &str| tls.connector(host, 3306, user).map(|found| found.required);
    assert_eq!(required("db1", "app"), Ok(true));
    assert_eq!(required("db1", "loose"), Ok(false));
    assert_eq!(required("db2", "app"), Ok(false));
    all.servers[1].params.ca = "/nowhere".into();
    all.servers.push(row("new", "/nowhere"));
    tls.follow(&all);
    assert_eq!(required("db1", "loose"), Ok(false), "its last good one");
    assert!(required("db1", "new").unwrap_err().contains("mysql_servers_ssl_params"));
    assert!(all.problems()[0].contains("db1:3306 for user 'loose'"), "{:?}", all.problems());
}

#[test]
fn a_server_is_asked_for_as_much_as_is_configured() {
    let files = Files::new("verify");
    let ca = files.authority("a", "db1");
    files.authority("b", "db1");
    files.authority("named", "elsewhere");
    let named_ca = files.path("named-ca.pem");
    let connector = |params: TlsParams, verify_identity| {
        let wanted = WantedTls { default: params, verify_identity, ..WantedTls::default() };
        BackendTls::open(&wanted).connector("db1", 3306, "u").unwrap()
    };
    let with_ca = |ca: String| TlsParams { ca, ..TlsParams::default() };
    let shown = server(&files, "a");
    assert!(shake(&connector(TlsParams::default(), true), &shown).is_ok());
    assert!(shake(&connector(with_ca(files.path("a-ca.pem")), true), &shown).is_ok());
    assert!(shake(&connector(with_ca(files.path("b-ca.pem")), false), &shown).is_err());
    let shown = server(&files, "named");
    assert!(shake(&connector(with_ca(named_ca.clone()), true), &shown).is_err(), "it has another name");
    assert!(shake(&connector(with_ca(named_ca), false), &shown).is_ok());

    let authorities = Files::new("capath");
    authorities.write("notes.txt", "not a certificate");
    fs::copy(files.path("a-ca.pem"), authorities.path("a.pem")).unwrap();
    let capath = authorities.0.display().to_string();
    let by_path = TlsParams { capath, ..TlsParams::default() };
    let shown = server(&files, "a");
    assert!(shake(&connector(by_path.clone(), true), &shown).is_ok());
    let only_13 = TlsParams { version: "TLSv1.3".into(), ..by_path.clone() };
    let server_13 = shake(&connector(only_13, true), &shown).unwrap();
    assert_eq!(server_13.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    let now = rcgen::date_time_ymd(2020, 1, 1);
    let list = rcgen::CertificateRevocationListParams {
        this_update: now,
        next_update: rcgen::date_time_ymd(4000, 1, 1),
        crl_number: 1u64.into(),
        issuing_distribution_point: None,
        revoked_certs: vec![rcgen::RevokedCertParams {
            serial_number: 7u64.into(),
            revocation_time: now,
            reason_code: None,
            invalidity_date: None,
        }],
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    };
    let crl = files.write("crl.pem", &list.signed_by(&ca).unwrap().pem().unwrap());
    assert!(shake(&connector(TlsParams { crl, ..by_path }, true), &shown).is_err(), "it is revoked");
}

#[test]
fn clients_may_show_a_certificate_of_our_ca() {
    let files = Files::new("clients");
    let uri = "spiffe://example/app";
    files.authority("app", uri);
    files.authority("other", "db1");
    let show = |name: &str| {
        let default = TlsParams {
            cert: files.path(&format!("{name}.pem")),
            key: files.path(&format!("{name}-key.pem")),
            ..TlsParams::default()
        };
        BackendTls::open(&WantedTls { default, ..WantedTls::default() }).connector("db1", 1, "u").unwrap()
    };
    let tls = ServerTls::open(&files.0, "test1").unwrap();
    let clients = tls.clients();
    assert!(shake(&show("app"), &clients.acceptor()).unwrap().peer_certificates().is_none(), "not asked for");
    fs::copy(files.path("app-ca.pem"), files.path("standfast-ca.pem")).unwrap();
    tls.reload().unwrap();
    let shown = shake(&show("app"), &clients.acceptor()).unwrap();
    let certificate = &shown.peer_certificates().unwrap()[0];
    assert!(names_uri(certificate, uri) && !names_uri(certificate, "spiffe://example/other"));
    let nobody = BackendTls::open(&WantedTls::default()).connector("db1", 1, "u").unwrap();
    assert!(shake(&nobody, &clients.acceptor()).unwrap().peer_certificates().is_none());
    assert!(shake(&show("other"), &clients.acceptor()).is_err(), "another CA's");
    tls.follow("TLSv1.3");
    let old = TlsParams { version: "TLSv1.2".into(), ..TlsParams::default() };
    let old = BackendTls::open(&wanted(old)).connector("db1", 1, "u").unwrap();
    assert!(shake(&old, &clients.acceptor()).is_err());
}

#[test]
fn certificates_are_made_once_and_only_their_owner_reads_the_key() {
    use std::os::unix::fs::PermissionsExt;
    let files = Files::new("tls");
    ServerTls::open(&files.0, "test1").unwrap();
    let first = fs::read(files.path("standfast-cert.pem")).unwrap();
    let tls = ServerTls::open(&files.0, "test1").unwrap();
    assert_eq!(fs::read(files.path("standfast-cert.pem")).unwrap(), first);
    let mode = fs::metadata(files.path("standfast-key.pem")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    tls.reload().unwrap();
    let config = || Arc::as_ptr(tls.clients().acceptor().config());
    let before = config();
    fs::write(files.path("standfast-cert.pem"), "garbage").unwrap();
    tls.reload().unwrap_err();
    let other = rcgen::generate_simple_self_signed(vec!["other".to_owned()]).unwrap();
    fs::write(files.path("standfast-cert.pem"), other.cert.pem()).unwrap();
    tls.reload().unwrap_err();
    assert_eq!(config(), before, "the key is not that certificate's");
    fs::write(files.path("standfast-key.pem"), other.signing_key.serialize_pem()).unwrap();
    tls.reload().unwrap();
    assert_ne!(config(), before);
}
