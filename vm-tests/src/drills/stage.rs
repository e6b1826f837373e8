//! Where drills happen: the lab, the clients that measure, and the record of what they saw.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::client::holders;
use crate::client::probe::{self, Probe};
use crate::client::samples::{self, Failures};
use crate::client::workload::{self, ArticleLoop, IdleSessions};
use crate::demo::live::Live;
use crate::lab::cluster::Cluster;
use crate::lab::host::Host;
use crate::lab::layout::Numbers;
use crate::lab::wait;

/// For so long the client must see nothing but prompt answers before an event begins, and after it before it counts as over.
const CALM: Duration = Duration::from_millis(600);
/// What still counts as prompt on a machine that has other work.
const PAUSE: Duration = Duration::from_millis(150);
/// Nothing that a drill waits for takes longer.
pub(crate) const LIMIT: Duration = Duration::from_secs(45);

/// The article's servers, users and rules: its layouts come without, as its hosts do.
pub(crate) const ARTICLE_SQL: &str = include_str!("../checks/article.sql");

/// One event as the client saw it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Event {
    pub event: &'static str,
    pub run: usize,
    /// The longest time between two answered queries, over all VIPs.
    pub outage_ms: f64,
    pub refused: usize,
    pub errors: usize,
    /// Of 20 idle connections.
    pub idle_lost: usize,
    pub from: String,
    pub to: String,
    pub two_masters_ms: f64,
    /// What the failures said, for the reader of the table.
    #[serde(skip)]
    pub by_text: Vec<String>,
}

/// The lab with its measuring clients.
#[derive(Debug)]
pub(crate) struct Stage {
    pub cluster: Cluster,
    pub events: Vec<Event>,
    pub run: usize,
    pub live: Live,
    probes: Vec<Probe>,
    article: ArticleLoop,
}

impl Stage {
    /// Waits until every VIP has a holder and answers; then the clients start.
    pub(crate) fn set(cluster: Cluster, live: Live) -> Result<Self> {
        let client = cluster.client()?;
        let port = cluster.plan.template.client_port();
        if cluster.plan.template.numbers == Numbers::Article {
            cluster.run_admin_sql(ARTICLE_SQL)?;
        }
        cluster.wait_for_vips(LIMIT)?;
        let first = probe::account(cluster.vips()[0], port);
        let mut last = None;
        let made = wait::until("the article's table through the first VIP", LIMIT, || {
            last = workload::run_once(&client, &first, &[workload::CREATE_TABLE]).err();
            last.is_none()
        });
        made.with_context(|| {
            format!("the last answer was: {}", last.map_or_else(String::new, |e| e.to_string()))
        })
        .with_context(|| cluster.hosts[0].tail("angel"))?;
        let probes: Result<Vec<Probe>> =
            cluster.vips().iter().map(|vip| Probe::start(&client, probe::account(*vip, port))).collect();
        let probes = probes?;
        let article = ArticleLoop::start(&client, first)?;
        let stage = Self { cluster, events: Vec::new(), run: 1, live, probes, article };
        stage.live.follow(stage.probes.iter().map(|p| p.log.clone()).collect());
        Ok(stage)
    }

    /// The first VIP: the one that the single-VIP drills are about.
    pub(crate) fn vip(&self) -> Ipv4Addr {
        self.cluster.vips()[0]
    }

    /// The host that serves a VIP now.
    pub(crate) fn holder(&self, vip: Ipv4Addr) -> Result<usize> {
        let mut holder = None;
        wait::until(&format!("one holder of {vip}"), LIMIT, || {
            holder = self.cluster.holder(vip);
            holder.is_some()
        })?;
        holder.context("no holder")
    }

    pub(crate) fn host(&self, index: usize) -> &Host {
        &self.cluster.hosts[index]
    }

