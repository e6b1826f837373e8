//! A row of `mysql_query_rules`.

/// All columns, typed; `None` is SQL's NULL. `Default` is a new row: inactive, and matching everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueryRule {
    pub rule_id: i64,
    pub active: bool,
    pub username: Option<Box<str>>,
    pub schemaname: Option<Box<str>>,
    pub flag_in: u32,
    /// Exact, or a prefix when it ends with `%`.
    pub client_addr: Option<Box<str>>,
    pub proxy_addr: Option<Box<str>>,
    pub proxy_port: Option<u16>,
    /// See [`QueryRule::parse_digest`].
    pub digest: Option<u64>,
    pub match_digest: Option<Box<str>>,
    pub match_pattern: Option<Box<str>>,
    pub negate_match_pattern: bool,
    /// `CASELESS`, `GLOBAL`, both with a comma between, or nothing.
    pub re_modifiers: Box<str>,
    pub flag_out: Option<u32>,
    pub replace_pattern: Option<Box<str>>,
    pub destination_hostgroup: Option<u32>,
    /// Milliseconds.
    pub cache_ttl: Option<u32>,
    pub cache_empty_result: Option<bool>,
    pub cache_timeout: Option<u32>,
    pub reconnect: Option<bool>,
    /// Milliseconds.
    pub timeout: Option<u32>,
    pub retries: Option<u32>,
    /// Milliseconds.
    pub delay: Option<u32>,
    pub next_query_flag_in: Option<u32>,
    pub mirror_flag_out: Option<u32>,
    pub mirror_hostgroup: Option<u32>,
    pub error_msg: Option<Box<str>>,
    pub ok_msg: Option<Box<str>>,
    pub sticky_conn: Option<bool>,
    pub multiplex: Option<Multiplex>,
    pub gtid_from_hostgroup: Option<u32>,
    pub log: Option<bool>,
    pub apply: bool,
    /// JSON; `flagOUTs` is read: a list of `{"id": flag, "weight": n}`, one of which is drawn instead of `flagOUT`.
    pub attributes: Box<str>,
    pub comment: Option<Box<str>>,
}

/// `mysql_query_rules.multiplex`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Multiplex {
    /// 0: from here on the session keeps its backend connection.
    Disable,
    /// 1
    Enable,
    /// 2: an `@` in this query is no reason to stop multiplexing.
    IgnoreVariables,
}

impl Multiplex {
    /// From the column's number.
    pub fn from_column(value: i64) -> Option<Multiplex> {
        match value {
            0 => Some(Multiplex::Disable),
            1 => Some(Multiplex::Enable),
            2 => Some(Multiplex::IgnoreVariables),
            _ => None,
        }
    }
}

impl QueryRule {
    /// The column `digest`: `0x` and up to 16 hexadecimal digits.
    pub fn parse_digest(text: &str) -> Option<u64> {
        let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
        if digits.starts_with('+') { None } else { u64::from_str_radix(digits, 16).ok() }
    }
}

/// Why a rule cannot be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("query rule {rule_id}: {reason}")]
pub struct RuleError {
    pub rule_id: i64,
    pub reason: String,
}
