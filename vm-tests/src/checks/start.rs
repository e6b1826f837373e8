//! A proxy with many users that is killed: clients are served from its database before its tables are filled, and the admin
//! interface has them all.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};

use super::fake_bed::{FakeBed, LIMIT, PROXY};
use super::runner::Runner;
use super::shell;
use crate::fake::Answer;
use crate::lab::wait;

/// Each more than what is read before the first client.
const USERS: u32 = 40_000;
const ROUTES: u32 = 20_000;
/// What the log says of each module when its tables are full.
const FULL: &str = "all rows are in memory";

pub(super) fn run(runner: &mut Runner) -> Result<()> {
    shell::require("mariadb", "mariadb-client")?;
    let mut scene = Scene::start(&runner.binaries)?;
    runner.check("start/many users over a kill", || over_a_kill(&mut scene));
    runner.check("start/killed before the tables were full", || killed_early(&mut scene));
    Ok(())
}

struct Scene(FakeBed);

impl Scene {
    fn start(binaries: &Path) -> Result<Scene> {
        let servers = [3306, 3307].map(|port| SocketAddr::from((PROXY, port)));
        // Each says which it is.
        let script = |asked: SocketAddr, sql: &str| match sql.starts_with("SELECT @@own") {
            true => Answer::Rows(vec!["own"], vec![vec![Some(asked.port().to_string())]]),
            false => Answer::Done,
        };
        let mut tables = String::from("[mysql_variables]\nmonitor_enabled = false\n");
        for (hostgroup, server) in [(1, servers[0]), (2, servers[1])] {
            tables += &format!(
                "[[mysql_servers]]\nhostgroup_id = {hostgroup}\nhostname = \"{}\"\nport = {}\n",
                server.ip(),
                server.port(),
            );
        }
        let scene = Scene(FakeBed::start("start", binaries, &servers, Arc::new(script), &tables)?);
        scene.fill()?;
        Ok(scene)
    }

    fn fill(&self) -> Result<()> {
        for numbers in shell::numbers(USERS) {
            self.admin(&format!(
                "INSERT INTO mysql_users (username, password, default_hostgroup) {numbers} \
                 SELECT printf('user%d', i), printf('secret%d', i), 1 FROM n"
            ))?;
        }
        for numbers in shell::numbers(ROUTES) {
            self.admin(&format!(
                "INSERT INTO mysql_query_rules_fast_routing {numbers} \
                 SELECT printf('user%d', i), 'shop', 0, 2, '' FROM n"
            ))?;
        }
        self.admin("LOAD MYSQL USERS TO RUNTIME; SAVE MYSQL USERS TO DISK")?;
        self.admin("LOAD MYSQL QUERY RULES TO RUNTIME; SAVE MYSQL QUERY RULES TO DISK")?;
        Ok(())
    }

    fn admin(&self, sql: &str) -> Result<String> {
        self.0.admin(sql)
    }

    /// The server that answers this user.
    fn client(&self, user: &str, password: &str, schema: &str) -> Result<String> {
        self.0.client(&format!("-u{user} -p{password} {schema}"), "SELECT @@own")
    }

    /// As the first after a restart: nothing has been waited for but the listener.
    fn first_client(&self) -> Result<()> {
        let mut answer = Ok(String::new());
        wait::until("the restarted proxy's listener", LIMIT, || {
            answer = self.client(&format!("user{USERS}"), &format!("secret{USERS}"), "");
            // What else the error says depends on when the connection was refused.
            !matches!(&answer, Err(error) if error.to_string().contains("ERROR 2002"))
        })?;
        ensure!(answer? == "3306", "a user was not served by the server of its hostgroup");
        Ok(())
    }

    /// Rows in memory, on disk and at runtime.
    fn counts(&self, table: &str) -> Result<String> {
        self.admin(&format!(
            "SELECT (SELECT COUNT(*) FROM {table}), (SELECT COUNT(*) FROM disk.{table}), \
             (SELECT COUNT(*) FROM runtime_{table})"
        ))
    }

    fn are_whole(&self, users: u32) -> Result<()> {
        for (table, count) in [("mysql_users", users), ("mysql_query_rules_fast_routing", ROUTES)] {
            let counts = self.counts(table)?;
            ensure!(counts == format!("{count}\t{count}\t{count}"), "{table}: {counts} instead of {count}");
        }
        let notes = self.admin("SHOW WARNINGS")?;
        ensure!(notes.is_empty(), "runtime is not what is on disk: {notes}");
        Ok(())
    }

    fn everybody_is_served(&self) -> Result<()> {
        ensure!(self.client("user1", "secret1", "shop")? == "3307", "no fast routing");
        ensure!(
            self.client(&format!("user{}", ROUTES + 1), &format!("secret{}", ROUTES + 1), "shop")? == "3306"
        );
        ensure!(self.client("late", "x", "")? == "3306");
        for (user, password) in [("user1", "secret2"), ("lost", "x"), ("nobody", "x")] {
            let refused = self.client(user, password, "").err().context(user)?.to_string();
            ensure!(refused.contains("1045"), "{user}: {refused}");
        }
        Ok(())
    }
}

fn over_a_kill(scene: &mut Scene) -> Result<()> {
    scene.admin(
        "INSERT INTO mysql_users (username, password, default_hostgroup, active) VALUES ('late', 'x', 1, 1); \
         LOAD MYSQL USERS TO RUNTIME; SAVE MYSQL USERS TO DISK; \
         INSERT INTO mysql_users (username, password, default_hostgroup, active) VALUES ('lost', 'x', 1, 1); \
         LOAD MYSQL USERS TO RUNTIME",
    )?;
    ensure!(scene.client("lost", "x", "")? == "3306", "a loaded user is served");
    scene.0.proxy.restart()?;
    scene.first_client()?;
    scene.everybody_is_served()?;
    scene.are_whole(USERS + 1)?;
    let log = scene.0.proxy.log();
    ensure!(log.matches(FULL).count() == 2, "the tables were not filled behind the clients: {log}");
    // From memory now.
    scene.everybody_is_served()?;
    scene.admin(
        "UPDATE mysql_users SET password = 'y' WHERE username = 'late'; LOAD MYSQL USERS TO RUNTIME",
    )?;
    ensure!(scene.client("late", "y", "")? == "3306", "the tables belong to the operator again");
    Ok(())
}

fn killed_early(scene: &mut Scene) -> Result<()> {
    for _ in 0..3 {
        scene.0.proxy.restart()?;
        scene.first_client()?;
    }
    scene.everybody_is_served()?;
    scene.are_whole(USERS + 1)
}
