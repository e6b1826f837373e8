//! Query rules: which hostgroup a query goes to, and with which limits. Pure.

/// The active rules, compiled.
#[derive(Debug, Default)]
pub struct RuleSet;
