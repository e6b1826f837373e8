//! What one host makes of a file: literal values, derived ones included.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::{Appliance, Failback, File, Identity, Listen, Transport, Value, VrrpVersion};

const THREE: &str = r#"
[[hosts]]
name = "test1"
address = "192.0.2.1"
[[hosts]]
name = "test2"
address = "192.0.2.2"
[[hosts]]
name = "test3"
address = "192.0.2.3"
"#;

fn as_host(text: &str, name: &str) -> Appliance {
    let file = File::parse("f.toml", &format!("{text}{THREE}")).expect("valid");
    file.appliance(Identity { name: Some(name), local: &[] }).expect("known host")
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("address")
}

#[test]
fn defaults_of_one_vip() {
    let seen = as_host("[[vip]]\naddress = \"192.0.2.88\"\nprefer = [\"test2\", \"test1\"]", "test1");
    assert_eq!(seen.host.name, "test1");
    assert_eq!(seen.peers.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["test2", "test3"]);
    let [router] = seen.routers.as_slice() else { panic!("one router") };
    assert_eq!((router.name.as_str(), router.vrid, router.priority, router.rank), ("VI_1", 51, 150, 1));
    assert_eq!((router.version, router.advert), (VrrpVersion::V3, Duration::from_millis(100)));
    assert_eq!(router.transport, Transport::Unicast(vec![ip("192.0.2.2"), ip("192.0.2.3")]));
    assert_eq!((router.failback, router.weight), (Failback::Never, 0));
    assert_eq!((router.vips[0].address, router.vips[0].prefix), (ip("192.0.2.88"), 32));
    assert_eq!(
        (seen.angel.grace, seen.angel.hang_timeout),
        (Duration::from_secs(1), Duration::from_millis(400))
    );
    assert_eq!(seen.proxy.mysql_listen, [Listen::Tcp(SocketAddr::from(([0, 0, 0, 0], 6033)))]);
    assert_eq!(seen.proxy.admin_listen, [Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 6032)))]);
    assert_eq!(seen.paths.angel_socket().to_str(), Some("/run/standfast/angel.sock"));
}

#[test]
fn ipv6_by_multicast_beside_ipv4_hosts_and_by_unicast_with_ipv6_ones() {
    let vip = "[[vip]]\naddress = [\"fe80::88\", \"2001:db8::88/64\"]";
    let seen = as_host(&format!("{vip}\ntransport = \"multicast\""), "test1");
    let vips: Vec<_> = seen.routers[0].vips.iter().map(|it| (it.address, it.prefix)).collect();
    assert_eq!(vips, [(ip("fe80::88"), 128), (ip("2001:db8::88"), 64)]);
    assert_eq!(seen.routers[0].transport, Transport::Multicast);

    let refused = File::parse("f.toml", &format!("{vip}{THREE}")).expect_err("unicast").to_string();
    assert_eq!(
        refused,
        "f.toml:2: vip[1].address: fe80::88 and host test1's address are of different families; that needs \
         transport = \"multicast\""
    );
    let hosts = THREE.replace("192.0.2.", "2001:db8::");
    let file = File::parse("f.toml", &format!("{vip}{hosts}")).expect("valid");
    let seen = file.appliance(Identity { name: None, local: &[ip("2001:db8::2")] }).expect("known host");
    let peers = vec![ip("2001:db8::1"), ip("2001:db8::3")];
    assert_eq!((seen.host.name.as_str(), &seen.routers[0].transport), ("test2", &Transport::Unicast(peers)));
}

#[test]
fn a_vip_may_be_on_another_interface() {
    let vip = "[[vip]]\naddress = [\"198.51.100.88/24 dev bond0.7\", \"192.0.2.88\"]";
    let vips = as_host(vip, "test1").routers.remove(0).vips;
    assert_eq!(
        (vips[0].address, vips[0].prefix, vips[0].interface.as_deref()),
        (ip("198.51.100.88"), 24, Some("bond0.7"))
    );
    assert_eq!(vips[1].interface, None);
    for wrong in ["192.0.2.88 dev eth 1", "192.0.2.88 dev interface-too-long", "192.0.2.88 dev "] {
        let refused = File::parse("f.toml", &format!("[[vip]]\naddress = \"{wrong}\"{THREE}"));
        assert!(refused.expect_err(wrong).to_string().starts_with("f.toml:2: vip[1].address: "), "{wrong}");
    }
}

#[test]
fn several_vips_go_home_after_half_a_minute() {
    let text = "[[vip]]\naddress = \"192.0.2.88\"\n[[vip]]\naddress = [\"192.0.2.89/24\", \"192.0.2.90\"]";
    let seen = as_host(text, "test3");
    let routers: Vec<_> =
        seen.routers.iter().map(|it| (it.vrid, it.priority, it.rank, it.vips.len())).collect();
    assert_eq!(routers, [(51, 100, 2, 1), (52, 100, 2, 2)]);
    assert_eq!(seen.routers[1].vips[0].prefix, 24);
    assert!(seen.routers.iter().all(|it| it.failback == Failback::AfterHealthy(Duration::from_secs(30))));
}

