//! Frames: the four-byte header before every packet, and packets that need several frames.
//!
//! A packet of 16 MiB - 1 bytes or more goes as full frames and one shorter (perhaps empty) last frame.
//! Source: MySQL, "MySQL Packets".

use std::borrow::Cow;

/// Length of a frame's header.
pub const HEADER: usize = 4;
/// The longest payload of one frame; a frame this long is continued by the next.
pub const MAX_PAYLOAD: usize = 0xff_ffff;

/// The header of one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Length of the payload, at most [`MAX_PAYLOAD`].
    pub length: usize,
    pub sequence: u8,
}

impl Header {
    pub fn parse(bytes: &[u8; HEADER]) -> Header {
        let [a, b, c, sequence] = *bytes;
        Header { length: u32::from_le_bytes([a, b, c, 0]) as usize, sequence }
    }

    /// The header at the front of `bytes`, if all of it is there.
    pub fn peek(bytes: &[u8]) -> Option<Header> {
        bytes.first_chunk().map(Header::parse)
    }

    pub fn encode(self) -> [u8; HEADER] {
        let [a, b, c, _] = (self.length.min(MAX_PAYLOAD) as u32).to_le_bytes();
        [a, b, c, self.sequence]
    }

    /// True when the packet goes on in the next frame.
    pub fn is_continued(self) -> bool {
        self.length == MAX_PAYLOAD
    }
}

/// Why frames cannot be a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// To a client this is error 1153.
    #[error("got a packet of more than {limit} bytes")]
    TooLarge { limit: usize },
    /// To a client this is error 1156.
    #[error("got frame {got} of a packet where frame {expected} was due")]
    OutOfOrder { expected: u8, got: u8 },
}

/// Whether a whole packet is at the front of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Located {
    /// Not all here: the buffer has to hold this many bytes before asking again is worth it.
    Incomplete { want: usize },
    /// All here, in this many bytes of frames; the answer's first frame has `next_sequence`.
    Complete { framed: usize, first_sequence: u8, next_sequence: u8 },
}

/// Looks for a whole packet at the front of `buffer`, without copying.
///
/// # Errors
/// A payload that is (or is announced to be) longer than `limit` bytes, or frames out of order.
pub fn locate(buffer: &[u8], limit: usize) -> Result<Located, FrameError> {
    let mut rest = buffer;
    let mut framed = 0usize;
    let mut payload = 0usize;
    let mut first_sequence = None;
    loop {
        let Some(header) = Header::peek(rest) else {
            return Ok(Located::Incomplete { want: framed + HEADER });
        };
        let expected = buffer_sequence(first_sequence, framed, payload, header.sequence);
        if header.sequence != expected {
            return Err(FrameError::OutOfOrder { expected, got: header.sequence });
        }
        let first = *first_sequence.get_or_insert(header.sequence);
        framed += HEADER + header.length;
        payload += header.length;
        if payload > limit {
            return Err(FrameError::TooLarge { limit });
        }
        match rest.split_at_checked(HEADER + header.length) {
            None => return Ok(Located::Incomplete { want: framed }),
            Some((_, after)) => rest = after,
        }
        if !header.is_continued() {
            let next_sequence = header.sequence.wrapping_add(1);
            return Ok(Located::Complete { framed, first_sequence: first, next_sequence });
        }
    }
}

/// The sequence number due now: any for the first frame, one more for each full frame before this one.
fn buffer_sequence(first: Option<u8>, framed: usize, payload: usize, got: u8) -> u8 {
    let frames_before = (framed - payload) / HEADER;
    first.map_or(got, |first| first.wrapping_add(frames_before as u8))
}

/// The payload of the packet that [`locate`] found in `framed` bytes; borrowed when it is one frame.
pub fn payload(framed: &[u8]) -> Cow<'_, [u8]> {
    let first = framed.get(HEADER..).unwrap_or_default();
    if first.len() < MAX_PAYLOAD {
        return Cow::Borrowed(first);
    }
    let frames = framed.chunks(HEADER + MAX_PAYLOAD).filter_map(|frame| frame.get(HEADER..));
    Cow::Owned(frames.flatten().copied().collect())
}

/// Appends `payload` to `out` as frames, from `*sequence` on; leaves there the number after the last frame.
pub fn write(out: &mut Vec<u8>, sequence: &mut u8, payload: &[u8]) {
    let mut rest = payload;
    loop {
        let (now, later) = rest.split_at(rest.len().min(MAX_PAYLOAD));
        let header = Header { length: now.len(), sequence: *sequence };
        out.extend_from_slice(&header.encode());
        out.extend_from_slice(now);
        *sequence = sequence.wrapping_add(1);
        if !header.is_continued() {
            return;
        }
        rest = later;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 64 << 20;

    #[test]
    fn header_golden() {
        let header = Header { length: 0x03_02_01, sequence: 7 };
        assert_eq!(header.encode(), [1, 2, 3, 7]);
        assert_eq!(Header::parse(&[1, 2, 3, 7]), header);
    }

    #[test]
    fn a_packet_is_found_once_it_is_whole() {
        let bytes = [3, 0, 0, 5, b'a', b'b', b'c', 99];
        for end in 0..4 {
            assert_eq!(locate(&bytes[..end], LIMIT), Ok(Located::Incomplete { want: 4 }));
        }
        for end in 4..7 {
            assert_eq!(locate(&bytes[..end], LIMIT), Ok(Located::Incomplete { want: 7 }));
        }
        let found = Located::Complete { framed: 7, first_sequence: 5, next_sequence: 6 };
        assert_eq!(locate(&bytes, LIMIT), Ok(found));
        assert_eq!(payload(&bytes[..7]), &b"abc"[..]);
    }

    #[test]
    fn long_packets_are_split_and_joined() {
        for (length, frames) in
            [(MAX_PAYLOAD - 1, 1), (MAX_PAYLOAD, 2), (MAX_PAYLOAD + 1, 2), (2 * MAX_PAYLOAD, 3)]
        {
            let original: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            let (mut framed, mut sequence) = (Vec::new(), 254);
            write(&mut framed, &mut sequence, &original);
            assert_eq!(framed.len(), length + frames * HEADER);
            assert_eq!(sequence, 254u8.wrapping_add(frames as u8));
            let whole =
                Located::Complete { framed: framed.len(), first_sequence: 254, next_sequence: sequence };
            assert_eq!(locate(&framed, LIMIT), Ok(whole));
            assert!(payload(&framed) == original);
            assert!(matches!(locate(&framed[..framed.len() - 1], LIMIT), Ok(Located::Incomplete { .. })));
        }
    }

    #[test]
    fn a_too_long_packet_is_refused_by_its_header_alone() {
        assert_eq!(locate(&[11, 0, 0, 0], 10), Err(FrameError::TooLarge { limit: 10 }));
    }

    #[test]
    fn frames_of_one_packet_count_up() {
        let mut framed = vec![0xff, 0xff, 0xff, 0];
        framed.resize(HEADER + MAX_PAYLOAD, 1);
        framed.extend_from_slice(&[0, 0, 0, 9]);
        assert_eq!(locate(&framed, LIMIT), Err(FrameError::OutOfOrder { expected: 1, got: 9 }));
    }
}
