//! What a read demands after which commits, and which statements leave a doubt.

use proxyd_sql::classify;
use proxyd_wire::ErrPacket;

use super::*;

const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
const WRITER: HostgroupId = 10;
const READER: HostgroupId = 20;

fn commits(gtid: &str) -> LastGtids {
    let mut commits = LastGtids::default();
    commits.learn(WRITER, gtid.as_bytes());
    commits
}

fn of(gtid: &str, fallback: HostgroupId) -> Demand {
    Demand::Of(Causal { wanted: gtid.parse().unwrap(), fallback })
}

#[test]
fn what_a_read_demands() {
    let from = |from| Decision { gtid_from_hostgroup: Some(from), ..Decision::default() };
    let min = |gtid: &str| Decision { min_gtid: Some(gtid.into()), ..Decision::default() };
    let seven = format!("{A}:7");
    let both = Decision { gtid_from_hostgroup: Some(11), ..min("0-1-3") };
    for (decision, commits, demand) in [
        (Decision::default(), commits(&seven), Demand::None),
        (from(WRITER), LastGtids::default(), Demand::None),
        (from(WRITER), commits(&seven), of(&seven, WRITER)),
        (from(WRITER), commits("0-1-7"), of("0-1-7", WRITER)),
        (from(WRITER), commits("nonsense"), Demand::Only(WRITER)),
        (from(WRITER), commits(""), Demand::Only(WRITER)),
        // Another cluster's commits are nothing to this one.
        (from(11), commits(&seven), Demand::None),
        // The reader's own hostgroup as the source demands nothing.
        (from(READER), commits(&seven), Demand::None),
        (min(&seven), LastGtids::default(), of(&seven, WRITER)),
        (min("nonsense"), commits(&seven), Demand::None),
        (both, commits(&seven), of("0-1-3", 11)),
    ] {
        assert_eq!(Demand::of(&decision, READER, WRITER, &commits), demand, "{decision:?}");
    }
}

#[test]
fn which_statements_leave_a_doubt() {
    let failed = || Outcome { error: Some(ErrPacket::new(1064, b"42000", "no")), ..Outcome::default() };
    let lost = || Outcome { tail_lost: true, ..Outcome::default() };
    for (sql, outcome, names, doubt) in [
        ("SELECT 1", failed(), false, false),
        ("INSERT INTO t VALUES (1)", Outcome::default(), true, false),
        ("INSERT INTO t VALUES (1)", Outcome::default(), false, true),
        ("INSERT INTO t VALUES (1)", failed(), true, false),
        ("INSERT INTO t VALUES (1)", lost(), true, true),
        ("INSERT INTO t VALUES (1); SELECT nothing", failed(), true, true),
        ("CALL p()", Outcome::default(), true, false),
        ("CALL p()", failed(), true, true),
        ("CREATE TABLE t (a INT)", failed(), true, true),
        ("COMMIT", failed(), true, true),
    ] {
        let statement = classify(sql.as_bytes());
        assert_eq!(may_have_committed(&statement, &outcome, names), doubt, "{sql}");
    }
}

#[test]
fn the_question_is_the_servers_own() {
    let wait = Duration::from_millis(50);
    let ask = |gtid: &str, mariadb| question(&gtid.parse().unwrap(), mariadb, wait);
    let mysql = format!("{A}:tag:7");
    assert_eq!(ask(&mysql, false).unwrap(), format!("SELECT WAIT_FOR_EXECUTED_GTID_SET('{mysql}', 0.050)"));
    assert_eq!(ask("0-1-7", true).unwrap(), "SELECT MASTER_GTID_WAIT('0-1-7', 0.050)");
    assert_eq!((ask("0-1-7", false), ask(&mysql, true)), (None, None));
}
