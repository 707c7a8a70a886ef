//! Plugins made for heliosdb-proxy: what each hook is told, what each answer means, and what is a fault.

mod answers;

use crate::hook::Answer;
use crate::hook::Hook;
use crate::hook::Refusal;
use crate::hook::abi::Field;
use crate::sandbox::Abi;
use crate::sandbox::Artefact;
use crate::sandbox::Attribute;
use crate::sandbox::Fault;
use crate::sandbox::Grants;
use crate::sandbox::GuestSpec;
use crate::sandbox::HostFunction;
use crate::sandbox::LoadError;
use crate::sandbox::ManifestForm;
use crate::sandbox::Services;
use crate::sandbox::inspect_wasm;
use crate::sandbox::load_wasm;
use crate::sandbox::tests::Stub;
use crate::sandbox::tests::ask_at;
use crate::sandbox::tests::stub;
use crate::sandbox::tests::trusted;
use serde_json::Value;
use serde_json::json;
use std::sync::Arc;

const NOTE: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/plugins/wat/helios_note.wat"
));
const CALLS: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/plugins/wat/helios_calls.wat"
));
const MISBEHAVES: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/plugins/wat/helios_misbehaves.wat"
));
const NIL: &str = "00000000-0000-0000-0000-000000000000";

fn spec(hook: Hook) -> GuestSpec {
    GuestSpec {
        hooks: vec![hook],
        abi: Abi::Helios1,
        ..trusted()
    }
}

fn asked(text: &str, spec: GuestSpec, sql: &str, services: &Arc<Stub>) -> Result<Answer, Fault> {
    let hook = spec.hooks[0];
    let module = wat::parse_str(text).unwrap();
    let guest = load_wasm(&module, spec).unwrap_or_else(|errors| panic!("{errors:?}"));
    let asked = ask_at(&*guest, hook, sql, services);
    asked
        .map(|reply| reply.answer)
        .map_err(|failed| failed.fault)
}

