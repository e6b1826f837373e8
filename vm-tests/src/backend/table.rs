//! `CREATE TABLE` as SQLite understands it. Pure.

use super::sql::{render, split_top_level};
use super::token::Token;

/// Column types and names stay; what only InnoDB knows (engines, row formats, collations, secondary keys) goes.
pub(crate) fn create(tokens: &[Token]) -> String {
    let Some(open) = tokens.iter().position(|t| t.is_symbol('(')) else { return render(tokens) };
    let close = tokens.iter().rposition(|t| t.is_symbol(')')).unwrap_or(tokens.len());
    let definitions = split_top_level(&tokens[open + 1..close]);
    let counter = definitions.iter().find(|d| is_counter(d)).and_then(|d| name(d));
    let columns: Vec<String> = definitions
        .iter()
        .filter_map(|d| definition(d, counter.as_deref()))
        .map(|d| d.trim().to_owned())
        .collect();
    format!("{} ({})", qualified(&tokens[..open]), columns.join(", "))
}

/// A table without a schema goes to `test`; SQLite would put it into its own `main`.
fn qualified(head: &[Token]) -> String {
    let text = render(head);
    if text.contains('.') {
        return text;
    }
    let text = text.trim();
    match text.rsplit_once(' ') {
        Some((before, table)) => format!("{before} test.{table}"),
        None => text.to_owned(),
    }
}

fn definition(tokens: &[Token], counter: Option<&str>) -> Option<String> {
    let first = tokens.iter().find(|t| **t != Token::Space)?;
    if ["KEY", "INDEX", "UNIQUE", "FULLTEXT", "CONSTRAINT"].iter().any(|w| first.is_word(w)) {
        return None;
    }
    if first.is_word("PRIMARY") {
        return counter.is_none().then(|| render(tokens));
    }
    if is_counter(tokens) {
        return Some(format!("{} INTEGER PRIMARY KEY AUTOINCREMENT", name(tokens)?));
    }
    Some(render(&without_charsets(tokens)))
}

fn is_counter(tokens: &[Token]) -> bool {
    tokens.iter().any(|t| t.is_word("AUTO_INCREMENT"))
}

fn name(tokens: &[Token]) -> Option<String> {
    tokens.iter().find_map(|t| if let Token::Word(word) = t { Some(word.clone()) } else { None })
}

/// Drops `COLLATE x`, `CHARACTER SET x`, `UNSIGNED` and `COMMENT 'x'`.
fn without_charsets(tokens: &[Token]) -> Vec<Token> {
    let mut kept = Vec::new();
    let mut drop_next = 0;
    for token in tokens {
        if drop_next > 0 {
            drop_next -= usize::from(*token != Token::Space);
        } else if token.is_word("COLLATE") || token.is_word("COMMENT") || token.is_word("CHARSET") {
            drop_next = 1;
        } else if token.is_word("CHARACTER") {
            drop_next = 2;
        } else if !token.is_word("UNSIGNED") {
            kept.push(token.clone());
        }
    }
    kept
}
