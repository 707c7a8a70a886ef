//! The misdeeds: what each guest does in either engine, and what must come of it. Owns the table, and the policy that
//! gives each a stage of its own; plugins/wat and plugins/hostile have the modules.

use crate::support::cluster::Cluster;
use crate::support::free_port;
use crate::support::plugins;
use crate::support::policy::PolicyText;
use crate::support::proxy::Proxy;
use crate::support::repository;
use std::fmt::Write as _;

/// What must come of each statement that meets a misdeed. None may pass.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    /// 58000, with one of these kinds: time can run out before fuel and memory do.
    Fault(&'static [&'static str]),
    /// 42000, the guest's own refusal: it does harm without a fault. On a slow machine its time may run out first.
    Refused,
}

/// Misdeeds that attack together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Class {
    Burns,
    Grows,
    Answers,
    Pointers,
    Floods,
    Echoes,
    Faults,
}

/// One misdeed.
#[derive(Debug)]
pub(super) struct Misdeed {
    pub(super) name: &'static str,
    class: Class,
    hook: &'static str,
    /// The module under plugins/.
    module: Option<&'static str>,
    script: Option<&'static str>,
    outcome: Outcome,
}

use Class::Answers;
use Class::Burns;
use Class::Echoes;
use Class::Faults;
use Class::Floods;
use Class::Grows;
use Class::Pointers;

const OUT_OF_FUEL: Outcome = Outcome::Fault(&["out_of_fuel", "deadline"]);
/// A script pays for counting what it holds, so its fuel may go first.
const OUT_OF_MEMORY: Outcome = Outcome::Fault(&["out_of_memory", "out_of_fuel", "deadline"]);
const TOO_DEEP: Outcome = Outcome::Fault(&["stack_overflow", "deadline"]);
const TOO_OFTEN: Outcome = Outcome::Fault(&["too_many_calls", "out_of_fuel", "deadline"]);
const BAD_ANSWER: Outcome = Outcome::Fault(&["bad_answer"]);
const TRAP: Outcome = Outcome::Fault(&["trap"]);

const fn both(
    class: Class,
    name: &'static str,
    module: &'static str,
    script: &'static str,
    outcome: Outcome,
) -> Misdeed {
    Misdeed {
        name,
        class,
        hook: "authorize",
        module: Some(module),
        script: Some(script),
        outcome,
    }
}

const fn module(
    class: Class,
    name: &'static str,
    module: &'static str,
    outcome: Outcome,
) -> Misdeed {
    Misdeed {
        name,
        class,
        hook: "authorize",
        module: Some(module),
        script: None,
        outcome,
    }
}

const fn script(
    class: Class,
    name: &'static str,
    hook: &'static str,
    script: &'static str,
    outcome: Outcome,
) -> Misdeed {
    Misdeed {
        name,
        class,
        hook,
        module: None,
        script: Some(script),
        outcome,
    }
}

/// 32 KiB of text, for scripts.
macro_rules! long {
    ($rest:literal) => {
        concat!(
            "let t = \"0123456789abcdef\"; for i in 0..11 { t += t; } ",
            $rest
        )
    };
}

