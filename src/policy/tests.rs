//! Whole policies, read from memory: what is accepted, what is refused and how that is told, and what the revision is of.

mod attributes;
mod broken;
mod documents;
mod fuzz;
mod load;
mod plugins;
mod revision;
mod signed;

use super::*;
use std::cell::RefCell;
use std::path::PathBuf;

/// Files in memory, and the environment.
#[derive(Default)]
pub(super) struct Memory {
    files: BTreeMap<PathBuf, Vec<u8>>,
    environment: BTreeMap<String, String>,
    /// The trust root, if there is one.
    pub(super) trusted: Option<BTreeMap<String, String>>,
    pub(super) requires_signatures: bool,
    pub(super) modes: BTreeMap<PathBuf, u32>,
    pub(super) asked: RefCell<Vec<PathBuf>>,
}

impl Memory {
    pub(super) fn file(mut self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.files.insert(path.into(), content.as_ref().to_vec());
        self
    }

    /// The first `old` of a file becomes `new`.
    pub(super) fn replace(&mut self, path: &str, old: &str, new: &str) {
        let content = self.files.get_mut(Path::new(path));
        let content = content.unwrap_or_else(|| panic!("no {path}"));
        let text = String::from_utf8_lossy(content).replacen(old, new, 1);
        *content = text.into_bytes();
    }

    pub(super) fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    pub(super) fn load(&self, environment: Option<&str>) -> (Option<Policy>, Report) {
        let (policy, report) = load(Path::new("policy.toml"), environment, self);
        (policy.ok(), report)
    }

    /// The policy, which must be right.
    pub(super) fn policy(&self) -> Policy {
        let (policy, report) = self.load(None);
        policy.unwrap_or_else(|| panic!("{}", report.render(Colour::Never)))
    }
}

impl Files for Memory {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.asked.borrow_mut().push(path.to_owned());
        self.files
            .get(path)
            .cloned()
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such file"))
    }

    fn env(&self, name: &str) -> Option<String> {
        self.environment.get(name).cloned()
    }

    fn trusted_key(&self, name: &str) -> Option<io::Result<Vec<u8>>> {
        let key = self.trusted.as_ref()?.get(name);
        let missing = || io::Error::new(io::ErrorKind::NotFound, "no such file");
        Some(key.map(|key| key.clone().into_bytes()).ok_or_else(missing))
    }

    fn requires_signatures(&self) -> bool {
        self.requires_signatures
    }

    fn mode(&self, path: &Path) -> Option<u32> {
        self.modes.get(path).copied()
    }
}

pub(super) const SMALLEST: &str = r#"
policy = 1
name   = "quickstart"

[listener.main]
bind = ["127.0.0.1:6432"]

[node.pg]
role = "primary"
host = "127.0.0.1"

[pool.main]
database = "*"
nodes    = ["pg"]

[pipeline.default]
otherwise = { authorize = "allow" }
"#;

pub(super) fn smallest(more: &str) -> Memory {
    Memory::default().file("policy.toml", format!("{SMALLEST}\n{more}"))
}

pub(super) fn repository_file(path: &str) -> String {
    let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every policy of the repository, those that are included by others too.
pub(super) fn policies() -> Vec<String> {
    let mut found = Vec::new();
    for folder in ["policies", "policies/tenants"] {
        let path = format!("{}/{folder}", env!("CARGO_MANIFEST_DIR"));
        for entry in std::fs::read_dir(&path).unwrap_or_else(|error| panic!("{path}: {error}")) {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".toml") {
                found.push(format!("{folder}/{name}"));
            }
        }
    }
    assert!(4 <= found.len(), "{found:?}");
    found
}

/// Plugins that need not be modules here: this floor only hashes them.
fn repository(name: &str) -> Memory {
    let read = |path: &str| repository_file(&format!("policies/{path}"));
    let mut memory = Memory::default().file("policy.toml", read(name));
    for plugin in ["column_mask", "deny_ddl", "jwt_auth", "tenant_guard"] {
        let hash = crate::digest::sha256_hex(plugin.as_bytes());
        memory = memory.file(&format!("plugins/{plugin}.wasm"), plugin).file(
            &format!("plugins/{plugin}.wasm.sha256"),
            format!("{hash}  {plugin}.wasm\n"),
        );
    }
    memory.file("tenants/users.toml", read("tenants/users.toml"))
}

#[test]
fn the_policies_of_the_repository_are_right() {
    for name in [
        "cached-catalog.toml",
        "column-mask.toml",
        "jwt-login.toml",
        "quickstart.toml",
        "read-only-analysts.toml",
        "tenant-isolation.toml",
    ] {
        let policy = repository(name).policy();
        assert!(!policy.tests.is_empty(), "{name}");
        assert!(!policy.stages.is_empty(), "{name}");
    }
}

