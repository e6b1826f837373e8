//! The compressed protocol: after the login everything goes in blocks, each with a header of seven bytes, whose contents
//! together are the stream of ordinary frames.
//!
//! A block's number counts as frames' numbers do: from 0 at each command, up with each block of either side.
//! Source: MySQL, "Compression"; the zstd flag and its level in "HandshakeResponse41".

use std::io::Read;

use crate::capabilities::Capabilities;
use crate::frame::{self, MAX_PAYLOAD};

/// Length of a block's header.
pub const HEADER: usize = 7;
/// What is shorter is not worth it, and goes as it is.
const WORTH_IT: usize = 50;
/// As much as goes into one block of ours.
const BLOCK: usize = 256 * 1024;
/// Quick; most of what there is to gain.
const ZLIB_LEVEL: u32 = 3;
/// What we ask of a backend; clients ask for theirs.
pub const ZSTD_LEVEL: u8 = 3;
const HIGHEST_ZSTD_LEVEL: u8 = 22;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    Zlib,
    /// MySQL 8.0.18 and later.
    Zstd {
        level: u8,
    },
}

impl Algorithm {
    /// What two sides that agreed to these capabilities use; of both algorithms it is zlib. The level is the client's.
    pub fn agreed(capabilities: Capabilities, zstd_level: Option<u8>) -> Option<Algorithm> {
        if capabilities.contains(Capabilities::COMPRESS) {
            return Some(Algorithm::Zlib);
        }
        let level = zstd_level.unwrap_or(ZSTD_LEVEL).clamp(1, HIGHEST_ZSTD_LEVEL);
        capabilities.contains(Capabilities::ZSTD_COMPRESSION_ALGORITHM).then_some(Algorithm::Zstd { level })
    }
}

/// A block that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a compressed packet cannot be read")]
pub struct BadBlock;

/// What stands at the front of received bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// No whole block yet.
    Incomplete,
    /// A block of so many bytes, with its number.
    Block { length: usize, sequence: u8 },
}

/// Takes the block at the front of `bytes`, if all of it is there, and appends what is in it to `out`.
///
/// # Errors
/// Contents that are not as long as the header says, or not compressed at all.
pub fn unpack(bytes: &[u8], algorithm: Algorithm, out: &mut Vec<u8>) -> Result<Found, BadBlock> {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else { return Ok(Found::Incomplete) };
    let [a, b, c, sequence, x, y, z] = *header;
    let length = u32::from_le_bytes([a, b, c, 0]) as usize;
    let plain_length = u32::from_le_bytes([x, y, z, 0]) as usize;
    let Some(contents) = rest.get(..length) else { return Ok(Found::Incomplete) };
    match (plain_length, algorithm) {
        (0, _) => out.extend_from_slice(contents),
        (_, Algorithm::Zlib) => read_all(flate2::read::ZlibDecoder::new(contents), plain_length, out)?,
        (_, Algorithm::Zstd { .. }) => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(contents).map_err(|_| BadBlock)?;
            // No block is longer than 2^24 bytes; a window beyond it would only take memory.
            decoder.window_log_max(24).map_err(|_| BadBlock)?;
            read_all(decoder, plain_length, out)?;
        }
    }
    Ok(Found::Block { length: HEADER + length, sequence })
}

/// Memory follows what comes out, not what the header promises.
fn read_all(decoder: impl Read, length: usize, out: &mut Vec<u8>) -> Result<(), BadBlock> {
    let before = out.len();
    decoder.take(length as u64 + 1).read_to_end(out).map_err(|_| BadBlock)?;
    if out.len() - before == length { Ok(()) } else { Err(BadBlock) }
}

