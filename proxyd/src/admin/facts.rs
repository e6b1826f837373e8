//! What clients ask of any MySQL server when they connect: functions and system variables about the session.

use super::service::Session;
use crate::runtime::Settings;

/// The version in the greeting and in `VERSION()`: clients choose their dialect by it.
pub const SERVER_VERSION: &str = "8.0.11";
pub const VERSION_COMMENT: &str = concat!("(Standfast ", env!("CARGO_PKG_VERSION"), " Admin)");

/// What `USER()`, `DATABASE()` and `CONNECTION_ID()` answer.
#[derive(Debug, Clone, Default)]
pub struct SessionFacts {
    pub user: String,
    pub schema: String,
    pub id: u32,
}

pub fn of(session: &Session) -> SessionFacts {
    let schema = if session.schema.is_empty() { "main" } else { &session.schema };
    SessionFacts { user: session.user.clone(), schema: schema.to_owned(), id: session.id }
}

/// `@@name`: one of ours, or what a MySQL server of this version would say, or `None`.
pub fn variable(name: &str, settings: &Settings) -> Option<String> {
    let ours = |prefix: &str| settings.text(&format!("{prefix}{name}")).to_owned();
    let known = match name.to_ascii_lowercase().as_str() {
        full if full.starts_with("mysql-") || full.starts_with("admin-") => {
            return settings.iter().find(|(known, _)| *known == full).map(|(_, value)| value.to_owned());
        }
        "version" => SERVER_VERSION.to_owned(),
        "version_comment" => VERSION_COMMENT.to_owned(),
        "max_allowed_packet" | "wait_timeout" => ours("mysql-"),
        "interactive_timeout" => settings.text("mysql-wait_timeout").to_owned(),
        "autocommit" => "1".into(),
        "auto_increment_increment" => "1".into(),
        "transaction_isolation" | "tx_isolation" => "SERIALIZABLE".into(),
        "transaction_read_only" | "tx_read_only" | "read_only" | "super_read_only" => "0".into(),
        "character_set_client"
        | "character_set_connection"
        | "character_set_results"
        | "character_set_server"
        | "character_set_database" => "utf8mb4".into(),
        "collation_server" | "collation_connection" | "collation_database" => "utf8mb4_general_ci".into(),
        "sql_mode" | "init_connect" | "license" => String::new(),
        "time_zone" => "SYSTEM".into(),
        "system_time_zone" => "UTC".into(),
        "lower_case_table_names" => "0".into(),
        "net_write_timeout" => "60".into(),
        "performance_schema" | "query_cache_size" => "0".into(),
        "query_cache_type" => "OFF".into(),
        "hostname" => {
            std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
        }
        _ => return None,
    };
    Some(known)
}
