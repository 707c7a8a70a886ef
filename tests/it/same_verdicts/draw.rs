//! Sessions drawn at random: who, how, and what is sent. Owns the grammar of statements; whether they run is not known here.

use proptest::prelude::Just;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prop_oneof;

/// One session.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) user: &'static str,
    /// The extended protocol; otherwise the simple one.
    pub(super) extended: bool,
    /// The application that is turned away when it connects.
    pub(super) turned_away: bool,
    pub(super) messages: Vec<Message>,
}

/// One message, or one batch of the extended protocol.
#[derive(Clone, Debug)]
pub(super) struct Message {
    /// Several are one message of the simple protocol; of the extended one only the first is sent.
    pub(super) statements: Vec<Drawn>,
    /// Prepared in a batch before the one that runs it; extended protocol only.
    pub(super) ahead: bool,
}

/// A statement, or what becomes one when it is known what was prepared before.
#[derive(Clone, Debug)]
pub(super) enum Drawn {
    /// As it is sent.
    Text(String),
    /// With `$1`; the simple protocol sends the second.
    Parameter(String, String),
    /// PREPARE of a name that is new, of a statement.
    Prepare(String),
    /// EXECUTE of one of the names, or of one that does not exist.
    Execute(usize),
    /// DEALLOCATE of one of the names.
    Deallocate(usize),
}

/// What tells from a row where it was read: port and database.
const PLACE: &str = "inet_server_port() || ' ' || current_database()";

const TABLES: [&str; 7] = [
    "plain",
    "pinned",
    "secret",
    "after",
    "counted",
    "by_plugin",
    "\"Quoted\"",
];

const HINTS: [&str; 3] = [
    "/* pgwarden: primary */ ",
    "/* pgwarden: dev */ ",
    "/* pgwarden: primary, team=billing */ /* other */ ",
];

fn table() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(&TABLES[..])
}

/// A SELECT of one row; `{}` stands for its comparison.
fn select() -> impl Strategy<Value = String> {
    let end = prop_oneof![
        4 => Just(" WHERE id = 1"),
        2 => Just(""),
        2 => Just(" ORDER BY id LIMIT 1"),
        1 => Just(" WHERE id = 1 FOR UPDATE"),
        1 => Just(" WHERE id IN (SELECT id FROM secret)"),
    ];
    let hint = prop_oneof![4 => Just(""), 1 => proptest::sample::select(&HINTS[..])];
    (hint, table(), end)
        .prop_map(|(hint, table, end)| format!("{hint}SELECT {PLACE} FROM {table}{end}"))
}

fn write() -> impl Strategy<Value = String> {
    (table(), 0..6_usize).prop_map(|(table, kind)| match kind {
        0 => format!("UPDATE {table} SET note = 'x' WHERE id = 1 RETURNING {PLACE}"),
        1 => format!("UPDATE {table} SET note = 'y'"),
        2 => format!("DELETE FROM {table} WHERE id = -1"),
        3 => "DELETE FROM written".to_owned(),
        4 => format!(
            "WITH w AS (UPDATE {table} SET note = 'w' WHERE id = 1 RETURNING {PLACE} AS place) SELECT place FROM w"
        ),
        _ => format!("INSERT INTO written (note) VALUES ('{table}') RETURNING {PLACE}"),
    })
}

/// What is neither a read nor a write of a table.
fn other() -> impl Strategy<Value = String> {
    proptest::sample::select(
        &[
            "SHOW work_mem",
            "SELECT 1",
            "SELECT nextval('numbers')",
            "SELECT set_config('work_mem', '8MB', true)",
            "VALUES (1), (2)",
            "TABLE plain",
            "SET LOCAL work_mem = '8MB'",
            "EXPLAIN SELECT * FROM secret",
            "EXPLAIN ANALYZE UPDATE plain SET note = 'e' WHERE id = 1",
            "CREATE TABLE IF NOT EXISTS fresh (id int)",
            "COMMENT ON TABLE plain IS 'x'",
            "GRANT SELECT ON plain TO other",
            "COPY plain TO STDOUT",
            "COPY (SELECT id FROM secret) TO STDOUT",
            "DO 'BEGIN PERFORM 1; END'",
            "FROBNICATE plain",
            "SET work_mem = '8MB'",
            "DISCARD ALL",
            "DEALLOCATE ALL",
            "LOCK TABLE plain IN ACCESS SHARE MODE",
            "",
            "-- nothing",
            "SELECT 'a;b', $$;$$ FROM plain WHERE id = 1",
            "SELECT id FROM app.public.plain WHERE id = 1",
        ][..],
    )
    .prop_map(str::to_owned)
}

fn transaction() -> impl Strategy<Value = String> {
    proptest::sample::select(
        &[
            "BEGIN",
            "BEGIN",
            "BEGIN READ ONLY",
            "START TRANSACTION",
            "COMMIT",
            "ROLLBACK",
            "END",
            "SAVEPOINT s",
        ][..],
    )
    .prop_map(str::to_owned)
}

fn parameter() -> impl Strategy<Value = Drawn> {
    table().prop_map(|table| {
        let text = |value| format!("SELECT {PLACE} FROM {table} WHERE id = {value}");
        Drawn::Parameter(text("$1"), text("1"))
    })
}

fn statement() -> impl Strategy<Value = Drawn> {
    prop_oneof![
        8 => select().prop_map(Drawn::Text),
        4 => write().prop_map(Drawn::Text),
        4 => transaction().prop_map(Drawn::Text),
        3 => other().prop_map(Drawn::Text),
        2 => parameter(),
        1 => prop_oneof![select(), write()].prop_map(Drawn::Prepare),
        2 => any::<usize>().prop_map(Drawn::Execute),
        1 => any::<usize>().prop_map(Drawn::Deallocate),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    let statements = prop_oneof![
        4 => proptest::collection::vec(statement(), 1),
        1 => proptest::collection::vec(statement(), 2..=5),
    ];
    let ahead = prop_oneof![3 => Just(false), 1 => Just(true)];
    (statements, ahead).prop_map(|(statements, ahead)| Message { statements, ahead })
}

/// Sessions of one to twelve messages.
pub(super) fn session() -> impl Strategy<Value = Session> {
    let user = proptest::sample::select(&["app", "other"][..]);
    let turned_away = prop_oneof![29 => Just(false), 1 => Just(true)];
    let messages = proptest::collection::vec(message(), 1..=12);
    (user, any::<bool>(), turned_away, messages).prop_map(
        |(user, extended, turned_away, messages)| Session {
            user,
            extended,
            turned_away,
            messages,
        },
    )
}
