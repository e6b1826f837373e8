//! Byte streams and the buffers they fill. Knows frames only by their four-byte header; no MySQL beyond that.

mod buffer;
mod compressed;
mod listener;
mod packets;
mod stream;

pub use buffer::{Buffer, BufferPool, STANDARD};
pub use compressed::Role;
pub use listener::Listener;
pub use packets::Packets;
pub use stream::{Connection, Stream};
