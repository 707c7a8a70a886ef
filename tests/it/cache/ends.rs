//! What ends a kept answer: writes on every path, the end of their transactions, age, room, reloads.

use super::Kept;
use super::stage;
use crate::support::cluster::Cluster;
use crate::support::frames::bind;
use crate::support::frames::copy_data;
use crate::support::frames::copy_done;
use crate::support::frames::execute;
use crate::support::frames::function_call;
use crate::support::frames::parse;
use crate::support::frames::query;
use crate::support::frames::sync;
use crate::support::frames::unsynced;
use crate::support::message::shape;
use crate::support::policy::PolicyText;
use crate::support::proxy::Reload;
use crate::support::wait_for;
use crate::support::wire::Wire;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

/// A write by another client, on each of the ways there are.
#[test]
fn a_write_ends_it_however_it_is_made() {
    for sql in [
        "INSERT INTO kept_writes (id) VALUES (2)",
        "UPDATE public.kept_writes SET id = id WHERE id = 2",
        "WITH gone AS (DELETE FROM kept_writes WHERE id = 2 RETURNING 1) SELECT * FROM gone",
        "BEGIN; DELETE FROM kept_writes WHERE id = 3; COMMIT",
        "PREPARE w AS DELETE FROM kept_writes WHERE id = $1; EXECUTE w(4)",
        "EXPLAIN ANALYZE DELETE FROM kept_writes WHERE id = 5",
        "DO $$ BEGIN DELETE FROM kept_writes WHERE id = 6; END $$",
        "SELECT kept_touch()",
        "ANALYZE kept_writes",
        "TRUNCATE by_plugin",
        "GRANT SELECT ON kept_writes TO other",
    ] {
        write_is_seen(sql, |wire| drop(wire.works(sql)));
    }
    write_is_seen("extended", |wire| {
        let answer = wire.extended("DELETE FROM kept_writes WHERE id = 7");
        assert_eq!(shape(&answer), "1 2 n C ZI");
    });
    write_is_seen("pipelined", |wire| {
        let batch = [
            unsynced("SELECT 1"),
            unsynced("DELETE FROM kept_writes"),
            sync(),
        ]
        .concat();
        wire.send(&[batch, query("ROLLBACK")].concat());
        assert_eq!(shape(&wire.until_ready()), "1 2 T D C 1 2 n C ZI");
        drop(wire.until_ready());
    });
    write_is_seen("COPY", |wire| {
        wire.send(&query("COPY kept_writes (id) FROM STDIN"));
        assert_eq!(wire.message().tag, 'G');
        wire.send(&[copy_data(b"8\n"), copy_done()].concat());
        assert_eq!(shape(&wire.until_ready()), "C ZI");
    });
    let oid = Cluster::shared()
        .primary
        .value("SELECT 'kept_touch'::regproc::oid::bigint");
    let oid: u32 = oid.parse().expect("an oid");
    write_is_seen("FunctionCall", |wire| {
        wire.send(&function_call(oid, &[]));
        assert_eq!(shape(&wire.until_ready()), "V ZI");
    });
}

/// Keeps, writes, and reads what the node says.
fn write_is_seen(what: &str, write: impl FnOnce(&mut Wire)) {
    // `authorize` allows what cannot be understood, a FunctionCall, as a write.
    let policy = PolicyText::of(Cluster::shared()).extra("[sql]\non_unparsed = \"as_write\"");
    let mut kept = Kept::over(policy, "kept_writes", "");
    kept.direct
        .works("CREATE OR REPLACE FUNCTION kept_touch() RETURNS int LANGUAGE sql AS 'SELECT 1'");
    let (mut reader, mut writer) = (kept.login("app"), kept.login("app"));
    kept.fill(&mut reader);
    let hits = kept.figure("hits");
    write(&mut writer);
    let count = "SELECT count(*) FROM kept_writes WHERE note = 'first'";
    assert_eq!(reader.value(count), "0", "{what}");
    let after = reader.query(&kept.select);
    assert!(
        after
            .iter()
            .all(|message| message.tag != 'D' || message.first_value() == "second"),
        "{what}: {after:?}"
    );
    assert_eq!(kept.figure("hits"), hits, "{what}");
}

#[test]
fn writes_to_other_tables_end_nothing_unless_the_policy_says_so() {
    for (invalidate, expected) in [
        ("on_write", "first"),
        ("on_any_write", "second"),
        ("never", "first"),
    ] {
        let table = "kept_others";
        let mut kept = Kept::start(table, &format!("invalidate = \"{invalidate}\""));
        let (mut reader, mut writer) = (kept.login("app"), kept.login("app"));
        kept.fill(&mut reader);
        writer.works("BEGIN; UPDATE orders SET amount = amount WHERE id = 1; ROLLBACK");
        assert_eq!(reader.value(&kept.select), expected, "{invalidate}");
    }
    let mut kept = Kept::start("kept_others", "invalidate = \"never\"");
    let (mut reader, mut writer) = (kept.login("app"), kept.login("app"));
    kept.fill(&mut reader);
    writer.works("DELETE FROM kept_others WHERE id = 9");
    writer.works("VACUUM kept_others");
    assert_eq!(reader.value(&kept.select), "first");
}

