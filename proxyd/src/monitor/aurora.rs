//! Asking a server of an Aurora cluster about all of them: the statement, and what its answer says. Pure.

use crate::backend::Table;
use crate::runtime::AuroraServer;

/// Servers that have not been heard of for three minutes are gone.
pub const STATUS: &str = "SELECT SERVER_ID, SESSION_ID, LAST_UPDATE_TIMESTAMP, REPLICA_LAG_IN_MILLISECONDS, CPU \
     FROM information_schema.REPLICA_HOST_STATUS WHERE LAST_UPDATE_TIMESTAMP > NOW() - INTERVAL 180 SECOND";

/// No cluster has more servers than sixteen; a longer answer is not one of Aurora's.
const MANY: usize = 64;

/// Reads the answer; an error for one that names nobody. Rows whose identifier is no name are left out.
pub fn servers(table: &Table) -> Result<Vec<AuroraServer>, String> {
    if table.rows.len() > MANY {
        return Err(format!("REPLICA_HOST_STATUS names {} servers", table.rows.len()));
    }
    let servers: Vec<AuroraServer> = table.rows.iter().filter_map(|row| server(row)).collect();
    match servers.is_empty() {
        true => Err("REPLICA_HOST_STATUS names no server".into()),
        false => Ok(servers),
    }
}

fn server(row: &[Option<String>]) -> Option<AuroraServer> {
    let text = |index: usize| row.get(index).and_then(Option::as_deref).unwrap_or_default();
    let server_id = text(0);
    let is_name = !server_id.is_empty()
        && server_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    is_name.then(|| AuroraServer {
        server_id: server_id.to_owned(),
        session_id: text(1).to_owned(),
        last_update: text(2).to_owned(),
        lag_ms: whole(text(3)),
        cpu: u32::try_from(whole(text(4))).unwrap_or(u32::MAX),
    })
}

/// Aurora writes numbers with fractions; a lag that is none (NULL for the writer) is no lag.
fn whole(text: &str) -> u64 {
    let number = text.parse::<f64>().unwrap_or(0.0);
    // A cast saturates, and makes zero of what is no number.
    number.ceil() as u64
}
