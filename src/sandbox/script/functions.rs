//! The script shims of the host functions: values to a `Request`, a `Response` to a value. They decide nothing.

use super::super::Fault;
use super::super::Level;
use super::super::MetricOp;
use super::super::host::Request;
use super::super::host::Response;
use super::super::host::call;
use super::current::Stop;
use super::current::stop;
use super::current::with_turn;
use super::memory;
use super::variables;
use crate::hook::abi::Field;
use rhai::Array;
use rhai::Dynamic;
use rhai::Engine;
use rhai::EvalAltResult;
use rhai::FnPtr;
use rhai::ImmutableString;
use rhai::Module;
use rhai::NativeCallContext;
use rhai::Position;

/// Gives the engine every host function; the gate behind them knows which are granted.
pub(super) fn register(engine: &mut Engine, memory_bytes_max: usize) {
    engine.register_static_module("log", log().into());
    engine.register_static_module("kv", kv().into());
    engine.register_static_module("metric", metric().into());
    let mut time = Module::new();
    time.set_native_fn("now", || value(Request::Now));
    engine.register_static_module("time", time.into());
    let mut random = Module::new();
    random.set_native_fn("number", || value(Request::Random));
    engine.register_static_module("random", random.into());
    let mut sha256 = Module::new();
    sha256.set_native_fn("hex", |text: ImmutableString| {
        value(Request::Sha256 {
            bytes: text.as_bytes(),
        })
    });
    digest(&mut sha256);
    engine.register_static_module("sha256", sha256.into());
    let mut field = Module::new();
    field.set_native_fn("contains", contains);
    field.set_native_fn("matches", matches);
    engine.register_static_module("field", field.into());
    engine.register_static_module("statement", statement().into());
    engine.register_static_module("cache", cache().into());
    engine.register_static_module("attribute", attribute().into());
    engine.register_static_module("event", event().into());
    register_map(engine, memory_bytes_max);
}

fn digest(module: &mut Module) {
    module.set_native_fn("hmac", |key: ImmutableString, text: ImmutableString| {
        value(Request::HmacSha256 {
            key: key.as_bytes(),
            bytes: text.as_bytes(),
        })
    });
    module.set_native_fn("equal", |left: ImmutableString, right: ImmutableString| {
        value(Request::ConstantTimeEqual {
            left: left.as_bytes(),
            right: right.as_bytes(),
        })
    });
}

fn statement() -> Module {
    let mut module = Module::new();
    module.set_native_fn("fingerprint", |text: ImmutableString| {
        let number = value(Request::Fingerprint { text: &text })?;
        let number = number.as_int().unwrap_or_default().cast_unsigned();
        Ok(Dynamic::from(format!("{number:016x}")))
    });
    module.set_native_fn("normalize", |text: ImmutableString| {
        value(Request::Normalize { text: &text })
    });
    module.set_native_fn("tables", |text: ImmutableString| {
        value(Request::Tables { text: &text })
    });
    module
}

fn cache() -> Module {
    let mut module = Module::new();
    module.set_native_fn("get", |key: ImmutableString| {
        value(Request::CacheGet {
            key: key.as_bytes(),
        })
    });
    module.set_native_fn("delete", |key: ImmutableString| {
        value(Request::CacheDelete {
            key: key.as_bytes(),
        })
    });
    let put = |key: &str, new: Dynamic, ttl_ms: i64| {
        let new = written(new);
        value(Request::CachePut {
            key: key.as_bytes(),
            value: new.as_bytes(),
            ttl_ms,
        })
    };
    module.set_native_fn("put", move |key: ImmutableString, new: Dynamic| {
        put(&key, new, 0)
    });
    module.set_native_fn(
        "put",
        move |key: ImmutableString, new: Dynamic, ttl_ms: i64| put(&key, new, ttl_ms),
    );
    module
}

fn attribute() -> Module {
    let mut module = Module::new();
    module.set_native_fn("set", |name: ImmutableString, new: Dynamic| {
        value(Request::AttributeSet {
            name: &name,
            value: &written(new),
        })
    });
    module
}

fn event() -> Module {
    let mut module = Module::new();
    module.set_native_fn("emit", |name: ImmutableString, payload: Dynamic| {
        value(Request::Emit {
            name: &name,
            payload: &written(payload),
        })
    });
    module
}

/// Rhai's own `map` collects its results where nothing can count them.
fn register_map(engine: &mut Engine, bytes_max: usize) {
    engine.register_fn(
        "map",
        move |context: NativeCallContext<'_>,
              array: Array,
              function: FnPtr|
              -> Result<Array, Stop> {
            let mut bytes: usize = 0;
            let mut results = Array::with_capacity(array.len());
            for item in array {
                let result: Dynamic = function.call_within_context(&context, (item,))?;
                bytes = bytes.saturating_add(memory::size(&result));
                if bytes_max < bytes {
                    return stop(Fault::OutOfMemory);
                }
                results.push(result);
            }
            Ok(results)
        },
    );
}

fn log() -> Module {
    let mut module = Module::new();
    for level in Level::all() {
        module.set_native_fn(level.script_name(), move |message: Dynamic| {
            let message = written(message);
            value(Request::Log {
                level,
                message: message.as_bytes(),
            })
        });
    }
    module
}

