//! `load` of permissions and of stages: statements whose rows are fetched for a guest, and which of them before it is asked.
//! Owns no asking: that is `sandbox::Services::query`.

use super::canonical::Section;
use super::code;
use super::keys::LOAD;
use super::keys::LOADED;
use super::keys::NODE;
use super::keys::POOL;
use super::node::Node;
use super::node::Role;
use super::pool::Pool;
use super::reading::Spot;
use super::reading::Table;
use super::reading::unknown;
use super::report::At;
use super::report::Diagnostic;
use super::scope::Scope;
use crate::hook::Hook;
use crate::hook::Input;
use crate::hook::abi::Content;
use crate::hook::abi::Field;
use crate::hook::abi::FieldType;
use crate::sandbox::Call;
use crate::sandbox::DeclaredQuery;
use crate::sandbox::Grants;
use crate::sandbox::LoadGrant;
use crate::sandbox::Query;
use crate::sandbox::QueryNode;
use crate::sandbox::See;
use crate::statement;
use crate::statement::Kind;
use crate::statement::KindSet;
use crate::statement::Needs;
use crate::unit;
use std::sync::Arc;
use std::time::Duration;

const MAX_ROWS: usize = 100;
const MAX_BYTES: usize = 64 << 10;
/// What a session may hold of one answer at most.
const MAX_BYTES_MAX: usize = 16 << 20;
const TIMEOUT: Duration = Duration::from_millis(100);
const TIMEOUT_MAX: Duration = Duration::from_secs(60);
const MAX_QUERIES: u32 = 4;

const NODES: [(&str, QueryNode); 3] = [
    ("primary", QueryNode::Primary),
    ("standby", QueryNode::Standby),
    ("any", QueryNode::Any),
];

/// What a stage loads before its guest is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StageLoad {
    /// The name the guest finds it under.
    pub name: Arc<str>,
    /// What is asked.
    pub statement: Arc<DeclaredQuery>,
    /// What it is asked with.
    pub args: Vec<LoadArg>,
    /// How long an answer is kept; `None`: none is.
    pub cache: Option<Duration>,
}

/// One argument: a field, or an entry of one that has entries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoadArg {
    field: Field,
    key: Option<Arc<str>>,
}

impl LoadArg {
    /// The field.
    pub(super) fn field(&self) -> Field {
        self.field
    }
}

impl StageLoad {
    /// What a statement must be read for so that the arguments have their values.
    #[must_use]
    pub fn needs(&self) -> Needs {
        let needs = self.args.iter().map(|arg| arg.field.needs());
        needs.fold(Needs::default(), Needs::union)
    }

    /// The statement with its arguments.
    #[must_use]
    pub fn query(&self, input: &Input<'_>) -> Query {
        let args = self.args.iter();
        Query {
            statement: Arc::clone(&self.statement),
            args: args.map(|arg| arg.value(input)).collect(),
            load: Some(Arc::clone(&self.name)),
            cache: self.cache,
        }
    }
}

/// Where statements can be asked.
#[derive(Clone, Copy)]
pub(super) struct Ways<'p> {
    pub(super) pools: &'p [Pool],
    pub(super) nodes: &'p [Node],
}

