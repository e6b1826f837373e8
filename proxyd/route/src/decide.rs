//! The compiled rules, and the decision for one query.

use super::fast::FastRouting;
use super::index::Index;
use super::pattern::{Modifiers, Pattern};
use super::remembered::Remembered;
use super::rule::{Multiplex, QueryRule, RuleError};
use super::trace::Witness;

/// The active rules, compiled, in the order of `rule_id`.
#[derive(Debug, Default)]
pub struct RuleSet {
    rules: Vec<Compiled>,
    index: Index,
    fast: FastRouting,
    needs_digest: bool,
}

#[derive(Debug)]
struct Compiled {
    rule: QueryRule,
    /// The index has looked for its `match_digest`.
    by_digest_text: bool,
    match_digest: Option<Pattern>,
    match_pattern: Option<Pattern>,
    /// Flags and weights to draw from.
    flags_out: Vec<(u32, u32)>,
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
    /// `mysql-query_processor_iterations`: how often a `flagOUT` begins the scan anew.
    pub iterations: u32,
    /// Any number; weighted flags are drawn with it.
    pub random: u64,
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
    /// A comment names a transaction that the server must have executed.
    pub min_gtid: Option<Box<str>>,
    pub log: Option<bool>,
    /// A comment asks for a connection that nobody used before.
    pub new_connection: bool,
    /// The query to run, if a rule rewrote it.
    pub rewritten: Option<Vec<u8>>,
    /// A rule with `apply` ended the scan.
    pub applied: bool,
    /// The flag at the end of the scan.
    pub flag: u32,
}

