//! Rows of `mysql_hostgroup_attributes` and of the firewall's tables as the runtime takes them, and what of a row is kept
//! without an effect.

use std::collections::HashMap;
use std::time::Duration;

use super::layers::copy_error;
use super::open::Store;
use crate::route::{Firewall, Mode, Permission, QueryRule};
use crate::runtime::{HostgroupSettings, ServersDefaults, parse_attributes};
use crate::scheduler::Job;
use crate::snapshot::{HostgroupAttributes, HostgroupId};
use crate::tls::{ServerParams, TlsParams};
use crate::web::Route;

impl Store {
    /// The attributes of each hostgroup that has some, with warnings about those that nobody reads.
    pub fn hostgroup_attributes(
        &self,
    ) -> Result<(HashMap<HostgroupId, HostgroupAttributes>, Vec<String>), String> {
        let sql = "SELECT hostgroup_id, max_num_online_servers, free_connections_pct, init_connect, multiplex, \
                   throttle_connections_per_sec, hostgroup_settings, servers_defaults, connection_warming FROM main.mysql_hostgroup_attributes";
        let mut warnings = Vec::new();
        let mut named = |column: &str, hostgroup: HostgroupId, idle: Vec<String>| {
            let text = |key| {
                format!(
                    "mysql_hostgroup_attributes: {column} of hostgroup {hostgroup}: {key} is kept and has no effect"
                )
            };
            warnings.extend(idle.into_iter().map(text));
        };
        let rows = self.read(sql, |row| {
            let init_connect: String = row.get(3)?;
            let hostgroup = row.get(0)?;
            let (settings, idle) = HostgroupSettings::parse(row.get_ref(6)?.as_str()?);
            named("hostgroup_settings", hostgroup, idle);
            let (servers_defaults, idle) = ServersDefaults::parse(row.get_ref(7)?.as_str()?);
            named("servers_defaults", hostgroup, idle);
            let attributes = HostgroupAttributes {
                max_num_online_servers: row.get(1)?,
                free_connections_pct: Some(row.get(2)?),
                // 0 is the column's default: it says nothing against the variable.
                connection_warming: row.get::<_, bool>(8)?.then_some(true),
                init_connect: (!init_connect.is_empty()).then(|| init_connect.into()),
                multiplex: row.get(4)?,
                throttle_connections_per_sec: Some(row.get(5)?),
                settings,
                servers_defaults,
            };
            Ok((hostgroup, attributes))
        })?;
        for (column, default) in [("autocommit", "-1"), ("ignore_session_variables", "''")] {
            self.warn_of("mysql_hostgroup_attributes", column, default, &mut warnings)?;
        }
        Ok((rows.into_iter().collect(), warnings))
    }