/// `load` of a permission set.
pub(super) fn grant(
    scope: Scope<'_, '_>,
    set: &str,
    table: &Table<'_, '_>,
    ways: Ways<'_>,
) -> Option<LoadGrant> {
    let inner = table.table("load", &LOAD)?;
    let node = inner.choice("node", &NODES).unwrap_or(QueryNode::Primary);
    let pool = pool(scope, &inner, ways, node);
    let database = inner.arc("database");
    let max_rows = inner.count("max_rows", 1..=1_000).unwrap_or(MAX_ROWS);
    let max_bytes = inner.size("max_bytes").unwrap_or(MAX_BYTES);
    if MAX_BYTES_MAX < max_bytes {
        let most = unit::format_size(MAX_BYTES_MAX as u64);
        let message = format!("a session holds this much for one answer; at most {most}");
        let at = inner.value_at("max_bytes");
        scope.reading.error(code::OUT_OF_RANGE, at, message);
    }
    let timeout = inner.timeout("timeout").unwrap_or(TIMEOUT);
    if TIMEOUT_MAX < timeout {
        let most = unit::format_duration(TIMEOUT_MAX);
        let message = format!("a client waits for this long; at most {most}");
        let at = inner.value_at("timeout");
        scope.reading.error(code::OUT_OF_RANGE, at, message);
    }
    let max_queries = inner
        .integer("max_queries", 1..=100)
        .and_then(|queries| u32::try_from(queries).ok())
        .unwrap_or(MAX_QUERIES);
    let texts = statements(scope, &inner);
    inner.finish();
    let pool = pool?;
    let database = database.or_else(|| pool.database.exact().map(Arc::from));
    let Some(database) = database else {
        let message = format!(
            "pool `{}` serves `{}`, and the statements need one database",
            pool.name, pool.database
        );
        let at = inner_at(table);
        let found = Diagnostic::error(code::MISSING_KEY, at, message);
        scope.reading.add(found.help("write database = \"..\""));
        return None;
    };
    let declared = |(name, sql, params): (Arc<str>, Arc<str>, usize)| {
        Arc::new(DeclaredQuery {
            set: set.into(),
            name,
            sql,
            params,
            pool: Arc::clone(&pool.name),
            database: Arc::clone(&database),
            node,
            max_rows,
            max_bytes,
            timeout,
        })
    };
    Some(LoadGrant {
        statements: texts.into_iter().map(declared).collect(),
        max_queries,
    })
}

/// `load` where there is no pool to ask: the tests of a plugin by itself.
pub(super) fn not_here(table: &Table<'_, '_>) -> Option<LoadGrant> {
    if table.entry("load").is_some() {
        let message = "a plugin's own tests ask no node";
        let found = Diagnostic::error(code::NO_EFFECT, table.key_at("load"), message);
        let help = "test what it makes of rows in a policy, with `given.load` and `given.query`";
        table.reading.add(found.help(help));
    }
    None
}

fn inner_at(table: &Table<'_, '_>) -> At {
    table.key_at("load")
}

/// The pool, which must have a login of its own and a node of the wanted role.
fn pool<'p>(
    scope: Scope<'_, '_>,
    table: &Table<'_, '_>,
    ways: Ways<'p>,
    node: QueryNode,
) -> Option<&'p Pool> {
    let name = scope
        .one(table, "pool", &POOL)
        .and_then(|id| scope.words.names(&POOL).nth(id))?;
    // A pool with mistakes of its own has been reported.
    let pool = ways.pools.iter().find(|pool| &*pool.name == name)?;
    if pool.login.is_none() {
        let message = format!(
            "pool `{name}` has no `login`: there is nobody the proxy could ask as, but for the client itself"
        );
        let found = Diagnostic::error(code::CONTRADICTION, table.value_at("pool"), message);
        let help = "write login = { user = \"..\", password = { file = \"..\" } } in the pool";
        scope.reading.add(found.help(help));
    }
    let role = match node {
        QueryNode::Primary => Role::Primary,
        QueryNode::Standby => Role::Standby,
        QueryNode::Any => return Some(pool),
    };
    let names = pool.nodes.iter();
    let names = names.filter_map(|id| scope.words.names(&NODE).nth(*id));
    let mut nodes = names.filter_map(|name| ways.nodes.iter().find(|node| &*node.name == name));
    if !nodes.any(|node| node.role == role) {
        let wanted = if role == Role::Primary {
            "primary"
        } else {
            "standby"
        };
        let message = format!("pool `{name}` has no {wanted}");
        let found = Diagnostic::error(code::CONTRADICTION, table.value_at("node"), message);
        scope
            .reading
            .add(found.label("write node = \"any\", or another pool"));
    }
    Some(pool)
}

