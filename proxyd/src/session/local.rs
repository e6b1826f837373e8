//! What the proxy decides about a statement without asking a backend: rules, and the few statements it answers itself.

use std::time::Duration;

use proxyd_sql::token::{Token, TokenKind, Tokenizer, unquote};
use proxyd_sql::{Detail, Flags, Kind, Statement, classify};
use proxyd_wire::{Command, Status};

use super::cached::CachePlan;
use super::causal::{Demand, Destination};
use super::mirror::Mirror;
use super::{Session, SessionEnd};
use crate::digests::Ticket;
use crate::reply::{self, Refusal};
use crate::route::{Annotations, Decision, DigestFacts, Multiplex, QueryFacts, Suspect, Verdict};
use crate::snapshot::{HostgroupId, Snapshot};
use crate::variables::Variables;

/// Where a statement goes and with which limits.
pub struct Route {
    pub hostgroup: HostgroupId,
    pub retries: u32,
    pub timeout: Option<Duration>,
    pub delay: Option<Duration>,
    /// The text to run instead of the client's.
    pub rewritten: Option<Vec<u8>>,
    /// A rule keeps the session on its backend from here on (`sticky_conn`).
    pub sticky: bool,
    /// What the rules say of ties.
    pub multiplex: Option<Multiplex>,
    /// Where a copy of it runs.
    pub mirror: Option<Mirror>,
    /// A comment asks for a connection that nobody used before.
    pub new_connection: bool,
    /// What the rules say of the events log.
    pub log: Option<bool>,
    /// What a server must have executed before it may run it.
    pub demand: Demand,
    /// What the query cache is to do with it.
    pub cache: Option<CachePlan>,
    /// Where the statement counts, if digests are kept.
    pub digest: Option<Ticket>,
}

impl Route {
    pub fn destination(&self) -> Destination<'_> {
        match &self.demand {
            Demand::Of(causal) => Destination { hostgroup: self.hostgroup, causal: Some(causal) },
            Demand::None | Demand::Only(_) => self.hostgroup.into(),
        }
    }
}

/// An answer that needs no backend.
pub enum Answer {
    Ok {
        info: String,
    },
    Error(Refusal),
    /// One row of text.
    Row {
        column: String,
        value: String,
    },
    Kill {
        id: u32,
        query_only: bool,
    },
}

/// The answer to a statement that is about the proxy or the connection to it, if this is one.
pub fn answer(session: &Session, text: &[u8], statement: &Statement<'_>) -> Option<Answer> {
    let idle = session.attached.iter().all(|held| !held.pins.is_hard());
    match (statement.kind, statement.detail) {
        (_, Detail::Kill { query_only, id }) => {
            Some(Answer::Kill { id: u32::try_from(id).ok()?, query_only })
        }
        (_, Detail::SystemVariable(name)) if name.eq_ignore_ascii_case(b"version_comment") => {
            Some(Answer::Row { column: "@@version_comment".into(), value: "(Standfast)".into() })
        }
        (Kind::Commit | Kind::Rollback, _)
            if idle && session.settings.autocommit && words(text).count() == 1 =>
        {
            Some(Answer::Ok { info: String::new() })
        }
        // Not one that begins with signs: what it says is a server's to judge.
        (_, Detail::ConnectionId) if begins_with_select(text) => {
            let id = session.record.id.to_string();
            Some(Answer::Row { column: String::from_utf8_lossy(&text[7..]).trim().to_owned(), value: id })
        }
        _ => None,
    }
}

/// Whether anybody asks for digests.
pub fn wants_digest(snapshot: &Snapshot) -> bool {
    let variables = &snapshot.variables;
    variables.query_digests || variables.firewall_whitelist_enabled || snapshot.rules.needs_digest()
}

