//! A decision with its reasons: which rules matched, in which order, and what each of them said.

use super::decide::{Decision, Hits, QueryFacts, RuleSet};
use super::rule::{Multiplex, QueryRule};

/// Sees each rule that matches. The data path's sees nothing and costs nothing.
pub(super) trait Witness {
    fn matched(&mut self, rule: &QueryRule, flag_in: u32, rewritten: Option<&[u8]>);
    /// The scan goes on with another flag.
    fn jumped(&mut self, flag: u32);
}

impl Witness for () {
    fn matched(&mut self, _: &QueryRule, _: u32, _: Option<&[u8]>) {}
    fn jumped(&mut self, _: u32) {}
}

/// One rule that matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub rule_id: i64,
    /// The flag that the scan had.
    pub flag_in: u32,
    /// The flag that it went on with, if the rule changed it.
    pub flag_out: Option<u32>,
    pub apply: bool,
    /// The columns that the query had to meet, with their values.
    pub conditions: Vec<(&'static str, String)>,
    /// The columns that say what to do, with their values.
    pub outputs: Vec<(&'static str, String)>,
    /// The query after `replace_pattern`.
    pub rewritten: Option<Vec<u8>>,
}

/// A decision and how it came about.
#[derive(Debug, PartialEq, Eq)]
pub struct Trace<'r> {
    pub decision: Decision<'r>,
    pub steps: Vec<Step>,
    /// No rule had `apply`, and the fast routing has a row for the user and the schema: its hostgroup.
    pub fast_routing: Option<u32>,
}

impl Witness for Vec<Step> {
    fn matched(&mut self, rule: &QueryRule, flag_in: u32, rewritten: Option<&[u8]>) {
        self.push(Step {
            rule_id: rule.rule_id,
            flag_in,
            flag_out: None,
            apply: rule.apply,
            conditions: conditions(rule),
            outputs: outputs(rule),
            rewritten: rewritten.map(<[u8]>::to_vec),
        });
    }

    fn jumped(&mut self, flag: u32) {
        if let Some(last) = self.last_mut() {
            last.flag_out = Some(flag);
        }
    }
}

impl RuleSet {
    /// [`RuleSet::decide_from`], with every step.
    pub fn explain<'r>(&'r self, decision: Decision<'r>, facts: &QueryFacts<'_>) -> Trace<'r> {
        let mut steps = Vec::new();
        let decision = self.scan(decision, facts, &mut Hits::default(), &mut steps);
        let fast_routing = if decision.applied { None } else { self.fast_route(facts, decision.flag) };
        Trace { decision, steps, fast_routing }
    }
}

fn conditions(rule: &QueryRule) -> Vec<(&'static str, String)> {
    let mut list = Vec::new();
    let mut text =
        |name, value: &Option<Box<str>>| list.extend(value.as_deref().map(|it| (name, it.to_owned())));
    text("username", &rule.username);
    text("schemaname", &rule.schemaname);
    text("client_addr", &rule.client_addr);
    text("proxy_addr", &rule.proxy_addr);
    list.extend(rule.proxy_port.map(|port| ("proxy_port", port.to_string())));
    list.extend(rule.digest.map(|digest| ("digest", format!("0x{digest:016X}"))));
    let mut text =
        |name, value: &Option<Box<str>>| list.extend(value.as_deref().map(|it| (name, it.to_owned())));
    text("match_digest", &rule.match_digest);
    text("match_pattern", &rule.match_pattern);
    if rule.negate_match_pattern {
        list.push(("negate_match_pattern", "1".to_owned()));
    }
    list
}

