//! Rows of `mysql_query_rules` as the router compiles them.

use rusqlite::{Connection, Row};

use super::layers::copy_error;
use super::open::Store;
use crate::route::{FastRouting, Multiplex, QueryRule};

impl Store {
    /// `mysql_query_rules_fast_routing`, row by row into its final form: there may be a million.
    pub fn fast_routing(&self) -> Result<FastRouting, String> {
        fast_routing(&self.db)
    }

    /// The active rules, in the order in which they are tried.
    pub fn query_rules(&self) -> Result<Vec<QueryRule>, String> {
        query_rules(&self.db)
    }
}

pub(super) fn fast_routing(db: &Connection) -> Result<FastRouting, String> {
    let sql =
        "SELECT username, schemaname, flagIN, destination_hostgroup FROM main.mysql_query_rules_fast_routing";
    let mut statement = db.prepare(sql).map_err(copy_error)?;
    let mut rows = statement.query([]).map_err(copy_error)?;
    let mut fast = FastRouting::default();
    while let Some(row) = rows.next().map_err(copy_error)? {
        let name = |index| row.get_ref(index)?.as_str().map_err(rusqlite::Error::from);
        let number = |index| row.get::<_, u32>(index);
        let cells = (name(0), name(1), number(2), number(3));
        let (user, schema, flag_in, hostgroup) = match cells {
            (Ok(user), Ok(schema), Ok(flag_in), Ok(hostgroup)) => (user, schema, flag_in, hostgroup),
            (Err(error), ..) | (_, Err(error), ..) | (_, _, Err(error), _) | (.., Err(error)) => {
                return Err(copy_error(error));
            }
        };
        fast.add(user, schema, flag_in, hostgroup)?;
    }
    fast.shrink();
    Ok(fast)
}

pub(super) fn query_rules(db: &Connection) -> Result<Vec<QueryRule>, String> {
    let sql = "SELECT * FROM main.mysql_query_rules WHERE active = 1 ORDER BY rule_id";
    let mut statement = db.prepare(sql).map_err(copy_error)?;
    let rows = statement.query_map([], query_rule).map_err(copy_error)?;
    rows.collect::<Result<Vec<_>, _>>().map_err(copy_error)
}

fn query_rule(row: &Row<'_>) -> rusqlite::Result<QueryRule> {
    let text =
        |column: &str| row.get::<_, Option<String>>(column).map(|text| text.map(String::into_boxed_str));
    Ok(QueryRule {
        rule_id: row.get("rule_id")?,
        active: row.get("active")?,
        username: text("username")?,
        schemaname: text("schemaname")?,
        flag_in: row.get("flagIN")?,
        client_addr: text("client_addr")?,
        proxy_addr: text("proxy_addr")?,
        proxy_port: row.get("proxy_port")?,
        digest: digest(row)?,
        match_digest: text("match_digest")?,
        match_pattern: text("match_pattern")?,
        negate_match_pattern: row.get("negate_match_pattern")?,
        re_modifiers: text("re_modifiers")?.unwrap_or_default(),
        flag_out: row.get("flagOUT")?,
        replace_pattern: text("replace_pattern")?,
        destination_hostgroup: row.get("destination_hostgroup")?,
        cache_ttl: row.get("cache_ttl")?,
        cache_empty_result: row.get("cache_empty_result")?,
        cache_timeout: row.get("cache_timeout")?,
        reconnect: row.get("reconnect")?,
        timeout: row.get("timeout")?,
        retries: row.get("retries")?,
        delay: row.get("delay")?,
        next_query_flag_in: row.get("next_query_flagIN")?,
        mirror_flag_out: row.get("mirror_flagOUT")?,
        mirror_hostgroup: row.get("mirror_hostgroup")?,
        error_msg: text("error_msg")?,
        ok_msg: text("OK_msg")?,
        sticky_conn: row.get("sticky_conn")?,
        multiplex: row.get::<_, Option<i64>>("multiplex")?.and_then(Multiplex::from_column),
        gtid_from_hostgroup: row.get("gtid_from_hostgroup")?,
        log: row.get("log")?,
        apply: row.get("apply")?,
        attributes: text("attributes")?.unwrap_or_default(),
        comment: text("comment")?,
    })
}

/// `digest` as a number; a text that is none would make a rule that matches what it should not, so it is an error.
fn digest(row: &Row<'_>) -> rusqlite::Result<Option<u64>> {
    let Some(text) = row.get::<_, Option<String>>("digest")?.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    match QueryRule::parse_digest(&text) {
        Some(digest) => Ok(Some(digest)),
        None => {
            let rule: i64 = row.get("rule_id")?;
            let reason =
                format!("query rule {rule}: '{text}' is no digest (0x and up to 16 hexadecimal digits)");
            Err(rusqlite::Error::UserFunctionError(reason.into()))
        }
    }
}
