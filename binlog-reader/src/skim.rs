//! The beginning of each packet in a stream of bytes; the rest of it, megabytes of rows perhaps, is passed over.

use proxyd_wire::frame::{HEADER, Header};

/// So much of a packet is looked at.
const HEAD: usize = 256;

/// Where in the stream we are.
#[derive(Debug, Default)]
pub(crate) struct Skimmer {
    /// The header of the next frame, as far as it is here.
    header: Vec<u8>,
    /// What is still to come of the frame.
    left: usize,
    is_continued: bool,
    /// The beginning of the packet.
    head: Vec<u8>,
}

impl Skimmer {
    /// Takes bytes as they come; `on` gets the first bytes of each packet whose end has come.
    pub(crate) fn push<E>(
        &mut self,
        mut bytes: &[u8],
        mut on: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        while !bytes.is_empty() {
            if self.header.len() < HEADER {
                bytes = take(&mut self.header, HEADER, bytes);
                let Some(header) = Header::peek(&self.header) else { break };
                self.left = header.length;
                self.is_continued = header.is_continued();
            }
            let (piece, rest) = bytes.split_at(self.left.min(bytes.len()));
            take(&mut self.head, HEAD, piece);
            self.left -= piece.len();
            bytes = rest;
            if self.left == 0 {
                self.header.clear();
                if !self.is_continued {
                    on(&self.head)?;
                    self.head.clear();
                }
            }
        }
        Ok(())
    }
}

/// Fills `to` up to `limit`; gives what is left.
fn take<'a>(to: &mut Vec<u8>, limit: usize, bytes: &'a [u8]) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(limit.saturating_sub(to.len()).min(bytes.len()));
    to.extend_from_slice(taken);
    rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proxyd_wire::frame;

    use super::*;

    /// The heads that come of a stream in such pieces.
    fn heads(stream: &[u8], piece: usize) -> Vec<Vec<u8>> {
        let (mut skimmer, mut heads) = (Skimmer::default(), Vec::new());
        for piece in stream.chunks(piece) {
            let pushed: Result<(), ()> = skimmer.push(piece, |head| {
                heads.push(head.to_vec());
                Ok(())
            });
            pushed.unwrap();
        }
        heads
    }

    #[test]
    fn a_packet_of_several_frames_is_one() {
        let (mut stream, mut sequence) = (Vec::new(), 0);
        frame::write(&mut stream, &mut sequence, &vec![7; 2 * frame::MAX_PAYLOAD]);
        frame::write(&mut stream, &mut sequence, b"next");
        assert_eq!(heads(&stream, 60_000), [vec![7; HEAD], b"next".to_vec()]);
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(lengths in prop::collection::vec(0usize..600, 0..8), piece in 1usize..700) {
            let (mut stream, mut sequence, mut expected) = (Vec::new(), 0, Vec::new());
            for (index, length) in lengths.into_iter().enumerate() {
                let payload = vec![index as u8; length];
                frame::write(&mut stream, &mut sequence, &payload);
                expected.push(payload[..length.min(HEAD)].to_vec());
            }
            prop_assert_eq!(heads(&stream, piece), expected);
        }

        #[test]
        fn anything(stream: Vec<u8>, piece in 1usize..50) {
            heads(&stream, piece);
        }
    }
}
