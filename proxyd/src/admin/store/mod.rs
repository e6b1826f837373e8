//! The admin database: `main` (memory layer and `runtime_` twins), `disk`, `stats`, `monitor`, on one SQLite connection.
//!
//! It holds rows and moves them between layers. It does not know what they mean at runtime and asks nobody anything.

mod attributes;
mod check_log;
mod checksum;
mod config;
mod layers;
mod one_user;
mod open;
mod passive;
mod peers;
mod query;
mod rows;
mod rules;
mod saved;
mod stats;
pub mod tables;
mod users;

pub use check_log::{AuroraSeen, Check, CheckLog, GaleraSeen, GroupSeen};
pub use layers::{Module, copy_error};
pub use open::Store;
pub use peers::ClusterClient;
pub use query::{ResultSet, Rights, SqlOutcome, TableRef};
pub use saved::SavedRows;
pub use stats::{StatsInput, digest_cells, global_rows, pool_cells};
