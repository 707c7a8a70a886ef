//! How far standbys are behind: which pools must be measured, and what that takes. Owns no measuring and no choice of a node.

use super::Policy;
use super::code;
use super::keys::NODE;
use super::node::Node;
use super::node::Role;
use super::pool::Pool;
use super::report::At;
use super::report::Diagnostic;
use super::scope::Scope;
use super::stage::Stage;

/// Reports pools that must be measured and cannot be, and nodes that no pool measures.
pub(super) fn check(scope: Scope<'_, '_>, pools: &[Pool], nodes: &[Node], stages: &[Stage]) {
    let asks = stages.iter().find(|stage| stage.asks_lag());
    for pool in pools {
        let of_pool = nodes_of(scope, pool, nodes);
        if let Some((at, why)) = reason(scope, &of_pool, asks) {
            check_pool(scope, pool, &of_pool, at, &why);
        }
    }
    for node in nodes.iter().filter(|node| node.max_lag.is_some()) {
        let mut pools = pools.iter();
        let known = |pool: &Pool| {
            let mut nodes = nodes_of(scope, pool, nodes).into_iter();
            nodes.any(|known| known.name == node.name)
        };
        if !pools.any(known) {
            let message = format!("`max_lag` of node `{}` is measured by no pool", node.name);
            let found = Diagnostic::error(code::CONTRADICTION, max_lag_at(scope, node), message);
            scope.reading.add(found.label(
                "put the node into a pool that has a `login` and its primary, or leave this out",
            ));
        }
    }
    if let Some(stage) = asks
        && !nodes.iter().any(|node| node.role == Role::Standby)
    {
        let message = format!(
            "stage `{}` asks for `lag`, and there is no standby",
            stage.name
        );
        scope
            .reading
            .error(code::CONTRADICTION, stage.place.at, message);
    }
}

/// Why a pool with these nodes must be measured, and where that is written; `None`: it need not be.
fn reason(scope: Scope<'_, '_>, nodes: &[&Node], asks: Option<&Stage>) -> Option<(At, String)> {
    let bounded = nodes.iter().find(|node| node.max_lag.is_some());
    if let Some(node) = bounded {
        let why = format!("`max_lag` of node `{}`", node.name);
        return Some((max_lag_at(scope, node), why));
    }
    let stage = asks.filter(|_| nodes.iter().any(|node| node.role == Role::Standby))?;
    Some((stage.place.at, format!("`lag` of stage `{}`", stage.name)))
}

fn check_pool(scope: Scope<'_, '_>, pool: &Pool, nodes: &[&Node], at: At, why: &str) {
    let name = &pool.name;
    if pool.login.is_none() {
        let message = format!(
            "{why} needs to be measured, and pool `{name}` has no `login` the proxy could ask with"
        );
        let found = Diagnostic::error(code::CONTRADICTION, at, message);
        let help = format!(
            "write login = {{ user = \"..\", password = {{ file = \"..\" }} }} in [pool.{name}]"
        );
        scope.reading.add(found.help(help));
    }
    if !nodes.iter().any(|node| node.role == Role::Primary) {
        let message =
            format!("{why} needs to be measured, and pool `{name}` has no primary to compare with");
        let found = Diagnostic::error(code::CONTRADICTION, at, message);
        scope
            .reading
            .add(found.help(format!("add the primary to `nodes` of [pool.{name}]")));
    }
}

/// The nodes of a pool, as far as nothing is wrong with them.
fn nodes_of<'n>(scope: Scope<'_, '_>, pool: &Pool, nodes: &'n [Node]) -> Vec<&'n Node> {
    let ids = pool.nodes.iter();
    let names = ids.filter_map(|id| scope.words.names(&NODE).nth(*id));
    names
        .filter_map(|name| nodes.iter().find(|node| &*node.name == name))
        .collect()
}

