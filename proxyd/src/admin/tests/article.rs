//! The SQL of Marco Tusa's article, as printed there.

use super::*;

const SERVERS: &str = "
DELETE FROM mysql_replication_hostgroups WHERE writer_hostgroup=500 ;
DELETE FROM mysql_servers WHERE hostgroup_id IN (500,501);
 
INSERT INTO mysql_servers (hostname,hostgroup_id,port,weight) VALUES ('192.168.0.5',500,3306,1000000000);
INSERT INTO mysql_servers (hostname,hostgroup_id,port,weight) VALUES ('192.168.0.5',501,3306,100);
INSERT INTO mysql_servers (hostname,hostgroup_id,port,weight) VALUES ('192.168.0.21',500,3306,1000000);
INSERT INTO mysql_servers (hostname,hostgroup_id,port,weight) VALUES ('192.168.0.21',501,3306,1000000000);
INSERT INTO mysql_servers (hostname,hostgroup_id,port,weight) VALUES ('192.168.0.231',500,3306,100);
INSERT INTO mysql_servers (hostname,hostgroup_id,port,weight) VALUES ('192.168.0.231',501,3306,1000000000);
LOAD MYSQL SERVERS TO RUNTIME; SAVE MYSQL SERVERS TO DISK;
 ";

const USERS: &str = "
DELETE FROM mysql_users WHERE username='load_RW';
INSERT INTO mysql_users (username,password,active,default_hostgroup,default_schema,transaction_persistent) VALUES ('load_RW','test',1,500,'test',1);
LOAD MYSQL USERS TO RUNTIME;SAVE MYSQL USERS TO DISK;
 ";

const RULES: &str = "
DELETE FROM mysql_query_rules WHERE rule_id IN (200,201);
INSERT INTO mysql_query_rules (rule_id,username,destination_hostgroup,active,retries,match_digest,apply) VALUES(200,'load_RW',501,1,3,'^SELECT.*FOR UPDATE',1);
INSERT INTO mysql_query_rules (rule_id,username,destination_hostgroup,active,retries,match_digest,apply) VALUES(201,'load_RW',501,1,3,'^SELECT ',1); 
 
LOAD MYSQL QUERY RULES TO RUNTIME;SAVE MYSQL QUERY RULES TO DISK;
";

#[test]
fn the_set_up_runs_as_printed_and_outlives_a_restart() {
    let dir = DataDir::new();
    let mut console = Console::boot(&dir.0, FirstBoot::default());
    for _ in 0..2 {
        console.ok(SERVERS);
        console.ok(USERS);
        console.ok(RULES);
    }
    check(&console.snapshot());
    drop(console);
    check(&Console::boot(&dir.0, FirstBoot::default()).snapshot());
}

fn check(snapshot: &Snapshot) {
    let weights = |hostgroup| -> Vec<(String, u32)> {
        let members = &snapshot.hostgroups[&hostgroup].members;
        members.iter().map(|member| (member.server.hostname.to_string(), member.weight)).collect()
    };
    let expect = |rows: [(&str, u32); 3]| rows.map(|(host, weight)| (host.to_owned(), weight)).to_vec();
    assert_eq!(
        weights(500),
        expect([("192.168.0.21", 1_000_000), ("192.168.0.231", 100), ("192.168.0.5", 10_000_000)])
    );
    assert_eq!(
        weights(501),
        expect([("192.168.0.21", 10_000_000), ("192.168.0.231", 10_000_000), ("192.168.0.5", 100)])
    );
    let user = snapshot.users.get("load_RW").expect("a user");
    assert_eq!(
        (user.default_hostgroup, &*user.default_schema, user.transaction_persistent),
        (500, "test", true)
    );
}

#[test]
fn weights_above_the_limit_warn_and_keep_their_value() {
    let dir = DataDir::new();
    let mut console = Console::boot(&dir.0, FirstBoot::default());
    console.ok("INSERT INTO mysql_servers (hostname,hostgroup_id,port,weight) VALUES ('192.168.0.5',500,3306,1000000000)");
    assert_eq!(console.ok("LOAD MYSQL SERVERS TO RUNTIME"), Answer::Ok { affected: 1, warnings: 1 });
    assert_eq!(
        console.rows("SHOW WARNINGS"),
        [
            "Warning,1105,mysql_servers: weight 1000000000 of 192.168.0.5:3306 in hostgroup 500 counts as 10000000 at runtime"
        ]
    );
    assert_eq!(console.rows("SELECT weight FROM runtime_mysql_servers"), ["1000000000"]);
}

#[test]
fn the_watch_command_runs_as_printed() {
    let dir = DataDir::new();
    let mut console = Console::boot(&dir.0, FirstBoot::default());
    console.ok(SERVERS);
    let pool = console.rows("select * from stats_mysql_connection_pool where hostgroup in (500,501,9500,9501) order by hostgroup,srv_host ;");
    assert_eq!(pool.len(), 6);
    assert_eq!(pool[0], "500,192.168.0.21,3306,ONLINE,0,0,0,0,0,0,0,0,0,0");
    let processes = " select srv_host,command,avg(time_ms), count(ThreadID) from stats_mysql_processlist group by srv_host,command;";
    assert!(console.rows(processes).is_empty());
    assert!(console.rows("select * from stats_mysql_commands_counters where  Total_Time_us > 0;").is_empty());
}
