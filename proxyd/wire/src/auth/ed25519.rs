//! MariaDB's `ed25519`: the client signs the server's nonce. The key is made of the password as RFC 8032 makes it of a
//! seed, whatever the password's length.
//!
//! Source: MariaDB, "Authentication Plugin - ed25519"; RFC 8032, sections 5.1.5 and 5.1.6.

use curve25519_dalek::{EdwardsPoint, Scalar, scalar::clamp_integer};
use sha2::{Digest, Sha512};

/// The plugin, as a server asks a client for it.
pub const CLIENT_NAME: &str = "client_ed25519";
/// Length of the server's nonce.
pub const NONCE: usize = 32;

/// What a client answers.
pub fn sign(password: &[u8], message: &[u8]) -> [u8; 64] {
    let expanded: [u8; 64] = Sha512::digest(password).into();
    let (low, prefix) = expanded.split_at(32);
    let key = Scalar::from_bytes_mod_order(clamp_integer(low.try_into().unwrap_or([0; 32])));
    let public = EdwardsPoint::mul_base(&key).compress();
    let wide = |hash: Sha512| Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
    let secret = wide(Sha512::new().chain_update(prefix).chain_update(message));
    let commitment = EdwardsPoint::mul_base(&secret).compress();
    let challenge = Sha512::new().chain_update(commitment.as_bytes()).chain_update(public.as_bytes());
    let answer = secret + wide(challenge.chain_update(message)) * key;
    let mut out = [0; 64];
    let (first, second) = out.split_at_mut(32);
    first.copy_from_slice(commitment.as_bytes());
    second.copy_from_slice(answer.as_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        hex.as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    /// Section 7.1, tests 1 and 2: a password of 32 bytes is a seed.
    #[test]
    fn signatures_are_those_of_the_rfc() {
        let seed = bytes("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
        let expected = "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b\
                        d25bf5f0595bbe24655141438e7a100b";
        assert_eq!(sign(&seed, b"").to_vec(), bytes(expected));
        let seed = bytes("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
        let expected = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c\
                        387b2eaeb4302aeeb00d291612bb0c00";
        assert_eq!(sign(&seed, &[0x72]).to_vec(), bytes(expected));
    }
}
