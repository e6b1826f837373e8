//! The packets of the connection phase, each in its own file.

mod auth_packets;
mod change_user;
mod greeting;
mod response;

pub use auth_packets::{AuthMoreData, AuthSwitchRequest};
pub use change_user::ChangeUser;
pub use greeting::{Greeting, GreetingError, NONCE};
pub use response::{ClientHello, HandshakeResponse, HelloError, SslRequest};
