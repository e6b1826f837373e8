//! caching_sha2_password on both sides of the proxy: full, fast, and refused.
//!
//! Whether the server has a user's password in its cache shows from outside: a client without TLS and without leave to
//! ask for a public key (`direct97 --ssl-mode=DISABLED`) gets in only if it has.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::bench::Bench;
use crate::checks::runner::Runner;

const CIPHER: &str =
    "select variable_value <> '' from performance_schema.session_status where variable_name = 'Ssl_cipher'";

pub(crate) fn run(runner: &mut Runner, bench: &Bench) {
    runner.check("mysql97/backend: a cold cache costs a full login by RSA, a warm one none", || {
        backend(bench, "clear", "0")
    });
    runner.check("mysql97/backend: the same under TLS with use_ssl=1", || backend(bench, "tls", "1"));
    runner.check("mysql97/backend: the server's CA, its name, and a file that is not there", || {
        backend_ca(bench)
    });
    runner.check("mysql97/login: under TLS and by public key, password stored in the clear", || clear(bench));
    runner.check("mysql97/login: password stored as *HEX, with an auth switch", || native(bench));
    runner.check("mysql97/login: password stored as $A$, full by RSA, then fast", || hashed_by_rsa(bench));
    runner.check("mysql97/login: password stored as $A$, full under TLS, then fast", || {
        hashed_under_tls(bench)
    });
    runner.check("mysql97/login: a wrong password and an unknown user are 1045", || refused(bench));
    runner.check("mysql97/login: an empty password", || empty(bench));
    runner.check("mysql97/login: TLS 1.2, TLS 1.3, the proxy's own certificate as CA", || tls(bench));
    runner.check("mysql97/login: a user with use_ssl=1 needs TLS", || tls_required(bench));
}

/// Cold, full, warm, fast, and cold again after FLUSH PRIVILEGES.
fn backend(bench: &Bench, user: &str, under_tls: &str) -> Result<()> {
    let direct = format!("direct97 --ssl-mode=DISABLED -u{user} -p{user}-pw -e 'select 1'");
    let query = format!("mysql97 -u{user} -p{user}-pw -e \"{CIPHER}\"");
    for round in ["the first", "the second"] {
        bench.server.query("FLUSH PRIVILEGES")?;
        bench.forget_backends(user)?;
        bench.fails(&direct, "2061").with_context(|| format!("{round} cold cache"))?;
        bench.prints(&query, under_tls).with_context(|| format!("{round} full login"))?;
        bench.prints(&direct, "1").context("the cache should be warm now")?;
    }
    bench.forget_backends(user)?;
    bench.prints(&query, under_tls).context("a fast login")
}

/// The certificate that MySQL makes for itself is signed by its own CA and names nobody.
fn backend_ca(bench: &Bench) -> Result<()> {
    let load = |row: &str, identity: bool| {
        bench.ok(&format!(
            "admin \"DELETE FROM mysql_servers_ssl_params; {row}; SET mysql-ssl_p2s_verify_identity = '{identity}'; \
             LOAD MYSQL VARIABLES TO RUNTIME; \
             LOAD MYSQL SERVERS TO RUNTIME; SHOW WARNINGS\""
        ))
    };
    let row = |user: &str, ca: &str| {
        format!(
            "INSERT INTO mysql_servers_ssl_params (hostname, username, ssl_ca) \
             VALUES ('127.0.97.1', '{user}', '$(realpath ..)/{ca}')"
        )
    };
    let query = format!("mysql97 -utls -ptls-pw -e \"{CIPHER}\"");
    let said = load(&row("", "db/data/ca.pem"), false)?;
    ensure!(!said.contains("ssl_params"), "{said}");
    bench.forget_backends("tls")?;
    bench.prints(&query, "1").context("its own CA")?;
    let said = load(&row("", "db/nothing.pem"), false)?;
    ensure!(said.contains("db/nothing.pem"), "no warning: {said:?}");
    bench.forget_backends("tls")?;
    bench.prints(&query, "1").context("the last good CA")?;
    load(&row("tls", "db/data/ca.pem"), true)?;
    bench.ok("admin \"SET mysql-connect_timeout_server_max = 3000; LOAD MYSQL VARIABLES TO RUNTIME\"")?;
    bench.forget_backends("tls")?;
    bench.fails(&query, "certificate not valid for name").context("a certificate for another name")?;
    bench.ok("admin \"SET mysql-connect_timeout_server_max = 10000; LOAD MYSQL VARIABLES TO RUNTIME\"")?;
    load("SELECT 1", true)?;
    bench.prints(&query, "1").context("without a CA")
}

fn clear(bench: &Bench) -> Result<()> {
    bench.prints("mysql97 -uclear -pclear-pw -e 'select current_user()'", "clear@%")?;
    let status = bench.ok("mysql97 --commands -uclear -pclear-pw -e status")?;
    ensure!(status.contains("Cipher in use is TLS_"), "no TLS by default: {status}");
    let plain = "mysql97 --ssl-mode=DISABLED --get-server-public-key -uclear -pclear-pw";
    bench.prints(&format!("{plain} -e 'select current_user()'"), "clear@%")?;
    let status = bench.ok(&format!("{plain} --commands -e status"))?;
    ensure!(status.contains("Not in use"), "TLS where none was asked for: {status}");
    // What is stored in the clear never needs a full login: not even the public key is asked for.
    bench.prints("mysql97 --ssl-mode=DISABLED -uclear -pclear-pw -e 'select 1'", "1")
}

