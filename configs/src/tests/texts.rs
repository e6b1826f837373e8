//! Literal texts of problems: they are what an operator has to work with.

use crate::File;

const HOSTS: &str = "[[hosts]]\nname = \"test1\"\naddress = \"192.0.2.1\"\n[[hosts]]\nname = \"test2\"\naddress = \"192.0.2.2\"\n";

/// Problems of a text that stands before the two hosts (from line 1).
fn problems(text: &str) -> String {
    File::parse("f.toml", &format!("{text}\n{HOSTS}")).expect_err("must be refused").to_string()
}

#[test]
fn unknown_keys_name_the_nearest() {
    assert_eq!(problems("[vrrp]\nadvert = 100"), "f.toml:2: vrrp.advert: unknown key");
    assert_eq!(
        problems("[vrrp]\nadvert_sm = 100\n[angle]\n"),
        "f.toml:2: vrrp.advert_sm: unknown key; did you mean `advert_ms`?\n\
         f.toml:3: angle: unknown key; did you mean `angel`?"
    );
    assert_eq!(
        problems("[[mysql_servers]]\nhostname = \"a\"\nhostgroup = 5\n[mysql_variables]\nmax_conections = 5"),
        "f.toml:3: mysql_servers[1].hostgroup: unknown column; did you mean `hostgroup_id`?\n\
         f.toml:5: mysql_variables.max_conections: unknown variable; did you mean `max_connections`?"
    );
}

#[test]
fn values_out_of_range_name_the_range() {
    assert_eq!(
        problems("[angel]\ngrace_ms = 70000\nhang_ms = \"soon\"\ncrash_limit = 0"),
        "f.toml:2: angel.grace_ms: 70000 is out of range; expected a whole number from 0 to 60000 ms\n\
         f.toml:3: angel.hang_ms: expected a whole number from 50 to 60000 ms, found string\n\
         f.toml:4: angel.crash_limit: 0 is out of range; expected a whole number from 1 to 100 crashes"
    );
    assert_eq!(
        problems("[[vip]]\naddress = \"192.0.2.9/33\"\nadvert_ms = 105\npriority = 256\nrouter_id = 0"),
        "f.toml:2: vip[1].address: \"192.0.2.9/33\" is not a virtual address; expected \"address\" or \
         \"address/prefix\", prefix 1 to 32 (IPv6: 128)\n\
         f.toml:3: vip[1].advert_ms: 105 is out of range; expected 10 to 40950 ms in steps of 10 in version 3\n\
         f.toml:4: vip[1].priority: 256 is out of range; expected a whole number from 1 to 255\n\
         f.toml:5: vip[1].router_id: 0 is out of range; expected a whole number from 1 to 255"
    );
    assert_eq!(
        problems("[vrrp]\nfailback = \"later\"\ntransport = \"broadcast\""),
        "f.toml:2: vrrp.failback: \"later\" is none of \"never\", \"at once\", \"manual\" and \
         \"after 30s healthy\" (1s to 3600s, or in ms)\n\
         f.toml:3: vrrp.transport: \"broadcast\" is none of \"unicast\", \"multicast\""
    );
}

#[test]
fn a_key_that_is_data_stays_on_one_line() {
    assert_eq!(
        problems("[[vip]]\naddress = \"192.0.2.9\"\n[vip.priorities]\ntest1 = 2\ntest2 = 1\n\"a\\nb\" = 0")
            .lines()
            .count(),
        1
    );
}

