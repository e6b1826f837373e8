//! What the columns `password` and `attributes` of `mysql_users` say.

use crate::snapshot::{Credential, Isolation};

/// The `attributes` column: JSON. `default-transaction_isolation` is read; what else there is (`spiffe_id`) is left alone.
pub fn parse_attributes(text: &str) -> Result<Option<Isolation>, String> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let json: serde_json::Value =
        serde_json::from_str(text).map_err(|error| format!("attributes: not JSON: {error}"))?;
    let Some(level) = json.get("default-transaction_isolation") else { return Ok(None) };
    let isolation = level.as_str().and_then(Isolation::parse);
    isolation
        .map(Some)
        .ok_or_else(|| format!("attributes: default-transaction_isolation: no such level: {level}"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_json_with_a_level_that_exists() {
        assert_eq!(parse_attributes(" "), Ok(None));
        assert_eq!(parse_attributes(r#"{"spiffe_id":"spiffe://x"}"#), Ok(None));
        let level =
            |words: &str| parse_attributes(&format!(r#"{{"default-transaction_isolation":"{words}"}}"#));
        assert_eq!(level("READ COMMITTED"), Ok(Some(Isolation::ReadCommitted)));
        assert_eq!(level("repeatable-read"), Ok(Some(Isolation::RepeatableRead)));
        assert!(level("SNAPSHOT").unwrap_err().contains("SNAPSHOT"));
        assert!(parse_attributes("{").is_err());
    }
}