fn max_lag_at(scope: Scope<'_, '_>, node: &Node) -> At {
    let table = scope.words.table(&NODE, &node.name);
    let written = table.and_then(|table| table.word.entry("max_lag"));
    written.map_or(node.place.at, |entry| entry.word.at)
}

impl Policy {
    /// The pools whose nodes are measured, by their indices: those with a node that has `max_lag`, and where a stage asks for
    /// `lag`, all with a standby. Each has a login and a primary.
    #[must_use]
    pub fn measured(&self) -> Vec<usize> {
        let asks = self.stages.iter().any(Stage::asks_lag);
        let must = |pool: &Pool| {
            let mut nodes = pool.nodes.iter().map(|id| &self.nodes[*id]);
            nodes.any(|node| node.max_lag.is_some() || asks && node.role == Role::Standby)
        };
        let pools = self.pools.iter().enumerate();
        let measured = pools.filter(|(_, pool)| must(pool));
        measured.map(|(id, _)| id).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::Severity;
    use crate::policy::tests::Memory;
    use crate::policy::tests::SMALLEST;

    const LOGIN: &str = "login = { user = \"proxy\" }";

    /// The smallest policy with a standby of these keys, these keys of the pool, and these stages at `route`.
    fn with(standby: &str, pool: &str, stage: &str) -> Memory {
        let listed = if stage.is_empty() {
            ""
        } else {
            "route = [\"s\"]\n"
        };
        let root = SMALLEST
            .replace("otherwise", &format!("{listed}otherwise"))
            .replace("[\"pg\"]", &format!("[\"pg\", \"near\"]\n{pool}"));
        let node = format!("[node.near]\nrole = \"standby\"\nhost = \"b\"\n{standby}\n");
        Memory::default().file("policy.toml", format!("{root}\n{node}{stage}"))
    }

    fn errors(memory: &Memory) -> Vec<&'static str> {
        let (_, report) = memory.load(None);
        let found = report.diagnostics().into_iter();
        let errors = found.filter(|found| found.severity == Severity::Error);
        errors.map(|found| found.code).collect()
    }

    const ROUTE: &str =
        "[stage.s]\nhook = \"route\"\nwhen = { lag = \"<5s\" }\nroute = \"standby\"\n";

    #[test]
    fn what_is_measured_needs_a_login_and_a_primary() {
        let max = "max_lag = \"2s\"";
        assert_eq!(with(max, LOGIN, "").policy().measured(), [0]);
        assert_eq!(with("", LOGIN, ROUTE).policy().measured(), [0]);
        assert!(with("", "", "").policy().measured().is_empty());
        assert_eq!(errors(&with(max, "", "")), ["P0610"]);
        assert_eq!(errors(&with("", "", ROUTE)), ["P0610"]);
        let alone = |pool: &str| {
            let mut memory = with(max, pool, "");
            memory.replace("policy.toml", "[\"pg\", \"near\"]", "[\"near\"]");
            errors(&memory)
        };
        assert_eq!(alone(LOGIN), ["P0610"]);
        let mut unused = with(max, LOGIN, "");
        unused.replace("policy.toml", "[\"pg\", \"near\"]", "[\"pg\"]");
        assert_eq!(errors(&unused), ["P0610"]);
    }

    #[test]
    fn a_bound_is_for_standbys_and_not_too_small() {
        assert_eq!(errors(&with("max_lag = \"499ms\"", LOGIN, "")), ["P0503"]);
        let mut primary = with("", LOGIN, "");
        primary.replace(
            "policy.toml",
            "\"primary\"",
            "\"primary\"\nmax_lag = \"2s\"",
        );
        assert_eq!(errors(&primary), ["P0208"]);
        let early = ROUTE
            .replace("route\"\nwhen", "pre_query\"\nwhen")
            .replace("route = \"standby\"", "deny = \"no\"");
        let mut early = with("", LOGIN, &early);
        early.replace("policy.toml", "route = [\"s\"]", "pre_query = [\"s\"]");
        assert_eq!(errors(&early), ["P0603"]);
    }
}