/// Name, text and number of arguments of each statement.
fn statements(scope: Scope<'_, '_>, table: &Table<'_, '_>) -> Vec<(Arc<str>, Arc<str>, usize)> {
    let entry = table.entry("statements");
    let entries = entry.map(|entry| entry.word.entries()).unwrap_or_default();
    if entries.is_empty()
        && let Some(entry) = entry
    {
        let message = "there is no statement";
        scope.reading.error(code::EMPTY, entry.word.at, message);
    }
    let mut statements = Vec::new();
    for entry in entries {
        let Some(text) = scope.reading.text(&entry.word) else {
            continue;
        };
        let facts = statement::analyze(
            &text.value,
            Needs {
                parse: true,
                ..Needs::default()
            },
        );
        let single = statement::split(&text.value).count() == 1;
        if !single || !facts.read_only || facts.kinds != KindSet::of(Kind::Select) {
            let message = format!("statement `{}` is not proven to change nothing", entry.key);
            let found = Diagnostic::error(code::NOT_READ_ONLY, text.at, message);
            scope.reading.add(found.label(
                "expected one SELECT that locks nothing and calls only functions known not to be volatile",
            ));
        }
        statements.push((
            entry.key.as_str().into(),
            text.value.into(),
            usize::from(facts.param_count),
        ));
    }
    statements.sort();
    statements
}

/// `load` of a stage. What `grants` does not hold is reported where it is known.
pub(super) fn loads(
    scope: Scope<'_, '_>,
    table: &Table<'_, '_>,
    hooks: &[Hook],
    grants: Option<&Grants>,
) -> Vec<StageLoad> {
    let Some(entry) = table.entry("load") else {
        return Vec::new();
    };
    if !matches!(entry.word.value, super::document::Value::Table(_)) {
        scope.reading.wrong_type(&entry.word, "a table");
    }
    let entries = entry.word.entries();
    if let Some(grants) = grants.filter(|grants| !grants.may_call(Call::Load)) {
        let set = match &*grants.name {
            "" => "the standard permissions do".to_owned(),
            name => format!("permissions `{name}` do"),
        };
        let message = format!("the stage loads rows, which {set} not grant");
        let found = Diagnostic::error(code::NOT_GRANTED, entry.key_at, message);
        scope
            .reading
            .add(found.label("needs `load` in `call`, and a table `load` beside it"));
        return Vec::new();
    }
    let mut loads = Vec::new();
    for entry in entries {
        if !is_identifier(&entry.key) {
            let message = format!("`{}` is no name a script can write", entry.key);
            let found = Diagnostic::error(code::BAD_NAME, entry.key_at, message);
            scope
                .reading
                .add(found.label("expected lower-case letters, digits and _"));
        }
        let title = format!("load `{}`", entry.key);
        let opened = Table::open(scope.reading, &LOADED, entry.key_at, title, &entry.word);
        let Some(inner) = opened else {
            continue;
        };
        loads.extend(load(scope, &entry.key, &inner, hooks, grants));
        inner.finish();
    }
    loads.sort_by(|a, b| a.name.cmp(&b.name));
    loads
}

fn is_identifier(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    name.bytes().next().is_some_and(letter)
        && name
            .bytes()
            .all(|byte| letter(byte) || byte.is_ascii_digit())
}

fn load(
    scope: Scope<'_, '_>,
    name: &str,
    table: &Table<'_, '_>,
    hooks: &[Hook],
    grants: Option<&Grants>,
) -> Option<StageLoad> {
    let spot = table.text("statement");
    let written = match table.has("args") {
        true => table.texts("args"),
        false => Vec::new(),
    };
    let cache = table.timeout("cache");
    let count = written.len();
    let args = written
        .iter()
        .filter_map(|spot| argument(scope, spot, hooks, grants))
        .collect();
    let (spot, grant) = (spot?, grants?.load.as_ref()?);
    let Some(statement) = grant.statement(&spot.value) else {
        let names = grant.statements.iter().map(|known| &*known.name);
        scope.reading.add(unknown(
            code::UNKNOWN_NAME,
            spot.at,
            "statement",
            &spot.value,
            names,
        ));
        return None;
    };
    if statement.params != count {
        let message = format!(
            "statement `{}` takes {} arguments, and gets {count}",
            statement.name, statement.params
        );
        let at = match table.has("args") {
            true => table.value_at("args"),
            false => table.key_at("statement"),
        };
        let found = Diagnostic::error(code::ARGUMENT_COUNT, at, message);
        scope.reading.add(found.help(&*statement.sql));
    }
    Some(StageLoad {
        name: name.into(),
        statement: Arc::clone(statement),
        args,
        cache,
    })
}

