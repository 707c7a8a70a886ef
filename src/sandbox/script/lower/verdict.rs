//! Verdicts of texts. Owns no meaning: what they become is in `script/verdict`.

use super::super::verdict;
use super::tree::Verdict;
use crate::hook::Answer;
use crate::hook::Refusal;

/// The verdict function of that name, if it takes that many texts.
pub(super) fn named(name: &str, args: usize) -> Option<Verdict> {
    Some(match (name, args) {
        ("next", 0) => Verdict::Next,
        ("allow", 0) => Verdict::Allow,
        ("defer", 0) => Verdict::Defer,
        ("deny", 1..=3) => Verdict::Deny,
        ("rewrite", 1) => Verdict::Rewrite,
        ("denied", 1) => Verdict::Denied,
        ("route", 1) => Verdict::Route,
        _ => return None,
    })
}

/// Makes it; `None` where Rhai has to say what is wrong.
pub(super) fn make(verdict: Verdict, texts: &[&str]) -> Option<Answer> {
    Some(match (verdict, texts) {
        (Verdict::Next, []) => Answer::Continue,
        (Verdict::Allow, []) => Answer::Allow,
        (Verdict::Defer, []) => Answer::Defer,
        (Verdict::Deny, [message]) => Answer::Block(Refusal::new(*message)),
        (Verdict::Deny, [code, message, hint @ ..]) => {
            let hint = hint.first().copied();
            Answer::Block(verdict::refusal(code, message, hint).ok()?)
        }
        (Verdict::Rewrite, [sql]) => Answer::Rewrite((*sql).to_owned()),
        (Verdict::Denied, [reason]) => Answer::Denied((*reason).to_owned()),
        (Verdict::Route, [to]) => Answer::Route(verdict::route(to).ok()?),
        _ => return None,
    })
}
