//! MySQL's client/server protocol as bytes: no socket, no clock, no task, no random number.
//!
//! Everything takes and gives *payloads*; [`frame`] puts them into frames and finds them in a buffer. Nothing a peer
//! sends makes anything here panic or allocate more than it sent.
//!
//! The way through:
//! - **frames**: [`frame::locate`] says if a whole packet is at the front of a buffer and how many bytes to wait for,
//!   [`frame::payload`] borrows it, [`frame::write`] appends a payload as frames and advances the sequence number.
//!   The number of the next frame to send is the last received plus one; each frame sent adds one.
//! - **capabilities, status**: [`Capabilities`] (MariaDB's in the upper half) and [`Status`].
//! - **commands**: [`Request::parse`].
//! - **answers**: [`response`]: [`OkPacket`], [`ErrPacket`], [`EofPacket`], columns and rows; and
//!   [`response::ResponseTracker`]: made for each command with [`response::Expect::after`] and the backend's
//!   capabilities, it is shown the backend's raw bytes (frames and all) as they are relayed, says how many belong to the
//!   response, and at its end gives an [`response::Outcome`].
//! - **compression**: [`compression::pack`] and [`compression::unpack`], blocks around the stream of frames.
//! - **logins**: [`server::Login`] for clients of ours and [`client::Login`] for backends: machines that take payloads
//!   and say what to do next (send this, start TLS, look this user up, use the RSA key).
#![forbid(unsafe_code)]

pub mod attributed;
pub mod auth;
pub mod capabilities;
pub mod client;
pub mod command;
pub mod compression;
pub mod execute;
pub mod frame;
#[doc(hidden)]
pub mod fuzz;
pub mod handshake;
pub mod lenenc;
pub mod proxy_header;
pub mod response;
pub mod server;
pub mod status;

pub use capabilities::Capabilities;
pub use command::{Command, Request};
pub use lenenc::{Malformed, Reader};
pub use response::{EofPacket, ErrPacket, OkPacket};
pub use status::Status;