/// The MySQL 9.7 client starts with caching_sha2_password and is switched; a backend of 9.7 cannot be logged in at with this hash.
fn native(bench: &Bench) -> Result<()> {
    bench.ok("mariadb -unative -pnative-pw -e 'select connection_id()'")?;
    bench.ok(
        "mariadb --default-auth=caching_sha2_password -unative -pnative-pw -e 'select connection_id()'",
    )?;
    bench.fails("mariadb -unative -pwrong -e 'select connection_id()'", "1045")?;
    let start = Instant::now();
    bench.fails("mariadb -unative -pnative-pw -e 'select 1 from dual'", "caching_sha2_password")?;
    // Nobody waits the ten seconds of `connect_timeout_server_max` for what cannot change, and the server is not to blame for it.
    ensure!(start.elapsed() < Duration::from_secs(9), "that took {:?}", start.elapsed());
    bench.prints("admin 'select distinct status from runtime_mysql_servers'", "ONLINE")
}

/// The user comes by the admin interface: the proxy knew of nobody who needs a key pair when it started.
fn hashed_by_rsa(bench: &Bench) -> Result<()> {
    let without_key = "mysql97 --ssl-mode=DISABLED -uhashed -phashed-pw -e 'select current_user()'";
    let with_key = without_key.replace("DISABLED", "DISABLED --get-server-public-key");
    bench.add_hashed_user("hashed")?;
    bench.fails(without_key, "2061").context("nobody has logged in yet")?;
    bench.fails(&with_key.replace("-phashed-pw", "-pwrong"), "1045")?;
    bench.prints(&with_key, "hashed@%").context("full, by RSA")?;
    bench.prints(without_key, "hashed@%").context("fast after that")?;
    bench
        .prints("mysql97 -uhashed -phashed-pw -e 'select current_user()'", "hashed@%")
        .context("under TLS")?;
    bench.fails(&with_key.replace("-phashed-pw", "-pwrong"), "1045").context("wrong, after the right one")
}

fn hashed_under_tls(bench: &Bench) -> Result<()> {
    bench.add_hashed_user("late")?;
    let plain = "mysql97 --ssl-mode=DISABLED -ulate -plate-pw -e 'select current_user()'";
    bench.fails(plain, "2061").context("nobody has logged in yet")?;
    bench
        .prints("mysql97 -ulate -plate-pw -e 'select current_user()'", "late@%")
        .context("full, under TLS")?;
    bench.prints(plain, "late@%").context("fast after that")
}

fn refused(bench: &Bench) -> Result<()> {
    let plain = "--ssl-mode=DISABLED --get-server-public-key";
    for options in ["", plain] {
        for who in
            ["-uclear -pwrong", "-unobody -pwrong", "-unobody", "-uclear", "-uhashed -pwrong", "-uhashed"]
        {
            bench.fails(&format!("mysql97 {options} {who} -e 'select 1'"), "1045")?;
        }
    }
    for who in ["-uclear -pwrong", "-unobody -pwrong", "-unobody", "-uclear"] {
        bench.fails(&format!("mariadb {who} -e 'select 1'"), "1045")?;
    }
    Ok(())
}

fn empty(bench: &Bench) -> Result<()> {
    for client in ["mysql97", "mysql97 --ssl-mode=DISABLED", "mariadb"] {
        bench.prints(&format!("{client} -unopw -e 'select current_user() from dual'"), "nopw@%")?;
        bench.fails(&format!("{client} -unopw -pwrong -e 'select 1'"), "1045")?;
    }
    Ok(())
}

fn tls(bench: &Bench) -> Result<()> {
    for version in ["TLSv1.2", "TLSv1.3"] {
        let client =
            format!("mysql97 --tls-version={version} --ssl-mode=REQUIRED -uclear -pclear-pw --commands");
        let status = bench.ok(&format!("{client} -e status"))?;
        ensure!(status.contains("Cipher in use is "), "{status}");
    }
    let verified = "mysql97 --ssl-mode=VERIFY_CA --ssl-ca=../data/standfast-cert.pem -uclear -pclear-pw";
    bench.prints(&format!("{verified} -e 'select 1'"), "1")?;
    bench.prints("mariadb --ssl -uclear -pclear-pw -e 'select 1'", "1")
}

fn tls_required(bench: &Bench) -> Result<()> {
    let set = |value: u8| {
        let update = format!("UPDATE mysql_users SET use_ssl = {value} WHERE username = 'clear'");
        bench.ok(&format!("admin \"{update}; LOAD MYSQL USERS TO RUNTIME\""))
    };
    set(1)?;
    let refused = bench.fails("mysql97 --ssl-mode=DISABLED -uclear -pclear-pw -e 'select 1'", "ERROR");
    let accepted = bench.prints("mysql97 -uclear -pclear-pw -e 'select 1'", "1");
    set(0)?;
    refused.and(accepted)
}
