//! The classes of statements that ran lately, by their digest texts: most statements differ from an earlier one in their
//! literals only, and then in nothing that these classes depend on.
//!
//! It keeps only what is sure to be told by the text: see [`Digester::is_plain`] for the texts, [`is_kept`] for the kinds.

use crate::class::{Detail, Flags, Statement, classify};
use crate::digest::Digester;
use crate::kind::Kind;

/// So many shapes are known at a time; one that comes takes the place of the one before it.
const PLACES: usize = 1024;
/// Longer digest texts are not kept: they are few, and reading them again is not what costs most.
const LONGEST: usize = 512;

/// A worker's known shapes.
#[derive(Debug, Default)]
pub struct KnownShapes {
    places: Vec<Shape>,
}

#[derive(Debug, Clone)]
struct Shape {
    text: String,
    kind: Kind,
    flags: Flags,
}

impl KnownShapes {
    /// The class of a statement that `digester` has just been given.
    pub fn class<'a>(&mut self, sql: &'a [u8], digester: &Digester) -> Statement<'a> {
        let text = digester.text();
        if !digester.is_plain() || text.is_empty() || text.len() > LONGEST {
            return classify(sql);
        }
        if self.places.is_empty() {
            let nothing = Shape { text: String::new(), kind: Kind::Unknown, flags: Flags::NONE };
            self.places.resize(PLACES, nothing);
        }
        let place = (digester.hash() % PLACES as u64) as usize;
        let Some(shape) = self.places.get_mut(place) else { return classify(sql) };
        if shape.text == text {
            return Statement { kind: shape.kind, flags: shape.flags, detail: Detail::None };
        }
        let statement = classify(sql);
        if is_kept(&statement) {
            shape.text.clear();
            shape.text.push_str(text);
            (shape.kind, shape.flags) = (statement.kind, statement.flags);
        }
        statement
    }
}

/// What runs often, and is not told apart by its literals (as `KILL 5` is).
fn is_kept(statement: &Statement<'_>) -> bool {
    use Kind::{Delete, Insert, Replace, Select, SelectForUpdate, Update};
    statement.detail == Detail::None
        && matches!(statement.kind, Select | SelectForUpdate | Insert | Update | Delete | Replace)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read<'a>(known: &mut KnownShapes, sql: &'a [u8]) -> Statement<'a> {
        let mut digester = Digester::default();
        digester.digest(sql);
        known.class(sql, &digester)
    }

    fn kept(known: &KnownShapes) -> usize {
        known.places.iter().filter(|shape| !shape.text.is_empty()).count()
    }

    #[test]
    fn literals_do_not_matter() {
        let mut known = KnownShapes::default();
        for sql in
            ["SELECT a FROM t WHERE b=1", "SELECT a  FROM t WHERE b='x y'", "SELECT a FROM t WHERE b=-2"]
        {
            assert_eq!(read(&mut known, sql.as_bytes()), classify(sql.as_bytes()), "{sql}");
        }
        assert_eq!(kept(&known), 1);
    }

    #[test]
    fn what_a_digest_does_not_tell_is_not_kept() {
        let mut known = KnownShapes::default();
        for sql in [
            "SELECT 1 # x\r, GET_LOCK('a', 1)",
            "SELECT 1 , GET_LOCK('a', 1) -- x",
            "SELECT @'a'",
            "SELECT @@version",
            "SELECT /*!40001 SQL_CALC_FOUND_ROWS */ a FROM t",
            "SELECT 1 --\u{1}FOR UPDATE",
            "SELECT caf\u{e9}",
            "KILL 'x'",
            "USE a",
        ] {
            assert_eq!(read(&mut known, sql.as_bytes()), classify(sql.as_bytes()), "{sql}");
        }
        assert_eq!(kept(&known), 0);
    }

    proptest! {
        /// Pieces that comments, quotes, names and signs are made of, joined at random. A class that is known is the class, and
        /// what is plain has no comment.
        #[test]
        fn a_digest_tells_enough(statements in prop::collection::vec(prop::collection::vec(prop::sample::select(vec![
            "SELECT ", "FOR ", "UPDATE", " ", "\t", "\r", "\n", "'", "''", "\"", "`", "\\", "#", "-", "--", "-- ", "/", "/*", "*/", "/*!", "@", "@a",
            "GET_LOCK", "(", ")", ",", "1", "1a", "0x", "?", ";", "LOCK IN SHARE MODE", "INTO", ":=", "x'1'", ".", "+", "LAST_INSERT_ID", "\u{e9}",
        ]), 0..8), 1..40)) {
            let mut known = KnownShapes::default();
            for pieces in statements {
                let sql = ["SELECT a"].into_iter().chain(pieces).collect::<String>();
                prop_assert_eq!(read(&mut known, sql.as_bytes()), classify(sql.as_bytes()), "{}", sql);
                let mut digester = Digester::default();
                digester.digest(sql.as_bytes());
                let comment = crate::first_comment(sql.as_bytes());
                prop_assert!(!digester.is_plain() || comment.is_none(), "a plain text has no comment: {}", sql);
            }
        }
    }
}
