//! Where a statement would go, and why: the rules step by step, the hostgroup, its servers. For `standfast route` and
//! `EXPLAIN ROUTE`. Nothing is run and nothing is counted.

use serde_json::{Value, json};

use super::service::{Admin, Answer};
use super::store::ResultSet;
use crate::route::{Decision, DigestFacts, QueryFacts, Step, Suspect, Trace, Verdict};
use crate::session::annotations;
use crate::snapshot::{Hostgroup, HostgroupId, Snapshot, User};

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Question {
    pub sql: String,
    /// Empty: nobody, so that no rule with a username matches.
    pub user: String,
    /// Empty: the user's default schema.
    pub schema: String,
    /// The client's address; empty is an address that no rule names.
    pub client: String,
}

impl Question {
    /// From `standfast route`'s request: `{"sql": …, "user": …, "schema": …, "client": …}`.
    pub fn from_json(text: &str) -> Result<Question, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        match text("sql") {
            sql if sql.is_empty() => Err("there is no statement in the request".into()),
            sql => Ok(Question { sql, user: text("user"), schema: text("schema"), client: text("client") }),
        }
    }
}

impl Admin {
    /// The answer to `standfast route`.
    pub fn route(&self, question: &Question) -> Value {
        explain(&self.runtime.borrow().snapshot(), question)
    }

    /// The answer to `EXPLAIN ROUTE`: the same as rows.
    pub(super) fn explain_route(&self, question: &Question) -> Answer {
        let answer = self.route(question);
        let columns = ["step", "name", "detail"].map(str::to_owned).to_vec();
        let rows = lines(&answer).into_iter().map(|line| line.map(Some).to_vec()).collect();
        Answer::Rows(ResultSet { columns, rows })
    }
}

fn explain(snapshot: &Snapshot, question: &Question) -> Value {
    let variables = &snapshot.variables;
    let user = snapshot.users.get(question.user.as_str());
    let user = user.as_deref().map(|user| &**user);
    let schema = schema_of(snapshot, user, question);
    let text = question.sql.as_bytes();
    let mut digester = proxyd_sql::Digester::new(variables.digest_options);
    digester.digest(text);
    // As the sessions do it: without digests, rules that ask for one do not match.
    let has_digest =
        variables.query_digests || variables.firewall_whitelist_enabled || snapshot.rules.needs_digest();
    let facts = QueryFacts {
        username: &question.user,
        schemaname: &schema,
        client_addr: &question.client,
        proxy_addr: "",
        proxy_port: 0,
        query: text,
        digest: has_digest.then(|| DigestFacts { text: digester.text(), hash: digester.hash() }),
        flag_in: 0,
        iterations: variables.query_processor_iterations,
        random: 0,
    };
    let said = annotations(text, variables);
    let mut before = Decision::default();
    if let Some(said) = said.as_ref().filter(|_| variables.first_comment_before_rules) {
        before.annotate(said);
    }
    let asked_before = before.destination_hostgroup;
    let mut trace = snapshot.rules.explain(before, &facts);
    let by_rules = trace.decision.destination_hostgroup;
    if let Some(said) = said.as_ref().filter(|_| variables.first_comment_after_rules) {
        trace.decision.annotate(said);
    }
    let by_comment = trace.decision.destination_hostgroup != by_rules
        || (asked_before.is_some() && named_by(&trace).is_none() && trace.fast_routing.is_none());
    let verdict = firewall(snapshot, &facts, trace.decision.flag);
    let answer = own_answer(snapshot, &trace.decision, verdict);
    let (hostgroup, because) = destination(&trace, by_comment, user, question);
    json!({
        "user": question.user,
        "schema": schema,
        "digest_text": digester.text(),
        "digest": format!("0x{:016X}", digester.hash()),
        "steps": trace.steps.iter().map(step).collect::<Vec<_>>(),
        "flag": trace.decision.flag,
        "answer": answer,
        "hostgroup": hostgroup,
        "because": because,
        "rewritten": trace.decision.rewritten.as_deref().map(String::from_utf8_lossy),
        "servers": hostgroup.map_or_else(Vec::new, |hostgroup| servers(snapshot, hostgroup)),
        "notes": notes(snapshot, user, question),
    })
}

