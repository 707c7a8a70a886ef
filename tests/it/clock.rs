//! The time of day: `time` and `weekday` by the clock of the machine and by that of a test, and waivers, which end.

use crate::support::Folder;
use crate::support::cluster::Cluster;
use crate::support::message::only_problem;
use crate::support::policy::PolicyText;
use crate::support::proxy::Proxy;
use crate::support::proxy::Reload;
use crate::support::proxy::pgwarden;
use crate::support::said::Said;
use std::time::SystemTime;

/// The hour it is, and the weekday from Monday, in UTC.
fn now() -> (u64, usize) {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let seconds = since.expect("it is after 1970").as_secs();
    let day = usize::try_from(seconds / 86_400 + 3).expect("a few days") % 7;
    (seconds / 3_600 % 24, day)
}

/// A span that it is in for an hour at least, and one that it is not in for as long.
fn spans() -> (String, String) {
    let (hour, _) = now();
    let span =
        |from: u64, to: u64| format!("{:02}:00..{:02}:00", (hour + from) % 24, (hour + to) % 24);
    (span(23, 2), span(2, 23))
}

#[test]
fn rules_hold_at_their_time_on_every_path() {
    const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let (inside, outside) = spans();
    let (_, day) = now();
    // Midnight may come while the test runs.
    let days = format!("{}..{}", DAYS[day], DAYS[(day + 1) % 7]);
    let others = format!("{}..{}", DAYS[(day + 2) % 7], DAYS[(day + 6) % 7]);
    let rule = |guard: &str| format!("when = {{ {guard} }}\ndeny = \"not now\"");
    for (guard, refuses) in [
        (format!("time = {inside:?}"), true),
        (format!("time = {outside:?}"), false),
        (format!("time = {inside:?}, weekday = {days:?}"), true),
        (format!("time = {inside:?}, weekday = {others:?}"), false),
    ] {
        let policy = PolicyText::of(Cluster::shared()).stage("pre_query", "hours", &rule(&guard));
        let proxy = Proxy::start(&policy);
        let mut wire = proxy.login("app");
        if !refuses {
            wire.works("SELECT 1");
            continue;
        }
        assert_eq!(wire.fails("SELECT 1").message, "not now", "{guard}");
        assert_eq!(only_problem(&wire.extended("SELECT 1")).message, "not now");
        assert_eq!(wire.fails("PREPARE p AS SELECT 1").message, "not now");
        assert_eq!(wire.fails("COPY orders TO STDOUT").message, "not now");
    }
}

#[test]
fn connections_have_hours_too() {
    let (inside, outside) = spans();
    for (span, refuses) in [(inside, true), (outside, false)] {
        let rule = format!(
            "when = {{ time = {span:?} }}\ndeny = {{ code = \"28000\", message = \"closed\" }}"
        );
        let proxy =
            Proxy::start(&PolicyText::of(Cluster::shared()).stage("on_connect", "hours", &rule));
        let came = crate::support::wire::Wire::try_login(proxy.port, "app", "app");
        assert_eq!(came.is_none(), refuses, "{span}");
    }
}

const HOURS: &str = r#"policy = 1
[listener.main]
bind = ["127.0.0.1:6432"]
[node.pg]
role = "primary"
host = "127.0.0.1"
[pool.main]
database = "*"
nodes = ["pg"]
[stage.office]
hook = "authorize"
when = { kind = "ddl" }
unless = { time = "08:00..18:00+01:00", weekday = "sat..sun" }
deny = "not outside of office hours"
[pipeline.default]
authorize = ["office"]
otherwise = { authorize = "allow" }
[[test]]
name = "ddl by the clock"
given = { user = "a", sql = "CREATE TABLE t (n int)" }
cases = [
  { time = 2026-11-24T06:59:59Z, expect = { verdict = "deny", by = "office" } },
  { time = 2026-11-24T07:00:00Z, expect = { verdict = "allow" } },
  { time = 2026-11-24T17:00:00Z, expect = { verdict = "deny" } },
  { time = 2026-11-28T17:00:00Z, expect = { verdict = "allow" } },
]
"#;

