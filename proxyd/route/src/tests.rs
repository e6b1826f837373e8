//! The semantics of `mysql_query_rules`, case by case.

use super::decide::Decision;
use super::*;

/// A rule that matches everything, changed by `with`.
fn rule(rule_id: i64, with: impl FnOnce(&mut QueryRule)) -> QueryRule {
    let mut rule =
        QueryRule { rule_id, active: true, re_modifiers: "CASELESS".into(), ..QueryRule::default() };
    with(&mut rule);
    rule
}

fn to(hostgroup: u32) -> impl FnOnce(&mut QueryRule) {
    move |rule| rule.destination_hostgroup = Some(hostgroup)
}

fn set(rules: Vec<QueryRule>) -> RuleSet {
    RuleSet::compile(rules).unwrap()
}

/// Decides for user `app` in schema `shop`, and gives the rules that matched along.
fn decide<'r>(rules: &'r RuleSet, query: &str) -> (Decision<'r>, Vec<i64>) {
    decide_with(rules, query, |_| {})
}

fn decide_with<'r>(
    rules: &'r RuleSet,
    query: &str,
    with: impl FnOnce(&mut QueryFacts<'_>),
) -> (Decision<'r>, Vec<i64>) {
    let text = proxyd_sql::digest_text(query.as_bytes(), &proxyd_sql::DigestOptions::default());
    let mut facts = QueryFacts {
        username: "app",
        schemaname: "shop",
        client_addr: "10.0.1.7",
        proxy_addr: "10.0.0.88",
        proxy_port: 6033,
        query: query.as_bytes(),
        digest: Some(DigestFacts { text: &text, hash: proxyd_sql::digest(&text) }),
        flag_in: 0,
        iterations: 0,
        random: 0,
    };
    with(&mut facts);
    let mut hits = Hits::default();
    let decision = rules.decide(&facts, &mut hits);
    (decision, hits.iter().collect())
}

fn hostgroup(rules: &RuleSet, query: &str) -> Option<u32> {
    decide(rules, query).0.destination_hostgroup
}

/// The two rules of Marco Tusa's ProxySQL and keepalived article, as printed there.
#[test]
fn the_articles_rules() {
    let article = |rule_id, expression: &str| {
        rule(rule_id, |rule| {
            rule.username = Some("load_RW".into());
            rule.destination_hostgroup = Some(501);
            rule.retries = Some(3);
            rule.match_digest = Some(expression.into());
            rule.apply = true;
        })
    };
    let rules = set(vec![article(201, "^SELECT "), article(200, "^SELECT.*FOR UPDATE")]);
    assert!(rules.needs_digest());
    let as_user = |query| decide_with(&rules, query, |facts| facts.username = "load_RW");

    let (decision, hits) = as_user("select * from test.testtable2 where id = 5 for update");
    assert_eq!(
        (decision.destination_hostgroup, decision.retries, decision.applied),
        (Some(501), Some(3), true)
    );
    assert_eq!(hits, [200]);
    assert_eq!(as_user("SELECT * FROM test.testtable2").1, [201]);
    assert_eq!(as_user("/* SELECT */ INSERT INTO test.testtable2 VALUES (1)").1, [0; 0]);
    assert_eq!(as_user("insert into t select 1").0, Decision::default());
    assert_eq!(decide(&rules, "SELECT 1").0.destination_hostgroup, None, "another user");
}

#[test]
fn order_is_by_rule_id_and_apply_ends_the_scan() {
    let rules = set(vec![
        rule(30, to(3)),
        rule(10, to(1)),
        rule(20, |rule| {
            rule.destination_hostgroup = Some(2);
            rule.apply = true;
        }),
    ]);
    let (decision, hits) = decide(&rules, "SELECT 1");
    assert_eq!((decision.destination_hostgroup, hits), (Some(2), vec![10, 20]));
}

#[test]
fn inactive_rules_do_not_exist() {
    let rules = set(vec![rule(1, |rule| {
        rule.active = false;
        rule.match_pattern = Some("(".into());
    })]);
    assert_eq!(decide(&rules, "SELECT 1"), (Decision::default(), vec![]));
}

