//! What a plugin of heliosdb-proxy is told, as JSON. Everything comes out of the frame, which holds only what `see` grants: the rest
//! is empty or null, as the shape demands. Owns the shapes; the proxy they were made for leaves most of them empty.

use super::super::super::Attribute;
use super::super::super::Fault;
use crate::hook::Hook;
use crate::hook::abi::Field;
use crate::hook::abi::FieldType;
use crate::hook::abi::Fields;
use crate::hook::abi::Frame;
use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The fields of the shapes below.
const SHAPES: [Field; 25] = [
    Field::UserName,
    Field::UserId,
    Field::UserRoles,
    Field::UserTenant,
    Field::UserClaims,
    Field::RequestId,
    Field::ClientId,
    Field::Database,
    Field::Branch,
    Field::Client,
    Field::ReadOnly,
    Field::Tables,
    Field::Text,
    Field::Normalized,
    Field::Success,
    Field::Node,
    Field::ElapsedUs,
    Field::ResultBytes,
    Field::Code,
    Field::Error,
    Field::AuthUsername,
    Field::AuthHeaders,
    Field::AuthPassword,
    Field::EventName,
    Field::EventPayload,
];

/// What the input is made from.
pub(super) fn fields(attributes: &[Attribute]) -> Fields {
    let of_attributes = attributes.iter().map(|attribute| attribute.field);
    SHAPES.into_iter().chain(of_attributes).collect()
}

#[derive(Serialize)]
struct Identity<'a> {
    user_id: Option<&'a str>,
    username: &'a str,
    roles: Vec<&'a str>,
    tenant_id: Option<&'a str>,
    claims: BTreeMap<&'a str, &'a str>,
}

#[derive(Serialize)]
struct HookContext<'a> {
    request_id: String,
    client_id: String,
    identity: Option<Identity<'a>>,
    database: &'a str,
    branch: Option<&'a str>,
    attributes: BTreeMap<&'a str, Cow<'a, str>>,
}

#[derive(Serialize)]
struct Query<'a> {
    query: &'a str,
    normalized: &'a str,
    tables: Vec<Cow<'a, str>>,
    is_read_only: bool,
    hook_context: HookContext<'a>,
}

#[derive(Serialize)]
struct Outcome<'a> {
    success: bool,
    target_node: Option<&'a str>,
    elapsed_us: u64,
    response_bytes: u64,
    error: Option<&'a str>,
}

#[derive(Serialize)]
struct Login<'a> {
    headers: BTreeMap<&'a str, &'a str>,
    username: &'a str,
    password: Option<&'a str>,
    client_ip: String,
    database: &'a str,
}

#[derive(Serialize)]
struct Event<'a> {
    name: &'a str,
    payload: &'a str,
    hook_context: HookContext<'a>,
}

/// Writes the input of a hook in place of what was there.
pub(super) fn write(
    out: &mut Vec<u8>,
    hook: Hook,
    frame: &Frame,
    attributes: &[Attribute],
) -> Result<(), Fault> {
    out.clear();
    let context = || context(frame, attributes);
    let written = if hook.has_outcome() {
        serde_json::to_writer(out, &(query(frame, context()), outcome(frame)))
    } else if hook.has_statement() {
        serde_json::to_writer(out, &query(frame, context()))
    } else if hook == Hook::Authenticate {
        serde_json::to_writer(out, &login(frame))
    } else if hook == Hook::Custom {
        let event = Event {
            name: text(frame, Field::EventName),
            payload: text(frame, Field::EventPayload),
            hook_context: context(),
        };
        serde_json::to_writer(out, &event)
    } else {
        serde_json::to_writer(out, &context())
    };
    written.map_err(|_| Fault::Internal("an input that JSON does not have"))
}

fn context<'a>(frame: &'a Frame, attributes: &'a [Attribute]) -> HookContext<'a> {
    let attributes = attributes
        .iter()
        .filter_map(|attribute| Some((&*attribute.name, value(frame, attribute)?)));
    HookContext {
        request_id: id(frame, Field::RequestId),
        client_id: id(frame, Field::ClientId),
        identity: identity(frame),
        database: text(frame, Field::Database),
        branch: frame.text(Field::Branch),
        attributes: attributes.collect(),
    }
}

