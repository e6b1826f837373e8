//! What happens to the owner of the VIP, and what puts things right afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;

use super::Elector;
use crate::drills::stage::{LIMIT, Stage};
use crate::lab::cluster::Cluster;
use crate::lab::{process, wait};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Event {
    /// The host loses its power.
    HostDeath,
    /// Its cable is pulled.
    LinkDown,
    /// Its proxy dies as often as it starts.
    CrashLoop,
    /// An operator moves the VIP.
    PlannedMove,
}

impl std::fmt::Display for Event {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Event::HostDeath => "host-death",
            Event::LinkDown => "link-down",
            Event::CrashLoop => "crash-loop",
            Event::PlannedMove => "planned-move",
        })
    }
}

impl Event {
    pub(crate) const ALL: [Event; 4] =
        [Event::HostDeath, Event::LinkDown, Event::CrashLoop, Event::PlannedMove];

    /// As the table has it.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Event::HostDeath => "host death",
            Event::LinkDown => "link down",
            Event::CrashLoop => "proxy crash loop",
            Event::PlannedMove => "planned move",
        }
    }

    /// Lets it happen to the owner, so much later than it could, and leaves three hosts that take part.
    pub(super) fn happen(self, stage: &mut Stage, elector: Elector, phase: Duration) -> Result<()> {
        for host in &stage.cluster.hosts {
            wait::until(&format!("{} takes part", host.name), LIMIT, || host.stands_by())?;
        }
        thread::sleep(phase);
        let vip = stage.vip();
        let owner = stage.holder(vip)?;
        let moved = move |cluster: &Cluster| cluster.holder(vip).is_some_and(|now| now != owner);
        match self {
            Event::HostDeath => {
                stage.measure(self.words(), vip, |cluster| cluster.hosts[owner].power_off(), moved)?;
                stage.cluster.hosts[owner].power_on()?;
                stage.host(owner).ready()
            }
            Event::LinkDown => {
                stage.measure(self.words(), vip, |cluster| cluster.hosts[owner].pull_cable(), moved)?;
                stage.host(owner).plug_cable()
            }
            Event::CrashLoop => {
                let mut killer = None;
                let begin = |cluster: &mut Cluster| {
                    killer = Some(Killer::start(cluster.hosts[owner].netns.inode()));
                    Ok(())
                };
                let measured = stage.measure(self.words(), vip, begin, moved);
                drop(killer);
                measured?;
                // A new package forgets the crashes, which the angel would remember for a while.
                stage.cluster.hosts[owner].stop();
                stage.cluster.hosts[owner].start()?;
                stage.host(owner).ready()
            }
            Event::PlannedMove => {
                stage.measure(self.words(), vip, |cluster| ask_to_go(cluster, owner, elector), moved)?;
                if elector == Elector::Keepalived {
                    stage.cluster.hosts[owner].start_election()?;
                }
                Ok(())
            }
        }
    }
}

/// What an operator would do: `standfast move`; keepalived knows nothing but to be stopped.
fn ask_to_go(cluster: &mut Cluster, owner: usize, elector: Elector) -> Result<()> {
    match elector {
        Elector::Keepalived => ensure!(cluster.hosts[owner].stop_election(), "keepalived had to be killed"),
        Elector::Vrrpd => {
            let answer = cluster.hosts[owner].control("vrrpd.sock", "yield VI_01")?;
            ensure!(answer.contains("\"ok\":true"), "{answer}");
        }
    }
    Ok(())
}

/// Kills every proxy that it finds on a host, until it is dropped.
struct Killer {
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Killer {
    fn start(netns: u64) -> Killer {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let proxies =
                    process::inside(netns).into_iter().filter(|it| it.comm.starts_with("standfast-proxy"));
                proxies.for_each(|proxy| process::signal(proxy.pid, Signal::SIGKILL));
                thread::sleep(Duration::from_millis(20));
            }
        });
        Killer { stop, thread: Some(thread) }
    }
}

impl Drop for Killer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
