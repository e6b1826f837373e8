//! What the columns `password` and `attributes` of `mysql_users` say.

use crate::snapshot::{Credential, Isolation};

/// What the `attributes` column says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `default-transaction_isolation`.
    pub isolation: Option<Isolation>,
    /// `spiffe_id`: the URI that the client's certificate must name.
    pub spiffe_id: Option<Box<str>>,
}

/// The `attributes` column: JSON, of which what is not known is left alone.
pub fn parse_attributes(text: &str) -> Result<Attributes, String> {
    if text.trim().is_empty() {
        return Ok(Attributes::default());
    }
    let json: serde_json::Value =
        serde_json::from_str(text).map_err(|error| format!("attributes: not JSON: {error}"))?;
    let isolation =
        match json.get("default-transaction_isolation") {
            None => None,
            Some(level) => Some(level.as_str().and_then(Isolation::parse).ok_or_else(|| {
                format!("attributes: default-transaction_isolation: no such level: {level}")
            })?),
        };
    let spiffe_id = match json.get("spiffe_id") {
        None => None,
        Some(id) => Some(
            id.as_str()
                .filter(|id| id.starts_with("spiffe://"))
                .ok_or_else(|| format!("attributes: spiffe_id: no URI spiffe://…: {id}"))?
                .into(),
        ),
    };
    Ok(Attributes { isolation, spiffe_id })
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
        assert_eq!(parse_attributes(" "), Ok(Attributes::default()));
        let certified = Attributes { isolation: None, spiffe_id: Some("spiffe://x".into()) };
        assert_eq!(parse_attributes(r#"{"spiffe_id":"spiffe://x"}"#), Ok(certified));
        assert!(parse_attributes(r#"{"spiffe_id":"!.*"}"#).unwrap_err().contains("!.*"));
        let level = |words: &str| {
            let text = format!(r#"{{"default-transaction_isolation":"{words}"}}"#);
            parse_attributes(&text).map(|attributes| attributes.isolation)
        };
        assert_eq!(level("READ COMMITTED"), Ok(Some(Isolation::ReadCommitted)));
        assert_eq!(level("repeatable-read"), Ok(Some(Isolation::RepeatableRead)));
        assert!(level("SNAPSHOT").unwrap_err().contains("SNAPSHOT"));
        assert!(parse_attributes("{").is_err());
    }
}
