//! mysql_native_password: token = SHA1(password) XOR SHA1(nonce + SHA1(SHA1(password))).

use sha1::{Digest, Sha1};

use super::{equal, xor};
use crate::handshake::NONCE;

/// SHA1(password): enough to log in as the user.
pub type Stage1 = [u8; 20];
/// SHA1(SHA1(password)): what `*HEX` spells, enough to check a token.
pub type Stage2 = [u8; 20];

pub fn stage1(password: &[u8]) -> Stage1 {
    Sha1::digest(password).into()
}

pub fn stage2(stage1: &Stage1) -> Stage2 {
    Sha1::digest(stage1).into()
}

/// The token that a client answers with. An empty password is answered with nothing: the caller's case.
pub fn token(stage1: &Stage1, nonce: &[u8; NONCE]) -> [u8; 20] {
    xor(*stage1, mask(nonce, &stage2(stage1)))
}

/// Checks a client's token; the answer is SHA1(password), with which one can log in elsewhere.
pub fn verify(token: &[u8], nonce: &[u8; NONCE], stored: &Stage2) -> Option<Stage1> {
    let token: [u8; 20] = token.try_into().ok()?;
    let candidate = xor(token, mask(nonce, stored));
    equal(&stage2(&candidate), stored).then_some(candidate)
}

fn mask(nonce: &[u8; NONCE], stage2: &Stage2) -> [u8; 20] {
    Sha1::new().chain_update(nonce).chain_update(stage2).finalize().into()
}

/// Parses `*` and 40 hexadecimal digits, as `mysql.user` and `mysql_users.password` have them.
pub fn parse_hash(text: &str) -> Option<Stage2> {
    let digits = text.strip_prefix('*').filter(|digits| digits.len() == 40)?;
    let mut out = [0; 20];
    for (byte, pair) in out.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        let [high, low] = [pair.first()?, pair.last()?].map(|digit| char::from(*digit).to_digit(16));
        *byte = (high? * 16 + low?) as u8;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_one_of_mysql() {
        // SELECT PASSWORD('password') on MySQL 5.7.
        let stored = parse_hash("*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19").unwrap();
        assert_eq!(stage2(&stage1(b"password")), stored);
        assert_eq!(parse_hash("*2470"), None);
        assert_eq!(parse_hash("*ZZ70C0C06DEE42FD1618BB99005ADCA2EC9D1E19"), None);
        assert_eq!(parse_hash("*+470C0C06DEE42FD1618BB99005ADCA2EC9D1E1é"), None);
    }

    #[test]
    fn a_token_proves_the_password_and_yields_stage1() {
        let nonce = *b"abcdefghijklmnopqrst";
        let first = stage1(b"secret");
        let good = token(&first, &nonce);
        assert_eq!(verify(&good, &nonce, &stage2(&first)), Some(first));
        assert_eq!(verify(&good, b"abcdefghijklmnopqrsT", &stage2(&first)), None);
        assert_eq!(verify(&good[..19], &nonce, &stage2(&first)), None);
        assert_eq!(verify(b"", &nonce, &stage2(&first)), None);
    }
}
