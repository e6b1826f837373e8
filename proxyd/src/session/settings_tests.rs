use super::*;

fn set(settings: &mut Settings, sql: &str) -> Vec<Kept> {
    let assignments = proxyd_sql::parse_set(sql.as_bytes()).unwrap();
    assignments.iter().map(|assignment| settings.assign(assignment)).collect()
}

fn fresh() -> Settings {
    Settings::new("test", Charset::Id(45))
}

fn replay(have: &Settings, want: &Settings) -> (Option<String>, Option<String>) {
    match have.difference(want) {
        Difference::Replay { schema, set } => {
            (schema.map(String::from), (!set.is_empty()).then(|| set.join("; ")))
        }
        Difference::None => (None, None),
        Difference::Reset => panic!("reset"),
    }
}

#[test]
fn literals_are_replayed_and_taken_back() {
    let (plain, mut client) = (fresh(), fresh());
    let kept = set(&mut client, "SET SESSION sql_mode='ANSI', @a = 'x', @@time_zone='+00:00', NAMES latin1");
    assert_eq!(kept, [Kept::Replayable; 4]);
    let (schema, sql) = replay(&plain, &client);
    assert_eq!(schema, None);
    assert_eq!(
        sql.unwrap(),
        "SET NAMES latin1, @@session.sql_mode='ANSI', @@session.time_zone='+00:00'; SET @a='x'"
    );
    let mut other = fresh();
    set(&mut other, "SET @a=1");
    assert_eq!(
        replay(&client, &other).1.unwrap(),
        "SET NAMES utf8mb4 COLLATE utf8mb4_general_ci, @@session.sql_mode=DEFAULT, \
         @@session.time_zone=DEFAULT; SET @a=1"
    );
    assert_eq!(client.difference(&plain), Difference::Reset, "a variable that is NULL again keeps its type");
}

#[test]
fn what_only_the_backend_knows_is_not_kept() {
    let mut client = fresh();
    assert_eq!(set(&mut client, "SET @a=1"), [Kept::Replayable]);
    assert_eq!(set(&mut client, "SET @a=@b+1"), [Kept::AtBackend]);
    assert_eq!(client, fresh());
    assert_eq!(set(&mut client, "SET sql_mode=CONCAT(@@sql_mode,',ANSI')"), [Kept::Unknown]);
    assert_eq!(set(&mut client, "SET sql_mode=?, @b=?"), [Kept::Unknown, Kept::AtBackend]);
    assert_eq!(set(&mut client, "SET TRANSACTION READ ONLY"), [Kept::ForNextTransaction]);
    assert_eq!(set(&mut client, "SET GLOBAL max_connections=5"), [Kept::Replayable]);
    assert_eq!(client, fresh());
}

#[test]
fn transaction_characteristics_replace_each_other_and_need_a_reset_to_go() {
    let (plain, mut client) = (fresh(), fresh());
    set(&mut client, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED");
    set(&mut client, "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE");
    assert_eq!(replay(&plain, &client).1.unwrap(), "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE");
    assert_eq!(client.difference(&plain), Difference::Reset);
}

#[test]
fn a_schema_and_autocommit_are_replayed() {
    let (plain, mut client) = (fresh(), fresh());
    client.schema = "other".into();
    client.autocommit = false;
    let (schema, sql) = replay(&plain, &client);
    assert_eq!((schema.as_deref(), sql.as_deref()), (Some("other"), Some("SET autocommit=0")));
    assert_eq!(plain.difference(&plain.clone()), Difference::None);
}

#[test]
fn a_statement_is_prepared_again_under_the_settings_of_its_first_time() {
    let mut client = fresh();
    set(&mut client, "SET sql_mode='ANSI', @a=1, NAMES latin1");
    set(&mut client, "SET SESSION TRANSACTION READ ONLY");
    let environment = client.environment();
    client.schema = "other".into();
    set(&mut client, "SET sql_mode='', time_zone='+00:00', NAMES utf8mb4");
    let under = client.under(&environment);
    assert_eq!(under.environment(), environment);
    assert_eq!((&*under.schema, under.variable("sql_mode")), ("test", Some("'ANSI'")));
    let (schema, sql) = replay(&under, &client);
    assert_eq!(schema.as_deref(), Some("other"));
    assert_eq!(sql.unwrap(), "SET NAMES utf8mb4, @@session.sql_mode='', @@session.time_zone='+00:00'");
}

#[test]
fn what_a_text_means_depends_on_character_sets_and_the_mode() {
    let read_alike = |sql: &str| {
        let mut client = fresh();
        set(&mut client, sql);
        client.reads_text_like(&fresh())
    };
    assert!(read_alike("SET @a='x', time_zone='+00:00'"));
    for sql in [
        "SET sql_mode='ANSI'",
        "SET NAMES latin1",
        "SET collation_connection=latin1_swedish_ci",
        "SET character_set_client=latin1",
    ] {
        assert!(!read_alike(sql), "{sql}");
    }
}

#[test]
fn a_text_is_set_again_where_it_meant_something_else() {
    let (mut have, mut want) = (fresh(), fresh());
    set(&mut have, "SET collation_connection=latin1_swedish_ci, @a='x', @b=1");
    set(&mut want, "SET @a='x', @b=1");
    let sql = replay(&have, &want).1.unwrap();
    assert_eq!(sql, "SET NAMES utf8mb4 COLLATE utf8mb4_general_ci; SET @a='x'");
}
