//! ERR_Packet: a command or a login failed.

use crate::lenenc::{Malformed, Reader};

/// A code, an SQLSTATE and a text, as an application sees them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code} ({}): {message}", self.sqlstate_str())]
pub struct ErrPacket {
    pub code: u16,
    pub sqlstate: [u8; 5],
    pub message: String,
}

impl ErrPacket {
    pub const HEADER: u8 = 0xff;

    pub fn new(code: u16, sqlstate: &[u8; 5], message: impl Into<String>) -> ErrPacket {
        ErrPacket { code, sqlstate: *sqlstate, message: message.into() }
    }

    /// The SQLSTATE as text; a peer may have sent bytes that are none.
    pub fn sqlstate_str(&self) -> &str {
        std::str::from_utf8(&self.sqlstate).unwrap_or("HY000")
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![ErrPacket::HEADER];
        out.extend_from_slice(&self.code.to_le_bytes());
        out.push(b'#');
        out.extend_from_slice(&self.sqlstate);
        out.extend_from_slice(self.message.as_bytes());
        out
    }

    /// Parses it with or without an SQLSTATE: before the login a server leaves it out.
    pub fn parse(payload: &[u8]) -> Result<ErrPacket, Malformed> {
        let mut reader = Reader::new(payload);
        match reader.try_u8()? {
            ErrPacket::HEADER => {}
            other => return Err(Malformed::UnexpectedByte(other)),
        }
        let code = reader.try_u16()?;
        let mut sqlstate = *b"HY000";
        if reader.peek() == Some(b'#') {
            reader.try_u8()?;
            sqlstate = reader.try_array()?;
        }
        let message = String::from_utf8_lossy(reader.take_rest()).into_owned();
        Ok(ErrPacket { code, sqlstate, message })
    }
}
