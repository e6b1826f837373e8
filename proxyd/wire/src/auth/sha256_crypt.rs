//! The digest inside a `$A$` hash: Drepper's "Unix crypt using SHA-256", with MySQL's 20 bytes of salt.
//!
//! Source: <https://www.akkadia.org/drepper/SHA-crypt.txt>; the step numbers are that text's.

use sha2::{Digest, Sha256};

const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The 43 characters for a password.
pub(super) fn digest(password: &[u8], salt: &[u8], rounds: u32) -> [u8; 43] {
    let alternate = {
        let hash = Sha256::new().chain_update(password).chain_update(salt).chain_update(password);
        <[u8; 32]>::from(hash.finalize()) // steps 4-8
    };
    let mut first = Sha256::new().chain_update(password).chain_update(salt); // steps 1-3
    first.update(repeated(alternate, password.len())); // steps 9-10
    let mut bits = password.len(); // step 11
    while bits > 0 {
        match bits & 1 {
            1 => first.update(alternate),
            _ => first.update(password),
        }
        bits >>= 1;
    }
    let start: [u8; 32] = first.finalize().into(); // step 12

    let p = repeated(Sha256::digest(password.repeat(password.len())).into(), password.len()); // steps 13-16
    let salt_repeats = 16 + usize::from(start[0]);
    let s = repeated(Sha256::digest(salt.repeat(salt_repeats)).into(), salt.len()); // steps 17-20

    encode((0..rounds).fold(start, |previous, round| one_round(previous, round, &p, &s)))
}

/// Step 21.
fn one_round(previous: [u8; 32], round: u32, p: &[u8], s: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    let odd = round % 2 == 1;
    if odd {
        hash.update(p)
    } else {
        hash.update(previous)
    }
    if !round.is_multiple_of(3) {
        hash.update(s);
    }
    if !round.is_multiple_of(7) {
        hash.update(p);
    }
    if odd {
        hash.update(previous)
    } else {
        hash.update(p)
    }
    hash.finalize().into()
}

/// `length` bytes of `block` over and over.
fn repeated(block: [u8; 32], length: usize) -> Vec<u8> {
    block.iter().copied().cycle().take(length).collect()
}

/// Step 22: three bytes make four characters, in an order of their own.
fn encode(hash: [u8; 32]) -> [u8; 43] {
    let mut out = [0; 43];
    let mut place = out.iter_mut();
    let mut put = |a: u8, b: u8, c: u8, count: usize| {
        let mut bits = u32::from(a) << 16 | u32::from(b) << 8 | u32::from(c);
        for slot in place.by_ref().take(count) {
            *slot = ALPHABET[(bits & 0x3f) as usize];
            bits >>= 6;
        }
    };
    let (mut a, mut b, mut c) = (0, 10, 20);
    for _ in 0..10 {
        put(hash[a], hash[b], hash[c], 4);
        (a, b, c) = (c + 1, a + 1, b + 1);
    }
    put(0, hash[31], hash[30], 3);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors of SHA-crypt.txt, as glibc's crypt() answers them.
    #[test]
    fn the_published_vectors_hold() {
        let check = |salt, rounds, expected| {
            let characters = digest(b"Hello world!", salt, rounds);
            assert_eq!(std::str::from_utf8(&characters), Ok(expected));
        };
        check(b"saltstring", 5000, "5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5");
        check(b"saltstringsaltst", 10_000, "3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA");
    }
}
