//! Query rules: which hostgroup a query goes to, and with which limits. Pure.
//!
//! A [`RuleSet`] is compiled once, on `LOAD MYSQL QUERY RULES TO RUNTIME`; [`RuleSet::decide`] then runs for each
//! query and neither locks nor, unless a rule rewrites the query, allocates. The semantics are ProxySQL's: active
//! rules in the order of `rule_id`, forward only; every match adds its outputs to those of the matches before; a
//! `flagOUT` changes which rules are looked at next; `apply` ends the scan; where none did, the fast routing decides. Two
//! differences, on purpose: a rule with a regular expression that does not compile is refused with the reason instead of
//! never matching, and a rule that asks for a digest never matches a query without one instead of matching all of them.
//!
//! Rules that cannot match cost next to nothing: [`index`] finds the few that may. What it does not do: it does not know
//! the user's default hostgroup, transactions or pins. The session puts those around the decision.

#![forbid(unsafe_code)]

mod annotations;
mod decide;
mod fast;
mod firewall;
mod index;
mod needs;
mod pattern;
mod remembered;
mod rule;
#[cfg(test)]
mod tests;
mod trace;

pub use annotations::Annotations;
pub use decide::{Decision, DigestFacts, Hits, QueryFacts, RuleSet};
pub use fast::FastRouting;
pub use firewall::{Firewall, Mode, Permission, Suspect, Verdict};
pub use rule::{Multiplex, QueryRule, RuleError};
pub use trace::{Step, Trace};