/// Appends `bytes` to `out` as blocks from `*sequence` on; leaves there the number after the last.
pub fn pack(bytes: &[u8], algorithm: Algorithm, sequence: &mut u8, out: &mut Vec<u8>) {
    for piece in bytes.chunks(BLOCK) {
        let packed = (piece.len() >= WORTH_IT).then(|| compress(piece, algorithm)).flatten();
        let packed = packed.filter(|packed| packed.len() < piece.len());
        let (contents, plain_length) = match &packed {
            Some(packed) => (packed.as_slice(), piece.len()),
            None => (piece, 0),
        };
        let [a, b, c, _] = (contents.len().min(MAX_PAYLOAD) as u32).to_le_bytes();
        let [x, y, z, _] = (plain_length as u32).to_le_bytes();
        out.extend([a, b, c, *sequence, x, y, z]);
        out.extend_from_slice(contents);
        *sequence = sequence.wrapping_add(1);
    }
}

fn compress(bytes: &[u8], algorithm: Algorithm) -> Option<Vec<u8>> {
    match algorithm {
        Algorithm::Zlib => {
            let mut packed = Vec::with_capacity(bytes.len() / 2);
            let level = flate2::Compression::new(ZLIB_LEVEL);
            flate2::read::ZlibEncoder::new(bytes, level).read_to_end(&mut packed).ok()?;
            Some(packed)
        }
        Algorithm::Zstd { level } => zstd::bulk::compress(bytes, level.into()).ok(),
    }
}

/// Where the numbers of frames stand in a stream, however it is cut: under compression they say nothing (clients leave them
/// 0, servers begin anew with each flush), but whoever is not compressed checks them.
#[derive(Debug, Default)]
pub struct Numbers {
    filled: u8,
    length: usize,
    left: usize,
    continued: bool,
}

impl Numbers {
    /// The place of the next frame's number in `bytes` from `*at` on, and if the frame continues a packet.
    pub fn next(&mut self, bytes: &[u8], at: &mut usize) -> Option<(usize, bool)> {
        loop {
            let skip = self.left.min(bytes.len().saturating_sub(*at));
            self.left -= skip;
            *at += skip;
            let byte = *bytes.get(*at)?;
            *at += 1;
            if self.filled < 3 {
                self.length |= usize::from(byte) << (8 * self.filled);
                self.filled += 1;
                continue;
            }
            let continues = std::mem::replace(&mut self.continued, self.length == MAX_PAYLOAD);
            self.left = std::mem::take(&mut self.length);
            self.filled = 0;
            return Some((*at - 1, continues));
        }
    }
}

