//! Kind, properties and detail of statements, row by row.

use proptest::prelude::*;

use super::{Detail, Flags, classify};
use crate::kind::Kind;

/// Statement, kind, whether it is a read.
const KINDS: &[(&str, &str, bool)] = &[
    ("", "UNKNOWN", false),
    ("   ", "UNKNOWN", false),
    (";", "UNKNOWN", false),
    ("nonsense", "UNKNOWN", false),
    ("'a'", "UNKNOWN", false),
    ("SELECT 1", "SELECT", true),
    ("select 1;", "SELECT", true),
    (" /* hint */ sElEcT 1", "SELECT", true),
    ("-- note\nSELECT 1", "SELECT", true),
    ("(SELECT 1) UNION (SELECT 2)", "SELECT", true),
    ("/*!40001 SELECT 1 */", "SELECT", true),
    ("SELECT 'FOR UPDATE'", "SELECT", true),
    ("SELECT a FROM t WHERE next=1 AND `for`=2", "SELECT", true),
    ("SELECT a FROM t USE INDEX FOR JOIN (i)", "SELECT", true),
    ("WITH c AS (SELECT 1) SELECT * FROM c", "SELECT", true),
    ("WITH RECURSIVE c AS (SELECT 1) UPDATE t SET a=1", "UPDATE", false),
    ("WITH c AS (SELECT 1) DELETE FROM t", "DELETE", false),
    ("TABLE t", "SELECT", true),
    ("VALUES ROW(1,2)", "SELECT", true),
    ("SELECT a FROM t FOR UPDATE", "SELECT_FOR_UPDATE", false),
    ("SELECT a FROM t FOR UPDATE OF t SKIP LOCKED", "SELECT_FOR_UPDATE", false),
    ("SELECT a FROM t FOR SHARE", "SELECT_FOR_UPDATE", false),
    ("SELECT a FROM t LOCK IN SHARE MODE", "SELECT_FOR_UPDATE", false),
    ("SELECT a FROM (SELECT a FROM t FOR UPDATE) d", "SELECT_FOR_UPDATE", false),
    ("SELECT a INTO OUTFILE '/x' FROM t", "SELECT", false),
    ("SELECT a INTO @x FROM t", "SELECT", false),
    ("SELECT GET_LOCK('a', 1)", "SELECT", false),
    ("SELECT NEXTVAL(s)", "SELECT", false),
    ("SELECT NEXT VALUE FOR s", "SELECT", false),
    ("SELECT @a := 1", "SELECT", false),
    ("SELECT @a", "SELECT", true),
    ("SELECT SQL_CALC_FOUND_ROWS a FROM t", "SELECT", false),
    ("SELECT LAST_INSERT_ID()", "SELECT", false),
    ("SELECT FOUND_ROWS()", "SELECT", false),
    ("SELECT 1; DELETE FROM t", "SELECT", false),
    ("INSERT INTO t VALUES (1)", "INSERT", false),
    ("insert into t select 1", "INSERT", false),
    ("UPDATE t SET a=1", "UPDATE", false),
    ("DELETE FROM t", "DELETE", false),
    ("REPLACE INTO t VALUES (1)", "REPLACE", false),
    ("BEGIN", "BEGIN", false),
    ("BEGIN WORK", "BEGIN", false),
    ("BEGIN NOT ATOMIC SELECT 1; END", "UNKNOWN", false),
    ("START TRANSACTION READ ONLY", "START_TRANSACTION", false),
    ("START SLAVE", "UNKNOWN", false),
    ("COMMIT", "COMMIT", false),
    ("COMMIT WORK AND CHAIN", "COMMIT", false),
    ("ROLLBACK", "ROLLBACK", false),
    ("ROLLBACK TO s", "ROLLBACK_SAVEPOINT", false),
    ("ROLLBACK WORK TO SAVEPOINT s", "ROLLBACK_SAVEPOINT", false),
    ("SAVEPOINT s", "SAVEPOINT", false),
    ("RELEASE SAVEPOINT s", "RELEASE_SAVEPOINT", false),
    ("SET autocommit=1", "SET", false),
    ("USE db", "USE", false),
    ("SHOW TABLES", "SHOW", true),
    ("SHOW TABLE STATUS", "SHOW_TABLE_STATUS", true),
    ("SHOW WARNINGS", "SHOW", false),
    ("SHOW COUNT(*) ERRORS", "SHOW", false),
    ("EXPLAIN SELECT 1", "EXPLAIN", true),
    ("EXPLAIN FORMAT=JSON UPDATE t SET a=1", "EXPLAIN", true),
    ("EXPLAIN ANALYZE SELECT 1", "EXPLAIN", true),
    ("EXPLAIN ANALYZE UPDATE t SET a=1", "UNKNOWN", false),
    ("DESC t", "DESCRIBE", true),
    ("DESCRIBE SELECT 1", "EXPLAIN", true),
    ("CREATE TABLE t (a INT)", "CREATE_TABLE", false),
    ("CREATE OR REPLACE TABLE t (a INT)", "CREATE_TABLE", false),
    ("CREATE TEMPORARY TABLE t (a INT)", "CREATE_TEMPORARY", false),
    ("CREATE UNIQUE INDEX i ON t (a)", "CREATE_INDEX", false),
    ("CREATE ALGORITHM=MERGE DEFINER=`a`@`b` VIEW v AS SELECT 1", "CREATE_VIEW", false),
    ("CREATE DATABASE d", "CREATE_DATABASE", false),
    ("CREATE SCHEMA d", "CREATE_DATABASE", false),
    ("CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW SET @a=1", "CREATE_TRIGGER", false),
    ("CREATE USER u", "CREATE_USER", false),
    ("DROP TABLE IF EXISTS t", "DROP_TABLE", false),
    ("DROP TEMPORARY TABLE t", "DROP_TABLE", false),
    ("DROP DATABASE d", "DROP_DATABASE", false),
    ("DROP INDEX i ON t", "DROP_INDEX", false),
    ("DROP TRIGGER g", "DROP_TRIGGER", false),
    ("DROP USER u", "DROP_USER", false),
    ("DROP VIEW v", "DROP_VIEW", false),
    ("ALTER TABLE t ADD a INT", "ALTER_TABLE", false),
    ("ALTER VIEW v AS SELECT 1", "ALTER_VIEW", false),
    ("RENAME TABLE a TO b", "RENAME_TABLE", false),
    ("TRUNCATE t", "TRUNCATE_TABLE", false),
    ("CALL p()", "CALL", false),
    ("LOCK TABLES t READ", "LOCK_TABLE", false),
    ("UNLOCK TABLES", "UNLOCK_TABLES", false),
    ("PREPARE s FROM 'SELECT 1'", "PREPARE", false),
    ("EXECUTE s", "EXECUTE", false),
    ("DEALLOCATE PREPARE s", "DEALLOCATE", false),
    ("DROP PREPARE s", "DEALLOCATE", false),
    ("KILL 5", "KILL", false),
    ("LOAD DATA INFILE 'f' INTO TABLE t", "LOAD", false),
    ("FLUSH PRIVILEGES", "FLUSH", false),
    ("ANALYZE TABLE t", "ANALYZE_TABLE", false),
    ("OPTIMIZE TABLE t", "OPTIMIZE", false),
    ("GRANT SELECT ON t TO u", "GRANT", false),
    ("REVOKE SELECT ON t FROM u", "REVOKE", false),
    ("CHANGE MASTER TO MASTER_HOST='h'", "CHANGE_MASTER", false),
    ("RESET MASTER", "RESET_MASTER", false),
    ("RESET REPLICA ALL", "RESET_SLAVE", false),
    ("PURGE BINARY LOGS TO 'x'", "PURGE", false),
    ("XA START 'x'", "UNKNOWN", false),
    ("HANDLER t OPEN", "UNKNOWN", false),
    ("DO SLEEP(1)", "UNKNOWN", false),
];

