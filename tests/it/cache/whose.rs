//! Who may be given what was kept: users, roles, settings, databases; what the policy refuses it refuses; what hides a session's
//! state ends the keeping.

use super::Kept;
use super::make;
use super::stage;
use crate::support::cluster::Cluster;
use crate::support::frames::VERSION_3_0;
use crate::support::frames::startup;
use crate::support::message::shape;
use crate::support::policy::PolicyText;
use crate::support::proxy::Proxy;
use crate::support::wire::Wire;

/// Rows of one's own by row-level security, with one's own login on the node.
const OWN_ROWS: &str = "ALTER TABLE kept_own ENABLE ROW LEVEL SECURITY;
    ALTER TABLE kept_own FORCE ROW LEVEL SECURITY;
    CREATE POLICY own ON kept_own USING (owner = current_user) WITH CHECK (true);
    GRANT ALL ON kept_own TO other;
    INSERT INTO kept_own (id, note, owner) VALUES (1, 'of other', 'other')";

#[test]
fn users_see_their_own_rows() {
    // Whatever `vary` says: the node takes them for two.
    for vary in [
        "vary = [\"user\"]",
        "vary = [\"role\"]",
        "vary = \"database\"",
    ] {
        let mut kept = Kept::start("kept_own", vary);
        kept.direct.works(OWN_ROWS);
        let (mut app, mut other) = (kept.login("app"), kept.login("other"));
        for send in [Wire::query, Wire::extended] {
            for _ in 0..3 {
                for (wire, expected) in [(&mut app, "first"), (&mut other, "of other")] {
                    let rows = send(wire, &kept.select);
                    let rows: Vec<String> = rows
                        .iter()
                        .filter(|message| message.tag == 'D')
                        .map(|row| row.first_value())
                        .collect();
                    assert_eq!(rows, [expected], "{vary}");
                }
            }
        }
        assert_eq!(kept.figure("stored"), 2, "{vary}");
        assert_eq!(kept.figure("hits"), 10, "{vary}");
    }
}

/// Where the pool has one login for all, users are told apart unless the policy lets answers cross.
#[test]
fn answers_cross_users_only_where_that_is_written() {
    let users = "[role.desk]\n[role.lab]\n[user.app]\ntrust = true\nroles = [\"desk\"]\nattributes = { tenant = \"a\" }\n\
        [user.other]\ntrust = true\nroles = [\"desk\"]\nattributes = { tenant = \"b\" }\n[user.postgres]\ntrust = true\nroles = [\"lab\"]\n";
    for (vary, other, postgres) in [
        ("", "second", "second"),
        ("vary = \"role\"", "first", "second"),
        ("vary = \"database\"", "first", "first"),
        ("vary = [\"attr.tenant\"]", "second", "second"),
    ] {
        let policy = PolicyText::of(Cluster::shared())
            .users(users)
            .pool_key("login = { user = \"app\" }");
        let mut kept = Kept::over(policy, "kept_cross", vary);
        let mut app = kept.login("app");
        kept.fill(&mut app);
        assert_eq!(kept.login("other").value(&kept.select), other, "{vary}");
        assert_eq!(
            kept.login("postgres").value(&kept.select),
            postgres,
            "{vary}"
        );
    }
}

fn login_with(port: u16, settings: &[(&str, &str)]) -> Wire {
    let mut wire = Wire::connect(port);
    let who = [("user", "app"), ("database", "app")];
    wire.send(&startup(VERSION_3_0, &[&who, settings].concat()));
    assert!(shape(&wire.until_ready()).ends_with("ZI"));
    wire
}

#[test]
fn settings_are_part_of_what_is_asked() {
    let kept = Kept::start("kept_settings", "");
    let sql = "SELECT at FROM kept_settings";
    for _ in 0..2 {
        for (settings, expected) in [
            (&[][..], "2026-03-04"),
            (&[("DateStyle", "German")], "04.03.2026"),
            (&[("datestyle", "SQL, DMY")], "04/03/2026"),
            (&[("options", "-c datestyle=German")], "04.03.2026"),
        ] {
            let mut wire = login_with(kept.proxy.port, settings);
            assert_eq!(wire.value(sql), expected, "{settings:?}");
        }
    }
    assert_eq!(kept.figure("hits"), 5, "German is German");
    // A setting that was made later is not one it began with: nothing is given, nothing is taken.
    let mut wire = kept.login("app");
    wire.works("SET datestyle = 'German'");
    let before = kept.figures();
    for _ in 0..2 {
        assert_eq!(wire.value(sql), "04.03.2026");
    }
    assert_eq!(kept.figures(), before);
    wire.works("DISCARD ALL");
    assert_eq!(wire.value(sql), "2026-03-04");
    assert_eq!(kept.figure("hits"), 6);
    let mut wire = kept.login("app");
    wire.works("SET ROLE app");
    wire.works(sql);
    wire.works("RESET ROLE");
    wire.works(sql);
    assert_eq!(kept.figure("hits"), 6);
}

