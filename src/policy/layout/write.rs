//! How an arranged file looks: columns, blanks, brackets, lines. Owns no order.

use super::arrange::Block;
use super::arrange::Group;
use super::arrange::Page;
use super::arrange::Remarks;
use super::read::Item;
use super::read::Items;
use super::read::Value;

/// A list that would be wider is broken into lines.
const COLUMNS_MAX: usize = 120;

/// Where comments behind something stand, if it is not longer.
const NOTE_COLUMN: usize = 46;

const INDENT: usize = 2;

/// The text of a file.
pub(super) fn page(page: &Page<'_>) -> String {
    let mut text = String::new();
    remarks(&mut text, &page.head);
    groups(&mut text, &page.root);
    for section in &page.sections {
        if !section.lead.is_empty() {
            apart(&mut text);
            remarks(&mut text, &section.lead);
        }
        let mut before: Option<&Block<'_>> = None;
        for (number, block) in section.blocks.iter().enumerate() {
            // The lead of a section says itself how far it is from what follows.
            let is_led = number == 0 && !section.lead.is_empty();
            if !is_led && !before.is_some_and(|before| touch(before, block)) {
                apart(&mut text);
            }
            table(&mut text, block);
            before = Some(block);
        }
    }
    if page.tail.iter().any(Option::is_some) {
        apart(&mut text);
        remarks(&mut text, &page.tail);
    }
    let end = text.trim_end_matches('\n').len();
    text.truncate(end);
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

/// Tables without keys may stand close: `[role.a]`, `[role.b]`.
fn touch(before: &Block<'_>, block: &Block<'_>) -> bool {
    let is_empty = before.groups.is_empty() && block.lead.is_empty() && block.is_joined;
    is_empty && before.header.path.first() == block.header.path.first()
}

fn table(text: &mut String, block: &Block<'_>) {
    remarks(text, &block.lead);
    text.push_str(&block.header.text);
    note(text, block.header.note);
    text.push('\n');
    groups(text, &block.groups);
}

/// One blank line, unless nothing stands above it.
fn apart(text: &mut String) {
    if !text.is_empty() && !text.ends_with("\n\n") {
        text.push('\n');
    }
}

fn remarks(text: &mut String, remarks: &Remarks<'_>) {
    for remark in remarks {
        match remark {
            Some(comment) => comments(text, &[comment], 0),
            None => apart(text),
        }
    }
}

fn comments(text: &mut String, comments: &[&str], indent: usize) {
    for comment in comments {
        text.push_str(&format!("{:indent$}{comment}\n", ""));
    }
}

fn groups(text: &mut String, groups: &[Group<'_>]) {
    for (number, group) in groups.iter().enumerate() {
        if number != 0 {
            apart(text);
        }
        let keys = group.entries.iter();
        let wide = keys.map(|entry| width(&entry.pair.key)).max().unwrap_or(0);
        for entry in &group.entries {
            comments(text, &entry.above, 0);
            text.push_str(&format!("{:wide$} = ", entry.pair.key));
            value(text, &entry.pair.value, 0);
            note(text, entry.pair.note);
            text.push('\n');
        }
        comments(text, &group.below, 0);
    }
}

/// A comment behind what was written last.
fn note(text: &mut String, note: Option<&str>) {
    if let Some(comment) = note {
        let column = column(text);
        let blanks = NOTE_COLUMN.saturating_sub(column).max(2);
        text.push_str(&format!("{:blanks$}{comment}", ""));
    }
}

/// Characters of the last line so far.
fn column(text: &str) -> usize {
    width(text.rsplit('\n').next().unwrap_or_default())
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// A value at the end of the text; `indent` is that of the line it begins on.
fn value(text: &mut String, of: &Value<'_>, indent: usize) {
    match of {
        Value::Plain(raw) => text.push_str(raw),
        Value::List(items) => match flat(of).filter(|flat| fits(text, flat)) {
            Some(flat) if !items.apart || items.items.is_empty() => text.push_str(&flat),
            _ => broken(text, items, ["[", "]"], indent),
        },
        Value::Table(items) => match flat(of) {
            // A table on one line is TOML of every version, one on several lines is not: those that are not, stay so.
            Some(flat) if !items.apart || fits(text, &flat) => text.push_str(&flat),
            Some(_) => broken(text, items, ["{", "}"], indent),
            None if has_comments(items) => broken(text, items, ["{", "}"], indent),
            None => {
                text.push_str("{ ");
                for (number, of) in items.items.iter().enumerate() {
                    text.push_str(if number == 0 { "" } else { ", " });
                    item(text, of, indent);
                }
                text.push_str(" }");
            }
        },
    }
}

fn fits(text: &str, flat: &str) -> bool {
    let first = flat.split('\n').next().unwrap_or_default();
    column(text) + width(first) <= COLUMNS_MAX
}

/// On one line; `None` where something within wants lines of its own.
fn flat(of: &Value<'_>) -> Option<String> {
    let (items, open, close) = match of {
        Value::Plain(raw) => return Some((*raw).to_owned()),
        Value::List(items) => (items, "[", "]"),
        Value::Table(items) if items.items.is_empty() => (items, "{", "}"),
        Value::Table(items) => (items, "{ ", " }"),
    };
    if has_comments(items) {
        return None;
    }
    let item = |of: &Item<'_>| {
        let is_broken = matches!(&of.value, Value::List(of) if of.apart && !of.items.is_empty());
        let value = flat(&of.value).filter(|_| !is_broken)?;
        Some(match &of.key {
            Some(key) => format!("{key} = {value}"),
            None => value,
        })
    };
    let items: Option<Vec<String>> = items.items.iter().map(item).collect();
    Some(format!("{open}{}{close}", items?.join(", ")))
}

fn has_comments(items: &Items<'_>) -> bool {
    let mut all = items.items.iter();
    !items.rest.is_empty() || all.any(|item| !item.above.is_empty() || item.note.is_some())
}

/// One item a line.
fn broken(text: &mut String, items: &Items<'_>, [open, close]: [&str; 2], indent: usize) {
    let inner = indent + INDENT;
    text.push_str(open);
    text.push('\n');
    for of in &items.items {
        comments(text, &of.above, inner);
        text.push_str(&" ".repeat(inner));
        item(text, of, inner);
        text.push(',');
        note(text, of.note);
        text.push('\n');
    }
    comments(text, &items.rest, inner);
    text.push_str(&" ".repeat(indent));
    text.push_str(close);
}

fn item(text: &mut String, item: &Item<'_>, indent: usize) {
    if let Some(key) = &item.key {
        text.push_str(&format!("{key} = "));
    }
    value(text, &item.value, indent);
}
