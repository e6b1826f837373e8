//! What an earlier angel of this host left: listeners, the heartbeat segment, a running proxyd.
//!
//! They come from the service manager's fd store, or - without one - from the running proxyd itself, which inherited
//! the same descriptors under the numbers that its environment names. A proxyd that can be taken over is not touched;
//! one that cannot is stopped, because two must never run.

use std::error::Error;
use std::ffi::OsStr;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;

use health::heartbeat::Segment;
use health::inherit;
use health::listener::Listener;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::listeners::Name;
use crate::log;
use crate::process::Proxy;

pub(crate) const HEARTBEAT: &str = "heartbeat";
pub(crate) const PROXYD: &str = "proxyd";

/// A proxyd that is stopped because it cannot be taken over gets so long to end by itself.
const STOP_MS: u16 = 500;

#[derive(Debug, Default)]
pub(crate) struct Legacy {
    pub(crate) listeners: Vec<(Name, Listener)>,
    pub(crate) heartbeat: Option<Segment>,
    pub(crate) proxy: Option<Proxy>,
    /// Names in the fd store that mean nothing (any more).
    pub(crate) strangers: Vec<String>,
}

impl Legacy {
    /// From what the service manager handed over.
    pub(crate) fn from_store(received: Vec<(String, OwnedFd)>) -> Legacy {
        let mut legacy = Legacy::default();
        for (name, fd) in received {
            if name == HEARTBEAT {
                legacy.heartbeat = Segment::from_fd(fd).ok();
            } else if name == PROXYD {
                legacy.proxy = Proxy::from_pidfd(fd).or(legacy.proxy);
            } else if let Some(key) = Name::parse(&name) {
                match Listener::from_fd(fd) {
                    Ok(listener) => legacy.listeners.push((key, listener)),
                    Err(_) => legacy.strangers.push(name),
                }
            } else {
                legacy.strangers.push(name);
            }
        }
        legacy
    }

    /// The names in the fd store under which all this is kept.
    pub(crate) fn names(&self) -> Vec<String> {
        let heartbeat = self.heartbeat.as_ref().map(|_| HEARTBEAT.to_owned());
        let proxy = self.proxy.as_ref().map(|_| PROXYD.to_owned());
        self.listeners.iter().map(|(name, _)| name.to_string()).chain(heartbeat).chain(proxy).collect()
    }

    /// From the proxyd that `pid_file` names, if it lives and runs `program`.
    pub(crate) fn from_running(pid_file: &Path, program: &OsStr) -> Legacy {
        let pid = fs::read_to_string(pid_file).ok().and_then(|text| text.trim().parse().ok());
        let Some(proxy) = pid.and_then(|pid| Proxy::from_pid(Pid::from_raw(pid), program)) else {
            return Legacy::default();
        };
        let mut legacy = copy_from(&proxy).unwrap_or_else(|error| {
            log::warning(format_args!("event=proxy-fds-not-copied pid={} error={error:?}", proxy.pid()));
            Legacy::default()
        });
        legacy.proxy = Some(proxy);
        legacy
    }
}

fn copy_from(proxy: &Proxy) -> Result<Legacy, Box<dyn Error>> {
    let environment = fs::read(format!("/proc/{}/environ", proxy.pid()))?;
    let mut listeners = Vec::new();
    for entry in inherit::parse(variable(&environment, inherit::LISTENERS)?)? {
        let listener = Listener::from_fd(proxy.copy_fd(entry.fd)?)?;
        let name = Name { kind: entry.kind, worker: entry.worker, place: listener.place()? };
        listeners.push((name, listener));
    }
    let heartbeat = proxy.copy_fd(variable(&environment, inherit::HEARTBEAT_FD)?.parse()?)?;
    Ok(Legacy { listeners, heartbeat: Some(Segment::from_fd(heartbeat)?), ..Legacy::default() })
}

/// proc(5): `NAME=value`, each ended by a zero byte.
fn variable<'a>(environment: &'a [u8], name: &str) -> Result<&'a str, String> {
    let entries = environment.split(|byte| *byte == 0).filter_map(|entry| std::str::from_utf8(entry).ok());
    let value = entries.filter_map(|entry| entry.split_once('=')).find(|(key, _)| *key == name);
    value.map(|(_, value)| value).ok_or_else(|| format!("no {name} in its environment"))
}

/// Ends a proxyd that cannot be kept, and waits until it is gone.
pub(crate) fn stop(proxy: &Proxy) {
    log::warning(format_args!("event=old-proxy-stopped pid={}", proxy.pid()));
    proxy.signal(Signal::SIGTERM);
    if !proxy.has_ended(STOP_MS) {
        proxy.signal(Signal::SIGKILL);
        proxy.has_ended(STOP_MS);
    }
}
