//! The published article's file, and everything that has no counterpart.

use std::net::IpAddr;

use configs::{File, Identity, VrrpVersion};

use super::*;

/// As printed, but for the priority that the reader is to work out.
const ARTICLE: &str = r#"
global_defs {
  # Keepalived process identifier
  lvs_id proxy_HA
}
# Script used to check if Proxy is running
vrrp_script check_proxy {
  script "killall -0 proxysql"
  interval 2
  weight 3
}
# Virtual interface
vrrp_instance VI_01 {
  state MASTER
  interface em1
  virtual_router_id 51
  priority 102

  # The virtual ip address shared between the two loadbalancers
  virtual_ipaddress {
    192.168.0.88 dev em1
  }
  track_script {
    check_proxy
  }
}
"#;

fn around(hosts: &[(&str, &str)], interfaces: &[(&str, &str)]) -> Surroundings {
    let pair = |(name, address): &(&str, &str)| -> (String, IpAddr) {
        ((*name).to_owned(), address.parse().expect("address"))
    };
    Surroundings {
        hosts: hosts.iter().map(pair).collect(),
        hostname: "box".into(),
        interfaces: interfaces.iter().map(pair).collect(),
    }
}

const HOSTS: [(&str, &str); 3] =
    [("test1", "192.168.0.11"), ("test2", "192.168.0.12"), ("test3", "192.168.0.235")];

