//! The two password exchanges that need no key: `mysql_native_password` and the fast path of `caching_sha2_password`.

use sha1::{Digest, Sha1};
use sha2::Sha256;

pub(crate) const NATIVE: &str = "mysql_native_password";
pub(crate) const CACHING_SHA2: &str = "caching_sha2_password";

/// SHA1(password) XOR SHA1(nonce + SHA1(SHA1(password))); nothing for an empty password.
pub(crate) fn native(password: &str, nonce: &[u8]) -> Vec<u8> {
    if password.is_empty() {
        return Vec::new();
    }
    let stage1 = Sha1::digest(password.as_bytes());
    let stage2 = Sha1::digest(stage1);
    let mask = Sha1::new().chain_update(nonce).chain_update(stage2).finalize();
    xor(&stage1, &mask)
}

/// SHA256(password) XOR SHA256(SHA256(SHA256(password)) + nonce); nothing for an empty password.
pub(crate) fn caching_sha2(password: &str, nonce: &[u8]) -> Vec<u8> {
    if password.is_empty() {
        return Vec::new();
    }
    let stage1 = Sha256::digest(password.as_bytes());
    let stage2 = Sha256::digest(stage1);
    let mask = Sha256::new().chain_update(stage2).chain_update(nonce).finalize();
    xor(&stage1, &mask)
}

/// The answer to a nonce for a plugin by name; `None` for a plugin that the lab does not speak.
pub(crate) fn answer(plugin: &str, password: &str, nonce: &[u8]) -> Option<Vec<u8>> {
    match plugin {
        NATIVE => Some(native(password, nonce)),
        CACHING_SHA2 => Some(caching_sha2(password, nonce)),
        _ => None,
    }
}

fn xor(left: &[u8], right: &[u8]) -> Vec<u8> {
    left.iter().zip(right).map(|(a, b)| a ^ b).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn an_empty_password_has_an_empty_answer() {
        assert!(native("", &[7; 20]).is_empty());
        assert!(caching_sha2("", &[7; 20]).is_empty());
    }

    #[test]
    fn the_fast_answer_is_the_one_of_other_clients() {
        // Computed with another language's library.
        let nonce = b"a2ph|\x08['0rU\x10-Y+#y\x1f\x0f1";
        let expected = "6740e9ca307d3a304d36c927a1e15db56a9004a6fdaac19e536a5cf1bde1838e";
        assert_eq!(hex(&caching_sha2("test", nonce)), expected);
    }

    #[test]
    fn the_native_answer_gives_back_the_stored_hash() {
        // What a server does: SHA1(answer XOR SHA1(nonce + stored)) must be `stored`.
        let nonce = b"01234567890123456789";
        let stored = Sha1::digest(Sha1::digest(b"test"));
        assert_eq!(hex(&stored), "94bdcebe19083ce2a1f959fd02f964c7af4cfc29");
        let mask = Sha1::new().chain_update(nonce).chain_update(stored).finalize();
        assert_eq!(Sha1::digest(xor(&native("test", nonce), &mask)), stored);
    }
}