fn schema_of(snapshot: &Snapshot, user: Option<&User>, question: &Question) -> String {
    let default = user.map_or("", |user| &user.default_schema);
    let fallback = snapshot.variables.default_schema.as_str();
    [question.schema.as_str(), default, fallback]
        .into_iter()
        .find(|name| !name.is_empty())
        .unwrap_or_default()
        .to_owned()
}

/// The last rule that named a hostgroup.
fn named_by<'t>(trace: &'t Trace<'_>) -> Option<&'t Step> {
    trace
        .steps
        .iter()
        .rev()
        .find(|step| step.outputs.iter().any(|(name, _)| *name == "destination_hostgroup"))
}

fn destination(
    trace: &Trace<'_>,
    by_comment: bool,
    user: Option<&User>,
    question: &Question,
) -> (Option<HostgroupId>, String) {
    if let Some(hostgroup) = trace.decision.destination_hostgroup {
        let because = if by_comment {
            "the statement's comment".to_owned()
        } else if trace.fast_routing.is_some() {
            "mysql_query_rules_fast_routing has a row for this user and schema, and no rule had apply"
                .to_owned()
        } else {
            named_by(trace).map_or_else(String::new, |step| format!("rule {}", step.rule_id))
        };
        return (Some(hostgroup), because);
    }
    let none =
        if trace.steps.is_empty() { "no rule matched" } else { "no rule that matched names a hostgroup" };
    match user {
        Some(user) => {
            (Some(user.default_hostgroup), format!("{none}: default_hostgroup of user {}", question.user))
        }
        None if question.user.is_empty() => {
            (None, format!("{none}, and without a user there is no default_hostgroup"))
        }
        None => (None, format!("{none}, and there is no user {} at runtime", question.user)),
    }
}

fn firewall(snapshot: &Snapshot, facts: &QueryFacts<'_>, flag: u32) -> Option<Verdict> {
    snapshot.variables.firewall_whitelist_enabled.then(|| {
        snapshot.firewall.judge(&Suspect {
            username: facts.username,
            client_address: facts.client_addr,
            schemaname: facts.schemaname,
            flag,
            digest: facts.digest.map(|digest| digest.hash),
        })
    })
}

/// What the proxy answers itself, without asking a server.
fn own_answer(snapshot: &Snapshot, decision: &Decision<'_>, verdict: Option<Verdict>) -> Option<String> {
    if verdict == Some(Verdict::Blocked) {
        return Some(format!("the firewall's error: {}", snapshot.variables.firewall_whitelist_errormsg));
    }
    let error = decision.error_msg.map(|message| format!("error_msg: {message}"));
    error.or_else(|| decision.ok_msg.map(|message| format!("OK_msg: {message}")))
}

