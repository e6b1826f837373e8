//! What a viewer sees while drills run: a line for each thing that happens, and on a terminal a moving line below them.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::client::probe::Log;

const REFRESH: Duration = Duration::from_millis(200);

/// Prints; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    bar: Option<ProgressBar>,
    start: Instant,
    over: Arc<AtomicBool>,
}

impl Live {
    pub(crate) fn start() -> Self {
        let bar = std::io::stdout().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self { bar, start: Instant::now(), over: Arc::default() }
    }

    /// One line, with the time since the start.
    pub(crate) fn say(&self, text: &str) {
        let line = format!("{:7.2} s  {text}", self.start.elapsed().as_secs_f64());
        match &self.bar {
            Some(bar) => bar.println(line),
            // Whoever read this may have gone (`| head`).
            None => drop(writeln!(std::io::stdout(), "{line}")),
        }
    }

    /// Shows the probes' pulse until [`Live::finish`]; on a terminal only.
    pub(crate) fn follow(&self, logs: Vec<Log>) {
        let Some(bar) = self.bar.clone() else { return };
        let over = Arc::clone(&self.over);
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                std::thread::sleep(REFRESH);
                bar.set_message(pulse(&logs, Instant::now()));
                bar.tick();
            }
            bar.finish_and_clear();
        });
    }

    pub(crate) fn finish(&self) {
        self.over.store(true, Ordering::Relaxed);
        if self.bar.is_some() {
            std::thread::sleep(REFRESH * 2);
        }
    }
}

/// One second of each probe, a character for each 25 ms: answered, failed, or nothing heard.
fn pulse(logs: &[Log], now: Instant) -> String {
    const STEPS: u32 = 40;
    let step = Duration::from_millis(25);
    let line = |log: &Log| {
        let samples = log.since(now);
        let mut marks = vec!['\u{b7}'; STEPS as usize];
        for sample in &samples {
            let age = now.saturating_duration_since(sample.end).as_millis() / step.as_millis();
            let Some(mark) = usize::try_from(age).ok().and_then(|age| (STEPS as usize - 1).checked_sub(age))
            else {
                continue;
            };
            marks[mark] = match (&sample.result, marks[mark]) {
                (Ok(()), _) => '\u{2588}',
                (Err(_), '\u{2588}') => '\u{2588}',
                (Err(_), _) => 'x',
            };
        }
        marks.into_iter().collect::<String>()
    };
    logs.iter().map(line).collect::<Vec<_>>().join(" | ")
}