#[test]
fn rules_of_one_user_and_of_all_interleave() {
    let of = |user: &'static str| move |rule: &mut QueryRule| rule.username = Some(user.into());
    let rules = set(vec![
        rule(1, of("app")),
        rule(2, |_| {}),
        rule(3, of("other")),
        rule(4, of("app")),
        rule(5, |_| {}),
    ]);
    assert_eq!(decide(&rules, "SELECT 1").1, [1, 2, 4, 5]);
    assert_eq!(decide_with(&rules, "SELECT 1", |facts| facts.username = "other").1, [2, 3, 5]);
}

#[test]
fn every_match_column() {
    type With = fn(&mut QueryRule);
    let rows: [(With, bool); 18] = [
        (|rule| rule.username = Some("app".into()), true),
        (|rule| rule.username = Some("APP".into()), false),
        (|rule| rule.schemaname = Some("shop".into()), true),
        (|rule| rule.schemaname = Some("sho".into()), false),
        (|rule| rule.client_addr = Some("10.0.1.7".into()), true),
        (|rule| rule.client_addr = Some("10.0.1.".into()), false),
        (|rule| rule.client_addr = Some("10.0.%".into()), true),
        (|rule| rule.client_addr = Some("%".into()), true),
        (|rule| rule.client_addr = Some("10.%.7".into()), false),
        (|rule| rule.proxy_addr = Some("10.0.0.88".into()), true),
        (|rule| rule.proxy_addr = Some("10.0.0.89".into()), false),
        (|rule| rule.proxy_port = Some(6033), true),
        (|rule| rule.proxy_port = Some(6034), false),
        (|rule| rule.digest = QueryRule::parse_digest("0x1E092DAEFFBBF262"), true),
        (|rule| rule.digest = Some(1), false),
        (|rule| rule.match_digest = Some(r"^select \?$".into()), true),
        (|rule| rule.match_pattern = Some("^SELECT 5$".into()), true),
        (|rule| rule.flag_in = 1, false),
    ];
    for (index, (with, expected)) in rows.into_iter().enumerate() {
        let rules = set(vec![rule(1, with)]);
        assert_eq!(!decide(&rules, "select 5").1.is_empty(), expected, "row {index}");
    }
}

#[test]
fn case_matters_without_caseless() {
    let rules = set(vec![rule(1, |rule| {
        rule.match_pattern = Some("^SELECT".into());
        rule.re_modifiers = "".into();
    })]);
    assert!(decide(&rules, "select 1").1.is_empty());
    assert_eq!(decide(&rules, "SELECT 1").1, [1]);
}

#[test]
fn negation_turns_the_expressions_around() {
    let rules = set(vec![rule(1, |rule| {
        rule.match_pattern = Some("^SELECT".into());
        rule.negate_match_pattern = true;
    })]);
    assert!(decide(&rules, "SELECT 1").1.is_empty());
    assert_eq!(decide(&rules, "UPDATE t SET a=1").1, [1]);
}

#[test]
fn without_a_digest_no_rule_for_digests_matches() {
    let rules = set(vec![
        rule(1, |rule| rule.match_digest = Some("".into())),
        rule(2, |rule| rule.digest = Some(0)),
        rule(3, |rule| {
            rule.match_digest = Some("x".into());
            rule.negate_match_pattern = true;
        }),
    ]);
    assert!(decide_with(&rules, "SELECT 1", |facts| facts.digest = None).1.is_empty());
    assert!(!set(vec![rule(1, |rule| rule.match_pattern = Some("x".into()))]).needs_digest());
}