/// `user.name`, `user.attributes.team`. It must have a value at each of the stage's hooks. Who and where may always be an
/// argument; anything of the statement only where the guest may see it, and a password never.
fn argument(
    scope: Scope<'_, '_>,
    spot: &Spot<String>,
    hooks: &[Hook],
    grants: Option<&Grants>,
) -> Option<LoadArg> {
    let mut parts = spot.value.splitn(3, '.');
    let (variable, name, key) = (
        parts.next()?,
        parts.next().unwrap_or_default(),
        parts.next(),
    );
    let found = Field::by_name(variable, name).filter(|field| *field != Field::AuthPassword);
    let Some(field) = found else {
        let known: Vec<String> = Field::all()
            .filter(|row| row.field != Field::AuthPassword)
            .map(|row| format!("{}.{}", row.variable, row.name))
            .collect();
        let names = known.iter().map(String::as_str);
        scope.reading.add(unknown(
            code::UNKNOWN_NAME,
            spot.at,
            "field",
            &spot.value,
            names,
        ));
        return None;
    };
    let wrong = match (field.row().of, key) {
        (FieldType::Pairs, None) => {
            Some(format!("write one of its entries: `{}.NAME`", spot.value))
        }
        (FieldType::Pairs, Some(_)) => None,
        (FieldType::Texts | FieldType::Names, _) => Some("a list is no argument".to_owned()),
        (_, Some(_)) => Some(format!("`{variable}.{name}` has no entries")),
        (_, None) => None,
    };
    if let Some(wrong) = wrong {
        let message = format!("`{}` is no single value", spot.value);
        let found = Diagnostic::error(code::BAD_VALUE, spot.at, message);
        scope.reading.add(found.label(wrong));
    }
    if let Some(hook) = hooks.iter().find(|hook| !field.is_at(**hook)) {
        let message = format!("`{}` has no value at `{hook}`", spot.value);
        scope.reading.error(code::VALUE_AT_HOOK, spot.at, message);
    }
    let needed = See::needed_for(field)
        .filter(|see| !matches!(see, See::Identity | See::Session))
        .filter(|see| grants.is_some_and(|grants| !grants.may_see(*see)));
    if let Some(see) = needed {
        let message = format!("`{}` is not visible to the stage", spot.value);
        let found = Diagnostic::error(code::NOT_GRANTED, spot.at, message);
        scope
            .reading
            .add(found.label(format!("needs `{}` in `see`", see.name())));
    }
    Some(LoadArg {
        field,
        key: key.map(Arc::from),
    })
}

/// What a permission set lets a guest ask, one line a statement.
pub(super) fn write_grant(section: &mut Section<'_>, grant: Option<&LoadGrant>) {
    let Some(LoadGrant {
        statements,
        max_queries,
    }) = grant
    else {
        return;
    };
    section.debug("load.max_queries", max_queries);
    for statement in statements {
        // The set's name is only a name.
        let DeclaredQuery {
            set: _,
            name,
            sql,
            params,
            pool,
            database,
            node,
            max_rows,
            max_bytes,
            timeout,
        } = &**statement;
        let timeout = unit::format_duration(*timeout);
        let meaning = (
            sql, params, pool, database, node, max_rows, max_bytes, &timeout,
        );
        section.debug(&format!("load.statement.{name:?}"), &meaning);
    }
}

/// What a stage loads.
pub(super) fn write_loads(section: &mut Section<'_>, loads: &[StageLoad]) {
    for StageLoad {
        name,
        statement,
        args,
        cache,
    } in loads
    {
        let args: Vec<String> = args.iter().map(LoadArg::written).collect();
        let meaning = (&statement.name, &args, cache.map(unit::format_duration));
        section.debug(&format!("load.{name:?}"), &meaning);
    }
}

impl LoadArg {
    fn value(&self, input: &Input<'_>) -> Option<String> {
        Content::read(self.field, input)?.written(self.field, self.key.as_deref())
    }

    fn written(&self) -> String {
        let row = self.field.row();
        match &self.key {
            Some(key) => format!("{}.{}.{key}", row.variable, row.name),
            None => format!("{}.{}", row.variable, row.name),
        }
    }
}
