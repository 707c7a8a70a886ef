//! What a field's value is, read where it lies. Owns the one mapping from fields to what a session, a statement and an outcome
//! are: frames (`encode`) are written from it, and scripts that need no frame read it. Owns no permission: who asks says for
//! which fields.

use super::Field;
use super::Fields;
use super::NO_VALUE;
use crate::hook::ClientAddress;
use crate::hook::Input;
use crate::statement::Kind;
use crate::statement::KindSet;
use crate::statement::Name;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use uuid::Uuid;

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

/// One field's value.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// A text, small or large.
    Text(&'a str),
    /// A number.
    Number(u64),
    /// A yes or no.
    Flag(bool),
    /// An id.
    Uuid(Uuid),
    /// A client's address; none over a Unix socket.
    Address(Option<IpAddr>),
    /// More than one value.
    List(List<'a>),
}

/// Where the values of a field with many lie.
#[derive(Clone, Copy, Debug)]
pub enum List<'a> {
    /// Roles, columns.
    Texts(&'a [Arc<str>]),
    /// Kinds of the statement.
    Kinds(KindSet),
    /// Tables, functions.
    Names(&'a [Name]),
    /// Claims of the user.
    Claims(&'a BTreeMap<String, String>),
    /// Attributes, of the policy or of stages.
    Attributes(&'a BTreeMap<Arc<str>, Arc<str>>),
    /// Startup parameters.
    Headers(&'a [(String, String)]),
}

impl<'a> List<'a> {
    /// The items of a list of texts; none of any other list.
    pub fn texts(self) -> impl Iterator<Item = &'a str> {
        let (texts, kinds): (&'a [Arc<str>], KindSet) = match self {
            Self::Texts(texts) => (texts, KindSet::EMPTY),
            Self::Kinds(kinds) => (&[], kinds),
            _ => (&[], KindSet::EMPTY),
        };
        let wanted = move |kind: &Kind| kinds.contains(*kind);
        let named = |kind: Kind| -> &'a str { kind.name() };
        let kinds = (!kinds.is_empty()).then(|| Kind::all().filter(wanted).map(named));
        texts
            .iter()
            .map(|text| &**text)
            .chain(kinds.into_iter().flatten())
    }

    /// Keys and values; none of any other list.
    pub fn pairs(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let claims = match self {
            Self::Claims(claims) => Some(claims.iter().map(|(key, value)| (&**key, &**value))),
            _ => None,
        };
        let attributes = match self {
            Self::Attributes(attributes) => Some(attributes.iter()),
            _ => None,
        };
        let headers = match self {
            Self::Headers(headers) => Some(headers.iter().map(|(key, value)| (&**key, &**value))),
            _ => None,
        };
        let attributes = attributes.into_iter().flatten();
        claims
            .into_iter()
            .flatten()
            .chain(attributes.map(|(key, value)| (&**key, &**value)))
            .chain(headers.into_iter().flatten())
    }

    /// The value of a key: of headers the last of that name, as in a map of them.
    #[must_use]
    pub fn value(self, key: &str) -> Option<&'a str> {
        match self {
            Self::Claims(claims) => claims.get(key).map(String::as_str),
            Self::Attributes(attributes) => attributes.get(key).map(|value| &**value),
            Self::Headers(headers) => {
                let mut last_first = headers.iter().rev();
                last_first
                    .find(|(known, _)| known == key)
                    .map(|(_, value)| value.as_str())
            }
            Self::Texts(_) | Self::Kinds(_) | Self::Names(_) => None,
        }
    }

    /// The bytes it has in a frame.
    #[must_use]
    pub fn bytes(self) -> usize {
        let mut counter = Counter(0);
        self.write(&mut counter);
        counter.0
    }

    fn write(self, out: &mut impl Sink) {
        match self {
            Self::Texts(_) | Self::Kinds(_) => self.texts().for_each(|text| out.item(text)),
            Self::Names(names) => {
                for name in names {
                    match &name.schema {
                        Some(schema) => out.item(schema),
                        None => out.put(&NO_VALUE.to_le_bytes()),
                    }
                    out.item(&name.name);
                }
            }
            Self::Claims(_) | Self::Attributes(_) | Self::Headers(_) => {
                for (key, value) in self.pairs() {
                    out.item(key);
                    out.item(value);
                }
            }
        }
    }
}

/// Names as a field of them is encoded.
#[must_use]
pub fn encode_names(names: &[Name]) -> Vec<u8> {
    let mut out = Vec::new();
    List::Names(names).write(&mut out);
    out
}

/// Takes the bytes of a frame, or only counts them.
pub(super) trait Sink {
    fn put(&mut self, bytes: &[u8]);

    fn item(&mut self, item: &str) {
        self.put(&narrow(item.len()).to_le_bytes());
        self.put(item.as_bytes());
    }
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

struct Counter(usize);

impl Sink for Counter {
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }
}

pub(super) fn narrow(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX - 1)
}

impl<'a> Content<'a> {
    /// A field of an input; `None` where it has no value.
    #[must_use]
    pub fn read(field: Field, input: &Input<'a>) -> Option<Self> {
        // The table is sorted by variable.
        if field < Field::Kind {
            session(field, input)
        } else if field < Field::Success {
            statement(field, input)
        } else if field < Field::AuthUsername {
            outcome(field, input)
        } else {
            request(field, input)
        }
    }

    /// As text: the value of a pair by its key, everything else as it is written in a policy or a log. `None` for lists.
    #[must_use]
    pub fn written(self, field: Field, key: Option<&str>) -> Option<String> {
        Some(match (self, key) {
            (Self::List(list), Some(key)) => list.value(key)?.to_owned(),
            (Self::List(_), None) | (_, Some(_)) => return None,
            (Self::Text(text), None) => text.to_owned(),
            (Self::Number(number), None) if field == Field::Fingerprint => {
                format!("{number:016x}")
            }
            (Self::Number(number), None) => number.to_string(),
            (Self::Flag(flag), None) => flag.to_string(),
            (Self::Uuid(uuid), None) => uuid.to_string(),
            (Self::Address(Some(address)), None) => address.to_string(),
            (Self::Address(None), None) => "unix".to_owned(),
        })
    }

    /// Bytes that these fields of an input take in a frame, without its header and entries.
    #[must_use]
    pub fn total_bytes(fields: Fields, input: &Input<'a>) -> usize {
        let mut counter = Counter(0);
        for content in fields.iter().filter_map(|field| Self::read(field, input)) {
            content.write(&mut counter);
        }
        counter.0
    }

    /// The bytes it has in a frame.
    pub(super) fn write(self, out: &mut impl Sink) {
        match self {
            Self::Text(text) => out.put(text.as_bytes()),
            Self::Number(number) => out.put(&number.to_le_bytes()),
            Self::Flag(flag) => out.put(&[u8::from(flag)]),
            Self::Uuid(uuid) => out.put(uuid.as_bytes()),
            Self::Address(Some(IpAddr::V4(address))) => out.put(&address.octets()),
            Self::Address(Some(IpAddr::V6(address))) => out.put(&address.octets()),
            Self::Address(None) => {}
            Self::List(list) => list.write(out),
        }
    }
}

fn session<'a>(field: Field, input: &Input<'a>) -> Option<Content<'a>> {
    let session = input.session;
    let identity = &session.identity;
    Some(match field {
        Field::UserName => Content::Text(&identity.user),
        Field::UserId => Content::Text(identity.user_id.as_deref()?),
        Field::UserRoles => Content::List(List::Texts(&identity.roles)),
        Field::UserTenant => Content::Text(identity.tenant.as_deref()?),
        Field::UserClaims => Content::List(List::Claims(&identity.claims)),
        Field::UserAttributes => Content::List(List::Attributes(&session.attributes)),
        Field::SessionAttributes => Content::List(List::Attributes(&session.learned)),
        Field::RequestId => Content::Uuid(input.request_id),
        Field::ClientId => Content::Uuid(session.client_id),
        Field::Database => Content::Text(&session.database),
        Field::Branch => Content::Text(session.branch.as_deref()?),
        Field::App => Content::Text(&session.app),
        Field::Client => Content::Address(match session.client {
            ClientAddress::Ip(address, _) => Some(address),
            ClientAddress::Unix => None,
        }),
        Field::Tls => Content::Flag(session.tls),
        Field::Listener => Content::Text(&session.listener),
        Field::AuthMethod => Content::Text(session.auth_method.name()),
        Field::InTransaction => Content::Flag(input.statement?.in_transaction),
        Field::TxWrites => Content::Flag(input.statement?.tx_writes),
        Field::Protocol => Content::Text(input.statement?.protocol.name()),
        Field::StatementCount => Content::Number(u64::from(input.statement?.statement_count)),
        _ => return None,
    })
}