#[test]
fn contradictions() {
    assert_eq!(
        problems("[[vip]]\naddress = \"192.0.2.9\"\nprefer = [\"test2\"]\npriority = 100\nauth_pass = \"x\""),
        "f.toml:1: vip[1].prefer: contradiction: give one of `prefer`, `priorities` and `priority`\n\
         f.toml:5: vip[1].auth_pass: contradiction: VRRP version 3 has no authentication; leave it out or set \
         version = 2"
    );
    assert_eq!(
        problems("[vrrp]\nversion = 2\nadvert_ms = 100\n[[vip]]\naddress = \"192.0.2.9\""),
        "f.toml:3: vip[1].advert_ms: 100 is out of range; expected 1000 to 255000 ms in steps of 1000 in version 2"
    );
    assert_eq!(
        problems("[proxy]\nmysql_listen = [\"0.0.0.0:6032\"]\nadmin_listen = [\"127.0.0.1:6032\"]"),
        "f.toml:3: proxy.admin_listen: 127.0.0.1:6032 is already taken by mysql_listen 0.0.0.0:6032"
    );
    assert_eq!(
        problems(
            "[proxy]\nmysql_listen = [\"0.0.0.0:6033\", \"mysql.sock\", \"/run/a\"]\nadmin_listen = \"/run/a;b\""
        ),
        "f.toml:2: proxy.mysql_listen: \"mysql.sock\" is not \"address:port\" or the absolute path of a Unix socket\n\
         f.toml:3: proxy.admin_listen: \"/run/a;b\" has characters that the path of a socket cannot have here; expected printable ASCII without : ; \" \\"
    );
    assert_eq!(
        problems("[proxy]\nmysql_listen = \"/run/a\"\nadmin_listen = \"/run/a\""),
        "f.toml:3: proxy.admin_listen: /run/a is already taken by mysql_listen /run/a"
    );
    assert_eq!(
        problems("[admin_variables]\nmysql_ifaces = \"0.0.0.0:1\""),
        "f.toml:2: admin_variables.mysql_ifaces: contradiction: set admin_listen in [proxy] instead"
    );
    assert_eq!(
        problems(
            "[vrrp]\nweight = 2\n[[vip]]\naddress = \"192.0.2.9\"\npriorities = { test1 = 255, test2 = 252 }"
        ),
        "f.toml:5: vip[1].failback: contradiction: priority 255 takes the VIP whenever it can; that needs failback = \"at once\""
    );
    assert_eq!(
        problems(
            "[vrrp]\nsync = \"G\"\n[[vip]]\naddress = \"192.0.2.9\"\n[[vip]]\naddress = \"192.0.2.10\"\nprefer = [\"test2\"]"
        ),
        "f.toml:5: vip[2].sync: moves together with the VIP on line 3, so it needs the same priorities, weight and failback"
    );
    assert_eq!(
        problems(
            "[[vip]]\naddress = \"192.0.2.9\"\nroutes = [\"default via fd00::1\"]\nrules = [\"from 192.0.2.9\"]"
        ),
        "f.toml:3: vip[1].routes: \"default via fd00::1\" fd00::1 is not of the VIP's address family\n\
         f.toml:4: vip[1].rules: \"from 192.0.2.9\" has no table"
    );
    assert_eq!(
        problems("[[vip]]\naddress = \"192.0.2.9 dev eth1\"\nmac = \"virtual\""),
        "f.toml:2: vip[1].address: contradiction: with mac = \"virtual\" every address is on the router's own interface"
    );
    assert_eq!(
        problems(
            "[proxy]\nmysql_listen = [\"192.0.2.1:6033\"]\n[[vip]]\naddress = \"192.0.2.9\"\nmac = \"virtual\"\nbalance = \"ipvs\""
        ),
        "f.toml:3: vip[1].balance: contradiction: the proxy listens on 192.0.2.1:6033, not on every address (0.0.0.0 or [::]), so what IPVS passes on is refused\n\
         f.toml:6: vip[1].balance: contradiction: IPVS leaves packets their MAC addresses; it needs mac = \"own\""
    );
    assert_eq!(
        problems("[vrrp]\naccept = false\n[[vip]]\naddress = \"192.0.2.9\"\nbalance = \"ipvs\""),
        "f.toml:2: vip[1].accept: contradiction: hosts that take nothing for the VIP have no connections to balance"
    );
    assert_eq!(
        problems("[[vip]]\naddress = \"192.0.2.9\"\naccept = \"no\""),
        "f.toml:3: vip[1].accept: expected true or false, found string"
    );
    assert_eq!(
        problems("[vrrp]\nweight = 200\n[[vip]]\naddress = \"192.0.2.9\""),
        "f.toml:3: vip[1].weight: priority 200 and weight 200 are more than 254 together"
    );
}

