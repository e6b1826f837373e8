//! EOF_Packet: the end of column definitions or of rows, for peers without DEPRECATE_EOF.

use crate::lenenc::{Malformed, Reader};
use crate::status::Status;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EofPacket {
    pub warnings: u16,
    pub status: Status,
}

impl EofPacket {
    pub const HEADER: u8 = 0xfe;
    /// An EOF is shorter than this; what is longer and starts with the same byte is a row.
    pub const MAX_LENGTH: usize = 9;

    pub fn encode(&self) -> Vec<u8> {
        let [w0, w1] = self.warnings.to_le_bytes();
        let [s0, s1] = self.status.bits().to_le_bytes();
        vec![EofPacket::HEADER, w0, w1, s0, s1]
    }

    pub fn parse(payload: &[u8]) -> Result<EofPacket, Malformed> {
        let mut reader = Reader::new(payload);
        match reader.try_u8()? {
            EofPacket::HEADER => {}
            other => return Err(Malformed::UnexpectedByte(other)),
        }
        let warnings = reader.try_u16()?;
        let status = Status::from_bits_retain(reader.try_u16()?);
        Ok(EofPacket { warnings, status })
    }
}
