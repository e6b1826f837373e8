//! Options and bounds, and what must hold for any input. The vectors are in `tests/digests.txt`.

use proptest::prelude::*;

use super::{DigestOptions, Digester, digest, digest_text};

const DEFAULT: DigestOptions = DigestOptions {
    max_digest_length: 2048,
    max_query_length: 65000,
    grouping_limit: 3,
    groups_grouping_limit: 10,
    lowercase: false,
    no_digits: false,
    replace_null: false,
    keep_comment: false,
};

fn check(options: &DigestOptions, rows: &[(&str, &str)]) {
    for (sql, expected) in rows {
        assert_eq!(digest_text(sql.as_bytes(), options), *expected, "{sql}");
    }
}

#[test]
fn options() {
    let grouping = DigestOptions { grouping_limit: 1, groups_grouping_limit: 1, ..DEFAULT };
    check(
        &grouping,
        &[
            ("INSERT INTO t VALUES (1,2,3)", "INSERT INTO t VALUES (?,...)"),
            ("INSERT INTO t VALUES (1,2,3),(4,5,6)", "INSERT INTO t VALUES (?,...),..."),
            ("INSERT INTO t VALUES (?,...),(4,5,6)", "INSERT INTO t VALUES (?,...),..."),
            ("SELECT f(1,2)", "SELECT f(?,?)"),
        ],
    );
    let none = DigestOptions { grouping_limit: 0, groups_grouping_limit: 0, ..DEFAULT };
    check(&none, &[("SELECT a IN (1,2,3,4,5,6)", "SELECT a IN (?,?,?,?,?,?)")]);
    check(&DigestOptions { lowercase: true, ..DEFAULT }, &[("SELECT A FROM T2", "select a from t2")]);
    check(
        &DigestOptions { no_digits: true, ..DEFAULT },
        &[("SELECT c1 FROM t_2024_01", "SELECT c? FROM t_?_?"), ("SELECT 1", "SELECT ?")],
    );
    check(
        &DigestOptions { replace_null: true, ..DEFAULT },
        &[
            ("SELECT NULL", "SELECT ?"),
            ("INSERT INTO t VALUES (1,nUlL,3,NULL,5)", "INSERT INTO t VALUES (?,?,?,...)"),
            ("SELECT NULL8", "SELECT NULL8"),
        ],
    );
    check(
        &DigestOptions { keep_comment: true, ..DEFAULT },
        &[("SELECT /* who */ 1", "SELECT /* who */ ?"), ("SELECT 1 -- who", "SELECT ?")],
    );
    check(&DigestOptions { max_digest_length: 8, ..DEFAULT }, &[("SELECT abcdef", "SELECT a")]);
    check(&DigestOptions { max_query_length: 8, ..DEFAULT }, &[("SELECT abcdef", "SELECT a")]);
}

