//! SET statements, row by row.

use proptest::prelude::*;

use super::*;

/// One assignment in words: target, kind of value, value.
fn show(assignment: &Assignment<'_>) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let target = match assignment.target {
        Target::UserVariable(name) => format!("@{}", text(name)),
        Target::Variable { scope, name } => format!("{scope:?}.{}", text(name)),
        Target::Names { collation: None } => "names".into(),
        Target::Names { collation: Some(collation) } => format!("names({})", text(collation.text)),
        Target::CharacterSet => "charset".into(),
        Target::Isolation { scope } => format!("{scope:?} isolation"),
        Target::AccessMode { scope } => format!("{scope:?} access"),
    };
    format!("{target} {:?} {}", assignment.value.kind, text(assignment.value.text))
}

fn parsed(sql: &str) -> Result<Vec<String>, Unparsed> {
    Ok(parse_set(sql.as_bytes())?.iter().map(show).collect())
}

#[test]
fn assignments() {
    for (sql, expected) in [
        ("SET @userHost='a'", &["@userHost String 'a'"] as &[_]),
        ("set @a = 1, @b := -2.5", &["@a Number 1", "@b Number -2.5"]),
        (
            "SET @a=NULL, @b=x'41', @c=0x1F, @d=b'1'",
            &["@a Null NULL", "@b Number x'41'", "@c Number 0x1F", "@d Number b'1'"],
        ),
        ("SET @`a b`='it''s'", &["@`a b` String 'it''s'"]),
        ("SET @a=@b", &["@a Expression @b"]),
        ("SET @a=(SELECT 1, 2), @b=NOW()", &["@a Expression (SELECT 1, 2)", "@b Expression NOW()"]),
        ("SET @a=1+1", &["@a Expression 1+1"]),
        ("SET autocommit=0", &["Session.autocommit Number 0"]),
        ("SET autocommit = ON;", &["Session.autocommit Word ON"]),
        ("SET SESSION sql_mode='ANSI'", &["Session.sql_mode String 'ANSI'"]),
        ("SET LOCAL sql_mode=DEFAULT", &["Session.sql_mode Default DEFAULT"]),
        ("SET @@sql_mode=''", &["Session.sql_mode String ''"]),
        ("SET @@session.wait_timeout = 60", &["Session.wait_timeout Number 60"]),
        ("SET @@LOCAL.wait_timeout = +60", &["Session.wait_timeout Number +60"]),
        ("SET GLOBAL max_connections=5", &["Global.max_connections Number 5"]),
        ("SET @@global.max_connections=5", &["Global.max_connections Number 5"]),
        ("SET PERSIST a=1", &["Persist.a Number 1"]),
        ("SET @@persist_only.a=1", &["Persist.a Number 1"]),
        (
            "SET GLOBAL a=1, b=2, SESSION c=3, d=4",
            &["Global.a Number 1", "Global.b Number 2", "Session.c Number 3", "Session.d Number 4"],
        ),
        ("SET @@global.a=1, b=2", &["Global.a Number 1", "Session.b Number 2"]),
        ("SET `sql_mode`='x'", &["Session.`sql_mode` String 'x'"]),
        ("SET validate_password.policy=1", &["Session.validate_password.policy Number 1"]),
        ("SET NAMES utf8mb4", &["names Word utf8mb4"]),
        ("SET NAMES 'utf8mb4' COLLATE 'utf8mb4_bin'", &["names('utf8mb4_bin') String 'utf8mb4'"]),
        ("SET names DEFAULT", &["names Default DEFAULT"]),
        ("SET CHARACTER SET latin1", &["charset Word latin1"]),
        ("SET CHARSET 'latin1'", &["charset String 'latin1'"]),
        ("SET a=1, NAMES utf8", &["Session.a Number 1", "names Word utf8"]),
        (
            "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
            &["NextTransaction isolation Word READ COMMITTED"],
        ),
        (
            "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE  READ, READ ONLY",
            &["Session isolation Word REPEATABLE  READ", "Session access Word READ ONLY"],
        ),
        (
            "SET GLOBAL TRANSACTION READ WRITE, ISOLATION LEVEL SERIALIZABLE",
            &["Global access Word READ WRITE", "Global isolation Word SERIALIZABLE"],
        ),
        (
            "SET @@transaction_isolation='SERIALIZABLE'",
            &["NextTransaction.transaction_isolation String 'SERIALIZABLE'"],
        ),
        (
            "SET transaction_isolation='SERIALIZABLE'",
            &["Session.transaction_isolation String 'SERIALIZABLE'"],
        ),
        ("SET @@session.tx_isolation='SERIALIZABLE'", &["Session.tx_isolation String 'SERIALIZABLE'"]),
        ("/* c */ SET /* d */ a /* e */ = /* f */ 1 -- g", &["Session.a Number 1"]),
        ("/*!40101 SET NAMES utf8 */;", &["names Word utf8"]),
        (
            "/*!40014 SET @OLD_CHECKS=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0 */",
            &["@OLD_CHECKS Expression @@FOREIGN_KEY_CHECKS", "Session.FOREIGN_KEY_CHECKS Number 0"],
        ),
        ("SET @a='never ends", &["@a Expression 'never ends"]),
        ("SET @a=N'x', @b=_utf8'x'", &["@a Expression N'x'", "@b Expression _utf8'x'"]),
        (
            "SET sql_mode=concat(@@sql_mode,',STRICT_ALL_TABLES'), a=1",
            &["Session.sql_mode Expression concat(@@sql_mode,',STRICT_ALL_TABLES')", "Session.a Number 1"],
        ),
    ] {
        assert_eq!(
            parsed(sql).as_deref(),
            Ok(expected.iter().map(ToString::to_string).collect::<Vec<_>>()).as_deref(),
            "{sql}"
        );
    }
}