/// Reads a statement: what it is and, in the worker's digester, its digest, if anybody asks for one.
pub fn read<'a>(session: &Session, text: &'a [u8]) -> Statement<'a> {
    if !wants_digest(&session.snapshot()) {
        return classify(text);
    }
    let mut digester = session.worker.digester.borrow_mut();
    digester.digest(text);
    session.worker.known_shapes.borrow_mut().class(text, &digester)
}

/// What the rules say about a statement, whose digest is in the worker's digester; `Err` is what they answer themselves.
pub fn apply_rules(session: &mut Session, text: &[u8]) -> Result<Route, Answer> {
    let snapshot = session.snapshot();
    let variables = &snapshot.variables;
    let digester = session.worker.digester.borrow();
    let digest =
        wants_digest(&snapshot).then(|| DigestFacts { text: digester.text(), hash: digester.hash() });
    let facts = QueryFacts {
        username: &session.account.name,
        schemaname: &session.settings.schema,
        client_addr: &session.client_address,
        proxy_addr: &session.proxy_address,
        proxy_port: session.proxy_port,
        query: text,
        digest,
        flag_in: session.next_flag,
        iterations: variables.query_processor_iterations,
        random: session.worker.pool.random(),
    };
    let mut hits = session.worker.hits.borrow_mut();
    // A plain text has no comment: nobody need look for one.
    let is_plain = digest.is_some() && digester.is_plain();
    let said = if is_plain { None } else { annotations(text, variables) };
    let mut decision = Decision::default();
    if let Some(said) = said.as_ref().filter(|_| variables.first_comment_before_rules) {
        decision.annotate(said);
    }
    let mut decision = snapshot.rules.decide_from(decision, &facts, &mut hits);
    if let Some(said) = said.as_ref().filter(|_| variables.first_comment_after_rules) {
        decision.annotate(said);
    }
    hits.iter().for_each(|rule| session.worker.counters.rule_hit(rule));
    session.next_flag = decision.next_query_flag_in.unwrap_or(0);
    if variables.firewall_whitelist_enabled && !passes_firewall(&snapshot, &facts, decision.flag) {
        return Err(Answer::Error(Refusal::by_rule(&variables.firewall_whitelist_errormsg)));
    }
    if let Some(message) = decision.error_msg {
        return Err(Answer::Error(Refusal::by_rule(message)));
    }
    if let Some(message) = decision.ok_msg {
        return Err(Answer::Ok { info: message.to_owned() });
    }
    let default = variables.default_query_timeout;
    let mirror = Mirror::of(&decision, &snapshot, &facts, session.account.default_hostgroup);
    let mirror = mirror.map(|(mirror, hits)| {
        hits.iter().for_each(|rule| session.worker.counters.rule_hit(rule));
        mirror
    });
    let delay = Duration::from_millis(decision.delay.unwrap_or(0).into()) + variables.default_query_delay;
    let default_hostgroup = session.account.default_hostgroup;
    let hostgroup = decision.destination_hostgroup.unwrap_or(default_hostgroup);
    let demand = Demand::of(&decision, hostgroup, default_hostgroup, &session.record.gtids.borrow());
    Ok(Route {
        hostgroup,
        demand,
        retries: decision.retries.unwrap_or(variables.query_retries_on_failure),
        timeout: decision.timeout.map(|ms| Duration::from_millis(ms.into())).or(Some(default)),
        delay: (!delay.is_zero()).then_some(delay),
        sticky: decision.sticky_conn == Some(true),
        multiplex: decision.multiplex,
        mirror,
        new_connection: decision.new_connection,
        log: decision.log,
        cache: CachePlan::of(&decision, variables),
        rewritten: decision.rewritten,
        digest: None,
    })
}

/// What the statement's first comment asks for, if anybody reads it.
pub fn annotations(text: &[u8], variables: &Variables) -> Option<Annotations> {
    if !variables.first_comment_before_rules && !variables.first_comment_after_rules {
        return None;
    }
    let looked_at = text.get(..variables.digest_options.max_query_length).unwrap_or(text);
    proxyd_sql::first_comment(looked_at).map(Annotations::parse)
}

