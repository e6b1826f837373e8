//! TLS material: what is shown to clients ([`clients`]), what is trusted of backends ([`backends`]), the RSA key of
//! logins without TLS ([`rsa`]). Reads files; opens no socket.

mod backends;
mod choice;
mod clients;
mod rsa;
mod verify;

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

pub use backends::{BackendTls, Connector, ServerParams, TlsParams, WantedTls};
pub use clients::{ClientTls, ServerTls, names_uri};
pub use rsa::{RsaKey, rsa_encrypt};

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
    #[error("no certificate can be checked with this CA or these revocation lists")]
    Verifier(#[from] rustls::client::VerifierBuilderError),
    #[error("{0} is no version of TLS that is spoken here (TLSv1.2, TLSv1.3)")]
    Version(String),
    #[error("{0} names no cipher that is spoken here")]
    Cipher(String),
    #[error("a key without a certificate, or a certificate without a key")]
    HalfAPair,
    #[error("cannot make or read an RSA key")]
    Rsa,
}

impl TlsError {
    /// The error and what it came from, in one line.
    pub fn in_full(&self) -> String {
        match std::error::Error::source(self) {
            Some(cause) => format!("{self}: {cause}"),
            None => self.to_string(),
        }
    }
}

fn provider() -> CryptoProvider {
    rustls::crypto::aws_lc_rs::default_provider()
}

fn shared_provider() -> Arc<CryptoProvider> {
    Arc::new(provider())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    all_of(path)
}

/// Every section of this kind in a PEM file; none at all is an error.
fn all_of<T: PemObject>(path: &Path) -> Result<Vec<T>, TlsError> {
    let pem = |error| TlsError::Pem(path.to_owned(), error);
    let all = T::pem_file_iter(path).map_err(pem)?.collect::<Result<Vec<_>, _>>().map_err(pem)?;
    match all.is_empty() {
        true => Err(pem(rustls::pki_types::pem::Error::NoItemsFound)),
        false => Ok(all),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| TlsError::Pem(path.to_owned(), error))
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

#[cfg(test)]
mod tests;
