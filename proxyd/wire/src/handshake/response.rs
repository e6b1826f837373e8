//! SSLRequest and HandshakeResponse41: what a client answers to the greeting.

use crate::capabilities::Capabilities;
use crate::lenenc::{self, Malformed, Reader};

/// Connection attributes beyond this many bytes are refused (MySQL's own limit).
const MAX_ATTRIBUTES: usize = 64 * 1024;
/// A user, schema or plugin name longer than this is refused; MySQL's longest name is 64 characters of 4 bytes.
const MAX_NAME: usize = 1024;

/// What a client's first packet is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientHello {
    /// TLS first; the real answer comes inside.
    SslRequest(SslRequest),
    Response(HandshakeResponse),
}

/// The front part of a [`HandshakeResponse`], sent alone to start TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SslRequest {
    pub capabilities: Capabilities,
    pub max_packet: u32,
    pub collation: u8,
}

/// Who a client is and how it wants to speak.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct HandshakeResponse {
    pub capabilities: Capabilities,
    pub max_packet: u32,
    /// The lower byte of the collation.
    pub collation: u8,
    pub user: String,
    pub auth_response: Vec<u8>,
    pub database: Option<String>,
    /// The plugin that made `auth_response`; empty when the client does not know of plugins.
    pub plugin: String,
    pub attributes: Vec<(String, String)>,
    pub zstd_level: Option<u8>,
}

impl std::fmt::Debug for HandshakeResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HandshakeResponse")
            .field("user", &self.user)
            .field("database", &self.database)
            .field("plugin", &self.plugin)
            .field("capabilities", &self.capabilities)
            .finish_non_exhaustive()
    }
}

/// Why a client's first packet is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HelloError {
    #[error("the client speaks the protocol from before MySQL 4.1")]
    OldProtocol,
    #[error("bad handshake: {0}")]
    Malformed(#[from] Malformed),
}

impl SslRequest {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(32);
        out.extend_from_slice(&self.capabilities.lower().to_le_bytes());
        out.extend_from_slice(&self.max_packet.to_le_bytes());
        out.push(self.collation);
        out.extend_from_slice(&[0; 19]);
        let is_mariadb = !self.capabilities.contains(Capabilities::LONG_PASSWORD);
        out.extend_from_slice(&if is_mariadb { self.capabilities.mariadb() } else { 0 }.to_le_bytes());
        out
    }

    fn parse(reader: &mut Reader<'_>) -> Result<SslRequest, HelloError> {
        let lower = reader.try_u32()?;
        if lower & Capabilities::PROTOCOL_41.lower() == 0 {
            return Err(HelloError::OldProtocol);
        }
        let max_packet = reader.try_u32()?;
        let collation = reader.try_u8()?;
        reader.try_bytes(19)?;
        let extended = reader.try_u32()?;
        let is_mariadb = lower & Capabilities::LONG_PASSWORD.lower() == 0;
        let capabilities = Capabilities::from_parts(lower, if is_mariadb { extended } else { 0 });
        Ok(SslRequest { capabilities, max_packet, collation })
    }
}

impl ClientHello {
    pub fn parse(payload: &[u8]) -> Result<ClientHello, HelloError> {
        // The flag for 4.1 is in the first two bytes, and an old client's packet may be shorter than ours.
        if let [_, high, ..] = payload
            && *high & 0x02 == 0
        {
            return Err(HelloError::OldProtocol);
        }
        let mut reader = Reader::new(payload);
        let front = SslRequest::parse(&mut reader)?;
        if reader.is_empty() && front.capabilities.contains(Capabilities::SSL) {
            return Ok(ClientHello::SslRequest(front));
        }
        HandshakeResponse::parse_rest(front, reader).map(ClientHello::Response)
    }
}

impl HandshakeResponse {
    fn parse_rest(front: SslRequest, mut reader: Reader<'_>) -> Result<HandshakeResponse, HelloError> {
        let SslRequest { capabilities, max_packet, collation } = front;
        let user = name(reader.try_null_terminated()?)?;
        let auth_response = if capabilities.contains(Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA) {
            reader.try_lenenc_bytes()?
        } else if capabilities.contains(Capabilities::SECURE_CONNECTION) {
            let length = reader.try_u8()?;
            reader.try_bytes(length.into())?
        } else {
            reader.try_null_terminated()?
        };
        let mut response = HandshakeResponse {
            capabilities,
            max_packet,
            collation,
            user,
            auth_response: auth_response.to_vec(),
            ..HandshakeResponse::default()
        };
        if capabilities.contains(Capabilities::CONNECT_WITH_DB) {
            let database = name(reader.null_terminated_or_rest())?;
            response.database = (!database.is_empty()).then_some(database);
        }
        if capabilities.contains(Capabilities::PLUGIN_AUTH) {
            response.plugin = name(reader.null_terminated_or_rest())?;
        }
        if capabilities.contains(Capabilities::CONNECT_ATTRS) && !reader.is_empty() {
            response.attributes = parse_attributes(&mut reader)?;
        }
        if capabilities.contains(Capabilities::ZSTD_COMPRESSION_ALGORITHM) && !reader.is_empty() {
            response.zstd_level = Some(reader.try_u8()?);
        }
        Ok(response)
    }

    pub fn encode(&self) -> Vec<u8> {
        let front = SslRequest {
            capabilities: self.capabilities,
            max_packet: self.max_packet,
            collation: self.collation,
        };
        let mut out = front.encode();
        lenenc::put_null_terminated(&mut out, self.user.as_bytes());
        if self.capabilities.contains(Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA) {
            lenenc::put_bytes(&mut out, &self.auth_response);
        } else {
            let length = self.auth_response.len().min(255);
            out.push(length as u8);
            out.extend(self.auth_response.iter().take(length));
        }
        if self.capabilities.contains(Capabilities::CONNECT_WITH_DB) {
            lenenc::put_null_terminated(&mut out, self.database.as_deref().unwrap_or("").as_bytes());
        }
        if self.capabilities.contains(Capabilities::PLUGIN_AUTH) {
            lenenc::put_null_terminated(&mut out, self.plugin.as_bytes());
        }
        if self.capabilities.contains(Capabilities::CONNECT_ATTRS) {
            put_attributes(&mut out, &self.attributes);
        }
        if let Some(level) = self.zstd_level {
            out.push(level);
        }
        out
    }
}

/// A name that is short enough to be one.
pub(super) fn name(bytes: &[u8]) -> Result<String, Malformed> {
    if bytes.len() > MAX_NAME {
        return Err(Malformed::TooMany);
    }
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

pub(super) fn parse_attributes(reader: &mut Reader<'_>) -> Result<Vec<(String, String)>, Malformed> {
    let block = reader.try_lenenc_bytes()?;
    if block.len() > MAX_ATTRIBUTES {
        return Err(Malformed::TooMany);
    }
    let mut attributes = Vec::new();
    let mut block = Reader::new(block);
    while !block.is_empty() {
        let key = String::from_utf8_lossy(block.try_lenenc_bytes()?).into_owned();
        let value = String::from_utf8_lossy(block.try_lenenc_bytes()?).into_owned();
        attributes.push((key, value));
    }
    Ok(attributes)
}

pub(super) fn put_attributes(out: &mut Vec<u8>, attributes: &[(String, String)]) {
    let mut block = Vec::new();
    for (key, value) in attributes {
        lenenc::put_bytes(&mut block, key.as_bytes());
        lenenc::put_bytes(&mut block, value.as_bytes());
    }
    lenenc::put_bytes(out, &block);
}
