//! What a script sees of its input: `user`, `session`, `sql`, `result`, `auth`, `event`, `config`, `load`, `hook`. Values are made when
//! they are asked for. Owns no permission: a field that was not granted is not in the frame and has no getter.

use super::super::Fault;
use super::super::GuestSpec;
use super::super::permission::Call;
use super::super::turn::Turn;
use super::current::Stop;
use super::current::with_turn;
use super::memory;
use crate::hook::abi::Field;
use crate::hook::abi::FieldType;
use crate::hook::abi::Fields;
use crate::hook::abi::Frame;
use rhai::Array;
use rhai::Dynamic;
use rhai::Engine;
use rhai::ImmutableString;
use rhai::Map;
use serde_json::Value;
use std::sync::Arc;

/// Methods of variables, and the field each looks at.
pub(super) const METHODS: [(&str, &str, Field); 2] = [
    ("user", "has_role", Field::UserRoles),
    ("sql", "has_kind", Field::Kinds),
];

/// The field a method of a variable looks at.
pub(super) fn method(variable: &str, name: &str) -> Option<Field> {
    METHODS
        .iter()
        .find(|row| (row.0, row.1) == (variable, name))
        .map(|row| row.2)
}

/// The field that a script names as `variable.name`.
pub(super) fn at_path(path: &str) -> Option<Field> {
    let (variable, name) = path.split_once('.')?;
    Field::by_name(variable, name)
}

/// Every variable there is. A script may not define one of these names.
pub(super) const NAMES: [&str; 9] = [
    "user", "session", "sql", "result", "auth", "event", "config", "load", "hook",
];

#[derive(Clone)]
struct User;
#[derive(Clone)]
struct Session;
#[derive(Clone)]
struct Sql;
#[derive(Clone)]
struct Outcome;
#[derive(Clone)]
struct Auth;
#[derive(Clone)]
struct Event;
#[derive(Clone)]
struct Configuration;
#[derive(Clone)]
struct Load;

/// Gives the engine the variables, and getters for the granted fields.
pub(super) fn register(engine: &mut Engine, fields: Fields, spec: &GuestSpec) {
    engine
        .register_type_with_name::<User>("user")
        .register_type_with_name::<Session>("session")
        .register_type_with_name::<Sql>("sql")
        .register_type_with_name::<Outcome>("result")
        .register_type_with_name::<Auth>("auth")
        .register_type_with_name::<Event>("event")
        .register_type_with_name::<Configuration>("config")
        .register_type_with_name::<Load>("load");
    for field in fields.iter() {
        let row = field.row();
        match row.variable {
            "user" => engine.register_get(row.name, move |_: &mut User| value(field)),
            "session" => engine.register_get(row.name, move |_: &mut Session| value(field)),
            "sql" => engine.register_get(row.name, move |_: &mut Sql| value(field)),
            "result" => engine.register_get(row.name, move |_: &mut Outcome| value(field)),
            "auth" => engine.register_get(row.name, move |_: &mut Auth| value(field)),
            _ => engine.register_get(row.name, move |_: &mut Event| value(field)),
        };
    }
    engine.register_fn("has_role", |_: &mut User, role: &str| {
        has(Field::UserRoles, role)
    });
    engine.register_fn("has_kind", |_: &mut Sql, kind: &str| {
        has(Field::Kinds, kind)
    });
    for name in &spec.loads {
        let name = Arc::clone(name);
        engine.register_get(&*Arc::clone(&name), move |_: &mut Load| loaded(&name));
    }
    register_config(engine, spec);
}

/// Whether a list has an item, without making a script's array of it.
fn has(field: Field, wanted: &str) -> Result<bool, Stop> {
    with_turn(|turn| {
        let bytes = turn.frame.content(field).map_or(0, <[u8]>::len);
        turn.meter.charge_call(bytes)?;
        match turn.frame.items(field) {
            Some(mut items) => Ok(items.any(|item| item == Some(wanted))),
            None => Err(missing(turn, field)),
        }
    })
}

fn missing(turn: &Turn, field: Field) -> Fault {
    let row = field.row();
    Fault::trap(format!(
        "`{}.{}` is not granted, or has no value at {}",
        row.variable, row.name, turn.hook
    ))
}

/// Lets the engine find the variables; counts memory at each access where the script can grow.
pub(super) fn resolve(engine: &mut Engine, memory_bytes_max: Option<usize>) {
    #[expect(
        deprecated,
        reason = "Rhai marks the callback as unstable, and the crate is pinned exactly"
    )]
    engine.on_var(move |name, index, context| {
        if let Some(bytes_max) = memory_bytes_max {
            memory::check(&context, bytes_max)?;
        }
        if index != 0 {
            return Ok(None);
        }
        variable(name)
    });
}

fn variable(name: &str) -> Result<Option<Dynamic>, Stop> {
    Ok(Some(match name {
        "user" => Dynamic::from(User),
        "session" => Dynamic::from(Session),
        "sql" => Dynamic::from(Sql),
        "result" => Dynamic::from(Outcome),
        "auth" => Dynamic::from(Auth),
        "event" => Dynamic::from(Event),
        "config" => Dynamic::from(Configuration),
        "load" => Dynamic::from(Load),
        "hook" => with_turn(|turn| Ok(Dynamic::from(turn.hook.name())))?,
        _ => return Ok(None),
    }))
}

