//! Writes the input frame of `pgwarden-1` from an `Input`, and reads its fields back for host functions and scripts.
//! Owns the layout only; a field that is not in the given set is left out entirely.

use super::ENTRY_BYTES;
use super::Field;
use super::FieldType;
use super::Fields;
use super::HEADER_BYTES;
use super::INPUT_MAGIC;
use super::MINOR;
use super::NO_VALUE;
use crate::hook::ClientAddress;
use crate::hook::Input;
use crate::statement::Kind;
use crate::statement::KindSet;
use crate::statement::Name;
use std::net::IpAddr;

/// Where a field's bytes lie.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    len: u32,
}

/// The kinds of which `sql.kind` is the first that the statement contains: what a rule about one kind must not miss.
const CONSEQUENTIAL: [Kind; 21] = [
    Kind::Unparsed,
    Kind::CopyProgram,
    Kind::Do,
    Kind::Call,
    Kind::Grant,
    Kind::Ddl,
    Kind::Merge,
    Kind::Delete,
    Kind::Update,
    Kind::Insert,
    Kind::CopyIn,
    Kind::CopyOut,
    Kind::Execute,
    Kind::Set,
    Kind::Listen,
    Kind::Tx,
    Kind::Other,
    Kind::Select,
    Kind::Show,
    Kind::Prepare,
    Kind::Explain,
];

/// One encoded input. Reused from call to call so that encoding allocates nothing once it is warm.
#[derive(Debug)]
pub struct Frame {
    bytes: Vec<u8>,
    large: Vec<u8>,
    /// The fields that are there; only their spans mean anything.
    present: Fields,
    spans: [Span; Field::COUNT],
}

impl Default for Frame {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            large: Vec::new(),
            present: Fields::NONE,
            spans: [Span { start: 0, len: 0 }; Field::COUNT],
        }
    }
}

impl Frame {
    /// Encodes what of `input` is in `fields`, in place of what was here.
    pub fn encode(&mut self, input: &Input<'_>, fields: Fields) {
        self.clear();
        let entries = HEADER_BYTES + fields.len() * ENTRY_BYTES;
        self.bytes.resize(entries, 0);
        let mut count: u16 = 0;
        for field in fields.iter() {
            let row = field.row();
            let large = row.of == FieldType::Large;
            let out = if large {
                &mut self.large
            } else {
                &mut self.bytes
            };
            let start = out.len();
            if !write_field(field, input, out) {
                continue;
            }
            // Frames are bounded by `input_bytes_max`, far below 4 GiB.
            let span = Span {
                start: narrow(start),
                len: narrow(out.len() - start),
            };
            self.spans[field as usize] = span;
            self.present.insert(field);
            let at = HEADER_BYTES + usize::from(count) * ENTRY_BYTES;
            let offset = if large { 0 } else { span.start };
            let entry = &mut self.bytes[at..at + ENTRY_BYTES];
            entry[0..2].copy_from_slice(&row.id.to_le_bytes());
            entry[2..4].copy_from_slice(&(row.of as u16).to_le_bytes());
            entry[4..8].copy_from_slice(&offset.to_le_bytes());
            entry[8..12].copy_from_slice(&span.len.to_le_bytes());
            count += 1;
        }
        self.bytes[0..4].copy_from_slice(&INPUT_MAGIC);
        self.bytes[4..6].copy_from_slice(&MINOR.to_le_bytes());
        self.bytes[6..8].copy_from_slice(&(input.hook as u16).to_le_bytes());
        self.bytes[8..10].copy_from_slice(&count.to_le_bytes());
    }

    /// Forgets the last input; a password is also wiped.
    pub fn clear(&mut self) {
        if self.present.contains(Field::AuthPassword) {
            self.bytes.fill(0);
        }
        self.bytes.clear();
        self.large.clear();
        self.present = Fields::NONE;
    }

    /// The frame as a guest gets it.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes of the frame and of the large fields behind it.
    #[must_use]
    pub fn total_bytes(&self) -> usize {
        self.bytes.len() + self.large.len()
    }

    /// A field's bytes; `None` where it is missing or was not in the set.
    #[must_use]
    pub fn content(&self, field: Field) -> Option<&[u8]> {
        if !self.present.contains(field) {
            return None;
        }
        let span = self.spans[field as usize];
        let source = if field.row().of == FieldType::Large {
            &self.large
        } else {
            &self.bytes
        };
        let start = span.start as usize;
        source.get(start..start.checked_add(span.len as usize)?)
    }

    /// A text field's value.
    #[must_use]
    pub fn text(&self, field: Field) -> Option<&str> {
        std::str::from_utf8(self.content(field)?).ok()
    }

    /// A number field's value.
    #[must_use]
    pub fn number(&self, field: Field) -> Option<u64> {
        Some(u64::from_le_bytes(self.content(field)?.try_into().ok()?))
    }

    /// A flag field's value.
    #[must_use]
    pub fn flag(&self, field: Field) -> Option<bool> {
        Some(self.content(field)? != [0])
    }

    /// The items of a list field: every length-prefixed text in it, `None` for "no value".
    pub fn items(&self, field: Field) -> Option<impl Iterator<Item = Option<&str>>> {
        let mut rest = self.content(field)?;
        Some(std::iter::from_fn(move || {
            let (len, after) = rest.split_first_chunk::<4>()?;
            let len = u32::from_le_bytes(*len);
            if len == NO_VALUE {
                rest = after;
                return Some(None);
            }
            let (item, after) = after.split_at_checked(len as usize)?;
            rest = after;
            std::str::from_utf8(item).ok().map(Some)
        }))
    }
}

fn narrow(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX - 1)
}

