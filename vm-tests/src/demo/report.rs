//! The report file: every event of every run, for machines.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::drills::stage::Event;
use crate::lab::layout::Layout;

#[derive(Serialize)]
struct Report<'a> {
    layout: &'static str,
    advert_ms: u64,
    events: &'a [Event],
}

pub(crate) fn write(path: &Path, layout: Layout, advert_ms: u64, events: &[Event]) -> Result<()> {
    let report = Report { layout: layout.name(), advert_ms, events };
    let text = serde_json::to_string_pretty(&report)?;
    std::fs::write(path, text + "\n").with_context(|| format!("write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_are_those_that_readers_expect() {
        let event = Event {
            event: "proxyd-kill",
            run: 1,
            outage_ms: 42.5,
            refused: 0,
            errors: 1,
            idle_lost: 20,
            from: "test1".into(),
            to: "test1".into(),
            two_masters_ms: 0.0,
            by_text: vec!["1 x lost".into()],
        };
        let text = serde_json::to_string(&Report { layout: "single-vip", advert_ms: 100, events: &[event] })
            .expect("json");
        assert_eq!(
            text,
            r#"{"layout":"single-vip","advert_ms":100,"events":[{"event":"proxyd-kill","run":1,"outage_ms":42.5,"refused":0,"errors":1,"idle_lost":20,"from":"test1","to":"test1","two_masters_ms":0.0}]}"#
        );
    }
}
