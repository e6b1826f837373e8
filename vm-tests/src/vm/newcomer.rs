//! The newcomer's path: every command of `docs/install.md`, in its order, in three fresh machines; and how long each step took.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::drills;
use super::image::{Image, Packages};
use super::product::EMULATED;
use super::stage::LIMIT;
use super::trio::{Layout, Site, Trio};
use crate::checks::shell;
use crate::lab::teardown;

const PAGE: &str = include_str!("../../../docs/install.md");
/// What the page promises.
const PROMISE: Duration = Duration::from_secs(600);

/// Where the commands of one block are typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// On each host, one after the other in life, at once here.
    Hosts,
    /// There too, until it says what it should.
    Look,
    /// On the host that has the virtual address.
    Owner,
    /// There too, and it does not come back.
    Power,
    Client,
}

#[derive(Debug, PartialEq, Eq)]
struct Step<'a> {
    place: Place,
    title: &'a str,
    commands: String,
}

pub(crate) fn run(image: &Image, packages: &Packages) -> Result<bool> {
    let site = Site::build()?;
    let began = Instant::now();
    let mut trio = Trio::boot(&site, image, &packages.old)?;
    trio.everywhere(|_| "mv /root/old.deb /root/standfast.deb".into())?;
    println!("{:<32} {:>6.1} s", "three fresh machines booted", began.elapsed().as_secs_f64());
    let began = Instant::now();
    for step in steps(PAGE)? {
        let at = Instant::now();
        walk(&site, &mut trio, &step).with_context(|| step.title.to_owned())?;
        println!("{:<32} {:>6.1} s", step.title, at.elapsed().as_secs_f64());
    }
    let took = began.elapsed();
    println!("{:<32} {:>6.1} s", "from the package to the last drill", took.as_secs_f64());
    ensure!(took < PROMISE, "the page promises {} s", PROMISE.as_secs());
    Ok(true)
}

fn walk(site: &Site, trio: &mut Trio, step: &Step<'_>) -> Result<()> {
    let vips = Layout::SingleVip.vips();
    match step.place {
        Place::Hosts => trio.everywhere(|_| format!("set -e\n{}", step.commands)).map(drop),
        Place::Look => patiently(|| trio.everywhere(|_| step.commands.clone()).map(drop)),
        Place::Owner => {
            let owner = trio.settled(&vips, LIMIT)?[0];
            trio.hosts[owner].run(&step.commands).map(drop)
        }
        Place::Power => {
            let owner = trio.settled(&vips, LIMIT)?[0];
            drills::cut_power(trio, owner)
        }
        Place::Client => {
            let place = teardown::directory().join("client");
            patiently(|| {
                let output = shell::bash(&site.client()?, &place, &step.commands, LIMIT)?;
                ensure!(output.success, "the client: {}{}", output.stdout, output.stderr);
                Ok(())
            })
        }
    }
}

/// A person tries again too.
fn patiently(mut attempt: impl FnMut() -> Result<()>) -> Result<()> {
    let start = Instant::now();
    loop {
        match attempt() {
            Err(_) if start.elapsed() < LIMIT => std::thread::sleep(Duration::from_millis(500)),
            result => return result,
        }
    }
}

/// The page's blocks with a mark: `<!-- walk: PLACE: TITLE -->`, then a fenced block.
fn steps(page: &str) -> Result<Vec<Step<'_>>> {
    let mut steps = Vec::new();
    for part in page.split("<!-- walk: ").skip(1) {
        let (mark, rest) = part.split_once(" -->").context("a mark without an end")?;
        let (place, title) = mark.split_once(": ").with_context(|| format!("{mark}: a place and a title"))?;
        let block = rest.trim_start().strip_prefix("```\n").and_then(|rest| rest.split_once("\n```"));
        let (commands, _) = block.with_context(|| format!("{mark}: no block behind it"))?;
        let place = match place {
            "hosts" => Place::Hosts,
            "look" => Place::Look,
            "owner" => Place::Owner,
            "power" => Place::Power,
            "client" => Place::Client,
            other => bail!("{other} is no place"),
        };
        steps.push(Step { place, title, commands: commands.lines().map(typed).collect() });
    }
    Ok(steps)
}

/// Where a person edits, the walk writes what an emulated host needs.
fn typed(line: &str) -> String {
    match line.strip_prefix("editor ") {
        Some(file) => format!("printf '{EMULATED}' >>{file}\n"),
        None => format!("{line}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_can_be_walked() {
        let steps = steps(PAGE).expect("steps");
        let titles: Vec<&str> = steps.iter().map(|step| step.title).collect();
        assert!(
            titles.starts_with(&["apt install", "edit one file", "standfast check", "start"]),
            "{titles:?}"
        );
        assert!(steps.iter().all(|step| !step.commands.contains("editor")));
        assert!(steps.iter().any(|step| step.place == Place::Client));
    }
}
