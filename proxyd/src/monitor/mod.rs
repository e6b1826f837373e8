//! The monitors: connect, ping, `read_only`, Galera, Group Replication, Aurora and replication lag checks of every configured server, on the control thread.
//!
//! What a check means is decided in [`decide`], [`galera`], [`group_replication`] and [`lag`] and when it is due in [`schedule`], both without a socket or a clock;
//! [`probe`] asks the servers; [`binlog`] listens to their binlog readers; [`engine`] keeps one task for each address and tells the runtime what was found. The
//! monitors never touch a worker's connections and never write a table: findings go to the runtime, one row for each
//! check goes to whoever keeps the logs.

mod aurora;
mod binlog;
mod decide;
mod engine;
mod galera;
mod group_replication;
mod lag;
mod plan;
mod probe;
mod schedule;

#[cfg(test)]
mod tests;

pub use binlog::listen_to_readers;
pub use engine::{Handle, start};
