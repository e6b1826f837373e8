//! The operator's programs that are run at changes of state: `notify` with keepalived's arguments (INSTANCE, name, state,
//! priority), those of one state with their own. One at a time and in the order of the changes; one that never ends is killed.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use configs::Notify;

use crate::child::{self, Running};
use crate::log::log;

const PATIENCE: Duration = Duration::from_secs(30);
/// A flapping router must not fill the memory: the oldest news go first.
const MOST_WAITING: usize = 64;
const USER: &str = "nobody";

struct News {
    program: String,
    arguments: Vec<String>,
}

#[derive(Default)]
pub(crate) struct Notifier {
    waiting: VecDeque<News>,
    running: Option<Running>,
}

impl Notifier {
    /// Everybody whom this change concerns.
    pub(crate) fn tell(&mut self, whom: &Notify, name: &str, state: &str, priority: u8) {
        if let Some(program) = &whom.always {
            let arguments = ["INSTANCE", name, state, &priority.to_string()].map(str::to_owned).to_vec();
            self.add(News { program: program.display().to_string(), arguments });
        }
        if let Some((program, arguments)) = whom.of(state).split_first() {
            self.add(News { program: program.clone(), arguments: arguments.to_vec() });
        }
    }

    fn add(&mut self, news: News) {
        if self.waiting.len() == MOST_WAITING {
            self.waiting.pop_front();
            log!("warn", "notification-lost", "why=\"the programs before it do not end\"");
        }
        self.waiting.push_back(news);
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
            let program = news.program;
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