/// What a guest of this spec is told.
fn told(spec: GuestSpec, sql: &str) -> Value {
    let services = stub();
    let hook = spec.hooks[0];
    let answer = asked(NOTE, spec, sql, &services).unwrap();
    assert!(
        matches!(answer, Answer::Continue | Answer::Defer),
        "{hook}: {answer:?}"
    );
    let text = services.store().get("n", b"in", 0).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn refused(text: &str, spec: GuestSpec) -> Vec<LoadError> {
    let module = wat::parse_str(text).unwrap();
    load_wasm(&module, spec).err().expect("refused")
}

fn context() -> Value {
    json!({
        "request_id": NIL, "client_id": NIL, "database": "shop", "branch": null, "attributes": {},
        "identity": { "user_id": null, "username": "ada", "roles": ["app", "dba"], "tenant_id": "7", "claims": {} },
    })
}

fn query() -> Value {
    json!({
        "query": "SELECT \"a\" FROM orders, audit.log WHERE id = 7\n",
        "normalized": "select \"a\" from orders, audit.log where id = $1",
        "tables": ["orders", "audit.log"], "is_read_only": true, "hook_context": context(),
    })
}

#[test]
fn each_hook_is_told_its_shape() {
    let sql = "SELECT \"a\" FROM orders, audit.log WHERE id = 7\n";
    for hook in Hook::all() {
        let expected = match hook {
            Hook::Authenticate => json!({
                "headers": { "user": "ada" }, "username": "ada", "password": "hunter2",
                "client_ip": "10.0.0.9", "database": "shop",
            }),
            Hook::Custom => json!({ "name": "", "payload": "", "hook_context": context() }),
            Hook::OnConnect | Hook::OnDisconnect => context(),
            Hook::CacheSet | Hook::PostQuery | Hook::Metrics => json!([query(), {
                "success": true, "target_node": null, "elapsed_us": 1_500, "response_bytes": 0, "error": null,
            }]),
            _ => query(),
        };
        assert_eq!(told(spec(hook), sql), expected, "{hook}");
    }
}

#[test]
fn what_is_not_granted_is_empty() {
    let kv = trusted().grants.kv;
    let granting = |hook, see: &[crate::sandbox::See]| {
        let mut spec = spec(hook);
        spec.grants = Grants {
            see: see.iter().copied().collect(),
            call: spec.grants.call,
            kv: kv.clone(),
            name: "few".into(),
            ..Grants::standard()
        };
        spec
    };
    let nothing = json!({
        "request_id": "", "client_id": "", "database": "", "branch": null, "identity": null, "attributes": {},
    });
    let query = json!({
        "query": "", "normalized": "", "tables": [], "is_read_only": false, "hook_context": nothing,
    });
    let sql = "SELECT 'secret' FROM orders";
    assert_eq!(told(granting(Hook::PreQuery, &[]), sql), query);
    let outcome = json!({
        "success": false, "target_node": null, "elapsed_us": 0, "response_bytes": 0, "error": null,
    });
    assert_eq!(
        told(granting(Hook::PostQuery, &[]), sql),
        json!([query, outcome])
    );
    assert_eq!(
        told(granting(Hook::Authenticate, &[]), sql),
        json!({ "headers": {}, "username": "", "password": null, "client_ip": "", "database": "" })
    );
    let tables = told(
        granting(Hook::PreQuery, &[crate::sandbox::See::SqlTables]),
        sql,
    );
    assert_eq!(tables["tables"], json!(["orders"]));
    assert_eq!(tables["query"], "");
}

#[test]
fn attributes_are_fields_under_other_names() {
    let attribute = |name: &str, field, key: Option<&str>| Attribute {
        name: name.into(),
        field,
        key: key.map(Into::into),
    };
    let spec = GuestSpec {
        attributes: vec![
            attribute("tenant_id", Field::UserTenant, None),
            attribute("team", Field::UserAttributes, Some("team")),
            attribute("none", Field::UserAttributes, Some("colour")),
            attribute("rows", Field::ResultRows, None),
            attribute("roles", Field::UserRoles, None),
            attribute("from", Field::Client, None),
            attribute("tls", Field::Tls, None),
            attribute("id", Field::ClientId, None),
            attribute("kinds", Field::Kinds, None),
            attribute("tables", Field::Tables, None),
            attribute("code", Field::Code, None),
        ],
        ..spec(Hook::PostQuery)
    };
    let told = told(spec, "SELECT * FROM a.b, c");
    assert_eq!(
        told[0]["hook_context"]["attributes"],
        json!({
            "tenant_id": "7", "team": "red", "rows": "3", "roles": "app,dba", "from": "10.0.0.9", "tls": "true",
            "id": NIL, "kinds": "select", "tables": "c,a.b",
        })
    );
}

#[test]
fn a_field_that_is_not_granted_is_no_attribute_either() {
    let mut spec = GuestSpec {
        attributes: vec![Attribute {
            name: "tenant_id".into(),
            field: Field::UserTenant,
            key: None,
        }],
        ..spec(Hook::PreQuery)
    };
    spec.grants.see.remove(&crate::sandbox::See::Identity);
    assert_eq!(
        told(spec, "SELECT 1")["hook_context"]["attributes"],
        json!({})
    );
}

#[test]
fn every_import_does_what_it_says() {
    let answer = asked(CALLS, spec(Hook::PreQuery), "SELECT 1", &stub());
    let hash = "cd42404d52ad55ccfa9aca4adc828aa5800ad9d385a0671fbcbf724118320619";
    assert_eq!(
        answer,
        Ok(Answer::Block(Refusal::new(format!("value{hash}"))))
    );
}

#[test]
fn a_value_that_cannot_be_stored_is_a_fault() {
    let mut full = spec(Hook::PreQuery);
    full.grants.kv.as_mut().unwrap().max_bytes = 8;
    let fault = asked(NOTE, full, "SELECT 1", &stub()).unwrap_err();
    assert_eq!(fault.kind(), "trap");
    assert!(fault.to_string().contains("full"), "{fault}");
}

#[test]
fn what_a_guest_does_wrong_is_a_fault_of_its_kind() {
    for (hook, kind) in [
        (Hook::PreQuery, "bad_answer"),
        (Hook::Rewrite, "bad_answer"),
        (Hook::Authorize, "bad_answer"),
        (Hook::CacheGet, "bad_answer"),
        (Hook::Route, "trap"),
        (Hook::Authenticate, "out_of_fuel"),
    ] {
        let fault = asked(MISBEHAVES, spec(hook), "SELECT 1", &stub()).unwrap_err();
        assert_eq!(fault.kind(), kind, "{hook}: {fault}");
    }
    let empty = asked(MISBEHAVES, spec(Hook::Custom), "", &stub());
    assert_eq!(empty, Ok(Answer::Continue));
    for room in [
        "i32.const 0",
        "i32.const -1",
        "i32.const 65535",
        "unreachable",
    ] {
        let text = NOTE.replace("i32.const 1024", room);
        let fault = asked(&text, spec(Hook::PreQuery), "SELECT 1", &stub()).unwrap_err();
        assert_eq!(fault.kind(), "trap", "{room}");
    }
}

#[test]
fn more_than_it_may_be_told_is_a_fault() {
    let mut small = spec(Hook::PreQuery);
    small.limits.input_bytes_max = 2_000;
    assert!(asked(NOTE, small.clone(), "SELECT 1", &stub()).is_ok());
    // Within the limit as a frame, over it as JSON.
    let sql = format!("SELECT '{}'", "\u{1}".repeat(400));
    let fault = asked(NOTE, small, &sql, &stub()).unwrap_err();
    assert_eq!(fault.kind(), "input_too_large");
}

#[test]
fn nothing_of_a_call_is_left_to_the_next() {
    let text = r#"(module (memory (export "memory") 1) (global $calls (mut i32) (i32.const 0))
        (func (export "alloc") (param i32) (result i32) i32.const 4096)
        (func (export "pre_query") (param i32 i32) (result i64)
            (if (i32.or (global.get $calls) (i32.load (i32.const 0))) (then unreachable))
            (global.set $calls (i32.const 1)) (i32.store (i32.const 0) (i32.const 1)) i64.const 0))"#;
    let guest = load_wasm(&wat::parse_str(text).unwrap(), spec(Hook::PreQuery))
        .ok()
        .unwrap();
    for _ in 0..3 {
        let reply = ask_at(&*guest, Hook::PreQuery, "SELECT 1", &stub()).unwrap();
        assert_eq!(reply.answer, Answer::Continue);
        assert!(0 < reply.fuel);
    }
}

