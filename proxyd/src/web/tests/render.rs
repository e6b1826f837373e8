//! Whole answers, and a strict reader of the text format.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::super::control_side::Notes;
use super::super::journal::Event;
use super::super::{health, metrics, status};
use super::*;

/// Reads the text format as its specification has it; a family's samples must be together, and each only once.
fn read(text: &str) -> BTreeMap<String, String> {
    let mut samples = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let (mut family, mut kind) = (String::new(), "");
    assert!(text.ends_with('\n'));
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, words) = help.split_once(' ').expect("a help text");
            assert!(!words.trim().is_empty(), "{line}");
            assert!(seen.insert(name.to_owned()), "{name} twice");
            let head = lines.next().and_then(|line| line.strip_prefix("# TYPE ")).expect("a type");
            let (typed, word) = head.split_once(' ').expect("a kind");
            assert_eq!(typed, name);
            assert!(["counter", "gauge", "histogram"].contains(&word), "{head}");
            (family, kind) = (name.to_owned(), word);
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect("a value");
        let name = series.split('{').next().expect("a name");
        let suffixes: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        assert!(suffixes.iter().any(|suffix| name == format!("{family}{suffix}")), "{line} in {family}");
        assert!(value.parse::<f64>().is_ok(), "{line}");
        assert!(samples.insert(series.to_owned(), value.to_owned()).is_none(), "{series} twice");
    }
    samples
}

#[test]
fn metrics_of_a_host() {
    let samples = read(&metrics::render(&report()));
    let has = |series: &str, value: &str| {
        assert_eq!(samples.get(series).map(String::as_str), Some(value), "{series}");
    };
    has("proxysql_questions_total", "1000");
    has("proxysql_uptime_seconds_total", "61");
    has("proxysql_connpool_conns{endpoint=\"192.168.0.5:3306\",hostgroup=\"500\",status=\"used\"}", "2");
    has("proxysql_connpool_conns_status{endpoint=\"192.168.0.21:3306\",hostgroup=\"501\"}", "2");
    has("proxysql_connpool_conns_queries_total{endpoint=\"192.168.0.5:3306\",hostgroup=\"501\"}", "0");
    has(
        "proxysql_mysql_error_total{hostgroup=\"500\",address=\"192.168.0.5\",port=\"3306\",code=\"1146\"}",
        "4",
    );
    has("proxysql_mysql_monitor_ping_check_total{status=\"err\"}", "3");
    has("proxysql_mysql_monitor_ping_interval", "8");
    has("standfast_log_lines_total{status=\"lost\"}", "1");
    has("standfast_pinned_sessions{reason=\"transaction\"}", "3");
    has("standfast_backends{hostgroup=\"501\",state=\"offline\"}", "1");
    has("standfast_command_duration_seconds_bucket{command=\"SELECT\",le=\"0.0001\"}", "1");
    has("standfast_command_duration_seconds_bucket{command=\"SELECT\",le=\"10\"}", "2");
    has("standfast_command_duration_seconds_bucket{command=\"SELECT\",le=\"+Inf\"}", "3");
    has("standfast_command_duration_seconds_sum{command=\"SELECT\"}", "90.00307");
    has("standfast_liveness{verdict=\"serving\"}", "1");
    has("standfast_liveness{verdict=\"down\"}", "0");
    has("standfast_angel_restarts_total", "2");
    has("standfast_vrrp_state{router=\"VI_01\",vrid=\"51\",state=\"MASTER\"}", "1");
    has("standfast_vip_held{router=\"VI_02\",vip=\"192.168.0.89\"}", "0");
    has("standfast_vrrp_changes_total{router=\"VI_01\",state=\"MASTER\",cause=\"master-down\"}", "1");
    has("standfast_vrrp_advert_age_seconds{router=\"VI_02\",host=\"test2\"}", "0.04");
    has("standfast_vrrp_advert_sent_total", "42");
    assert!(!samples.keys().any(|series| series.contains("not a name")));
}

