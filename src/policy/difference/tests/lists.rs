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
