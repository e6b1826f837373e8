//! The RSA key pair of caching_sha2_password's full authentication without TLS, and the use of a server's.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeySize, OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, OaepPublicEncryptingKey};
use aws_lc_rs::rsa::{PrivateDecryptingKey, PublicEncryptingKey};
use rustls::pki_types::pem::PemObject;

use super::TlsError;

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
    fn a_password_sealed_with_the_public_key_opens_again() {
        let key = RsaKey::generate().unwrap();
        let sealed = rsa_encrypt(key.public_pem().as_bytes(), b"secret\0").unwrap();
        assert_eq!(key.decrypt(&sealed).unwrap(), b"secret\0");
        assert!(key.decrypt(b"garbage").is_none());
        assert!(rsa_encrypt(b"not a key", b"x").is_none());
    }
}
