//! The compiled rules, and the decision for one query.

use std::collections::HashMap;

use super::pattern::{Modifiers, Pattern};
use super::rule::{Multiplex, QueryRule, RuleError};

/// The active rules, compiled, in the order of `rule_id`.
#[derive(Debug, Default)]
pub struct RuleSet {
    rules: Vec<Compiled>,
    /// Rules for any user: places in `rules`, ascending.
    for_all: Vec<u32>,
    /// Rules for one user, so that those of other users cost nothing.
    by_user: HashMap<Box<str>, Vec<u32>>,
    needs_digest: bool,
}

#[derive(Debug)]
struct Compiled {
    rule: QueryRule,
    match_digest: Option<Pattern>,
    match_pattern: Option<Pattern>,
}

/// What a rule can ask about a query.
#[derive(Debug, Clone, Copy)]
pub struct QueryFacts<'a> {
    pub username: &'a str,
    pub schemaname: &'a str,
    /// The client's address without port.
    pub client_addr: &'a str,
    /// The address and port the client connected to.
    pub proxy_addr: &'a str,
    pub proxy_port: u16,
    pub query: &'a [u8],
    /// Needed if [`RuleSet::needs_digest`]; without it no rule with a digest matches.
    pub digest: Option<DigestFacts<'a>>,
    /// The session's flag: 0, or what an earlier decision's `next_query_flag_in` said.
    pub flag_in: u32,
}

/// The digest of the query as the client sent it; rewriting does not change it.
#[derive(Debug, Clone, Copy)]
pub struct DigestFacts<'a> {
    pub text: &'a str,
    pub hash: u64,
}

/// What the rules say about a query, all matches together; `None` where no rule said anything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decision<'r> {
    pub destination_hostgroup: Option<u32>,
    pub cache_ttl: Option<u32>,
    pub cache_empty_result: Option<bool>,
    pub cache_timeout: Option<u32>,
    pub reconnect: Option<bool>,
    /// Milliseconds.
    pub timeout: Option<u32>,
    pub retries: Option<u32>,
    /// Milliseconds.
    pub delay: Option<u32>,
    pub next_query_flag_in: Option<u32>,
    pub mirror_flag_out: Option<u32>,
    pub mirror_hostgroup: Option<u32>,
    /// Answer this instead of running the query.
    pub error_msg: Option<&'r str>,
    /// Answer OK with this instead of running the query.
    pub ok_msg: Option<&'r str>,
    pub sticky_conn: Option<bool>,
    pub multiplex: Option<Multiplex>,
    pub gtid_from_hostgroup: Option<u32>,
    pub log: Option<bool>,
    /// The query to run, if a rule rewrote it.
    pub rewritten: Option<Vec<u8>>,
    /// A rule with `apply` ended the scan.
    pub applied: bool,
}

/// The `rule_id`s that matched; the caller keeps one and counts them.
#[derive(Debug, Clone, Default)]
pub struct Hits {
    inline: [i64; 8],
    length: usize,
    more: Vec<i64>,
}

impl Hits {
    pub fn clear(&mut self) {
        self.length = 0;
        self.more.clear();
    }

    /// In the order of matching.
    pub fn iter(&self) -> impl Iterator<Item = i64> {
        self.inline.iter().take(self.length).chain(&self.more).copied()
    }

    fn push(&mut self, rule_id: i64) {
        match self.inline.get_mut(self.length) {
            Some(place) => {
                *place = rule_id;
                self.length += 1;
            }
            None => self.more.push(rule_id),
        }
    }
}

impl RuleSet {
    /// Compiles the active rules; the first that cannot be compiled is the error. Inactive rules are left out.
    pub fn compile(mut rules: Vec<QueryRule>) -> Result<RuleSet, RuleError> {
        rules.retain(|rule| rule.active);
        rules.sort_by_key(|rule| rule.rule_id);
        let mut set = RuleSet::default();
        for (place, rule) in (0_u32..).zip(rules) {
            let compiled = Compiled::new(rule)?;
            set.needs_digest |= compiled.match_digest.is_some() || compiled.rule.digest.is_some();
            match &compiled.rule.username {
                Some(user) => set.by_user.entry(user.clone()).or_default().push(place),
                None => set.for_all.push(place),
            }
            set.rules.push(compiled);
        }
        Ok(set)
    }

    /// Whether [`QueryFacts::digest`] has to be there.
    pub fn needs_digest(&self) -> bool {
        self.needs_digest
    }

