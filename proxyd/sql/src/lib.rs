//! What the proxy understands of SQL text, and no more: tokens, the normalised digest, the class of a statement, and
//! the assignments of a SET statement.
//!
//! Everything here is pure. A statement is bytes in any character set that extends ASCII; it is cut into tokens
//! without copying, never parsed into a tree, and never rejected: what the tokenizer does not know becomes one
//! operator byte, and a statement that the classifier does not know is [`Kind::Unknown`]. Two settings of the server
//! are not visible in the text and are taken at their defaults: backslashes escape inside strings
//! (`NO_BACKSLASH_ESCAPES` off) and double quotes make strings (`ANSI_QUOTES` off).

#![forbid(unsafe_code)]

pub mod class;
mod comment;
pub mod digest;
pub mod fuzz;
mod kind;
mod known;
pub mod set;
pub mod spooky;
pub mod token;

pub use class::{Detail, Flags, Statement, classify};
pub use comment::first_comment;
pub use digest::{Digest, DigestOptions, Digester, digest, digest_text};
pub use kind::Kind;
pub use known::KnownShapes;
pub use set::{Assignment, Scope, Target, Unparsed, Value, ValueKind, parse_set};
pub use token::{Token, TokenKind, Tokenizer};
