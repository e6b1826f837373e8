//! Where a drill happens: three guests, the article's loop and a probe at every VIP, and what they saw.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::adverts::{self, Watch};
use super::product::Product;
use super::trio::{self, ADVERT, Layout, Site, Trio};
use crate::client::probe::{Pace, Probe};
use crate::client::samples::{self, Failures, Sample};
use crate::client::workload::{self, ArticleLoop};
use crate::lab::wait;

/// A new connection costs an emulated host some milliseconds of its one core, and a restart of its proxy seconds: as many times
/// as a real one would take, the probe is more patient.
const PACE: Pace = Pace { every: Duration::from_millis(40), answer: Duration::from_secs(12) };
/// For so long all must be quiet before an event, and after it.
const CALM: Duration = Duration::from_millis(800);
/// What still counts as quiet in an emulated host beside other work.
const PAUSE: Duration = Duration::from_millis(400);
/// A host that waits longer for a processor than this part of the time says nothing about the product's own times.
const TOO_BUSY: f64 = 20.0;
/// Nothing takes longer, on a busy machine neither.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// One event as the clients saw it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Event {
    pub product: Product,
    pub layout: Layout,
    pub drill: String,
    /// The first VIP's owner before and after.
    pub from: String,
    pub to: String,
    /// The longest time between two answers, over all VIPs.
    pub outage_ms: f64,
    /// Attempts of the probes: one new connection and one query each.
    pub attempts: usize,
    pub refused: usize,
    pub failed: usize,
    /// Turns of the article's loop that failed.
    pub loop_failed: usize,
    pub what_failed: Vec<String>,
    /// For how long two hosts advertised one VIP.
    pub two_masters_ms: f64,
    /// By how much the measuring side itself came late; the outage is no better than that.
    pub late_ms: f64,
    /// Which part of the time the most starved host waited for a processor of this machine.
    pub starved_percent: f64,
    /// What was wrong with it; nothing if all went as it should.
    pub wrong: Option<String>,
    /// What was not as it should be, but on a machine too busy to tell why.
    pub inconclusive: Option<String>,
    /// Each host's journal.
    pub logs: Vec<(String, String)>,
}

impl Event {
    /// A drill that could not be done.
    pub(crate) fn failed(product: Product, layout: Layout, drill: &str, error: &anyhow::Error) -> Self {
        Self {
            product,
            layout,
            drill: drill.into(),
            from: String::new(),
            to: String::new(),
            outage_ms: 0.0,
            attempts: 0,
            refused: 0,
            failed: 0,
            loop_failed: 0,
            what_failed: Vec::new(),
            two_masters_ms: 0.0,
            late_ms: 0.0,
            starved_percent: 0.0,
            wrong: Some(format!("{error:#}")),
            inconclusive: None,
            logs: Vec::new(),
        }
    }
}

/// What must hold after an event, besides one owner for each VIP.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Expect {
    /// The first VIP is where it was.
    pub stays: bool,
    /// The first VIP is elsewhere.
    pub moves: bool,
    /// No attempt was refused or failed.
    pub nobody_notices: bool,
    /// Nobody was refused.
    pub nobody_refused: bool,
}

/// Fields are dropped in this order: first who asks, then who answers.
#[derive(Debug)]
pub(crate) struct Stage {
    pub product: Product,
    pub layout: Layout,
    pub events: Vec<Event>,
    probes: Vec<Probe>,
    article: ArticleLoop,
    watch: Watch,
    ticker: Ticker,
    pub trio: Trio,
}

impl Stage {
    /// The guests run the layout already.
    pub(crate) fn set(site: &Site, trio: Trio, product: Product, layout: Layout) -> Result<Self> {
        let vips = layout.vips();
        let watch = Watch::start(&site.network)?;
        trio.settled(&vips, LIMIT)?;
        let client = site.client()?;
        let first = trio::account(vips[0]);
        let mut last = None;
        wait::until("the article's table through the first VIP", LIMIT, || {
            last = workload::run_once(&client, &first, &[workload::CREATE_TABLE]).err();
            last.is_none()
        })
        .with_context(|| {
            format!("the last answer: {}", last.map_or_else(String::new, |it| it.to_string()))
        })?;
        let probes: Result<Vec<Probe>> =
            vips.iter().map(|vip| Probe::paced(PACE, &client, trio::account(*vip))).collect();
        let article = ArticleLoop::start(&client, first)?;
        let ticker = Ticker::start()?;
        Ok(Self { product, layout, events: Vec::new(), probes: probes?, article, watch, ticker, trio })
    }

    pub(crate) fn vips(&self) -> Vec<IpAddr> {
        self.layout.vips()
    }

