//! Faults that only show when the hosts' files lie side by side.

use crate::{File, check_together};

fn file(name: &str, text: &str) -> File {
    let hosts = "[[hosts]]\nname = \"test1\"\naddress = \"192.0.2.1\"\n[[hosts]]\nname = \"test2\"\naddress = \"192.0.2.2\"\n";
    File::parse(name, &format!("{text}\n{hosts}")).unwrap_or_else(|problems| panic!("{problems}"))
}

fn problems(one: &str, two: &str) -> String {
    check_together(&[file("1.toml", one), file("2.toml", two)]).expect_err("must be refused").to_string()
}

const ONE: &str = "host = \"test1\"\n[[vip]]\naddress = \"192.0.2.88\"\npriority = 100";

#[test]
fn the_same_priority_on_two_hosts() {
    assert_eq!(
        problems(ONE, "host = \"test2\"\n[[vip]]\naddress = \"192.0.2.88\"\npriority = 100"),
        "2.toml:4: vip.priority: hosts test1 and test2 have the same priority 100 on VIP 192.0.2.88/32"
    );
}

#[test]
fn the_same_host_twice() {
    assert_eq!(problems(ONE, ONE), "2.toml:1: host: host test1 already has the file 1.toml");
}

#[test]
fn other_vips_and_a_router_id_of_another() {
    assert_eq!(
        problems(ONE, "host = \"test2\"\n[[vip]]\naddress = \"192.0.2.89\"\npriority = 99"),
        "2.toml: vip: VIP 192.0.2.88/32 of 1.toml is missing\n\
         2.toml:2: vip: VIP 192.0.2.89/32 is not in 1.toml\n\
         2.toml:2: vip.router_id: router id 51 is that of VIP 192.0.2.88/32 in 1.toml"
    );
}

#[test]
fn routers_that_do_not_understand_each_other() {
    assert_eq!(
        problems(
            ONE,
            "host = \"test2\"\n[vrrp]\nversion = 2\ntransport = \"multicast\"\nweight = 2\nauth_pass = \"x\"\n\
             [[vip]]\naddress = \"192.0.2.88\"\npriority = 99\nrouter_id = 7"
        ),
        "2.toml:7: vip.version: VIP 192.0.2.88/32 has VRRP version 2 here, but VRRP version 3 in 1.toml\n\
         2.toml:7: vip.advert_ms: VIP 192.0.2.88/32 has adverts every 1000 ms here, but adverts every 100 ms in \
         1.toml\n\
         2.toml:7: vip.transport: VIP 192.0.2.88/32 has multicast here, but unicast in 1.toml\n\
         2.toml:7: vip.weight: VIP 192.0.2.88/32 has weight 2 here, but weight 0 in 1.toml\n\
         2.toml:7: vip.auth_pass: VIP 192.0.2.88/32 has another password in 1.toml\n\
         2.toml:10: vip.router_id: VIP 192.0.2.88/32 has router id 7 here, but router id 51 in 1.toml"
    );
}

#[test]
fn hosts_defined_differently() {
    let other = "host = \"test2\"\n[[vip]]\naddress = \"192.0.2.88\"\npriority = 99\n\
        [[hosts]]\nname = \"test1\"\naddress = \"192.0.2.7\"\n[[hosts]]\nname = \"test2\"\naddress = \"192.0.2.2\"\n\
        [[hosts]]\nname = \"test4\"\naddress = \"192.0.2.4\"\n";
    let other = File::parse("2.toml", other).expect("valid");
    assert_eq!(
        check_together(&[file("1.toml", ONE), other]).expect_err("differs").to_string(),
        "2.toml:7: hosts: host test1 is 192.0.2.7 here, but 192.0.2.1 in 1.toml\n\
         2.toml:12: hosts: host test4 is not in 1.toml"
    );
}

#[test]
fn orders_of_preference_that_differ() {
    assert_eq!(
        problems(
            "[[vip]]\naddress = \"192.0.2.88\"\nprefer = [\"test1\"]",
            "[[vip]]\naddress = \"192.0.2.88\"\nprefer = [\"test2\"]"
        ),
        "2.toml:1: vip.priority: host test1 has priority 150 on VIP 192.0.2.88/32 here, but 200 in 1.toml\n\
         2.toml:3: vip.priority: host test2 has priority 200 on VIP 192.0.2.88/32 here, but 150 in 1.toml"
    );
}

#[test]
fn one_host_s_priorities_without_its_name() {
    let alone = file("1.toml", "[[vip]]\naddress = \"192.0.2.88\"\npriority = 100");
    let other = file("2.toml", "host = \"test2\"\n[[vip]]\naddress = \"192.0.2.88\"\npriority = 99");
    // By itself it is right: a host also knows itself by its address.
    assert!(check_together(std::slice::from_ref(&alone)).is_ok());
    assert_eq!(
        check_together(&[alone, other]).expect_err("whose").to_string(),
        "1.toml:3: vip.priority: is for one host only; say which with `host = \"NAME\"` at the top of the file"
    );
}
