//! The first comment of a statement, where applications write notes for the proxy.

use crate::token::{TokenKind, Tokenizer};

/// The inside of the first `/* … */` that is a comment: not code (`/*! … */`), not part of a string.
pub fn first_comment(sql: &[u8]) -> Option<&[u8]> {
    // Most statements have none, and need not be cut into tokens to see that.
    if !sql.contains(&b'/') {
        return None;
    }
    let mut tokens = Tokenizer::with_comments(sql);
    let comment = tokens.find(|token| token.kind == TokenKind::Comment && token.text.starts_with(b"/*"))?;
    let inner = comment.text.strip_prefix(b"/*")?;
    Some(inner.strip_suffix(b"*/").unwrap_or(inner))
}

#[cfg(test)]
mod tests {
    #[test]
    fn first_comments() {
        let rows: [(&str, Option<&str>); 9] = [
            ("SELECT 1", None),
            ("/* a=1 */ SELECT 1", Some(" a=1 ")),
            ("SELECT /*a*/ 1 /*b*/", Some("a")),
            ("SELECT '/*a*/' /*b*/", Some("b")),
            ("/*!40101 SET @a=1 */ /*b*/", Some("b")),
            ("-- /*a*/\nSELECT /*b*/ 1", Some("b")),
            ("SELECT /*+ hint */ 1", Some("+ hint ")),
            ("SELECT /*a", Some("a")),
            ("SELECT /**/ 1", Some("")),
        ];
        for (sql, expected) in rows {
            assert_eq!(super::first_comment(sql.as_bytes()), expected.map(str::as_bytes), "{sql}");
        }
    }
}
