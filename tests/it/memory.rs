//! Large things pass through a small buffer: the proxy's resident memory hardly grows, whatever their size.

use crate::support::cluster::Cluster;
use crate::support::frames::copy_data;
use crate::support::frames::copy_done;
use crate::support::frames::execute;
use crate::support::frames::parse;
use crate::support::frames::query;
use crate::support::frames::sync;
use crate::support::message::shape;
use crate::support::plugins;
use crate::support::policy::PolicyText;
use crate::support::proxy::Proxy;
use crate::support::proxy::denies_exec_memory;
use crate::support::wire::Wire;

const MEBIBYTE: usize = 1024 * 1024;
const GROWTH_MAX: u64 = 32 * 1024 * 1024;

/// Runs something in a session, and checks how much memory the proxy took for it at most.
#[track_caller]
fn within_bounds(work: impl Fn(&mut Wire)) {
    for mode in ["transaction", "session"] {
        let proxy = Proxy::start(&PolicyText::of(Cluster::shared()).mode(mode));
        let mut wire = proxy.login("app");
        wire.works("SELECT 1");
        proxy.forget_peak();
        let before = proxy.resident_bytes();
        work(&mut wire);
        let growth = proxy.peak_resident_bytes().saturating_sub(before);
        assert!(growth < GROWTH_MAX, "{mode}: {growth} bytes");
        assert_eq!(wire.value("SELECT 'alive'"), "alive");
    }
}

#[test]
fn no_memory_is_written_and_executed_with_scripts_and_plugins_running() {
    let wasm = plugins::refusing("by plugin");
    let policy = PolicyText::of(Cluster::shared())
        .stage("pre_query", "script", "script = 'for t in sql.tables { if t.name == \"s\" { return deny(\"by script\"); } } next()'")
        .stage("pre_query", "rhai", "script = 'let n = 0; while n < 3 { n += 1; } next()'")
        .stage("pre_query", "plugin", "when = { tables = [\"p\"] }\nplugin = \"p\"")
        .extra(&plugins::table("p", &wasm));
    let proxy = Proxy::start_with(&policy, &[("p.wasm", &wasm)], &[]);
    let mut wire = proxy.login("app");
    assert_eq!(wire.fails("SELECT * FROM s").message, "by script");
    assert_eq!(wire.fails("SELECT * FROM p").message, "by plugin");
    wire.works("SELECT 1");
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", proxy.pid())).expect("its maps");
    for line in maps.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (rights, file) = (fields[1], fields.get(5).copied().unwrap_or(""));
        assert!(!(rights.contains('w') && rights.contains('x')), "{line}");
        let of_the_kernel = ["[vdso]", "[vsyscall]"].contains(&file);
        assert!(
            !rights.contains('x') || file.starts_with('/') || of_the_kernel,
            "{line}"
        );
    }
    if denies_exec_memory() {
        let status = std::fs::read_to_string(format!("/proc/{}/cmdline", proxy.pid()))
            .expect("its arguments");
        assert!(status.contains("--deny-exec-memory"), "{status}");
    }
}

#[test]
fn copying_300_mb_out() {
    within_bounds(|wire| {
        wire.send(&query(
            "COPY (SELECT repeat('x', 1000) FROM generate_series(1, 300000)) TO STDOUT",
        ));
        let (bytes, last) = wire.count_until_ready();
        assert!(bytes >= 300_000_000, "{bytes}");
        assert_eq!(last, "C ZI");
    });
}

#[test]
fn copying_300_mb_in() {
    within_bounds(|wire| {
        // Rows are thrown away by the node: what is measured is the way there.
        wire.works(
            "BEGIN; CREATE TEMP TABLE sink (x text) ON COMMIT DROP; \
             CREATE FUNCTION pg_temp.forget() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; \
             CREATE TRIGGER forget BEFORE INSERT ON sink FOR EACH ROW EXECUTE FUNCTION pg_temp.forget()",
        );
        wire.send(&query("COPY sink FROM STDIN"));
        assert_eq!(wire.message().tag, 'G');
        let row = format!("{}\n", "x".repeat(999));
        let data = copy_data(row.repeat(60).as_bytes());
        for _ in 0..5000 {
            wire.send(&data);
        }
        wire.send(&copy_done());
        assert_eq!(shape(&wire.until_ready()), "C ZT");
        wire.works("COMMIT");
    });
}

#[test]
fn a_row_of_200_mb() {
    within_bounds(|wire| {
        wire.send(&query(&format!("SELECT repeat('x', {})", 200 * MEBIBYTE)));
        let (bytes, last) = wire.count_until_ready();
        assert!(bytes >= 200 * MEBIBYTE, "{bytes}");
        assert_eq!(last, "T D C ZI");
    });
}

#[test]
fn a_parameter_of_200_mb() {
    within_bounds(|wire| {
        const VALUE_BYTES: usize = 200 * MEBIBYTE;
        wire.send(&parse("", "SELECT length($1::text)"));
        // Bind of one text value, written piece by piece.
        let head = [
            &b"\0\0\0\0\0\x01"[..],
            &u32::try_from(VALUE_BYTES).expect("fits").to_be_bytes(),
        ]
        .concat();
        let length = u32::try_from(4 + head.len() + VALUE_BYTES + 2).expect("fits");
        wire.send(&[&b"B"[..], &length.to_be_bytes(), &head].concat());
        let piece = vec![b'x'; MEBIBYTE];
        for _ in 0..200 {
            wire.send(&piece);
        }
        wire.send(&[&[0, 0][..], &execute(""), &sync()].concat());
        let messages = wire.until_ready();
        assert_eq!(shape(&messages), "1 2 D C ZI");
        assert_eq!(messages[2].first_value(), VALUE_BYTES.to_string());
    });
}

#[test]
fn a_hundred_idle_sessions_are_small() {
    const SESSION_BYTES_MAX: u64 = 64 * 1024;
    let proxy = Proxy::start(&PolicyText::of(Cluster::shared()));
    drop(proxy.login("app").value("SELECT 1"));
    let before = proxy.resident_bytes();
    let mut sessions: Vec<Wire> = (0..100).map(|_| proxy.login("app")).collect();
    for wire in &mut sessions {
        wire.works("SELECT repeat('x', 100000)");
    }
    let each = proxy.resident_bytes().saturating_sub(before) / 100;
    assert!(each < SESSION_BYTES_MAX, "{each} bytes a session");
}
