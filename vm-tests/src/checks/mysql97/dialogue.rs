//! What the MySQL 9.7 client says, from its first probes to packets of 20 MB.

use anyhow::{Context, Result, ensure};

use super::bench::Bench;
use crate::checks::runner::Runner;

/// The client as the user whose password is stored in the clear.
const MYSQL: &str = "mysql97 -uclear -pclear-pw";

pub(crate) fn run(runner: &mut Runner, bench: &Bench) {
    runner.check("mysql97/client: its first probes and `status`", || probes(bench));
    runner.check("mysql97/client: several statements in one packet", || several(bench));
    runner.check("mysql97/client: 20 MB there and 20 MB back", || large(bench));
    runner.check("mysql97/client: prepared statements in SQL", || prepared(bench));
    runner.check("mysql97/client: transactions, savepoints, autocommit off", || transactions(bench));
    runner.check("mysql97/client: schema, variables and temporary tables stay with their session", || {
        state(bench)
    });
    runner.check("mysql97/client: a reset connection forgets them", || reset(bench));
    runner.check("mysql97/client: LOAD DATA LOCAL, refused clearly unless it is switched on", || {
        local_infile(bench)
    });
    runner.check("mysql97/client: a procedure with several results", || procedure(bench));
    runner.check("mysql97/client: utf8mb4 text in both directions", || text(bench));
    runner.check("mysql97/client: errors, warnings and NULLs arrive as they are", || errors(bench));
    runner.check("mysql97/client: query attributes arrive with their statement and with no other", || {
        attributes(bench)
    });
    runner.check("mysql97/client: mysqldump there, and back into another schema", || dump(bench));
    runner.check("mysql97/client: mysqladmin ping, version, status", || mysqladmin(bench));
    runner.check("mysql97/client: KILL from another session ends a statement, then a connection", || {
        kill(bench)
    });
}

/// `select @@version_comment limit 1` and `select $$` come before anything else; the second one has to fail.
fn probes(bench: &Bench) -> Result<()> {
    bench.prints(&format!("{MYSQL} -e 'select @@version_comment limit 1'"), "(Standfast)")?;
    bench.fails(&format!("{MYSQL} -e 'select $$'"), "ERROR 10")?;
    // Standard input is not a terminal: the interactive client's greeting is left out, its probes are not.
    bench.prints(&format!("echo 'select 7;' | {MYSQL} --force"), "7")?;
    let status = bench.ok(&format!("{MYSQL} --commands -e status"))?;
    for line in ["Connection id:", "Current user:", "Server version:", "Uptime:", "(Standfast)", "utf8mb4"] {
        ensure!(status.contains(line), "no {line} in {status}");
    }
    Ok(())
}

fn several(bench: &Bench) -> Result<()> {
    // The client splits at semicolons, but not inside of a body with another delimiter.
    let script = "delimiter //\nselect 1; select 2; do 0; select 3//\nselect 4//\n";
    bench.prints(&format!("printf '%b' '{script}' | {MYSQL}"), "1\n2\n3\n4")?;
    let script = "delimiter //\nselect 1; select * from nothing_here; select 3//\n";
    bench.fails(&format!("printf '%b' '{script}' | {MYSQL}"), "ERROR 1146")?;
    bench.prints(&format!("{MYSQL} -e 'select 1; select 2'"), "1\n2")
}

fn large(bench: &Bench) -> Result<()> {
    let there =
        "(printf \"select length('\"; head -c 20000000 /dev/zero | tr '\\0' x; printf \"') as l, 'end'\")";
    let client = format!("{MYSQL} --max-allowed-packet=64M");
    bench.prints(&format!("{there} | {client}"), "20000000\tend").context("there")?;
    bench
        .prints(&format!("{client} -e \"select repeat('y', 20000000)\" | wc -c"), "20000001")
        .context("back")?;
    // Exactly at the border an empty frame ends the packet: 16 MiB - 1, with the command byte and the attributes' two.
    for length in [16_777_215, 16_777_214, 16_777_213, 16_777_212, 16_777_210] {
        let text = format!("head -c {} /dev/zero | tr '\\0' ' '", length - 11);
        let there = format!("(printf 'select 1'; {text}; printf ',22')");
        bench.prints(&format!("{there} | {client}"), "1\t22").with_context(|| format!("{length} bytes"))?;
    }
    Ok(())
}

fn prepared(bench: &Bench) -> Result<()> {
    let script = "prepare s from 'select ? + 1'; set @a = 41; execute s using @a; deallocate prepare s; execute s using @a";
    let output = bench.bash(&format!("{MYSQL} -e \"{script}\""))?;
    ensure!(output.stdout.trim() == "42", "{:?}", output.stdout);
    ensure!(output.stderr.contains("ERROR 1243"), "{:?}", output.stderr);
    Ok(())
}