fn step(step: &Step) -> Value {
    let list = |pairs: &[(&'static str, String)]| {
        pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(", ")
    };
    json!({
        "rule_id": step.rule_id,
        "flagIN": step.flag_in,
        "flagOUT": step.flag_out,
        "apply": step.apply,
        "conditions": list(&step.conditions),
        "outputs": list(&step.outputs),
        "rewritten": step.rewritten.as_deref().map(String::from_utf8_lossy),
    })
}

/// The hostgroup's servers: which of them the pool would choose from now, and why not the others.
fn servers(snapshot: &Snapshot, hostgroup: HostgroupId) -> Vec<Value> {
    let Some(hostgroup) = snapshot.hostgroups.get(&hostgroup) else { return Vec::new() };
    let total: u64 = hostgroup
        .members
        .iter()
        .filter(|it| refusal(hostgroup, it).is_none())
        .map(|it| u64::from(it.weight))
        .sum();
    let one = |member: &crate::snapshot::Member| {
        let refusal = refusal(hostgroup, member);
        let share = refusal.is_none().then(|| u64::from(member.weight) * 100 / total.max(1));
        json!({
            "server": format!("{}:{}", member.server.hostname, member.server.port),
            "status": member.status.as_str(),
            "weight": member.weight,
            "eligible": refusal.is_none(),
            "why": refusal.unwrap_or_else(|| format!("{} % of what is not tied elsewhere", share.unwrap_or(0))),
        })
    };
    hostgroup.members.iter().map(one).collect()
}

/// Why the pool would not choose this server.
fn refusal(hostgroup: &Hostgroup, member: &crate::snapshot::Member) -> Option<String> {
    use crate::snapshot::Status;
    if hostgroup.has_too_many_online() {
        Some("the hostgroup has more ONLINE servers than max_num_online_servers".into())
    } else if member.status != Status::Online {
        let reason = if member.reason.is_empty() { "as configured" } else { &member.reason };
        Some(format!("{}: {reason}", member.status.as_str()))
    } else if member.weight == 0 {
        Some("its weight is 0".into())
    } else if member.is_full() {
        Some(format!(
            "its max_connections ({}) are taken; an idle one of them may serve",
            member.max_connections
        ))
    } else {
        None
    }
}

fn notes(snapshot: &Snapshot, user: Option<&User>, question: &Question) -> Vec<String> {
    let mut notes = Vec::new();
    match user {
        Some(user) if user.transaction_persistent => notes.push(
            "inside a transaction, or while something else ties the session to a server, it stays there"
                .to_owned(),
        ),
        Some(_) => {
            notes.push("transaction_persistent=0: inside a transaction the rules hold as well".to_owned())
        }
        None if question.user.is_empty() => {
            notes.push("no user was given: rules with a username do not match".to_owned());
        }
        None => {}
    }
    if !snapshot.variables.query_digests && !snapshot.rules.needs_digest() {
        notes.push("mysql-query_digests is off".to_owned());
    }
    notes
}

/// The answer as lines of three cells.
fn lines(answer: &Value) -> Vec<[String; 3]> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let list = |key: &str| answer[key].as_array().cloned().unwrap_or_default();
    let mut lines = vec![["digest".to_owned(), text(&answer["digest"]), text(&answer["digest_text"])]];
    for step in list("steps") {
        let mut detail = format!("flagIN {}: {}", step["flagIN"], text(&step["conditions"]));
        if let Some(outputs) = step["outputs"].as_str().filter(|outputs| !outputs.is_empty()) {
            detail.push_str(&format!(" => {outputs}"));
        }
        if !step["flagOUT"].is_null() {
            detail.push_str(&format!("; flagOUT {}", step["flagOUT"]));
        }
        if step["apply"] == true {
            detail.push_str("; apply");
        }
        lines.push(["rule".to_owned(), step["rule_id"].to_string(), detail]);
    }
    if let Some(sql) = answer["rewritten"].as_str() {
        lines.push(["rewritten".to_owned(), String::new(), sql.to_owned()]);
    }
    if let Some(own) = answer["answer"].as_str() {
        lines.push(["answer".to_owned(), "the proxy's own".to_owned(), own.to_owned()]);
        return lines;
    }
    let hostgroup =
        if answer["hostgroup"].is_null() { "none".to_owned() } else { answer["hostgroup"].to_string() };
    lines.push(["hostgroup".to_owned(), hostgroup, text(&answer["because"])]);
    for server in list("servers") {
        let fate = if server["eligible"] == true { "eligible" } else { "not eligible" };
        let detail = format!("{fate}, weight {}: {}", server["weight"], text(&server["why"]));
        lines.push(["server".to_owned(), text(&server["server"]), detail]);
    }
    if list("servers").is_empty() && !answer["hostgroup"].is_null() {
        lines.push([
            "server".to_owned(),
            "none".to_owned(),
            "there is no server in this hostgroup".to_owned(),
        ]);
    }
    lines.extend(list("notes").iter().map(|note| ["note".to_owned(), String::new(), text(note)]));
    lines
}