/// Statements and digests that ProxySQL printed, from public documentation and articles.
#[test]
fn published_digests() {
    for (sql, expected) in [
        ("select @@version_comment limit 1", 0x226CD90D52A2BA0B_u64),
        ("SELECT DATABASE()", 0x620B328FE9D6D71A),
        ("show databases", 0x02033E45904D3DF0),
        ("show tables", 0x99531AEFF718C501),
        ("select USER()", 0x594F2C744B698066),
        ("select 1", 0x1E092DAEFFBBF262),
        ("SELECT 1", 0x1C46AE529DD5A40E),
        ("INSERT /*SHARD2020*/ INTO testdb.t1 VALUES(1,1,1)", 0x447DBFBC0B483620),
        ("SELECT /*SHARD2021*/ * FROM testdb.t1", 0x4AEAB1A1BBE601B2),
        ("SELECT @@HOSTNAME as hostname", 0xF8F780C47A8D1D82),
        ("insert into test.t(id) values(7)", 0x68D0B3544BA3210A),
        ("insert into test.t values(7)", 0xB217E4D8B056AC0B),
        ("SELECT * FROM t WHERE 1=1", 0x0BC1AE031E4721D4),
        ("ALTER USER 'run'@'%' IDENTIFIED WITH mysql_native_password BY 'x'", 0xFF8947A6893D0C92),
        ("update test1 set id2=3 where id%2=0", 0xF434DBD7D158BC81),
        ("update tbl_0 set username='a' where corpid=5", 0x6F8289B2913564A0),
        ("select * from tbl_0", 0x45033ED34D21EDF5),
        ("select * from `db5`.tbl_0", 0x0CE250A1C0E2C539),
        ("select * from db15.tbl_0", 0xA951EB38FA9ED6A4),
        ("select @@server_uuid", 0xB1310F34FA3FF439),
        ("select * from t1", 0x3765930C7143F468),
        ("UPDATE mydb.object SET text='x' WHERE id=1", 0x8666F6E344CEA089),
        ("SELECT * FROM mydb.object", 0x9B6FEA539C240940),
    ] {
        let mut digester = Digester::default();
        let text = digester.digest(sql.as_bytes()).to_owned();
        assert_eq!(digester.hash(), expected, "{sql} became {text}");
        assert_eq!(digest(&text), expected);
    }
}

#[test]
fn other_character_sets_are_shown_but_hashed_as_sent() {
    let mut digester = Digester::default();
    assert_eq!(digester.digest(b"SELECT caf\xe9 FROM \xe3\x81\x82"), "SELECT caf_ FROM あ");
    assert_eq!(digester.hash(), crate::spooky::hash64(b"SELECT caf\xe9 FROM \xe3\x81\x82", 0));
}

#[test]
fn long_input_stays_in_its_bounds() {
    let long = format!("SELECT {}", "a+".repeat(100_000));
    assert_eq!(digest_text(long.as_bytes(), &DEFAULT).len(), 2048);
    // Rows beyond what is kept at a time go on becoming shorter.
    let rows = |count| {
        format!("INSERT INTO t VALUES {} ON DUPLICATE KEY UPDATE a=1", vec!["(1,2,3,4,5)"; count].join(","))
    };
    assert_eq!(digest_text(rows(60_000).as_bytes(), &DEFAULT), digest_text(rows(20).as_bytes(), &DEFAULT));
}

/// Pieces that make up hostile and ordinary SQL alike.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "SELECT ",
        "a",
        "b1",
        " ",
        "\n",
        ",",
        "(",
        ")",
        "(1,2,3)",
        "1",
        "-2",
        "0x1f",
        "1e5",
        "1.",
        ".5",
        "'x'",
        "\"y\"",
        "'",
        "\"",
        "`",
        "`q`",
        "``",
        "@",
        "@@",
        "@v",
        "?",
        "...",
        ".",
        "-",
        "+",
        "*",
        "/",
        "%",
        "=",
        ":=",
        "--",
        "-- c\n",
        "#c\n",
        "/*",
        "*/",
        "/*!40000 ",
        "/*c*/",
        ";",
        "\\",
        "NULL",
        "N",
        "x",
        "é",
        "!",
        "<",
        ">",
        "|",
        "&",
        "$",
        "in",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_have_a_digest(sql in prop::collection::vec(any::<u8>(), 0..200)) {
        let text = digest_text(&sql, &DEFAULT);
        prop_assert!(text.len() <= 2048);
    }

    #[test]
    fn no_literal_leaks(before in pieces(), after in pieces(), kind in 0..5_usize) {
        let before = before.replace(['\'', '"', '`', '\\', '#', '*', '-', '@'], " ");
        let marker = ["'7secret9'", "\"7secret9\"", "719283746", "0x719283746", "719283746.5e3"][kind];
        let text = digest_text(format!("{before} {marker} {after}").as_bytes(), &DEFAULT);
        prop_assert!(!text.contains("secret") && !text.contains("719283746"), "{}", text);
    }
}