#[test]
fn what_does_not_fit_is_told_at_load() {
    for (text, code, message, help) in [
        (
            NOTE.replace("\"kv_set\"", "\"kv_sett\""),
            "P0425",
            "env.kv_sett",
            "env.kv_set",
        ),
        (
            NOTE.replace("\"env\"", "\"pgwarden1\""),
            "P0425",
            "pgwarden1.kv_set",
            "leave `abi` out",
        ),
        (
            NOTE.replace(
                "(func $kv_set (param i32 i32 i32 i32))",
                "(func $kv_set (param i32 i32 i32 i64))",
            )
            .replace("(local.get 1)))", "(i64.const 1)))"),
            "P0424",
            "env.kv_set",
            "",
        ),
        (
            NOTE.replace("\"alloc\"", "\"alloc_\""),
            "P0423",
            "`alloc`",
            "alloc_",
        ),
        (
            NOTE.replace("\"dealloc\") (param i32 i32)", "\"dealloc\") (param i32)"),
            "P0424",
            "`dealloc`",
            "",
        ),
        (
            NOTE.replace("\"pre_query\"", "\"prequery\""),
            "P0423",
            "`pre_query`",
            "prequery",
        ),
    ] {
        let errors = refused(&text, spec(Hook::PreQuery));
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!(errors[0].code, code, "{errors:?}");
        assert!(errors[0].message.contains(message), "{errors:?}");
        assert!(
            errors[0].help.clone().unwrap_or_default().contains(help),
            "{errors:?}"
        );
    }
    let mut poor = spec(Hook::PreQuery);
    poor.grants = Grants::standard();
    let errors = refused(NOTE, poor);
    assert_eq!(errors[0].code, "P0412");
    assert_eq!(errors[0].not_granted_by(), Some("call"));
    // And the other way round: a plugin of theirs, loaded as one of ours.
    let ours = GuestSpec {
        abi: Abi::Pgwarden1,
        ..spec(Hook::PreQuery)
    };
    let errors = refused(NOTE, ours);
    let help = errors[0].help.as_deref().unwrap_or_default();
    assert!(help.contains("helios-1"), "{errors:?}");
}

#[test]
fn a_plugin_of_theirs_without_imports_is_known_by_its_exports() {
    let ours = GuestSpec {
        abi: Abi::Pgwarden1,
        ..spec(Hook::PreQuery)
    };
    let errors = refused(MISBEHAVES, ours);
    let help = errors[0].help.as_deref().unwrap_or_default();
    assert!(help.contains("helios-1"), "{errors:?}");
}

#[test]
fn its_manifest_says_which_hooks_it_is_made_for() {
    let module = wat::parse_str(NOTE).unwrap();
    let artefact = Artefact::read(&module.clone().into(), module.len()).unwrap();
    let about = "name: note\nhooks: [PostQuery]\n";
    let mut known = spec(Hook::PreQuery);
    known.manifest = Some(artefact.told_beside(about, ManifestForm::Yaml).unwrap());
    let errors = refused(NOTE, known.clone());
    assert_eq!(errors[0].code, "P0428", "{errors:?}");
    known.hooks = vec![Hook::PostQuery];
    assert!(load_wasm(&module, known).is_ok());
}

#[test]
fn people_are_told_how_it_is_called_and_what_it_imports() {
    let inspected = inspect_wasm(&wat::parse_str(CALLS).unwrap()).unwrap();
    assert_eq!(inspected.abi, Abi::Helios1);
    let functions: Vec<_> = inspected.imports.iter().map(|i| i.function).collect();
    let expected = [
        HostFunction::KvGet,
        HostFunction::KvSet,
        HostFunction::KvDelete,
        HostFunction::Sha256,
    ];
    assert_eq!(functions, expected.map(Some));
}
