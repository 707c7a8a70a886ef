//! What a record says, as JSON that fits into a line of the log. Owns no link and no hash.

use crate::RECORD_BYTES_MAX;
use pgwarden_guest::Context;
use pgwarden_guest::Field;
use pgwarden_guest::Text;
use pgwarden_guest::host;

/// Bytes that `{"chain":N,"seq":N` takes at most.
const HEAD_BYTES_MAX: usize = 60;
const BODY_BYTES_MAX: usize = RECORD_BYTES_MAX - HEAD_BYTES_MAX;
/// Bytes of a user or database as JSON; a longer one is cut, with `…` at its end.
const NAME_BYTES_MAX: usize = 130;
/// Bytes of a table, with its schema, as JSON; a longer one is counted and not named.
const TABLE_BYTES_MAX: usize = 260;
/// Bytes of `],"more_tables":N}`.
const END_BYTES_MAX: usize = 40;

pub(crate) type Body = Text<BODY_BYTES_MAX>;

/// The record after its number: `,"time":..}`.
pub(crate) fn body(context: &Context<'_>, event: &str) -> Body {
    let mut body = Body::of(&[",\"time\":"]);
    body.push_decimal(host::now().max(0) as u64);
    body.push(",\"event\":\"");
    body.push(event);
    body.push("\",\"session\":\"");
    context
        .bytes(Field::ClientId)
        .unwrap_or_default()
        .iter()
        .for_each(|byte| hex(&mut body, u64::from(*byte), 2));
    body.push("\",\"user\":");
    name(&mut body, context.user());
    body.push(",\"database\":");
    name(&mut body, context.text(Field::Database).unwrap_or_default());
    if event == "statement" {
        statement(&mut body, context);
    }
    body.push("}");
    body
}

fn statement(body: &mut Body, context: &Context<'_>) {
    body.push(",\"fingerprint\":\"");
    hex(body, context.number(Field::Fingerprint).unwrap_or(0), 16);
    body.push("\",\"kinds\":[");
    for (index, kind) in context.kinds().flatten().enumerate() {
        body.push(if index == 0 { "\"" } else { ",\"" });
        body.push(kind);
        body.push("\"");
    }
    let success = context.flag(Field::Success) == Some(true);
    body.push(if success {
        "],\"success\":true"
    } else {
        "],\"success\":false"
    });
    if let Some(code) = context.text(Field::Code) {
        body.push(",\"code\":");
        name(body, code);
    }
    body.push(",\"rows\":");
    body.push_decimal(context.number(Field::ResultRows).unwrap_or(0));
    tables(body, context);
}

fn tables(body: &mut Body, context: &Context<'_>) {
    body.push(",\"tables\":[");
    let (mut named, mut more) = (0, 0);
    for table in context.tables() {
        let mut text = Text::<TABLE_BYTES_MAX>::of(&[if named == 0 { "\"" } else { ",\"" }]);
        if let Some(schema) = table.schema {
            escape(&mut text, schema);
            text.push(".");
        }
        escape(&mut text, table.name);
        text.push("\"");
        match text.whole() {
            Some(text) if text.len() + END_BYTES_MAX <= body.room() => {
                body.push(text);
                named += 1;
            }
            _ => more += 1,
        }
    }
    body.push("]");
    if more != 0 {
        body.push(",\"more_tables\":");
        body.push_decimal(more);
    }
}

/// A name as a JSON string.
fn name(body: &mut Body, name: &str) {
    let mut text = Text::<NAME_BYTES_MAX>::default();
    let mut cut = "";
    for (at, letter) in name.char_indices() {
        // A letter takes six bytes at most, the mark three.
        if text.room() < 6 + 3 {
            cut = "…";
            break;
        }
        escape(&mut text, &name[at..at + letter.len_utf8()]);
    }
    text.push(cut);
    body.push("\"");
    body.push(text.whole().unwrap_or_default());
    body.push("\"");
}

/// JSON's escapes. The host blanks control characters in a log line; hashed is what is logged, so none may be left.
fn escape<const BYTES: usize>(text: &mut Text<BYTES>, raw: &str) {
    for (at, letter) in raw.char_indices() {
        if letter == '"' || letter == '\\' {
            text.push("\\");
        }
        if letter.is_control() {
            text.push("\\u");
            hex(text, u64::from(u32::from(letter)), 4);
        } else {
            text.push(&raw[at..at + letter.len_utf8()]);
        }
    }
}

/// The last `digits` hexadecimal digits of a number.
fn hex<const BYTES: usize>(text: &mut Text<BYTES>, number: u64, digits: u32) {
    const DIGITS: &str = "0123456789abcdef";
    for place in (0..digits).rev() {
        let digit = (number >> (4 * place) & 15) as usize;
        text.push(&DIGITS[digit..=digit]);
    }
}