#[test]
fn a_vip_overrides_what_vrrp_says() {
    let text = r#"
[vrrp]
version = 2
transport = "multicast"
interface = "em1"
auth_pass = "secret"
failback = "after 1500ms healthy"
[[vip]]
address = "192.0.2.88"
[[vip]]
address = "192.0.2.89"
interface = "em2"
router_id = 51
advert_ms = 2000
failback = "at once"
priorities = { test1 = 99, test2 = 101, test3 = 100 }
"#;
    let seen = as_host(text, "test3");
    let [first, second] = seen.routers.as_slice() else { panic!("two routers") };
    assert_eq!((first.advert, first.interface.as_deref()), (Duration::from_secs(1), Some("em1")));
    assert_eq!(first.failback, Failback::AfterHealthy(Duration::from_millis(1500)));
    assert_eq!((second.advert, second.interface.as_deref()), (Duration::from_secs(2), Some("em2")));
    assert_eq!((second.vrid, second.priority, second.rank), (51, 100, 1));
    assert_eq!((second.failback, second.transport.clone()), (Failback::AtOnce, Transport::Multicast));
    assert_eq!(second.auth_pass.as_deref(), Some("secret"));
}

#[test]
fn a_host_knows_itself_by_its_addresses() {
    let file = File::parse("f.toml", THREE).expect("valid");
    let local = [ip("127.0.0.1"), ip("192.0.2.2")];
    let host = |local: &[IpAddr]| file.appliance(Identity { name: None, local }).map(|it| it.host.name);
    assert_eq!(host(&local).as_deref(), Ok("test2"));
    assert_eq!(
        host(&local[..1]).expect_err("none").to_string(),
        "f.toml: host: this machine has none of the hosts' addresses (test1 192.0.2.1, test2 192.0.2.2, \
         test3 192.0.2.3); use --host NAME"
    );
    assert_eq!(
        host(&[ip("192.0.2.1"), ip("192.0.2.3")]).expect_err("two").to_string(),
        "f.toml: host: this machine has the addresses of test1, test3; use --host NAME"
    );
    let unknown = file.appliance(Identity { name: Some("test"), local: &local }).expect_err("unknown");
    assert_eq!(unknown.to_string(), "f.toml: host: no host is named \"test\"; did you mean `test1`?");
}

#[test]
fn a_file_of_one_host_is_not_another_s() {
    let file = File::parse("f.toml", &format!("host = \"test2\"\n{THREE}")).expect("valid");
    let local = [ip("192.0.2.1")];
    let own = file.appliance(Identity { name: None, local: &local }).expect("by the file's word");
    assert_eq!(own.host.name, "test2");
    let other = file.appliance(Identity { name: Some("test1"), local: &local }).expect_err("another");
    assert_eq!(
        other.to_string(),
        "f.toml:1: host: contradiction: this is the file of test2, asked for as test1"
    );
}

#[test]
fn first_boot_rows_are_typed() {
    let text = r#"
[[mysql_servers]]
hostname = "192.0.2.50"
weight = 1_000_000_000
use_ssl = true
status = "ONLINE"
[mysql_variables]
multiplexing = false
max_connections = 0x10
[admin_variables]
admin_credentials = "admin:admin"
"#;
    let rows = as_host(text, "test1").first_boot;
    let server = &rows.tables["mysql_servers"][0];
    assert_eq!(server["weight"], Value::Integer(1_000_000_000));
    assert_eq!(server["use_ssl"], Value::Integer(1));
    assert_eq!(server["status"], Value::Text("ONLINE".into()));
    assert_eq!(rows.mysql_variables["multiplexing"], "false");
    assert_eq!(rows.mysql_variables["max_connections"], "16");
    assert_eq!(rows.admin_variables["admin_credentials"], "admin:admin");
}

#[test]
fn many_hosts_have_distinct_priorities() {
    let hosts: String =
        (1..=64).map(|n| format!("[[hosts]]\nname = \"h{n}\"\naddress = \"192.0.2.{n}\"\n")).collect();
    let text = format!("{hosts}[[vip]]\naddress = \"192.0.2.200\"");
    let file = File::parse("f.toml", &text).expect("valid");
    let router =
        |name| file.appliance(Identity { name: Some(name), local: &[] }).expect("host").routers.remove(0);
    assert_eq!((router("h1").priority, router("h2").priority, router("h64").priority), (200, 197, 11));
    assert_eq!(router("h64").rank, 63);
}

#[test]
fn checks_and_who_is_told() {
    let appliance = as_host(
        "[vrrp]\nchecks = [\"disk\"]\nnotify = \"/n\"\n[[check]]\nname = \"disk\"\ncommand = [\"/c\", \"x\"]\ninterval_ms = 500\nweight = 0\n\
         [[vip]]\naddress = \"192.0.2.88\"\n[[vip]]\naddress = \"192.0.2.89\"\nchecks = []\ntrack_interface = [\"eth1\"]\nnotify_fault = [\"/f\", \"x\"]",
        "test1",
    );
    let [first, second] = appliance.routers.as_slice() else { panic!("two routers") };
    assert_eq!((first.checks.len(), second.checks.len()), (1, 0), "an empty list is one, too");
    assert_eq!((first.next_in_line.as_deref(), second.track_interface.len()), (Some("test2"), 1));
    assert_eq!((first.notify.of("FAULT").len(), second.notify.of("FAULT").len()), (0, 2));
    assert!(second.notify.always.is_some() && second.notify.of("MASTER").is_empty());
    let check = &appliance.checks[0];
    assert_eq!((check.interval, check.timeout), (Duration::from_millis(500), Duration::from_millis(500)));
    assert_eq!((check.fall, check.rise, check.weight, check.user.as_str()), (2, 2, None, "nobody"));
}