#[test]
fn refusals() {
    for (sql, expected) in [
        ("", Unparsed::NotSet),
        ("SELECT 1", Unparsed::NotSet),
        ("SET", Unparsed::Syntax),
        ("SET PASSWORD = 'x'; SELECT 1", Unparsed::MultiStatement),
        ("SET PASSWORD FOR u = 'x'", Unparsed::OtherForm),
        ("SET ROLE r", Unparsed::OtherForm),
        ("SET STATEMENT max_statement_time=1 FOR SELECT 1", Unparsed::OtherForm),
        ("SET RESOURCE GROUP g", Unparsed::OtherForm),
        ("SET a", Unparsed::OtherForm),
        ("SET a=", Unparsed::Syntax),
        ("SET a=1,", Unparsed::Syntax),
        ("SET a=1, b", Unparsed::Syntax),
        ("SET @=1", Unparsed::Syntax),
        ("SET @a 1", Unparsed::Syntax),
        ("SET a=(1", Unparsed::Syntax),
        ("SET a=1)", Unparsed::Syntax),
        ("SET 1=1", Unparsed::Syntax),
        ("SET a=1; SELECT 1", Unparsed::MultiStatement),
        ("SET TRANSACTION ISOLATION LEVEL SOON", Unparsed::Syntax),
        ("SET TRANSACTION ISOLATION READ ONLY", Unparsed::Syntax),
        ("SET @a='x' COLLATE utf8_bin", Unparsed::Syntax),
    ] {
        assert_eq!(parsed(sql), Err(expected), "{sql}");
    }
}

#[test]
fn bounds() {
    let many = |count: usize| format!("SET {}", vec!["@a=1"; count].join(","));
    assert_eq!(parse_set(many(64).as_bytes()).map(|all| all.len()), Ok(64));
    assert_eq!(parse_set(many(65).as_bytes()), Err(Unparsed::TooLarge));
    assert_eq!(parse_set(format!("SET @{}=1", "a".repeat(200)).as_bytes()), Err(Unparsed::TooLarge));
    assert_eq!(
        parse_set(format!("SET @a='{}'", "a".repeat(MAX_STATEMENT)).as_bytes()),
        Err(Unparsed::TooLarge)
    );
}

#[test]
fn values() {
    let value = |sql: &'static str| parse_set(sql.as_bytes()).unwrap()[0].value;
    assert_eq!(&*value(r"SET @a='it''s\n\'x\''").unquoted(), b"it's\n'x'");
    assert_eq!(&*value(r#"SET @a="say ""hi""""#).unquoted(), br#"say "hi""#);
    assert_eq!(&*value("SET @a=`b``c`").unquoted(), b"b`c");
    for (sql, expected) in [
        ("SET autocommit=1", Some(true)),
        ("SET autocommit='on'", Some(true)),
        ("SET autocommit=FALSE", Some(false)),
        ("SET autocommit=DEFAULT", None),
        ("SET autocommit=2", None),
    ] {
        assert_eq!(value(sql).as_bool(), expected, "{sql}");
    }
    assert!(value("SET @a=1").is_literal() && !value("SET @a=now()").is_literal());
    assert!(parse_set(b"SET AutoCommit=1").unwrap()[0].sets_session("autocommit"));
    assert!(!parse_set(b"SET GLOBAL autocommit=1").unwrap()[0].sets_session("autocommit"));
}

proptest! {
    #[test]
    fn any_bytes_are_answered(sql in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse_set(&[b"SET ", &sql[..]].concat());
    }

    /// A literal is a token of its own, wherever it is replayed.
    #[test]
    fn literals_replay(value in "[ -~]{0,20}") {
        let sql = format!("SET @a={value}");
        if let Ok(all) = parse_set(sql.as_bytes())
            && let [one] = &all[..]
            && one.value.is_literal()
        {
            let again = [b"SET x=", one.value.text, b", @b=2"].concat();
            let replayed = parse_set(&again).unwrap();
            prop_assert_eq!(replayed.len(), 2);
            prop_assert_eq!(replayed[0].value, one.value);
        }
    }
}