#[test]
fn flags_lead_forward_only() {
    let flags = |flag_in, flag_out: Option<u32>| {
        move |rule: &mut QueryRule| {
            rule.flag_in = flag_in;
            rule.flag_out = flag_out;
        }
    };
    let rules = set(vec![
        rule(10, flags(7, None)),
        rule(20, flags(0, Some(7))),
        rule(30, flags(0, None)),
        rule(40, flags(7, Some(0))),
        rule(50, flags(0, None)),
    ]);
    assert_eq!(decide(&rules, "SELECT 1").1, [20, 40, 50], "10 is behind, 30 is for another flag");
    assert_eq!(decide_with(&rules, "SELECT 1", |facts| facts.flag_in = 7).1, [10, 40, 50]);
}

#[test]
fn outputs_add_up_and_later_ones_win() {
    let rules = set(vec![
        rule(1, |rule| {
            rule.destination_hostgroup = Some(1);
            rule.timeout = Some(100);
            rule.retries = Some(2);
            rule.delay = Some(5);
            rule.log = Some(true);
            rule.cache_ttl = Some(1000);
            rule.cache_empty_result = Some(true);
            rule.cache_timeout = Some(10);
            rule.reconnect = Some(true);
            rule.mirror_flag_out = Some(8);
            rule.mirror_hostgroup = Some(9);
            rule.gtid_from_hostgroup = Some(4);
        }),
        rule(2, |rule| {
            rule.timeout = Some(200);
            rule.next_query_flag_in = Some(3);
            rule.sticky_conn = Some(true);
            rule.multiplex = Multiplex::from_column(2);
            rule.error_msg = Some("not today".into());
            rule.ok_msg = Some("done".into());
        }),
    ]);
    let expected = Decision {
        destination_hostgroup: Some(1),
        cache_ttl: Some(1000),
        cache_empty_result: Some(true),
        cache_timeout: Some(10),
        reconnect: Some(true),
        timeout: Some(200),
        retries: Some(2),
        delay: Some(5),
        next_query_flag_in: Some(3),
        mirror_flag_out: Some(8),
        mirror_hostgroup: Some(9),
        error_msg: Some("not today"),
        ok_msg: Some("done"),
        sticky_conn: Some(true),
        multiplex: Some(Multiplex::IgnoreVariables),
        gtid_from_hostgroup: Some(4),
        min_gtid: None,
        log: Some(true),
        new_connection: false,
        rewritten: None,
        applied: false,
        flag: 0,
    };
    assert_eq!(decide(&rules, "SELECT 1").0, expected);
}

#[test]
fn rewriting() {
    let rewrite = |modifiers: &'static str, expression: &'static str, template: &'static str, query| {
        let rules = set(vec![rule(1, |rule| {
            rule.re_modifiers = modifiers.into();
            rule.match_pattern = Some(expression.into());
            rule.replace_pattern = Some(template.into());
        })]);
        let (decision, _) = decide(&rules, query);
        String::from_utf8(decision.rewritten.unwrap_or_else(|| query.into())).unwrap()
    };
    assert_eq!(rewrite("CASELESS", "old", "new", "SELECT old, OLD"), "SELECT new, OLD");
    assert_eq!(rewrite("CASELESS,GLOBAL", "old", "new", "SELECT old, OLD"), "SELECT new, new");
    assert_eq!(rewrite("", r"(\w+)=(\d+)", r"\2=\1 \\ \0 \9$1", "a=1"), r"1=a \ a=1 $1");
    assert_eq!(rewrite("", r"a(?=b)", "x", "ab ac"), "xb ac", "look-ahead");
    assert_eq!(rewrite("GLOBAL", r"(?<!z)a(b)", r"\1", "ab zab ab"), "b zab b", "look-behind");
    assert_eq!(rewrite("GLOBAL", "", "-", "ab"), "-a-b-", "empty matches");
    assert_eq!(rewrite("", "never", "x", "SELECT 1"), "SELECT 1");
}

#[test]
fn later_rules_see_the_rewritten_query_and_the_first_digest() {
    let rules = set(vec![
        rule(1, |rule| {
            rule.match_pattern = Some("^SELECT".into());
            rule.replace_pattern = Some("INSERT".into());
        }),
        rule(2, |rule| rule.match_pattern = Some("^INSERT".into())),
        rule(3, |rule| rule.match_digest = Some("^SELECT".into())),
        rule(4, |rule| rule.match_pattern = Some("^SELECT".into())),
    ]);
    assert_eq!(decide(&rules, "SELECT 1").1, [1, 2, 3]);
}

