//! `reload --canary`: a share of the sessions that begin is served by a candidate, until it is promoted or withdrawn.

use super::*;
use crate::support::message::only_problem;

/// The message of the rule on `by_rule` for this session.
fn says(wire: &mut Wire) -> String {
    wire.fails("SELECT * FROM by_rule").message
}

fn canary(running: &Running) -> Value {
    status(&running.socket)["canary"].clone()
}

#[track_caller]
fn begin(running: &Running, percent: &str, policy: &PolicyText) -> String {
    let path = running.candidate(policy);
    works(&running.socket, &["reload", "--canary", percent, &path])
}

fn saying(running: &Running, message: &str) -> PolicyText {
    policy(&running.base, &running.socket, message)
}

#[test]
fn new_sessions_are_served_by_the_canary_and_stay_there() {
    let running = Running::start("old", &[]);
    let mut before = running.proxy.login("app");
    let out = begin(&running, "100", &saying(&running, "new"));
    assert!(out.starts_with("ok: canary policy it revision "), "{out}");
    assert!(
        out.contains("serves 100 % of the sessions that begin"),
        "{out}"
    );
    let mut after = running.proxy.login("app");
    for _ in 0..3 {
        assert_eq!(says(&mut before), "old");
        assert_eq!(says(&mut after), "new");
    }
    assert_eq!(
        only_problem(&after.extended("SELECT * FROM by_rule")).message,
        "new"
    );
    after.works("SELECT 1");
    let found = canary(&running);
    assert_eq!(found["percent"], 100.0);
    let own = &found["canary"];
    assert_eq!(
        (&own["open"], &own["sessions"]),
        (&1.into(), &1.into()),
        "{found}"
    );
    assert_eq!(
        (&own["statements"], &own["refusals"]),
        (&5.into(), &4.into()),
        "{found}"
    );
    let other = &found["running"];
    assert_eq!(
        (&other["open"], &other["sessions"]),
        (&1.into(), &0.into()),
        "{found}"
    );
    assert_eq!(
        (&other["statements"], &other["refusals"]),
        (&3.into(), &3.into()),
        "{found}"
    );
    let rows = running.proxy.admin().table("SHOW POLICY");
    assert_eq!(rows[1]["part"], "canary, 100 %, 1 sessions");
    let told = works(&running.socket, &["status"]);
    assert!(
        told.contains("serves 100 % of the sessions that begin"),
        "{told}"
    );
    drop(after);
    wait_for("the session is gone", || {
        (canary(&running)["canary"]["open"] == 0).then_some(())
    });
}

#[test]
fn a_share_of_the_sessions_is_a_share() {
    let running = Running::start("old", &[]);
    begin(&running, "30", &saying(&running, "new"));
    let mut new = 0;
    for _ in 0..200 {
        new += usize::from(says(&mut running.proxy.login("app")) == "new");
    }
    // Of a binomial distribution that is ten standard deviations off at most.
    assert!((10..140).contains(&new), "{new} of 200");
    assert_eq!(canary(&running)["canary"]["sessions"], new);
    assert_eq!(canary(&running)["running"]["sessions"], 200 - new);
}

#[test]
fn a_canary_that_is_withdrawn_gives_its_sessions_back() {
    let running = Running::start("old", &[]);
    begin(&running, "100", &saying(&running, "new"));
    let mut wire = running.proxy.login("app");
    assert_eq!(says(&mut wire), "new");
    let out = works(&running.socket, &["withdraw"]);
    assert!(out.starts_with("ok: the canary is withdrawn"), "{out}");
    assert_eq!(says(&mut wire), "old");
    assert_eq!(says(&mut running.proxy.login("app")), "old");
    assert_eq!(canary(&running), Value::Null);
    let again = ask(&running.socket, &["withdraw"]);
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.errors.contains("nothing is tried"), "{again:?}");
    let found = status(&running.socket);
    assert_eq!(
        (&found["swapped"], &found["earlier"]),
        (&0.into(), &0.into())
    );
}