/// Appends a field's bytes; `false` where it has no value.
fn write_field(field: Field, input: &Input<'_>, out: &mut Vec<u8>) -> bool {
    let row = field.row();
    match row.variable {
        "user" | "session" => write_session(field, input, out),
        "sql" => write_statement(field, input, out),
        "result" => write_outcome(field, input, out),
        _ => write_request(field, input, out),
    }
    .is_some()
}

fn write_session(field: Field, input: &Input<'_>, out: &mut Vec<u8>) -> Option<()> {
    let session = input.session;
    let identity = &session.identity;
    match field {
        Field::UserName => text(out, &identity.user),
        Field::UserId => text(out, identity.user_id.as_deref()?),
        Field::UserRoles => identity.roles.iter().for_each(|role| item(out, role)),
        Field::UserTenant => text(out, identity.tenant.as_deref()?),
        Field::UserClaims => {
            for (key, value) in &identity.claims {
                item(out, key);
                item(out, value);
            }
        }
        Field::UserAttributes => {
            let learned = session.learned.iter();
            let learned = learned.filter(|(key, _)| !session.attributes.contains_key(*key));
            for (key, value) in session.attributes.iter().chain(learned) {
                item(out, key);
                item(out, value);
            }
        }
        Field::RequestId => out.extend_from_slice(input.request_id.as_bytes()),
        Field::ClientId => out.extend_from_slice(session.client_id.as_bytes()),
        Field::Database => text(out, &session.database),
        Field::Branch => text(out, session.branch.as_deref()?),
        Field::App => text(out, &session.app),
        Field::Client => match session.client {
            ClientAddress::Ip(IpAddr::V4(address), _) => out.extend_from_slice(&address.octets()),
            ClientAddress::Ip(IpAddr::V6(address), _) => out.extend_from_slice(&address.octets()),
            ClientAddress::Unix => {}
        },
        Field::Tls => flag(out, session.tls),
        Field::Listener => text(out, &session.listener),
        Field::AuthMethod => text(out, session.auth_method.name()),
        Field::InTransaction => flag(out, input.statement?.in_transaction),
        Field::TxWrites => flag(out, input.statement?.tx_writes),
        Field::Protocol => text(out, input.statement?.protocol.name()),
        Field::StatementCount => number(out, u64::from(input.statement?.statement_count)),
        _ => return None,
    }
    Some(())
}

fn write_statement(field: Field, input: &Input<'_>, out: &mut Vec<u8>) -> Option<()> {
    let statement = input.statement?;
    let facts = statement.facts;
    match field {
        Field::Kind => text(out, most_consequential(facts.kinds).name()),
        Field::Kinds => {
            for kind in Kind::all().filter(|kind| facts.kinds.contains(*kind)) {
                item(out, kind.name());
            }
        }
        Field::ReadOnly => flag(out, facts.read_only),
        Field::HasWhere => flag(out, facts.has_where),
        Field::HasLimit => flag(out, facts.has_limit),
        Field::HasCte => flag(out, facts.has_cte),
        Field::ParamCount => number(out, u64::from(facts.param_count)),
        Field::Bytes => number(out, facts.bytes as u64),
        Field::Fingerprint => number(out, facts.fingerprint),
        Field::Tables => names(out, &facts.relations.tables),
        Field::Functions => names(out, &facts.relations.functions),
        Field::Columns => facts
            .relations
            .columns
            .iter()
            .for_each(|column| item(out, column)),
        Field::Text => text(out, statement.text),
        Field::Normalized => text(out, &facts.normalized),
        _ => return None,
    }
    Some(())
}

fn write_outcome(field: Field, input: &Input<'_>, out: &mut Vec<u8>) -> Option<()> {
    let outcome = input.outcome?;
    match field {
        Field::Success => flag(out, outcome.success),
        Field::Node => text(out, outcome.node.as_deref()?),
        Field::ElapsedUs => number(
            out,
            u64::try_from(outcome.elapsed.as_micros()).unwrap_or(u64::MAX),
        ),
        Field::ResultRows => number(out, outcome.rows),
        Field::ResultBytes => number(out, outcome.bytes_out),
        Field::Code => text(out, outcome.code?.as_str()),
        Field::Error => text(out, outcome.error.as_deref()?),
        Field::Cached => flag(out, outcome.cached),
        _ => return None,
    }
    Some(())
}

fn write_request(field: Field, input: &Input<'_>, out: &mut Vec<u8>) -> Option<()> {
    match field {
        Field::AuthUsername => text(out, input.auth?.username),
        Field::AuthHeaders => {
            for (name, value) in input.auth?.headers {
                item(out, name);
                item(out, value);
            }
        }
        Field::AuthPassword => text(out, input.auth?.password?),
        Field::EventName => text(out, input.custom?.name),
        Field::EventPayload => text(out, input.custom?.payload),
        _ => return None,
    }
    Some(())
}

fn most_consequential(kinds: KindSet) -> Kind {
    CONSEQUENTIAL
        .into_iter()
        .find(|kind| kinds.contains(*kind))
        .unwrap_or(Kind::Other)
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

fn number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn flag(out: &mut Vec<u8>, flag: bool) {
    out.push(u8::from(flag));
}

fn item(out: &mut Vec<u8>, item: &str) {
    out.extend_from_slice(&narrow(item.len()).to_le_bytes());
    out.extend_from_slice(item.as_bytes());
}

fn names(out: &mut Vec<u8>, names: &[Name]) {
    for name in names {
        match &name.schema {
            Some(schema) => item(out, schema),
            None => out.extend_from_slice(&NO_VALUE.to_le_bytes()),
        }
        item(out, &name.name);
    }
}
