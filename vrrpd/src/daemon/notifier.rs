//! The operator's programs that are run at changes of state, with keepalived's arguments: INSTANCE, name, state, priority.
//! One at a time and in the order of the changes; one that never ends is killed.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::child::{self, Running};
use crate::log::log;

const PATIENCE: Duration = Duration::from_secs(30);
/// A flapping router must not fill the memory: the oldest news go first.
const MOST_WAITING: usize = 64;
const USER: &str = "nobody";

struct News {
    program: PathBuf,
    arguments: [String; 4],
}

#[derive(Default)]
pub(crate) struct Notifier {
    waiting: VecDeque<News>,
    running: Option<Running>,
}

impl Notifier {
    pub(crate) fn tell(&mut self, program: PathBuf, name: &str, state: &str, priority: u8) {
        if self.waiting.len() == MOST_WAITING {
            self.waiting.pop_front();
            log!("warn", "notification-lost", "why=\"the programs before it do not end\"");
        }
        let arguments = ["INSTANCE".to_owned(), name.to_owned(), state.to_owned(), priority.to_string()];
        self.waiting.push_back(News { program, arguments });
    }

    /// Takes what has ended and starts what is next.
    pub(crate) fn poll(&mut self, now: Instant) {
        if let Some(running) = &mut self.running {
            match running.ended() {
                None if now < running.since + PATIENCE => return,
                None => log!("warn", "notification", "error=\"killed after {} s\"", PATIENCE.as_secs()),
                Some(Some(0)) => {}
                Some(code) => log!("warn", "notification", "status={}", code.unwrap_or(-1)),
            }
            self.running = None;
        }
        while self.running.is_none() {
            let Some(news) = self.waiting.pop_front() else { return };
            let program = news.program.display().to_string();
            match Running::start(&mut child::unprivileged(&program, &news.arguments, USER)) {
                Ok(running) => self.running = Some(running),
                Err(error) => log!("error", "not-notified", "program={program} error=\"{error}\""),
            }
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.running.is_none() && self.waiting.is_empty()
    }

    pub(crate) fn fd(&self) -> Option<i32> {
        self.running.as_ref().map(Running::fd)
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.running.as_ref().map(|running| running.since + PATIENCE)
    }
}
