//! MySQL functions that SQLite does not have, or has with another meaning.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::functions::{Context as Call, FunctionFlags};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Error};

use super::context::{Context, VERSION, lock};
use super::sql::{SYSTEM_VARIABLE, USER_VARIABLE};

/// Registers them all for one session.
pub(crate) fn install(db: &Connection, context: &Arc<Mutex<Context>>) -> rusqlite::Result<()> {
    let session = |read: fn(&Context) -> Value| {
        let context = Arc::clone(context);
        move |_: &Call<'_>| Ok(read(&lock(&context)))
    };
    add(db, "connection_id", 0, session(|c| Value::Integer(i64::from(c.connection_id))))?;
    add(db, "last_insert_id", 0, session(|c| Value::Integer(c.last_insert_id)))?;
    add(db, "database", 0, session(|c| c.database.clone().map_or(Value::Null, Value::Text)))?;
    add(db, "schema", 0, session(|c| c.database.clone().map_or(Value::Null, Value::Text)))?;
    for name in ["user", "current_user", "session_user", "system_user"] {
        add(db, name, 0, session(|c| Value::Text(format!("{}@{}", c.user, c.peer))))?;
    }
    add(db, "version", 0, |_| Ok(Value::Text(VERSION.into())))?;
    for name in ["sysdate", "now", "current_timestamp", "localtimestamp"] {
        add(db, name, 0, |_| Ok(Value::Text(timestamp(SystemTime::now(), 0))))?;
        add(db, name, 1, |call| Ok(Value::Text(timestamp(SystemTime::now(), call.get::<u8>(0)?))))?;
    }
    add(db, "sleep", 1, |call| {
        std::thread::sleep(Duration::from_secs_f64(call.get::<f64>(0)?.clamp(0.0, 60.0)));
        Ok(Value::Integer(0))
    })?;
    add(db, "concat", -1, concat)?;
    let own = Arc::clone(context);
    add(db, USER_VARIABLE, 1, move |call| Ok(lock(&own).user_variable(&call.get::<String>(0)?)))?;
    let own = Arc::clone(context);
    add(db, SYSTEM_VARIABLE, 1, move |call| {
        let name = call.get::<String>(0)?;
        lock(&own)
            .system_variable(&name)
            .ok_or_else(|| Error::UserFunctionError(format!("Unknown system variable '{name}'").into()))
    })
}

fn add<F>(db: &Connection, name: &str, arguments: i32, function: F) -> rusqlite::Result<()>
where
    F: Fn(&Call<'_>) -> rusqlite::Result<Value> + Send + 'static,
{
    let function = std::panic::AssertUnwindSafe(function);
    db.create_scalar_function(name, arguments, FunctionFlags::SQLITE_UTF8, move |call| {
        let function = &function;
        (function.0)(call)
    })
}

/// NULL if any argument is NULL, as MySQL has it (SQLite's own skips them).
fn concat(call: &Call<'_>) -> rusqlite::Result<Value> {
    let mut text = String::new();
    for i in 0..call.len() {
        match call.get_raw(i) {
            ValueRef::Null => return Ok(Value::Null),
            ValueRef::Integer(n) => text.push_str(&n.to_string()),
            ValueRef::Real(x) => text.push_str(&x.to_string()),
            ValueRef::Text(t) | ValueRef::Blob(t) => text.push_str(&String::from_utf8_lossy(t)),
        }
    }
    Ok(Value::Text(text))
}

/// `YYYY-MM-DD hh:mm:ss[.ffffff]` in UTC with `digits` (0 to 6) of a second.
pub(crate) fn timestamp(at: SystemTime, digits: u8) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (year, month, day) = civil(since.as_secs() / 86_400);
    let second = since.as_secs() % 86_400;
    let mut text = format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}",
        second / 3600,
        second / 60 % 60,
        second % 60
    );
    if digits > 0 {
        let micros = format!("{:06}", since.subsec_micros());
        text.push('.');
        text.push_str(&micros[..usize::from(digits.min(6))]);
    }
    text
}

/// Days since 1970-01-01 as year, month, day (Gregorian calendar, eras of 400 years that begin in March).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = shifted / 146_097 * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}
