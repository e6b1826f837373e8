//! Applications' own libraries in front of the proxy: PyMySQL, mysql-connector-python and mysql2 of Node.js.
//!
//! Each has a script that says `ok` when all of it held; what did not is its traceback.

use std::path::Path;

use anyhow::{Result, ensure};

use super::bench::{Bench, PROXY};
use crate::checks::runner::Runner;
use crate::mysql97::connectors;

const PYMYSQL: &str = include_str!("pymysql_check.py");
const CONNECTOR: &str = include_str!("connector_check.py");
const PREPARED: &str = include_str!("prepared_check.py");
const MYSQL2: &str = include_str!("mysql2_check.js");

pub(crate) fn run(runner: &mut Runner, bench: &Bench) -> Result<()> {
    bench.add_hashed_user("hashed")?;
    runner.check("mysql97/connector: PyMySQL", || python(bench, "pymysql_check.py", PYMYSQL));
    runner.check("mysql97/connector: mysql-connector-python", || {
        python(bench, "connector_check.py", CONNECTOR)
    });
    runner.check("mysql97/prepared: many clients' statements on few connections", || {
        // Clients without query attributes have left connections of another kind.
        bench.forget_backends("clear")?;
        python(bench, "prepared_check.py", PREPARED)
    });
    runner.check("mysql97/connector: mysql2 of Node.js", || node(bench));
    Ok(())
}

fn python(bench: &Bench, name: &str, script: &str) -> Result<()> {
    says_ok(bench, &connectors::python()?, name, script)
}

fn node(bench: &Bench) -> Result<()> {
    let modules = connectors::node()?.join("node_modules");
    let script = format!("module.paths.push({:?});\n{MYSQL2}", modules.display().to_string());
    says_ok(bench, Path::new("node"), "mysql2_check.js", &script)
}

fn says_ok(bench: &Bench, interpreter: &Path, name: &str, script: &str) -> Result<()> {
    bench.write(name, script)?;
    let output = bench.bash(&format!("{} {name} {PROXY} 6033", interpreter.display()))?;
    ensure!(output.success && output.stdout.trim() == "ok", "{}{}", output.stdout, output.stderr);
    Ok(())
}
