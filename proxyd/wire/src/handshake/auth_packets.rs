//! AuthSwitchRequest and AuthMoreData: what a server says between the client's answer and OK or ERR.

use crate::lenenc::{self, Malformed, Reader};

/// "Authenticate with this plugin instead."
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthSwitchRequest {
    pub plugin: String,
    /// Random data for the plugin, without the NUL that MySQL's servers append.
    pub data: Vec<u8>,
}

impl AuthSwitchRequest {
    pub const HEADER: u8 = 0xfe;

    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![AuthSwitchRequest::HEADER];
        lenenc::put_null_terminated(&mut out, self.plugin.as_bytes());
        out.extend_from_slice(&self.data);
        out.push(0);
        out
    }

    /// A header alone asks for the password hash from before 4.1, which parses to that plugin's name.
    pub fn parse(payload: &[u8]) -> Result<AuthSwitchRequest, Malformed> {
        let mut reader = Reader::new(payload);
        match reader.try_u8()? {
            AuthSwitchRequest::HEADER => {}
            other => return Err(Malformed::UnexpectedByte(other)),
        }
        if reader.is_empty() {
            return Ok(AuthSwitchRequest { plugin: "mysql_old_password".into(), data: Vec::new() });
        }
        let plugin = String::from_utf8_lossy(reader.try_null_terminated()?).into_owned();
        let data = reader.take_rest();
        let data = data.strip_suffix(&[0]).unwrap_or(data).to_vec();
        Ok(AuthSwitchRequest { plugin, data })
    }
}

/// A plugin's own data, from the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthMoreData<'a>(pub &'a [u8]);

impl<'a> AuthMoreData<'a> {
    pub const HEADER: u8 = 0x01;

    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![AuthMoreData::HEADER];
        out.extend_from_slice(self.0);
        out
    }

    pub fn parse(payload: &'a [u8]) -> Result<AuthMoreData<'a>, Malformed> {
        match payload {
            [AuthMoreData::HEADER, data @ ..] => Ok(AuthMoreData(data)),
            [other, ..] => Err(Malformed::UnexpectedByte(*other)),
            [] => Err(Malformed::Truncated),
        }
    }
}