#[test]
fn a_daemon_that_is_not_there_has_no_numbers() {
    let mut report = report();
    (report.angel, report.vrrpd) = (Err("not running".into()), Ok(json!([1, 2])));
    let samples = read(&metrics::render(&report));
    assert_eq!(samples["standfast_angel_up"], "0");
    assert!(!samples.keys().any(|series| series.starts_with("standfast_liveness")));
    assert!(!samples.keys().any(|series| series.starts_with("standfast_vrrp_state{")));
}

#[test]
fn every_family_is_documented() {
    let documented = include_str!("../../../../docs/metrics.md");
    for line in metrics::render(&report()).lines() {
        let Some(name) = line.strip_prefix("# TYPE ").and_then(|head| head.split(' ').next()) else {
            continue;
        };
        if !name.starts_with("standfast_vrrp_advert_sent") {
            assert!(documented.contains(&format!("`{name}`")), "docs/metrics.md does not have {name}");
        }
    }
}

#[test]
fn health_is_what_a_client_would_find() {
    let (code, body) = health::render(Some(&report()));
    assert_eq!((code, &body["verdict"]), (200, &json!("serving")));
    assert_eq!(body["hostgroups"]["501"], json!({ "online": 1, "offline": 1 }));
    assert_eq!(body["vips"][1]["owner"], "test2");
    let verdict = |change: &dyn Fn(&mut Report)| {
        let mut report = report();
        change(&mut report);
        let (code, body) = health::render(Some(&report));
        (code, body["verdict"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(verdict(&|it| it.facts.backends.clear()), (503, "degraded".into()));
    assert_eq!(verdict(&|it| it.facts.paused = true), (503, "draining".into()));
    assert_eq!(verdict(&|it| it.angel = Err("not running".into())), (200, "serving".into()));
    assert_eq!(verdict(&|it| it.angel = Ok(json!({ "verdict": "draining" }))), (503, "draining".into()));
    assert_eq!(health::render(None).0, 503);
}

#[test]
fn the_page_gets_hosts_owners_digests_and_events() {
    let notes = Notes {
        events: vec![Event { at_ms: 1_700_000_000_500, text: "a server came".into() }],
        unsaved: vec!["MYSQL USERS"],
    };
    let explained = [json!({ "router": "VI_01", "because": "no master was heard in time", "moves": ["x"] })];
    let digests = status::top(vec![digest("SELECT 1", 5), digest("<script>alert(1)</script>", 9)]);
    let page = status::render(&report(), &notes, &digests, &explained);
    assert_eq!((&page["host"], &page["verdict"]), (&json!("test1"), &json!("serving")));
    assert_eq!(page["hosts"][0]["vips"], json!(["192.168.0.88"]));
    assert_eq!(page["hosts"][1]["sends"][0]["ago_ms"], 40);
    assert_eq!(page["hosts"][2]["sends"], json!([]));
    assert_eq!(page["vips"][0]["because"], "no master was heard in time");
    assert_eq!(page["digests"][0]["text"], "<script>alert(1)</script>");
    let events: Vec<_> = page["events"].as_array().expect("events").iter().map(|it| &it["text"]).collect();
    assert_eq!(events, ["a server came", "VI_01: BACKUP to MASTER (master-down)"]);
    assert_eq!(page["unsaved"], json!(["MYSQL USERS"]));
    assert_eq!(page["hostgroups"][1]["servers"][1]["reason"], "ping: no answer");
}

#[test]
fn a_page_without_vrrpd_says_so() {
    let mut report = report();
    report.vrrpd = Err("not running".into());
    let page = status::render(&report, &Notes::default(), &[], &[]);
    assert_eq!(page["vrrpd"], json!({ "up": false, "why": "not running" }));
    assert_eq!(page["hosts"][2]["sends"], json!([]));
    assert_eq!(page["vips"], json!([]));
}
