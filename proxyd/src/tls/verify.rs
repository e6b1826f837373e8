//! How much is asked of a backend's certificate.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

/// Asks for less than rustls does, but always that the server holds the key of what it shows.
#[derive(Debug)]
pub(super) enum Lenient {
    /// Any certificate: the connection is private, but nobody knows with whom.
    Anybody(Arc<CryptoProvider>),
    /// One that the CA has signed and nobody revoked, for whatever name (MySQL's VERIFY_CA).
    AnyName(Arc<dyn ServerCertVerifier>),
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Lenient::AnyName(strict) = self else { return Ok(ServerCertVerified::assertion()) };
        // The name is the last thing that is looked at.
        match strict.verify_server_cert(certificate, chain, name, ocsp, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match self {
            Lenient::Anybody(provider) => verify_tls12_signature(
                message,
                certificate,
                signed,
                &provider.signature_verification_algorithms,
            ),
            Lenient::AnyName(strict) => strict.verify_tls12_signature(message, certificate, signed),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match self {
            Lenient::Anybody(provider) => verify_tls13_signature(
                message,
                certificate,
                signed,
                &provider.signature_verification_algorithms,
            ),
            Lenient::AnyName(strict) => strict.verify_tls13_signature(message, certificate, signed),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        match self {
            Lenient::Anybody(provider) => provider.signature_verification_algorithms.supported_schemes(),
            Lenient::AnyName(strict) => strict.supported_verify_schemes(),
        }
    }
}
