//! For accounts of AI agents: no schema changes, no code of the agent's own, no UPDATE or DELETE of whole tables, LIMIT where
//! tables are large. Which users it is asked about, the policy's `when` says. Each refusal has a hint an agent can act on.
//!
//! ```toml
//! [plugin.llm_guardrail]
//! path   = "plugins/llm_guardrail.wasm"
//! config = { limit_tables = ["orders", "events_*"], read_only = false }
//! ```

#![cfg_attr(target_arch = "wasm32", no_std)]

use pgwarden_guest::Context;
use pgwarden_guest::Deny;
use pgwarden_guest::Field;
use pgwarden_guest::Name;
use pgwarden_guest::Text;
use pgwarden_guest::Verdict;
use pgwarden_guest::host;

pgwarden_guest::manifest!(include_str!("../manifest.json"));
pgwarden_guest::export!(pre_query => decide, authorize => decide);

const CODE: &str = "42501";
/// Items a list of the configuration may have.
const ITEMS_MAX: u64 = 64;
/// Bytes of one.
const ITEM_BYTES_MAX: usize = 512;

/// Kinds that are always refused, with what is said and what to do instead.
const REFUSED: [(&str, &str, &str); 6] = [
    (
        "unparsed",
        "the statement cannot be understood",
        "send one plain SQL statement at a time",
    ),
    (
        "copy_program",
        "this account may not run programs on the server",
        "read the rows with SELECT",
    ),
    (
        "do",
        "this account may not run DO blocks",
        "send the statements one by one",
    ),
    (
        "call",
        "this account may not call procedures",
        "send the statements one by one",
    ),
    (
        "grant",
        "this account may not change who may do what",
        "tell the user which right is missing; do not retry",
    ),
    (
        "ddl",
        "this account may not change the schema (CREATE, ALTER, DROP, TRUNCATE)",
        "show the user the statement as a proposed migration; do not retry",
    ),
];

fn decide(context: &Context<'_>) -> Verdict {
    let always = REFUSED
        .into_iter()
        .find(|(kind, ..)| context.has_kind(kind));
    if let Some((_, message, hint)) = always {
        return refuse(&[message], hint);
    }
    let mut kind = [0; ITEM_BYTES_MAX];
    if let Some(kind) = find_item("refuse", &mut kind, |kind| context.has_kind(kind)) {
        return refuse(
            &["this account may not use statements of the kind ", kind],
            "reach the goal with other statements, or tell the user that it needs more rights",
        );
    }
    let changes = ["update", "delete"]
        .into_iter()
        .any(|kind| context.has_kind(kind));
    if changes && context.flag(Field::HasWhere) != Some(true) {
        return refuse(
            &["UPDATE or DELETE without WHERE"],
            "say which rows; look at them with SELECT and the same WHERE first",
        );
    }
    let mut pattern = [0; ITEM_BYTES_MAX];
    let reads = ["select", "copy_out"]
        .into_iter()
        .any(|kind| context.has_kind(kind));
    if reads
        && context.flag(Field::HasLimit) != Some(true)
        && let Some(pattern) = find_item("limit_tables", &mut pattern, |pattern| {
            context.tables().any(|table| names(pattern, table))
        })
    {
        return refuse(
            &["reading ", pattern, " needs a LIMIT"],
            "add LIMIT with a number to the outermost SELECT, also where it only counts",
        );
    }
    if is_read_only() && !context.changes_nothing() {
        return refuse(
            &["this account may only read"],
            "use SELECT, and no function that may write",
        );
    }
    Verdict::next()
}

fn refuse(message: &[&str], hint: &str) -> Verdict {
    Deny::new(message).code(CODE).hint(&[hint]).into()
}

fn is_read_only() -> bool {
    let mut buffer = [0; 8];
    host::config("read_only", &mut buffer) == Some("true")
}

/// The first text of a list of the configuration that fits.
fn find_item<'a>(
    list: &str,
    buffer: &'a mut [u8; ITEM_BYTES_MAX],
    fits: impl Fn(&str) -> bool,
) -> Option<&'a str> {
    let index = (0..ITEMS_MAX)
        .map_while(|index| {
            let mut item = [0; ITEM_BYTES_MAX];
            Some((index, item_of(list, index, &mut item).map(&fits)?))
        })
        .find_map(|(index, fits)| fits.then_some(index))?;
    item_of(list, index, buffer)
}

fn item_of<'a>(list: &str, index: u64, buffer: &'a mut [u8; ITEM_BYTES_MAX]) -> Option<&'a str> {
    let mut path = Text::<64>::of(&[list, "."]);
    path.push_decimal(index);
    host::config(path.whole()?, buffer)
}

/// Whether a glob of `name` or `schema.name` means a table. A schema that the statement does not write may be any.
fn names(pattern: &str, table: Name<'_>) -> bool {
    match pattern.split_once('.') {
        Some((schema, name)) => {
            is_like(name, table.name) && table.schema.is_none_or(|known| is_like(schema, known))
        }
        None => is_like(pattern, table.name),
    }
}

/// `*` is any run of characters, `?` one.
fn is_like(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    let mut star = None;
    loop {
        let (mut next_pattern, mut next_text) = (pattern.clone(), text.clone());
        match (next_pattern.next(), next_text.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                star = Some((next_pattern.clone(), text.clone()));
                pattern = next_pattern;
            }
            (Some(wanted), Some(found)) if wanted == '?' || wanted == found => {
                (pattern, text) = (next_pattern, next_text);
            }
            _ => {
                // The star takes one character more.
                let Some((after, from)) = &mut star else {
                    return false;
                };
                if from.next().is_none() {
                    return false;
                }
                (pattern, text) = (after.clone(), from.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests;
