//! What is refused when, who shares a budget, and when a window ends.

use super::*;
use pgwarden_guest::testing::Input;
use pgwarden_guest::testing::host;

fn setup(config: &[(&str, &str)]) {
    host(|host| {
        host.kv.clear();
        host.config = config
            .iter()
            .map(|(path, value)| ((*path).to_owned(), (*value).to_owned()))
            .collect();
        host.now = 70 * MICROS;
    });
}

fn input(tenant: Option<&str>, kind: &str) -> Input {
    let input = Input::new()
        .text(Field::UserName, "alice")
        .items(Field::Kinds, &[Some(kind)]);
    match tenant {
        Some(tenant) => input.text(Field::UserTenant, tenant),
        None => input,
    }
}

fn run(tenant: Option<&str>, micros: u64, rows: u64) -> Option<(String, String)> {
    let input = input(tenant, "select");
    let refusal = input.ask(admit).refusal();
    if refusal.is_none() {
        let ended = input
            .number(Field::ElapsedUs, micros)
            .number(Field::ResultRows, rows);
        assert_eq!(ended.ask(charge), Verdict::next());
    }
    refusal
}

#[test]
fn time_is_added_up_until_it_is_spent_and_then_until_the_window_ends() {
    setup(&[
        ("window_seconds", "60"),
        ("budgets.acme", "{\"ms\":5}"),
        ("budgets.acme.ms", "5"),
    ]);
    for _ in 0..3 {
        assert_eq!(run(Some("acme"), 1_999, 0), None, "5.997 ms after three");
    }
    let (code, message) = run(Some("acme"), 0, 0).expect("a refusal");
    assert_eq!(code, "53400");
    assert_eq!(
        message,
        "the budget of acme is spent: 5 ms in 60 s; the window ends in 50 s"
    );
    assert_eq!(
        run(Some("globex"), 9_000_000, 0),
        None,
        "has no budget to keep"
    );
    host(|host| host.now = 120 * MICROS);
    assert_eq!(run(Some("acme"), 0, 0), None, "the next window");
}

#[test]
fn a_transaction_can_end_when_nothing_is_left() {
    setup(&[("default.ms", "0")]);
    assert!(run(None, 0, 0).is_some());
    assert_eq!(input(None, "tx").ask(admit), Verdict::next());
    let hidden = Input::new().items(Field::Kinds, &[Some("tx"), Some("delete")]);
    assert!(hidden.ask(admit).refusal().is_some());
}

#[test]
fn statements_are_counted_exactly_and_rows_after_they_came() {
    setup(&[("default.statements", "2"), ("default.rows", "10")]);
    assert_eq!(run(None, 0, 4), None);
    assert_eq!(run(None, 0, 4), None);
    let (_, message) = run(None, 0, 4).expect("a refusal");
    assert!(
        message.starts_with("the budget of alice is spent: 2 statements"),
        "{message}"
    );
    setup(&[("default.rows", "10")]);
    assert_eq!(run(Some("acme"), 0, 10), None);
    assert!(run(Some("acme"), 0, 0).is_some());
    assert_eq!(
        run(Some("globex"), 0, 0),
        None,
        "each tenant has the default for itself"
    );
    assert_eq!(run(None, 0, 0), None, "and each user without a tenant");
}

#[test]
fn a_budget_of_its_own_replaces_the_default_and_no_name_leads_elsewhere() {
    setup(&[
        ("budgets.acme", "{}"),
        ("budgets.a.b", "7"),
        ("default.statements", "0"),
    ]);
    assert_eq!(run(Some("acme"), 0, 0), None);
    for tenant in ["a.b", "", "."] {
        assert!(run(Some(tenant), 0, 0).is_some(), "{tenant:?}");
    }
}

#[test]
fn what_cannot_be_counted_is_refused() {
    setup(&[("default.ms", "5")]);
    let far = "x".repeat(300);
    let (code, message) = run(Some(&far), 0, 0).expect("a refusal");
    assert_eq!(code, "53400");
    assert!(message.ends_with("cannot be counted"), "{message}");
}