/// What a function does to the session behind it nobody knows; so nothing that it may have changed is kept for others.
#[test]
fn state_that_a_function_hides_is_not_passed_on() {
    for mode in ["session", "transaction"] {
        let policy = PolicyText::of(Cluster::shared()).mode(mode).size(1);
        let mut kept = Kept::over(policy, "kept_hidden", "");
        kept.direct.works(
            "CREATE OR REPLACE FUNCTION be(who text) RETURNS text LANGUAGE sql VOLATILE AS \
             'SELECT set_config(''kept.who'', who, false)'",
        );
        kept.direct.works(
            "ALTER TABLE kept_hidden ENABLE ROW LEVEL SECURITY; ALTER TABLE kept_hidden FORCE ROW LEVEL SECURITY;
             CREATE POLICY who ON kept_hidden USING (note = current_setting('kept.who', true))",
        );
        let mut first = kept.login("app");
        assert_eq!(first.value("SELECT be('first')"), "first");
        for _ in 0..2 {
            assert_eq!(first.works(&kept.select), "T D C ZI", "{mode}");
        }
        drop(first);
        assert_eq!(kept.figure("hits"), 0, "{mode}");
        assert_eq!(kept.figure("stored"), 0, "{mode}");
        if mode == "session" {
            // The server connection is as new for the next.
            let mut second = kept.login("app");
            for _ in 0..2 {
                assert_eq!(second.works(&kept.select), "T C ZI");
            }
            assert_eq!(kept.figure("hits"), 1);
        }
    }
}

/// What is kept is a disclosure like any other.
#[test]
fn what_is_refused_is_refused_although_it_is_kept() {
    let deny = "when = { user = \"other\", tables = [\"kept_denied\"] }\ndeny = \"not for you\"";
    let policy = PolicyText::of(Cluster::shared())
        .pool_key("login = { user = \"app\" }")
        .stage("authorize", "guard", deny);
    let mut kept = Kept::over(policy, "kept_denied", "vary = \"database\"");
    let (mut app, mut other) = (kept.login("app"), kept.login("other"));
    kept.fill(&mut app);
    assert_eq!(other.fails(&kept.select).message, "not for you");
    let messages = other.extended(&kept.select);
    assert_eq!(messages[0].problem().message, "not for you");
    assert_eq!(app.value(&kept.select), "first");
}

/// The first cache whose guards match; one that only observes keeps nothing.
#[test]
fn guards_and_modes_say_what_is_kept() {
    let mut direct = make("kept_modes", Cluster::shared().primary.port);
    let policy = stage(
        PolicyText::of(Cluster::shared()),
        "kept_modes",
        "ttl = \"1h\"",
    );
    let observing = policy
        .clone()
        .text()
        .replace("[stage.kept]", "[stage.kept]\nmode = \"observe\"");
    let proxy = Proxy::start(&policy);
    proxy.reload(&observing);
    let mut wire = proxy.login("app");
    let select = "SELECT note FROM kept_modes";
    assert_eq!(wire.value(select), "first");
    direct.works("UPDATE kept_modes SET note = 'second'");
    assert_eq!(wire.value(select), "second");
    proxy.reload(&policy.text());
    assert_eq!(wire.value(select), "second");
    direct.works("UPDATE kept_modes SET note = 'third'");
    assert_eq!(wire.value(select), "second", "it is kept");
    // Every table must be one that the stage names.
    let joined = "SELECT note FROM kept_modes JOIN orders ON orders.id = kept_modes.id";
    assert_eq!(wire.value(joined), "third");
    direct.works("UPDATE kept_modes SET note = 'fourth'");
    assert_eq!(wire.value(joined), "fourth");
}

/// What a standby answers may be older than what was written here.
#[test]
fn answers_of_a_standby_are_kept_only_where_writes_end_nothing() {
    for (invalidate, stored) in [("on_write", 0), ("never", 1)] {
        let policy =
            PolicyText::of(Cluster::shared()).stage("route", "reads", "route = \"standby\"");
        let kept = Kept::over(
            policy,
            "kept_late",
            &format!("invalidate = \"{invalidate}\""),
        );
        let mut wire = kept.login("app");
        crate::support::wait_for("the standby has the table", || {
            (shape(&wire.query(&kept.select)) == "T D C ZI").then_some(())
        });
        assert_eq!(wire.value(&kept.select), "first");
        assert_eq!(kept.figure("stored"), stored, "{invalidate}");
        assert!(stored == 1 || 0 < kept.figure("unfit"));
    }
}