#[test]
fn a_test_sets_the_clock() {
    let folder = Folder::new("clock");
    let path = folder.write("policy.toml", HOURS);
    let run = |arguments: &[&str]| {
        let said = Said::by(pgwarden(arguments).arg(&path));
        (said.code, said.out)
    };
    let (code, said) = run(&["test"]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = run(&["test", "--mutate"]);
    assert!(code == Some(0) && said.contains("0 alive"), "{said}");
    let explain = |time: &str| {
        let statement = ["--sql", "CREATE TABLE t (n int)", "--time", time];
        let arguments = ["explain", "--user", "a", "--database", "x"];
        run(&[&arguments[..], &statement].concat())
    };
    let (code, said) = explain("2026-11-24");
    let told = "unless weekday=sat, sun no, it is tue 00:00 UTC";
    assert!(code == Some(1) && said.contains(told), "{said}");
    assert_eq!(explain("2026-11-24T18:00:00+01:00").0, Some(1));
    assert_eq!(explain("2026-11-24T17:59:59+01:00").0, Some(0));
    let wrong = HOURS.replace(
        "06:59:59Z, expect = { verdict = \"deny\", by = \"office\" }",
        "06:59:59Z, expect = { verdict = \"allow\" }",
    );
    folder.write("policy.toml", wrong);
    let (code, said) = run(&["test"]);
    assert_eq!(code, Some(1));
    let told = "unless time=07:00..17:00 no, it is 06:59:59 UTC";
    assert!(said.contains(told), "{said}");
    assert!(
        said.contains("unless weekday=sat, sun no, it is tue 06:59:59 UTC"),
        "{said}"
    );
}

fn waived(end: &str) -> PolicyText {
    let rule = format!(
        "when = {{ kind = \"ddl\" }}\ndeny = \"no\"\nmode = \"observe\"\n\
         waiver = {{ reason = \"moving\", by = \"Ana\", expires = {end} }}"
    );
    PolicyText::of(Cluster::shared()).stage("pre_query", "ddl", &rule)
}

#[test]
fn a_waiver_that_is_past_is_refused_and_what_runs_goes_on() {
    let good = waived("2099-12-31");
    let proxy = Proxy::start(&good);
    let mut wire = proxy.login("app");
    let mut past = waived("2025-12-31");
    past.port = proxy.port;
    assert_eq!(proxy.reload(&past.text()), Reload::Kept);
    wire.works("CREATE TEMP TABLE t (n int)");
    let path = proxy.path("policy.toml");
    let verb = |verb: &[&str]| {
        let said = Said::by(pgwarden(verb).arg(&path));
        (said.code, said.all())
    };
    let (code, said) = verb(&["run"]);
    assert!(
        code == Some(78) && said.contains("P0613"),
        "{code:?} {said}"
    );
    let (code, said) = verb(&["check"]);
    assert_eq!(code, Some(1));
    assert!(
        said.contains("error[P0613]: the waiver of stage `ddl` ended at 2026-01-01T00:00:00Z"),
        "{said}"
    );
    assert!(said.contains("by Ana: moving"), "{said}");
    let (code, said) = verb(&["check", "--today", "2025-12-31"]);
    assert!(code == Some(0) && said.contains("warning[P0726]"), "{said}");
    let (code, said) = verb(&["check", "--today", "2025-12-01"]);
    assert!(code == Some(0) && !said.contains("P0726"), "{said}");
    assert_eq!(verb(&["check", "--today", "soon"]).0, Some(64));
    // The change that renews one can be told, and the one that lets it end is refused.
    std::fs::write(proxy.path("renewed.toml"), good.text()).expect("written");
    let diff = |old: &str, new: &str| {
        let mut command = pgwarden(&["diff", old, new]);
        Said::by(command.current_dir(proxy.folder()))
    };
    let said = diff("policy.toml", "renewed.toml");
    assert_eq!(said.code, Some(3), "{}", said.all());
    assert!(said.out.contains("stage.ddl.waiver"), "{}", said.out);
    let said = diff("renewed.toml", "policy.toml");
    assert!(
        said.code == Some(78) && said.err.contains("P0613"),
        "{}",
        said.all()
    );
}