#[test]
fn a_canary_that_is_promoted_is_in_force_from_its_own_bytes() {
    let running = Running::start("old", &[]);
    begin(&running, "50", &saying(&running, "new"));
    let revision = canary(&running)["candidate"]["revision"].clone();
    running.candidate(&saying(&running, "changed since"));
    running.write("on disk");
    let mut wire = running.proxy.login("app");
    let out = works(&running.socket, &["promote"]);
    assert!(out.starts_with("ok: policy it revision "), "{out}");
    assert_eq!(says(&mut wire), "new");
    assert_eq!(says(&mut running.proxy.login("app")), "new");
    let found = status(&running.socket);
    assert_eq!(found["revision"], revision);
    assert_eq!(
        (&found["by"], &found["canary"]),
        (&"promote".into(), &Value::Null)
    );
    let kept = listed(&history(&running.socket));
    let by: Vec<&str> = kept.iter().map(|(_, by)| &**by).collect();
    assert_eq!(by, ["promote", "start"]);
    works(&running.socket, &["rollback"]);
    assert_eq!(says(&mut wire), "old");
    let nothing = ask(&running.socket, &["promote"]);
    assert_eq!(nothing.code, Some(1), "{nothing:?}");
    assert!(
        nothing.errors.contains("no canary to promote"),
        "{nothing:?}"
    );
}

