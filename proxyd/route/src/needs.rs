//! What a text must contain for a regular expression to match it: literals, one of which is in every match.
//!
//! Finding the literals of all rules in one pass over a query leaves only the rules that can match it. A need is an
//! over-estimate: it may let an expression through that then does not match, never the other way round.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Hir, HirKind};

/// More alternatives than this select too little.
const MAX_ALTERNATIVES: usize = 32;
/// Shorter ones are everywhere.
const MIN_LENGTH: usize = 2;

/// At least one of these is in every text that the expression matches, in capitals or not. `None`: nothing is known.
pub(super) fn of(expression: &str) -> Option<Vec<Vec<u8>>> {
    // As the pattern is compiled, but for the case, which the search ignores.
    let hir = ParserBuilder::new().utf8(false).unicode(false).build().parse(expression).ok()?;
    required(&hir).filter(|literals| shortest(literals) >= MIN_LENGTH)
}

fn shortest(literals: &[Vec<u8>]) -> usize {
    literals.iter().map(Vec::len).min().unwrap_or(0)
}

fn required(hir: &Hir) -> Option<Vec<Vec<u8>>> {
    match hir.kind() {
        HirKind::Literal(literal) => Some(vec![literal.0.to_vec()]),
        HirKind::Capture(capture) => required(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => required(&repetition.sub),
        HirKind::Concat(parts) => best_of(parts),
        HirKind::Alternation(parts) => {
            let each = parts.iter().map(required).collect::<Option<Vec<_>>>()?;
            let all: Vec<Vec<u8>> = each.into_iter().flatten().collect();
            (all.len() <= MAX_ALTERNATIVES).then_some(all)
        }
        HirKind::Empty | HirKind::Class(_) | HirKind::Look(_) | HirKind::Repetition(_) => None,
    }
}

/// The part that selects most. Literals that only an assertion stands between are one literal.
fn best_of(parts: &[Hir]) -> Option<Vec<Vec<u8>>> {
    let mut best: Option<Vec<Vec<u8>>> = None;
    let mut offer = |candidate: Vec<Vec<u8>>| {
        if shortest(&candidate) > best.as_deref().map_or(0, shortest) {
            best = Some(candidate);
        }
    };
    let mut run = Vec::new();
    for part in parts {
        match part.kind() {
            HirKind::Literal(literal) => run.extend_from_slice(&literal.0),
            HirKind::Look(_) => {}
            _ => {
                offer(vec![std::mem::take(&mut run)]);
                required(part).map(&mut offer);
            }
        }
    }
    offer(vec![run]);
    best
}

#[cfg(test)]
mod tests {
    #[test]
    fn literals_of_expressions() {
        let rows: [(&str, Option<&[&str]>); 16] = [
            ("^SELECT ", Some(&["SELECT "])),
            ("^SELECT.*FOR UPDATE", Some(&["FOR UPDATE"])),
            (r"^SELECT .* FROM t17 WHERE id\s*=\s*\?$", Some(&[" FROM t17 WHERE id"])),
            ("^(SELECT|INSERT) x*", Some(&["SELECT", "INSERT"])),
            ("^(SELECT|INSERT) INTO customers", Some(&[" INTO customers"])),
            (r"foo\bbar", Some(&["foobar"])),
            ("(abc)+", Some(&["abc"])),
            ("(abc)*", None),
            ("(abc)?def", Some(&["def"])),
            ("abc|.", None),
            ("[Ss]elect", Some(&["elect"])),
            (".", None),
            ("", None),
            ("a", None),
            (r"\xe9\xe8", Some(&["\u{e9}\u{e8}"])),
            ("(unclosed", None),
        ];
        for (expression, expected) in rows {
            let latin1 = |text: &&str| text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
            let expected: Option<Vec<Vec<u8>>> = expected.map(|texts| texts.iter().map(latin1).collect());
            assert_eq!(super::of(expression), expected, "{expression}");
        }
    }
}