#[test]
fn the_smallest_policy_has_documented_defaults() {
    let policy = smallest("").policy();
    assert_eq!(&*policy.name, "quickstart");
    let pool = &policy.pools[0];
    assert_eq!(
        (pool.mode, pool.size, pool.wait.as_secs()),
        (PoolMode::Session, 20, 120)
    );
    assert_eq!(
        policy.nodes[0].address,
        NodeAddress::Tcp {
            host: "127.0.0.1".into(),
            port: 5432
        }
    );
    assert_eq!(policy.listeners[0].tls.mode, ListenerTlsMode::Disable);
    assert!(policy.pipelines[0].otherwise.authorize_allows());
    assert_eq!(policy.pipelines[0].builtin.len(), 3);
    assert_eq!(policy.pool_of("anyone", "anything"), Some(0));
    assert_eq!(policy.sql.on_unparsed, OnUnparsed::Deny);
}

#[test]
fn variables_are_chosen_by_environment_and_environment_variables_are_typed() {
    let text = SMALLEST.replace(
        "\"127.0.0.1\"\n\n[pool",
        "{ var = \"host\" }\nport = { env = \"PORT\" }\n\n[pool",
    );
    let memory = Memory::default()
        .file(
            "policy.toml",
            format!("{text}\n[vars]\nhost = \"a\"\n[env.prod.vars]\nhost = \"b\"\n"),
        )
        .variable("PORT", "6000");
    for (environment, host) in [(None, "a"), (Some("prod"), "b")] {
        let policy = memory.load(environment).0.unwrap();
        assert_eq!(
            policy.nodes[0].address,
            NodeAddress::Tcp {
                host: host.into(),
                port: 6000
            }
        );
    }
    let (policy, report) = memory.load(Some("prd"));
    assert!(policy.is_none());
    assert!(
        report.lines()[0].contains("did you mean `prod`?"),
        "{:?}",
        report.lines()
    );
}

#[test]
fn includes_add_names_and_are_read_beside_the_including_file() {
    let memory = smallest("[user.a]\nroles = [\"app\"]\ntrust = true\n")
        .file(
            "policies/roles.toml",
            "policy = 1\ninclude = [\"more.toml\"]\n[role.app]\n",
        )
        .file(
            "policies/more.toml",
            "policy = 1\n[user.b]\npassword = { file = \"b.secret\" }\n",
        )
        .file("policies/b.secret", "hunter2\n");
    let text = memory.files[Path::new("policy.toml")].clone();
    let text = String::from_utf8(text).unwrap().replace(
        "[listener",
        "include = [\"policies/roles.toml\"]\n[listener",
    );
    let memory = memory.file("policy.toml", text);
    let policy = memory.policy();
    assert_eq!(policy.users.len(), 2);
    let Credential::Password(secret) = &policy.users["b"].credential else {
        panic!("{:?}", policy.users["b"]);
    };
    assert_eq!(secret.expose_text(), Some("hunter2"));
    assert!(!format!("{policy:?}").contains("hunter2"));
}

#[test]
fn pools_are_found_by_the_closest_pattern() {
    let pool = |name: &str, database: &str| {
        format!("[pool.{name}]\ndatabase = {database:?}\nnodes = [\"pg\"]\n")
    };
    let memory = smallest(
        &[
            pool("shop", "shop"),
            pool("shops", "shop*"),
            pool("test", "shop_test*"),
        ]
        .concat(),
    );
    let policy = memory.policy();
    let name = |database: &str| {
        policy
            .pool_of("x", database)
            .map(|id| policy.pools[id].name.to_string())
    };
    for (database, expected) in [
        ("shop", "shop"),
        ("shop_eu", "shops"),
        ("shop_test_1", "test"),
        ("other", "main"),
    ] {
        assert_eq!(name(database).as_deref(), Some(expected), "{database}");
    }
}

#[test]
fn a_script_knows_where_each_of_its_bytes_is_written() {
    let stage = |script: &str| {
        format!(
            "[stage.s]\nhook = \"authorize\"\nscript = {script}\n[stage.o]\nhook = \"authorize\"\nallow = true\n"
        )
    };
    let pipeline = SMALLEST.replace("otherwise", "authorize = [\"s\", \"o\"]\notherwise");
    let memory = |script: &str| {
        Memory::default().file("policy.toml", format!("{pipeline}{}", stage(script)))
    };
    let place = |memory: &Memory, span| {
        let (policy, report) = memory.load(None);
        let policy = policy.unwrap();
        let stage = policy
            .stages
            .iter()
            .find(|stage| &*stage.name == "s")
            .unwrap();
        let Action::Script(script) = &stage.action else {
            panic!()
        };
        let place = report.place(script.place_of(span));
        (place.file.display().to_string(), place.line, place.column)
    };
    let line = u32::try_from(pipeline.lines().count()).unwrap() + 3;
    assert_eq!(
        place(&memory("'''\nlet x = 1;\nnext()\n'''"), 15..19),
        ("policy.toml".to_owned(), line + 2, 5)
    );
    assert_eq!(
        place(&memory("\"next(\\\"\\\")\""), 5..6),
        ("policy.toml".to_owned(), line, 10)
    );
    let in_file = memory("{ file = \"s.rhai\" }").file("s.rhai", "let x = 1;\nnext()\n");
    assert_eq!(place(&in_file, 11..15), ("s.rhai".to_owned(), 2, 1));
}
