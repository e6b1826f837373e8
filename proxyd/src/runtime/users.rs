//! What the `password` column of `mysql_users` says.

use crate::snapshot::Credential;

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
