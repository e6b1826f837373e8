//! `standfast route`: where the running proxy would send a statement, and why, step by step.

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use crate::control::{ask, paths, say};
use crate::status::screen::{cell, clean, list};

/// The statement, and who would run it.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// One statement, as a client would send it
    #[arg(value_name = "SQL")]
    sql: String,
    /// Who runs it
    #[arg(long, value_name = "NAME", default_value = "")]
    user: String,
    /// In which schema; the user's default one if not given
    #[arg(long, value_name = "NAME", default_value = "")]
    schema: String,
    /// From which address
    #[arg(long, value_name = "ADDRESS", default_value = "")]
    client: String,
    /// The proxy's own answer as one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(config: &Path, options: &Options) -> ExitCode {
    let question = json!({
        "sql": options.sql, "user": options.user, "schema": options.schema, "client": options.client,
    });
    let answer = ask(&paths(config).proxyd_socket(), &format!("route {question}"));
    let refusal = match &answer {
        Ok(answer) => answer.get("error").map(|error| cell(Some(error))),
        Err(why) => Some(format!("standfast-proxyd: {}", clean(why))),
    };
    match (answer, refusal) {
        (Ok(answer), None) => {
            say(&if options.json { format!("{answer}\n") } else { render(&answer) });
            ExitCode::SUCCESS
        }
        (_, refusal) => {
            eprintln!("standfast route: {}", refusal.unwrap_or_default());
            ExitCode::FAILURE
        }
    }
}

fn render(answer: &Value) -> String {
    let text = |key| cell(answer.get(key));
    let mut page = format!("digest     {}  {}\n", text("digest"), text("digest_text"));
    // Writing to a String cannot fail.
    let _ = writeln!(page, "schema     {}", text("schema"));
    let steps = list(answer, "steps");
    for step in steps {
        page.push_str(&rule(step));
    }
    if steps.is_empty() {
        page.push_str("rules      none matches\n");
    }
    if let Some(sql) = answer.get("rewritten").and_then(Value::as_str) {
        let _ = writeln!(page, "rewritten  {}", clean(sql));
    }
    if let Some(own) = answer.get("answer").and_then(Value::as_str) {
        let _ = writeln!(page, "answer     the proxy's own, {}", clean(own));
        return page;
    }
    let _ = writeln!(page, "hostgroup  {}: {}", text("hostgroup"), text("because"));
    let servers = list(answer, "servers");
    for server in servers {
        let eligible = server.get("eligible").and_then(Value::as_bool) == Some(true);
        let fate = if eligible { "eligible" } else { "not eligible" };
        let part = |key| cell(server.get(key));
        let _ = writeln!(
            page,
            "server     {}  {fate}, weight {}: {}",
            part("server"),
            part("weight"),
            part("why")
        );
    }
    if servers.is_empty() && answer.get("hostgroup").is_some_and(|it| !it.is_null()) {
        page.push_str("server     there is none in this hostgroup\n");
    }
    for note in list(answer, "notes") {
        let _ = writeln!(page, "note       {}", cell(Some(note)));
    }
    page
}

/// `rule 201   flagIN 0: match_digest=^SELECT => destination_hostgroup=501; flagOUT 7; apply`
fn rule(step: &Value) -> String {
    let part = |key| cell(step.get(key));
    let said = |key: &str| step.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(clean);
    let conditions = said("conditions").unwrap_or_else(|| "every query".into());
    let mut line = format!("rule {:<5} flagIN {}: {conditions}", part("rule_id"), part("flagIN"));
    if let Some(outputs) = said("outputs") {
        let _ = write!(line, " => {outputs}");
    }
    if step.get("flagOUT").is_some_and(|flag| !flag.is_null()) {
        let _ = write!(line, "; flagOUT {}", part("flagOUT"));
    }
    if step.get("apply").and_then(Value::as_bool) == Some(true) {
        line.push_str("; apply");
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::render;

    #[test]
    fn a_page_with_everything() {
        let mut answer = json!({
            "digest": "0x0A", "digest_text": "SELECT ?", "schema": "test",
            "steps": [
                { "rule_id": 1, "flagIN": 0, "flagOUT": 7, "apply": false, "conditions": "", "outputs": "retries=3" },
                { "rule_id": 201, "flagIN": 7, "flagOUT": null, "apply": true, "conditions": "match_digest=^SELECT", "outputs": "" },
            ],
            "answer": null, "rewritten": "SELECT 2", "hostgroup": 501, "because": "rule 201",
            "servers": [
                { "server": "a:3306", "eligible": true, "weight": 1, "why": "100 % of what is not tied elsewhere" },
                { "server": "b:3306", "eligible": false, "weight": 1, "why": "SHUNNED: refused\u{1b}" },
            ],
            "notes": ["inside a transaction it stays"],
        });
        assert_eq!(
            render(&answer),
            "digest     0x0A  SELECT ?\n\
             schema     test\n\
             rule 1     flagIN 0: every query => retries=3; flagOUT 7\n\
             rule 201   flagIN 7: match_digest=^SELECT; apply\n\
             rewritten  SELECT 2\n\
             hostgroup  501: rule 201\n\
             server     a:3306  eligible, weight 1: 100 % of what is not tied elsewhere\n\
             server     b:3306  not eligible, weight 1: SHUNNED: refused?\n\
             note       inside a transaction it stays\n"
        );
        answer["answer"] = json!("error_msg: no");
        assert!(render(&answer).ends_with("answer     the proxy's own, error_msg: no\n"));
    }
}
