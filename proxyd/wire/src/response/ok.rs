//! OK_Packet: a command succeeded, or (with header 0xFE, under DEPRECATE_EOF) the rows are over.

use crate::capabilities::Capabilities;
use crate::lenenc::{self, Malformed, Reader};
use crate::status::Status;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OkPacket {
    pub affected_rows: u64,
    pub last_insert_id: u64,
    pub status: Status,
    pub warnings: u16,
    pub info: Vec<u8>,
    /// The changes of session state, as [`super::session_track::changes`] reads them; empty when there are none.
    pub session_track: Vec<u8>,
}

impl OkPacket {
    pub const HEADER: u8 = 0x00;
    /// The header of the OK that ends rows.
    pub const END_HEADER: u8 = 0xfe;

    /// `capabilities` are those of the connection that it goes to.
    pub fn encode(&self, capabilities: Capabilities) -> Vec<u8> {
        self.encode_as(OkPacket::HEADER, capabilities)
    }

    /// The form that ends rows under DEPRECATE_EOF.
    pub fn encode_end(&self, capabilities: Capabilities) -> Vec<u8> {
        self.encode_as(OkPacket::END_HEADER, capabilities)
    }

    fn encode_as(&self, header: u8, capabilities: Capabilities) -> Vec<u8> {
        let tracks = capabilities.contains(Capabilities::SESSION_TRACK) && !self.session_track.is_empty();
        let mut status = self.status;
        status.set(Status::SESSION_STATE_CHANGED, tracks);

        let mut out = vec![header];
        lenenc::put_int(&mut out, self.affected_rows);
        lenenc::put_int(&mut out, self.last_insert_id);
        out.extend_from_slice(&status.bits().to_le_bytes());
        out.extend_from_slice(&self.warnings.to_le_bytes());
        if tracks || !self.info.is_empty() {
            // With its length, as servers send it to every client, whatever the documentation says of those without
            // SESSION_TRACK.
            lenenc::put_bytes(&mut out, &self.info);
        }
        if tracks {
            lenenc::put_bytes(&mut out, &self.session_track);
        }
        out
    }

    /// Parses either form; `capabilities` are those of the connection that it came from.
    pub fn parse(payload: &[u8], capabilities: Capabilities) -> Result<OkPacket, Malformed> {
        let mut reader = Reader::new(payload);
        match reader.try_u8()? {
            OkPacket::HEADER | OkPacket::END_HEADER => {}
            other => return Err(Malformed::UnexpectedByte(other)),
        }
        let affected_rows = reader.try_lenenc_int()?;
        let last_insert_id = reader.try_lenenc_int()?;
        let status = Status::from_bits_retain(reader.try_u16()?);
        let warnings = reader.try_u16()?;
        let (mut info, mut session_track) = (&b""[..], &b""[..]);
        if !capabilities.contains(Capabilities::SESSION_TRACK) {
            let rest = reader.take_rest();
            let mut sized = Reader::new(rest);
            info = sized.try_lenenc_bytes().ok().filter(|_| sized.is_empty()).unwrap_or(rest);
        } else if !reader.is_empty() {
            info = reader.try_lenenc_bytes()?;
            if status.contains(Status::SESSION_STATE_CHANGED) {
                session_track = reader.try_lenenc_bytes()?;
            }
        }
        Ok(OkPacket {
            affected_rows,
            last_insert_id,
            status,
            warnings,
            info: info.to_vec(),
            session_track: session_track.to_vec(),
        })
    }
}