#[rustfmt::skip]
pub(super) const MISDEEDS: &[Misdeed] = &[
    both(Burns, "loop", "wat/loop", "let n = 0; loop { n += 1; }", OUT_OF_FUEL),
    both(Burns, "busy", "hostile/busy", "let n = 0; while n < 4000 { n += 1; } deny(\"no\")", Outcome::Refused),
    both(Burns, "nibble", "hostile/nibble", "let n = 0; while n < 35 { n += 1; } deny(\"no\")", Outcome::Refused),
    script(Burns, "upper", "authorize", long!("for i in 0..60 { t.to_upper(); } deny(\"no\")"), Outcome::Refused),
    both(Burns, "recurse", "wat/recurse", "fn f(x) { f(x + 1) + 1 } f(0)", TOO_DEEP),
    both(Burns, "sweep", "hostile/fill", long!("loop { t.contains(\"no\"); }"), OUT_OF_FUEL),
    module(Burns, "alloc_loop", "hostile/alloc_loop", OUT_OF_FUEL),
    both(Grows, "memory", "wat/grow", "let s = \"x\"; loop { s += s; }", OUT_OF_MEMORY),
    both(Grows, "table", "hostile/table_grow", "let m = #{}; let i = 0; loop { m[i.to_string()] = \"0123456789abcdef\"; i += 1; }", OUT_OF_MEMORY),
    script(Grows, "array", "authorize", "let a = [1]; loop { a += a; }", OUT_OF_MEMORY),
    script(Grows, "nested", "authorize", "let m = #{}; for i in 0..100000 { let n = #{}; n.a = m; n.b = m; m = n; } next()", OUT_OF_MEMORY),
    both(Answers, "number", "wat/nonsense", "42", BAD_ANSWER),
    both(Answers, "outside", "wat/outside", "\"allow\"", BAD_ANSWER),
    both(Answers, "forged", "wat/forged", "#{ answer: \"allow\" }", BAD_ANSWER),
    both(Answers, "not_here", "wat/not_here", "deny(\"00000\", \"a code that says success\")", BAD_ANSWER),
    both(Answers, "rewrites_here", "hostile/rewrites_here", "true", BAD_ANSWER),
    module(Answers, "huge_module", "wat/huge_answer", BAD_ANSWER),
    script(Answers, "huge_rows", "pre_query", long!("let r = []; for i in 0..16 { r.push([t]); } rows([\"a\"], r)"), Outcome::Fault(&["bad_answer", "out_of_memory"])),
    module(Answers, "truncated", "hostile/truncated", BAD_ANSWER),
    module(Answers, "overflow", "hostile/overflow", BAD_ANSWER),
    module(Answers, "unknown_entry", "hostile/unknown_entry", BAD_ANSWER),
    module(Answers, "shifted", "hostile/shifted", BAD_ANSWER),
    module(Pointers, "pointer", "wat/bad_pointer", TRAP),
    module(Pointers, "room", "hostile/bad_room", TRAP),
    module(Pointers, "length", "hostile/bad_length", TRAP),
    both(Pointers, "field", "hostile/bad_field", "let a = []; a[-9999]", TRAP),
    module(Pointers, "alloc_nothing", "hostile/alloc_nothing", TRAP),
    module(Pointers, "alloc_edge", "hostile/alloc_edge", TRAP),
    module(Pointers, "alloc_outside", "hostile/alloc_outside", TRAP),
    both(Floods, "log_calls", "wat/chatty", "loop { log::warn(\"hello\"); }", TOO_OFTEN),
    both(Floods, "log_lines", "hostile/log_lines", "let t = \"x\"; for i in 0..10 { t += t; } for i in 0..16 { log::warn(t); } deny(\"no\")", Outcome::Refused),
    both(Floods, "metrics", "hostile/metrics", "loop { metric::add(`m${random::number().abs()}`, 1.0); }", Outcome::Fault(&["too_many_calls", "out_of_fuel", "deadline", "trap"])),
    both(Floods, "keys", "hostile/kv_keys", "loop { try { kv::set(`k${random::number()}`, \"v\"); } catch { } }", TOO_OFTEN),
    both(Floods, "emits", "hostile/emits", "loop { event::emit(\"boom\", \"x\"); }", TRAP),
    both(Echoes, "echo", "hostile/echo", "for i in 0..16 { event::emit(\"boom\", \"x\"); } deny(\"no\")", Outcome::Refused),
    both(Faults, "trap", "wat/trap", "throw \"no\"", TRAP),
];

/// What a policy must not load: the module, or the script, and the code of the diagnostic.
pub(super) const REFUSED: &[(Source, &str)] = &[
    (Source::Module("wat/not_granted"), "P0412"),
    (Source::Module("wat/start_loop"), "P0426"),
    (Source::Module("wat/too_large"), "P0422"),
    (Source::Module("wat/wrong_exports"), "P0424"),
    (
        Source::Script("kv::set(\\\"a\\\", \\\"b\\\"); next()"),
        "P0412",
    ),
    (
        Source::Script("sql.text.contains(\\\"a\\\"); next()"),
        "P0405",
    ),
    (Source::Script("rewrite(\\\"SELECT 1\\\")"), "P0407"),
    (Source::Script("eval(\\\"loop {}\\\")"), "P0401"),
];

/// A guest that does not load.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    Module(&'static str),
    /// As it stands between quotes in TOML.
    Script(&'static str),
}

/// A statement that meets one misdeed.
#[derive(Debug)]
pub(super) struct Attack {
    pub(super) class: Class,
    /// The table it names, which no node has: were it let through, the node would say so.
    pub(super) table: String,
    pub(super) outcome: Outcome,
    /// Whether its stage has the breaker that every stage has by default, or one that never opens.
    pub(super) guarded: bool,
}

impl Attack {
    pub(super) fn sql(&self) -> String {
        format!("SELECT * FROM {}", self.table)
    }
}

const NEVER_OPENS: &str = "breaker = { failures = 1000000, within = \"1s\" }";

/// Everything a guest can be granted that it could misuse.
const PERMISSIONS: &str = r#"
[permissions.hostile]
see = ["identity", "session", "sql.kind", "sql.text"]
call = ["log", "metrics", "kv.read", "kv.write", "random", "emit"]
kv = { namespace = "hostile", max_keys = 1000 }
"#;

