//! Lines of the audit log: one JSON object each, with ProxySQL's names for what ProxySQL has. Pure.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use crate::peer::Peer;

/// Words that a statement with a secret in it has: the tables and variables that hold some.
const SECRETIVE: [&str; 8] = [
    "mysql_users",
    "clickhouse_users",
    "global_variables",
    "scheduler",
    "ldap",
    "password",
    "credential",
    "identified",
];

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    Connected,
    /// With the reason that the client was told.
    Refused(&'a str),
    Closed {
        after: Duration,
    },
    /// An administrator's statement, and the error it met.
    Statement {
        sql: &'a str,
        error: Option<&'a str>,
    },
}

/// Who it was.
#[derive(Debug, Clone, Copy)]
pub struct Who<'a> {
    /// On the admin interface; else a client of MySQL.
    pub admin: bool,
    pub client: Peer,
    pub user: &'a str,
    pub schema: &'a str,
    pub thread_id: u32,
    /// `None`: not known any more.
    pub tls: Option<bool>,
}

/// The line, without its end.
pub fn line(event: Event<'_>, who: Who<'_>, now: SystemTime) -> Vec<u8> {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
    put("timestamp", json!(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)));
    put("time", json!(stamp(since)));
    put("client_addr", json!(who.client.to_string()));
    put("username", json!(who.user));
    put("schemaname", json!(who.schema));
    put("thread_id", json!(who.thread_id));
    if let Some(tls) = who.tls {
        put("ssl", json!(tls));
    }
    let what = match event {
        Event::Connected => "Connect_OK",
        Event::Refused(reason) => {
            put("extra_info", json!(reason));
            "Connect_ERR"
        }
        Event::Closed { after } => {
            put("duration", json!(format!("{}ms", after.as_millis())));
            "Close"
        }
        Event::Statement { sql, error } => {
            put("query", json!(without_secrets(sql, error.is_some())));
            if let Some(error) = error {
                put("error", json!(error));
            }
            "Statement"
        }
    };
    let side = if who.admin { "Admin" } else { "MySQL_Client" };
    put("event", json!(format!("{side}_{what}")));
    Value::Object(object).to_string().into_bytes()
}

/// The statement with `?` for its values where one of them may be a secret; so it is in all that failed, as a misspelt
/// statement may hold anything.
fn without_secrets(sql: &str, failed: bool) -> String {
    let folded = sql.to_ascii_lowercase();
    if failed || SECRETIVE.iter().any(|word| folded.contains(word)) {
        let mut digester = proxyd_sql::Digester::new(proxyd_sql::DigestOptions::default());
        return digester.digest(sql.as_bytes()).to_owned();
    }
    sql.to_owned()
}

/// `2026-11-21 13:05:09.007`, UTC.
pub fn stamp(since_1970: Duration) -> String {
    let seconds = since_1970.as_secs();
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let millis = since_1970.subsec_millis();
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{millis:03}")
}

/// Days since 1970 as year, month, day: whole cycles of 400, 100, 4 years and 1 year from a 1 March on.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHO: Who<'_> = Who {
        admin: true,
        client: Peer::Local,
        user: "admin",
        schema: "main",
        thread_id: 7,
        tls: Some(false),
    };

    fn parsed(event: Event<'_>) -> Value {
        let now = UNIX_EPOCH + Duration::from_millis(1_558_363_727_631);
        serde_json::from_slice(&line(event, WHO, now)).unwrap()
    }

    #[test]
    fn names_are_proxysqls() {
        let line = parsed(Event::Connected);
        assert_eq!(line["event"], "Admin_Connect_OK");
        assert_eq!(line["time"], "2019-05-20 14:48:47.631");
        assert_eq!(line["timestamp"], 1_558_363_727_631_u64);
        assert_eq!(line["client_addr"], "localhost");
        assert_eq!(parsed(Event::Refused("no"))["extra_info"], "no");
        assert_eq!(parsed(Event::Closed { after: Duration::from_secs(2) })["duration"], "2000ms");
    }

    #[test]
    fn no_secret_is_written() {
        for sql in [
            "INSERT INTO mysql_users (username, password) VALUES ('app', 'pw-1')",
            "UPDATE global_variables SET variable_value='pw-1' WHERE variable_name='admin-x'",
            "SET admin-admin_credentials='admin:pw-1'",
            "SET mysql-monitor_password=\"pw-1\"",
            "INSERT INTO \"scheduler\" (id, arg1) VALUES (1, 'pw-1')",
        ] {
            let line = parsed(Event::Statement { sql, error: None }).to_string();
            assert!(!line.contains("pw-1") && line.contains('?'), "{line}");
        }
        let misspelt = Event::Statement { sql: "UPDATE mysql_user SET pass='pw-1'", error: Some("no table") };
        assert!(!parsed(misspelt).to_string().contains("pw-1"));
        let plain = "UPDATE mysql_servers SET weight=5 WHERE hostname='db1'";
        assert_eq!(parsed(Event::Statement { sql: plain, error: None })["query"], plain);
    }

    #[test]
    fn days_are_dates() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(19_782), (2024, 2, 29));
        assert_eq!(civil(19_783), (2024, 3, 1));
        assert_eq!(civil(20_778), (2026, 11, 21));
    }
}
