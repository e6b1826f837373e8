//! Random sessions from a seed: what a client may do to its session, in an order nobody would think of.

/// Which server's words are spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flavour {
    MariaDb,
    MySql,
}

/// What a client has negotiated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Manner {
    pub deprecate_eof: bool,
    pub session_track: bool,
    pub collation: u8,
    pub schema: Option<&'static str>,
}

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Query(String),
    InitDb(&'static str),
    /// COM_STMT_PREPARE into this slot.
    Prepare(usize, String),
    /// COM_STMT_EXECUTE of the statement in this slot.
    Execute(usize, Vec<String>),
    Close(usize),
    Reset,
    Ping,
}

/// A client's life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Script {
    pub manner: Manner,
    pub steps: Vec<Step>,
}

/// Slots for prepared statements of a session.
pub(super) const SLOTS: usize = 3;

/// splitmix64: the same numbers for the same seed, everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap_or(0)
    }

    fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// The session of this seed. `table` is a table of its own, with an auto-increment `id` and a number `a`.
pub(super) fn script(seed: u64, table: &str, flavour: Flavour) -> Script {
    let mut random = Random(seed);
    let manner = Manner {
        deprecate_eof: random.one_in(2),
        session_track: random.one_in(2),
        collation: random.pick(&[45, 45, 8, 33, 224, 46]),
        schema: random.pick(&[Some("test"), Some("test"), Some("other"), None]),
    };
    let mut generator = Generator { random, table, flavour };
    let count = 6 + generator.random.below(30);
    let mut steps: Vec<Step> = (0..count).flat_map(|_| generator.steps()).collect();
    steps.extend(last_words(table).map(Step::Query));
    Script { manner, steps }
}

/// What is visible of a session at its end.
fn last_words(table: &str) -> impl Iterator<Item = String> {
    [
        "SELECT DATABASE(), @a, @b, @c, @p, LAST_INSERT_ID(), @@autocommit".to_owned(),
        // Of MySQL's user variables even reading one that was never set gives it a character set.
        "SELECT IF(@a IS NULL, '', COLLATION(@a)), COLLATION('x'), IF(@b IS NULL, '', CHARSET(@b))".to_owned(),
        format!("SELECT COUNT(*), SUM(a), MAX(id) FROM test.{table}"),
        "SHOW SESSION VARIABLES WHERE Variable_name NOT RLIKE '^(session_track|timestamp$|pseudo_|last_|rand_seed|gtid|\
         statement_id|identity|in_trans|warning_count|error_count|insert_id|debug)'"
            .to_owned(),
    ]
    .into_iter()
}

struct Generator<'a> {
    random: Random,
    table: &'a str,
    flavour: Flavour,
}