fn appliance(text: &str, name: &str) -> configs::Appliance {
    let file = File::parse("new.toml", text).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
    file.appliance(Identity { name: Some(name), local: &[] }).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn the_article_s_file_keeps_its_numbers() {
    let around = around(&HOSTS, &[("em1", "192.168.0.12")]);
    let (text, report) = translate("k.conf", ARTICLE, &around).expect("translated");
    let appliance = appliance(&text, "test2");
    let router = &appliance.routers[0];
    assert_eq!((router.vrid, router.priority, router.version), (51, 102, VrrpVersion::V2));
    assert_eq!((router.advert.as_millis(), router.weight), (1000, 3));
    assert_eq!(router.failback, configs::Failback::AtOnce);
    assert_eq!(router.vips[0].address.to_string(), "192.168.0.88");
    assert!(text.contains("host = \"test2\"\n"), "{text}");
    assert!(text.contains("interface = \"em1\"\n"), "{text}");
    let report = report.to_string();
    assert!(report.contains("k.conf:7: vrrp_script: replaced by the proxy's own liveness"), "{report}");
    assert!(report.contains("k.conf:14: state: dropped: every host starts as BACKUP"), "{report}");
    assert!(!report.contains("Not taken"), "{report}");
}

#[test]
fn a_priority_that_is_none_and_an_interface_that_is_gone() {
    let text = ARTICLE.replace("priority 102", "priority <calculate on the WEIGHT for each node>");
    let around = around(&HOSTS, &[("eth0", "192.168.0.11")]);
    let (text, report) = translate("k.conf", &text, &around).expect("translated");
    assert_eq!(appliance(&text, "test1").routers[0].priority, 100);
    assert!(!text.contains("interface"), "{text}");
    let report = report.to_string();
    assert!(report.contains("k.conf:17: priority: is no number"), "{report}");
    assert!(report.contains("there is no em1 here"), "{report}");
}

#[test]
fn unicast_peers_are_the_hosts() {
    let text = "vrrp_instance A {\n interface eth0\n virtual_router_id 7\n advert_int 0.5\n version 3\n nopreempt\n notify /bin/told\n track_interface {\n  eth0\n  eth1 weight 5\n }\n\
        unicast_src_ip 10.0.0.1\n unicast_peer {\n  10.0.0.2\n  10.0.0.3\n }\n\
        virtual_ipaddress {\n  10.0.0.9/24\n  10.0.0.10/24 dev eth1 label eth1:vip\n }\n}\n";
    let (text, report) = translate("k.conf", text, &around(&[], &[])).expect("translated");
    let appliance = appliance(&text, "box");
    let router = &appliance.routers[0];
    assert_eq!((router.advert.as_millis(), router.version), (500, VrrpVersion::V3));
    assert_eq!(router.failback, configs::Failback::Never);
    assert_eq!(router.vips.len(), 2);
    assert!(text.contains("notify = \"/bin/told\"\n"), "{text}");
    assert!(text.contains("track_interface = [\"eth1\"]\n"), "{text}");
    assert!(text.contains("name = \"host-10-0-0-3\"\naddress = \"10.0.0.3\""), "{text}");
    assert!(report.to_string().contains("10.0.0.10/24: without its label"), "{report}");
}

#[test]
fn what_has_no_counterpart_is_told_with_its_line_and_no_secret() {
    let text = "vrrp_script disk {\n script /bin/df\n}\nvrrp_instance A {\n interface eth0\n virtual_router_id 7\n\
        priority 253\n advert_int 0.3\n authentication {\n  auth_type PASS\n  auth_pass sesame-open\n }\n\
        virtual_ipaddress {\n  10.0.0.9\n }\n track_script {\n  disk\n  nobody\n  live weight 5\n }\n\
        notify_master /bin/page\n use_vmac\n no_accept\n frobnicate 1\n preempt_delay 30\n}\nvrrp_script live {\n script \"pidof proxysql\"\n}\n\
        virtual_server 10.0.0.1 80 {\n}\ninclude /etc/more\nvrrp_sync_group G {\n group {\n  A\n  B\n }\n}\n";
    let (text, report) = translate("k", text, &around(&[("a", "10.0.0.1")], &[])).expect("translated");
    let router = &appliance(&text, "a").routers[0];
    assert_eq!((router.priority, router.weight, router.advert.as_millis()), (253, 1, 1000));
    assert_eq!((router.sync.as_deref(), router.mac), (Some("G"), configs::MacAddress::Virtual));
    assert!(!router.accept);
    assert_eq!(router.auth_pass.as_deref(), Some("sesame-o"));
    let report = report.to_string();
    let expected = [
        "k:1: vrrp_script: a [[check]]",
        "k:8: advert_int: 1000 ms",
        "k:11: auth_pass: its first 8 bytes",
        "k:18: nobody: there is no script",
        "k:23: no_accept: `accept = false`",
        "k:24: frobnicate: not known here",
        "k:30: virtual_server: LVS",
        "k:32: include: the included file is not read",
        "k:33: vrrp_sync_group: `sync` of its instances",
        "k:36: B: there is no vrrp_instance",
        "k:4: weight 1 instead of 5: the sum ends at 254",
    ];
    for line in expected {
        assert!(report.contains(line), "no {line:?} in\n{report}");
    }
    assert!(!report.contains("sesame"), "{report}");
    assert!(text.contains("failback = \"after 30000ms healthy\""), "{text}");
}

#[test]
fn a_strict_file_is_taken_as_keepalived_takes_it_but_for_what_it_drops() {
    let text = "global_defs {\n vrrp_strict\n}\nvrrp_instance A {\n interface eth0\n virtual_router_id 7\n preempt_delay 30\n\
        authentication {\n  auth_type PASS\n  auth_pass sesame\n }\n virtual_ipaddress {\n  10.0.0.9\n }\n}\n\
        vrrp_instance B {\n strict_mode off\n interface eth0\n virtual_router_id 8\n preempt_delay 30\n\
        authentication {\n  auth_type PASS\n  auth_pass sesame\n }\n virtual_ipaddress {\n  10.0.0.10\n }\n}\n\
        vrrp_instance C {\n version 3\n accept\n interface eth0\n virtual_router_id 9\n virtual_ipaddress {\n  10.0.0.11\n }\n}\n";
    let (text, report) = translate("k", text, &around(&[("a", "10.0.0.1")], &[])).expect("translated");
    let routers = appliance(&text, "a").routers;
    assert_eq!((routers[0].auth_pass.as_deref(), routers[0].failback), (None, configs::Failback::AtOnce));
    assert_eq!(routers[1].auth_pass.as_deref(), Some("sesame"));
    assert!(
        routers[0].accept
            && routers[1].accept
            && matches!(routers[1].failback, configs::Failback::AfterHealthy(_))
    );
    let report = report.to_string();
    for line in [
        "k:4: vrrp_instance: a strict keepalived drops packets to these VIPs",
        "k:7: preempt_delay: dropped",
        "k:8: authentication: dropped",
    ] {
        assert!(report.contains(line), "no {line:?} in\n{report}");
    }
    assert_eq!(
        report.matches("strict").count(),
        3,
        "nothing of B, which is not, and of C, which accepts\n{report}"
    );
}

#[test]
fn what_is_tracked_becomes_checks_and_programs_keep_their_words() {
    let text = "vrrp_script disk {\n script \"/bin/df -h\"\n interval 5\n timeout 2\n fall 3\n weight -20\n user nobody\n}\n\
        vrrp_script piped {\n script \"/bin/a | /bin/b\"\n}\nvrrp_track_process ssh {\n process sshd\n}\n\
        vrrp_track_file flag {\n file /run/flag\n}\nvrrp_track_file scale {\n file /run/scale\n weight 2\n}\n\
        vrrp_instance A {\n interface eth0\n virtual_router_id 7\n priority 255\n nopreempt\n virtual_ipaddress {\n  10.0.0.9\n }\n\
        track_script {\n  disk\n  disk weight 30\n  piped\n }\n track_process {\n  ssh\n }\n track_file {\n  flag\n  scale\n }\n\
        virtual_routes {\n  10.1.0.0/16 via 10.0.0.2 dev eth0\n  10.2.0.0/16 mtu 9000\n }\n virtual_rules {\n  from 10.0.0.9 table 100\n }\n\
        notify_master \"/bin/page -m on\" root\n notify_fault page\n}\n";
    let (text, report) = translate("k", text, &around(&[("a", "10.0.0.1")], &[])).expect("translated");
    let appliance = appliance(&text, "a");
    let router = &appliance.routers[0];
    assert_eq!((router.priority, router.failback), (255, configs::Failback::AtOnce));
    assert_eq!(router.checks, ["disk", "disk weight 30", "piped", "ssh", "flag"]);
    assert_eq!(router.notify.master, ["/bin/page", "-m", "on"]);
    assert_eq!((router.routes.len(), router.rules.len()), (1, 1));
    let weights: Vec<_> = appliance.checks.iter().map(|it| (it.weight, it.fall, it.command.len())).collect();
    assert_eq!(weights, [(Some(-20), 3, 2), (Some(30), 3, 2), (None, 1, 3), (None, 1, 3), (None, 1, 5)]);
    let disk = &appliance.checks[0];
    assert_eq!((disk.interval.as_secs(), disk.timeout.as_secs()), (5, 2));
    let report = report.to_string();
    for line in [
        "vrrp_track_file: its number is multiplied",
        "notify_fault: begins with no whole path",
        "255 preempts always",
        "10.2.0.0/16: has \"mtu\"",
    ] {
        assert!(report.contains(line), "no {line:?} in\n{report}");
    }
}

#[test]
fn files_that_cannot_be_used() {
    let none = around(&[], &[]);
    assert_eq!(
        translate("k", "global_defs {\n}\n", &none).unwrap_err(),
        "k: there is no vrrp_instance in it"
    );
    assert_eq!(translate("k", "a {\n", &none).unwrap_err(), "k:1: the { of this line is never closed");
    let why = translate("k", ARTICLE, &none).unwrap_err();
    assert!(why.starts_with("k: which host is this?"), "{why}");
}
