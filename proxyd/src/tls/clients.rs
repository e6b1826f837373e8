//! TLS towards clients and administrators: the certificate shown to them (made at first start), which versions are spoken,
//! and whose certificates of theirs are taken.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::pki_types::CertificateDer;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use super::{TlsError, certificates, choice, private_key, shared_provider, write_secret};

/// `standfast-cert.pem` and `standfast-key.pem` in the data directory, made (self-signed) when they are not there; and
/// `standfast-ca.pem`: with it, clients may show a certificate that it has signed.
#[derive(Debug)]
pub struct ServerTls {
    cert: PathBuf,
    key: PathBuf,
    ca: PathBuf,
    /// `mysql-tls_version`.
    versions: ArcSwap<String>,
    current: ClientTls,
}

/// What the next client is met with; follows every reload.
#[derive(Debug, Clone)]
pub struct ClientTls(Arc<ArcSwap<ServerConfig>>);

impl ClientTls {
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.0.load_full())
    }
}

impl ServerTls {
    pub fn open(data_dir: &Path, host: &str) -> Result<ServerTls, TlsError> {
        let path = |name: &str| data_dir.join(name);
        let (cert, key, ca) =
            (path("standfast-cert.pem"), path("standfast-key.pem"), path("standfast-ca.pem"));
        if !cert.exists() || !key.exists() {
            let made = rcgen::generate_simple_self_signed(vec![host.to_owned(), "standfast".to_owned()])?;
            write_secret(&key, made.signing_key.serialize_pem().as_bytes())?;
            write_secret(&cert, made.cert.pem().as_bytes())?;
        }
        let config = config(&cert, &key, &ca, "")?;
        let current = ClientTls(Arc::new(ArcSwap::from_pointee(config)));
        Ok(ServerTls { cert, key, ca, versions: ArcSwap::default(), current })
    }

    pub fn clients(&self) -> ClientTls {
        self.current.clone()
    }

    /// Reads the files again. Connections that are open keep what they were made with; after an error, so do new ones.
    pub fn reload(&self) -> Result<(), TlsError> {
        let config = config(&self.cert, &self.key, &self.ca, &self.versions.load())?;
        self.current.0.store(Arc::new(config));
        Ok(())
    }

    /// `mysql-tls_version` as it is now.
    pub fn follow(&self, versions: &str) {
        if **self.versions.load() == versions {
            return;
        }
        self.versions.store(Arc::new(versions.to_owned()));
        if let Err(error) = self.reload() {
            tracing::error!(error = error.in_full(), "mysql-tls_version: TLS to clients stays as it was");
        }
    }
}

fn config(cert: &Path, key: &Path, ca: &Path, versions: &str) -> Result<ServerConfig, TlsError> {
    let provider = shared_provider();
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&choice::versions(versions)?)?;
    let builder = match ca.exists() {
        false => builder.with_no_client_auth(),
        true => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(ca)? {
                roots.add(certificate)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.allow_unauthenticated().build()?)
        }
    };
    // A key that is another certificate's is an error.
    let mut config = builder.with_single_cert(certificates(cert)?, private_key(key)?)?;
    // Hardly a client of MySQL resumes a session, and each would pay for it: tickets made, sent in a write of their own, and
    // kept behind a lock that all workers share.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

/// Whether a certificate is for this URI.
pub fn names_uri(certificate: &CertificateDer<'_>, uri: &str) -> bool {
    let parsed = webpki::EndEntityCert::try_from(certificate);
    parsed.is_ok_and(|parsed| parsed.valid_uri_names().any(|name| name == uri))
}
