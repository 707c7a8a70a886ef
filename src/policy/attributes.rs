//! `attributes` of a stage: what a plugin of another system is told beside the fields of its ABI, and by which name.
//! Owns no value: which field an attribute stands for is settled here, its text is made by the sandbox.

use super::code;
use super::document::Value;
use super::document::Word;
use super::plugin::Plugin;
use super::reading::Table;
use super::report::Diagnostic;
use super::suggest::nearest;
use crate::hook::Hook;
use crate::hook::abi::Field;
use crate::hook::abi::FieldType;
use crate::sandbox::Abi;
use crate::sandbox::Attribute;
use crate::sandbox::Grants;
use crate::sandbox::See;
use std::sync::Arc;

/// Reads them. What is wrong with one is reported; the others are still read.
pub(super) fn read(
    table: &Table<'_, '_>,
    hooks: &[Hook],
    grants: Option<&Grants>,
    plugin: Option<&Plugin>,
) -> Vec<Attribute> {
    let Some(entry) = table.entry("attributes") else {
        return Vec::new();
    };
    let Value::Table(entries) = &entry.word.value else {
        let expected = "a table such as { tenant_id = \"user.tenant\" }";
        table.reading.wrong_type(&entry.word, expected);
        return Vec::new();
    };
    // With a plugin that is not sound, whether this fits it is not known.
    let unheard = match plugin {
        Some(plugin) => plugin.abi != Abi::Helios1,
        None => !table.has("plugin"),
    };
    if unheard {
        let message =
            "`attributes` has no effect: this stage asks no plugin with `abi = \"helios-1\"`";
        let found = Diagnostic::error(code::NO_EFFECT, entry.key_at, message);
        table
            .reading
            .add(found.help("scripts and plugins of ours read the fields themselves"));
    }
    if !hooks.is_empty() && hooks.iter().all(|hook| *hook == Hook::Authenticate) {
        let message = "`attributes` has no effect: `helios-1` has none at `authenticate`";
        table.reading.error(code::NO_EFFECT, entry.key_at, message);
    }
    let attributes = entries.iter().filter_map(|entry| {
        let (field, key) = path(table, &entry.word)?;
        fits(table, &entry.word, field, hooks, grants);
        Some(Attribute {
            name: entry.key.as_str().into(),
            field,
            key,
        })
    });
    attributes.collect()
}

/// `user.tenant`, or `user.claims.region` of what is pairs.
fn path(table: &Table<'_, '_>, word: &Word) -> Option<(Field, Option<Arc<str>>)> {
    let spot = table.reading.text(word)?;
    let mut parts = spot.value.splitn(3, '.');
    let (variable, name, key) = (
        parts.next()?,
        parts.next().unwrap_or_default(),
        parts.next(),
    );
    let Some(field) = Field::by_name(variable, name) else {
        let message = format!("no field `{}`", spot.value);
        let found = Diagnostic::error(code::UNKNOWN_NAME, spot.at, message);
        let names: Vec<String> = Field::all()
            .map(|row| format!("{}.{}", row.variable, row.name))
            .collect();
        let known = nearest(
            &format!("{variable}.{name}"),
            names.iter().map(String::as_str),
        );
        table.reading.add(match known {
            Some(known) => found.label(format!("did you mean `{known}`?")),
            None => found.help("the fields are those of scripts, as in `user.tenant`"),
        });
        return None;
    };
    let is_pairs = field.row().of == FieldType::Pairs;
    match key.filter(|key| !key.is_empty()) {
        Some(key) if is_pairs => Some((field, Some(key.into()))),
        None if !is_pairs && key.is_none() => Some((field, None)),
        _ => {
            let (message, label) = if is_pairs {
                let label = format!("write `{variable}.{name}.NAME`");
                (format!("`{variable}.{name}` holds several values"), label)
            } else {
                let label = format!("write `{variable}.{name}`");
                (format!("`{variable}.{name}` is one value"), label)
            };
            let found = Diagnostic::error(code::BAD_VALUE, spot.at, message);
            table.reading.add(found.label(label));
            None
        }
    }
}

/// Reports a field that the stage may not see, or that none of its moments has.
fn fits(table: &Table<'_, '_>, word: &Word, field: Field, hooks: &[Hook], grants: Option<&Grants>) {
    let (variable, name) = (field.row().variable, field.row().name);
    let needed = See::needed_for(field);
    let denied = needed.filter(|see| grants.is_some_and(|grants| !grants.may_see(*see)));
    if let Some(see) = denied {
        let message = format!("`{variable}.{name}` is not visible to this stage");
        let found = Diagnostic::error(code::NOT_GRANTED, word.at, message);
        table
            .reading
            .add(found.label(format!("needs `{}` in `see`", see.name())));
    }
    if !hooks.is_empty() && !hooks.iter().any(|hook| field.is_at(*hook)) {
        let hooks: Vec<String> = hooks.iter().map(|hook| format!("`{hook}`")).collect();
        let message = format!("`{variable}` does not exist at {}", hooks.join(", "));
        table.reading.error(code::VALUE_AT_HOOK, word.at, message);
    }
}

/// Warns where a plugin made for heliosdb-proxy is shown no text at all.
pub(super) fn without_text(
    table: &Table<'_, '_>,
    hooks: &[Hook],
    grants: &Grants,
    plugin: &Plugin,
) {
    let is_shown = grants.may_see(See::SqlText) || grants.may_see(See::SqlNormalized);
    if plugin.abi != Abi::Helios1 || is_shown || !hooks.iter().any(|hook| hook.has_statement()) {
        return;
    }
    let message = format!("plugin `{}` is told an empty `query`", plugin.name);
    let found = Diagnostic::warning(code::NO_TEXT, table.value_at("plugin"), message);
    let help = "plugins made for heliosdb-proxy usually look at the text: grant `sql.text` (or `sql.normalized`) in `see`";
    table.reading.add(found.help(help));
}

/// `tenant_id = user.tenant`.
pub(super) fn shown(attribute: &Attribute) -> String {
    let row = attribute.field.row();
    let key = attribute.key.as_deref();
    let key = key.map(|key| format!(".{key}")).unwrap_or_default();
    format!("{} = {}.{}{key}", attribute.name, row.variable, row.name)
}
