//! Whole packets over a connection: for logins and for the proxy's own statements, where copying costs nothing.

use std::io;

use proxyd_wire::frame;

use super::{BufferPool, Connection};

/// Packets of one exchange, with the sequence number that counts through it.
#[derive(Debug)]
pub struct Packets<'a> {
    pub connection: &'a mut Connection,
    pub buffers: &'a BufferPool,
    /// The number of the next frame that is sent.
    pub sequence: u8,
    /// A longer packet is an error.
    pub limit: usize,
}

impl<'a> Packets<'a> {
    /// `limit` bounds what a peer can make us hold, in bytes of payload.
    pub fn new(connection: &'a mut Connection, buffers: &'a BufferPool, limit: usize) -> Packets<'a> {
        Packets { connection, buffers, sequence: 0, limit }
    }

    /// The payload of the next packet. Reads no byte of what comes after it: a client sends its TLS handshake right
    /// behind its request for one.
    ///
    /// # Errors
    /// The stream's, `UnexpectedEof` at its end, `InvalidData` for frames that are none.
    pub async fn receive(&mut self) -> io::Result<Vec<u8>> {
        self.receive_of(frame::HEADER).await
    }

    /// As [`Packets::receive`], with one read less where the packet is known to have `least` bytes with its header.
    pub async fn receive_of(&mut self, least: usize) -> io::Result<Vec<u8>> {
        let mut want = least;
        loop {
            let filled = self.connection.input.filled();
            match frame::locate(filled, self.limit) {
                Ok(frame::Located::Complete { framed, next_sequence, .. }) => {
                    let payload = frame::payload(&filled[..framed]).into_owned();
                    self.sequence = next_sequence;
                    self.connection.input.consume(framed);
                    return Ok(payload);
                }
                Ok(frame::Located::Incomplete { want: more }) => want = want.max(more),
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            }
            if self.connection.fill_no_further(want, self.buffers).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    pub async fn send(&mut self, payload: &[u8]) -> io::Result<()> {
        let mut frames = Vec::with_capacity(payload.len() + frame::HEADER);
        frame::write(&mut frames, &mut self.sequence, payload);
        self.connection.write_all(&frames).await
    }
}
