//! How canonical values are shown: short, and as near to what the operator writes as they allow.

use std::borrow::Cow;

/// Characters of a value.
const VALUE_CHARS_MAX: usize = 60;

/// A name as it stands in a path: quoted where it would be taken for something else.
pub(super) fn plain_name(name: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if name.chars().all(plain) {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(format!("{name:?}"))
    }
}

/// A canonical value: an absent one is `none`, a word of a closed list is written as in the policy, and a long one is cut.
pub(super) fn shown(value: &str) -> String {
    if matches!(value, "None" | "none" | "") {
        return "none".to_owned();
    }
    if let Some(inner) = value
        .strip_prefix("Some(")
        .and_then(|rest| rest.strip_suffix(')'))
    {
        return shown(inner);
    }
    if value.starts_with(|c: char| c.is_ascii_uppercase())
        && value.chars().all(|c| c.is_ascii_alphabetic())
    {
        return snake(value);
    }
    cut(value)
}

/// The beginning, where the whole is too long for a line.
pub(super) fn cut(value: &str) -> String {
    if value.chars().count() <= VALUE_CHARS_MAX {
        return value.to_owned();
    }
    let short: String = value.chars().take(VALUE_CHARS_MAX).collect();
    format!("{short}..")
}

/// `AsWrite` is written `as_write`.
fn snake(word: &str) -> String {
    let mut text = String::new();
    for c in word.chars() {
        if c.is_ascii_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(c.to_ascii_lowercase());
    }
    text
}

/// Names in backticks: `` `a`, `b` ``.
pub(super) fn ticked<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}