impl Generator<'_> {
    fn steps(&mut self) -> Vec<Step> {
        match self.random.below(20) {
            0..=4 => vec![Step::Query(self.set())],
            5..=6 => vec![Step::Query(self.user_variable())],
            7..=9 => vec![Step::Query(self.write())],
            10..=11 => vec![Step::Query(self.read())],
            12..=13 => vec![Step::Query(self.transaction())],
            14 => self.follow_up(),
            15 => vec![self.schema()],
            16..=17 => self.prepared(),
            18 => self.rare(),
            _ => vec![Step::Query(self.several())],
        }
    }

    fn set(&mut self) -> String {
        let level =
            self.random.pick(&["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE", "READ UNCOMMITTED"]);
        let number = 1 + self.random.below(9);
        let own = self.own_isolation(level);
        let text = match self.random.below(26) {
            0 => "SET NAMES latin1",
            1 => "SET NAMES utf8mb4 COLLATE utf8mb4_bin",
            2 => "SET NAMES 'utf8mb4'",
            3 => "SET NAMES DEFAULT",
            4 => "SET CHARACTER SET latin1",
            5 => "SET character_set_results=NULL",
            6 => "SET collation_connection=latin1_swedish_ci",
            7 => "SET @@character_set_client=latin1, @@character_set_results=utf8mb4",
            8 => "SET SESSION sql_mode='ANSI_QUOTES'",
            9 => "SET sql_mode=DEFAULT",
            10 => "SET @@session.sql_mode=CONCAT(@@sql_mode, ',NO_BACKSLASH_ESCAPES')",
            11 => "SET sql_mode=''",
            12 => return format!("SET time_zone='+0{number}:30'"),
            13 => return format!("SET SESSION sql_select_limit={number}, group_concat_max_len=10{number}"),
            14 => "SET sql_select_limit=DEFAULT",
            15 => "SET foreign_key_checks=OFF, unique_checks=0",
            16 => "SET lc_time_names='de_DE'",
            17 => "SET autocommit=0",
            18 => "SET autocommit=ON",
            19 => return format!("SET SESSION TRANSACTION ISOLATION LEVEL {level}"),
            20 => return format!("SET TRANSACTION ISOLATION LEVEL {level}"),
            21 => return own,
            22 => return format!("SET LOCAL max_join_size=100{number}00, @b={number}"),
            23 => "SET no_such_variable=1",
            24 => "SET sql_mode='NO_SUCH_MODE'",
            _ => "SET @@session.wait_timeout=GREATEST(1000, 1001), @a=2",
        };
        text.to_owned()
    }

    fn own_isolation(&mut self, level: &str) -> String {
        let level = level.replace(' ', "-");
        match self.flavour {
            Flavour::MariaDb => format!("SET SESSION tx_isolation='{level}'"),
            Flavour::MySql => format!("SET @@session.transaction_isolation='{level}'"),
        }
    }

    fn user_variable(&mut self) -> String {
        let number = self.random.below(100);
        let text = match self.random.below(14) {
            0 => return format!("SET @a={number}"),
            1 => return format!("SET @a='text {number}'"),
            2 => return format!("SET @a=\"quoted {number}\", @c=NULL"),
            3 => return format!("SET @a=-{number}.5, @b=0x4142"),
            4 => "SET @b=@a",
            5 => "SET @c:=CONCAT(@a, 'x')",
            6 => return format!("SELECT @a:={number}"),
            7 => return format!("SELECT a INTO @c FROM test.{} ORDER BY id LIMIT 1", self.table),
            8 => "SET @`b`='it''s', @c=TRUE",
            9 => "SET @a='back\\\\slash\\n'",
            10 => return format!("SET @a={number}, @b=@a+1, sql_mode='ANSI'"),
            11 => return format!("SET @a={number}, no_such_variable=1"),
            _ => "SELECT @a, @b, @c, @nothing",
        };
        text.to_owned()
    }

    fn write(&mut self) -> String {
        let (table, number) = (self.table, self.random.below(1000));
        match self.random.below(13) {
            0..=3 => format!("INSERT INTO test.{table} (a) VALUES ({number}), ({number})"),
            4 => format!("INSERT INTO test.{table} (id, a) VALUES ({}, 5)", 1000 + number),
            5 => format!("INSERT INTO test.{table} (id, a) VALUES (1, 5)"),
            6 => format!("UPDATE test.{table} SET a=a+1 WHERE id={}", number % 4),
            7 => format!("DELETE FROM test.{table} WHERE id={}", number % 4),
            8 => format!("REPLACE INTO test.{table} (id, a) VALUES (2, {number})"),
            9 => format!("INSERT INTO test.{table} (a) VALUES (LAST_INSERT_ID())"),
            10 => format!("UPDATE test.{table} SET a=LAST_INSERT_ID({number}) WHERE id=1"),
            11 => format!("INSERT IGNORE INTO test.{table} (id, a) VALUES (1, 1)"),
            _ => format!("INSERT INTO test.{table} (a) VALUES ('no number')"),
        }
    }

    fn read(&mut self) -> String {
        let table = self.table;
        match self.random.below(10) {
            0 => format!("SELECT * FROM test.{table} ORDER BY id"),
            1 => format!("SELECT * FROM test.{table} WHERE 0"),
            2 => "SELECT 1/0, CAST('x' AS SIGNED)".to_owned(),
            3 => "SELECT * FROM no_such_table".to_owned(),
            4 => "SELEKT 1".to_owned(),
            5 => "SELECT LAST_INSERT_ID()".to_owned(),
            6 => "SELECT @@sql_mode, @@time_zone, DATABASE(), @@autocommit".to_owned(),
            7 => "SELECT @@character_set_client, @@character_set_connection, @@character_set_results, \
                  @@collation_connection"
                .to_owned(),
            8 => "SELECT 'a' \"b\", \"c\"".to_owned(),
            _ => format!("SELECT a FROM test.{table} ORDER BY id FOR UPDATE"),
        }
    }

    fn transaction(&mut self) -> String {
        let choices: [&str; 14] = [
            "BEGIN",
            "START TRANSACTION",
            "START TRANSACTION READ ONLY",
            "START TRANSACTION WITH CONSISTENT SNAPSHOT",
            "COMMIT",
            "COMMIT",
            "COMMIT",
            "ROLLBACK",
            "ROLLBACK",
            "COMMIT AND CHAIN",
            "SAVEPOINT s",
            "ROLLBACK TO SAVEPOINT s",
            "SET TRANSACTION READ ONLY",
            "RELEASE SAVEPOINT s",
        ];
        self.random.pick(&choices).to_owned()
    }

    /// A statement with a table, and what asks about it. (MariaDB's statements without one leave the warnings of earlier ones.)
    fn follow_up(&mut self) -> Vec<Step> {
        let table = self.table;
        let (first, second) = match self.random.below(6) {
            0 => (
                format!("SELECT SQL_CALC_FOUND_ROWS * FROM test.{table} ORDER BY id LIMIT 1"),
                "SELECT FOUND_ROWS()".to_owned(),
            ),
            1 => {
                (format!("SELECT 1/0, CAST('x' AS SIGNED), a FROM test.{table}"), "SHOW WARNINGS".to_owned())
            }
            2 => (self.write(), "SHOW COUNT(*) WARNINGS".to_owned()),
            3 => (self.write(), "SELECT LAST_INSERT_ID(), @@last_insert_id".to_owned()),
            4 => ("SET last_insert_id=77".to_owned(), "SELECT LAST_INSERT_ID()".to_owned()),
            _ => (self.write(), "SELECT @@warning_count, @@error_count".to_owned()),
        };
        vec![Step::Query(first), Step::Query(second)]
    }

    fn schema(&mut self) -> Step {
        match self.random.below(7) {
            0 => Step::Query("USE test".to_owned()),
            1 => Step::Query("use `other`".to_owned()),
            2 => Step::InitDb("other"),
            3 => Step::InitDb("test"),
            4 => Step::InitDb("no_such_schema"),
            5 => Step::Query("USE no_such_schema".to_owned()),
            _ => Step::Query("SELECT DATABASE()".to_owned()),
        }
    }

    fn prepared(&mut self) -> Vec<Step> {
        let (slot, table) = (self.random.below(SLOTS), self.table);
        let number = self.random.below(50).to_string();
        let (text, values) = match self.random.below(8) {
            0 => (format!("SELECT * FROM test.{table} WHERE id > ? ORDER BY id"), vec![number]),
            1 => (format!("INSERT INTO test.{table} (a) VALUES (?)"), vec![number]),
            2 => ("SELECT ?, ?, @a".to_owned(), vec![number, "text".to_owned()]),
            3 => ("SET @a=?".to_owned(), vec![number]),
            4 => ("SET time_zone=?".to_owned(), vec!["+05:00".to_owned()]),
            5 => (format!("UPDATE test.{table} SET a=? WHERE id=1"), vec![number]),
            6 => ("SELECT LAST_INSERT_ID(), DATABASE()".to_owned(), Vec::new()),
            _ => ("SELECT nothing FROM no_such_table".to_owned(), Vec::new()),
        };
        let mut steps = vec![Step::Prepare(slot, text), Step::Execute(slot, values.clone())];
        if self.random.one_in(2) {
            steps.push(Step::Query(self.set()));
            steps.push(Step::Execute(slot, values));
        }
        if self.random.one_in(2) {
            steps.push(Step::Close(slot));
        }
        steps
    }

    /// What ties a session to its connection.
    fn rare(&mut self) -> Vec<Step> {
        let table = self.table;
        let texts: Vec<String> = match self.random.below(9) {
            0 => vec![
                "CREATE TEMPORARY TABLE test.tt (a INT)".to_owned(),
                "INSERT INTO test.tt VALUES (1), (2)".to_owned(),
                "SELECT COUNT(*) FROM test.tt".to_owned(),
            ],
            1 => vec!["DROP TEMPORARY TABLE IF EXISTS test.tt".to_owned()],
            2 => vec!["PREPARE s FROM 'SELECT ?+1'".to_owned(), "EXECUTE s USING @a".to_owned()],
            3 => vec!["DEALLOCATE PREPARE s".to_owned()],
            4 => vec![
                format!("SELECT GET_LOCK('{table}', 5)"),
                format!("SELECT IS_FREE_LOCK('{table}')"),
                format!("SELECT RELEASE_LOCK('{table}')"),
            ],
            5 => vec![
                format!("LOCK TABLES test.{table} WRITE"),
                format!("INSERT INTO test.{table} (a) VALUES (1)"),
                "UNLOCK TABLES".to_owned(),
            ],
            6 => vec!["CALL test.sets()".to_owned(), "SELECT @p, @@sql_mode".to_owned()],
            7 => vec!["CALL test.makes_a_table()".to_owned(), "SELECT * FROM test.made".to_owned()],
            _ if self.random.one_in(2) => return vec![Step::Ping],
            // MySQL goes back to its own character set, MariaDB and the proxy to that of the login.
            _ => return vec![Step::Reset, Step::Query("SET NAMES utf8mb4".to_owned())],
        };
        texts.into_iter().map(Step::Query).collect()
    }

    /// Several statements in one command.
    fn several(&mut self) -> String {
        let table = self.table;
        match self.random.below(6) {
            0 => "SELECT 1; SELECT 2 WHERE 0; DO 1; SELECT 3".to_owned(),
            1 => "SELECT 1; SELECT * FROM no_such_table; SELECT 3".to_owned(),
            2 => format!("INSERT INTO test.{table} (a) VALUES (9); SELECT LAST_INSERT_ID()"),
            3 => "SET @a=8; SELECT @a".to_owned(),
            4 => "SET time_zone='+02:00', @b=1; USE other; SELECT 1".to_owned(),
            _ => "BEGIN; SELECT 1".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_session() {
        let of = |seed| script(seed, "w1", Flavour::MySql);
        assert_eq!(of(7), of(7));
        assert_ne!(of(7).steps, of(8).steps);
    }
}
