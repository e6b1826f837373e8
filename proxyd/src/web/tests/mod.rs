//! The renderers on a made-up host, and the server with real sockets.

mod http;
mod render;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use configs::Host;
use serde_json::json;

use super::control_side::{BackendFacts, CHECKS, CheckCount, Facts};
use super::report::Report;
use crate::digests::{DigestCounters, DigestRow, Identity};
use crate::errors::{ErrorKey, ErrorStats};
use crate::logfile::Counts;
use crate::runtime::Address;
use crate::snapshot::Status;
use crate::stats::{CommandStats, ServerKey, ServerStats, WorkerStats};
use crate::variables::Variables;

fn backend(hostgroup: u32, hostname: &str, status: Status, reason: &str) -> BackendFacts {
    BackendFacts {
        hostgroup,
        address: Address { hostname: hostname.into(), port: 3306 },
        status,
        reason: reason.into(),
        latency_us: 250,
    }
}

fn facts() -> Facts {
    let mut checks = [CheckCount::default(); CHECKS.len()];
    checks[1] = CheckCount { ok: 12, err: 3 };
    Facts {
        uptime: Duration::from_secs(61),
        generation: 7,
        workers: 2,
        paused: false,
        backends: vec![
            backend(500, "192.168.0.5", Status::Online, ""),
            backend(501, "192.168.0.5", Status::Online, ""),
            backend(501, "192.168.0.21", Status::Shunned, "ping: no answer"),
        ],
        checks,
        auth_memory: 4096,
        logs: Counts { written: 5, lost: 1 },
        variables: Variables::default(),
    }
}

fn stats() -> WorkerStats {
    let mut stats = WorkerStats::default();
    stats.global.questions = 1000;
    stats.global.client_connections_connected = 14;
    let key = ServerKey { hostgroup: 500, hostname: "192.168.0.5".into(), port: 3306 };
    stats.servers.insert(
        key,
        ServerStats { conn_used: 2, conn_free: 5, conn_ok: 9, queries: 700, ..Default::default() },
    );
    let mut select = CommandStats::default();
    select.record(70);
    select.record(3_000);
    select.record(90_000_000);
    stats.commands.insert("SELECT", select);
    stats.pins.insert("transaction", 3);
    stats
}

/// Two sites report the same code of the same server: one sample.
fn errors() -> HashMap<ErrorKey, ErrorStats> {
    let server = ServerKey { hostgroup: 500, hostname: "192.168.0.5".into(), port: 3306 };
    let key = |user: &str| ErrorKey {
        server: server.clone(),
        user: user.into(),
        client: "".into(),
        schema: "".into(),
        code: 1146,
    };
    let stats = ErrorStats { count: 2, first_seen: 1, last_seen: 2, last_error: "no such table".into() };
    [(key("a"), stats.clone()), (key("b"), stats)].into()
}

fn report() -> Report {
    Report {
        facts: facts(),
        stats: stats(),
        errors: errors(),
        angel: Ok(json!({
            "host": "test1", "verdict": "serving", "cause": "ready", "since_ms": 61_500, "restarts": 2,
            "last_ending": "killed",
        })),
        vrrpd: Ok(json!({
            "host": "test1", "verdict": "serving",
            "routers": [
                { "name": "VI_01", "vrid": 51, "vips": ["192.168.0.88"], "state": "MASTER", "priority": 200,
                  "since_ms": 850, "cause": "master-down", "master": "test1", "peers": [],
                  "changes": [{ "state": "MASTER", "cause": "master-down", "count": 1 }],
                  "transitions": [{ "at_ms": 1_700_000_000_000_u64, "prev": "BACKUP", "next": "MASTER",
                                    "cause": "master-down", "priority": 200 }] },
                { "name": "VI_02", "vrid": 52, "vips": ["192.168.0.89"], "state": "BACKUP", "priority": 100,
                  "since_ms": 18_000, "cause": "startup", "master": "test2",
                  "peers": [{ "name": "test2", "priority": 210, "heard_ms": 40 }, { "name": "test3", "heard_ms": null }] },
            ],
            "counters": { "advert_sent": 42, "not a name": 1 },
        })),
        hosts: [("test1", 11), ("test2", 12), ("test3", 235)]
            .map(|(name, last)| Host { name: name.into(), address: [192, 168, 0, last].into() })
            .to_vec(),
        descriptors: 33,
    }
}

fn digest(text: &str, sum_time: u64) -> DigestRow {
    DigestRow {
        identity: Arc::new(Identity {
            hostgroup: 500,
            schema: "shop".into(),
            user: "app".into(),
            client: "".into(),
            digest: 0xabc,
            text: text.into(),
        }),
        counters: DigestCounters { count: 2, sum_time, max_time: sum_time, ..Default::default() },
    }
}