fn identity(frame: &Frame) -> Option<Identity<'_>> {
    Some(Identity {
        user_id: frame.text(Field::UserId),
        username: frame.text(Field::UserName)?,
        roles: texts(frame, Field::UserRoles),
        tenant_id: frame.text(Field::UserTenant),
        claims: pairs(frame, Field::UserClaims).collect(),
    })
}

fn query<'a>(frame: &'a Frame, hook_context: HookContext<'a>) -> Query<'a> {
    Query {
        query: text(frame, Field::Text),
        normalized: text(frame, Field::Normalized),
        tables: names(frame, Field::Tables),
        is_read_only: frame.flag(Field::ReadOnly).unwrap_or_default(),
        hook_context,
    }
}

fn outcome(frame: &Frame) -> Outcome<'_> {
    Outcome {
        success: frame.flag(Field::Success).unwrap_or_default(),
        target_node: frame.text(Field::Node),
        elapsed_us: frame.number(Field::ElapsedUs).unwrap_or_default(),
        response_bytes: frame.number(Field::ResultBytes).unwrap_or_default(),
        // The message may quote data; that there was an error is told where only the summary is granted, too.
        error: frame.text(Field::Error).or_else(|| frame.text(Field::Code)),
    }
}

fn login(frame: &Frame) -> Login<'_> {
    Login {
        headers: pairs(frame, Field::AuthHeaders).collect(),
        username: text(frame, Field::AuthUsername),
        password: frame.text(Field::AuthPassword),
        client_ip: address(frame, Field::Client).unwrap_or_default(),
        database: text(frame, Field::Database),
    }
}

/// An attribute's value as text; `None` where it has none.
fn value<'a>(frame: &'a Frame, attribute: &Attribute) -> Option<Cow<'a, str>> {
    let field = attribute.field;
    let value: String = match field.row().of {
        FieldType::Text | FieldType::Large => return frame.text(field).map(Cow::Borrowed),
        FieldType::Number if field == Field::Fingerprint => {
            format!("{:016x}", frame.number(field)?)
        }
        FieldType::Number => frame.number(field)?.to_string(),
        FieldType::Flag => frame.flag(field)?.to_string(),
        FieldType::Uuid => frame.uuid(field)?.to_string(),
        FieldType::Address => address(frame, field)?,
        FieldType::Texts => frame.content(field).map(|_| texts(frame, field))?.join(","),
        FieldType::Names => frame.content(field).map(|_| names(frame, field))?.join(","),
        FieldType::Pairs => {
            let wanted = attribute.key.as_deref()?;
            let (_, value) = pairs(frame, field).find(|(key, _)| *key == wanted)?;
            return Some(Cow::Borrowed(value));
        }
    };
    Some(Cow::Owned(value))
}

fn text(frame: &Frame, field: Field) -> &str {
    frame.text(field).unwrap_or_default()
}

fn id(frame: &Frame, field: Field) -> String {
    frame
        .uuid(field)
        .map(|id| id.to_string())
        .unwrap_or_default()
}

/// Of a Unix socket, nothing.
fn address(frame: &Frame, field: Field) -> Option<String> {
    Some(frame.address(field)??.to_string())
}

fn texts(frame: &Frame, field: Field) -> Vec<&str> {
    frame.items(field).into_iter().flatten().flatten().collect()
}

fn pairs(frame: &Frame, field: Field) -> impl Iterator<Item = (&str, &str)> {
    let mut items = frame.items(field).into_iter().flatten().flatten();
    std::iter::from_fn(move || Some((items.next()?, items.next()?)))
}

/// Names as they are written in SQL: `orders`, `audit.orders`.
fn names(frame: &Frame, field: Field) -> Vec<Cow<'_, str>> {
    let mut items = frame.items(field).into_iter().flatten();
    let names = std::iter::from_fn(move || {
        let (schema, name) = (items.next()?, items.next()??);
        Some(match schema {
            Some(schema) => Cow::Owned(format!("{schema}.{name}")),
            None => Cow::Borrowed(name),
        })
    });
    names.collect()
}