/// Cuts frames where a new command begins: at each frame with the number 0. Each begins its blocks' numbers anew.
pub fn commands(frames: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = frames;
    std::iter::from_fn(move || {
        let mut length = 0;
        while let Some(header) = rest.get(length..).and_then(frame::Header::peek) {
            if length > 0 && header.sequence == 0 {
                break;
            }
            length += frame::HEADER + header.length;
        }
        // What is no whole frame goes with the one before it.
        let whole = rest.get(length..).is_some_and(|tail| tail.len() >= frame::HEADER);
        let (command, after) = rest.split_at(if whole { length } else { rest.len() });
        rest = after;
        (!command.is_empty()).then_some(command)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Algorithm; 2] = [Algorithm::Zlib, Algorithm::Zstd { level: 3 }];

    #[test]
    fn blocks_come_back_as_they_were() {
        let texts = [b"".to_vec(), b"short".to_vec(), b"long ".repeat(200_000), {
            // Nothing repeats: not worth compressing.
            (0..5000u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
        }];
        for algorithm in BOTH {
            for text in &texts {
                let (mut packed, mut sequence) = (Vec::new(), 254);
                pack(text, algorithm, &mut sequence, &mut packed);
                let (mut plain, mut at, mut blocks) = (Vec::new(), 0, 0u8);
                while at < packed.len() {
                    for cut in [3, 7, 9] {
                        assert_eq!(
                            unpack(&packed[at..at + cut], algorithm, &mut plain),
                            Ok(Found::Incomplete)
                        );
                    }
                    let found = unpack(&packed[at..], algorithm, &mut plain).unwrap();
                    let Found::Block { length, sequence } = found else { panic!("{found:?}") };
                    assert_eq!(sequence, 254u8.wrapping_add(blocks));
                    blocks += 1;
                    at += length;
                }
                assert!(plain == *text && sequence == 254u8.wrapping_add(blocks));
                assert!(packed.len() <= text.len() + HEADER * usize::from(blocks));
            }
        }
    }

    #[test]
    fn the_block_of_the_manual() {
        // "select "012345678901234567890123456789012345"" of MySQL's documentation.
        let block = [
            0x22, 0, 0, 0, 0x32, 0, 0, 0x78, 0x9c, 0xd3, 0x63, 0x60, 0x60, 0x60, 0x2e, 0x4e, 0xcd, 0x49,
            0x4d, 0x2e, 0x51, 0x50, 0x32, 0x30, 0x34, 0x32, 0x36, 0x31, 0x35, 0x33, 0xb7, 0xb0, 0xc4, 0xcd,
            0x52, 0x02, 0x00, 0x0c, 0xd1, 0x0a, 0x6c,
        ];
        let mut plain = Vec::new();
        let found = unpack(&block, Algorithm::Zlib, &mut plain).unwrap();
        assert_eq!(found, Found::Block { length: block.len(), sequence: 0 });
        assert_eq!(plain, b"\x2e\0\0\0\x03select \"012345678901234567890123456789012345\"");
    }

    #[test]
    fn lengths_that_lie_are_errors() {
        for algorithm in BOTH {
            let (mut packed, mut sequence) = (Vec::new(), 0);
            pack(&[b'x'; 1000], algorithm, &mut sequence, &mut packed);
            for lie in [999u32, 1001, 0xff_ffff] {
                packed[4..7].copy_from_slice(&lie.to_le_bytes()[..3]);
                assert_eq!(unpack(&packed, algorithm, &mut Vec::new()), Err(BadBlock), "{lie}");
            }
            let mut garbage = vec![60, 0, 0, 0, 200, 0, 0];
            garbage.extend([7; 60]);
            assert_eq!(unpack(&garbage, algorithm, &mut Vec::new()), Err(BadBlock));
        }
    }

    #[test]
    fn numbers_are_found_however_a_stream_is_cut() {
        let mut stream = vec![2, 0, 0, 7, 1, 1, 0, 0, 0, 8, 0xff, 0xff, 0xff, 9];
        stream.resize(stream.len() + MAX_PAYLOAD, 0);
        stream.extend([1, 0, 0, 10, 5, 0, 0, 0, 11]);
        for piece in [1, 3, 5, stream.len()] {
            let (mut numbers, mut found) = (Numbers::default(), Vec::new());
            for bytes in stream.chunks(piece) {
                let mut at = 0;
                while let Some((index, continues)) = numbers.next(bytes, &mut at) {
                    found.push((bytes[index], continues));
                }
            }
            assert_eq!(found, [(7, false), (8, false), (9, false), (10, true), (11, false)], "{piece}");
        }
    }

    #[test]
    fn commands_are_told_apart() {
        let frame = |sequence, text: &[u8]| [&[text.len() as u8, 0, 0, sequence], text].concat();
        let (one, two) = ([frame(0, b"ab"), frame(1, b"c")].concat(), frame(0, b""));
        let all = [one.clone(), two.clone(), two.clone()].concat();
        assert_eq!(commands(&all).collect::<Vec<_>>(), [&one[..], &two, &two]);
        assert_eq!(commands(&one[..5]).collect::<Vec<_>>(), [&one[..5]]);
        assert_eq!(commands(b"").count(), 0);
    }

    #[test]
    fn zlib_is_taken_of_both() {
        let zlib = Capabilities::COMPRESS;
        let zstd = Capabilities::ZSTD_COMPRESSION_ALGORITHM;
        assert_eq!(Algorithm::agreed(zlib | zstd, Some(9)), Some(Algorithm::Zlib));
        assert_eq!(Algorithm::agreed(zstd, Some(99)), Some(Algorithm::Zstd { level: 22 }));
        assert_eq!(Algorithm::agreed(Capabilities::empty(), Some(9)), None);
    }
}
