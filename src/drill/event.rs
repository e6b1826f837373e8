//! What a drill does, each to this host alone.

use std::time::Duration;

use configs::Appliance;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::answers;
use crate::control::ask;

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Event {
    KillProxy,
    HangProxy,
    CrashLoop,
    KillAngel,
    KillVrrpd,
    Move,
}

impl Event {
    pub(super) fn name(self) -> &'static str {
        match self {
            Event::KillProxy => "kill-proxy",
            Event::HangProxy => "hang-proxy",
            Event::CrashLoop => "crash-loop",
            Event::KillAngel => "kill-angel",
            Event::KillVrrpd => "kill-vrrpd",
            Event::Move => "move",
        }
    }

    pub(super) fn about(self) -> &'static str {
        match self {
            Event::KillProxy => "kill the proxy of this host (SIGKILL); its angel starts another",
            Event::HangProxy => {
                "stop the proxy of this host (SIGSTOP); its angel finds it hung and starts another"
            }
            Event::CrashLoop => "kill the proxy of this host twice; the VIP moves",
            Event::KillAngel => "kill the angel of this host (SIGKILL); the service manager starts another",
            Event::KillVrrpd => {
                "kill vrrpd of this host (SIGKILL); the service manager starts another, which resumes"
            }
            Event::Move => "give the VIP to the next in line",
        }
    }

    /// For so long the event itself takes, before anybody can say that it is over.
    pub(super) fn at_least(self) -> Duration {
        match self {
            Event::HangProxy | Event::CrashLoop => Duration::from_secs(2),
            Event::KillProxy | Event::KillAngel | Event::KillVrrpd | Event::Move => {
                Duration::from_millis(500)
            }
        }
    }

    pub(super) fn happen(self, appliance: &Appliance, router: &str) -> Result<(), String> {
        let (angel, vrrpd) = (appliance.paths.angel_socket(), appliance.paths.vrrpd_socket());
        let proxy = || pid(&ask(&angel, "status")?, &["proxy", "pid"]);
        match self {
            Event::KillProxy => signal(proxy()?, Signal::SIGKILL),
            Event::HangProxy => signal(proxy()?, Signal::SIGSTOP),
            Event::CrashLoop => {
                let first = proxy()?;
                signal(first, Signal::SIGKILL)?;
                let mut next = proxy();
                while next.as_ref().map_or(true, |next| *next == first) {
                    std::thread::sleep(Duration::from_millis(10));
                    next = proxy();
                }
                signal(next?, Signal::SIGKILL)
            }
            Event::KillAngel => signal(pid(&ask(&angel, "status")?, &["pid"])?, Signal::SIGKILL),
            Event::KillVrrpd => {
                signal(pid(&ask(&vrrpd, "status")?, &["pid"])?, Signal::SIGKILL)?;
                if answers(&vrrpd) { Ok(()) } else { Err("vrrpd does not come back".to_owned()) }
            }
            Event::Move => {
                let answer = ask(&vrrpd, &format!("yield {router}"))?;
                answer.get("error").map_or(Ok(()), |error| Err(error.to_string()))
            }
        }
    }
}

fn pid(answer: &Value, way: &[&str]) -> Result<i32, String> {
    let found = way.iter().try_fold(answer, |value, key| value.get(key)).and_then(Value::as_i64);
    let found = found.and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 1);
    found.ok_or_else(|| "it does not run".to_owned())
}

fn signal(pid: i32, signal: Signal) -> Result<(), String> {
    kill(Pid::from_raw(pid), signal)
        .map_err(|error| format!("cannot send {signal} to {pid}: {error}; try as root"))
}
