//! What a test gives beside the session: stored values, faults, how nodes are. Owns no playing.

use crate::policy::code;
use crate::policy::document::Value;
use crate::policy::keys::NODE;
use crate::policy::keys::NODE_STATE;
use crate::policy::keys::PERMISSIONS;
use crate::policy::keys::STAGE;
use crate::policy::reading::Spot;
use crate::policy::reading::Table;
use crate::policy::reading::unknown;
use crate::policy::scope::Scope;
use crate::sandbox::Fault;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How a node is while a test is played.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NodeState {
    /// How far it is behind.
    pub lag: Duration,
    /// Whether connections to it fail.
    pub away: bool,
}

pub(super) fn nodes(scope: Scope<'_, '_>, table: &Table<'_, '_>) -> BTreeMap<usize, NodeState> {
    let mut nodes = BTreeMap::new();
    let Some(entry) = table.entry("nodes") else {
        return nodes;
    };
    if !matches!(entry.word.value, Value::Table(_)) {
        scope
            .reading
            .wrong_type(&entry.word, "a table such as { pg2 = { lag = \"9s\" } }");
    }
    for entry in entry.word.entries() {
        let name = Spot {
            at: entry.key_at,
            value: entry.key.clone(),
        };
        let id = scope.find(&NODE, &name);
        let title = format!("the node `{}`", entry.key);
        let opened = Table::open(scope.reading, &NODE_STATE, entry.key_at, title, &entry.word);
        let Some(inner) = opened else {
            continue;
        };
        let state = NodeState {
            lag: inner.duration("lag").unwrap_or_default(),
            away: inner.boolean("away").unwrap_or(false),
        };
        inner.finish();
        nodes.extend(id.map(|id| (id, state)));
    }
    nodes
}

pub(super) fn stored(
    scope: Scope<'_, '_>,
    table: &Table<'_, '_>,
) -> Vec<(Arc<str>, Arc<str>, Arc<str>)> {
    let mut values = Vec::new();
    for namespace in table
        .entry("kv")
        .map(|entry| entry.word.entries())
        .unwrap_or_default()
    {
        let known = namespaces(scope);
        if !known.contains(&namespace.key) {
            let names = known.iter().map(String::as_str);
            scope.reading.add(unknown(
                code::UNKNOWN_NAME,
                namespace.key_at,
                "namespace",
                &namespace.key,
                names,
            ));
        }
        for entry in namespace.word.entries() {
            if let Some(value) = scope.reading.text(&entry.word) {
                values.push((
                    namespace.key.as_str().into(),
                    entry.key.as_str().into(),
                    value.value.into(),
                ));
            }
        }
    }
    values
}

/// The namespaces that permissions open.
fn namespaces(scope: Scope<'_, '_>) -> Vec<String> {
    let named = scope.words.named(&PERMISSIONS);
    let namespaces = named.filter_map(|(_, table)| table.word.entry("kv")?.word.entry("namespace"));
    namespaces
        .filter_map(|namespace| scope.reading.text(&namespace.word))
        .map(|spot| spot.value)
        .collect()
}

pub(super) fn faults(scope: Scope<'_, '_>, table: &Table<'_, '_>) -> BTreeMap<usize, Fault> {
    const KINDS: [&str; 9] = [
        "out_of_fuel",
        "out_of_memory",
        "deadline",
        "stack_overflow",
        "trap",
        "bad_answer",
        "call_refused",
        "input_too_large",
        "load_failed",
    ];
    let mut faults = BTreeMap::new();
    for entry in table
        .entry("inject")
        .map(|entry| entry.word.entries())
        .unwrap_or_default()
    {
        let name = Spot {
            at: entry.key_at,
            value: entry.key.clone(),
        };
        let stage = scope.find(&STAGE, &name);
        let kind = scope.reading.text(&entry.word);
        let fault =
            kind.and_then(|kind| scope.reading.one_of(&kind, "fault", KINDS, Fault::injected));
        if let (Some(stage), Some(fault)) = (stage, fault) {
            faults.insert(stage, fault);
        }
    }
    faults
}