fn transactions(bench: &Bench) -> Result<()> {
    let script = "create table test.tx (id int primary key, v varchar(20)); \
        begin; insert into test.tx values (1, 'gone'); rollback; \
        start transaction; insert into test.tx values (2, 'kept'); savepoint a; insert into test.tx values (3, 'gone'); \
        rollback to a; commit; \
        set autocommit = 0; insert into test.tx values (4, 'gone'); rollback; insert into test.tx values (5, 'kept'); commit; \
        set autocommit = 1; insert into test.tx values (6, 'kept'); \
        begin; select count(*) from test.tx for update; insert into test.tx values (7, 'never committed')";
    bench.prints(&format!("{MYSQL} -e \"{script}\""), "3").context("the script")?;
    bench.prints(
        &format!("{MYSQL} -e 'select group_concat(id order by id) from test.tx; drop table test.tx'"),
        "2,5,6",
    )
}

fn state(bench: &Bench) -> Result<()> {
    let script = "use other; set @a = 'kept', sql_mode = ''; create temporary table t (i int); insert into t values (9); \
        select database(), @a, @@sql_mode, i from t";
    bench.prints(&format!("{MYSQL} -e \"{script}\""), "other\tkept\t\t9")?;
    bench.prints(&format!("{MYSQL} -e 'select database(), @a, @@sql_mode <> \"\"'"), "test\tNULL\t1")?;
    bench.fails(&format!("{MYSQL} -D other -e 'select * from t'"), "ERROR 1146")?;
    bench.fails(&format!("{MYSQL} -D nowhere -e 'select 1 from dual'"), "nowhere")
}

fn reset(bench: &Bench) -> Result<()> {
    let script =
        "set @a = 1; create temporary table t (i int); begin; resetconnection; select @a; select * from t";
    let output =
        bench.bash(&format!("printf '%s\\n' '{}' | {MYSQL} --commands", script.replace("; ", ";\n")))?;
    ensure!(output.stdout.trim() == "NULL", "{:?}", output.stdout);
    ensure!(output.stderr.contains("ERROR 1146"), "{:?}", output.stderr);
    Ok(())
}

fn local_infile(bench: &Bench) -> Result<()> {
    let load = "create table test.l (i int); load data local infile \"client.sh\" into table test.l";
    bench.fails(&format!("{MYSQL} --local-infile=1 -e '{load}'"), "ERROR 3948")?;
    bench.prints(&format!("{MYSQL} -e 'select count(*) from test.l'"), "0")?;
    let switch = |to: bool| {
        let set = format!("SET mysql-enable_load_data_local_infile='{to}'; LOAD MYSQL VARIABLES TO RUNTIME");
        bench.ok(&format!("admin \"{set}\""))
    };
    switch(true)?;
    let load = |file: &str| {
        format!("load data local infile \"{file}\" into table test.l; select count(*), sum(i) from test.l")
    };
    bench.ok("seq 1 300000 > rows.txt; : > none.txt")?;
    bench.prints(&format!("{MYSQL} --local-infile=1 -e '{}'", load("rows.txt")), "300000\t45000150000")?;
    bench.prints(&format!("{MYSQL} --local-infile=1 -e '{}'", load("none.txt")), "300000\t45000150000")?;
    bench.fails(&format!("{MYSQL} --local-infile=1 -e '{}'", load("not-there.txt")), "not-there.txt")?;
    bench.fails(&format!("{MYSQL} --local-infile=0 -e '{}'", load("rows.txt")), "ERROR")?;
    bench.prints(&format!("{MYSQL} -e 'select count(*) from test.l; drop table test.l'"), "300000")?;
    switch(false).map(drop)
}

/// Through rules that route and that rewrite, over pooled connections that clients with and without attributes take turns at.
fn attributes(bench: &Bench) -> Result<()> {
    bench.server.query("INSTALL COMPONENT 'file://component_query_attributes'")?;
    let rules = "INSERT INTO mysql_query_rules (rule_id, active, match_pattern, replace_pattern, destination_hostgroup, apply) VALUES \
         (9702, 1, '^SELECT mysql_query', NULL, 1, 1), (9703, 1, 'my_attribute', 'mysql_query_attribute_string(0x6B)', 1, 1); \
         LOAD MYSQL QUERY RULES TO RUNTIME";
    bench.ok(&format!("admin \"{rules}\""))?;
    bench.write(
        "attributes.sql",
        "query_attributes k one\nSELECT mysql_query_attribute_string('k');\n\
         SELECT IFNULL(mysql_query_attribute_string('k'), 'none');\n\
         query_attributes k two other 2\nSELECT CONCAT(my_attribute, mysql_query_attribute_string('other'));\n",
    )?;
    for round in 0..3 {
        let script = format!("{MYSQL} --commands < attributes.sql");
        bench.prints(&script, "one\nnone\ntwo2").with_context(|| format!("round {round}"))?;
        let without =
            "mariadb -uclear -pclear-pw -e \"SELECT IFNULL(mysql_query_attribute_string('k'), 'none')\"";
        bench.prints(without, "none").with_context(|| format!("round {round}, without"))?;
    }
    let remove =
        "DELETE FROM mysql_query_rules WHERE rule_id IN (9702, 9703); LOAD MYSQL QUERY RULES TO RUNTIME";
    bench.ok(&format!("admin \"{remove}\""))?;
    bench.server.query("UNINSTALL COMPONENT 'file://component_query_attributes'").map(drop)
}

