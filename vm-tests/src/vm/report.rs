//! What a suite leaves behind: `events.json` for machines, `index.html` for people.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::stage::Event;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem;color:#1c2733}\
table{border-collapse:collapse;width:100%}th,td{padding:.35rem .6rem;border-bottom:1px solid #dde3ea;text-align:left;vertical-align:top}\
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}tr.wrong{background:#fdeceb}.note{color:#5a6775}\
pre{background:#f5f7fa;padding:.6rem;overflow-x:auto;font-size:12px;max-height:24rem}summary{cursor:pointer}";

pub(crate) fn write(directory: &Path, events: &[Event]) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("create {}", directory.display()))?;
    let json = serde_json::to_string_pretty(events)? + "\n";
    fs::write(directory.join("events.json"), json).context("write events.json")?;
    fs::write(directory.join("index.html"), page(events)).context("write index.html")
}

/// The events that a suite left in this directory.
pub(crate) fn read(directory: &Path) -> Result<Vec<Event>> {
    let path = directory.join("events.json");
    let json = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    serde_json::from_str(&json).with_context(|| format!("{} is not what a suite writes", path.display()))
}

fn page(events: &[Event]) -> String {
    let wrong = events.iter().filter(|event| event.wrong.is_some()).count();
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Failover drills in three machines</title><style>{STYLE}</style>\
         <h1>Failover drills in three machines</h1><p>{} events, {wrong} wrong. Each drill begins with three Debian machines with the package installed by apt, \
         adverts every 100 ms, the article's loop, and a new connection with one query every 40 ms at every VIP. \
         <span class=\"note\">The machines are emulated in software: what needs a processor takes ten to twenty times as long as on a real one. \
         “Late” is by how much the measuring side itself was late, “starved” how much of the time a host waited for a processor of this machine; above 20 % an expectation that failed is called inconclusive.</span></p>\
         <table><tr><th>Product<th>Layout<th>Event<th>VIP<th class=n>Outage, ms<th class=n>Attempts<th class=n>Refused<th class=n>Failed<th class=n>Loop<th class=n>Two masters, ms<th class=n>Late, ms<th class=n>Starved, %<th>Details</tr>",
        events.len()
    );
    events.iter().for_each(|event| row(&mut html, event));
    html.push_str("</table></html>\n");
    html
}

fn row(html: &mut String, event: &Event) {
    let class = if event.wrong.is_some() { " class=wrong" } else { "" };
    let mut details = String::new();
    for text in event.wrong.iter().chain(&event.inconclusive).chain(&event.what_failed) {
        let _ = write!(details, "{}<br>", escape(text));
    }
    for (host, log) in &event.logs {
        let _ = write!(details, "<b>{}</b><pre>{}</pre>", escape(host), escape(log));
    }
    // Writing into a String cannot fail.
    let _ = write!(
        html,
        "<tr{class}><td>{}<td>{}<td>{}<td>{} → {}<td class=n>{:.0}<td class=n>{}<td class=n>{}<td class=n>{}<td class=n>{}<td class=n>{:.0}<td class=n>{:.0}<td class=n>{:.0}<td><details><summary>{}</summary>{details}</details></tr>",
        event.product.name(),
        event.layout.name(),
        escape(&event.drill),
        escape(&event.from),
        escape(&event.to),
        event.outage_ms,
        event.attempts,
        event.refused,
        event.failed,
        event.loop_failed,
        event.two_masters_ms,
        event.late_ms,
        event.starved_percent,
        verdict(event),
    );
}

fn verdict(event: &Event) -> &'static str {
    match event {
        Event { wrong: Some(_), .. } => "wrong",
        Event { inconclusive: Some(_), .. } => "inconclusive",
        _ => "as it should",
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::product::Product;
    use crate::vm::trio::Layout;

    #[test]
    fn a_log_is_text_and_never_markup() {
        let mut event =
            Event::failed(Product::Standfast, Layout::SingleVip, "drill", &anyhow::anyhow!("a < b"));
        event.logs = vec![("test1".into(), "<script>".into())];
        let page = page(&[event]);
        assert!(page.contains("&lt;script&gt;") && page.contains("a &lt; b") && !page.contains("<script>"));
        assert!(page.contains("1 events, 1 wrong"));
    }
}
