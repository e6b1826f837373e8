//! What a server answers: OK, ERR, EOF and result sets.

mod eof;
mod err;
mod ok;

pub use eof::EofPacket;
pub use err::ErrPacket;
pub use ok::OkPacket;
