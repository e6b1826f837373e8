//! What a server answers: OK, ERR, EOF and result sets, and where a response ends.

mod column;
mod description;
pub mod dialect;
pub mod end;
mod eof;
mod err;
mod ok;
mod resultset;
mod row;
mod schema_debt;
pub mod session_track;
pub mod tracker;
mod warnings;

pub use column::{BINARY, ColumnDefinition, TYPE_LONGLONG, TYPE_VAR_STRING, UTF8MB4};
pub use description::Description;
pub use dialect::{Dialect, Edit};
pub use end::{End, First, Outcome, Prepared};
pub use eof::EofPacket;
pub use err::ErrPacket;
pub use ok::OkPacket;
pub use resultset::{Answer, AnswerCollector, ResultSetWriter, text_resultset};
pub use row::{parse_text_row, put_text_row};
pub use schema_debt::{SchemaDebt, SchemaNews};
pub use tracker::{Converted, Expect, ResponseTracker, Scan};
pub use warnings::clear_warnings;
