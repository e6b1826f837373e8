//! Rows of `mysql_users` as the runtime takes them.

use rusqlite::{Connection, Params, Row};

use super::layers::copy_error;
use super::open::Store;
use crate::runtime::{parse_attributes, parse_credential};
use crate::snapshot::User;
use crate::users::Users;

const COLUMNS: &str = "username, password, use_ssl, default_hostgroup, default_schema, transaction_persistent, \
     max_connections, schema_locked, fast_forward, attributes";

impl Store {
    /// The active users that clients may log in as.
    pub fn users(&self) -> Result<Users, String> {
        users_where(&self.db, "1", [])
    }

    /// The active row that clients log in by, if there is one.
    pub fn user_named(&self, name: &str) -> Result<Option<User>, String> {
        user_named(&self.db, name)
    }
}

/// The active row of `main.mysql_users` that clients log in by, if there is one.
pub(super) fn user_named(db: &Connection, name: &str) -> Result<Option<User>, String> {
    Ok(users_where(db, "username = ?1", [name])?.get(name).map(|user| User::clone(&user)))
}

/// In no order: that of the rows is the fastest.
fn users_where(db: &Connection, filter: &str, params: impl Params + Clone) -> Result<Users, String> {
    let mut users = Users::default();
    let select = |more: &str| {
        format!("SELECT {COLUMNS} FROM main.mysql_users WHERE active = 1 AND {more} AND {filter}")
    };
    let mut of_clients = db.prepare_cached(&select("frontend = 1")).map_err(copy_error)?;
    let mut rows = of_clients.query(params.clone()).map_err(copy_error)?;
    while let Some(row) = rows.next().map_err(copy_error)? {
        let (name, user) = user_row(row).map_err(copy_error)?;
        users.insert(name, user);
    }
    let mut of_backends = db.prepare_cached(&select("frontend = 0 AND backend = 1")).map_err(copy_error)?;
    let mut rows = of_backends.query(params).map_err(copy_error)?;
    while let Some(row) = rows.next().map_err(copy_error)? {
        let (name, row) = user_row(row).map_err(copy_error)?;
        if let Some(user) = users.get_mut(&name) {
            user.backend_credential = Some(row.credential);
        }
    }
    Ok(users)
}

fn user_row(row: &Row<'_>) -> rusqlite::Result<(Box<str>, User)> {
    let text = |index| Ok::<_, rusqlite::Error>(row.get_ref(index)?.as_str_or_null()?.unwrap_or_default());
    // What is wrong with them is `bad_user_attributes`' to say.
    let attributes = parse_attributes(text(9)?).unwrap_or_default();
    let user = User {
        credential: parse_credential(text(1)?),
        backend_credential: None,
        use_ssl: row.get(2)?,
        default_hostgroup: row.get(3)?,
        default_schema: text(4)?.into(),
        transaction_persistent: row.get(5)?,
        max_connections: row.get(6)?,
        schema_locked: row.get(7)?,
        fast_forward: row.get(8)?,
        isolation: attributes.isolation,
        spiffe_id: attributes.spiffe_id,
    };
    Ok((text(0)?.into(), user))
}
