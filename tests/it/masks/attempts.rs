//! Attempts to learn a masked value: a list of those that are known, and statements made at random. In both twins every answer
//! must be the same.

use super::login;
use super::proxy;
use crate::support::message::Message;
use crate::support::message::shape;
use crate::support::wire::Wire;

/// One a line, with `--` before remarks.
const ATTEMPTS: &str = include_str!("../../../src/pipeline/mask/attempts.sql");

/// Statements made at random.
const STATEMENTS: u64 = 1500;

#[test]
fn no_known_attempt_returns_a_row() {
    let proxy = proxy();
    let mut wire = login(&proxy, "app", "twin_a");
    let mut refused = 0;
    for sql in ATTEMPTS.lines().filter(|line| !line.starts_with("--")) {
        for answer in [
            wire.query(sql),
            wire.extended(sql),
            prepared(&mut wire, sql),
        ] {
            let told = answer
                .iter()
                .any(|message| matches!(message.tag, 'D' | 'd' | 'H'));
            assert!(!told, "{sql}: {answer:?}");
            refused += answer.iter().filter(|message| message.tag == 'E').count();
            assert!(shape(&answer).ends_with("E ZI"), "{sql}: {answer:?}");
        }
    }
    assert!(600 < refused, "{refused}");
}

fn prepared(wire: &mut Wire, sql: &str) -> Vec<Message> {
    let answer = wire.query(&format!("PREPARE attempt AS {sql}"));
    if answer.iter().all(|message| message.tag != 'E') {
        let answer = wire.query("EXECUTE attempt");
        wire.works("DEALLOCATE attempt");
        return answer;
    }
    answer
}

/// What an answer tells: everything but where in the catalogue a column stands.
fn told(answer: &[Message]) -> Vec<(char, Vec<u8>)> {
    let body = |message: &Message| match message.tag {
        'T' => message.columns().join(",").into_bytes(),
        // The decision's number is another each time.
        'E' => message.problem().message.into_bytes(),
        _ => message.body.clone(),
    };
    answer
        .iter()
        .map(|message| (message.tag, body(message)))
        .collect()
}

/// Whatever is asked, the answers are the same in two schemas that differ in the masked values alone.
#[test]
fn answers_do_not_depend_on_masked_values() {
    let proxy = proxy();
    let mut twins = ["twin_a", "twin_b"].map(|twin| login(&proxy, "app", twin));
    let (mut with_rows, mut masked) = (0, 0);
    for seed in 0..STATEMENTS {
        let sql = Dice(seed).statement();
        let answers = twins.each_mut().map(|wire| {
            wire.works("BEGIN");
            let simple = wire.query(&sql);
            wire.query("ROLLBACK; BEGIN");
            let extended = wire.extended(&sql);
            wire.query("ROLLBACK");
            (simple, extended)
        });
        let [(first, first_extended), (second, second_extended)] = &answers;
        assert_eq!(told(first), told(second), "{sql}");
        assert_eq!(
            told(first_extended),
            told(second_extended),
            "{sql}, extended"
        );
        let rows = first.iter().filter(|message| message.tag == 'D');
        with_rows += usize::from(rows.clone().count() != 0);
        masked += rows.filter(|row| row.values().contains(&None)).count();
    }
    // Not everything is refused.
    assert!(50 < with_rows && 100 < masked, "{with_rows} {masked}");
}

/// Makes a statement from a number: the same for the same.
struct Dice(u64);