#[test]
fn kinds() {
    for (sql, kind, read) in KINDS {
        let statement = classify(sql.as_bytes());
        assert_eq!((statement.kind.name(), statement.is_read()), (*kind, *read), "{sql}");
    }
}

#[test]
fn names_are_distinct() {
    let mut names: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Kind::ALL.len());
}

#[test]
fn properties() {
    for (sql, expected) in [
        ("SELECT @a", Flags::USER_VARIABLE),
        ("SELECT '@a', `@b`, @@c -- @d", Flags::READ),
        ("SELECT @a := @a + 1", Flags::ASSIGNS_USER_VARIABLE),
        ("SET @a=1", Flags::ASSIGNS_USER_VARIABLE),
        ("SET sql_mode=f(1, 2), @a=1", Flags::ASSIGNS_USER_VARIABLE),
        ("SELECT 1 INTO @a", Flags::ASSIGNS_USER_VARIABLE),
        ("CREATE TEMPORARY TABLE t (a INT)", Flags::TEMPORARY_TABLE),
        ("DROP TEMPORARY TABLE t", Flags::TEMPORARY_TABLE),
        ("SELECT release_lock('a')", Flags::ADVISORY_LOCK),
        ("DO RELEASE_ALL_LOCKS()", Flags::ADVISORY_LOCK),
        ("SELECT SQL_CALC_FOUND_ROWS * FROM t", Flags::CALC_FOUND_ROWS),
        ("SELECT found_rows()", Flags::FOUND_ROWS),
        ("SELECT ROW_COUNT()", Flags::FOUND_ROWS),
        ("SELECT last_insert_id()", Flags::LAST_INSERT_ID),
        ("SELECT @@identity", Flags::LAST_INSERT_ID),
        ("INSERT INTO t VALUES (LAST_INSERT_ID())", Flags::LAST_INSERT_ID),
        ("LOCK TABLES t WRITE", Flags::LOCK_TABLES),
        ("FLUSH TABLES WITH READ LOCK", Flags::LOCK_TABLES),
        ("FLUSH TABLES t FOR EXPORT", Flags::LOCK_TABLES),
        ("UNLOCK TABLES", Flags::UNLOCK_TABLES),
        ("PREPARE s FROM @q", Flags::PREPARE),
        ("BEGIN", Flags::STARTS_TRANSACTION),
        ("START TRANSACTION", Flags::STARTS_TRANSACTION),
        ("COMMIT AND CHAIN", Flags::STARTS_TRANSACTION.with(Flags::ENDS_TRANSACTION)),
        ("ROLLBACK WORK AND CHAIN", Flags::STARTS_TRANSACTION.with(Flags::ENDS_TRANSACTION)),
        ("COMMIT", Flags::ENDS_TRANSACTION),
        ("XA COMMIT 'x'", Flags::ENDS_TRANSACTION.with(Flags::CONNECTION_STATE)),
        ("SELECT 1; SELECT 2", Flags::MULTI_STATEMENT),
        ("SHOW ERRORS LIMIT 1", Flags::DIAGNOSTICS),
        ("SELECT @@session.warning_count", Flags::DIAGNOSTICS),
        ("GET DIAGNOSTICS @n = NUMBER", Flags::DIAGNOSTICS),
        ("SELECT 1 FROM t FOR UPDATE", Flags::ROW_LOCK),
        ("HANDLER t OPEN", Flags::CONNECTION_STATE),
        ("LOAD DATA LOCAL INFILE 'f' INTO TABLE t", Flags::LOCAL_INFILE),
        ("LOAD DATA LOW_PRIORITY LOCAL INFILE 'f' INTO TABLE t", Flags::LOCAL_INFILE),
        ("SELECT 1 INTO DUMPFILE 'f'", Flags::INTO),
    ] {
        let flags = classify(sql.as_bytes()).flags;
        assert!(flags.has(expected), "{sql}: {flags:?}");
    }
}