/// The `rule_id`s that matched, and room to find them; the caller keeps one for all queries and counts them.
#[derive(Debug, Clone, Default)]
pub struct Hits {
    inline: [i64; 8],
    length: usize,
    more: Vec<i64>,
    candidates: Vec<u32>,
    remembered: Remembered,
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
            let mut compiled = Compiled::new(rule)?;
            set.needs_digest |= compiled.match_digest.is_some() || compiled.rule.digest.is_some();
            let linear = [&compiled.match_digest, &compiled.match_pattern];
            let linear = linear.iter().all(|pattern| pattern.as_ref().is_none_or(Pattern::is_bytewise));
            compiled.by_digest_text = set.index.add(place, &compiled.rule, linear);
            set.rules.push(compiled);
        }
        let whole = |reason| RuleError { rule_id: 0, reason };
        set.index.finish().map_err(whole)?;
        Ok(set)
    }

    /// The same rules, with `mysql_query_rules_fast_routing` behind them.
    #[must_use]
    pub fn with_fast_routing(self, fast: FastRouting) -> RuleSet {
        RuleSet { fast, ..self }
    }

    /// The hostgroups that rules (but for the fast ones) send queries to.
    pub fn destinations(&self) -> impl Iterator<Item = u32> {
        self.rules.iter().filter_map(|compiled| compiled.rule.destination_hostgroup)
    }

    /// Whether [`QueryFacts::digest`] has to be there.
    pub fn needs_digest(&self) -> bool {
        self.needs_digest
    }

    /// Scans the rules for one query. `hits` is emptied first.
    pub fn decide(&self, facts: &QueryFacts<'_>, hits: &mut Hits) -> Decision<'_> {
        self.decide_from(Decision::default(), facts, hits)
    }

    /// The same for a query of which something is decided already, which the rules may override.
    pub fn decide_from<'r>(
        &'r self,
        decision: Decision<'r>,
        facts: &QueryFacts<'_>,
        hits: &mut Hits,
    ) -> Decision<'r> {
        self.scan(decision, facts, hits, &mut ())
    }

    /// Whether the `match_digest` of the rule at this place matches.
    fn confirms(&self, place: u32, facts: &QueryFacts<'_>) -> bool {
        self.rules.get(place as usize).is_some_and(|compiled| compiled.matches_digest(facts))
    }

    /// The hostgroup of the fast routing's row.
    pub(super) fn fast_route(&self, facts: &QueryFacts<'_>, flag: u32) -> Option<u32> {
        self.fast.find(facts.username, facts.schemaname, flag)
    }

    pub(super) fn scan<'r>(
        &'r self,
        mut decision: Decision<'r>,
        facts: &QueryFacts<'_>,
        hits: &mut Hits,
        witness: &mut impl Witness,
    ) -> Decision<'r> {
        hits.clear();
        let (mut flag, mut iterations, mut random) = (facts.flag_in, facts.iterations, facts.random);
        let mut candidates = std::mem::take(&mut hits.candidates);
        let confirm = |place| self.confirms(place, facts);
        let mut confirmed =
            self.index.candidates(facts, facts.query, &mut hits.remembered, &mut candidates, confirm);
        let mut next = 0;
        while let Some(&place) = candidates.get(next) {
            next += 1;
            let Some(compiled) = self.rules.get(place as usize) else { continue };
            let rule = &compiled.rule;
            let query = decision.rewritten.as_deref().unwrap_or(facts.query);
            if rule.flag_in != flag || !compiled.matches(facts, query, confirmed) {
                continue;
            }
            hits.push(rule.rule_id);
            if let (Some(pattern), Some(template)) = (&compiled.match_pattern, &rule.replace_pattern) {
                let rewritten = pattern.replace(query, template);
                if self.index.depends_on_query() {
                    confirmed = self.index.candidates(
                        facts,
                        &rewritten,
                        &mut hits.remembered,
                        &mut candidates,
                        confirm,
                    );
                    next = candidates.partition_point(|&other| other <= place);
                }
                witness.matched(rule, flag, Some(&rewritten));
                decision.rewritten = Some(rewritten);
            } else {
                witness.matched(rule, flag, None);
            }
            decision.add(rule);
            if rule.apply {
                decision.applied = true;
                break;
            }
            if let Some(out) = compiled.flag_out(&mut random) {
                flag = out;
                witness.jumped(out);
                if iterations > 0 {
                    iterations -= 1;
                    next = 0;
                }
            }
        }
        hits.candidates = candidates;
        decision.flag = flag;
        if !decision.applied
            && let Some(hostgroup) = self.fast_route(facts, flag)
        {
            decision.destination_hostgroup = Some(hostgroup);
        }
        decision
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
        let flags_out = weighted_flags(&rule.attributes).map_err(refuse)?;
        Ok(Compiled { rule, by_digest_text: false, match_digest, match_pattern, flags_out })
    }

    /// The flag that this rule leads to, drawn if there are several.
    fn flag_out(&self, random: &mut u64) -> Option<u32> {
        let total: u64 = self.flags_out.iter().map(|(_, weight)| u64::from(*weight)).sum();
        if total == 0 {
            return self.rule.flag_out;
        }
        // The next rule that draws gets other bits.
        *random = random.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
        let mut ticket = *random % total;
        let drawn = self.flags_out.iter().find(|(_, weight)| {
            let here = ticket < u64::from(*weight);
            ticket = ticket.saturating_sub(u64::from(*weight));
            here
        });
        drawn.map(|(flag, _)| *flag)
    }

    /// All tests but flagIN, the cheap ones first; `query` is the query as rewritten so far. `confirmed`: the index gives no rule
    /// whose `match_digest` it has looked for in vain.
    fn matches(&self, facts: &QueryFacts<'_>, query: &[u8], confirmed: bool) -> bool {
        let rule = &self.rule;
        let same =
            |wanted: &Option<Box<str>>, have: &str| wanted.as_deref().is_none_or(|wanted| wanted == have);
        same(&rule.username, facts.username)
            && same(&rule.schemaname, facts.schemaname)
            && rule.client_addr.as_deref().is_none_or(|wanted| address_matches(wanted, facts.client_addr))
            && same(&rule.proxy_addr, facts.proxy_addr)
            && rule.proxy_port.is_none_or(|port| port == facts.proxy_port)
            && rule.digest.is_none_or(|wanted| facts.digest.is_some_and(|digest| digest.hash == wanted))
            && (confirmed && self.by_digest_text || self.matches_digest(facts))
            && self.match_pattern.as_ref().is_none_or(|pattern| self.test(pattern, query))
    }

    fn matches_digest(&self, facts: &QueryFacts<'_>) -> bool {
        self.match_digest.as_ref().is_none_or(|pattern| {
            facts.digest.is_some_and(|digest| self.test(pattern, digest.text.as_bytes()))
        })
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

/// `attributes.flagOUTs`.
fn weighted_flags(attributes: &str) -> Result<Vec<(u32, u32)>, String> {
    if attributes.trim().is_empty() {
        return Ok(Vec::new());
    }
    let json: serde_json::Value =
        serde_json::from_str(attributes).map_err(|error| format!("attributes: not JSON: {error}"))?;
    let Some(list) = json.get("flagOUTs") else { return Ok(Vec::new()) };
    let number = |entry: &serde_json::Value, name| u32::try_from(entry.get(name)?.as_u64()?).ok();
    let read = |entry: &serde_json::Value| Some((number(entry, "id")?, number(entry, "weight")?));
    let flags: Option<Vec<_>> = list.as_array().and_then(|list| list.iter().map(read).collect());
    flags.ok_or_else(|| "attributes: flagOUTs is a list of {\"id\": flag, \"weight\": number}".into())
}
