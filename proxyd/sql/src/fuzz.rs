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

    let defaults = DigestOptions::default();
    digests(sql, defaults);
    digests(sql, DigestOptions { replace_null: true, no_digits: true, lowercase: true, ..defaults });
    digests(sql, DigestOptions { grouping_limit: 1, groups_grouping_limit: 1, ..defaults });
    digests(
        sql,
        DigestOptions { keep_comment: true, max_digest_length: 40, max_query_length: 60, ..defaults },
    );
}

/// A digest holds no string, says the same of itself after a round or two, and is no longer than it may be.
fn digests(sql: &[u8], options: DigestOptions) {
    let mut digester = Digester::new(options);
    let mut text = digester.digest(sql).to_owned();
    assert!(text.len() <= options.max_digest_length);
    if options.keep_comment {
        // What people write in comments is anything.
        return;
    }
    let outside_names = text.split('`').step_by(2);
    assert!(!outside_names.flat_map(str::bytes).any(|byte| matches!(byte, b'\'' | b'"')), "{text:?}");
    // A text that was cut may end inside a word.
    if text.len() < options.max_digest_length && sql.len() <= options.max_query_length {
        let mut rounds = 0;
        loop {
            let next = digester.digest(text.as_bytes()).to_owned();
            if next == text {
                break;
            }
            assert!(next.len() <= text.len() && rounds < 100, "{text:?} became {next:?}");
            text = next;
            rounds += 1;
        }
    }
}
