//! `standfast why VIP`: who has a virtual address, since when, because of what, and what would have to happen for it to move,
//! as this host's vrrpd sees it.

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use serde_json::Value;

use crate::control::{ask, paths, say};
use crate::status::screen::{cell, clean, list, span};

pub(crate) fn run(config: &Path, vip: &str) -> ExitCode {
    let answer = ask(&paths(config).vrrpd_socket(), &format!("why {vip}"));
    let refusal = match &answer {
        Ok(answer) => answer.get("error").map(|error| cell(Some(error))),
        Err(why) => Some(format!("standfast-vrrpd: {}", clean(why))),
    };
    match (answer, refusal) {
        (Ok(answer), None) => {
            say(&render(&answer));
            ExitCode::SUCCESS
        }
        (_, refusal) => {
            eprintln!("standfast why: {}", refusal.unwrap_or_default());
            ExitCode::FAILURE
        }
    }
}

fn render(answer: &Value) -> String {
    let text = |key| cell(answer.get(key));
    let since = |key| answer.get(key).and_then(Value::as_u64).map(span);
    let vips: Vec<String> = list(answer, "vips").iter().map(|vip| cell(Some(vip))).collect();
    let mut page = format!("{} ({}): ", vips.join(", "), text("router"));
    match answer.get("owner").filter(|owner| !owner.is_null()) {
        None => page.push_str("nobody that this host knows of has it"),
        Some(owner) => page.push_str(&cell(Some(owner))),
    }
    if let Some(time) = since("owner_for_ms") {
        let _ = write!(page, ", for {time}");
    }
    let time = since("since_ms").unwrap_or_else(|| "-".into());
    let _ = writeln!(
        page,
        "\n{} is {} for {time} ({}): {}",
        text("host"),
        text("state"),
        text("cause"),
        text("because")
    );
    if answer.get("accept") == Some(&Value::Bool(false)) {
        page.push_str("Packets to it are dropped (accept = false).\n");
    }
    page.push_str("What would move it:\n");
    for reason in list(answer, "moves") {
        let _ = writeln!(page, "- {}", cell(Some(reason)));
    }
    page
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::render;

    #[test]
    fn a_page_for_a_backup_and_for_a_fault() {
        let mut answer = json!({
            "host": "test2", "router": "VI_1", "vips": ["192.0.2.88"], "state": "BACKUP", "since_ms": 61_000,
            "cause": "startup", "because": "it has started and listens for a master", "owner": "test1",
            "owner_for_ms": 12_000, "moves": ["test1 is silent for 341 ms", "test1 resigns"],
        });
        assert_eq!(
            render(&answer),
            "192.0.2.88 (VI_1): test1, for 12s\n\
             test2 is BACKUP for 1m01s (startup): it has started and listens for a master\n\
             What would move it:\n- test1 is silent for 341 ms\n- test1 resigns\n"
        );
        answer["accept"] = json!(false);
        assert!(render(&answer).contains("Packets to it are dropped (accept = false).\n"));
        answer["owner"] = json!(null);
        answer["owner_for_ms"] = json!(null);
        assert!(
            render(&answer).starts_with("192.0.2.88 (VI_1): nobody that this host knows of has it\ntest2")
        );
    }
}
