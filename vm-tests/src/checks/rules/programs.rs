//! Scripts that the proxy runs: a checker of the scheduler's that takes servers out and puts them back over the admin
//! interface, as Galera checkers do, and a route of the REST port.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::checks::pair::{PROXY, Pair};
use crate::checks::runner::Runner;
use crate::lab::wait;

const LIMIT: Duration = Duration::from_secs(60);

/// Its arguments are the admin interface's address and the hostgroup. A server says by a row what `wsrep_local_state`
/// says at a Galera node: 4 is synced, 2 is a donor.
const CHECKER: &str = r#"#!/bin/bash
set -eu -o pipefail
admin() { mariadb --no-defaults -N -h "$1" -P 6032 -uadmin -padmin -e "$2"; }
changed=
while read -r host port status; do
    state=$(mariadb --no-defaults -N --connect-timeout=2 -h "$host" -P "$port" -uapp -papp \
        -e 'SELECT state FROM test.wsrep' </dev/null || echo 0)
    if [ "$state" = 4 ]; then wanted=ONLINE; else wanted=OFFLINE_SOFT; fi
    if [ "$status" != "$wanted" ]; then
        admin "$1" "UPDATE mysql_servers SET status='$wanted'
            WHERE hostgroup_id=$2 AND hostname='$host' AND port=$port" </dev/null
        changed=1
    fi
done < <(admin "$1" "SELECT hostname, port, status FROM mysql_servers WHERE hostgroup_id=$2")
if [ -n "$changed" ]; then admin "$1" 'LOAD MYSQL SERVERS TO RUNTIME'; fi
"#;

const ROUTE: &str = "#!/bin/sh\nprintf '{\"user\": \"%s\", \"given\": %s}' \"$(id -un)\" \"$1\"\n";

pub(super) fn run(runner: &mut Runner, pair: &Pair) {
    runner.check("rules/programs: a scheduled checker takes a donor out and puts it back", || checker(pair));
    runner.check("rules/programs: a REST route runs its script without rights", || route(pair));
}

/// A program of the bench that everybody may run; gives its path.
fn program(pair: &Pair, name: &str, text: &str) -> Result<String> {
    let path = pair.path(name);
    fs::write(&path, text)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    path.into_os_string().into_string().ok().context("a path that is no UTF-8")
}

fn checker(pair: &Pair) -> Result<()> {
    for server in ["one", "two"] {
        pair.ok(&format!(
            "{server} 'CREATE OR REPLACE TABLE wsrep (state INT); INSERT INTO wsrep VALUES (4)'"
        ))?;
    }
    pair.rules(&[("match_digest, destination_hostgroup", "'^SELECT @@server_id', 3")])?;
    let script = program(pair, "checker.sh", CHECKER)?;
    pair.admin(&format!(
        "INSERT INTO mysql_servers (hostgroup_id, hostname, port) SELECT 3, hostname, port FROM mysql_servers; \
         LOAD MYSQL SERVERS TO RUNTIME; \
         INSERT INTO scheduler (id, interval_ms, filename, arg1, arg2) VALUES (1, 200, '{script}', '{PROXY}', '3'); \
         LOAD SCHEDULER TO RUNTIME"
    ))?;
    let online = "SELECT COUNT(*) FROM runtime_mysql_servers WHERE hostgroup_id = 3 AND status = 'ONLINE'";
    let soft =
        "SELECT COUNT(*) FROM runtime_mysql_servers WHERE hostgroup_id = 3 AND status = 'OFFLINE_SOFT'";
    let becomes = |sql: &str, count: &str| {
        wait::until("the checker's doing", LIMIT, || pair.admin(sql).is_ok_and(|it| it == count))
            .with_context(|| format!("{sql}: not {count}"))
    };
    becomes(online, "2")?;
    pair.ok("two 'UPDATE wsrep SET state = 2'")?;
    becomes(soft, "1")?;
    let served_by = "for i in 1 2 3 4 5 6 7 8 9 10; do app 'SELECT @@server_id'; done | sort -u";
    pair.prints(served_by, "1")?;
    pair.ok("two 'UPDATE wsrep SET state = 4'")?;
    becomes(online, "2")?;
    wait::until("both servers at work", LIMIT, || pair.ok(served_by).is_ok_and(|ids| ids == "1\n2"))?;
    pair.admin(
        "DELETE FROM scheduler; LOAD SCHEDULER TO RUNTIME; \
         DELETE FROM mysql_servers WHERE hostgroup_id = 3; LOAD MYSQL SERVERS TO RUNTIME",
    )?;
    pair.rules(&[])
}

fn route(pair: &Pair) -> Result<()> {
    let script = program(pair, "route.sh", ROUTE)?;
    pair.admin(&format!(
        "INSERT INTO restapi_routes (id, timeout_ms, method, uri, script) VALUES (1, 10000, 'GET', 'who', '{script}'); \
         LOAD RESTAPI TO RUNTIME; SET admin-restapi_enabled = true; LOAD ADMIN VARIABLES TO RUNTIME"
    ))?;
    let ask = "exec 3<>/dev/tcp/127.0.0.1/6070 && \
               printf 'GET /sync/who?a=b HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n' >&3 && tail -n 1 <&3";
    let expected = "{\"user\": \"nobody\", \"given\": {\"a\":\"b\"}}";
    let mut last = String::new();
    wait::until("the REST port", LIMIT, || {
        last = pair.bash(ask).map(|output| output.stdout).unwrap_or_default();
        last == expected
    })
    .with_context(|| format!("the last answer was {last:?}"))?;
    pair.admin(
        "DELETE FROM restapi_routes; LOAD RESTAPI TO RUNTIME; \
                SET admin-restapi_enabled = false; LOAD ADMIN VARIABLES TO RUNTIME",
    )
    .map(drop)
}
