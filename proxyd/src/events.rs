//! Lines of the events log: one JSON object a statement, with ProxySQL's names. Pure.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proxyd_sql::{DigestOptions, Kind};
use serde_json::{Map, Value, json};

use crate::audit::stamp;
use crate::peer::Peer;
use crate::stats::ServerKey;

/// A longer statement is cut, and the line says so.
const QUERY_LIMIT: usize = 256 * 1024;

/// A statement that is over.
#[derive(Debug, Clone, Copy)]
pub struct Statement<'a> {
    /// `COM_QUERY`, `COM_STMT_EXECUTE`, …
    pub command: &'a str,
    pub kind: Kind,
    pub text: &'a [u8],
    pub digest: u64,
    pub user: &'a str,
    pub schema: &'a str,
    pub client: Peer,
    pub thread_id: u32,
    /// `None`: no server was asked.
    pub server: Option<&'a ServerKey>,
    pub rows_affected: u64,
    pub last_insert_id: u64,
    pub rows_sent: u64,
    /// Code and text of the error that a server gave.
    pub error: Option<(u16, &'a str)>,
    pub duration: Duration,
}

/// The line, without its end; `end` is when the statement was over.
pub fn line(statement: &Statement<'_>, end: SystemTime) -> Vec<u8> {
    let end = end.duration_since(UNIX_EPOCH).unwrap_or_default();
    let start = end.saturating_sub(statement.duration);
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
    put("hostgroup_id", statement.server.map_or(json!(-1), |server| json!(server.hostgroup)));
    put("thread_id", json!(statement.thread_id));
    put("event", json!(statement.command));
    put("username", json!(statement.user));
    put("schemaname", json!(statement.schema));
    put("client", json!(statement.client.to_string()));
    if let Some(server) = statement.server {
        put("server", json!(format!("{}:{}", server.hostname, server.port)));
    }
    put("rows_affected", json!(statement.rows_affected));
    if statement.last_insert_id > 0 {
        put("last_insert_id", json!(statement.last_insert_id));
    }
    put("rows_sent", json!(statement.rows_sent));
    if let Some((code, text)) = statement.error {
        put("errno", json!(code));
        put("error", json!(text));
    }
    let cut = statement.text.get(..QUERY_LIMIT);
    put("query", json!(shown(statement.kind, cut.unwrap_or(statement.text))));
    if cut.is_some_and(|cut| cut.len() < statement.text.len()) {
        put("query_truncated", json!(true));
    }
    put("starttime_timestamp_us", json!(micros(start)));
    put("starttime", json!(stamp(start)));
    put("endtime_timestamp_us", json!(micros(end)));
    put("endtime", json!(stamp(end)));
    put("duration_us", json!(micros(statement.duration)));
    put("digest", json!(format!("0x{:016X}", statement.digest)));
    Value::Object(object).to_string().into_bytes()
}

/// The text, but only its digest where it may hold a password: what a server's own logs would hide as well.
fn shown(kind: Kind, text: &[u8]) -> String {
    let is_about_accounts = matches!(
        kind,
        Kind::CreateUser | Kind::Grant | Kind::Set | Kind::ChangeMaster | Kind::Unknown | Kind::Prepare
    );
    if is_about_accounts {
        let folded = text.to_ascii_lowercase();
        let has = |word: &[u8]| folded.windows(word.len()).any(|part| part == word);
        if has(b"password") || has(b"identified") {
            return proxyd_sql::digest_text(text, &DigestOptions::default());
        }
    }
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(text: &str) -> Statement<'_> {
        Statement {
            command: "COM_QUERY",
            kind: proxyd_sql::classify(text.as_bytes()).kind,
            text: text.as_bytes(),
            digest: 0xAB,
            user: "app",
            schema: "shop",
            client: std::net::SocketAddr::from(([127, 0, 0, 1], 4711)).into(),
            thread_id: 7,
            server: None,
            rows_affected: 0,
            last_insert_id: 0,
            rows_sent: 3,
            error: None,
            duration: Duration::from_millis(5),
        }
    }

    fn parsed(statement: &Statement<'_>) -> Value {
        let end = UNIX_EPOCH + Duration::from_millis(1_558_363_727_631);
        serde_json::from_slice(&line(statement, end)).unwrap()
    }

    #[test]
    fn names_are_proxysqls() {
        let server = ServerKey { hostgroup: 2, hostname: "db1".into(), port: 3306 };
        let line = parsed(&Statement { server: Some(&server), ..statement("SELECT 'a'") });
        assert_eq!((&line["hostgroup_id"], &line["server"]), (&json!(2), &json!("db1:3306")));
        assert_eq!((&line["query"], &line["digest"]), (&json!("SELECT 'a'"), &json!("0x00000000000000AB")));
        assert_eq!((&line["duration_us"], &line["rows_sent"]), (&json!(5000), &json!(3)));
        assert_eq!(line["starttime"], "2019-05-20 14:48:47.626");
        assert_eq!(line["endtime_timestamp_us"], 1_558_363_727_631_000_u64);
        assert_eq!(parsed(&statement("SELECT 1"))["hostgroup_id"], -1);
        let failed = parsed(&Statement { error: Some((1064, "no")), ..statement("x") });
        assert_eq!((&failed["errno"], &failed["error"]), (&json!(1064), &json!("no")));
    }

    #[test]
    fn passwords_are_not_written() {
        for sql in [
            "CREATE USER a IDENTIFIED BY 'pw-1'",
            "ALTER USER a IDENTIFIED WITH mysql_native_password BY 'pw-1'",
            "SET PASSWORD = PASSWORD('pw-1')",
            "SET PASSWORD FOR a = 'pw-1'",
            "GRANT ALL ON *.* TO a IDENTIFIED BY 'pw-1'",
            "CHANGE MASTER TO MASTER_PASSWORD='pw-1'",
            "CHANGE REPLICATION SOURCE TO SOURCE_PASSWORD='pw-1'",
        ] {
            let line = parsed(&statement(sql)).to_string();
            assert!(!line.contains("pw-1") && line.contains('?'), "{line}");
        }
        assert_eq!(parsed(&statement("SELECT 'password'"))["query"], "SELECT 'password'");
    }

    #[test]
    fn a_huge_statement_is_cut() {
        let text = format!("SELECT '{}'", "x".repeat(QUERY_LIMIT));
        let line = parsed(&statement(&text));
        assert_eq!(line["query"].as_str().unwrap().len(), QUERY_LIMIT);
        assert_eq!(line["query_truncated"], true);
    }
}