#[test]
fn two_of_a_kind() {
    assert_eq!(
        problems(
            "[[vip]]\naddress = \"192.0.2.9\"\n[[vip]]\nname = \"VI_1\"\naddress = \"192.0.2.9\"\nrouter_id = 51"
        ),
        "f.toml:3: vip[2].name: \"VI_1\" is already the VIP on line 1\n\
         f.toml:5: vip[2].address: 192.0.2.9 is already the VIP on line 1\n\
         f.toml:6: vip[2].router_id: router id 51 is already that of the VIP on line 1, on the same link"
    );
    assert_eq!(
        problems("[[mysql_users]]\nusername = \"a\"\n[[mysql_users]]\nusername = \"a\"\nbackend = 1"),
        "f.toml:3: mysql_users[2].username: the same row (username, backend) is already on line 1"
    );
    assert_eq!(
        problems("[[vip]]\naddress = \"192.0.2.2\""),
        "f.toml:2: vip[1].address: 192.0.2.2 is the address of host test2; a virtual address is nobody's own"
    );
}

#[test]
fn hosts_must_be_known() {
    assert_eq!(
        problems(
            "host = \"tset1\"\n[[vip]]\naddress = \"192.0.2.9\"\nprefer = [\"test2\", \"tst1\", \"test2\"]\n\
             [[vip]]\naddress = \"192.0.2.8\"\n[vip.priorities]\ntest1 = 7\ntest9 = 7"
        ),
        "f.toml:1: host: no host is named \"tset1\"; did you mean `test1`?\n\
         f.toml:4: vip[1].prefer: no host is named \"tst1\"; did you mean `test1`?\n\
         f.toml:4: vip[1].prefer: host \"test2\" is named twice\n\
         f.toml:7: vip[2].priorities.test2: missing; every host needs a priority on every VIP\n\
         f.toml:9: vip[2].priorities.test9: no host is named \"test9\"; did you mean `test1`?"
    );
    assert_eq!(
        File::parse("f.toml", "").expect_err("no hosts").to_string(),
        "f.toml: hosts: missing; list every host as [[hosts]] with its name and address"
    );
}

#[test]
fn secrets_stay_out_of_problems() {
    let text = problems(
        "[[vip]]\naddress = \"192.0.2.9\"\nversion = 2\nauth_pass = \"hunter2hunter2\"\n\
         [[mysql_users]]\nusername = 1\npassword = [\"hunter2\"]\n[admin_variables]\nadmin_credentials = [\"hunter2\"]",
    );
    assert_eq!(
        text,
        "f.toml:4: vip[1].auth_pass: has 14 bytes; expected 1 to 8\n\
         f.toml:6: mysql_users[1].username: 1 is out of range; expected a string\n\
         f.toml:7: mysql_users[1].password: found an array; expected a string\n\
         f.toml:9: admin_variables.admin_credentials: expected a string, a number or a flag, found an array"
    );
}

#[test]
fn broken_toml_and_unreadable_files() {
    let text = problems("[vrrp\nversion = 3");
    assert!(text.starts_with("f.toml:1: TOML: "), "{text}");
    let text = problems("[vrrp]\nversion = 3\nversion = 3");
    assert!(text.starts_with("f.toml:3: TOML: duplicate key"), "{text}");
    let missing = File::load("/nonexistent/standfast.toml").expect_err("no such file").to_string();
    assert_eq!(
        missing,
        "/nonexistent/standfast.toml: cannot read the file: No such file or directory (os error 2)"
    );
}

#[test]
fn checks_that_nobody_can_run() {
    assert_eq!(
        problems(
            "[[check]]\nname = \"disk\"\ncommand = [\"df\"]\n[[check]]\nname = \"x\"\n[vrrp]\nchecks = [\"dsk\"]\nnotify = \"n\"\nnotify_master = [\"m\", \"x\"]"
        ),
        "f.toml:1: check[1].command: begins with no whole path, \"/…\"\n\
         f.toml:4: check[2].command: missing\n\
         f.toml:7: vrrp.checks: no [[check]] is named \"dsk\"; did you mean `disk`?\n\
         f.toml:8: vrrp.notify: is no whole path, \"/…\"\n\
         f.toml:9: vrrp.notify_master: is no whole path, \"/…\""
    );
}
