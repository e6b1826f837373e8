//! What query rules cost a query: µs a decision with 10, 1,000 and 10,000 rules, and a million rows of fast routing.
//!
//! `cargo run --release -p proxyd-route --example rules`

use std::hint::black_box;
use std::time::Instant;

use proxyd_route::{DigestFacts, FastRouting, Hits, QueryFacts, QueryRule, RuleSet};

const QUERY: &str = "SELECT c FROM sbtest7 WHERE id BETWEEN 5 AND 105 ORDER BY c";

fn main() {
    println!("{:>22} {:>8} {:>12} {:>12} {:>8}", "rules", "number", "load ms", "ns a query", "ratio");
    for (name, make) in
        [("by table", by_table as fn(usize) -> QueryRule), ("by user", by_user), ("by digest", by_digest)]
    {
        let mut base = None;
        for count in [10, 1_000, 10_000] {
            let started = Instant::now();
            let rules = RuleSet::compile((0..count).map(make).collect()).expect("good rules");
            let load = started.elapsed().as_secs_f64() * 1e3;
            let cost = nanoseconds(&rules);
            let base = *base.get_or_insert(cost);
            println!("{name:>22} {count:>8} {load:>12.1} {cost:>12.0} {:>8.2}", cost / base);
        }
    }
    let started = Instant::now();
    let mut fast = FastRouting::default();
    for n in 0..1_000_000 {
        fast.add(&format!("user{n:06}"), "sbtest", 0, n % 100).expect("short names");
    }
    fast.shrink();
    let load = started.elapsed().as_secs_f64() * 1e3;
    let bytes = fast.bytes() / fast.len();
    let cost = nanoseconds(&RuleSet::default().with_fast_routing(fast));
    println!(
        "{:>22} {:>8} {load:>12.1} {cost:>12.0}          {bytes} bytes a row",
        "fast routing", 1_000_000
    );
}

/// The time of one decision, on average over a second or so.
fn nanoseconds(rules: &RuleSet) -> f64 {
    let text = proxyd_sql::digest_text(QUERY.as_bytes(), &proxyd_sql::DigestOptions::default());
    let digest = DigestFacts { text: &text, hash: proxyd_sql::digest(&text) };
    let mut hits = Hits::default();
    let mut rounds = 1_000_u32;
    loop {
        let started = Instant::now();
        for round in 0..rounds {
            let facts = QueryFacts {
                username: "user000777",
                schemaname: "sbtest",
                client_addr: "10.0.1.7",
                proxy_addr: "10.0.0.88",
                proxy_port: 6033,
                query: QUERY.as_bytes(),
                digest: Some(digest),
                flag_in: 0,
                iterations: 0,
                random: round.into(),
            };
            black_box(rules.decide(black_box(&facts), &mut hits));
        }
        let took = started.elapsed().as_secs_f64();
        if took > 0.3 {
            return took * 1e9 / f64::from(rounds);
        }
        rounds *= 2;
    }
}

fn rule(id: usize) -> QueryRule {
    let rule_id = i64::try_from(id).expect("few rules");
    QueryRule { rule_id, active: true, re_modifiers: "CASELESS".into(), apply: true, ..QueryRule::default() }
}

/// A shard a table: regular expressions that share everything but a name.
fn by_table(id: usize) -> QueryRule {
    let expression = format!(r"^SELECT .* FROM sbtest{} WHERE ", id + 7);
    QueryRule { match_digest: Some(expression.into()), destination_hostgroup: Some(1), ..rule(id) }
}

fn by_user(id: usize) -> QueryRule {
    QueryRule { username: Some(format!("user{id:06}").into()), destination_hostgroup: Some(1), ..rule(id) }
}

fn by_digest(id: usize) -> QueryRule {
    QueryRule { digest: Some(id as u64), destination_hostgroup: Some(1), ..rule(id) }
}