/// A transaction ends what is kept when it writes, and again when it ends, whichever way that is.
#[test]
fn what_is_read_while_a_transaction_is_open_ends_with_it() {
    let mut kept = Kept::start("kept_open", "");
    let (mut reader, mut writer) = (kept.login("app"), kept.login("app"));
    let select = kept.select.clone();
    for (end, expected) in [("COMMIT", "mine"), ("ROLLBACK", "first")] {
        kept.direct
            .works("UPDATE kept_open SET note = 'first' WHERE id = 1");
        writer.works("BEGIN");
        writer.works("UPDATE kept_open SET note = 'mine' WHERE id = 1");
        // Others still see what was before it, and it is kept.
        assert_eq!(reader.value(&select), "first", "{end}");
        let hits = kept.figure("hits");
        assert_eq!(reader.value(&select), "first", "{end}");
        assert_eq!(kept.figure("hits"), hits + 1, "{end}");
        // Inside of it, nothing is answered from what others were given.
        assert_eq!(writer.value(&select), "mine", "{end}");
        writer.works(end);
        let hits = kept.figure("hits");
        assert_eq!(reader.value(&select), expected, "{end}");
        assert_eq!(kept.figure("hits"), hits, "{end}");
    }
}

#[test]
fn a_session_that_dies_in_its_transaction_ends_what_it_wrote() {
    let mut kept = Kept::start("kept_dies", "");
    let (mut reader, mut writer) = (kept.login("app"), kept.login("app"));
    writer.works("BEGIN");
    writer.works("UPDATE kept_dies SET note = 'mine' WHERE id = 1");
    assert_eq!(reader.value(&kept.select), "first");
    assert_eq!(reader.value(&kept.select), "first");
    drop(writer);
    let select = kept.select.clone();
    kept.proxy.event("the session ends", |event| {
        event["message"] == "session ended" && event.to_string().contains("has gone")
    });
    kept.change_behind("second");
    assert_eq!(reader.value(&select), "second");
}

/// COMMIT PREPARED may come from any session.
#[test]
fn a_second_phase_ends_what_the_first_wrote() {
    let kept = Kept::start("kept_phases", "");
    let (mut reader, mut writer) = (kept.login("app"), kept.login("app"));
    writer.works("BEGIN");
    writer.works("UPDATE kept_phases SET note = 'mine' WHERE id = 1");
    writer.works("PREPARE TRANSACTION 'kept_phases'");
    assert_eq!(reader.value(&kept.select), "first");
    let hits = kept.figure("hits");
    assert_eq!(reader.value(&kept.select), "first");
    assert_eq!(kept.figure("hits"), hits + 1);
    kept.login("app").works("COMMIT PREPARED 'kept_phases'");
    let select = kept.select.clone();
    assert_eq!(reader.value(&select), "mine");
}

/// A pipeline without stages, whose statements nobody reads, still tells what is written.
#[test]
fn writes_through_a_plain_pipeline_are_seen() {
    let port = crate::support::free_port();
    let plain = format!(
        "[listener.plain]\nbind = [\"127.0.0.1:{port}\"]\npipeline = \"plain\"\n\
         [pipeline.plain]\notherwise = {{ authorize = \"allow\" }}"
    );
    let policy = PolicyText::of(Cluster::shared()).extra(&plain);
    let mut kept = Kept::over(policy, "kept_plain", "");
    let mut reader = kept.login("app");
    let mut writer = Wire::login(port, "app", "app");
    for write in [
        "DELETE FROM kept_plain WHERE id = 9",
        "SELECT 1; DELETE FROM kept_plain WHERE id = 9",
        "BEGIN; DELETE FROM kept_plain WHERE id = 9; COMMIT",
    ] {
        reader.works("DELETE FROM kept_plain WHERE id = 0");
        kept.fill(&mut reader);
        writer.works("SELECT * FROM kept_plain");
        assert_eq!(reader.value(&kept.select), "first", "a read ends nothing");
        writer.works(write);
        assert_eq!(reader.value(&kept.select), "second", "{write}");
    }
    reader.works("DELETE FROM kept_plain WHERE id = 0");
    kept.fill(&mut reader);
    let prepared = [parse("w", "DELETE FROM kept_plain WHERE id = $1"), sync()].concat();
    writer.send(&prepared);
    drop(writer.until_ready());
    assert_eq!(reader.value(&kept.select), "first", "nothing has run");
    writer.send(&[bind("", "w", &["9"]), execute(""), sync()].concat());
    drop(writer.until_ready());
    assert_eq!(reader.value(&kept.select), "second");
}

