//! `tls_version` and `ssl_cipher`, in the words of MySQL and OpenSSL, as what rustls takes.

use rustls::crypto::CryptoProvider;
use rustls::{CipherSuite, SupportedCipherSuite, SupportedProtocolVersion};

use super::{TlsError, provider};

/// OpenSSL's names of the ciphers that are spoken here before TLS 1.3; those of TLS 1.3 have IANA's.
const OPENSSL_NAMES: [(&str, CipherSuite); 6] = [
    ("ECDHE-ECDSA-AES256-GCM-SHA384", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-ECDSA-AES128-GCM-SHA256", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-ECDSA-CHACHA20-POLY1305", CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("ECDHE-RSA-AES256-GCM-SHA384", CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-RSA-AES128-GCM-SHA256", CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-RSA-CHACHA20-POLY1305", CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];

/// The versions that a list such as `TLSv1.2,TLSv1.3` allows; nothing allows all. Older ones are spoken nowhere here, and
/// are passed over where the list has a newer one too.
pub(super) fn versions(list: &str) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
    let mut allowed = Vec::new();
    for word in list.split([',', ':']).map(str::trim).filter(|word| !word.is_empty()) {
        match word.to_ascii_lowercase().as_str() {
            "tlsv1.2" => allowed.push(&rustls::version::TLS12),
            "tlsv1.3" => allowed.push(&rustls::version::TLS13),
            "tlsv1" | "tlsv1.0" | "tlsv1.1" => {}
            _ => return Err(TlsError::Version(word.to_owned())),
        }
    }
    match (allowed.is_empty(), list.trim().is_empty()) {
        (true, true) => Ok(rustls::ALL_VERSIONS.to_vec()),
        (true, false) => Err(TlsError::Version(list.to_owned())),
        (false, _) => Ok(allowed),
    }
}

/// A provider with only the ciphers of an OpenSSL list (`A:B:C`). As in MySQL, a list without a cipher of TLS 1.3 says
/// nothing about TLS 1.3. Names that are not known here are passed over.
pub(super) fn with_ciphers(list: &str) -> Result<CryptoProvider, TlsError> {
    let mut provider = provider();
    if list.trim().is_empty() {
        return Ok(provider);
    }
    let names: Vec<String> = list.split([':', ',']).map(|name| name.trim().to_ascii_uppercase()).collect();
    let is_named = |suite: &SupportedCipherSuite| names.iter().any(|name| is_called(suite.suite(), name));
    let is_tls13 = |suite: &SupportedCipherSuite| suite.tls13().is_some();
    let chosen: Vec<_> = provider.cipher_suites.iter().copied().filter(is_named).collect();
    if chosen.is_empty() {
        return Err(TlsError::Cipher(list.to_owned()));
    }
    let names_tls13 = chosen.iter().any(is_tls13);
    provider.cipher_suites.retain(|suite| is_named(suite) || (is_tls13(suite) && !names_tls13));
    Ok(provider)
}

fn is_called(suite: CipherSuite, name: &str) -> bool {
    let iana = suite.as_str().map(|known| known.replacen("TLS13_", "TLS_", 1));
    iana.is_some_and(|known| known == name) || OPENSSL_NAMES.contains(&(name, suite))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_a_list() {
        let count = |list: &str| versions(list).unwrap().len();
        assert_eq!((count(""), count("TLSv1.3"), count("TLSv1.1,TLSv1.2, tlsv1.3")), (2, 1, 2));
        assert!(versions("TLSv1.1").is_err() && versions("SSLv3,TLSv1.3").is_err());
    }

    #[test]
    fn ciphers_have_the_names_of_openssl() {
        let suites = |list: &str| -> Vec<String> {
            let provider = with_ciphers(list).unwrap();
            provider.cipher_suites.iter().map(|suite| format!("{:?}", suite.suite())).collect()
        };
        let old = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256";
        assert_eq!(suites("").len(), provider().cipher_suites.len());
        let mixed = suites("ECDHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES128-SHA");
        assert_eq!(mixed.iter().filter(|name| !name.starts_with("TLS13_")).collect::<Vec<_>>(), [old]);
        assert_eq!(mixed.len(), 4);
        assert_eq!(suites("TLS_AES_128_GCM_SHA256"), ["TLS13_AES_128_GCM_SHA256"]);
        assert!(with_ciphers("DHE-RSA-AES128-SHA").is_err());
    }
}