    /// The host that serves the first VIP.
    pub(crate) fn owner(&self) -> Result<usize> {
        self.owner_within(LIMIT)
    }

    /// Waits until each VIP is where it belongs, if the layout says where: a fail-back is not to be taken for a drill's doing.
    pub(crate) fn all_at_home(&self) -> Result<()> {
        let Some(homes) = self.layout.homes() else { return Ok(()) };
        let vips = self.vips();
        wait::until("each VIP at home", LIMIT, || {
            self.trio.settled(&vips, LIMIT).is_ok_and(|owners| owners == homes)
        })
        .map(drop)
    }

    fn owner_within(&self, limit: Duration) -> Result<usize> {
        self.trio.settled(&self.vips(), limit)?.first().copied().context("no VIP")
    }

    /// The other product is not waited for so long: what has not happened then does not happen.
    fn limit(&self) -> Duration {
        if self.product == Product::Standfast { LIMIT } else { LIMIT / 4 }
    }

    /// Does something to the hosts (`act` is told who serves the first VIP), and measures until all is quiet again. What goes wrong
    /// is part of the event. Returns who served.
    pub(crate) fn measure(
        &mut self,
        drill: &str,
        expect: Expect,
        act: impl FnOnce(&mut Trio, usize) -> Result<()>,
    ) -> Result<usize> {
        self.wait_for_calm().with_context(|| format!("before {drill}"))?;
        let from = self.owner().with_context(|| format!("before {drill}"))?;
        self.ticker.reset();
        let (start, clock, waited) = (Instant::now(), SystemTime::now(), self.trio.starved());
        let mut owner = None;
        let acted = act(&mut self.trio, from);
        let settled = self.owner_within(self.limit()).and_then(|host| {
            owner = Some(host);
            self.wait_for_calm()
        });
        let to = owner.map_or("nobody", |host| self.trio.hosts[host].name()).to_owned();
        let mut event = self.record(drill, start, clock);
        (event.from, event.to) = (self.trio.hosts[from].name().to_owned(), to);
        event.starved_percent = starved(&waited, &self.trio.starved(), start.elapsed());
        event.wrong = acted.and(settled).err().map(|error| format!("{error:#}"));
        match unexpected(&event, expect) {
            Some(_) if event.wrong.is_some() => {}
            found if event.starved_percent > TOO_BUSY => event.inconclusive = found,
            found => event.wrong = found,
        }
        println!("{}", line(&event));
        if event.wrong.is_some() {
            event.logs.iter().for_each(|(host, log)| println!("-- {host}\n{log}"));
        }
        self.events.push(event);
        Ok(from)
    }

    /// Until each VIP has answered for a while, and no attempt hangs that began before: it would be counted as the next event's.
    fn wait_for_calm(&self) -> Result<()> {
        let from = Instant::now();
        for (probe, vip) in self.probes.iter().zip(self.vips()) {
            let mut last = None;
            let calm = wait::until(&format!("{vip} answering without a pause"), LIMIT, || {
                std::thread::sleep(Duration::from_millis(20));
                let now = Instant::now();
                let seen = probe.log.since(now - CALM);
                last = failure(&seen).or(last.take());
                let hangs = probe.log.oldest_pending().is_some_and(|start| start < now - CALM);
                now - from >= CALM && !hangs && samples::calm(&seen, now, CALM, PAUSE)
            });
            calm.with_context(|| format!("the last failure: {}", last.unwrap_or_else(|| "none".into())))?;
        }
        Ok(())
    }

    fn record(&self, drill: &str, start: Instant, clock: SystemTime) -> Event {
        let now = Instant::now();
        let mut failures = Failures::default();
        let (mut outage, mut attempts) = (Duration::ZERO, 0);
        for probe in &self.probes {
            let seen = probe.log.since(start);
            attempts += seen.iter().filter(|sample| sample.end >= start).count();
            failures.add(&Failures::count(&seen, start));
            outage = outage.max(samples::outage(&seen, start, now));
        }
        let turns = Failures::count(&self.article.log.since(start), start);
        let nothing = anyhow::anyhow!("not done");
        Event {
            wrong: None,
            outage_ms: milliseconds(outage),
            attempts,
            refused: failures.refused,
            failed: failures.errors,
            loop_failed: turns.errors + turns.refused,
            what_failed: [told(&failures, "new connection"), told(&turns, "loop")].concat(),
            two_masters_ms: milliseconds(adverts::two_masters(&self.watch.since(clock), ADVERT)),
            late_ms: milliseconds(self.ticker.latest()),
            logs: self.trio.logs(clock),
            ..Event::failed(self.product, self.layout, drill, &nothing)
        }
    }
}

