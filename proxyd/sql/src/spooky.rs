//! SpookyHash V2, the 64-bit form, after Bob Jenkins' public-domain description
//! (<https://burtleburtle.net/bob/hash/spooky.html>). ProxySQL's query digests are this hash with seed 0.

const CONST: u64 = 0xdead_beef_dead_beef;
/// Shorter messages take the short form.
const SHORT: usize = 192;
const BLOCK: usize = 96;

/// The first half of the 128-bit hash, both seeds being `seed`.
pub fn hash64(message: &[u8], seed: u64) -> u64 {
    if message.len() < SHORT { short(message, seed) } else { long(message, seed) }
}

/// A word in little-endian order; bytes that are not there are zero.
fn word(bytes: &[u8], index: usize) -> u64 {
    if let Some(whole) = bytes.get(index * 8..).and_then(<[u8]>::first_chunk) {
        return u64::from_le_bytes(*whole);
    }
    let mut word = [0; 8];
    for (to, from) in word.iter_mut().zip(bytes.iter().skip(index * 8)) {
        *to = *from;
    }
    u64::from_le_bytes(word)
}

fn short(message: &[u8], seed: u64) -> u64 {
    let mut h = [seed, seed, CONST, CONST];
    let mut chunks = message.chunks_exact(32);
    for chunk in &mut chunks {
        h[2] = h[2].wrapping_add(word(chunk, 0));
        h[3] = h[3].wrapping_add(word(chunk, 1));
        short_mix(&mut h);
        h[0] = h[0].wrapping_add(word(chunk, 2));
        h[1] = h[1].wrapping_add(word(chunk, 3));
    }
    let mut rest = chunks.remainder();
    if let Some((half, tail)) = rest.split_at_checked(16) {
        h[2] = h[2].wrapping_add(word(half, 0));
        h[3] = h[3].wrapping_add(word(half, 1));
        short_mix(&mut h);
        rest = tail;
    }
    h[3] = h[3].wrapping_add((message.len() as u64) << 56);
    if rest.is_empty() {
        h[2] = h[2].wrapping_add(CONST);
        h[3] = h[3].wrapping_add(CONST);
    } else {
        h[2] = h[2].wrapping_add(word(rest, 0));
        h[3] = h[3].wrapping_add(word(rest, 1));
    }
    short_end(&mut h);
    h[0]
}

fn short_mix(h: &mut [u64; 4]) {
    const ROTATE: [u32; 12] = [50, 52, 30, 41, 54, 48, 38, 37, 62, 34, 5, 36];
    for (step, rotate) in ROTATE.into_iter().enumerate() {
        let (this, next, target) = ((step + 2) % 4, (step + 3) % 4, step % 4);
        h[this] = h[this].rotate_left(rotate).wrapping_add(h[next]);
        h[target] ^= h[this];
    }
}

fn short_end(h: &mut [u64; 4]) {
    const ROTATE: [u32; 11] = [15, 52, 26, 51, 28, 9, 47, 54, 32, 25, 63];
    for (step, rotate) in ROTATE.into_iter().enumerate() {
        let (this, from) = ((step + 3) % 4, (step + 2) % 4);
        h[this] ^= h[from];
        h[from] = h[from].rotate_left(rotate);
        h[this] = h[this].wrapping_add(h[from]);
    }
}

fn long(message: &[u8], seed: u64) -> u64 {
    let mut h: [u64; 12] = std::array::from_fn(|index| if index % 3 == 2 { CONST } else { seed });
    let mut blocks = message.chunks_exact(BLOCK);
    for block in &mut blocks {
        mix(&mut h, block);
    }
    let rest = blocks.remainder();
    let mut last = [0; BLOCK];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    last[BLOCK - 1] = rest.len() as u8;
    for (index, value) in h.iter_mut().enumerate() {
        *value = value.wrapping_add(word(&last, index));
    }
    for _ in 0..3 {
        end_partial(&mut h);
    }
    h[0]
}

fn mix(h: &mut [u64; 12], block: &[u8]) {
    const ROTATE: [u32; 12] = [11, 32, 43, 31, 17, 28, 39, 57, 55, 54, 22, 46];
    for (i, rotate) in ROTATE.into_iter().enumerate() {
        h[i] = h[i].wrapping_add(word(block, i));
        h[(i + 2) % 12] ^= h[(i + 10) % 12];
        h[(i + 11) % 12] ^= h[i];
        h[i] = h[i].rotate_left(rotate);
        h[(i + 11) % 12] = h[(i + 11) % 12].wrapping_add(h[(i + 1) % 12]);
    }
}

fn end_partial(h: &mut [u64; 12]) {
    const ROTATE: [u32; 12] = [44, 15, 34, 21, 38, 33, 10, 13, 38, 53, 42, 54];
    for (i, rotate) in ROTATE.into_iter().enumerate() {
        let (a, b, c) = ((i + 11) % 12, (i + 1) % 12, (i + 2) % 12);
        h[a] = h[a].wrapping_add(h[b]);
        h[c] ^= h[a];
        h[b] = h[b].rotate_left(rotate);
    }
}

#[cfg(test)]
mod tests {
    use super::hash64;

    /// From the author's published test: 32-bit hashes of the first n bytes of 128, 129, 130, …
    #[test]
    fn published_vectors() {
        let message: Vec<u8> = (0..512).map(|n| (n + 128) as u8).collect();
        let rows: [(usize, u32); 15] = [
            (0, 0x6bf50919),
            (1, 0x70de1d26),
            (7, 0xf9f1a233),
            (8, 0xee193982),
            (12, 0x5f23d1da),
            (15, 0x83ec01f9),
            (16, 0xf274736c),
            (31, 0x027bca7c),
            (32, 0xe5cfc8b6),
            (63, 0x09c1afb4),
            (64, 0x069c8bb7),
            (191, 0xe13d9e19),
            (192, 0x77e012bd),
            (193, 0x2d05114c),
            (511, 0xcc1c8250),
        ];
        for (length, expected) in rows {
            assert_eq!(hash64(&message[..length], 0) as u32, expected, "length {length}");
        }
    }

    /// Digest texts and digests that ProxySQL itself printed, from public documentation and articles.
    #[test]
    fn proxysql_digests() {
        for (text, digest) in [
            ("select @@version_comment limit ?", 0x226CD90D52A2BA0B_u64),
            ("SELECT DATABASE()", 0x620B328FE9D6D71A),
            ("show databases", 0x02033E45904D3DF0),
            ("show tables", 0x99531AEFF718C501),
            ("select USER()", 0x594F2C744B698066),
            ("select ?", 0x1E092DAEFFBBF262),
            ("SELECT ?", 0x1C46AE529DD5A40E),
            ("INSERT INTO testdb.t1 VALUES(?,?,?)", 0x447DBFBC0B483620),
        ] {
            assert_eq!(hash64(text.as_bytes(), 0), digest, "{text}");
        }
    }
}
