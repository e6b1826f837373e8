//! What the fuzz target runs, so that the ordinary tests can run the same for a moment.

use crate::{DigestOptions, Digester, Flags, Tokenizer, classify, parse_set};

/// Takes any bytes for a statement and asserts what must hold for each.
pub fn statements(sql: &[u8]) {
    let mut from = 0;
    for token in Tokenizer::with_comments(sql) {
        assert!(!token.text.is_empty() && token.start >= from, "tokens advance");
        from = token.end();
    }
    assert!(from <= sql.len());

    let statement = classify(sql);
    assert!(!(statement.is_read() && statement.flags.any(Flags::MULTI_STATEMENT)));

    if let Ok(assignments) = parse_set(sql) {
        assert!(assignments.iter().all(|assignment| assignment.value.text.len() <= sql.len()));
    }

    for replace_null in [false, true] {
        let options = DigestOptions { replace_null, ..DigestOptions::default() };
        let mut digester = Digester::new(options);
        let once = digester.digest(sql).to_owned();
        assert!(once.len() <= options.max_digest_length);
        // A text that was cut may end inside a token.
        if once.len() < options.max_digest_length && sql.len() <= options.max_query_length {
            assert_eq!(digester.digest(once.as_bytes()), once, "a digest is its own digest");
        }
    }
}