    /// What is wrong with the `attributes` of active users, user by user.
    pub fn bad_user_attributes(&self) -> Result<Vec<String>, String> {
        let sql = "SELECT username, attributes FROM main.mysql_users WHERE active = 1 AND attributes <> ''";
        let rows = self.read(sql, |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
        let reason = |(user, text): &(String, String)| {
            parse_attributes(text).err().map(|reason| format!("user '{user}': {reason}"))
        };
        Ok(rows.iter().filter_map(reason).collect())
    }

    /// The active rows of the firewall's tables.
    pub fn firewall(&self) -> Result<Firewall, String> {
        let mut firewall = Firewall::default();
        let sql =
            "SELECT username, client_address, mode FROM main.mysql_firewall_whitelist_users WHERE active = 1";
        let text = |row: &rusqlite::Row<'_>, index| row.get::<_, String>(index);
        for (user, address, word) in
            self.read(sql, |row| Ok((text(row, 0)?, text(row, 1)?, text(row, 2)?)))?
        {
            let mode = Mode::from_column(&word)
                .ok_or_else(|| format!("mysql_firewall_whitelist_users: there is no mode '{word}'"))?;
            firewall.add_user(&user, &address, mode);
        }
        let sql = "SELECT username, client_address, schemaname, flagIN, digest \
                   FROM main.mysql_firewall_whitelist_rules WHERE active = 1";
        let rules = self.read(sql, |row| {
            let digest: String = row.get(4)?;
            let permission = Permission {
                username: text(row, 0)?.into(),
                client_address: text(row, 1)?.into(),
                schemaname: text(row, 2)?.into(),
                flag_in: row.get(3)?,
                digest: QueryRule::parse_digest(&digest).unwrap_or(0),
            };
            Ok((permission, digest))
        })?;
        for (permission, digest) in rules {
            if QueryRule::parse_digest(&digest).is_none() {
                return Err(format!("mysql_firewall_whitelist_rules: '{digest}' is no digest"));
            }
            firewall.allow(permission);
        }
        Ok(firewall)
    }

    /// `mysql_servers_ssl_params`.
    pub fn tls_params(&self) -> Result<Vec<ServerParams>, String> {
        let sql = "SELECT hostname, port, username, ssl_ca, ssl_capath, ssl_cert, ssl_key, ssl_crl, ssl_crlpath, ssl_cipher, \
                   tls_version FROM main.mysql_servers_ssl_params";
        self.read(sql, |row| {
            Ok(ServerParams {
                hostname: row.get(0)?,
                port: row.get(1)?,
                user: row.get(2)?,
                params: TlsParams {
                    ca: row.get(3)?,
                    capath: row.get(4)?,
                    cert: row.get(5)?,
                    key: row.get(6)?,
                    crl: row.get(7)?,
                    crlpath: row.get(8)?,
                    cipher: row.get(9)?,
                    version: row.get(10)?,
                },
            })
        })
    }

    /// The active rows of `scheduler`. Arguments end at the first that is NULL.
    pub fn jobs(&self) -> Result<Vec<Job>, String> {
        let sql = "SELECT id, interval_ms, filename, arg1, arg2, arg3, arg4, arg5 FROM main.scheduler \
                   WHERE active = 1 ORDER BY id";
        self.read(sql, |row| {
            let arguments = (3..8).map(|index| row.get::<_, Option<String>>(index));
            let arguments = arguments.collect::<Result<Vec<_>, _>>()?;
            Ok(Job {
                id: row.get(0)?,
                interval: Duration::from_millis(u64::try_from(row.get::<_, i64>(1)?).unwrap_or(u64::MAX)),
                filename: row.get(2)?,
                arguments: arguments.into_iter().map_while(|argument| argument).collect(),
            })
        })
    }

    /// The active rows of `restapi_routes`.
    pub fn routes(&self) -> Result<Vec<Route>, String> {
        let sql = "SELECT id, timeout_ms, UPPER(method), uri, script FROM main.restapi_routes \
                   WHERE active = 1 ORDER BY id";
        self.read(sql, |row| {
            let uri: String = row.get(3)?;
            Ok(Route {
                id: row.get(0)?,
                timeout: Duration::from_millis(u64::try_from(row.get::<_, i64>(1)?).unwrap_or(u64::MAX)),
                method: row.get(2)?,
                uri: uri.trim_start_matches('/').to_owned(),
                script: row.get(4)?,
            })
        })
    }

    /// A warning if some row has another value than the default in a column that nobody reads.
    fn warn_of(
        &self,
        table: &str,
        column: &str,
        default: &str,
        warnings: &mut Vec<String>,
    ) -> Result<(), String> {
        let sql = format!("SELECT COUNT(*) FROM main.{table} WHERE {column} <> {default}");
        let count: i64 = self.db.query_row(&sql, [], |row| row.get(0)).map_err(copy_error)?;
        if count > 0 {
            warnings.push(format!("{table}: {column} is kept and has no effect (set in {count} rows)"));
        }
        Ok(())
    }
}
