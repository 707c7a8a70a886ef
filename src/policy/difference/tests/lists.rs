//! Lists of pipelines: which stages stand in them, and what those before do to those behind.

use super::policy;
use super::told;

/// A policy of one pool with these tables, where what nobody decides on may run.
fn with(tables: &str) -> crate::policy::Policy {
    policy(&format!(
        "policy = 1\nname = \"p\"\nlistener.l.bind = \"127.0.0.1:1\"\n\
         node.n = {{ role = \"primary\", host = \"h\" }}\n\
         pool.p = {{ database = \"*\", nodes = \"n\" }}\n\
         user.ada.trust = true\n{tables}\n"
    ))
}

const TWO_PIPELINES: &str = "
listener.l.pipeline = \"default\"
listener.m = { bind = \"127.0.0.1:2\", pipeline = \"other\" }
stage.d = { hook = \"pre_query\", when = { kind = \"delete\" }, deny = \"no\" }
pipeline.default = { pre_query = [\"d\"], otherwise = { authorize = \"allow\" } }
pipeline.other = { pre_query = [\"d\"], otherwise = { authorize = \"allow\" } }
";

#[test]
fn a_stage_that_is_renamed_and_leaves_a_list_is_told_of_that_list() {
    let renamed = TWO_PIPELINES
        .replace("stage.d", "stage.e")
        .replace("[\"d\"]", "[\"e\"]");
    let left = renamed.replacen("pre_query = [\"e\"], ", "", 1);
    let (both, renamed, left) = (with(TWO_PIPELINES), with(&renamed), with(&left));
    assert_eq!(told(&both, &renamed), ["changes stage.d: renamed to `e`"]);
    assert_eq!(
        told(&both, &left),
        [
            "widens pipeline.default.pre_query: - `d`",
            "changes stage.d: renamed to `e`"
        ]
    );
    assert_eq!(
        told(&left, &both),
        [
            "changes stage.e: renamed to `d`",
            "narrows pipeline.default.pre_query: + `d`"
        ]
    );
}

#[track_caller]
fn check(old: &str, new: &str, there: &[&str], back: &[&str]) {
    let (before, after) = (with(old), with(new));
    assert_eq!(told(&before, &after), there, "{old}\nbecomes\n{new}");
    assert_eq!(told(&after, &before), back, "{new}\nbecomes\n{old}");
}

#[test]
fn a_limit_that_is_added_takes_away_only_where_nothing_behind_it_looks_at_that() {
    let policy = |list: &str, behind: &str| {
        format!(
            "stage.bound = {{ hook = \"pre_query\", rewrite = {{ add_limit = 5 }} }}\n\
             stage.time = {{ hook = \"rewrite\", rewrite = {{ statement_timeout = \"1s\" }} }}\n\
             {behind}\n\
             pipeline.default = {{ {list}, rewrite = [\"time\"], otherwise = {{ authorize = \"allow\" }} }}\n\
             listener.spare = {{ bind = \"127.0.0.1:3\", pipeline = \"spare\" }}\n\
             pipeline.spare = {{ pre_query = [\"bound\"], otherwise = {{ authorize = \"allow\" }} }}\n"
        )
    };
    let sight = "permissions.p.see = \"sql.kind\"\npermissions.b.see = \"identity\"\n";
    for (stage, is_certain) in [
        (
            "hook = \"pre_query\", when = { has_limit = false }, deny = \"no\"",
            false,
        ),
        (
            "hook = \"authorize\", unless = { bytes = \"<9KiB\" }, deny = \"no\"",
            false,
        ),
        (
            "hook = \"authorize\", when = { functions = \"f\" }, deny = \"no\"",
            false,
        ),
        (
            "hook = \"authorize\", permissions = \"p\", script = \"next()\"",
            false,
        ),
        (
            "hook = \"authorize\", permissions = \"b\", script = \"next()\"",
            true,
        ),
        (
            "hook = \"authorize\", when = { kind = \"select\" }, deny = \"no\"",
            true,
        ),
        (
            "hook = \"post_query\", when = { has_limit = false }, log = { fields = \"user\" }",
            true,
        ),
        (
            "hook = \"route\", when = { has_limit = false }, route = \"primary\"",
            true,
        ),
    ] {
        let hook = stage.split('"').nth(1).unwrap();
        let list = |first: &str| match hook {
            "pre_query" => format!("pre_query = [{first}\"s\"]"),
            _ if first.is_empty() => format!("{hook} = [\"s\"]"),
            _ => format!("pre_query = [\"bound\"], {hook} = [\"s\"]"),
        };
        let behind = format!("{sight}stage.s = {{ {stage} }}");
        let (there, back) = match is_certain {
            true => ("narrows", "widens"),
            false => ("changes", "changes"),
        };
        check(
            &policy(&list(""), &behind),
            &policy(&list("\"bound\", "), &behind),
            &[&format!("{there} pipeline.default.pre_query: + `bound`")],
            &[&format!("{back} pipeline.default.pre_query: - `bound`")],
        );
    }
}

#[test]
fn a_route_ends_its_list() {
    let policy = |list: &str, to: &str| {
        format!(
            "stage.away = {{ hook = \"route\", when = {{ kind = \"select\" }}, route = \"{to}\" }}\n\
             stage.d = {{ hook = \"route\", when = {{ user = \"ada\" }}, deny = \"no\" }}\n\
             pipeline.default = {{ route = [{list}], otherwise = {{ authorize = \"allow\" }} }}\n"
        )
    };
    check(
        &policy("\"d\", \"away\"", "primary"),
        &policy("\"away\", \"d\"", "primary"),
        &["widens pipeline.default.route: moved `d` after `away`"],
        &["narrows pipeline.default.route: moved `away` after `d`"],
    );
    check(
        &policy("\"away\", \"d\"", "default"),
        &policy("\"away\", \"d\"", "primary"),
        &["widens stage.away.route: default -> primary"],
        &["narrows stage.away.route: primary -> default"],
    );
    check(
        &policy("\"d\", \"away\"", "default"),
        &policy("\"d\", \"away\"", "primary"),
        &["changes stage.away.route: default -> primary"],
        &["changes stage.away.route: primary -> default"],
    );
}

#[test]
fn a_stage_that_is_moved_both_ways_is_told_both_ways() {
    let policy = |list: &str| {
        format!(
            "stage.a = {{ hook = \"authorize\", when = {{ kind = \"select\" }}, allow = true }}\n\
             stage.d = {{ hook = \"authorize\", when = {{ user = \"ada\" }}, deny = \"no\" }}\n\
             stage.e = {{ hook = \"authorize\", when = {{ user = \"eve\" }}, deny = \"no\" }}\n\
             pipeline.default = {{ authorize = [{list}], otherwise = {{ authorize = \"allow\" }} }}\n"
        )
    };
    let (old, new) = (
        with(&policy("\"d\", \"a\", \"e\"")),
        with(&policy("\"e\", \"a\", \"d\"")),
    );
    let ways: Vec<String> = told(&old, &new);
    for way in ["widens ", "narrows "] {
        assert!(ways.iter().any(|told| told.starts_with(way)), "{ways:?}");
    }
}

#[test]
fn a_role_is_told_by_what_the_stages_make_of_it() {
    let policy = |roles: &str, stages: &str| {
        format!(
            "role.app = {{}}\nrole.dba = {{}}\nuser.eve = {{ trust = true{roles} }}\n{stages}\n\
             otherwise = {{ authorize = \"deny\" }}\n"
        )
    };
    let allow = "stage.a = { hook = \"authorize\", unless = { role = \"app\" }, allow = true }\n";
    let deny = "stage.d = { hook = \"authorize\", unless = { role = [\"app\", \"dba\"] }, deny = \"no\" }\n";
    let both = format!("{allow}{deny}[pipeline.default]\nauthorize = [\"a\", \"d\"]");
    let one = format!("{deny}[pipeline.default]\nauthorize = [\"d\"]");
    let (none, app) = ("", ", roles = \"app\"");
    let plus = "user.eve.roles: + \"app\"";
    let minus = "user.eve.roles: - \"app\"";
    check(
        &policy(none, &both),
        &policy(app, &both),
        &[&format!("widens {plus}"), &format!("narrows {plus}")],
        &[&format!("widens {minus}"), &format!("narrows {minus}")],
    );
    check(
        &policy(none, &one),
        &policy(app, &one),
        &[&format!("widens {plus}")],
        &[&format!("narrows {minus}")],
    );
    // Another role has done as much before.
    check(
        &policy(", roles = \"dba\"", &one),
        &policy(", roles = [\"dba\", \"app\"]", &one),
        &[&format!("changes {plus}")],
        &[&format!("changes {minus}")],
    );
}