#[test]
fn properties_that_are_not_there() {
    for (sql, absent) in [
        ("SELECT '@a', `@b`, @@c -- @d", Flags::USER_VARIABLE),
        ("SELECT get_lock FROM t", Flags::ADVISORY_LOCK),
        ("SELECT 1;", Flags::MULTI_STATEMENT),
        ("SELECT 1 ;; -- the end", Flags::MULTI_STATEMENT),
        ("SELECT ';' , 2", Flags::MULTI_STATEMENT),
        ("SET sql_mode=@a", Flags::ASSIGNS_USER_VARIABLE),
        ("ROLLBACK TO s", Flags::ENDS_TRANSACTION),
        ("ROLLBACK AND NO CHAIN", Flags::STARTS_TRANSACTION),
        ("LOAD DATA INFILE 'LOCAL' INTO TABLE t", Flags::LOCAL_INFILE),
        ("FLUSH TABLES", Flags::LOCK_TABLES),
    ] {
        let flags = classify(sql.as_bytes()).flags;
        assert!(!flags.any(absent), "{sql}: {flags:?}");
    }
}

#[test]
fn details() {
    for (sql, detail) in [
        ("USE db", Detail::Use(b"db")),
        ("use `my db` ;", Detail::Use(b"`my db`")),
        ("USE", Detail::None),
        ("USE 'db'", Detail::None),
        ("USE a b", Detail::None),
        ("USE a; SELECT 1", Detail::None),
        ("KILL 42", Detail::Kill { query_only: false, id: 42 }),
        ("KILL CONNECTION 42", Detail::Kill { query_only: false, id: 42 }),
        ("kill query 42;", Detail::Kill { query_only: true, id: 42 }),
        ("KILL QUERY ID 42", Detail::None),
        ("KILL 99999999999999999999999", Detail::None),
        ("KILL @a", Detail::None),
        ("SELECT @@version_comment LIMIT 1", Detail::SystemVariable(b"version_comment")),
        ("select @@session.sql_mode;", Detail::SystemVariable(b"session.sql_mode")),
        ("SELECT @@version_comment, 1", Detail::None),
        ("SELECT @@version_comment LIMIT", Detail::None),
        ("SELECT @@a FROM t", Detail::None),
        ("select /* */ connection_id ( )", Detail::ConnectionId),
        ("SELECT CONNECTION_ID(), 1", Detail::None),
        ("SELECT CONNECTION_ID();", Detail::None),
        ("SELECT CONNECTION_ID", Detail::None),
        ("SELECT 1", Detail::None),
    ] {
        assert_eq!(classify(sql.as_bytes()).detail, detail, "{sql}");
    }
}

proptest! {
    #[test]
    fn any_bytes_have_a_class(sql in prop::collection::vec(any::<u8>(), 0..200)) {
        classify(&sql);
    }

    /// The first statement decides the kind, and none with several is a read.
    #[test]
    fn several_statements_are_never_a_read(row in 0..KINDS.len()) {
        let (sql, kind, _) = KINDS[row];
        let several = classify(format!("{sql}\n; SELECT 1").as_bytes()).flags;
        prop_assert!(!several.has(Flags::READ) || kind == "UNKNOWN", "{}", sql);
    }
}
