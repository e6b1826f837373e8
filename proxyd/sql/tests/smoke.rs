//! The fuzz target's body, for a moment, on random bytes and on random pieces of SQL.

use proptest::prelude::*;
use proxyd_sql::fuzz::statements;

/// Pieces that meet in real statements, and those that open something and may never close it.
const PIECES: &[&str] = &[
    "SELECT ",
    "SET ",
    "INSERT INTO t VALUES ",
    "(1,2,3,4,5)",
    ",",
    "(",
    ")",
    " ",
    "\n",
    "a",
    "t1",
    "@a",
    "@@b",
    "=",
    ":=",
    "1",
    "-",
    "+",
    "*",
    "/",
    "0x1",
    "1.5e3",
    "'x'",
    "\"y\"",
    "'",
    "\"",
    "`",
    "`q 1,2`",
    "?",
    "...",
    ".",
    "--",
    "-- c\n",
    "#",
    "/*",
    "*/",
    "/*!50001 ",
    ";",
    "\\",
    "NULL",
    "FOR UPDATE",
    "NAMES ",
    "COLLATE ",
    "é",
    "\u{0}",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes(sql in prop::collection::vec(any::<u8>(), 0..300)) {
        statements(&sql);
    }

    #[test]
    fn random_pieces(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..40)) {
        statements(pieces.concat().as_bytes());
    }
}
