//! The action `log`: a line of named fields. Owns the table of fields: names, where they have a value, what they need.

use super::Action;
use crate::hook::ClientAddress;
use crate::hook::Hook;
use crate::hook::Input;
use crate::policy::code;
use crate::policy::keys::LOG;
use crate::policy::keys::Moment;
use crate::policy::reading::Table;
use crate::policy::report::Diagnostic;
use crate::policy::scope::Scope;
use crate::sandbox::Grants;
use crate::sandbox::Level;
use crate::sandbox::See;
use crate::statement::Kind;
use crate::statement::Name;
use crate::statement::Needs;
use std::net::SocketAddr;

/// A field of a log line.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Field(usize);

type Get = fn(&Input<'_>) -> Option<String>;

/// Name, from when on it has a value, what permission it needs beyond the standard ones, and where it comes from.
const FIELDS: &[(&str, Moment, Option<See>, Get)] = &[
    ("request_id", Moment::Connected, None, |input| {
        Some(input.request_id.to_string())
    }),
    ("client_id", Moment::Connected, None, |input| {
        Some(input.session.client_id.to_string())
    }),
    ("user", Moment::Connected, None, |input| {
        Some(input.session.identity.user.to_string())
    }),
    ("roles", Moment::Connected, None, |input| {
        Some(input.session.identity.roles.join(","))
    }),
    ("tenant", Moment::LoggedIn, None, |input| {
        input.session.identity.tenant.as_deref().map(str::to_owned)
    }),
    ("database", Moment::Connected, None, |input| {
        Some(input.session.database.to_string())
    }),
    ("app", Moment::Connected, None, |input| {
        Some(format!("{:?}", &*input.session.app))
    }),
    ("listener", Moment::Connected, None, |input| {
        Some(input.session.listener.to_string())
    }),
    ("client", Moment::Connected, None, |input| {
        Some(client(input))
    }),
    ("tls", Moment::Connected, None, |input| {
        Some(input.session.tls.to_string())
    }),
    ("sql.fingerprint", Moment::Statement, None, |input| {
        Some(format!("{:016x}", input.statement?.facts.fingerprint))
    }),
    ("sql.kind", Moment::Statement, None, |input| {
        let names: Vec<&str> = input
            .statement?
            .facts
            .kinds
            .iter()
            .map(Kind::name)
            .collect();
        Some(names.join(","))
    }),
    ("sql.tables", Moment::Statement, None, |input| {
        let tables = &input.statement?.facts.relations.tables;
        Some(tables.iter().map(table_name).collect::<Vec<_>>().join(","))
    }),
    (
        "sql.normalized",
        Moment::Statement,
        Some(See::SqlNormalized),
        |input| Some(format!("{:?}", &*input.statement?.facts.normalized)),
    ),
    ("sql.text", Moment::Statement, Some(See::SqlText), |input| {
        Some(format!("{:?}", input.statement?.text))
    }),
    ("protocol", Moment::Statement, None, |input| {
        Some(input.statement?.protocol.name().to_owned())
    }),
    ("in_transaction", Moment::Statement, None, |input| {
        Some(input.statement?.in_transaction.to_string())
    }),
    ("elapsed", Moment::Outcome, None, |input| {
        Some(format!("{}us", input.outcome?.elapsed.as_micros()))
    }),
    ("rows", Moment::Outcome, None, |input| {
        Some(input.outcome?.rows.to_string())
    }),
    ("bytes_out", Moment::Outcome, None, |input| {
        Some(input.outcome?.bytes_out.to_string())
    }),
    ("node", Moment::Outcome, None, |input| {
        input.outcome?.node.as_deref().map(str::to_owned)
    }),
    ("code", Moment::Outcome, None, |input| {
        input.outcome?.code.map(|code| code.to_string())
    }),
    ("error", Moment::Outcome, Some(See::ResultError), |input| {
        Some(format!("{:?}", input.outcome?.error.as_deref()?))
    }),
    ("cached", Moment::Outcome, None, |input| {
        Some(input.outcome?.cached.to_string())
    }),
];

fn client(input: &Input<'_>) -> String {
    match input.session.client {
        ClientAddress::Ip(address, port) => SocketAddr::new(address, port).to_string(),
        ClientAddress::Unix => "unix".to_owned(),
    }
}

fn table_name(table: &Name) -> String {
    match &table.schema {
        Some(schema) => format!("{schema}.{}", table.name),
        None => table.name.to_string(),
    }
}

/// The names of all fields.
pub(in crate::policy) fn field_names() -> Vec<&'static str> {
    FIELDS.iter().map(|(name, ..)| *name).collect()
}

impl Field {
    fn parse(name: &str) -> Option<Self> {
        FIELDS
            .iter()
            .position(|(known, ..)| *known == name)
            .map(Self)
    }

    /// What must be granted for it beyond the standard permissions.
    pub(in crate::policy) fn see(self) -> Option<See> {
        FIELDS[self.0].2
    }

    /// The name in policies and log lines.
    #[must_use]
    pub fn name(self) -> &'static str {
        FIELDS[self.0].0
    }

    /// The value; free text is quoted, so that no client can forge a line.
    #[must_use]
    pub fn value(self, input: &Input<'_>) -> Option<String> {
        FIELDS[self.0].3(input)
    }

    /// What must be known about a statement for it.
    #[must_use]
    pub fn needs(self) -> Needs {
        Needs {
            normalized: self.name() == "sql.normalized",
            parse: self.name() == "sql.tables",
        }
    }
}

const LEVELS: [(&str, Level); 4] = [
    ("debug", Level::Debug),
    ("info", Level::Info),
    ("warn", Level::Warn),
    ("error", Level::Error),
];

/// Reads the action `log`.
pub(super) fn log(
    scope: Scope<'_, '_>,
    table: &Table<'_, '_>,
    hooks: &[Hook],
    grants: Option<&Grants>,
) -> Option<Action> {
    let inner = table.table("log", &LOG)?;
    let level = inner.choice("level", &LEVELS).unwrap_or(Level::Info);
    let mut fields = Vec::new();
    for spot in inner.texts("fields") {
        let Some(field) = scope
            .reading
            .one_of(&spot, "field", field_names(), Field::parse)
        else {
            continue;
        };
        let (name, moment, see, _) = FIELDS[field.0];
        if let Some(hook) = hooks.iter().find(|hook| !moment.exists_at(**hook)) {
            let found = Diagnostic::error(
                code::VALUE_AT_HOOK,
                spot.at,
                format!("`{name}` has no value at `{hook}`"),
            );
            scope
                .reading
                .add(found.label(format!("it has a value only {}", moment.words())));
        }
        if let Some(see) = see.filter(|see| grants.is_some_and(|grants| !grants.may_see(*see))) {
            let found = Diagnostic::error(
                code::NOT_GRANTED,
                spot.at,
                format!("`{name}` needs the permission to see `{}`", see.name()),
            );
            scope
                .reading
                .add(found.label("write `permissions` for this stage"));
        }
        if fields.contains(&field) {
            scope.listed_twice(&spot);
        }
        fields.push(field);
    }
    inner.finish();
    Some(Action::Log { level, fields })
}