/// Whoever knows that a write has ended is not given what was there before it, however many read meanwhile.
#[test]
fn nobody_is_given_less_than_was_known_to_be_written() {
    const WRITES: u32 = 400;
    // Should the writer fail, readers end all the same.
    const READS_MAX: u32 = 50_000;
    let mut kept = Kept::start("kept_race", "");
    kept.direct.works("UPDATE kept_race SET id = 0");
    let (proxy, known) = (&kept.proxy, AtomicU32::new(0));
    let read = |wire: &mut Wire, number: u32| -> u32 {
        let select = "SELECT id FROM kept_race";
        let rows = if number.is_multiple_of(2) {
            wire.query(select)
        } else {
            wire.extended(select)
        };
        let row = rows.iter().find(|message| message.tag == 'D');
        row.expect("a row").first_value().parse().expect("a number")
    };
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut wire = proxy.login("app");
                for number in 0..READS_MAX {
                    let least = known.load(Ordering::SeqCst);
                    let read = read(&mut wire, number);
                    assert!(least <= read, "{read} after {least} was known");
                    if least == WRITES {
                        break;
                    }
                }
            });
        }
        scope.spawn(|| {
            let mut wire = proxy.login("app");
            for number in 1..=WRITES {
                let update = format!("UPDATE kept_race SET id = {number}");
                match number % 3 {
                    0 => drop(wire.works(&update)),
                    1 => drop(wire.extended(&update)),
                    _ => {
                        wire.works("BEGIN");
                        wire.works(&update);
                        wire.works("COMMIT");
                    }
                }
                known.store(number, Ordering::SeqCst);
            }
        });
    });
    let figures = kept.figures();
    assert_ne!(figures["hits"], "0", "{figures:?}");
    assert_ne!(figures["invalidated"], "0", "{figures:?}");
}

#[test]
fn it_ends_with_its_time() {
    let mut kept = Kept::start("kept_ttl", "ttl = \"100ms\"");
    let mut wire = kept.login("app");
    let select = kept.select.clone();
    assert_eq!(wire.value(&select), "first");
    kept.change_behind("second");
    wait_for("it is too old", || {
        (wire.value(&select) == "second").then_some(())
    });
    wait_for("it was found too old", || {
        (kept.figure("expired") != 0).then_some(())
    });
}

#[test]
fn no_more_is_kept_than_there_is_room_for() {
    let kept = Kept::start("kept_room", "max_bytes = \"64KiB\", max_entry = \"8KiB\"");
    let mut wire = kept.login("app");
    // Answers of about 6 KiB, of which ten find room.
    for number in 0..40 {
        let sql = format!("SELECT repeat('x', 6000), {number} FROM kept_room");
        assert_eq!(wire.value(&sql).len(), 6000);
    }
    let figures = kept.figures();
    let figure = |name: &str| figures[name].parse::<u64>().expect("a number");
    assert!(figure("bytes") <= 64 * 1024, "{figures:?}");
    assert_eq!(figure("stored"), 40, "{figures:?}");
    assert!(0 < figure("evicted"), "{figures:?}");
    // One that is too long passes whole, in pieces as it comes, and is not kept.
    for _ in 0..2 {
        let messages =
            wire.query("SELECT repeat('x', 9000), n FROM kept_room, generate_series(1, 500) n");
        assert_eq!(
            messages.iter().filter(|message| message.tag == 'D').count(),
            500
        );
    }
    assert_eq!(kept.figure("unfit"), 2);
}

#[test]
fn it_survives_a_reload_that_means_the_same_and_no_other() {
    let base = PolicyText::of(Cluster::shared());
    let mut kept = Kept::over(base.clone(), "kept_reload", "");
    let mut wire = kept.login("app");
    kept.fill(&mut wire);
    let text = kept.policy.text();
    // Another rule elsewhere, and the same time in other words.
    let same = text.replace("ttl = \"1h\"", "ttl = \"60m\"");
    let same = format!("{same}\n[role.unused]\n");
    assert_eq!(kept.proxy.reload(&same), Reload::Swapped);
    assert_eq!(wire.value(&kept.select), "first");
    assert_eq!(
        kept.proxy.reload(&text.replace("ttl = \"1h\"", "ttl = 1")),
        Reload::Kept
    );
    assert_eq!(wire.value(&kept.select), "first");
    assert_eq!(
        kept.proxy
            .reload(&text.replace("ttl = \"1h\"", "ttl = \"2h\"")),
        Reload::Swapped
    );
    assert_eq!(wire.value(&kept.select), "second");
    // What is written while no cache is in force is seen by one that comes later, from sessions that began before it.
    assert_eq!(kept.proxy.reload(&base.text()), Reload::Swapped);
    let mut writer = kept.login("app");
    writer.works("BEGIN");
    writer.works("UPDATE kept_reload SET note = 'third' WHERE id = 1");
    let again = stage(base, kept.table, "ttl = \"1h\"");
    assert_eq!(kept.proxy.reload(&again.text()), Reload::Swapped);
    assert_eq!(wire.value(&kept.select), "second");
    assert_eq!(wire.value(&kept.select), "second");
    assert_eq!(kept.figure("hits"), 1);
    writer.works("COMMIT");
    assert_eq!(wire.value(&kept.select), "third");
}
