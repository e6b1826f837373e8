//! TLS material: the certificate shown to clients (made at first start), and what is trusted of backends.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeySize, OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, OaepPublicEncryptingKey};
use aws_lc_rs::rsa::{PrivateDecryptingKey, PublicEncryptingKey};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Why TLS material could not be had.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read or write {0}")]
    File(PathBuf, #[source] io::Error),
    #[error("{0} holds no usable PEM")]
    Pem(PathBuf, #[source] rustls::pki_types::pem::Error),
    #[error("cannot make a certificate")]
    Generate(#[from] rcgen::Error),
    #[error("TLS refuses the certificate, key or CA")]
    Rustls(#[from] rustls::Error),
    #[error("cannot make or read an RSA key")]
    Rsa,
}

/// TLS towards clients and administrators: `standfast-cert.pem` and `standfast-key.pem` in the data directory, made
/// (self-signed) when they are not there, and read again on [`ServerTls::reload`].
#[derive(Debug)]
pub struct ServerTls {
    cert: PathBuf,
    key: PathBuf,
    current: Arc<CurrentCertificate>,
    config: Arc<ServerConfig>,
}

/// What is shown to the next client.
#[derive(Debug)]
struct CurrentCertificate(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for CurrentCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl ServerTls {
    pub fn open(data_dir: &Path, host: &str) -> Result<ServerTls, TlsError> {
        let (cert, key) = (data_dir.join("standfast-cert.pem"), data_dir.join("standfast-key.pem"));
        if !cert.exists() || !key.exists() {
            let made = rcgen::generate_simple_self_signed(vec![host.to_owned(), "standfast".to_owned()])?;
            write_secret(&key, made.signing_key.serialize_pem().as_bytes())?;
            write_secret(&cert, made.cert.pem().as_bytes())?;
        }
        let current = Arc::new(CurrentCertificate(ArcSwap::from_pointee(certified_key(&cert, &key)?)));
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(current.clone());
        Ok(ServerTls { cert, key, current, config: Arc::new(config) })
    }

    /// It follows every reload.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.clone())
    }

    /// Reads both files again. Connections that are open keep what they were made with; after an error, so do new ones.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.current.0.store(Arc::new(certified_key(&self.cert, &self.key)?));
        Ok(())
    }
}

/// A chain and its key; a key that is another certificate's is an error.
fn certified_key(cert: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(cert)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|e| TlsError::Pem(key.to_owned(), e))?;
    Ok(CertifiedKey::from_der(chain, key, &provider())?)
}

/// What `mysql-ssl_p2s_ca`, `_cert` and `_key` say: paths of PEM files, each may be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    pub ca: String,
    /// Shown to backends that ask for a certificate.
    pub cert: String,
    pub key: String,
}

/// TLS towards backends. Clones of it follow each other.
#[derive(Clone)]
pub struct BackendTls(Arc<ArcSwap<Loaded>>);

struct Loaded {
    trust: Trust,
    connector: TlsConnector,
}

impl BackendTls {
    pub fn open(trust: &Trust) -> Result<BackendTls, TlsError> {
        let loaded = Loaded { trust: trust.clone(), connector: connector_with(trust)? };
        Ok(BackendTls(Arc::new(ArcSwap::from_pointee(loaded))))
    }

    /// For the next connection.
    pub fn connector(&self) -> TlsConnector {
        self.0.load().connector.clone()
    }

    /// Reads the files again; what is in use stays if they are no good.
    pub fn reload(&self) -> Result<(), TlsError> {
        let trust = self.0.load().trust.clone();
        let connector = connector_with(&trust)?;
        self.0.store(Arc::new(Loaded { trust, connector }));
        Ok(())
    }

    /// Takes other files if the variables name others now; one attempt for each change.
    pub fn follow(&self, trust: &Trust) {
        let loaded = self.0.load_full();
        if loaded.trust == *trust {
            return;
        }
        let connector = connector_with(trust).unwrap_or_else(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            tracing::error!(%error, cause, "mysql-ssl_p2s_*: TLS to backends stays as it was");
            loaded.connector.clone()
        });
        self.0.store(Arc::new(Loaded { trust: trust.clone(), connector }));
    }
}

/// Verified against the CA when one is set, else encrypted without proof of identity, as ProxySQL's `use_ssl=1`.
fn connector_with(trust: &Trust) -> Result<TlsConnector, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let builder = if trust.ca.is_empty() {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider())))
    } else {
        let mut roots = rustls::RootCertStore::empty();
        for cert in certificates(Path::new(&trust.ca))? {
            roots.add(cert)?;
        }
        builder.with_root_certificates(roots)
    };
    let config = if trust.cert.is_empty() || trust.key.is_empty() {
        builder.with_no_client_auth()
    } else {
        let key = PathBuf::from(&trust.key);
        let der = PrivateKeyDer::from_pem_file(&key).map_err(|e| TlsError::Pem(key, e))?;
        builder.with_client_auth_cert(certificates(Path::new(&trust.cert))?, der)?
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = |e| TlsError::Pem(path.to_owned(), e);
    CertificateDer::pem_file_iter(path).map_err(pem)?.collect::<Result<_, _>>().map_err(pem)
}

