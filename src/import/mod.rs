//! `standfast import`: brings a ProxySQL's and a keepalived's configuration along.
//!
//! keepalived.conf becomes standfast.toml here. proxysql.cnf and proxysql.db become the admin database by
//! `standfast-proxyd --import`, which knows what its tables take. Both results are made beside their places, checked, and
//! only then moved there, together.

mod files;
mod keepalived;
mod listen;
mod proxysql;
mod report;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use configs::{File, Identity, Paths, check_together};

use crate::control::{ask, say};
use files::{Placed, Staging};
use keepalived::Surroundings;
use listen::Listen;
use report::{Fate, Report};

/// What to import, and where to.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// proxysql.cnf or proxysql.db, keepalived.conf, or one of each
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Replace what is there already; it is kept under another name
    #[arg(long)]
    force: bool,
    /// The configuration that a keepalived.conf becomes, and that says where the database is
    #[arg(long, value_name = "FILE", default_value = configs::DEFAULT_PATH)]
    config: PathBuf,
    /// Where the database goes, if not where the configuration says
    #[arg(long, value_name = "DIRECTORY")]
    data_dir: Option<PathBuf>,
    /// A host of the new configuration; give all of them, in the order in which they serve
    #[arg(long = "host", value_name = "NAME=ADDRESS", value_parser = host)]
    hosts: Vec<(String, IpAddr)>,
}

fn host(text: &str) -> Result<(String, IpAddr), String> {
    let (name, address) = text.split_once('=').ok_or("expected NAME=ADDRESS")?;
    let address = address.parse().map_err(|_| format!("{address:?} is no address"))?;
    Ok((name.to_owned(), address))
}

pub(crate) fn run(options: &Options) -> ExitCode {
    match import(options) {
        Ok(text) => {
            say(&text);
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("standfast import: {reason}\nstandfast import: nothing was changed");
            ExitCode::FAILURE
        }
    }
}

/// The files by their kind.
#[derive(Debug, Default)]
struct Sources {
    /// Name and text.
    keepalived: Option<(String, String)>,
    proxysql: Option<PathBuf>,
}

/// Does it all; gives what to print.
fn import(options: &Options) -> Result<String, String> {
    let sources = sources(&options.files)?;
    let (new_config, mut report) = match &sources.keepalived {
        Some((name, text)) => {
            let (text, report) = keepalived::translate(name, text, &surroundings(options))?;
            (Some(text), report)
        }
        None => (None, Report::default()),
    };
    let existing = existing_config(options, new_config.is_some())?;
    let paths = paths(options, existing.as_ref());
    if !options.dry_run {
        refuse_to_overwrite(options, &sources, &paths)?;
    }
    let staging = Staging::new(if options.dry_run { None } else { Some(&paths.data_dir) })?;
    let mut placed = Vec::new();
    let mut listen = Listen::default();
    if let Some(source) = &sources.proxysql {
        let made = proxysql::convert(source, &staging.path("standfast.db"))?;
        report.append(made.report);
        listen = listen::read(&made.settings, &source.display().to_string(), &paths.run_dir, &mut report);
        let place = paths.data_dir.join("standfast.db");
        placed.push(Placed { made: staging.path("standfast.db"), place, private: true });
    }
    match new_config {
        Some(mut text) => {
            text.push_str(&listen.section());
            text.push_str(&paths_section(&paths));
            let order = check(&options.config, &text)?;
            let made = files::beside(&options.config, &text, options.dry_run.then_some(&staging))?;
            placed.push(Placed { made, place: options.config.clone(), private: false });
            return finish(options, &report, &placed, Some(&order));
        }
        None => listen.compare(existing.as_ref(), &options.config, &mut report),
    }
    finish(options, &report, &placed, None)
}

/// Puts the results in their places, unless this is a rehearsal; what to print.
fn finish(
    options: &Options,
    report: &Report,
    placed: &[Placed],
    order: Option<&str>,
) -> Result<String, String> {
    let mut text = report.to_string();
    text.push_str(&format!(
        "{} taken, {} changed, {} not taken\n",
        report.count(Fate::Taken),
        report.count(Fate::Changed),
        report.count(Fate::Left)
    ));
    text.push_str(order.unwrap_or_default());
    if options.dry_run {
        files::discard(placed);
        let names: Vec<_> = placed.iter().map(|it| it.place.display().to_string()).collect();
        text.push_str(&format!("Dry run: {} would be written.\n", names.join(" and ")));
        return Ok(text);
    }
    for kept in files::put_in_place(placed)? {
        text.push_str(&format!("kept {}\n", kept.display()));
    }
    for file in placed {
        text.push_str(&format!("wrote {}\n", file.place.display()));
    }
    text.push_str("Next: systemctl enable --now standfast-angel standfast-vrrpd\n");
    Ok(text)
}

