//! The libraries of applications, each with the same scenario in its own language: login, transactions, errors, prepared
//! statements, blobs of two frames, utf8mb4, several results, LOAD DATA LOCAL; with and without TLS and compression, to MySQL
//! 9.7 and to MariaDB, which compress on their side as well every other time.

use anyhow::{Result, ensure};

use crate::checks::mysql97::{Bench, PROXY};
use crate::checks::runner::Runner;
use crate::mysql97::connectors;

const DBAPI: &str = include_str!("dbapi_check.py");
const NODE: &str = include_str!("stack_check.js");
const GO: &str = include_str!("stack_check.go");
const PHP: &str = include_str!("stack_check.php");
const PERL: &str = include_str!("stack_check.pl");

/// How a client comes to a server.
#[derive(Debug, Clone, Copy)]
struct Way {
    server: &'static str,
    user: &'static str,
    tls: u8,
    compress: u8,
}

const fn way(server: &'static str, user: &'static str, tls: u8, compress: u8) -> Way {
    Way { server, user, tls, compress }
}

/// Two that differ in everything; all of them when the long form is asked for.
const SHORT: [Way; 2] = [way("MySQL", "clear", 1, 0), way("MariaDB", "maria", 0, 1)];
const LONG: [Way; 8] = [
    way("MySQL", "clear", 0, 0),
    way("MySQL", "clear", 0, 1),
    way("MySQL", "clear", 1, 0),
    way("MySQL", "clear", 1, 1),
    way("MariaDB", "maria", 0, 0),
    way("MariaDB", "maria", 0, 1),
    way("MariaDB", "maria", 1, 0),
    way("MariaDB", "maria", 1, 1),
];

/// One library: what runs its script, and whether it knows the compressed protocol.
struct Stack {
    name: &'static str,
    command: String,
    compresses: bool,
}

pub(crate) fn run(runner: &mut Runner, bench: &Bench, long: bool) -> Result<()> {
    let stacks = stacks(bench)?;
    let ways: &[Way] = if long { &LONG } else { &SHORT };
    bench.ok("admin \"SET mysql-enable_load_data_local_infile='true'; LOAD MYSQL VARIABLES TO RUNTIME; \
         UPDATE mysql_servers SET compression = 1 WHERE hostgroup_id = 3; LOAD MYSQL SERVERS TO RUNTIME\"")?;
    for stack in &stacks {
        for way in
            ways.iter().filter(|way| long || stack.compresses || way.compress == 0 || way.user == "maria")
        {
            let compress = if stack.compresses { way.compress } else { 0 };
            let (tls, zip) =
                (["", ", TLS"][usize::from(way.tls)], ["", ", compressed"][usize::from(compress)]);
            let name = format!("connectors/{}: {}{tls}{zip}", stack.name, way.server);
            runner.check(&name, || scenario(bench, stack, *way, compress));
        }
    }
    Ok(())
}

fn scenario(bench: &Bench, stack: &Stack, way: Way, compress: u8) -> Result<()> {
    let Way { user, tls, .. } = way;
    let output = bench.bash(&format!("{} {PROXY} 6033 {user} {user}-pw {tls} {compress}", stack.command))?;
    ensure!(output.success && output.stdout.trim() == "ok", "{}{}", output.stdout, output.stderr);
    Ok(())
}

/// Writes the scripts, builds what is to be built.
fn stacks(bench: &Bench) -> Result<Vec<Stack>> {
    for (name, text) in [("dbapi_check.py", DBAPI), ("stack_check.php", PHP), ("stack_check.pl", PERL)] {
        bench.write(name, text)?;
    }
    let modules = connectors::node()?.join("node_modules");
    bench.write(
        "stack_check.js",
        &format!("module.paths.push({:?});\n{NODE}", modules.display().to_string()),
    )?;
    let python = connectors::python()?;
    let python = python.display();
    let go = connectors::go(GO)?;
    let stack = |name, command: String, compresses| Stack { name, command, compresses };
    Ok(vec![
        stack("PyMySQL", format!("{python} dbapi_check.py pymysql"), false),
        stack("mysql-connector-python", format!("{python} dbapi_check.py mysql.connector"), true),
        stack("mysqlclient (libmariadb)", "/usr/bin/python3 dbapi_check.py MySQLdb".into(), true),
        stack("mysql2 of Node.js", "node stack_check.js".into(), true),
        stack("go-sql-driver", go.display().to_string(), false),
        stack("mysqlnd of PHP", "php -d mysqli.allow_local_infile=On stack_check.php".into(), true),
        stack("DBD::MariaDB (libmariadb)", "perl stack_check.pl".into(), true),
    ])
}