fn statement<'a>(field: Field, input: &Input<'a>) -> Option<Content<'a>> {
    let statement = input.statement?;
    let facts = statement.facts;
    Some(match field {
        Field::Kind => Content::Text(most_consequential(facts.kinds).name()),
        Field::Kinds => Content::List(List::Kinds(facts.kinds)),
        Field::ReadOnly => Content::Flag(facts.read_only),
        Field::HasWhere => Content::Flag(facts.has_where),
        Field::HasLimit => Content::Flag(facts.has_limit),
        Field::HasCte => Content::Flag(facts.has_cte),
        Field::ParamCount => Content::Number(u64::from(facts.param_count)),
        Field::Bytes => Content::Number(facts.bytes as u64),
        Field::Fingerprint => Content::Number(facts.fingerprint),
        Field::Tables => Content::List(List::Names(&facts.relations.tables)),
        Field::Functions => Content::List(List::Names(&facts.relations.functions)),
        Field::Columns => Content::List(List::Texts(&facts.relations.columns)),
        Field::Text => Content::Text(statement.text),
        Field::Normalized => Content::Text(&facts.normalized),
        _ => return None,
    })
}

fn outcome<'a>(field: Field, input: &Input<'a>) -> Option<Content<'a>> {
    let outcome = input.outcome?;
    Some(match field {
        Field::Success => Content::Flag(outcome.success),
        Field::Node => Content::Text(outcome.node.as_deref()?),
        Field::ElapsedUs => {
            Content::Number(u64::try_from(outcome.elapsed.as_micros()).unwrap_or(u64::MAX))
        }
        Field::ResultRows => Content::Number(outcome.rows),
        Field::ResultBytes => Content::Number(outcome.bytes_out),
        Field::Code => Content::Text(outcome.code.as_ref()?.as_str()),
        Field::Error => Content::Text(outcome.error.as_deref()?),
        Field::Cached => Content::Flag(outcome.cached),
        _ => return None,
    })
}

fn request<'a>(field: Field, input: &Input<'a>) -> Option<Content<'a>> {
    Some(match field {
        Field::AuthUsername => Content::Text(input.auth?.username),
        Field::AuthHeaders => Content::List(List::Headers(input.auth?.headers)),
        Field::AuthPassword => Content::Text(input.auth?.password?),
        Field::EventName => Content::Text(input.custom?.name),
        Field::EventPayload => Content::Text(input.custom?.payload),
        _ => return None,
    })
}

fn most_consequential(kinds: KindSet) -> Kind {
    CONSEQUENTIAL
        .into_iter()
        .find(|kind| kinds.contains(*kind))
        .unwrap_or(Kind::Other)
}
