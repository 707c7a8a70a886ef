//! The table against what is written by hand elsewhere: the SDK's declarations, the documents, the schema. And what a log
//! line may hold.

use super::super::permission::Call;
use super::table::Param;
use super::table::Row;
use super::*;
use std::fmt::Write as _;

const SDK: &str = include_str!("../../../plugins/sdk/src/import.rs");
const MOCKS: &str = include_str!("../../../plugins/sdk/src/testing.rs");
const PAGE: &str = include_str!("../../../plugins/README.md");
const SCRIPTS: &str = include_str!("../../../docs/scripts.md");
const POLICY: &str = include_str!("../../../docs/policy.md");

fn rows() -> impl Iterator<Item = &'static Row> {
    HostFunction::all().map(HostFunction::row)
}

#[test]
fn every_name_leads_back_to_its_function() {
    for row in rows() {
        assert_eq!(row.function.row().import, row.import);
        assert_eq!(HostFunction::by_import(row.import), Some(row.function));
        if let Some((module, name)) = row.script {
            let found = HostFunction::by_script_name(module, name);
            assert_eq!(found, Some(row.function), "{module}::{name}");
        }
    }
    let named = HostFunction::by_script_name;
    assert_eq!(named("log", "warn"), Some(HostFunction::Log));
    assert_eq!(named("log", "shout"), None);
    assert_eq!(named("kv", "warn"), None);
}

/// The name a parameter has in the documents, and its type where that is not i32.
fn described(param: Param) -> String {
    match param {
        Param::Level => "level".to_owned(),
        Param::Field => "field".to_owned(),
        Param::Offset => "offset".to_owned(),
        Param::Bytes(name) | Param::OrNone(name) => format!("{name}, {name}_len"),
        Param::Into => "into, room".to_owned(),
        Param::Place(name) => format!("{name}_ptr"),
        Param::Integer(name) => format!("{name}: i64"),
        Param::Ttl => "ttl_ms: i64".to_owned(),
        Param::Float(name) => format!("{name}: f64"),
    }
}

fn import_type(row: &Row) -> String {
    let params: Vec<String> = row.params.iter().map(|param| described(*param)).collect();
    let gives = match row.import_result() {
        None => "",
        Some(Value::I64) => " -> i64",
        Some(_) => " -> i32",
    };
    format!("({}){gives}", params.join(", "))
}

fn script_form(row: &Row) -> String {
    let Some((module, name)) = row.script else {
        // A script cannot wait.
        let is_variable = row.needs != Some(Call::Query);
        return if is_variable { "(a variable)" } else { "" }.to_owned();
    };
    let name = if row.params.first() == Some(&Param::Level) {
        "trace/info/warn/error"
    } else {
        name
    };
    let arguments: Vec<&str> = row
        .params
        .iter()
        .filter(|param| param.is_of_scripts())
        .map(|param| match param {
            Param::Bytes(name) | Param::OrNone(name) | Param::Integer(name) => name,
            Param::Float(name) => name,
            Param::Ttl => "[ttl_ms]",
            _ => "field",
        })
        .collect();
    format!("`{module}::{name}({})`", arguments.join(", "))
}

/// The table as `plugins/README.md` has it.
fn page() -> String {
    let mut page = String::from(
        "| import | type | `call` | script | bytes at most | fuel a byte |\n|---|---|---|---|--:|--:|\n",
    );
    for row in rows() {
        let needs = row.needs.map_or("", |call| call.name());
        let takes_bytes = row
            .params
            .iter()
            .any(|param| matches!(param, Param::Bytes(_) | Param::OrNone(_)));
        let (most, fuel) = if takes_bytes {
            let fuel = match row.cost.eighths {
                1 => "1/8".to_owned(),
                eighths => (eighths / 8).to_string(),
            };
            (format!("{} KiB", row.cost.bytes_max >> 10), fuel)
        } else {
            (String::new(), String::new())
        };
        let cells = [
            format!("`{}`", row.import),
            format!("`{}`", import_type(row)),
            needs.to_owned(),
            script_form(row),
            most,
            fuel,
        ];
        for cell in cells {
            write!(page, "| {cell} ").expect("a String takes it");
        }
        page.push_str("|\n");
    }
    page.replace("|  |", "| |").replace("|  |", "| |")
}

#[test]
fn the_page_has_the_table() {
    let (_, section) = PAGE.split_once("## Host functions").expect("that section");
    let written: String = section
        .lines()
        .skip_while(|line| !line.starts_with("| import"))
        .take_while(|line| line.starts_with('|'))
        .map(|line| format!("{line}\n"))
        .collect();
    let page = page();
    assert!(
        written == page,
        "plugins/README.md must have this table:\n\n{page}"
    );
}

/// The WebAssembly type of a parameter or result as the SDK declares it.
fn declared(of: &str) -> Value {
    match of.trim() {
        "i64" => Value::I64,
        "f64" => Value::F64,
        "i32" | "usize" | "*const u8" | "*mut u8" => Value::I32,
        other => panic!("the SDK declares a {other}"),
    }
}

#[test]
fn the_sdk_declares_and_mocks_every_function() {
    let (raw, _) = SDK.split_once("pub(crate) use raw::").expect("the imports");
    let mut count = 0;
    for row in rows() {
        let start = format!(" fn {}(", row.import);
        let Some((_, after)) = raw.split_once(&start) else {
            panic!("sdk/src/import.rs lacks `{}`", row.import);
        };
        let (declaration, _) = after.split_once(';').expect("an end");
        let (params, result) = declaration.split_once(')').expect("parameters");
        let params: Vec<Value> = params
            .split(',')
            .filter_map(|param| param.split_once(':'))
            .map(|(_, of)| declared(of))
            .collect();
        let result = result.trim().strip_prefix("->").map(declared);
        let expected: Vec<Value> = row.import_params().collect();
        assert_eq!((params, result), (expected, row.import_result()), "{start}");
        assert!(
            MOCKS.contains(&start),
            "sdk/src/testing.rs lacks `{}`",
            row.import
        );
        count += 1;
    }
    assert_eq!(raw.matches(" fn ").count(), count, "and no other");
}

#[test]
fn the_documents_name_every_function_and_permission() {
    for row in rows() {
        if let Some((module, name)) = row.script {
            let written = format!("`{module}::{name}(");
            assert!(
                SCRIPTS.contains(&written),
                "docs/scripts.md lacks {written}"
            );
        }
        if let Some(call) = row.needs {
            let cell = format!("`{}`", call.name());
            let described = POLICY
                .lines()
                .filter_map(|line| line.strip_prefix("| "))
                .filter_map(|line| line.split(" |").next())
                .any(|first| first.split(", ").any(|word| word == cell));
            assert!(described, "docs/policy.md does not say what {cell} allows");
        }
    }
}

#[test]
fn log_lines_cannot_be_forged() {
    assert_eq!(printable(b"a\nb\x1b[31m\xff", 100), "a b [31m\u{fffd}");
    assert_eq!(printable(b"abc", 2), "ab");
}
