//! Whole screens, letter by letter.

use serde_json::json;

use super::Answers;
use super::screen::render;

#[test]
fn all_three_answer() {
    let answers = Answers {
        angel: Ok(json!({
            "host": "test1", "verdict": "serving", "cause": "ready", "since_ms": 192_000, "restarts": 1,
            "last_ending": "killed", "proxy": { "pid": 812 },
            "workers": [{ "state": "ready", "sessions": 10 }, { "state": "starting", "sessions": 4 }],
        })),
        vrrpd: Ok(json!({
            "host": "test1", "verdict": "serving",
            "routers": [
                { "name": "VI_01", "vrid": 51, "vips": ["192.168.0.88"], "state": "MASTER", "priority": 200,
                  "since_ms": 850, "cause": "master_down", "master": "test1" },
                { "name": "VI_02", "vrid": 52, "vips": ["192.168.0.89"], "state": "BACKUP", "priority": 100,
                  "since_ms": 18_120_000, "cause": "startup", "master": null },
            ],
            "counters": {},
        })),
        proxyd: Ok(json!({
            "version": "0.1.0", "uptime_ms": 12_000, "sessions": 14,
            "backends": [
                { "hostgroup": 500, "server": "192.168.0.5:3306", "status": "ONLINE", "used": 1, "free": 12,
                  "queries": 123_456, "latency_us": 502 },
                { "hostgroup": 501, "server": "192.168.0.21:3306", "status": "SHUNNED", "used": 0, "free": 0,
                  "queries": 7, "latency_us": null },
            ],
        })),
    };
    assert_eq!(
        render(&answers),
        "\
host    test1
angel   serving for 3m12s (ready), proxy pid 812, 1 of 2 workers ready, 14 sessions, 1 restarts, last ending killed
vrrpd   MASTER of 1 of 2 VIPs, hears that the proxy is serving
proxyd  version 0.1.0, up 12s, 14 sessions, 1 of 2 backends ONLINE

  VIP    ADDRESS       ROUTER  STATE   PRIORITY  SINCE  MASTER  CAUSE
  VI_01  192.168.0.88      51  MASTER       200  850ms  test1   master_down
  VI_02  192.168.0.89      52  BACKUP       100  5h02m  -       startup

  HOSTGROUP  BACKEND            STATUS   USED  FREE  QUERIES  LATENCY us
        500  192.168.0.5:3306   ONLINE      1    12   123456         502
        501  192.168.0.21:3306  SHUNNED     0     0        7           -
"
    );
}

#[test]
fn addresses_that_take_no_packets_have_a_line() {
    let absent = || Err("not running".to_owned());
    let screen = |acceptance| {
        let vrrpd = Ok(json!({ "routers": [], "acceptance": acceptance }));
        render(&Answers { angel: absent(), vrrpd, proxyd: absent() })
    };
    let all = json!({ "refused": ["192.0.2.88", "fd00::88"], "error": null });
    assert!(screen(all).ends_with("\npackets to 192.0.2.88, fd00::88 are dropped (accept = false)\n"));
    let failed = json!({ "refused": ["192.0.2.88"], "error": "no nftables" });
    let line = "\npackets to 192.0.2.88 should be dropped (accept = false): no nftables\n";
    assert!(screen(failed).ends_with(line));
    assert!(!screen(json!({ "refused": [], "error": null })).contains("accept"));
}

#[test]
fn nobody_answers() {
    let absent = || Err("not running (no /run/standfast/x.sock)".to_owned());
    assert_eq!(
        render(&Answers { angel: absent(), vrrpd: absent(), proxyd: absent() }),
        "\
angel   not running (no /run/standfast/x.sock)
vrrpd   not running (no /run/standfast/x.sock)
proxyd  not running (no /run/standfast/x.sock)
"
    );
}

#[test]
fn other_shapes_and_letters_that_steer_terminals() {
    let answers = Answers {
        angel: Ok(
            json!({ "verdict": "serving", "proxy": { "pid": 7, "crashes": 2, "workers": [{ "ready": true }] } }),
        ),
        vrrpd: Ok(json!([1, 2])),
        proxyd: Ok(json!({ "version": "\u{1b}[2J", "backends": [3] })),
    };
    assert_eq!(
        render(&answers),
        "\
angel   serving, proxy pid 7, 1 of 1 workers ready, 0 sessions, 2 crashes
vrrpd   MASTER of 0 of 0 VIPs
proxyd  version ?[2J, - sessions, 0 of 1 backends ONLINE

  VIP  ADDRESS  ROUTER  STATE  PRIORITY  SINCE  MASTER  CAUSE

  HOSTGROUP  BACKEND  STATUS  USED  FREE  QUERIES  LATENCY us
          -        -       -     -     -        -           -
"
    );
}
