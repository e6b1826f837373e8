//! COM_CHANGE_USER: a new login on an old connection.

use super::response::{name, parse_attributes, put_attributes};
use crate::capabilities::Capabilities;
use crate::command::Command;
use crate::lenenc::{self, Malformed, Reader};

#[derive(Clone, PartialEq, Eq, Default)]
pub struct ChangeUser {
    pub user: String,
    pub auth_response: Vec<u8>,
    pub database: Option<String>,
    pub collation: u16,
    pub plugin: String,
    pub attributes: Vec<(String, String)>,
}

impl std::fmt::Debug for ChangeUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChangeUser")
            .field("user", &self.user)
            .field("database", &self.database)
            .field("plugin", &self.plugin)
            .finish_non_exhaustive()
    }
}

impl ChangeUser {
    /// Parses the whole payload, command byte included; `capabilities` are the connection's.
    pub fn parse(payload: &[u8], capabilities: Capabilities) -> Result<ChangeUser, Malformed> {
        let mut reader = Reader::new(payload);
        match reader.try_u8()? {
            byte if byte == Command::ChangeUser as u8 => {}
            other => return Err(Malformed::UnexpectedByte(other)),
        }
        let user = name(reader.try_null_terminated()?)?;
        let length = reader.try_u8()?;
        let auth_response = reader.try_bytes(length.into())?.to_vec();
        let database = name(reader.null_terminated_or_rest())?;
        let mut change = ChangeUser {
            user,
            auth_response,
            database: (!database.is_empty()).then_some(database),
            ..ChangeUser::default()
        };
        if reader.is_empty() {
            return Ok(change);
        }
        change.collation = reader.try_u16()?;
        if capabilities.contains(Capabilities::PLUGIN_AUTH) && !reader.is_empty() {
            change.plugin = name(reader.null_terminated_or_rest())?;
        }
        if capabilities.contains(Capabilities::CONNECT_ATTRS) && !reader.is_empty() {
            change.attributes = parse_attributes(&mut reader)?;
        }
        Ok(change)
    }

    pub fn encode(&self, capabilities: Capabilities) -> Vec<u8> {
        let mut out = vec![Command::ChangeUser as u8];
        lenenc::put_null_terminated(&mut out, self.user.as_bytes());
        let length = self.auth_response.len().min(255);
        out.push(length as u8);
        out.extend(self.auth_response.iter().take(length));
        lenenc::put_null_terminated(&mut out, self.database.as_deref().unwrap_or("").as_bytes());
        out.extend_from_slice(&self.collation.to_le_bytes());
        if capabilities.contains(Capabilities::PLUGIN_AUTH) {
            lenenc::put_null_terminated(&mut out, self.plugin.as_bytes());
        }
        if capabilities.contains(Capabilities::CONNECT_ATTRS) {
            put_attributes(&mut out, &self.attributes);
        }
        out
    }
}
