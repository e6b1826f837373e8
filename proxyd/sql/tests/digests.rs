//! The vectors of `digests.txt`: what ProxySQL makes of a statement, text and hash, and where this differs on purpose.

use proxyd_sql::{DigestOptions, Digester};

const VECTORS: &str = include_str!("digests.txt");

struct Vector {
    options: DigestOptions,
    hash: u64,
    sql: String,
    text: String,
}

fn vectors() -> Vec<Vector> {
    let lines = VECTORS.lines().filter(|line| !line.is_empty() && !line.starts_with("## "));
    lines
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let [options, hash, sql, text] = fields[..] else { panic!("not four fields: {line}") };
            let hash = u64::from_str_radix(hash.trim_start_matches("0x"), 16).expect(line);
            Vector { options: parsed(options), hash, sql: unescaped(sql), text: unescaped(text) }
        })
        .collect()
}

fn parsed(words: &str) -> DigestOptions {
    let mut options = DigestOptions::default();
    for word in words.split(' ').filter(|word| *word != "-") {
        match word.split_once('=') {
            Some(("grouping_limit", limit)) => options.grouping_limit = limit.parse().expect(words),
            Some(("groups_grouping_limit", limit)) => {
                options.groups_grouping_limit = limit.parse().expect(words)
            }
            None if word == "lowercase" => options.lowercase = true,
            None if word == "replace_null" => options.replace_null = true,
            None if word == "no_digits" => options.no_digits = true,
            None if word == "keep_comment" => options.keep_comment = true,
            _ => panic!("no such option: {word}"),
        }
    }
    options
}

fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '\\' => match chars.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                other => other.expect("an escaped character"),
            },
            other => other,
        });
    }
    out
}

#[test]
fn every_vector() {
    let vectors = vectors();
    assert!(vectors.len() >= 500, "{} vectors", vectors.len());
    for Vector { options, hash, sql, text } in vectors {
        let mut digester = Digester::new(options);
        assert_eq!(digester.digest(sql.as_bytes()), text, "{sql:?} with {options:?}");
        assert_eq!(digester.hash(), hash, "{sql:?} with {options:?}");
    }
}

/// Where a sign or a word at the very end is taken apart only the second time, as in ProxySQL.
#[test]
fn a_digest_is_its_own_digest_but_for_odd_ends() {
    let odd = vectors().into_iter().filter(|vector| {
        let mut digester = Digester::new(vector.options);
        digester.digest(vector.text.as_bytes()) != vector.text
    });
    let odd: Vec<String> = odd.map(|vector| vector.sql).collect();
    assert!(odd.len() < 20, "{odd:#?}");
}
