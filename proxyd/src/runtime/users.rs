//! Rows of `mysql_users` as the snapshot wants them.

use crate::snapshot::{Credential, HostgroupId, User};

/// An active row of `mysql_users` that clients may log in with.
#[derive(Debug, Clone)]
pub struct UserRow {
    pub username: Box<str>,
    pub credential: Credential,
    pub backend_credential: Option<Credential>,
    pub use_ssl: bool,
    pub default_hostgroup: HostgroupId,
    pub default_schema: Box<str>,
    pub transaction_persistent: bool,
    pub max_connections: u32,
}

impl From<UserRow> for User {
    fn from(row: UserRow) -> User {
        User {
            credential: row.credential,
            backend_credential: row.backend_credential,
            default_hostgroup: row.default_hostgroup,
            default_schema: row.default_schema,
            transaction_persistent: row.transaction_persistent,
            use_ssl: row.use_ssl,
            max_connections: row.max_connections,
        }
    }
}

/// What a `password` column holds: `*` and 40 hex digits is a native hash, `$A$…` a caching_sha2 one, else clear text.
pub fn parse_credential(password: &str) -> Credential {
    if let Some(hash) = password.strip_prefix('*').and_then(parse_hex20) {
        return Credential::Native(hash);
    }
    if password.starts_with("$A$") {
        return Credential::Sha2(password.into());
    }
    Credential::Clear(password.into())
}

fn parse_hex20(text: &str) -> Option<[u8; 20]> {
    if text.len() != 40 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut hash = [0; 20];
    for (index, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(index * 2..index * 2 + 2)?, 16).ok()?;
    }
    Some(hash)
}
