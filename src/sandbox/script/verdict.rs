//! The verdict functions of scripts, and how a script's last value becomes an answer. Owns no judgement of what is legal where.

use super::super::Fault;
use super::current::Stop;
use super::current::stop;
use crate::hook::Answer;
use crate::hook::AnswerKind;
use crate::hook::Identity;
use crate::hook::Refusal;
use crate::hook::RouteAnswer;
use crate::hook::Rows;
use crate::sqlstate::SqlState;
use rhai::Array;
use rhai::Dynamic;
use rhai::Engine;
use rhai::ImmutableString;
use rhai::Map;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A verdict function: its name, what it makes, and how many arguments it takes.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) kind: AnswerKind,
    pub(super) args: std::ops::RangeInclusive<usize>,
}

pub(super) static TABLE: [Row; 9] = [
    row("next", AnswerKind::Continue, 0, 0),
    row("allow", AnswerKind::Allow, 0, 0),
    row("deny", AnswerKind::Block, 1, 3),
    row("rewrite", AnswerKind::Rewrite, 1, 1),
    row("route", AnswerKind::Route, 1, 1),
    row("rows", AnswerKind::Cached, 2, 2),
    row("identity", AnswerKind::Success, 1, 1),
    row("denied", AnswerKind::Denied, 1, 1),
    row("defer", AnswerKind::Defer, 0, 0),
];

const fn row(name: &'static str, kind: AnswerKind, least: usize, most: usize) -> Row {
    Row {
        name,
        kind,
        args: least..=most,
    }
}

#[derive(Clone)]
struct Verdict(Answer);

type Made = Result<Verdict, Stop>;

pub(super) fn register(engine: &mut Engine) {
    engine.register_type_with_name::<Verdict>("verdict");
    engine.register_fn("next", || Verdict(Answer::Continue));
    engine.register_fn("allow", || Verdict(Answer::Allow));
    engine.register_fn("defer", || Verdict(Answer::Defer));
    engine.register_fn("deny", |message: &str| {
        Verdict(Answer::Block(Refusal::new(message)))
    });
    engine.register_fn("deny", |code: &str, message: &str| {
        made(refusal(code, message, None).map(Answer::Block))
    });
    engine.register_fn("deny", |code: &str, message: &str, hint: &str| {
        made(refusal(code, message, Some(hint)).map(Answer::Block))
    });
    engine.register_fn("rewrite", |sql: &str| {
        Verdict(Answer::Rewrite(sql.to_owned()))
    });
    engine.register_fn("denied", |reason: &str| {
        Verdict(Answer::Denied(reason.to_owned()))
    });
    engine.register_fn("route", |to: &str| made(route(to).map(Answer::Route)));
    engine.register_fn("rows", |columns: Array, rows: Array| {
        made(table(columns, rows).map(Answer::Cached))
    });
    engine.register_fn("identity", |map: Map| {
        made(identity(map).map(|identity| Answer::Success(Box::new(identity))))
    });
}

/// The answer a script's last value is.
pub(super) fn answer(value: Dynamic) -> Result<Answer, Fault> {
    if value.is_unit() {
        return Ok(Answer::Continue);
    }
    let name = value.type_name();
    match value.try_cast::<Verdict>() {
        Some(verdict) => Ok(verdict.0),
        None => Err(Fault::bad_answer(format!(
            "the script's last value is a {name}, not a verdict"
        ))),
    }
}

fn made(answer: Result<Answer, &'static str>) -> Made {
    answer
        .map(Verdict)
        .or_else(|wrong| stop(Fault::bad_answer(wrong)))
}

pub(super) fn refusal(
    code: &str,
    message: &str,
    hint: Option<&str>,
) -> Result<Refusal, &'static str> {
    let success = ["00", "01", "02"]
        .iter()
        .any(|class| code.starts_with(class));
    let code = SqlState::parse(code)
        .filter(|_| !success)
        .ok_or("the code is no SQLSTATE of an error")?;
    let mut refusal = Refusal::with_code(code, message);
    refusal.hint = hint.map(Arc::from);
    Ok(refusal)
}

pub(super) fn route(to: &str) -> Result<RouteAnswer, &'static str> {
    Ok(match to {
        "default" => RouteAnswer::Default,
        "primary" => RouteAnswer::Primary,
        "standby" => RouteAnswer::Standby,
        _ => match to.split_once(':') {
            Some(("node", name)) if !name.is_empty() => RouteAnswer::Node(name.to_owned()),
            Some(("branch", name)) if !name.is_empty() => RouteAnswer::Branch(name.to_owned()),
            _ => return Err("a route is default, primary, standby, node:NAME or branch:NAME"),
        },
    })
}

fn table(columns: Array, rows: Array) -> Result<Rows, &'static str> {
    let columns: Vec<String> = texts(columns)?;
    let rows = rows.into_iter().map(|row| {
        let cells = row.into_array().map_err(|_| "a row is an array")?;
        if cells.len() != columns.len() || columns.is_empty() {
            return Err("a row has one value per column");
        }
        cells.into_iter().map(cell).collect::<Result<Vec<_>, _>>()
    });
    let rows = rows.collect::<Result<Vec<_>, _>>()?;
    Ok(Rows { columns, rows })
}

fn cell(value: Dynamic) -> Result<Option<String>, &'static str> {
    if value.is_unit() {
        return Ok(None);
    }
    if value.is_string() || value.is_int() || value.is_float() || value.is_bool() {
        return Ok(Some(value.to_string()));
    }
    Err("a value of a row is a text, a number, a flag or ()")
}

fn texts<T: From<String>>(array: Array) -> Result<Vec<T>, &'static str> {
    array
        .into_iter()
        .map(|item| {
            item.into_string()
                .map(T::from)
                .map_err(|_| "a list of texts has texts only")
        })
        .collect()
}

fn identity(mut map: Map) -> Result<Identity, &'static str> {
    let mut text = |key: &str| match map.remove(key) {
        None => Ok(None),
        Some(value) if value.is_unit() => Ok(None),
        Some(value) => value
            .into_immutable_string()
            .map(Some)
            .map_err(|_| "an identity's names are texts"),
    };
    let user = text("user")?
        .filter(|user| !user.is_empty())
        .ok_or("an identity has a `user`")?;
    let (user_id, tenant) = (text("user_id")?, text("tenant")?);
    let arc = |text: ImmutableString| Arc::<str>::from(text.as_str());
    let roles = match map.remove("roles") {
        Some(roles) => texts::<String>(roles.into_array().map_err(|_| "`roles` is an array")?)?,
        None => Vec::new(),
    };
    let mut claims = BTreeMap::new();
    if let Some(given) = map.remove("claims") {
        for (key, value) in given.try_cast::<Map>().ok_or("`claims` is a map")? {
            claims.insert(key.to_string(), value.to_string());
        }
    }
    if !map.is_empty() {
        return Err("an identity has user, user_id, roles, tenant and claims only");
    }
    Ok(Identity {
        user: arc(user),
        user_id: user_id.map(arc),
        roles: roles.into_iter().map(Arc::from).collect(),
        tenant: tenant.map(arc),
        claims,
    })
}
