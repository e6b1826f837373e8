//! The two JSON columns of `mysql_hostgroup_attributes`. Pure: text in; what acts, and the keys that do not, out.

use serde_json::{Map, Value};

use crate::snapshot::ProxyProtocol;

/// The keys of `hostgroup_settings` that act.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HostgroupSettings {
    /// Of several servers that may write, only one does. Ours; ProxySQL has nothing like it.
    pub single_writer: bool,
    /// In seconds, instead of `mysql-monitor_slave_lag_when_null`.
    pub slave_lag_when_null: Option<u32>,
    /// `proxy_protocol`, 0 (off), 1 or 2. Ours; ProxySQL does not send headers.
    pub proxy_protocol: ProxyProtocol,
    /// In milliseconds: a causal read waits so long for a server of which no binlog reader tells. Ours.
    pub gtid_wait_ms: Option<u32>,
}

/// `servers_defaults`: what a server that was discovered gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ServersDefaults {
    pub weight: Option<i64>,
    pub max_connections: Option<u32>,
    pub use_ssl: Option<bool>,
}

/// What was read, and the names of the keys that nobody reads or whose value is none for them.
pub type Read<T> = (T, Vec<String>);

impl HostgroupSettings {
    pub fn parse(text: &str) -> Read<HostgroupSettings> {
        let mut settings = HostgroupSettings::default();
        let idle = keys(text, |key, value| match key {
            "single_writer" => flag(value).map(|on| settings.single_writer = on),
            "monitor_slave_lag_when_null" => {
                number(value).map(|seconds| settings.slave_lag_when_null = Some(seconds))
            }
            "proxy_protocol" => match value.as_u64()? {
                0 => Some(ProxyProtocol::Off),
                1 => Some(ProxyProtocol::V1),
                2 => Some(ProxyProtocol::V2),
                _ => None,
            }
            .map(|version| settings.proxy_protocol = version),
            "gtid_wait_ms" => number(value).map(|ms| settings.gtid_wait_ms = Some(ms)),
            _ => None,
        });
        (settings, idle)
    }
}

impl ServersDefaults {
    pub fn parse(text: &str) -> Read<ServersDefaults> {
        let mut defaults = ServersDefaults::default();
        let idle = keys(text, |key, value| match key {
            "weight" => value.as_i64().map(|weight| defaults.weight = Some(weight)),
            "max_connections" => number(value).map(|limit| defaults.max_connections = Some(limit)),
            "use_ssl" => flag(value).map(|on| defaults.use_ssl = Some(on)),
            _ => None,
        });
        (defaults, idle)
    }
}

/// Hands each key to `take`; the names of those that it does not take.
fn keys(text: &str, mut take: impl FnMut(&str, &Value) -> Option<()>) -> Vec<String> {
    let map: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
    map.into_iter().filter(|(key, value)| take(key, value).is_none()).map(|(key, _)| key).collect()
}

fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok())
}

/// 0 and 1, as ProxySQL writes them, or JSON's own words.
fn flag(value: &Value) -> Option<bool> {
    value.as_bool().or_else(|| value.as_u64().filter(|number| *number < 2).map(|number| number == 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_and_the_others_named() {
        let text = r#"{"single_writer": 1, "handle_warnings": 0, "monitor_slave_lag_when_null": 5, "proxy_protocol": 2, "gtid_wait_ms": 20}"#;
        let settings = HostgroupSettings {
            single_writer: true,
            slave_lag_when_null: Some(5),
            proxy_protocol: ProxyProtocol::V2,
            gtid_wait_ms: Some(20),
        };
        assert_eq!(HostgroupSettings::parse(text), (settings, vec!["handle_warnings".to_owned()]));
        assert_eq!(HostgroupSettings::parse(""), Default::default());
        assert_eq!(HostgroupSettings::parse(r#"{"single_writer": 2}"#).1, ["single_writer"]);
    }

    #[test]
    fn defaults_are_read() {
        let (defaults, idle) =
            ServersDefaults::parse(r#"{"weight": 100, "max_connections": 50, "use_ssl": true}"#);
        assert_eq!(idle, Vec::<String>::new());
        assert_eq!(
            defaults,
            ServersDefaults { weight: Some(100), max_connections: Some(50), use_ssl: Some(true) }
        );
    }
}
