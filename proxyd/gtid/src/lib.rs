//! Sets of global transaction identifiers, MySQL's and MariaDB's: parse, ask, add, print; and how a binlog reader tells
//! of them ([`reader`]).
//!
//! Pure. The text comes from servers and binlog readers and is checked whole before anything is taken from it. Nothing
//! here grows beyond the size of the text it was made from, save by [`mysql::GtidSet::add`], one interval at most a
//! call.

#![forbid(unsafe_code)]

pub mod executed;
#[doc(hidden)]
pub mod fuzz;
pub mod mariadb;
pub mod mysql;
pub mod reader;

pub use executed::{Executed, Range, Source, Wanted};

/// Why a text is no GTID, set or position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    #[error("malformed server UUID")]
    Uuid,
    #[error("malformed tag")]
    Tag,
    #[error("malformed or out-of-range number")]
    Number,
    #[error("interval ends before it begins")]
    Interval,
    #[error("a part is missing or one is too many")]
    Shape,
}

/// A decimal number without sign.
fn number<N: std::str::FromStr>(text: &str) -> Result<N, ParseError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ParseError::Number);
    }
    text.parse().map_err(|_| ParseError::Number)
}