    /// Scans the rules for one query. `hits` is emptied first.
    pub fn decide(&self, facts: &QueryFacts<'_>, hits: &mut Hits) -> Decision<'_> {
        hits.clear();
        let mut decision = Decision::default();
        let mut flag = facts.flag_in;
        for compiled in self.candidates(facts.username) {
            let rule = &compiled.rule;
            let query = decision.rewritten.as_deref().unwrap_or(facts.query);
            if rule.flag_in != flag || !compiled.matches(facts, query) {
                continue;
            }
            hits.push(rule.rule_id);
            if let (Some(pattern), Some(template)) = (&compiled.match_pattern, &rule.replace_pattern) {
                decision.rewritten = Some(pattern.replace(query, template));
            }
            decision.add(rule);
            flag = rule.flag_out.unwrap_or(flag);
            if rule.apply {
                decision.applied = true;
                break;
            }
        }
        decision
    }

    /// The rules for this user and those for all, in the order of `rule_id`.
    fn candidates(&self, username: &str) -> impl Iterator<Item = &Compiled> {
        let own = self.by_user.get(username).map(Vec::as_slice).unwrap_or_default();
        let (mut own, mut all) = (own.iter().peekable(), self.for_all.iter().peekable());
        let places = std::iter::from_fn(move || match (own.peek(), all.peek()) {
            (Some(mine), Some(any)) if mine > any => all.next(),
            (Some(_), _) => own.next(),
            (None, _) => all.next(),
        });
        places.filter_map(|&place| self.rules.get(place as usize))
    }
}

impl Compiled {
    fn new(rule: QueryRule) -> Result<Compiled, RuleError> {
        let refuse = |reason| RuleError { rule_id: rule.rule_id, reason };
        let modifiers = Modifiers::parse(&rule.re_modifiers).map_err(refuse)?;
        let compile = |column: &str, expression: &Option<Box<str>>| {
            let pattern = expression.as_deref().map(|expression| Pattern::compile(expression, modifiers));
            pattern.transpose().map_err(|reason| refuse(format!("{column}: {reason}")))
        };
        let match_digest = compile("match_digest", &rule.match_digest)?;
        let match_pattern = compile("match_pattern", &rule.match_pattern)?;
        Ok(Compiled { rule, match_digest, match_pattern })
    }

    /// All tests but username and flagIN, the cheap ones first; `query` is the query as rewritten so far.
    fn matches(&self, facts: &QueryFacts<'_>, query: &[u8]) -> bool {
        let rule = &self.rule;
        let same =
            |wanted: &Option<Box<str>>, have: &str| wanted.as_deref().is_none_or(|wanted| wanted == have);
        same(&rule.schemaname, facts.schemaname)
            && rule.client_addr.as_deref().is_none_or(|wanted| address_matches(wanted, facts.client_addr))
            && same(&rule.proxy_addr, facts.proxy_addr)
            && rule.proxy_port.is_none_or(|port| port == facts.proxy_port)
            && rule.digest.is_none_or(|wanted| facts.digest.is_some_and(|digest| digest.hash == wanted))
            && self.match_digest.as_ref().is_none_or(|pattern| {
                facts.digest.is_some_and(|digest| self.test(pattern, digest.text.as_bytes()))
            })
            && self.match_pattern.as_ref().is_none_or(|pattern| self.test(pattern, query))
    }

    /// `negate_match_pattern` turns both expressions around; one that gave up matches neither way.
    fn test(&self, pattern: &Pattern, text: &[u8]) -> bool {
        pattern.is_match(text).is_some_and(|found| found != self.rule.negate_match_pattern)
    }
}

impl<'r> Decision<'r> {
    /// What the rule sets replaces what earlier rules set.
    fn add(&mut self, rule: &'r QueryRule) {
        self.destination_hostgroup = rule.destination_hostgroup.or(self.destination_hostgroup);
        self.cache_ttl = rule.cache_ttl.or(self.cache_ttl);
        self.cache_empty_result = rule.cache_empty_result.or(self.cache_empty_result);
        self.cache_timeout = rule.cache_timeout.or(self.cache_timeout);
        self.reconnect = rule.reconnect.or(self.reconnect);
        self.timeout = rule.timeout.or(self.timeout);
        self.retries = rule.retries.or(self.retries);
        self.delay = rule.delay.or(self.delay);
        self.next_query_flag_in = rule.next_query_flag_in.or(self.next_query_flag_in);
        self.mirror_flag_out = rule.mirror_flag_out.or(self.mirror_flag_out);
        self.mirror_hostgroup = rule.mirror_hostgroup.or(self.mirror_hostgroup);
        self.error_msg = rule.error_msg.as_deref().or(self.error_msg);
        self.ok_msg = rule.ok_msg.as_deref().or(self.ok_msg);
        self.sticky_conn = rule.sticky_conn.or(self.sticky_conn);
        self.multiplex = rule.multiplex.or(self.multiplex);
        self.gtid_from_hostgroup = rule.gtid_from_hostgroup.or(self.gtid_from_hostgroup);
        self.log = rule.log.or(self.log);
    }
}

/// Exact, or the prefix before a trailing `%`.
fn address_matches(wanted: &str, have: &str) -> bool {
    wanted.strip_suffix('%').map_or(wanted == have, |prefix| have.starts_with(prefix))
}
