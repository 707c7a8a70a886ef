//! The twelve hooks, one table: names, aliases, guest exports, and which answers are legal at each.

use super::answer::AnswerKind;
use std::fmt;

/// A moment at which stages run.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Hook {
    /// A client has connected and named itself; nothing is proven yet.
    OnConnect,
    /// Who is it? The first answer that is not `defer` counts.
    Authenticate,
    /// A statement arrived.
    PreQuery,
    /// The statement may be replaced.
    Rewrite,
    /// May it run? What is asked is the rewritten text.
    Authorize,
    /// May it be answered without a node?
    CacheGet,
    /// Where does it go?
    Route,
    /// A cacheable result came back.
    CacheSet,
    /// The statement has ended.
    PostQuery,
    /// The statement has ended, figures only.
    Metrics,
    /// The client has gone.
    OnDisconnect,
    /// Runs only when something names it.
    Custom,
}

struct Row {
    hook: Hook,
    name: &'static str,
    alias: &'static str,
    export: &'static str,
    answers: &'static [AnswerKind],
}

use AnswerKind as A;
const OBSERVE: &[AnswerKind] = &[A::Continue];

/// In phase order; the index of a row is the hook's discriminant.
const TABLE: [Row; 12] = [
    row(
        Hook::OnConnect,
        "on_connect",
        "connect",
        "on_connect",
        &[A::Continue, A::Allow, A::Block],
    ),
    row(
        Hook::Authenticate,
        "authenticate",
        "auth",
        "authenticate",
        &[A::Continue, A::Defer, A::Success, A::Denied, A::Block],
    ),
    row(
        Hook::PreQuery,
        "pre_query",
        "prequery",
        "pre_query",
        &[A::Continue, A::Allow, A::Rewrite, A::Block, A::Cached],
    ),
    row(
        Hook::Rewrite,
        "rewrite",
        "rewrite",
        "rewrite",
        &[A::Continue, A::Rewrite, A::Block],
    ),
    row(
        Hook::Authorize,
        "authorize",
        "authorize",
        "authorize",
        &[A::Continue, A::Allow, A::Block],
    ),
    row(
        Hook::CacheGet,
        "cache_get",
        "cacheget",
        "cache_get",
        &[A::Continue, A::Cached, A::Block],
    ),
    row(
        Hook::Route,
        "route",
        "routing",
        "route",
        &[A::Continue, A::Route, A::Block],
    ),
    row(
        Hook::CacheSet,
        "cache_set",
        "cacheset",
        "cache_set",
        OBSERVE,
    ),
    row(
        Hook::PostQuery,
        "post_query",
        "postquery",
        "post_query",
        OBSERVE,
    ),
    row(Hook::Metrics, "metrics", "metrics", "metrics", OBSERVE),
    row(
        Hook::OnDisconnect,
        "on_disconnect",
        "disconnect",
        "on_disconnect",
        OBSERVE,
    ),
    row(
        Hook::Custom,
        "custom",
        "custom_hook",
        "custom_hook",
        &[A::Continue, A::Block],
    ),
];

const fn row(
    hook: Hook,
    name: &'static str,
    alias: &'static str,
    export: &'static str,
    answers: &'static [AnswerKind],
) -> Row {
    Row {
        hook,
        name,
        alias,
        export,
        answers,
    }
}

impl Hook {
    /// How many there are.
    pub const COUNT: usize = TABLE.len();

    /// All of them, in phase order.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.hook)
    }

    fn row(self) -> &'static Row {
        &TABLE[self.index()]
    }

    /// Position in phase order, from 0.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name in policies, logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The function a guest exports for this hook.
    #[must_use]
    pub fn export_name(self) -> &'static str {
        self.row().export
    }

    /// Reads a name or an alias, whatever its case.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        TABLE
            .iter()
            .find(|row| row.name.eq_ignore_ascii_case(name) || row.alias.eq_ignore_ascii_case(name))
            .map(|row| row.hook)
    }

    /// Whether a stage may give this kind of answer here. Anything else is a fault.
    #[must_use]
    pub fn accepts(self, answer: AnswerKind) -> bool {
        self.row().answers.contains(&answer)
    }

    /// The kinds of answer that are legal here.
    #[must_use]
    pub fn answers(self) -> &'static [AnswerKind] {
        self.row().answers
    }

    /// Observers all run and cannot change what the client got.
    #[must_use]
    pub fn is_observer(self) -> bool {
        matches!(
            self,
            Self::CacheSet | Self::PostQuery | Self::Metrics | Self::OnDisconnect
        )
    }

    /// Whether a statement exists at this moment.
    #[must_use]
    pub fn has_statement(self) -> bool {
        !matches!(
            self,
            Self::OnConnect | Self::Authenticate | Self::OnDisconnect | Self::Custom
        )
    }

    /// Whether the node has answered at this moment.
    #[must_use]
    pub fn has_outcome(self) -> bool {
        matches!(self, Self::CacheSet | Self::PostQuery | Self::Metrics)
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_enum() {
        for (index, row) in TABLE.iter().enumerate() {
            assert_eq!(row.hook.index(), index);
            assert_eq!(Hook::parse(row.name), Some(row.hook));
            assert_eq!(Hook::parse(&row.alias.to_uppercase()), Some(row.hook));
        }
        assert_eq!(Hook::parse("pre_qery"), None);
    }

    #[test]
    fn observers_may_only_watch() {
        for hook in Hook::all().filter(|hook| hook.is_observer()) {
            assert_eq!(hook.answers(), [AnswerKind::Continue]);
        }
    }
}
