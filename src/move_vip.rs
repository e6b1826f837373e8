//! `standfast move VIP [HOST]`: the VIP to another host, in whole: work in flight finishes first, the new owner is waited for.
//!
//! Given on the owner, it gives the VIP to the next in line. Given on the host that is to have it, it takes it; then there is
//! nobody to wait for the owner's work, and that is said.

use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use configs::Paths;
use serde_json::Value;

use crate::control::{ask, paths, say};
use crate::in_flight;
use crate::status::screen::{cell, list, span};

/// A new owner is there in milliseconds; with adverts of seconds and a dead heir it is not.
const ARRIVAL: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(5);

pub(crate) fn run(config: &Path, vip: &str, host: Option<&str>, within: Option<u64>) -> ExitCode {
    let paths = paths(config);
    match order(&paths, vip, host, || in_flight::patience(config, within)) {
        Ok(text) => {
            say(&format!("{text}\n"));
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("standfast move: {why}");
            ExitCode::FAILURE
        }
    }
}

fn order(
    paths: &Paths,
    vip: &str,
    host: Option<&str>,
    patience: impl Fn() -> Duration,
) -> Result<String, String> {
    let before = vrrpd(paths, &format!("why {vip}"))?;
    let (me, router) = (cell(before.get("host")), cell(before.get("router")));
    let began = Instant::now();
    let request = match plan(&before, host)? {
        Plan::Nothing => return Ok(format!("{vip} is on {me} already")),
        Plan::Take => {
            eprintln!("standfast: taking it from here: the owner's work in flight is not waited for");
            format!("seize {router}")
        }
        Plan::Give => {
            in_flight::cut(in_flight::finish(paths, patience()));
            format!("yield {router} {}", host.unwrap_or_default())
        }
    };
    let ordered = vrrpd(paths, request.trim_end())?;
    let owner = arrival(paths, &router, &me, host)?;
    let mut text = format!("{vip} is on {owner}, after {} ms", began.elapsed().as_millis());
    if let Some(pause) = ordered.get("returns_ms").and_then(Value::as_u64) {
        text.push_str(&format!("; fail-back takes it home when that host was healthy for {}", span(pause)));
    }
    Ok(text)
}

#[derive(Debug, PartialEq, Eq)]
enum Plan {
    Nothing,
    Take,
    Give,
}

/// What to order of this host's vrrpd, from its answer to `why`.
fn plan(why: &Value, host: Option<&str>) -> Result<Plan, String> {
    let (me, state, owner) = (cell(why.get("host")), cell(why.get("state")), cell(why.get("owner")));
    match (state.as_str(), host) {
        ("MASTER", Some(host)) if host == me => Ok(Plan::Nothing),
        ("MASTER", _) => Ok(Plan::Give),
        ("BACKUP", None) => Ok(Plan::Take),
        ("BACKUP", Some(host)) if host == me => Ok(Plan::Take),
        ("BACKUP", Some(host)) => Err(format!("it is on {owner}; give the order there, or on {host}")),
        _ => Err(format!("{me} is {state}: {}", cell(why.get("because")))),
    }
}

/// Who has it now, once somebody has; an error if that is not `wanted`.
fn arrival(paths: &Paths, router: &str, me: &str, wanted: Option<&str>) -> Result<String, String> {
    let end = Instant::now() + ARRIVAL;
    loop {
        let status = vrrpd(paths, "status")?;
        let this = list(&status, "routers").iter().find(|it| cell(it.get("name")) == router);
        let master = this.and_then(|it| it.get("master")).and_then(Value::as_str);
        match master {
            Some(master) if wanted.is_none_or(|wanted| wanted == master) => return Ok(master.to_owned()),
            Some(master) if master != me => return Err(format!("it went to {master} instead")),
            Some(_) => return Err("nobody took it, so this host has it again".to_owned()),
            None if Instant::now() >= end => return Err("nobody has it".to_owned()),
            None => thread::sleep(LOOK),
        }
    }
}

fn vrrpd(paths: &Paths, request: &str) -> Result<Value, String> {
    let answer = ask(&paths.vrrpd_socket(), request).map_err(|why| format!("standfast-vrrpd: {why}"))?;
    match answer.get("error") {
        Some(error) => Err(cell(Some(error))),
        None => Ok(answer),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_is_asked_for_what() {
        let why = |state: &str| json!({ "host": "a", "state": state, "owner": "b", "because": "no link" });
        assert_eq!(plan(&why("MASTER"), Some("b")), Ok(Plan::Give));
        assert_eq!(plan(&why("MASTER"), None), Ok(Plan::Give));
        assert_eq!(plan(&why("MASTER"), Some("a")), Ok(Plan::Nothing));
        assert_eq!(plan(&why("BACKUP"), Some("a")), Ok(Plan::Take));
        assert_eq!(plan(&why("BACKUP"), None), Ok(Plan::Take));
        let refused = plan(&why("BACKUP"), Some("c")).unwrap_err();
        assert_eq!(refused, "it is on b; give the order there, or on c");
        assert_eq!(plan(&why("FAULT"), None), Err("a is FAULT: no link".to_owned()));
    }
}
