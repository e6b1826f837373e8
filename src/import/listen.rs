//! Where ProxySQL listened: settings that a host needs before it can read its database, so they are in `[proxy]`.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use configs::{File, Identity, Listen as Place};
use serde_json::Value;

use super::report::{Fate, Report};

/// The `[proxy]` section's values, as far as ProxySQL's configuration said them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Listen {
    pub mysql: Vec<Place>,
    pub admin: Vec<Place>,
    pub workers: Option<u64>,
}

/// The most workers that the configuration takes.
const MOST_WORKERS: u64 = 256;

/// Reads `mysql-interfaces`, `admin-mysql_ifaces` and `mysql-threads` as `standfast-proxyd --import` passes them on.
/// `run_dir` is where the service may make sockets.
pub(super) fn read(settings: &Value, file: &str, run_dir: &Path, report: &mut Report) -> Listen {
    let text = |name: &str| settings.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut listen = Listen {
        mysql: places(text("mysql-interfaces"), run_dir, &format!("{file}: mysql-interfaces"), report),
        admin: places(text("admin-mysql_ifaces"), run_dir, &format!("{file}: admin-mysql_ifaces"), report),
        workers: text("mysql-threads").parse().ok().filter(|count| (1..=MOST_WORKERS).contains(count)),
    };
    let known = text("admin-admin_credentials").split(';').any(|login| login.trim() == "admin:admin");
    let public = listen.admin.iter().filter_map(Place::tcp).any(|place| !place.ip().is_loopback());
    if known && public {
        for place in &mut listen.admin {
            if let Place::Tcp(address) = place {
                address.set_ip(match address {
                    SocketAddr::V4(_) => IpAddr::from([127, 0, 0, 1]),
                    SocketAddr::V6(_) => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
                });
            }
        }
        listen.admin.dedup();
        report.add(
            Fate::Changed,
            format!("{file}: admin-mysql_ifaces"),
            "on this host only, as long as the login is admin:admin, which everybody knows (ProxySQL lets `admin` in from its own host only, too)",
        );
    }
    listen
}

/// `0.0.0.0:6033;[::]:6033;/tmp/proxysql.sock`
fn places(text: &str, run_dir: &Path, place: &str, report: &mut Report) -> Vec<Place> {
    let mut found = Vec::new();
    for one in text.split(';').map(str::trim).filter(|one| !one.is_empty()) {
        match one.parse() {
            Ok(Place::Unix(path)) if !path.starts_with(run_dir) => {
                let ours = run_dir.join(path.file_name().unwrap_or_default());
                let text = format!(
                    "{one}: now {}, the only directory that the service may write to; a symbolic link at the old place serves old clients",
                    ours.display()
                );
                report.add(Fate::Changed, place, text);
                found.push(Place::Unix(ours));
            }
            Ok(one) => found.push(one),
            Err(error) => report.add(Fate::Left, place, format!("{one}: {error}")),
        }
    }
    found
}

impl Listen {
    /// As TOML; nothing if nothing was said.
    pub(super) fn section(&self) -> String {
        let mut out = String::new();
        let list = |places: &[Place]| {
            places.iter().map(|place| format!("\"{place}\"")).collect::<Vec<_>>().join(", ")
        };
        // Writing to a String cannot fail.
        if !self.mysql.is_empty() {
            let _ = writeln!(out, "mysql_listen = [{}]", list(&self.mysql));
        }
        if !self.admin.is_empty() {
            let _ = writeln!(out, "admin_listen = [{}]", list(&self.admin));
        }
        if let Some(workers) = self.workers {
            let _ = writeln!(out, "workers = {workers}");
        }
        if out.is_empty() { out } else { format!("\n[proxy]\n{out}") }
    }

    /// Says what is to be written into a configuration that this import does not make.
    pub(super) fn compare(&self, existing: Option<&File>, config: &Path, report: &mut Report) {
        let proxy = existing.and_then(|file| {
            let name = file.host().or_else(|| file.hosts().next())?;
            file.appliance(Identity { name: Some(name), local: &[] }).ok()
        });
        let same = proxy.is_some_and(|appliance| {
            let proxy = appliance.proxy;
            proxy.mysql_listen == self.mysql && (self.admin.is_empty() || proxy.admin_listen == self.admin)
        });
        let section = self.section();
        if !same && !section.is_empty() {
            let lines = section.trim().replace("[proxy]\n", "").replace('\n', ", ");
            report.add(
                Fate::Left,
                config.display().to_string(),
                format!("addresses and threads are not in the database: put into [proxy] there: {lines}"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn addresses_become_the_proxy_section() {
        let mut report = Report::default();
        let settings = json!({
            "mysql-interfaces": "0.0.0.0:3311;/tmp/proxysql.sock", "admin-mysql_ifaces": "10.0.0.1:3310",
            "mysql-threads": "4", "admin-admin_credentials": "boss:x",
        });
        let listen = read(&settings, "f", Path::new("/run/standfast"), &mut report);
        assert_eq!(
            listen.section(),
            "\n[proxy]\nmysql_listen = [\"0.0.0.0:3311\", \"/run/standfast/proxysql.sock\"]\nadmin_listen = [\"10.0.0.1:3310\"]\nworkers = 4\n"
        );
        assert_eq!((report.count(Fate::Left), report.count(Fate::Changed)), (0, 1));
        assert_eq!(read(&json!({}), "f", Path::new("/run/standfast"), &mut report).section(), "");
    }

    #[test]
    fn the_login_that_everybody_knows_is_kept_on_this_host() {
        let mut report = Report::default();
        let settings = json!({
            "admin-mysql_ifaces": "0.0.0.0:6032", "admin-admin_credentials": "boss:x; admin:admin",
        });
        let listen = read(&settings, "f", Path::new("/run/standfast"), &mut report);
        assert_eq!(listen.section(), "\n[proxy]\nadmin_listen = [\"127.0.0.1:6032\"]\n");
        assert_eq!(report.count(Fate::Changed), 1);
    }
}
