//! Tokens, row by row: the statement, and its tokens with a letter for the kind.

use std::borrow::Cow;

use proptest::prelude::*;

use super::*;

fn letter(kind: TokenKind) -> char {
    match kind {
        TokenKind::Word => 'w',
        TokenKind::QuotedIdentifier => 'q',
        TokenKind::String => 's',
        TokenKind::PrefixedString => 'p',
        TokenKind::Number => 'n',
        TokenKind::UserVariable => 'u',
        TokenKind::SystemVariable => 'v',
        TokenKind::Placeholder => '?',
        TokenKind::Ellipsis => 'e',
        TokenKind::Operator => 'o',
        TokenKind::Comment => 'c',
        TokenKind::ExecutableOpen => '<',
        TokenKind::ExecutableClose => '>',
    }
}

/// `w:SELECT n:1`.
fn show(sql: &str) -> String {
    let show = |token: Token<'_>| format!("{}:{}", letter(token.kind), String::from_utf8_lossy(token.text));
    Tokenizer::with_comments(sql.as_bytes()).map(show).collect::<Vec<_>>().join(" ")
}

#[test]
fn rows() {
    for (sql, expected) in [
        ("", ""),
        ("SELECT 1", "w:SELECT n:1"),
        ("a\tb\r\nc\x0bd", "w:a w:b w:c w:d"),
        ("1 1.5 .5 1. 1e5 1.5E-3 1e+2", "n:1 n:1.5 n:.5 n:1. n:1e5 n:1.5E-3 n:1e+2"),
        ("0x1F 0b01 0xZ 0b2 0x", "n:0x1F n:0b01 w:0xZ w:0b2 w:0x"),
        ("1a 1e 1e5x 2024_x", "w:1a w:1e w:1e5x w:2024_x"),
        ("a.1 a.1b `a`.2", "w:a o:. w:1 w:a o:. w:1b q:`a` o:. w:2"),
        ("'a''b' \"c\"\"d\" `e``f`", "s:'a''b' s:\"c\"\"d\" q:`e``f`"),
        (r"'a\'b' '\\' 'c", r"s:'a\'b' s:'\\' s:'c"),
        ("x'41' B'1' n'a' _utf8'b'", "p:x'41' p:B'1' p:n'a' w:_utf8 s:'b'"),
        ("@a @'b c' @`d` @a.b @ @=1", "u:@a u:@'b c' u:@`d` u:@a.b o:@ o:@ o:= n:1"),
        ("@@a @@global.b @@`c` @@", "v:@@a v:@@global.b v:@@`c` o:@ o:@"),
        (
            "a:=1 <=> <> != <= >= << >> && || -> ->>",
            "w:a o::= n:1 o:<=> o:<> o:!= o:<= o:>= o:<< o:>> o:&& o:|| o:-> o:->>",
        ),
        ("a--b", "w:a o:- o:- w:b"),
        ("a -- b\nc", "w:a c:-- b w:c"),
        ("a --", "w:a c:--"),
        ("a # b\nc", "w:a c:# b w:c"),
        ("a/* b */c /**/ /* d", "w:a c:/* b */ w:c c:/**/ c:/* d"),
        (
            "/*!50001 a */ /*! b*/ /*M!100100 c */ */",
            "<:/*!50001 w:a >:*/ <:/*! w:b >:*/ <:/*M!100100 w:c >:*/ o:* o:/",
        ),
        ("IN (?,?,...)", "w:IN o:( ?:? o:, ?:? o:, e:... o:)"),
        ("é$_9", "w:é$_9"),
    ] {
        assert_eq!(show(sql), expected, "{sql}");
    }
}

#[test]
fn spaces_are_told() {
    let spaced: Vec<bool> = Tokenizer::new(b" a b/* c */d,e").map(|token| token.spaced).collect();
    assert_eq!(spaced, [true, true, true, false, false]);
}

#[test]
fn unquoting() {
    for (text, expected) in [
        ("plain", "plain"),
        ("'a'", "a"),
        ("''", ""),
        ("'it''s'", "it's"),
        (r"'a\nb\tc\\d\'e\%'", "a\nb\tc\\d'e%"),
        ("`a``b`", "a`b"),
        (r"`a\b`", r"a\b"),
        ("'open", "open"),
    ] {
        assert_eq!(unquote(text.as_bytes()), Cow::Borrowed(expected.as_bytes()), "{text}");
    }
}

proptest! {
    /// Tokens and what lies between them are the statement, and only white space and comments lie between.
    #[test]
    fn nothing_is_lost(sql in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut from = 0;
        for token in Tokenizer::with_comments(&sql) {
            prop_assert!(!token.text.is_empty());
            prop_assert!(sql[from..token.start].iter().all(|&byte| is_space(byte)));
            prop_assert_eq!(&sql[token.start..token.end()], token.text);
            from = token.end();
        }
        prop_assert!(sql[from..].iter().all(|&byte| is_space(byte)));
    }
}
