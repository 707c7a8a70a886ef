//! Where each region's users go, and who is refused.

use super::*;
use pgwarden_guest::testing::Input;
use pgwarden_guest::testing::host;

/// Kinds of answers; `plugins/README.md` has the numbers.
const NAME: u16 = 6;

fn ask(more: &[(&str, &str)], region: Option<&str>, kind: &str, read_only: bool) -> Verdict {
    let config = [
        ("regions.eu.to", "branch:eu"),
        ("regions.eu.writes", "true"),
        ("regions.us.to", "node:pg2"),
        ("regions.us.writes", "false"),
        ("regions.ap.to", "standby"),
        ("regions.xx.to", "branch:"),
    ];
    host(|host| {
        host.config = config
            .iter()
            .chain(more)
            .map(|(path, value)| ((*path).to_owned(), (*value).to_owned()))
            .collect();
    });
    let attribute = more.first().map_or("region", |(_, value)| value);
    let input = Input::new()
        .text(Field::UserName, "alice")
        .items(Field::Kinds, &[Some(kind)])
        .flag(Field::ReadOnly, read_only);
    let pairs = [Some("team"), Some("eu"), Some(attribute), region];
    let pairs = if region.is_some() {
        &pairs[..]
    } else {
        &pairs[..2]
    };
    input.items(Field::UserAttributes, pairs).ask(decide)
}

fn code(verdict: &Verdict) -> Option<String> {
    Some(verdict.refusal()?.0)
}

#[test]
fn a_region_leads_to_its_place() {
    assert_eq!(
        ask(&[], Some("eu"), "insert", false).value(NAME).as_deref(),
        Some("eu")
    );
    assert_eq!(
        ask(&[], Some("us"), "select", true).value(NAME).as_deref(),
        Some("pg2")
    );
    assert_eq!(
        ask(&[], Some("ap"), "insert", false),
        Verdict::route_standby()
    );
    let elsewhere = [("attribute", "home")];
    let verdict = ask(&elsewhere, Some("eu"), "select", true);
    assert_eq!(verdict.value(NAME).as_deref(), Some("eu"));
}

#[test]
fn nothing_is_written_where_only_copies_are() {
    for kind in ["insert", "ddl", "unparsed", "select"] {
        assert_eq!(
            code(&ask(&[], Some("us"), kind, false)).as_deref(),
            Some("25006"),
            "{kind}"
        );
    }
    for kind in ["tx", "set", "show"] {
        assert_eq!(code(&ask(&[], Some("us"), kind, false)), None, "{kind}");
    }
}

#[test]
fn an_unknown_region_goes_nowhere_unless_it_may() {
    for region in [None, Some("mars"), Some(""), Some("eu.to"), Some("EU")] {
        assert_eq!(
            code(&ask(&[], region, "select", true)).as_deref(),
            Some("42501"),
            "{region:?}"
        );
        let open = [("attribute", "region"), ("unknown", "default")];
        assert_eq!(
            ask(&open, region, "select", true),
            Verdict::route_default(),
            "{region:?}"
        );
    }
    assert_eq!(
        code(&ask(&[], Some("xx"), "select", true)).as_deref(),
        Some("58000")
    );
}
