//! LOAD DATA LOCAL: a client's file on its way to the server that asked for it, as it comes. A server that reads slowly
//! stops the reading from the client.

use std::io;

use proxyd_wire::frame::{HEADER, Header};

use super::record::Interrupt;
use super::relay::{Relay, Trouble, lost};

impl Relay<'_> {
    /// Passes packets from the client to the server, up to and with the empty one that ends the file. The answer comes
    /// after that.
    pub(super) async fn send_file(&mut self) -> Result<(), Trouble> {
        if !self.backend.traits.local_files {
            let error = io::Error::new(io::ErrorKind::InvalidData, "the server asks for a file unasked");
            return Err(lost(error, true));
        }
        let server = self.backend.server().clone();
        let mut scan = FileScan::default();
        self.client.follow(true);
        while !scan.ended {
            let filled = tokio::select! {
                biased;
                why = self.record.interrupted_at(&server, self.worker) => Err(why),
                filled = self.client.fill(0, &self.worker.buffers) => Ok(filled),
            };
            match filled {
                Ok(Ok(0)) => return Err(Trouble::ClientLost(io::ErrorKind::UnexpectedEof.into())),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(Trouble::ClientLost(error)),
                // The server ends the statement once it has the file.
                Err(Interrupt::KillQuery | Interrupt::QueryTimeout) => {
                    self.kill_query();
                    continue;
                }
                Err(why) => return Err(Trouble::Interrupted { why, client_saw_some: true }),
            }
            let input = &mut self.client.input;
            let count = scan.advance(input.filled());
            if let Err(error) = self.backend.connection.write_more(&input.filled()[..count]).await {
                return Err(lost(error, true));
            }
            input.consume(count);
            input.release(&self.worker.buffers);
        }
        self.client.follow(false);
        match self.client.input.is_empty() {
            true => Ok(()),
            false => Err(Trouble::ClientLost(io::Error::new(
                io::ErrorKind::InvalidData,
                "a command before the answer to LOAD DATA",
            ))),
        }
    }
}

/// Finds the empty packet in a stream of frames.
#[derive(Debug, Default)]
struct FileScan {
    header: [u8; HEADER],
    header_filled: usize,
    /// Payload bytes of the frame under way that have not come yet.
    left: usize,
    /// The last frame was full: an empty one after it only ends its packet.
    continued: bool,
    ended: bool,
}

impl FileScan {
    /// Takes the next bytes; how many of them belong to the file.
    fn advance(&mut self, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        while !self.ended && !rest.is_empty() {
            if self.left > 0 {
                let now = rest.len().min(self.left);
                self.left -= now;
                rest = &rest[now..];
                continue;
            }
            let (&byte, after) = (&rest[0], &rest[1..]);
            rest = after;
            self.header[self.header_filled] = byte;
            self.header_filled += 1;
            if self.header_filled == HEADER {
                self.header_filled = 0;
                let header = Header::parse(&self.header);
                self.left = header.length;
                self.ended = header.length == 0 && !self.continued;
                self.continued = header.is_continued();
            }
        }
        bytes.len() - rest.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proxyd_wire::frame::MAX_PAYLOAD;

    #[test]
    fn a_file_ends_with_an_empty_packet_however_it_is_cut() {
        let stream = [3, 0, 0, 2, b'a', b'b', b'c', 1, 0, 0, 3, 0, 0, 0, 0, 4, 9, 9];
        for piece in 1..stream.len() {
            let mut scan = FileScan::default();
            let taken: usize = stream.chunks(piece).map(|bytes| scan.advance(bytes)).sum();
            assert_eq!((taken, scan.ended), (16, true), "{piece}");
        }
        let mut scan = FileScan::default();
        assert_eq!((scan.advance(&stream[..12]), scan.ended), (12, false));
    }

    #[test]
    fn the_empty_end_of_a_full_packet_is_not_the_end_of_the_file() {
        let mut stream = vec![0xff, 0xff, 0xff, 2];
        stream.resize(HEADER + MAX_PAYLOAD, b'x');
        stream.extend_from_slice(&[0, 0, 0, 3]);
        let mut scan = FileScan::default();
        assert_eq!((scan.advance(&stream), scan.ended), (stream.len(), false));
        assert_eq!((scan.advance(&[0, 0, 0, 4]), scan.ended), (4, true));
    }
}