/// What was loaded: of a statement that gives one row at most, the value of its only column, or `()`; otherwise a list of
/// maps.
fn loaded(name: &str) -> Result<Dynamic, Stop> {
    with_turn(|turn| {
        let found = turn
            .loaded(name)
            .map(|loaded| (Arc::clone(&loaded.rows), loaded.single));
        let (rows, single) = found
            .filter(|_| turn.may_call(Call::Load))
            .ok_or(Fault::CallRefused("load"))?;
        let limits = &turn.profile().limits;
        let (text_max, bytes_max) = (limits.script_string_bytes_max, limits.memory_bytes_max);
        let value = |value: &Option<String>| match value {
            None => Ok(Dynamic::UNIT),
            Some(value) if value.len() <= text_max => Ok(text(value)),
            Some(value) => Err(Fault::InputTooLarge {
                bytes: value.len(),
                max: text_max,
            }),
        };
        let found = if single && rows.columns.len() == 1 {
            value(
                rows.rows
                    .first()
                    .and_then(|row| row.first())
                    .unwrap_or(&None),
            )?
        } else {
            let row = |row: &Vec<Option<String>>| {
                let pairs = rows.columns.iter().zip(row);
                let map = pairs.map(|(name, cell)| Ok((name.as_str().into(), value(cell)?)));
                map.collect::<Result<Map, Fault>>().map(Dynamic::from)
            };
            Dynamic::from(
                rows.rows
                    .iter()
                    .map(row)
                    .collect::<Result<Array, Fault>>()?,
            )
        };
        let bytes = memory::size(&found);
        if bytes_max < bytes {
            return Err(Fault::OutOfMemory);
        }
        turn.meter.charge_call(bytes)?;
        Ok(found)
    })
}

fn register_config(engine: &mut Engine, spec: &GuestSpec) {
    let values: Map = match &spec.config {
        Some(Value::Object(object)) => object
            .iter()
            .map(|(key, value)| (key.as_str().into(), from_json(value)))
            .collect(),
        _ => Map::new(),
    };
    let keys = values.clone();
    engine.register_indexer_get(
        move |_: &mut Configuration, key: &str| -> Result<Dynamic, Stop> {
            let value = values.get(key).cloned();
            with_turn(|turn| {
                let value = value
                    .ok_or_else(|| Fault::trap(format!("the configuration has no `{key}`")))?;
                turn.meter.charge_call(memory::size(&value))?;
                Ok(value)
            })
        },
    );
    engine.register_fn("contains", move |_: &mut Configuration, key: &str| {
        keys.contains_key(key)
    });
}

fn from_json(value: &Value) -> Dynamic {
    match value {
        Value::Null => Dynamic::UNIT,
        Value::Bool(flag) => Dynamic::from(*flag),
        Value::Number(number) => match number.as_i64() {
            Some(number) => Dynamic::from(number),
            None => Dynamic::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => Dynamic::from(text.clone()),
        Value::Array(list) => Dynamic::from(list.iter().map(from_json).collect::<Array>()),
        Value::Object(object) => Dynamic::from(
            object
                .iter()
                .map(|(key, value)| (key.as_str().into(), from_json(value)))
                .collect::<Map>(),
        ),
    }
}

fn value(field: Field) -> Result<Dynamic, Stop> {
    with_turn(|turn| {
        let bytes = turn.frame.content(field).map_or(0, <[u8]>::len);
        turn.meter.charge_call(bytes)?;
        convert(turn, field)
    })
}

fn convert(turn: &Turn, field: Field) -> Result<Dynamic, Fault> {
    let row = field.row();
    let frame = &turn.frame;
    let Some(content) = frame.content(field) else {
        if row.optional {
            return Ok(Dynamic::UNIT);
        }
        return Err(missing(turn, field));
    };
    let items = || frame.items(field).into_iter().flatten();
    Ok(match row.of {
        FieldType::Text | FieldType::Large => {
            let max = turn.profile().limits.script_string_bytes_max;
            if max < content.len() {
                return Err(Fault::InputTooLarge {
                    bytes: content.len(),
                    max,
                });
            }
            text(frame.text(field).unwrap_or_default())
        }
        FieldType::Number if field == Field::Fingerprint => {
            Dynamic::from(written(frame, field).unwrap_or_default())
        }
        FieldType::Number => Dynamic::from(
            i64::try_from(frame.number(field).unwrap_or_default()).unwrap_or(i64::MAX),
        ),
        FieldType::Flag => Dynamic::from(frame.flag(field).unwrap_or_default()),
        FieldType::Texts => Dynamic::from(
            items()
                .map(|item| text(item.unwrap_or_default()))
                .collect::<Array>(),
        ),
        FieldType::Pairs => {
            let mut items = items();
            let mut map = Map::new();
            while let (Some(Some(key)), Some(value)) = (items.next(), items.next()) {
                map.insert(key.into(), text(value.unwrap_or_default()));
            }
            Dynamic::from(map)
        }
        FieldType::Names => {
            let mut items = items();
            let mut names = Array::new();
            while let (Some(schema), Some(Some(name))) = (items.next(), items.next()) {
                names.push(self::name(schema, name));
            }
            Dynamic::from(names)
        }
        FieldType::Uuid | FieldType::Address => {
            Dynamic::from(written(frame, field).unwrap_or_default())
        }
    })
}

/// Fields that are no text but are read as one.
pub(super) fn written(frame: &Frame, field: Field) -> Option<String> {
    Some(match field.row().of {
        FieldType::Number => format!("{:016x}", frame.number(field)?),
        FieldType::Uuid => frame.uuid(field)?.to_string(),
        FieldType::Address => match frame.address(field)? {
            Some(address) => address.to_string(),
            None => "unix".to_owned(),
        },
        _ => return None,
    })
}

/// The name of a table or function.
pub(super) fn name(schema: Option<&str>, name: &str) -> Dynamic {
    Dynamic::from(Map::from([
        ("schema".into(), schema.map_or(Dynamic::UNIT, text)),
        ("name".into(), text(name)),
    ]))
}

fn text(text: &str) -> Dynamic {
    Dynamic::from(ImmutableString::from(text))
}