/// Writes a file that only its owner reads, whole or not at all.
pub fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), TlsError> {
    let failed = |e| TlsError::File(path.to_owned(), e);
    let partial = path.with_extension("partial");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&partial)
        .map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&partial, path).map_err(failed)
}

/// Accepts whatever certificate a backend shows, but still checks that it holds the key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// The key pair of caching_sha2_password's full authentication without TLS.
pub struct RsaKey {
    private: OaepPrivateDecryptingKey,
    public_pem: String,
}

impl RsaKey {
    /// A fresh 2048-bit key; takes some 100 ms, so it is made when the first client asks, off the query path.
    pub fn generate() -> Result<RsaKey, TlsError> {
        let private = PrivateDecryptingKey::generate(KeySize::Rsa2048).map_err(|_| TlsError::Rsa)?;
        let der: PublicKeyX509Der<'_> = private.public_key().as_der().map_err(|_| TlsError::Rsa)?;
        let public_pem = pem::encode(&pem::Pem::new("PUBLIC KEY", der.as_ref()));
        Ok(RsaKey { private: OaepPrivateDecryptingKey::new(private).map_err(|_| TlsError::Rsa)?, public_pem })
    }

    /// The public key as a client wants it (PEM, SubjectPublicKeyInfo).
    pub fn public_pem(&self) -> &str {
        &self.public_pem
    }

    /// Opens what a client sealed with the public key (OAEP with SHA-1); `None` when it was not.
    pub fn decrypt(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let mut out = vec![0; self.private.min_output_size()];
        self.private.decrypt(&OAEP_SHA1_MGF1SHA1, sealed, &mut out, None).ok().map(|plain| plain.to_vec())
    }
}

/// Seals `plain` with a server's PEM public key (OAEP with SHA-1); `None` when the key is not one.
pub fn rsa_encrypt(public_pem: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
    let der = rustls::pki_types::SubjectPublicKeyInfoDer::from_pem_slice(public_pem).ok()?;
    let key = OaepPublicEncryptingKey::new(PublicEncryptingKey::from_der(der.as_ref()).ok()?).ok()?;
    let mut out = vec![0; key.ciphertext_size()];
    key.encrypt(&OAEP_SHA1_MGF1SHA1, plain, &mut out, None).ok().map(|sealed| sealed.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_to_backends_follows_the_variables_and_survives_bad_files() {
        let dir = std::env::temp_dir().join(format!("standfast-trust-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let server = ServerTls::open(&dir, "test1").unwrap();
        let path = |name: &str| dir.join(name).display().to_string();
        let (cert, key) = (path("standfast-cert.pem"), path("standfast-key.pem"));
        let tls = BackendTls::open(&Trust::default()).unwrap();
        let config = |tls: &BackendTls| Arc::as_ptr(tls.connector().config());
        let (other, first) = (tls.clone(), config(&tls));
        let trust = Trust { ca: cert.clone(), cert, key };
        tls.follow(&trust);
        let second = config(&other);
        assert_ne!(first, second);
        assert!(other.connector().config().client_auth_cert_resolver.has_certs());
        tls.follow(&trust);
        assert_eq!(config(&other), second, "the same files are not read again by themselves");
        tls.reload().unwrap();
        let third = config(&other);
        assert_ne!(third, second);
        tls.follow(&Trust { ca: path("nothing"), ..Trust::default() });
        assert_eq!(config(&other), third);
        assert!(tls.reload().is_err());
        drop(server);
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_password_sealed_with_the_public_key_opens_again() {
        let key = RsaKey::generate().unwrap();
        let sealed = rsa_encrypt(key.public_pem().as_bytes(), b"secret\0").unwrap();
        assert_eq!(key.decrypt(&sealed).unwrap(), b"secret\0");
        assert!(key.decrypt(b"garbage").is_none());
        assert!(rsa_encrypt(b"not a key", b"x").is_none());
    }

    #[test]
    fn certificates_are_made_once_and_only_their_owner_reads_the_key() {
        use std::os::unix::fs::PermissionsExt;
        let dir = std::env::temp_dir().join(format!("standfast-tls-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        ServerTls::open(&dir, "test1").unwrap();
        let first = fs::read(dir.join("standfast-cert.pem")).unwrap();
        let tls = ServerTls::open(&dir, "test1").unwrap();
        assert_eq!(fs::read(dir.join("standfast-cert.pem")).unwrap(), first);
        let mode = fs::metadata(dir.join("standfast-key.pem")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        tls.reload().unwrap();
        let shown = || tls.current.0.load().cert.first().unwrap().to_vec();
        let before = shown();
        fs::write(dir.join("standfast-cert.pem"), "garbage").unwrap();
        tls.reload().unwrap_err();
        let other = rcgen::generate_simple_self_signed(vec!["other".to_owned()]).unwrap();
        fs::write(dir.join("standfast-cert.pem"), other.cert.pem()).unwrap();
        tls.reload().unwrap_err();
        assert_eq!(shown(), before, "the key is not that certificate's");
        fs::write(dir.join("standfast-key.pem"), other.signing_key.serialize_pem()).unwrap();
        tls.reload().unwrap();
        assert_eq!(shown(), other.cert.der().to_vec());
        fs::remove_dir_all(&dir).unwrap();
    }
}