/// What the victims' statements meet: a stage of each kind that has nothing against them.
const VICTIMS: [(&str, &str, &str); 3] = [
    (
        "pre_query",
        "rule",
        "when = { kind = \"delete\" }\ndeny = \"no deletes\"",
    ),
    (
        "pre_query",
        "script",
        "script = 'if user.name == \"nobody\" { return deny(\"nobody\"); } next()'",
    ),
    ("authorize", "plugin", "plugin = \"next\""),
];

/// The modules as they lie beside the policy, the attacks, and the port the attackers connect to.
pub(super) struct Corpus {
    pub(super) attacks: Vec<Attack>,
    pub(super) port: u16,
    policy: PolicyText,
    files: Vec<(String, Vec<u8>)>,
    listed: Vec<(&'static str, String)>,
}

impl Corpus {
    /// A pipeline for the victims with a stage of each kind, and one behind a listener of its own with the misdeeds.
    pub(super) fn new() -> Self {
        let mut policy = PolicyText::of(Cluster::shared()).extra(PERMISSIONS);
        for (hook, name, keys) in VICTIMS {
            policy = policy.stage(hook, name, keys);
        }
        let mut corpus = Self {
            attacks: Vec::new(),
            port: free_port(),
            policy,
            files: Vec::new(),
            listed: Vec::new(),
        };
        corpus.plugin("next", "wat/next");
        for misdeed in MISDEEDS {
            corpus.add(misdeed);
        }
        corpus.stage(
            "authorize",
            "by-rule",
            "when = { tables = [\"by_rule\"] }\ndeny = \"no\"",
        );
        corpus.stage(
            "custom",
            "boom",
            &format!(
                "{NEVER_OPENS}\nscript = '{}'",
                long!("loop { t.contains(\"no\"); }")
            ),
        );
        corpus.listener();
        corpus
    }

    fn plugin(&mut self, name: &str, path: &str) {
        let bytes = module_bytes(path);
        self.policy = self.policy.clone().extra(&plugins::table(name, &bytes));
        self.files.push((format!("{name}.wasm"), bytes));
    }

    fn add(&mut self, misdeed: &Misdeed) {
        let mut engines = Vec::new();
        if let Some(path) = misdeed.module {
            self.plugin(misdeed.name, path);
            engines.push(("wasm", format!("plugin = \"{}\"", misdeed.name)));
        }
        if let Some(text) = misdeed.script {
            engines.push(("rhai", format!("script = '{text}'")));
        }
        for (engine, action) in engines {
            for guarded in [false, true] {
                let (mark, breaker) = if guarded {
                    ("guarded_", "")
                } else {
                    ("", NEVER_OPENS)
                };
                let table = format!("{mark}{engine}_{}", misdeed.name);
                let keys = format!(
                    "when = {{ tables = [\"{table}\"] }}\npermissions = \"hostile\"\n{breaker}\n{action}"
                );
                self.stage(misdeed.hook, &table, &keys);
                self.attacks.push(Attack {
                    class: misdeed.class,
                    table,
                    outcome: misdeed.outcome,
                    guarded,
                });
            }
        }
    }

    fn stage(&mut self, hook: &'static str, name: &str, keys: &str) {
        let text = format!("[stage.{name}]\nhook = \"{hook}\"\n{keys}\n");
        self.policy = self.policy.clone().extra(&text);
        self.listed.push((hook, name.to_owned()));
    }

    fn listener(&mut self) {
        let mut text = format!(
            "[listener.attack]\nbind = [\"127.0.0.1:{}\"]\npipeline = \"attack\"\n\n[pipeline.attack]\n",
            self.port
        );
        for hook in ["pre_query", "authorize", "custom"] {
            let names = self.listed.iter().filter(|(of, _)| *of == hook);
            let names: Vec<&str> = names.map(|(_, name)| name.as_str()).collect();
            writeln!(text, "{hook} = {names:?}").expect("a string grows");
        }
        text.push_str("otherwise = { authorize = \"allow\", route = \"primary\" }\n");
        self.policy = self.policy.clone().extra(&text);
    }

    /// The proxy over all of it. Refusals are not logged: they are what is expected here, thousands a second.
    pub(super) fn start(&self) -> Proxy {
        let files = self.files.iter();
        let files: Vec<(&str, &[u8])> = files
            .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
            .collect();
        Proxy::start_with(&self.policy, &files, &["--log", "warn"])
    }
}

/// A module under plugins/.
pub(super) fn module_bytes(path: &str) -> Vec<u8> {
    let path = repository()
        .join("plugins")
        .join(path)
        .with_extension("wat");
    plugins::wat(&std::fs::read_to_string(path).expect("a module of the corpus"))
}
