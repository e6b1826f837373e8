//! The admin interface: ProxySQL's words over MySQL's protocol, on SQLite tables.
//!
//! It reads and writes rows, moves them between memory, disk and runtime, and answers `standfast status`. It runs on the
//! control thread; nothing here is on the way of a client's query.

mod away;
mod boot;
mod bulk;
mod commands;
mod credentials;
mod facts;
mod history;
mod import;
mod keywords;
mod lexer;
mod load;
mod one_user;
mod orders;
mod proxysql;
mod route;
mod server;
mod service;
mod show;
mod statement;
mod status;
mod store;
mod unsaved;

#[cfg(test)]
pub mod tests;

pub use credentials::password_of;
pub use history::keep_history;
pub use import::import;
pub use orders::End;
pub use server::serve;
pub use service::Admin;
pub use status::serve_status;
pub use store::{AuroraSeen, Check, CheckLog, GaleraSeen, GroupSeen};