#[test]
fn while_a_canary_runs_nothing_else_comes_into_force() {
    let running = Running::start("old", &[]);
    running.write("second");
    works(&running.socket, &["reload"]);
    begin(&running, "100", &saying(&running, "new"));
    running.write("third");
    for verb in [
        &["reload"][..],
        &["rollback"],
        &["reload", "--shadow", "/nowhere"],
    ] {
        let refused = ask(&running.socket, verb);
        assert_eq!(refused.code, Some(1), "{verb:?} {refused:?}");
        for word in ["a canary runs", "`pgwarden promote`", "`pgwarden withdraw`"] {
            assert!(refused.errors.contains(word), "{verb:?} {refused:?}");
        }
    }
    signal("HUP", running.proxy.pid());
    wait_for("SIGHUP is refused too", || {
        let last = status(&running.socket)["last_reload"].clone();
        (last["by"] == "SIGHUP" && last["mistakes"][0].as_str()?.contains("a canary runs"))
            .then_some(())
    });
    assert_eq!(says(&mut running.proxy.login("app")), "new");
    // The same candidate with another share; another candidate is another canary.
    begin(&running, "0.5%", &saying(&running, "new"));
    assert_eq!(canary(&running)["percent"], 0.5);
    let path = running.candidate(&saying(&running, "other"));
    let refused = ask(&running.socket, &["reload", "--canary", "5", &path]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    for share in ["0", "101", "-1", "many"] {
        let wrong = ask(&running.socket, &["reload", "--canary", share, &path]);
        assert_eq!(wrong.code, Some(64), "{share} {wrong:?}");
    }
    works(&running.socket, &["withdraw"]);
    works(&running.socket, &["reload"]);
    assert_eq!(says(&mut running.proxy.login("app")), "third");
}

/// Without a file the candidate is what the process's own files hold now.
#[test]
fn without_a_file_the_process_tries_its_own() {
    let running = Running::start("old", &[]);
    running.write("on disk");
    works(&running.socket, &["reload", "--canary", "100"]);
    assert_eq!(says(&mut running.proxy.login("app")), "on disk");
    works(&running.socket, &["promote"]);
    assert_eq!(status(&running.socket)["by"], "promote");
}

#[test]
fn what_both_policies_share_cannot_be_tried() {
    let running = Running::start("old", &[]);
    let base = saying(&running, "new");
    let mut elsewhere = base.clone();
    elsewhere.port = crate::support::free_port();
    for (candidate, names) in [
        (base.clone().size(11), &["`pool.main.size`", "10 -> 11"][..]),
        (base.clone().mode("session"), &["`pool.main.mode`"]),
        (elsewhere, &["`listener.main.bind`"]),
        (
            base.clone().listener_key("max_connections = 7"),
            &["`listener.main.max_connections`"],
        ),
        (
            base.clone().admin_key("metrics = \"127.0.0.1:1\""),
            &["`admin.metrics`"],
        ),
    ] {
        let path = running.candidate(&candidate);
        let refused = ask(&running.socket, &["reload", "--canary", "5", &path]);
        assert_eq!(refused.code, Some(1), "{names:?} {refused:?}");
        for name in names {
            assert!(refused.errors.contains(name), "{name} {refused:?}");
        }
        assert!(
            refused.errors.contains("both policies share it"),
            "{refused:?}"
        );
    }
    assert_eq!(canary(&running), Value::Null);
    assert_eq!(says(&mut running.proxy.login("app")), "old");
}

/// Two policies, one pool: the node sees no more connections than it may have.
#[test]
fn both_sides_together_keep_to_the_size_of_the_pool() {
    let base = PolicyText::of(Cluster::shared()).size(2);
    let make = |base: &PolicyText, socket: &Path| policy(base, socket, "old");
    let running = Running::over(base, make, &[]);
    let mut old: Vec<Wire> = (0..3).map(|_| running.proxy.login("app")).collect();
    begin(&running, "100", &saying(&running, "new"));
    let mut new: Vec<Wire> = (0..3).map(|_| running.proxy.login("app")).collect();
    let (first, second) = (&mut old[0], &mut new[0]);
    first.works("BEGIN");
    second.works("BEGIN");
    let pool = status(&running.socket)["pools"][0].clone();
    assert_eq!(pool["active"], 2, "{pool}");
    assert_eq!(
        status(&running.socket)["pools"].as_array().map(Vec::len),
        Some(1)
    );
    new[1].send(&crate::support::frames::query("SELECT 1"));
    wait_for("the third waits", || {
        (status(&running.socket)["pools"][0]["waiting"] == 1).then_some(())
    });
    old[0].works("COMMIT");
    new[1].until_ready();
    new[0].works("COMMIT");
}

/// The rate of a client is one, whichever policy serves it.
#[test]
fn limits_are_those_of_both_sides_together() {
    let limit = "limit = { rate = 2, per = \"1h\", key = \"user\" }";
    let make = |base: &PolicyText, socket: &Path| {
        with_socket(base, socket).stage("pre_query", "rate", limit)
    };
    let running = Running::over(PolicyText::of(Cluster::shared()), make, &[]);
    let mut old = running.proxy.login("app");
    old.works("SELECT 1");
    let more = make(&running.base, &running.socket).stage("route", "all", "route = \"primary\"");
    begin(&running, "100", &more);
    let mut new = running.proxy.login("app");
    new.works("SELECT 1");
    assert_eq!(new.fails("SELECT 1").code, "53400");
    assert_eq!(old.fails("SELECT 1").code, "53400");
    works(&running.socket, &["promote"]);
    assert_eq!(new.fails("SELECT 1").code, "53400");
    let stages = running.proxy.admin().table("SHOW STAGES");
    let rate = stages
        .iter()
        .find(|row| row["stage"] == "rate")
        .expect("a row");
    assert_eq!(
        rate["refusals"], "2",
        "of the running side before, and after the promotion: {rate:?}"
    );
}

/// Who may come in is decided by the policy that would serve the session.
#[test]
fn a_canary_decides_of_logins_too() {
    let running = Running::start("old", &[]);
    let keys = "when = { user = \"other\" }\ndeny = \"not by this one\"";
    let strict = saying(&running, "new").stage("on_connect", "door", keys);
    begin(&running, "100", &strict);
    assert!(Wire::try_login(running.proxy.port, "other", "app").is_none());
    running.proxy.login("app").works("SELECT 1");
    let found = canary(&running);
    assert_eq!(found["canary"]["logins_refused"], 1, "{found}");
    assert_eq!(found["running"]["logins_refused"], 0, "{found}");
    works(&running.socket, &["withdraw"]);
    assert!(Wire::try_login(running.proxy.port, "other", "app").is_some());
}

/// A change of a file waits for the end of the canary.
#[test]
fn a_change_on_disk_waits_until_the_canary_is_over() {
    let watching = |message: &str, base: &PolicyText, socket: &Path| {
        policy(base, socket, message).extra("[reload]\nwatch = true")
    };
    let make = |base: &PolicyText, socket: &Path| watching("old", base, socket);
    let running = Running::over(PolicyText::of(Cluster::shared()), make, &[]);
    begin(
        &running,
        "100",
        &watching("new", &running.base, &running.socket),
    );
    let text = watching("on disk", &running.base, &running.socket).text();
    running.proxy.write_policy(&text);
    // A candidate that is refused is known to come after the change was there to be seen.
    assert_eq!(ask(&running.socket, &["reload"]).code, Some(1));
    assert_eq!(status(&running.socket)["refused"], 1);
    works(&running.socket, &["withdraw"]);
    wait_for("the change is seen", || {
        (status(&running.socket)["by"] == "watch").then_some(())
    });
    assert_eq!(running.says(), "on disk");
    assert_eq!(status(&running.socket)["refused"], 1);
}
