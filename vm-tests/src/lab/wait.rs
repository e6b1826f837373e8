//! Waiting for a condition, with a limit and a sentence for when it does not come.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Asks every 5 ms until `condition` holds; the error says what was waited for.
pub(crate) fn until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) -> Result<Duration> {
    let start = Instant::now();
    while !condition() {
        if start.elapsed() > limit {
            bail!("waited {:.1} s in vain for: {what}", limit.as_secs_f64());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(start.elapsed())
}
