//! caching_sha2_password: fast authentication by a cached hash, full authentication by the password itself (under
//! TLS, or hidden by XOR with the nonce and RSA-OAEP, which is the caller's).
//!
//! Fast token = SHA256(password) XOR SHA256(SHA256(SHA256(password)) + nonce).

use sha2::{Digest, Sha256};

use super::{equal, sha256_crypt, xor};
use crate::handshake::NONCE;

/// SHA256(SHA256(password)): what a server caches to check fast tokens.
pub type CachedHash = [u8; 32];

/// Server, inside AuthMoreData: the token was right, OK follows.
pub const FAST_AUTH_OK: u8 = 0x03;
/// Server, inside AuthMoreData: send the password.
pub const FULL_AUTH: u8 = 0x04;
/// Client, alone in a packet: send me the public key.
pub const REQUEST_PUBLIC_KEY: u8 = 0x02;

pub fn cached_hash(password: &[u8]) -> CachedHash {
    Sha256::digest(Sha256::digest(password)).into()
}

/// The fast token. An empty password is answered with nothing: the caller's case.
pub fn token(password: &[u8], nonce: &[u8; NONCE]) -> [u8; 32] {
    xor(Sha256::digest(password).into(), mask(nonce, &cached_hash(password)))
}

/// Checks a fast token.
pub fn verify(token: &[u8], nonce: &[u8; NONCE], cached: &CachedHash) -> bool {
    let Ok(token) = <[u8; 32]>::try_from(token) else { return false };
    let candidate: [u8; 32] = Sha256::digest(xor(token, mask(nonce, cached))).into();
    equal(&candidate, cached)
}

fn mask(nonce: &[u8; NONCE], cached: &CachedHash) -> [u8; 32] {
    Sha256::new().chain_update(cached).chain_update(nonce).finalize().into()
}

/// XOR with the nonce, repeated: done before RSA encryption and undone after decryption.
pub fn xor_nonce(bytes: &mut [u8], nonce: &[u8; NONCE]) {
    bytes.iter_mut().zip(nonce.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
}

/// MySQL's own limit; what is longer is nobody's password, and would cost its square in time to check.
const MAX_PASSWORD: usize = 256;

/// Checks a password against `$A$005$` + 20 bytes of salt + 43 characters, as `mysql.user` has it. This takes
/// milliseconds of CPU: 1000 rounds for each unit of the three hexadecimal digits, 5000 by default.
pub fn verify_hash(password: &[u8], stored: &[u8]) -> bool {
    let Some(hash) = StoredHash::parse(stored) else { return false };
    password.len() <= MAX_PASSWORD
        && equal(&sha256_crypt::digest(password, hash.salt, hash.rounds), hash.digest)
}

/// True for text that [`verify_hash`] can check against.
pub fn is_hash(stored: &[u8]) -> bool {
    StoredHash::parse(stored).is_some()
}

struct StoredHash<'a> {
    rounds: u32,
    salt: &'a [u8],
    digest: &'a [u8],
}

impl<'a> StoredHash<'a> {
    fn parse(stored: &'a [u8]) -> Option<StoredHash<'a>> {
        let rest = stored.strip_prefix(b"$A$")?;
        let (digits, rest) = rest.split_at_checked(3)?;
        let thousands = u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        let (salt, digest) = rest.strip_prefix(b"$")?.split_at_checked(20)?;
        let valid = (1..=0xfff).contains(&thousands) && digest.len() == 43;
        valid.then_some(StoredHash { rounds: thousands * 1000, salt, digest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_token_proves_the_password() {
        let nonce = *b"abcdefghijklmnopqrst";
        let good = token(b"secret", &nonce);
        assert!(verify(&good, &nonce, &cached_hash(b"secret")));
        assert!(!verify(&good, &nonce, &cached_hash(b"Secret")));
        assert!(!verify(&good[..31], &nonce, &cached_hash(b"secret")));
    }

    #[test]
    fn xor_twice_is_nothing() {
        let mut bytes = *b"a password longer than the nonce is";
        xor_nonce(&mut bytes, b"abcdefghijklmnopqrst");
        assert_eq!(bytes[0], 0);
        xor_nonce(&mut bytes, b"abcdefghijklmnopqrst");
        assert_eq!(&bytes, b"a password longer than the nonce is");
    }

    #[test]
    fn stored_hashes_are_checked_for_their_form() {
        assert!(!verify_hash(b"x", b"$A$005$short"));
        assert!(!verify_hash(b"x", b"$A$000$12345678901234567890"));
        assert!(!is_hash(b"$5$rounds=5000$salt$"));
    }
}
