//! HandshakeV10: the server's first packet.

use crate::capabilities::Capabilities;
use crate::lenenc::{self, Malformed, Reader};
use crate::response::ErrPacket;
use crate::status::Status;

/// Length of the random data that a password is answered with.
pub const NONCE: usize = 20;
/// What MariaDB puts before its version, so that old replicas take it for a 5.5.
const MARIADB_PREFIX: &str = "5.5.5-";
const PROTOCOL_VERSION: u8 = 10;

/// What a server says first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting {
    /// Without MariaDB's "5.5.5-" prefix when parsed; written as it stands.
    pub server_version: String,
    pub thread_id: u32,
    pub nonce: [u8; NONCE],
    pub capabilities: Capabilities,
    /// The lower byte of the default collation.
    pub collation: u8,
    pub status: Status,
    /// Empty when the server does not know of plugins.
    pub plugin: String,
}

/// Why there will be no login.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GreetingError {
    /// The server refused before anything else (too many connections, a blocked host).
    #[error("{0}")]
    Refused(ErrPacket),
    #[error("the server speaks protocol version {0}, not 10")]
    Version(u8),
    #[error("the server is older than MySQL 4.1")]
    TooOld,
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

impl Greeting {
    pub fn encode(&self) -> Vec<u8> {
        let lower = self.capabilities.lower().to_le_bytes();
        let is_mariadb = !self.capabilities.contains(Capabilities::LONG_PASSWORD);
        let mut out = vec![PROTOCOL_VERSION];
        lenenc::put_null_terminated(&mut out, self.server_version.as_bytes());
        out.extend_from_slice(&self.thread_id.to_le_bytes());
        out.extend_from_slice(&self.nonce[..8]);
        out.push(0);
        out.extend_from_slice(&lower[..2]);
        out.push(self.collation);
        out.extend_from_slice(&self.status.bits().to_le_bytes());
        out.extend_from_slice(&lower[2..]);
        let has_plugin = self.capabilities.contains(Capabilities::PLUGIN_AUTH);
        out.push(if has_plugin { NONCE as u8 + 1 } else { 0 });
        out.extend_from_slice(&[0; 6]);
        out.extend_from_slice(&if is_mariadb { self.capabilities.mariadb() } else { 0 }.to_le_bytes());
        out.extend_from_slice(&self.nonce[8..]);
        out.push(0);
        if has_plugin {
            lenenc::put_null_terminated(&mut out, self.plugin.as_bytes());
        }
        out
    }

    pub fn parse(payload: &[u8]) -> Result<Greeting, GreetingError> {
        let mut reader = Reader::new(payload);
        match reader.try_u8()? {
            PROTOCOL_VERSION => {}
            ErrPacket::HEADER => return Err(GreetingError::Refused(ErrPacket::parse(payload)?)),
            other => return Err(GreetingError::Version(other)),
        }
        let version = String::from_utf8_lossy(reader.try_null_terminated()?).into_owned();
        let thread_id = reader.try_u32()?;
        let nonce_front: [u8; 8] = reader.try_array()?;
        reader.try_u8()?;
        let low = reader.try_u16()?;
        if reader.is_empty() {
            return Err(GreetingError::TooOld);
        }
        let collation = reader.try_u8()?;
        let status = Status::from_bits_retain(reader.try_u16()?);
        let high = reader.try_u16()?;
        reader.try_u8()?; // length of the random data: 21 wherever it matters
        reader.try_bytes(6)?;
        let extended = reader.try_u32()?;
        let lower = u32::from(high) << 16 | u32::from(low);
        let is_mariadb = lower & Capabilities::LONG_PASSWORD.lower() == 0;
        let capabilities = Capabilities::from_parts(lower, if is_mariadb { extended } else { 0 });
        if !capabilities.contains(Capabilities::PROTOCOL_41 | Capabilities::SECURE_CONNECTION) {
            return Err(GreetingError::TooOld);
        }
        let nonce_back: [u8; 12] = reader.try_array()?;
        let mut nonce = [0; NONCE];
        nonce[..8].copy_from_slice(&nonce_front);
        nonce[8..].copy_from_slice(&nonce_back);
        reader.null_terminated_or_rest(); // plugins with longer random data put it here
        let plugin = match capabilities.contains(Capabilities::PLUGIN_AUTH) {
            true => String::from_utf8_lossy(reader.null_terminated_or_rest()).into_owned(),
            false => String::new(),
        };
        let server_version = version.strip_prefix(MARIADB_PREFIX).unwrap_or(&version).to_owned();
        Ok(Greeting { server_version, thread_id, nonce, capabilities, collation, status, plugin })
    }
}