fn procedure(bench: &Bench) -> Result<()> {
    bench.prints(&format!("{MYSQL} -e 'call test.two_results(); select 4'"), "1\n2\n3\n4")
}

fn text(bench: &Bench) -> Result<()> {
    let word = "žluťoučký 🐬 日本";
    bench
        .prints(&format!("{MYSQL} -e \"select '{word}', char_length('{word}')\""), &format!("{word}\t14"))?;
    bench
        .prints(&format!("{MYSQL} --default-character-set=latin1 -e \"select hex(_utf8mb4'é')\""), "C3A9")?;
    let script =
        format!("create table test.u (v varchar(40)) charset utf8mb4; insert into test.u values ('{word}')");
    bench.ok(&format!("{MYSQL} -e \"{script}\""))?;
    bench.prints(&format!("{MYSQL} -e 'select v from test.u; drop table test.u'"), word)
}

fn errors(bench: &Bench) -> Result<()> {
    bench.fails(&format!("{MYSQL} -e 'selekt'"), "ERROR 1064 (42000)")?;
    bench.fails(&format!("{MYSQL} -e 'select * from test.nothing'"), "ERROR 1146 (42S02)")?;
    bench.prints(&format!("{MYSQL} -e \"select null, '', 0\""), "NULL\t\t0")?;
    bench.prints(&format!("{MYSQL} --show-warnings -e \"select 1/0\" | head -1"), "NULL")?;
    let warning =
        bench.ok(&format!("{MYSQL} -e \"set sql_mode=''; select cast('x' as signed); show warnings\""))?;
    ensure!(warning.contains("1292"), "{warning}");
    Ok(())
}

fn dump(bench: &Bench) -> Result<()> {
    let make = "create table test.d (id int primary key auto_increment, v varchar(80), b blob); \
        insert into test.d (v, b) with recursive n as (select 1 i union all select i + 1 from n where i < 500) \
        select concat('ž🐬 ', i), unhex(sha2(i, 256)) from n";
    bench.ok(&format!("{MYSQL} -e \"{make}\""))?;
    let options = "-uclear -pclear-pw --no-tablespaces --set-gtid-purged=OFF --hex-blob";
    for way in ["--single-transaction", "--lock-tables"] {
        bench.ok(&format!("dump97 {options} {way} test d > dump.sql && {MYSQL} other < dump.sql"))?;
        let sums = "select (select sum(crc32(concat(id, v, hex(b)))) from test.d) = \
            (select sum(crc32(concat(id, v, hex(b)))) from other.d), (select count(*) from other.d)";
        bench.prints(&format!("{MYSQL} -e \"{sums}; drop table other.d\""), "1\t500")?;
    }
    bench.ok(&format!("{MYSQL} -e 'drop table test.d'")).map(drop)
}

fn mysqladmin(bench: &Bench) -> Result<()> {
    let tool = "tool97 -uclear -pclear-pw";
    bench.prints(&format!("{tool} ping"), "mysqld is alive")?;
    ensure!(bench.ok(&format!("{tool} version"))?.contains("Uptime:"), "no uptime in `version`");
    let status = bench.ok(&format!("{tool} status"))?;
    ensure!(status.starts_with("Uptime: "), "{status}");
    Ok(())
}

/// Whether a statement of the user's own sleeps at the server.
const SLEEPING: &str = "select count(*) from information_schema.processlist where state = \"User sleep\"";

fn kill(bench: &Bench) -> Result<()> {
    for (kill, code) in [("kill query", "ERROR 1317"), ("kill", "ERROR 2013")] {
        // One that nobody ends sleeps longer than a check may take. A KILL that comes before the statement would end nothing.
        let script = format!(
            "{MYSQL} -e 'select connection_id(); select 1 from information_schema.schemata where sleep(600)' > id 2> said & \
             until [ \"$(direct97 -uclear -pclear-pw -e '{SLEEPING}')\" = 1 ]; do sleep 0.05; done; \
             {MYSQL} -e \"{kill} $(cat id)\"; wait; cat said >&2; exit 1"
        );
        // The client writes its first row at the end when it does not write to a terminal: `-n` says at once.
        bench.fails(&script.replace("mysql97", "mysql97 -n"), code)?;
    }
    Ok(())
}