/// Whether the firewall lets a statement through; what it only detects, it says in the log.
fn passes_firewall(snapshot: &Snapshot, facts: &QueryFacts<'_>, flag: u32) -> bool {
    let suspect = Suspect {
        username: facts.username,
        client_address: facts.client_addr,
        schemaname: facts.schemaname,
        flag,
        digest: facts.digest.map(|digest| digest.hash),
    };
    let verdict = snapshot.firewall.judge(&suspect);
    if verdict == Verdict::Detected {
        let digest = facts.digest.map_or("", |digest| digest.text);
        tracing::warn!(
            user = facts.username,
            client = facts.client_addr,
            digest,
            "not on the firewall's whitelist"
        );
    }
    verdict != Verdict::Blocked
}

/// The schema that a command selects, once a backend has accepted it: COM_INIT_DB or `USE`.
pub fn schema_of(head: &[u8], statement: &Statement<'_>) -> Option<Box<str>> {
    let name = match (head.split_first(), statement.detail) {
        (Some((&command, name)), _) if command == Command::InitDb as u8 => name.into(),
        (_, Detail::Use(name)) => unquote(name),
        _ => return None,
    };
    Some(String::from_utf8_lossy(&name).into())
}

/// For a user with `schema_locked`: the other schema that a command would select. Of several statements none may be a USE.
pub fn leaves_schema(
    session: &Session,
    head: &[u8],
    text: &[u8],
    statement: &Statement<'_>,
) -> Option<Box<str>> {
    match schema_of(head, statement) {
        Some(schema) => (schema != session.settings.schema).then_some(schema),
        None => {
            let several = statement.flags.has(Flags::MULTI_STATEMENT);
            (several && begins_with(text, |token| token.is_word("use"))).then(|| "of a USE".into())
        }
    }
}

/// Whether one of several statements is a SET or a USE: what they leave behind is not taken apart.
pub fn sets_something(text: &[u8]) -> bool {
    begins_with(text, |token| token.is_word("set") || token.is_word("use"))
}

/// Whether the first word of one of the statements is such a one.
fn begins_with(text: &[u8], wanted: impl Fn(&Token<'_>) -> bool) -> bool {
    let mut at_start = true;
    words(text).any(|token| {
        let hit = at_start && wanted(&token);
        at_start = token.is_op(";");
        hit
    })
}

/// `SET STATEMENT … FOR …` is over with its statement, and `SET PASSWORD` is no state of the session.
pub fn is_harmless_set(text: &[u8]) -> bool {
    words(text).nth(1).is_some_and(|token| token.is_word("statement") || token.is_word("password"))
}

fn words(text: &[u8]) -> impl Iterator<Item = Token<'_>> {
    let marks = [TokenKind::Comment, TokenKind::ExecutableOpen, TokenKind::ExecutableClose];
    Tokenizer::new(text).filter(move |token| !marks.contains(&token.kind))
}

fn begins_with_select(text: &[u8]) -> bool {
    words(text).next().is_some_and(|token| token.is_word("select"))
}

impl Session {
    /// Sends an answer of our own.
    pub(super) async fn answer_locally(&mut self, answer: Answer) -> Result<(), SessionEnd> {
        match answer {
            Answer::Ok { info } => {
                let frames = reply::ok(self.capabilities, self.status(), &info);
                self.send(&frames).await
            }
            Answer::Error(refusal) => self.refuse(&refusal).await,
            Answer::Row { column, value } => {
                let frames = reply::one_row(self.capabilities, &column, &value, self.status());
                self.send(&frames).await
            }
            Answer::Kill { id, query_only } => self.kill(id, query_only).await,
        }
    }

    /// The status flags of our own answers.
    pub(super) fn status(&self) -> Status {
        let mut status = self.modes;
        status.set(Status::AUTOCOMMIT, self.settings.autocommit);
        status.set(Status::IN_TRANS, self.record.in_transaction.get());
        status
    }
}
