//! `standfast drill EVENT…`: does to this host, on purpose, what will happen to it one day, and measures what a client loses.
//!
//! Given on the owner of a VIP. Without `--yes` it only says what it would do. Refuses when no other host could take over: a
//! drill must not be the outage that it is meant to prevent. The same is asked again before each further event.

mod event;
mod probe;
mod report;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use configs::Appliance;
use serde_json::Value;

use crate::control::ask;
use crate::status::screen::{cell, list};
use event::Event;
use probe::Probe;
use report::{Outcome, Report};

/// An event is over when the client has been served for so long without a gap.
const CALM: Duration = Duration::from_secs(1);
/// Whatever is not over then has failed.
const LIMIT: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);

#[derive(clap::Args)]
pub(crate) struct Options {
    /// What to do to this host
    #[arg(required = true, value_enum, value_name = "EVENT")]
    events: Vec<Event>,
    /// The VIP to measure, if this host has several
    #[arg(long, value_name = "VIP")]
    vip: Option<IpAddr>,
    /// Do it; without this, only say what would be done
    #[arg(long)]
    yes: bool,
    /// Write drill.html and drill.json into this directory
    #[arg(long, value_name = "DIRECTORY")]
    report: Option<PathBuf>,
    /// Which of the file's hosts this is; by default the one with its address
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    #[arg(long, value_name = "FILE", default_value = configs::DEFAULT_PATH)]
    config: PathBuf,
}

pub(crate) fn run(options: &Options) -> ExitCode {
    match drill(options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("standfast drill: {why}");
            ExitCode::FAILURE
        }
    }
}

fn drill(options: &Options) -> Result<bool, String> {
    let appliance = configs::load(&options.config, options.host.as_deref()).map_err(|it| it.to_string())?;
    let scene = Scene::look(&appliance, options.vip)?;
    let partners = scene.partners(&appliance);
    if partners.is_empty() {
        return Err("refused: no other host's proxy answers, so nobody could take over".to_owned());
    }
    println!("{} on {}; {} could take over", scene.vip, scene.host, partners.join(", "));
    if !options.yes {
        for event in &options.events {
            println!("would: {}", event.about());
        }
        println!("nothing was done; --yes does it");
        return Ok(true);
    }
    let probe = Probe::start(scene.target);
    let mut report = Report::new(&scene.host, scene.vip);
    for (place, event) in options.events.iter().enumerate() {
        let again = Scene::look(&appliance, Some(scene.vip)).and_then(|now| {
            if now.partners(&appliance).is_empty() {
                Err("no other host's proxy answers any more".into())
            } else {
                Ok(now)
            }
        });
        if let Err(why) = again {
            eprintln!("standfast drill: refused, {} of {} done: {why}", place, options.events.len());
            report.stopped(&why);
            break;
        }
        report.add(one(&appliance, &scene, &probe, *event, (place + 1, options.events.len())));
    }
    print!("{}", report.text());
    if let Some(directory) = &options.report {
        report.write(directory)?;
        println!("report: {}", directory.join("drill.html").display());
    }
    Ok(report.all_well())
}

/// One event, from a calm client to a calm client.
fn one(appliance: &Appliance, scene: &Scene, probe: &Probe, event: Event, count: (usize, usize)) -> Outcome {
    let mut progress = report::Progress::new(event, count);
    if !wait_for_calm(probe, Instant::now(), &mut progress) {
        return Outcome::failed(event, "the client was not served without a gap before it");
    }
    let began = Instant::now();
    if let Err(why) = event.happen(appliance, &scene.router) {
        return Outcome::failed(event, &why);
    }
    let over = wait_for_calm(probe, began + event.at_least(), &mut progress);
    let seen = probe.since(began);
    let owner = owner(appliance, &scene.router).unwrap_or_else(|| "-".to_owned());
    progress.done();
    Outcome {
        event,
        outage: seen.outage,
        failures: seen.failures,
        owner,
        error: (!over).then(|| "the client is not served".to_owned()),
    }
}

fn wait_for_calm(probe: &Probe, from: Instant, progress: &mut report::Progress) -> bool {
    let end = Instant::now() + LIMIT;
    while Instant::now() < end {
        thread::sleep(LOOK);
        progress.tick();
        if Instant::now() >= from + CALM && probe.is_calm(CALM) {
            return true;
        }
    }
    false
}

/// Where the drill happens: a VIP of this host that is here now.
struct Scene {
    host: String,
    router: String,
    vip: IpAddr,
    target: SocketAddr,
}

impl Scene {
    fn look(appliance: &Appliance, wanted: Option<IpAddr>) -> Result<Scene, String> {
        let status = ask(&appliance.paths.vrrpd_socket(), "status")
            .map_err(|why| format!("standfast-vrrpd: {why}"))?;
        let verdict = cell(status.get("verdict"));
        if verdict != "serving" {
            return Err(format!("refused: the proxy of this host is {verdict}"));
        }
        let is_here = |router: &&Value| router.get("state").and_then(Value::as_str) == Some("MASTER");
        for router in list(&status, "routers").iter().filter(is_here) {
            let vips = list(router, "vips").iter().filter_map(|vip| vip.as_str()?.parse::<IpAddr>().ok());
            let vip = vips.into_iter().find(|vip| wanted.is_none_or(|wanted| wanted == *vip));
            if let Some(vip) = vip {
                let (host, router) = (appliance.host.name.clone(), cell(router.get("name")));
                return Ok(Scene { host, router, vip, target: SocketAddr::new(vip, port(appliance)) });
            }
        }
        Err("refused: this host is MASTER of no such VIP; give the order on its owner".to_owned())
    }

    /// The other hosts whose proxy answers.
    fn partners(&self, appliance: &Appliance) -> Vec<String> {
        let port = port(appliance);
        let answers = |host: &&configs::Host| probe::greets(SocketAddr::new(host.address, port));
        appliance.peers.iter().filter(answers).map(|host| host.name.clone()).collect()
    }
}

fn port(appliance: &Appliance) -> u16 {
    appliance.proxy.mysql_listen.iter().find_map(configs::Listen::tcp).map_or(6033, |address| address.port())
}

fn owner(appliance: &Appliance, router: &str) -> Option<String> {
    let why = ask(&appliance.paths.vrrpd_socket(), &format!("why {router}")).ok()?;
    Some(why.get("owner")?.as_str()?.to_owned())
}

/// Waits until the daemon behind a socket answers again.
fn answers(socket: &Path) -> bool {
    let end = Instant::now() + LIMIT;
    while ask(socket, "status").is_err() {
        if Instant::now() >= end {
            return false;
        }
        thread::sleep(LOOK);
    }
    true
}