impl Dice {
    /// splitmix64.
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % sides as u64).expect("few sides")
    }

    fn one(&mut self, words: &[&str]) -> String {
        words[self.roll(words.len())].to_owned()
    }

    fn statement(&mut self) -> String {
        match self.roll(12) {
            0 => format!(
                "WITH {} AS ({}) {}",
                self.one(&["u", "users", "c"]),
                self.select(2),
                self.select(2)
            ),
            1 => format!(
                "({}) {} ({})",
                self.select(1),
                self.one(&["UNION", "UNION ALL", "EXCEPT", "INTERSECT"]),
                self.select(1)
            ),
            2 => format!(
                "INSERT INTO mine (id, note) {} RETURNING {}",
                self.select(1),
                self.list(1)
            ),
            3 => format!(
                "UPDATE users SET name = {} {} RETURNING {}",
                self.value(1),
                self.condition(1),
                self.list(1)
            ),
            4 => format!(
                "DELETE FROM users u {} RETURNING {}",
                self.condition(1),
                self.list(1)
            ),
            5 => format!(
                "UPDATE users u SET email = 'x' || u.id, name = {} FROM orders o WHERE o.id = u.id RETURNING {}",
                self.value(1),
                self.list(1)
            ),
            6 => format!("EXPLAIN (COSTS OFF) {}", self.select(1)),
            _ => self.select(3),
        }
    }

    fn select(&mut self, depth: u32) -> String {
        let (list, from) = (self.list(depth), self.from(depth));
        let condition = self.condition(depth);
        let distinct = self.one(&["", "", "", "", "", "", "DISTINCT "]);
        let order = match self.roll(6) {
            0 => format!(" ORDER BY {}", self.value(0)),
            1 => " ORDER BY 1".to_owned(),
            2 => format!(" GROUP BY {}", self.column()),
            _ => String::new(),
        };
        let limit = self.one(&["", "", " LIMIT 3", " FETCH FIRST ROW ONLY"]);
        format!("SELECT {distinct}{list} FROM {from} {condition}{order}{limit}")
    }

    fn list(&mut self, depth: u32) -> String {
        let items = 1 + self.roll(3);
        let items: Vec<String> = (0..items).map(|_| self.item(depth)).collect();
        items.join(", ")
    }

    fn item(&mut self, depth: u32) -> String {
        let value = match self.roll(6) {
            0 | 1 => self.one(&["*", "u.*", "users.*", "s.*"]),
            2 | 3 => self.column(),
            _ => self.value(depth),
        };
        match self.roll(5) {
            0 if !value.ends_with('*') => {
                format!("{value} AS {}", self.one(&["email", "e", "id", "u"]))
            }
            _ => value,
        }
    }

    fn column(&mut self) -> String {
        self.one(&[
            "email",
            "u.email",
            "users.email",
            "ssn",
            "id",
            "u.id",
            "name",
            "s.email",
            "\"email\"",
            "u",
            "tall",
            "U&\"em\\0061il\"",
            "e",
            "u.to_json",
        ])
    }

    fn value(&mut self, depth: u32) -> String {
        if depth == 0 {
            return self.column();
        }
        let (one, other) = (self.column(), self.value(depth - 1));
        match self.roll(12) {
            0 => format!("{one}::text"),
            1 => format!("lower({other}::text)"),
            2 => format!("{one} || ''"),
            3 => format!("({one})"),
            4 => format!("(SELECT {one} FROM users LIMIT 1)"),
            5 => format!("CASE WHEN {one} IS NULL THEN 1 ELSE 2 END"),
            6 => format!("count({one})"),
            7 => format!("({}) IS NULL", self.select(depth - 1)),
            8 => "row_to_json(u)".to_owned(),
            9 => format!("array(SELECT {one} FROM users)"),
            10 => "'x'".to_owned(),
            _ => one,
        }
    }

    fn from(&mut self, depth: u32) -> String {
        match self.roll(9) {
            0 if depth != 0 => format!(
                "({}) {}",
                self.select(depth - 1),
                self.one(&["s", "u", "users", "s (e)", "users (id, email)"])
            ),
            1 => "users u JOIN orders o ON o.user_id = u.id".to_owned(),
            2 => "users u JOIN staging s USING (id)".to_owned(),
            3 => "users u NATURAL JOIN companies".to_owned(),
            4 => "users u, LATERAL (SELECT u.email, u.id) s".to_owned(),
            5 => "companies u".to_owned(),
            6 => "users u (id, e, name)".to_owned(),
            7 => "users".to_owned(),
            _ => "users u".to_owned(),
        }
    }

    fn condition(&mut self, depth: u32) -> String {
        let one = self.column();
        match self.roll(9) {
            0 => format!("WHERE {one} IS NOT NULL"),
            1 => format!("WHERE {one}::text LIKE '%k%'"),
            2 if depth != 0 => format!("WHERE EXISTS ({})", self.select(depth - 1)),
            3 if depth != 0 => format!("WHERE {one} IN ({})", self.select(depth - 1)),
            4 => format!("WHERE {} = 3", self.one(&["id", "u.id"])),
            5 => "WHERE name = 'name 1'".to_owned(),
            _ => String::new(),
        }
    }
}