fn failure(seen: &[Sample]) -> Option<String> {
    seen.iter().rev().find_map(|sample| sample.result.as_ref().err().map(ToString::to_string))
}

/// The most frequent failures, the most frequent first.
fn told(failures: &Failures, who: &str) -> Vec<String> {
    const MOST: usize = 6;
    let mut texts: Vec<(usize, &String)> =
        failures.by_text.iter().map(|(text, count)| (*count, text)).collect();
    texts.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    let rest: usize = texts.iter().skip(MOST).map(|(count, _)| count).sum();
    let mut lines: Vec<String> =
        texts.iter().take(MOST).map(|(count, text)| format!("{who}: {count} x {text}")).collect();
    if rest > 0 {
        lines.push(format!("{who}: {rest} others"));
    }
    lines
}

/// What is not as it should be. Pure.
fn unexpected(event: &Event, expect: Expect) -> Option<String> {
    if expect.stays && event.to != event.from {
        return Some("the VIP moved".into());
    }
    if expect.moves && event.to == event.from {
        return Some("the VIP did not move".into());
    }
    if (expect.nobody_refused || expect.nobody_notices) && event.refused > 0 {
        return Some(format!("{} attempts were refused", event.refused));
    }
    (expect.nobody_notices && event.failed > 0).then(|| format!("{} attempts failed", event.failed))
}

/// The most that any host waited between two looks, as a part of the time between them.
fn starved(before: &[Duration], after: &[Duration], time: Duration) -> f64 {
    let waited = before.iter().zip(after).map(|(before, after)| after.saturating_sub(*before));
    let most = waited.max().unwrap_or_default();
    (most.as_secs_f64() / time.as_secs_f64().max(0.001) * 1000.0).round() / 10.0
}

/// One line for whoever watches.
pub(crate) fn line(event: &Event) -> String {
    format!(
        "{:<10} {:<10} {:<28} {} -> {}  outage {:>5.0} ms  of {} attempts {} refused, {} failed; loop {}; two masters {:.0} ms; late {:.0} ms; starved {:.0} %{}{}{}",
        event.product.name(),
        event.layout.name(),
        event.drill,
        event.from,
        event.to,
        event.outage_ms,
        event.attempts,
        event.refused,
        event.failed,
        event.loop_failed,
        event.two_masters_ms,
        event.late_ms,
        event.starved_percent,
        event.what_failed.iter().map(|text| format!("\n    {text}")).collect::<String>(),
        event.inconclusive.iter().map(|text| format!("\n    inconclusive: {text}")).collect::<String>(),
        event.wrong.iter().map(|text| format!("\n    WRONG: {text}")).collect::<String>(),
    )
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}

/// Measures how late this process itself is: a drill on a starved machine says little about the product.
#[derive(Debug)]
struct Ticker {
    /// Microseconds.
    latest: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Ticker {
    fn start() -> Result<Self> {
        let (latest, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let ticker = Self { latest: Arc::clone(&latest), stop: Arc::clone(&stop) };
        std::thread::Builder::new().name("ticker".into()).spawn(move || {
            const TICK: Duration = Duration::from_millis(5);
            while !stop.load(Ordering::Relaxed) {
                let before = Instant::now();
                std::thread::sleep(TICK);
                let late = before.elapsed().saturating_sub(TICK);
                latest.fetch_max(u64::try_from(late.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
            }
        })?;
        Ok(ticker)
    }

    fn reset(&self) {
        self.latest.store(0, Ordering::Relaxed);
    }

    fn latest(&self) -> Duration {
        Duration::from_micros(self.latest.load(Ordering::Relaxed))
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expectation_is_about_the_owner_and_about_who_noticed() {
        let mut event = Event::failed(Product::Standfast, Layout::SingleVip, "x", &anyhow::anyhow!("y"));
        (event.from, event.to) = ("test1".into(), "test2".into());
        let (stays, moves) =
            (Expect { stays: true, ..Expect::default() }, Expect { moves: true, ..Expect::default() });
        assert_eq!(unexpected(&event, stays).as_deref(), Some("the VIP moved"));
        assert_eq!(unexpected(&event, moves), None);
        event.failed = 1;
        let unnoticed = Expect { nobody_notices: true, ..Expect::default() };
        assert_eq!(unexpected(&event, unnoticed).as_deref(), Some("1 attempts failed"));
    }

    #[test]
    fn the_most_starved_host_counts() {
        let ms = |list: [u64; 2]| list.map(Duration::from_millis).to_vec();
        assert!((starved(&ms([0, 100]), &ms([50, 400]), Duration::from_secs(1)) - 30.0).abs() < 0.01);
    }
}
