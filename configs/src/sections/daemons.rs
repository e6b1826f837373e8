//! `[angel]`, `[proxy]` and `[paths]`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use crate::appliance::{Angel, Paths, Proxy};
use crate::listen::Listen;
use crate::reader::{Located, Section};

impl Default for Angel {
    fn default() -> Angel {
        Angel {
            grace: Duration::from_secs(1),
            hang_timeout: Duration::from_millis(400),
            crash_limit: 2,
            crash_window: Duration::from_secs(30),
            max_backoff: Duration::from_secs(5),
            recovery: Duration::from_secs(10),
            drain: Duration::from_secs(10),
        }
    }
}

pub(super) fn angel(section: Section<'_>) -> Angel {
    let default = Angel::default();
    let ms = |key, low, default| duration(&section, key, low, 60_000, "ms", Duration::from_millis, default);
    let seconds = |key, low, default| duration(&section, key, low, 3_600, "s", Duration::from_secs, default);
    let angel = Angel {
        // `grace_ms`: a proxy that is back within this time never moves a VIP.
        grace: ms("grace_ms", 0, default.grace),
        // `hang_ms`: a worker without a heartbeat for so long is hung and the proxy is restarted.
        hang_timeout: ms("hang_ms", 50, default.hang_timeout),
        // `crash_limit`, `crash_window_s`: so many crashes in so many seconds are a crash loop; the VIPs move.
        crash_limit: section
            .integer("crash_limit", 1..=100, "crashes")
            .and_then(|it| u32::try_from(it.value).ok())
            .unwrap_or(default.crash_limit),
        crash_window: seconds("crash_window_s", 1, default.crash_window),
        // `max_backoff_s`: the longest pause between two restarts of a crash loop.
        max_backoff: seconds("max_backoff_s", 1, default.max_backoff),
        // `recovery_s`: after a crash loop, so long without a crash before VIPs may come back.
        recovery: seconds("recovery_s", 0, default.recovery),
        // `drain_s`: on stop and `standfast drain`, sessions inside a transaction may finish for so long.
        drain: seconds("drain_s", 0, default.drain),
    };
    section.finish();
    angel
}

fn duration(
    section: &Section<'_>,
    key: &'static str,
    low: i64,
    high: i64,
    unit: &str,
    make: fn(u64) -> Duration,
    default: Duration,
) -> Duration {
    let value = section.integer(key, low..=high, unit);
    value.and_then(|it| u64::try_from(it.value).ok()).map_or(default, make)
}

impl Default for Proxy {
    fn default() -> Proxy {
        Proxy {
            workers: thread::available_parallelism().map_or(1, usize::from).min(MOST_WORKERS),
            mysql_listen: vec![Listen::Tcp(SocketAddr::from(([0, 0, 0, 0], 6033)))],
            admin_listen: vec![Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 6032)))],
            packet_memory: 1 << 30,
        }
    }
}

const MOST_WORKERS: usize = 256;

pub(super) fn proxy(section: Section<'_>) -> Proxy {
    let default = Proxy::default();
    // `workers`: threads that serve clients; one for each core by default.
    let workers = section.integer("workers", 1..=MOST_WORKERS as i64, "threads");
    // `mysql_listen`: where applications connect, "address:port" or the path of a Unix socket. All addresses, so that a VIP works
    // when it arrives.
    let mysql = listen(&section, "mysql_listen");
    // `admin_listen`: the admin interface, in the same way.
    let admin = listen(&section, "admin_listen");
    // `packet_memory_mb`: clients with long packets are not read from while those of others take so much.
    let memory = section.integer("packet_memory_mb", 1..=1 << 20, "MiB");
    if mysql.as_ref().is_some_and(Vec::is_empty) {
        section.problem(None, "mysql_listen", "is empty; clients need at least one address");
    }
    let places = |list: Option<Vec<Located<Listen>>>, default: Vec<Listen>| {
        list.unwrap_or_else(|| default.into_iter().map(|value| Located { value, line: 0 }).collect())
    };
    let mysql = places(mysql, default.mysql_listen);
    let admin = places(admin, default.admin_listen);
    apart(&section, &mysql, &admin);
    section.finish();
    let plain = |list: Vec<Located<Listen>>| list.into_iter().map(|it| it.value).collect();
    Proxy {
        workers: workers.and_then(|it| usize::try_from(it.value).ok()).unwrap_or(default.workers),
        mysql_listen: plain(mysql),
        admin_listen: plain(admin),
        packet_memory: memory
            .and_then(|it| usize::try_from(it.value).ok())
            .map_or(default.packet_memory, |megabytes| megabytes << 20),
    }
}

fn listen(section: &Section<'_>, key: &'static str) -> Option<Vec<Located<Listen>>> {
    let texts = section.texts(key)?;
    let mut places = Vec::new();
    for &Located { value: text, line } in &texts {
        match text.parse() {
            Ok(value) => places.push(Located { value, line }),
            Err(error) => section.problem(Some(line), key, format!("{text:?} {error}")),
        }
    }
    // An empty list that was written is a decision; one that is left of wrong entries is not.
    (places.len() == texts.len()).then_some(places)
}

/// No port may be asked for twice where the addresses overlap, and no path.
fn apart(section: &Section<'_>, mysql: &[Located<Listen>], admin: &[Located<Listen>]) {
    let named = |key: &'static str, list| -> Vec<(&'static str, &Located<Listen>)> {
        <[_]>::iter(list).map(|it| (key, it)).collect()
    };
    let all = [named("mysql_listen", mysql), named("admin_listen", admin)].concat();
    for (index, (key, place)) in all.iter().enumerate() {
        let clash = all.iter().take(index).find(|(_, other)| overlap(&other.value, &place.value));
        if let Some((other_key, other)) = clash {
            let line = Some(place.line).filter(|line| *line > 0);
            let text = format!("{} is already taken by {other_key} {}", place.value, other.value);
            section.problem(line, key, text);
        }
    }
}

fn overlap(a: &Listen, b: &Listen) -> bool {
    let (Some(a), Some(b)) = (a.tcp(), b.tcp()) else { return a == b };
    let any = |ip: IpAddr| ip.is_unspecified();
    a.port() == b.port() && a.is_ipv4() == b.is_ipv4() && (a.ip() == b.ip() || any(a.ip()) || any(b.ip()))
}

impl Default for Paths {
    fn default() -> Paths {
        Paths { run_dir: "/run/standfast".into(), data_dir: "/var/lib/standfast".into() }
    }
}

pub(super) fn paths(section: Section<'_>) -> Paths {
    let default = Paths::default();
    let paths = Paths {
        // `run_dir`: control sockets.
        run_dir: directory(&section, "run_dir").unwrap_or(default.run_dir),
        // `data_dir`: the admin database, certificates, the generated admin password.
        data_dir: directory(&section, "data_dir").unwrap_or(default.data_dir),
    };
    section.finish();
    paths
}

fn directory(section: &Section<'_>, key: &'static str) -> Option<PathBuf> {
    let text = section.text(key)?;
    let path = PathBuf::from(text.value);
    if !path.is_absolute() {
        section.problem(Some(text.line), key, format!("{:?} is not an absolute path", text.value));
    }
    Some(path)
}