fn sources(files: &[PathBuf]) -> Result<Sources, String> {
    let mut sources = Sources::default();
    for path in files {
        let name = path.display().to_string();
        match files::look(path)? {
            files::Kind::Keepalived(text) if sources.keepalived.is_none() => {
                sources.keepalived = Some((name, text));
            }
            files::Kind::Proxysql if sources.proxysql.is_none() => sources.proxysql = Some(path.clone()),
            files::Kind::Keepalived(_) => {
                return Err(format!("{name}: a second keepalived.conf; import one of them"));
            }
            files::Kind::Proxysql => {
                return Err(format!(
                    "{name}: a second ProxySQL configuration; proxysql.db has all that counts, so import that"
                ));
            }
        }
    }
    Ok(sources)
}

fn surroundings(options: &Options) -> Surroundings {
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let hostname = match hostname.trim() {
        "" => "this-host".to_owned(),
        name => name.to_owned(),
    };
    Surroundings { hosts: options.hosts.clone(), hostname, interfaces: configs::interface_addresses() }
}

/// The configuration that is there; one that is replaced may be wrong.
fn existing_config(options: &Options, replaces_it: bool) -> Result<Option<File>, String> {
    match File::load(&options.config) {
        Ok(file) => Ok(Some(file)),
        Err(_) if replaces_it || !options.config.exists() => Ok(None),
        Err(problems) => Err(problems.to_string()),
    }
}

/// `[paths]` as TOML, where they are not the usual ones.
fn paths_section(paths: &Paths) -> String {
    let usual = Paths::default();
    let line = |key: &str, path: &Path, usual: &Path| match path == usual {
        true => String::new(),
        false => format!("{key} = {}\n", keepalived::quoted(&path.display().to_string())),
    };
    let lines =
        line("run_dir", &paths.run_dir, &usual.run_dir) + &line("data_dir", &paths.data_dir, &usual.data_dir);
    if lines.is_empty() { lines } else { format!("\n[paths]\n{lines}") }
}

fn paths(options: &Options, existing: Option<&File>) -> Paths {
    let mut paths = existing.map(|file| file.paths().clone()).unwrap_or_default();
    if let Some(directory) = &options.data_dir {
        paths.data_dir.clone_from(directory);
    }
    paths
}

fn refuse_to_overwrite(options: &Options, sources: &Sources, paths: &Paths) -> Result<(), String> {
    let force = "; --force replaces it and keeps the old one under another name";
    let there = |path: &Path| path.exists() && !options.force;
    if sources.keepalived.is_some() && there(&options.config) {
        return Err(format!("{} is there already{force}", options.config.display()));
    }
    let database = paths.data_dir.join("standfast.db");
    if sources.proxysql.is_some() {
        if there(&database) {
            return Err(format!("{} is there already{force}", database.display()));
        }
        if !paths.data_dir.is_dir() {
            return Err(format!(
                "there is no directory {}: install the package first",
                paths.data_dir.display()
            ));
        }
        if ask(&paths.proxyd_socket(), "status").is_ok() {
            return Err(
                "a proxy runs on this database: systemctl stop standfast-angel standfast-vrrpd first".into(),
            );
        }
    }
    Ok(())
}

/// What `standfast check` says of the new configuration.
fn check(place: &Path, text: &str) -> Result<String, String> {
    let refuse = |problems: String| format!("the translation does not pass `standfast check`:\n{problems}");
    let file = File::parse(&place.display().to_string(), text).map_err(|it| refuse(it.to_string()))?;
    let name = file.host().or_else(|| file.hosts().next()).unwrap_or_default().to_owned();
    file.appliance(Identity { name: Some(&name), local: &[] }).map_err(|it| refuse(it.to_string()))?;
    match check_together(&[file]) {
        Ok(report) => Ok(report.to_string()),
        Err(problems) => {
            let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
            Err(refuse(problems.join("\n")))
        }
    }
}
