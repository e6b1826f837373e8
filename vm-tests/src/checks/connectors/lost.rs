//! What a client library makes of an answer that is lost: the code that its applications know, and our text.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::checks::mysql97::{Bench, PROXY};
use crate::checks::runner::Runner;
use crate::lab::wait;

/// Nobody may run it a second time, so the proxy does not.
const STATEMENT: &str = "create table test.lost select sleep(60)";
/// Less than the statement takes.
const LIMIT: Duration = Duration::from_secs(50);
const TEXT: &str = "Lost connection to MySQL server";

pub(crate) fn run(runner: &mut Runner, bench: &Bench) {
    let perl = format!(
        "perl -MDBI -e 'my $db = DBI->connect(\"DBI:MariaDB:database=test;host={PROXY};port=6033\", \"clear\", \"clear-pw\", \
         {{PrintError => 0}}); $db->do(\"{STATEMENT}\"); print \"ERROR \", $db->err, \" \", $db->errstr'"
    );
    for (library, client, code) in [
        ("libmariadb: mariadb", format!("mariadb -uclear -pclear-pw -e '{STATEMENT}'"), 1927),
        ("libmariadb: DBD::MariaDB", perl, 1927),
        ("libmysqlclient: mysql", format!("mysql97 -uclear -pclear-pw -e '{STATEMENT}'"), 2013),
    ] {
        let name = format!("connectors/a lost answer is error {code} for {library}");
        runner.check(&name, || lose(bench, &client, code));
    }
}

fn lose(bench: &Bench, client: &str, code: u16) -> Result<()> {
    bench.server.query("DROP TABLE IF EXISTS test.lost")?;
    bench.ok(&format!("rm -f lost.txt; ({client} > lost.txt 2>&1; echo ended >> lost.txt) &"))?;
    let running = "SELECT id FROM information_schema.processlist WHERE info LIKE 'create table test.lost%'";
    let mut ids = String::new();
    wait::until("the statement runs", LIMIT, || {
        ids = bench.server.query(running).unwrap_or_default();
        !ids.is_empty()
    })
    .with_context(|| bench.ok("cat lost.txt").unwrap_or_default())?;
    bench.server.query(&format!("KILL {}", ids.trim()))?;
    let said = format!("grep -c 'ERROR {code}.*{TEXT}' lost.txt");
    wait::until("the client's end", LIMIT, || {
        bench.bash("grep -q ended lost.txt").is_ok_and(|it| it.success)
    })?;
    bench.prints(&said, "1").with_context(|| bench.ok("cat lost.txt").unwrap_or_default())
}
