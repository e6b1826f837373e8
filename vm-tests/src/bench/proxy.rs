//! One proxyd of a bench, set up as a user would: rules, digests, statistics and multiplexing on.

use std::ffi::OsStr;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use toml::{Table, Value};

use super::database::{DATABASE, PASSWORD, USER};
use super::target::{accepts, owned};
use crate::lab::wait;

pub(crate) struct Plan {
    pub program: PathBuf,
    /// A program that runs it, with its options; usually none.
    pub under: Vec<String>,
    /// Where it serves clients; its admin interface is at the first, port 6032.
    pub addresses: Vec<SocketAddr>,
    pub database: SocketAddr,
    /// How many query rules it has.
    pub rules: usize,
    /// As many as there are processors, if not said.
    pub workers: Option<i64>,
}

pub(crate) fn start(plan: &Plan, directory: &Path) -> Result<Child> {
    ensure!(plan.program.exists(), "{} is not built: cargo build --release", plan.program.display());
    for name in ["run", "data"] {
        fs::create_dir_all(directory.join(name))?;
    }
    fs::set_permissions(directory.join("data"), fs::Permissions::from_mode(0o700))?;
    let config = directory.join("standfast.toml");
    fs::write(&config, configuration(plan, directory)?)?;
    let words: Vec<&OsStr> = plan.under.iter().map(OsStr::new).chain([plan.program.as_os_str()]).collect();
    let mut command = owned(words[0], directory, "proxyd")?;
    let child = command
        .args(&words[1..])
        .arg("--config")
        .arg(&config)
        .args(["--host", "bench"])
        .spawn()
        .context("start proxyd")?;
    wait::until("proxyd's admin interface", Duration::from_secs(60), || admin(plan, "SELECT 1").is_ok())
        .with_context(|| fs::read_to_string(directory.join("proxyd.log")).unwrap_or_default())?;
    admin(plan, &(rules(plan.rules) + "LOAD MYSQL QUERY RULES TO RUNTIME"))?;
    accepts(plan.addresses[0])?;
    Ok(child)
}

fn admin(plan: &Plan, sql: &str) -> Result<()> {
    let output = Command::new("mariadb")
        .args(["--no-defaults", "-uadmin", "-padmin", "-P6032", "-h"])
        .arg(plan.addresses[0].ip().to_string())
        .args(["-e", sql])
        .stdin(Stdio::null())
        .output()
        .context("mariadb is missing: apt-get install -y --no-install-recommends mariadb-client")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

/// The last two split reads and writes as everybody's do; those before them are of other tables.
fn rules(count: usize) -> String {
    let mut text = String::new();
    for id in 1..=count.saturating_sub(2) {
        text += &format!(
            "INSERT INTO mysql_query_rules (rule_id, active, match_digest, destination_hostgroup, apply) \
             VALUES ({id}, 1, '^SELECT .* FROM orders_{id} WHERE', 2, 1);"
        );
    }
    text += "INSERT INTO mysql_query_rules (rule_id, active, match_digest, destination_hostgroup, apply) \
             VALUES (9001, 1, '^SELECT.*FOR UPDATE', 1, 1), (9002, 1, '^SELECT', 2, 1);";
    text
}

/// Hostgroups 1 and 2 are the same server: writes and reads.
fn configuration(plan: &Plan, directory: &Path) -> Result<String> {
    let table = |pairs: &[(&str, Value)]| {
        Value::Table(pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
    };
    let addresses: Vec<Value> = plan.addresses.iter().map(|a| Value::from(a.to_string())).collect();
    let admin = Value::from(vec![format!("{}:6032", plan.addresses[0].ip())]);
    let path = |name: &str| Value::from(directory.join(name).display().to_string());
    let server = |hostgroup: i64| {
        table(&[
            ("hostgroup_id", hostgroup.into()),
            ("hostname", plan.database.ip().to_string().into()),
            ("port", i64::from(plan.database.port()).into()),
            ("max_connections", 2000.into()),
        ])
    };
    let user = table(&[
        ("username", USER.into()),
        ("password", PASSWORD.into()),
        ("default_hostgroup", 1.into()),
        ("default_schema", DATABASE.into()),
        ("max_connections", 200_000.into()),
    ]);
    let mut file = Table::new();
    let host = table(&[("name", "bench".into()), ("address", "127.0.0.1".into())]);
    file.insert("hosts".into(), vec![host].into());
    let mut proxy = vec![("mysql_listen", addresses.into()), ("admin_listen", admin)];
    proxy.extend(plan.workers.map(|workers| ("workers", workers.into())));
    file.insert("proxy".into(), table(&proxy));
    file.insert("paths".into(), table(&[("run_dir", path("run")), ("data_dir", path("data"))]));
    file.insert("admin_variables".into(), table(&[("admin_credentials", "admin:admin".into())]));
    file.insert("mysql_variables".into(), table(&[("max_connections", 200_000.into())]));
    file.insert("mysql_servers".into(), vec![server(1), server(2)].into());
    file.insert("mysql_users".into(), vec![user].into());
    toml::to_string(&file).context("write the configuration")
}
