//! Several labs at once: one process for each distance of adverts (a lab is known by its process), their results by a file.
//!
//! Labs share nothing but the processors, so as many as there are cores hardly disturb one another; the longest begins first.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;

use anyhow::{Context, Result, ensure};

use super::{Elector, Event, Options, Results, Seen};

/// Runs every distance of adverts in a process of its own, so many at a time.
pub(super) fn run(options: &Options) -> Result<Results> {
    let mut waiting = options.adverts.clone();
    waiting.sort_unstable();
    let (waiting, done) = (Mutex::new(waiting), Mutex::new(Ok(Results::new())));
    thread::scope(|scope| {
        for _ in 0..options.at_once {
            scope.spawn(|| {
                while let Some(advert) = waiting.lock().ok().and_then(|mut all| all.pop()) {
                    let outcome = one(options, advert);
                    let Ok(mut done) = done.lock() else { return };
                    match (outcome, done.as_mut()) {
                        (Ok(results), Ok(all)) => all.extend(results),
                        (Err(error), Ok(_)) => *done = Err(error),
                        (_, Err(_)) => {}
                    }
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn one(options: &Options, advert: u16) -> Result<Results> {
    let file = std::env::temp_dir().join(format!("standfast-outages-{}-{advert}", std::process::id()));
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["outages", "--adverts", &advert.to_string(), "--runs", &options.runs.to_string()]);
    let events: Vec<String> = options.events.iter().map(ToString::to_string).collect();
    command.args(["--events", &events.join(",")]).arg("--results").arg(&file);
    options.places.pass_on(&mut command);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let status = command.status().context("run a lab of its own")?;
    let text = std::fs::read_to_string(&file);
    // Nobody needs it any more, and absent it hurts nobody.
    let _ = std::fs::remove_file(&file);
    let text = text.with_context(|| format!("adverts every {advert} ms: {status}"))?;
    text.lines().map(|line| parse(line).with_context(|| line.to_owned())).try_fold(
        Results::new(),
        |mut all, parsed| {
            let (key, seen) = parsed?;
            all.entry(key).or_default().push(seen);
            Ok(all)
        },
    )
}

/// One line a run: elector, event, adverts, and what the client saw.
pub(super) fn save(results: &Results, path: &Path) -> Result<()> {
    let mut text = String::new();
    for ((elector, event, advert), runs) in results {
        for run in runs {
            let seen = match run {
                Some(seen) => format!("{} {}", seen.outage_ms, seen.two_holders_ms),
                None => "-".to_owned(),
            };
            text += &format!("{elector:?} {event} {advert} {seen}\n");
        }
    }
    let new: PathBuf = path.with_extension("new");
    std::fs::write(&new, text)?;
    std::fs::rename(&new, path).with_context(|| format!("write {}", path.display()))
}

fn parse(line: &str) -> Result<((Elector, Event, u16), Option<Seen>)> {
    let words: Vec<&str> = line.split(' ').collect();
    let [elector, event, advert, seen @ ..] = words.as_slice() else { anyhow::bail!("too short") };
    let elector = [Elector::Vrrpd, Elector::Keepalived].into_iter().find(|it| format!("{it:?}") == *elector);
    let event = Event::ALL.into_iter().find(|it| it.to_string() == *event);
    let key = (elector.context("which elector?")?, event.context("which event?")?, advert.parse()?);
    let seen = match seen {
        ["-"] => None,
        [outage, doubled] => Some(Seen { outage_ms: outage.parse()?, two_holders_ms: doubled.parse()? }),
        _ => {
            ensure!(false, "what was seen?");
            None
        }
    };
    Ok((key, seen))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_back_as_they_were_saved() {
        let path = std::env::temp_dir().join(format!("standfast-outages-test-{}", std::process::id()));
        let mut results = Results::new();
        let seen = Some(Seen { outage_ms: 41.5, two_holders_ms: 0.0 });
        results.insert((Elector::Keepalived, Event::LinkDown, 10), vec![seen, None]);
        save(&results, &path).expect("saved");
        let text = std::fs::read_to_string(&path).expect("file");
        std::fs::remove_file(&path).expect("remove");
        let lines: Vec<_> = text.lines().map(|line| parse(line).expect(line)).collect();
        assert_eq!(lines[0].0, (Elector::Keepalived, Event::LinkDown, 10));
        assert_eq!(lines[0].1.map(|it| (it.outage_ms, it.two_holders_ms)), Some((41.5, 0.0)));
        assert!(lines[1].1.is_none());
        assert!(parse("Vrrpd link-down 10 1").is_err() && parse("").is_err());
    }
}