    /// Does something to the lab and measures until `over` holds and the clients are calm again.
    pub(crate) fn measure(
        &mut self,
        event: &'static str,
        vip: Ipv4Addr,
        act: impl FnOnce(&mut Cluster) -> Result<()>,
        mut over: impl FnMut(&Cluster) -> bool,
    ) -> Result<()> {
        self.wait_for_calm().with_context(|| format!("before {event}"))?;
        let client = self.cluster.client()?;
        let account = probe::account(vip, self.cluster.plan.template.client_port());
        let idle = IdleSessions::open(&client, &account)?;
        let from = self.cluster.holder_name(vip);
        self.live.say(&format!("{event}: {vip} on {from}"));
        let start = Instant::now();
        act(&mut self.cluster).with_context(|| event)?;
        wait::until(&format!("the end of {event}"), LIMIT, || over(&self.cluster))?;
        let holder = self.holder(vip)?;
        self.wait_for_calm().with_context(|| format!("after {event}"))?;
        let idle_lost = idle.lost()?;
        let to = self.cluster.hosts[holder].name.clone();
        let record = self.record(event, start, idle_lost, (from, to));
        self.live.say(&format!(
            "{event}: {} -> {}, outage {:.0} ms, refused {}, errors {}, idle lost {}, two masters {:.0} ms{}",
            record.from,
            record.to,
            record.outage_ms,
            record.refused,
            record.errors,
            record.idle_lost,
            record.two_masters_ms,
            record.by_text.iter().map(|text| format!("\n    {text}")).collect::<String>()
        ));
        self.events.push(record);
        Ok(())
    }

    /// Until all probes have seen nothing but prompt answers for a while, from now on.
    pub(crate) fn wait_for_calm(&self) -> Result<()> {
        let from = Instant::now();
        for (probe, vip) in self.probes.iter().zip(self.cluster.vips()) {
            let mut last = None;
            let calm = wait::until(&format!("{vip} answering without a pause"), LIMIT, || {
                std::thread::sleep(Duration::from_millis(20));
                let now = Instant::now();
                let seen = probe.log.since(now - CALM);
                let failure =
                    seen.iter().rev().find_map(|s| s.result.as_ref().err().map(ToString::to_string));
                last = failure.or(last.take());
                now - from >= CALM && samples::calm(&seen, now, CALM, PAUSE)
            });
            calm.with_context(|| format!("the last failure was: {}", last.unwrap_or_else(|| "none".into())))?;
        }
        Ok(())
    }

    /// Who carried what since then.
    pub(crate) fn holders_since(&self, start: Instant) -> Vec<holders::Holding> {
        self.cluster.holders.since(start)
    }

    /// Failures that any client saw since then, over all VIPs.
    pub(crate) fn failures_since(&self, start: Instant) -> Failures {
        let mut failures = Failures::default();
        for log in self.probes.iter().map(|p| &p.log).chain([&self.article.log]) {
            failures.add(&Failures::count(&log.since(start), start));
        }
        failures
    }

    /// How long the first so many answers on the first VIP took that began behind then.
    pub(crate) fn first_answers(&self, start: Instant, count: usize) -> Vec<Duration> {
        let mut samples: Vec<_> = self.probes.first().map(|probe| probe.log.since(start)).unwrap_or_default();
        samples.retain(|sample| sample.start >= start && sample.result.is_ok());
        samples.sort_unstable_by_key(|sample| sample.start);
        samples.iter().take(count).map(|sample| sample.end - sample.start).collect()
    }

    /// The longest pause between two answers since then, over all VIPs.
    pub(crate) fn outage_since(&self, start: Instant) -> Duration {
        let now = Instant::now();
        let of = |probe: &Probe| samples::outage(&probe.log.since(start), start, now);
        self.probes.iter().map(of).max().unwrap_or_default()
    }

    fn record(
        &self,
        event: &'static str,
        start: Instant,
        idle_lost: usize,
        (from, to): (String, String),
    ) -> Event {
        let failures = self.failures_since(start);
        let outage = self.outage_since(start);
        let two_masters = holders::two_masters(&self.cluster.holders.since(start));
        Event {
            event,
            run: self.run,
            outage_ms: milliseconds(outage),
            refused: failures.refused,
            errors: failures.errors,
            idle_lost,
            from,
            to,
            two_masters_ms: milliseconds(two_masters),
            by_text: failures.by_text.iter().map(|(text, count)| format!("{count} x {text}")).collect(),
        }
    }

    /// Starts a host's package again after a drill that stopped it, and waits until it takes part.
    pub(crate) fn start_package(&mut self, host: usize) -> Result<()> {
        self.cluster.hosts[host].start()?;
        self.cluster.hosts[host].ready()?;
        self.settle_home()
    }

    /// With several VIPs: until each is at home again. With one it stays where it is.
    pub(crate) fn settle_home(&mut self) -> Result<()> {
        wait::until("every VIP at home", LIMIT, || self.cluster.is_home())?;
        self.wait_for_calm()
    }
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}