fn outputs(rule: &QueryRule) -> Vec<(&'static str, String)> {
    let numbers = [
        ("destination_hostgroup", rule.destination_hostgroup),
        ("cache_ttl", rule.cache_ttl),
        ("cache_empty_result", rule.cache_empty_result.map(u32::from)),
        ("cache_timeout", rule.cache_timeout),
        ("reconnect", rule.reconnect.map(u32::from)),
        ("timeout", rule.timeout),
        ("retries", rule.retries),
        ("delay", rule.delay),
        ("next_query_flagIN", rule.next_query_flag_in),
        ("mirror_flagOUT", rule.mirror_flag_out),
        ("mirror_hostgroup", rule.mirror_hostgroup),
        ("sticky_conn", rule.sticky_conn.map(u32::from)),
        ("multiplex", rule.multiplex.map(number)),
        ("gtid_from_hostgroup", rule.gtid_from_hostgroup),
        ("log", rule.log.map(u32::from)),
    ];
    let texts = [
        ("replace_pattern", &rule.replace_pattern),
        ("error_msg", &rule.error_msg),
        ("OK_msg", &rule.ok_msg),
    ];
    let numbers = numbers.into_iter().filter_map(|(name, value)| Some((name, value?.to_string())));
    let texts = texts.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?.to_owned())));
    numbers.chain(texts).collect()
}

fn number(multiplex: Multiplex) -> u32 {
    match multiplex {
        Multiplex::Disable => 0,
        Multiplex::Enable => 1,
        Multiplex::IgnoreVariables => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DigestFacts, FastRouting};

    fn rules() -> RuleSet {
        let rule = |rule_id| QueryRule { rule_id, active: true, ..QueryRule::default() };
        let mut fast = FastRouting::default();
        fast.add("app", "shop", 7, 40).unwrap();
        let rules = vec![
            QueryRule {
                match_digest: Some("^SELECT".into()),
                flag_out: Some(7),
                retries: Some(3),
                ..rule(1)
            },
            QueryRule { flag_in: 7, username: Some("boss".into()), apply: true, ..rule(2) },
            QueryRule {
                flag_in: 7,
                match_pattern: Some("x(.)".into()),
                replace_pattern: Some("y\\1".into()),
                ..rule(3)
            },
            QueryRule {
                match_digest: Some("^INSERT".into()),
                apply: true,
                destination_hostgroup: Some(9),
                ..rule(4)
            },
        ];
        RuleSet::compile(rules).unwrap().with_fast_routing(fast)
    }

    fn facts(query: &str) -> QueryFacts<'_> {
        QueryFacts {
            username: "app",
            schemaname: "shop",
            client_addr: "",
            proxy_addr: "",
            proxy_port: 0,
            query: query.as_bytes(),
            digest: Some(DigestFacts { text: query, hash: 5 }),
            flag_in: 0,
            iterations: 0,
            random: 1,
        }
    }

    #[test]
    fn every_step_and_the_fast_routing_behind_them() {
        let rules = rules();
        let facts = facts("SELECT x1");
        let trace = rules.explain(Decision::default(), &facts);
        assert_eq!(trace.decision, rules.decide(&facts, &mut Hits::default()));
        let steps: Vec<_> =
            trace.steps.iter().map(|step| (step.rule_id, step.flag_in, step.flag_out)).collect();
        assert_eq!(steps, [(1, 0, Some(7)), (3, 7, None)]);
        assert_eq!(trace.steps[0].conditions, [("match_digest", "^SELECT".to_owned())]);
        assert_eq!(trace.steps[0].outputs, [("retries", "3".to_owned())]);
        assert_eq!(trace.steps[1].rewritten.as_deref(), Some(&b"SELECT y1"[..]));
        assert_eq!((trace.fast_routing, trace.decision.destination_hostgroup), (Some(40), Some(40)));
    }

    #[test]
    fn apply_ends_it() {
        let rules = rules();
        let trace = rules.explain(Decision::default(), &facts("INSERT x1"));
        assert_eq!((trace.steps.len(), trace.steps[0].apply, trace.fast_routing), (1, true, None));
        assert!(rules.explain(Decision::default(), &facts("DELETE")).steps.is_empty());
    }
}