#[test]
fn bad_rules_are_refused_with_the_reason() {
    let refuse = |with: fn(&mut QueryRule)| RuleSet::compile(vec![rule(7, with)]).unwrap_err();
    let error = refuse(|rule| rule.match_digest = Some("^SELECT (".into()));
    assert_eq!(error.to_string(), "query rule 7: match_digest: unclosed group");
    let error = refuse(|rule| rule.match_pattern = Some("a{2,1}".into()));
    assert!(error.reason.starts_with("match_pattern: invalid repetition"), "{error}");
    let error = refuse(|rule| rule.re_modifiers = "CASELESS,MULTILINE".into());
    assert_eq!(error.reason, r#"re_modifiers: "MULTILINE" is neither CASELESS nor GLOBAL"#);
    assert_eq!(error.rule_id, 7);
}

#[test]
fn queries_need_not_be_utf8() {
    let rules = set(vec![
        rule(1, |rule| rule.match_pattern = Some("^SELECT .+ FROM".into())),
        rule(2, |rule| rule.match_pattern = Some("café".into())),
        rule(3, |rule| rule.match_pattern = Some(r"FROM (?!u)".into())),
    ]);
    let latin1 = b"SELECT '\xe9' FROM t";
    assert_eq!(decide_with(&rules, "", |facts| facts.query = latin1).1, [1, 3]);
    assert_eq!(decide(&rules, "SELECT 'café' FROM u").1, [1, 2]);
}

#[test]
fn an_expression_that_runs_away_matches_nothing() {
    let rules = set(vec![rule(1, |rule| rule.match_pattern = Some(r"^(a+)+\1$".into()))]);
    assert!(decide(&rules, &format!("{}!", "a".repeat(200))).1.is_empty());
}

#[test]
fn more_than_eight_hits_are_all_told() {
    let rules = set((1..=20).map(|id| rule(id, |_| {})).collect());
    assert_eq!(decide(&rules, "SELECT 1").1, (1..=20).collect::<Vec<_>>());
}

#[test]
fn no_rules_decide_nothing() {
    assert_eq!(hostgroup(&RuleSet::default(), "SELECT 1"), None);
    assert!(!RuleSet::default().needs_digest());
}

#[test]
fn digest_column() {
    assert_eq!(QueryRule::parse_digest("0x226CD90D52A2BA0B"), Some(0x226C_D90D_52A2_BA0B));
    assert_eq!(QueryRule::parse_digest("0X1"), Some(1));
    for bad in ["", "226C", "0x", "0x+1", "0x11112222333344445", "0xZZ"] {
        assert_eq!(QueryRule::parse_digest(bad), None, "{bad}");
    }
    assert_eq!(Multiplex::from_column(3), None);
    assert_eq!(Multiplex::from_column(0), Some(Multiplex::Disable));
}

#[test]
fn weighted_flags_are_drawn_by_weight() {
    let rules = set(vec![
        rule(1, |rule| {
            rule.attributes = r#"{"flagOUTs":[{"id":7,"weight":3},{"id":8,"weight":1}]}"#.into();
            rule.flag_out = Some(9);
        }),
        rule(2, |rule| rule.flag_in = 7),
        rule(3, |rule| rule.flag_in = 8),
        rule(4, |rule| rule.flag_in = 9),
    ]);
    let draw = |random| decide_with(&rules, "SELECT 1", |facts| facts.random = random).1;
    let all: Vec<_> = (0..4_000_u64).map(|n| draw(n.wrapping_mul(0x2545_F491_4F6C_DD1D))).collect();
    let sevens = all.iter().filter(|hits| **hits == [1, 2]).count();
    assert!((2_850..3_150).contains(&sevens), "{sevens}");
    assert_eq!(all.iter().filter(|hits| **hits == [1, 3]).count(), 4_000 - sevens);
}

#[test]
fn bad_attributes_are_refused() {
    for bad in
        ["{", r#"{"flagOUTs":5}"#, r#"{"flagOUTs":[{"id":1}]}"#, r#"{"flagOUTs":[{"id":1,"weight":-1}]}"#]
    {
        let error = RuleSet::compile(vec![rule(7, |rule| rule.attributes = bad.into())]).unwrap_err();
        assert!(error.to_string().starts_with("query rule 7: attributes: "), "{error}");
    }
    set(vec![rule(7, |rule| rule.attributes = r#"{"other":1}"#.into())]);
}

#[test]
fn iterations_lead_back_to_the_first_rule() {
    let rules = set(vec![
        rule(1, |rule| rule.flag_in = 7),
        rule(2, |rule| rule.flag_out = Some(7)),
        rule(3, |rule| {
            rule.flag_in = 7;
            rule.flag_out = Some(0);
        }),
    ]);
    let scan = |iterations| decide_with(&rules, "SELECT 1", |facts| facts.iterations = iterations).1;
    assert_eq!(scan(0), [2, 3]);
    assert_eq!(scan(1), [2, 1, 3]);
    assert_eq!(scan(3), [2, 1, 3, 2, 1, 3], "and it ends");
}

#[test]
fn fast_routing_comes_after_the_rules_and_not_behind_apply() {
    let mut fast = FastRouting::default();
    fast.add("app", "shop", 0, 100).unwrap();
    fast.add("", "shop", 7, 107).unwrap();
    let rules = set(vec![
        rule(1, |rule| {
            rule.match_pattern = Some("^UPDATE".into());
            rule.destination_hostgroup = Some(1);
            rule.apply = true;
        }),
        rule(2, |rule| {
            rule.match_pattern = Some("FOR UPDATE$".into());
            rule.flag_out = Some(7);
        }),
        rule(3, |rule| rule.destination_hostgroup = Some(3)),
    ])
    .with_fast_routing(fast);
    assert_eq!(hostgroup(&rules, "SELECT 1"), Some(100));
    assert_eq!(hostgroup(&rules, "SELECT 1 FOR UPDATE"), Some(107));
    assert_eq!(hostgroup(&rules, "UPDATE t SET a=1"), Some(1));
    let elsewhere = decide_with(&rules, "SELECT 1", |facts| facts.schemaname = "other");
    assert_eq!(elsewhere.0.destination_hostgroup, Some(3));
}

/// The index leaves out only what does not match: each rule alone must agree with all of them together.
#[test]
fn the_index_changes_nothing() {
    let expressions =
        ["^select", "FROM t1", "t1$", "(t1|t2) ", "a.c", "x*", "t[0-9]+", "(?=t1)t", r"\?", "ID ?= ?"];
    let queries = [
        "SELECT a FROM t1",
        "select * from T1 where Id = 5",
        "INSERT INTO t2 VALUES (1)",
        "abc",
        "",
        "t1 t1 t1 t2 ",
    ];
    let mut rules = Vec::new();
    for (n, expression) in (0_i64..).zip(expressions) {
        let make = |id, with: &dyn Fn(&mut QueryRule)| rule(id, |rule| with(rule));
        rules.push(make(n * 10, &|rule| rule.match_digest = Some(expression.into())));
        rules.push(make(n * 10 + 1, &|rule| rule.match_pattern = Some(expression.into())));
        rules.push(make(n * 10 + 2, &|rule| {
            rule.match_pattern = Some(expression.into());
            rule.negate_match_pattern = n % 2 == 0;
            rule.re_modifiers = "".into();
            rule.schemaname = Some("shop".into());
        }));
    }
    let all = set(rules.clone());
    for query in queries {
        let alone = rules.iter().filter(|rule| !decide(&set(vec![(*rule).clone()]), query).1.is_empty());
        assert_eq!(decide(&all, query).1, alone.map(|rule| rule.rule_id).collect::<Vec<_>>(), "{query}");
    }
}