fn kv() -> Module {
    let mut module = Module::new();
    module.set_native_fn("get", |key: ImmutableString| {
        value(Request::KvGet {
            key: key.as_bytes(),
        })
    });
    module.set_native_fn("delete", |key: ImmutableString| {
        value(Request::KvDelete {
            key: key.as_bytes(),
        })
    });
    module.set_native_fn("set", |key: ImmutableString, new: Dynamic| {
        set(&key, new, 0)
    });
    module.set_native_fn("set", |key: ImmutableString, new: Dynamic, ttl_ms: i64| {
        set(&key, new, ttl_ms)
    });
    module.set_native_fn("add", |key: ImmutableString, delta: i64| {
        add(&key, delta, 0)
    });
    module.set_native_fn("add", |key: ImmutableString, delta: i64, ttl_ms: i64| {
        add(&key, delta, ttl_ms)
    });
    module.set_native_fn("cas", |key: ImmutableString, old: Dynamic, new: Dynamic| {
        swap(&key, old, new, 0)
    });
    module.set_native_fn(
        "cas",
        |key: ImmutableString, old: Dynamic, new: Dynamic, ttl_ms: i64| {
            swap(&key, old, new, ttl_ms)
        },
    );
    module
}

fn set(key: &str, new: Dynamic, ttl_ms: i64) -> Result<Dynamic, Stop> {
    let new = written(new);
    value(Request::KvSet {
        key: key.as_bytes(),
        value: new.as_bytes(),
        ttl_ms,
    })
}

fn add(key: &str, delta: i64, ttl_ms: i64) -> Result<Dynamic, Stop> {
    value(Request::KvAdd {
        key: key.as_bytes(),
        delta,
        ttl_ms,
    })
}

fn swap(key: &str, old: Dynamic, new: Dynamic, ttl_ms: i64) -> Result<Dynamic, Stop> {
    let old = (!old.is_unit()).then(|| written(old));
    let new = written(new);
    let expected = old.as_ref().map(|old| old.as_bytes());
    value(Request::KvCompareAndSwap {
        key: key.as_bytes(),
        expected,
        value: new.as_bytes(),
        ttl_ms,
    })
}

fn metric() -> Module {
    let mut module = Module::new();
    for (name, op) in [
        ("add", MetricOp::Add),
        ("set", MetricOp::Set),
        ("observe", MetricOp::Observe),
    ] {
        module.set_native_fn(name, move |name: ImmutableString, number: i64| {
            #[expect(clippy::cast_precision_loss, reason = "a metric is a float in the end")]
            let number = number as f64;
            value(Request::Metric {
                op,
                name: name.as_bytes(),
                value: number,
            })
        });
        module.set_native_fn(name, move |name: ImmutableString, number: f64| {
            value(Request::Metric {
                op,
                name: name.as_bytes(),
                value: number,
            })
        });
    }
    module
}

fn contains(path: ImmutableString, needle: ImmutableString) -> Result<Dynamic, Stop> {
    let field = field(&path)?;
    let needle = needle.as_bytes();
    present(value(Request::Contains { field, needle })?, &path)
}

fn matches(path: ImmutableString, pattern: ImmutableString) -> Result<Dynamic, Stop> {
    let field = field(&path)?;
    let pattern = &pattern;
    present(value(Request::Matches { field, pattern })?, &path)
}

fn field(path: &str) -> Result<Field, Stop> {
    let field = path
        .split_once('.')
        .and_then(|(variable, name)| Field::by_name(variable, name));
    field.map_or_else(|| stop(Fault::trap("no such field")), Ok)
}

fn present(found: Dynamic, path: &str) -> Result<Dynamic, Stop> {
    if found.is_unit() {
        return stop(Fault::trap(format!(
            "`{path}` is not granted or has no value here"
        )));
    }
    Ok(found)
}

/// Through the gate, and the result as a script's value.
fn value(request: Request<'_>) -> Result<Dynamic, Stop> {
    let response = with_turn(|turn| call(turn, request))?;
    Ok(match response {
        Response::Nothing | Response::Missing => Dynamic::UNIT,
        Response::Flag(flag) => Dynamic::from(flag),
        Response::Number(number) => Dynamic::from(number),
        Response::Bytes(bytes) => Dynamic::from(String::from_utf8_lossy(&bytes).into_owned()),
        Response::Text(text) => Dynamic::from(text),
        Response::Names(names) => Dynamic::from(
            names
                .iter()
                .map(|name| variables::name(name.schema.as_deref(), &name.name))
                .collect::<Array>(),
        ),
        Response::Part { .. } | Response::PartOfRows { .. } | Response::Wait => {
            return stop(Fault::Internal("a result that scripts do not have"));
        }
        Response::Store(error) => {
            // A guest can do something about this: it is an error it may catch, as a module gets a status.
            let message = Dynamic::from(error.to_string());
            return Err(Box::new(EvalAltResult::ErrorRuntime(
                message,
                Position::NONE,
            )));
        }
    })
}

fn written(value: Dynamic) -> ImmutableString {
    if value.is_string() {
        value.into_immutable_string().unwrap_or_default()
    } else {
        value.to_string().into()
    }
}
