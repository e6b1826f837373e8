//! `standfast status`: asks the three daemons and shows their answers on one screen, whichever of them are there.

pub(crate) mod screen;
#[cfg(test)]
mod screen_tests;
mod table;

use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use configs::Paths;
use serde_json::{Value, json};

use crate::control::{ask, paths, say};

/// What each daemon says of itself, or why it says nothing.
pub(crate) struct Answers {
    pub(crate) angel: Result<Value, String>,
    pub(crate) vrrpd: Result<Value, String>,
    pub(crate) proxyd: Result<Value, String>,
}

impl Answers {
    fn gather(paths: &Paths) -> Answers {
        let (angel, vrrpd, proxyd) = (paths.angel_socket(), paths.vrrpd_socket(), paths.proxyd_socket());
        thread::scope(|scope| {
            // At once: three that hang cost the patience of one.
            let vrrpd = scope.spawn(|| ask(&vrrpd, "status"));
            let proxyd = scope.spawn(|| ask(&proxyd, "status"));
            let angel = ask(&angel, "status");
            let lost = |_| Err("the question was lost".to_owned());
            Answers {
                angel,
                vrrpd: vrrpd.join().unwrap_or_else(lost),
                proxyd: proxyd.join().unwrap_or_else(lost),
            }
        })
    }

    fn complete(&self) -> bool {
        self.angel.is_ok() && self.vrrpd.is_ok() && self.proxyd.is_ok()
    }

    fn json(&self) -> Value {
        let one = |answer: &Result<Value, String>| match answer {
            Ok(value) => value.clone(),
            Err(why) => json!({ "error": why }),
        };
        json!({ "angel": one(&self.angel), "vrrpd": one(&self.vrrpd), "proxyd": one(&self.proxyd) })
    }
}

const CLEAR: &str = "\x1b[H\x1b[2J";
const PAUSE: Duration = Duration::from_secs(1);

/// Exit status 0 if all daemons answered, 1 if not; with `watch` until nobody reads any more.
pub(crate) fn run(config: &Path, json: bool, watch: bool) -> ExitCode {
    let paths = paths(config);
    loop {
        let answers = Answers::gather(&paths);
        let text = match (json, watch) {
            (true, _) => format!("{}\n", answers.json()),
            (false, true) => format!("{CLEAR}{}", screen::render(&answers)),
            (false, false) => screen::render(&answers),
        };
        let read = say(&text);
        if !watch || !read {
            return if answers.complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        thread::sleep(PAUSE);
    }
}
