//! What a layout looks like, and that it changes nothing else: on the policies of the repository, and on documents that nobody wrote.

use super::*;
use crate::policy::tests::Memory;
use crate::policy::tests::policies;
use crate::policy::tests::repository_file;
use proptest::prelude::Just;
use proptest::prelude::ProptestConfig;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prelude::prop;
use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::prop_oneof;
use proptest::proptest;

fn laid(text: &str) -> String {
    match layout(Path::new("policy.toml"), text) {
        Ok(laid) => laid,
        Err(error) => panic!("{error:?}\n{text}"),
    }
}

#[track_caller]
fn becomes(text: &str, expected: &str) {
    assert_eq!(laid(text), expected);
    assert_eq!(laid(expected), expected, "again");
}

#[test]
fn keys_and_tables_have_their_order_and_columns() {
    becomes(
        "name='shop'\npolicy=1\n[pipeline.default]\notherwise={authorize=\"allow\"}\n[node.pg]\nport = 5432\nhost = \"h\"   # where\nrole=\"primary\"\n\n\n[listener.main]\nbind=[ \"127.0.0.1:1\" ,'[::1]:1' , ]",
        "policy = 1\nname   = 'shop'\n\n[listener.main]\nbind = [\"127.0.0.1:1\", '[::1]:1']\n\n[node.pg]\nrole = \"primary\"\nhost = \"h\"                                    # where\nport = 5432\n\n[pipeline.default]\notherwise = { authorize = \"allow\" }\n",
    );
}

#[test]
fn comments_stay_with_what_they_are_about() {
    becomes(
        "#:schema x\n# the file\npolicy = 1\n# of b\n[stage.b]\n# of deny\ndeny = \"no\"\nhook = \"authorize\"\n# allow = true\n\n# of what follows\n\n# of p\n[plugin.p] # the plugin\npath = \"p\"\n\n# the end",
        "#:schema x\n# the file\npolicy = 1\n\n# of what follows\n\n# of p\n[plugin.p]                                    # the plugin\npath = \"p\"\n\n# of b\n[stage.b]\nhook = \"authorize\"\n# of deny\ndeny = \"no\"\n# allow = true\n\n# the end\n",
    );
}

#[test]
fn what_is_set_apart_stays_apart() {
    becomes(
        "policy = 1\n\n# ------ one\n[stage.a]\nallow = true\n\nhook = \"authorize\"\n[role.r]\n# ------ two\n\n# why\n[node.b]\nhost = \"h\"\n[listener.l]\nbind = []\n",
        "policy = 1\n\n# ------ one\n[role.r]\n\n[stage.a]\nallow = true\n\nhook = \"authorize\"\n\n# ------ two\n\n[listener.l]\nbind = []\n\n# why\n[node.b]\nhost = \"h\"\n",
    );
}

#[test]
fn tables_without_keys_may_stand_close() {
    becomes(
        "[role.a]\n[role.b] # second\n\n[role.c]\n[user.d]\ntrust=true\n",
        "[role.a]\n[role.b]                                      # second\n\n[role.c]\n\n[user.d]\ntrust = true\n",
    );
}

#[test]
fn lists_are_broken_where_they_were_or_where_they_must_be() {
    let long: Vec<String> = (0..30).map(|n| format!("\"a{n:02}\"")).collect();
    let flat = format!("tables = [{}]\n", long.join(","));
    let broken: String = long.iter().map(|item| format!("  {item},\n")).collect();
    becomes(&flat, &format!("tables = [\n{broken}]\n"));
    becomes(
        "a = [\n1, [2,\n3], {b=[\n4]}, # four\n # five\n]\nb = [1,\n2]\nc = [ # first\n]\nd = {}\n",
        "a = [\n  1,\n  [2, 3],\n  { b = [\n    4,\n  ] },                                        # four\n  # five\n]\nb = [1, 2]\nc = [\n  # first\n]\nd = {}\n",
    );
    // More than TOML says, and accepted all the same.
    becomes("a = { b =\r\n 1, c\n=\n2 }\n", "a = { b = 1, c = 2 }\n");
    // TOML 1.1 only, and so left: a comment cannot go anywhere else.
    becomes(
        "a = { b = 1, # one\n c = 2 }\nd = {\n e = 3 }\n",
        "a = {\n  b = 1,                                      # one\n  c = 2,\n}\nd = { e = 3 }\n",
    );
}

#[test]
fn texts_numbers_and_dates_are_left_byte_for_byte() {
    let script = "[stage.s]\nscript = '''\n  let a = 1;\t# no comment\r\n\n\n[x]\n'''\nwhen={bytes=1_000,time=1979-05-27 07:32:00Z,f=1.50e3}\n";
    becomes(
        script,
        "[stage.s]\nwhen   = { bytes = 1_000, time = 1979-05-27 07:32:00Z, f = 1.50e3 }\nscript = '''\n  let a = 1;\t# no comment\r\n\n\n[x]\n'''\n",
    );
    becomes("a=nan\nb=-nan\nc = -0.0\n", "a = nan\nb = -nan\nc = -0.0\n");
    becomes("a=1\r\n\r\n\r\n# b \t\r\nc = 2", "a = 1\n\n# b\nc = 2\n");
    becomes("\u{feff}a.\"b c\" . 'd'=1", "a.\"b c\".'d' = 1\n");
    becomes("", "");
    becomes("\n\n# only\n\n\n", "# only\n");
}

#[test]
fn a_text_that_is_not_toml_is_told_where() {
    let Err(LayoutError::Broken(report)) = layout(Path::new("p.toml"), "a = 1\nb = \n") else {
        panic!("it is laid out");
    };
    assert!(report.lines()[0].starts_with("p.toml:2:"), "{report:?}");
}

#[test]
fn the_policies_of_the_repository_are_laid_out() {
    for path in policies() {
        let text = repository_file(&path);
        assert!(laid(&text) == text, "run `pgwarden fmt {path}`");
    }
}

/// Other blanks, line breaks and order of tables: nothing that means anything.
fn disturbed(text: &str, seed: u64) -> String {
    let mut state = seed | 1;
    let mut chance = move |of: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) % of
    };
    // Scripts and broken lists are kept whole: only lines `key = value` outside of them are touched.
    let mut parts: Vec<String> = vec![String::new()];
    let mut within = false;
    for line in text.lines() {
        if !within && line.starts_with('[') && !line.starts_with("[[") {
            parts.push(String::new());
        }
        let part = parts.last_mut().unwrap();
        let is_plain = !within && !line.starts_with([' ', '#', ']', '[']);
        match line.split_once('=').filter(|_| is_plain) {
            Some((key, value)) => {
                let blanks = " ".repeat(usize::try_from(chance(9)).unwrap());
                part.push_str(&format!("{}{blanks}={blanks}{}", key.trim(), value.trim()));
            }
            None => part.push_str(line),
        }
        within ^= line.matches("'''").count() % 2 == 1;
        let ending = if !within && chance(5) == 0 {
            "\r\n"
        } else {
            "\n"
        };
        part.push_str(ending);
    }
    // Tables of `[[test]]` stay with theirs, which come last.
    let top = parts.remove(0);
    let tests = parts.pop().unwrap_or_default();
    for at in (1..parts.len()).rev() {
        parts.swap(at, usize::try_from(chance(at as u64 + 1)).unwrap());
    }
    format!("{top}{}{tests}", parts.concat())
}

#[test]
fn no_layout_changes_the_revision() {
    let memory = |path: &str, text: &str| {
        let mut memory = Memory::default().file("policies/policy.toml", text);
        for other in policies() {
            memory = memory.file(&other, repository_file(&other));
        }
        for plugin in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/plugins")).unwrap() {
            let name = plugin.unwrap().file_name().into_string().unwrap();
            let hash = crate::digest::sha256_hex(name.as_bytes());
            let file = format!("policies/plugins/{name}.wasm");
            memory = memory
                .file(&file, &name)
                .file(&format!("{file}.sha256"), hash);
        }
        let (policy, report) =
            crate::policy::load(Path::new("policies/policy.toml"), None, &memory);
        policy
            .unwrap_or_else(|_| panic!("{path}: {:?}", report.lines()))
            .revision
    };
    let mut seen = 0;
    for path in policies() {
        let text = repository_file(&path);
        if !text.contains("\n[pipeline.") {
            continue;
        }
        let revision = memory(&path, &text);
        for seed in 0..8 {
            let other = disturbed(&text, seed);
            assert_ne!(other, text, "{path}");
            assert_eq!(memory(&path, &laid(&other)), revision, "{path} {seed}");
        }
        seen += 1;
    }
    assert!(seen > 3);
}

/// A value of TOML with everything that may stand within.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        "[0-9]{1,4}",
        "\"[a-z #=,\\[\\]{}']{0,20}\"",
        "'[a-z #=,\\[\\]{}\"]{0,20}'",
        Just("'''\na # no comment\n\n  [b]\n'''".to_owned()),
        Just("\"\"\"a\\\n  b\"\"\"".to_owned()),
        Just("1979-05-27 07:32:00".to_owned()),
        Just("-1.5e3".to_owned()),
        Just("true".to_owned()),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        let gap = prop_oneof![
            4 => Just(""), 2 => Just(" "), 1 => Just("\n"), 1 => Just(" # c\n"), 1 => Just("\r\n  # d\r\n\n")
        ];
        let item = (gap.clone(), inner, gap.clone());
        let items = prop::collection::vec(item, 0..6);
        (items, gap, any::<bool>(), any::<bool>()).prop_map(|(items, gap, is_table, comma)| {
            let item = |(at, (before, value, behind)): (usize, &(&str, String, &str))| {
                let key = if is_table { format!("k{at} = ") } else { String::new() };
                format!("{before}{key}{value}{behind}")
            };
            let items: Vec<String> = items.iter().enumerate().map(item).collect();
            let comma = if comma && !items.is_empty() { "," } else { "" };
            let all = format!("{}{comma}{gap}", items.join(","));
            if is_table { format!("{{{all}}}") } else { format!("[{all}]") }
        })
    })
}

/// Lines of a file: tables of the language and others, keys, comments, blanks. Each name is used once.
fn document() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        4 => value().prop_map(|value| ("pair", value)),
        2 => "[a-z]{1,3}".prop_map(|name| ("header", name)),
        1 => "[a-z -]{0,12}".prop_map(|text| ("comment", text)),
        1 => Just(("blank", String::new())),
        1 => Just(("banner", String::new())),
        1 => Just(("test", String::new())),
    ];
    let keys = [
        "hook", "deny", "policy", "name", "x{}", "y{}", "\"a {}\"", "a.b{}",
    ];
    prop::collection::vec((line, 0..keys.len(), any::<bool>()), 0..24).prop_map(move |lines| {
        let nouns = ["stage", "listener", "node", "other", "user"];
        let mut text = String::new();
        for (at, ((kind, part), pick, noted)) in lines.into_iter().enumerate() {
            let note = if noted { " # n" } else { "" };
            let line = match kind {
                "pair" => {
                    let key = keys[pick].replace("{}", &at.to_string());
                    format!("{key} = {part}{note}")
                }
                "header" => format!("[{}.{part}{at}]{note}", nouns[pick % nouns.len()]),
                "test" => format!("[[test]]{note}"),
                "comment" => format!("# {part}"),
                "banner" => "# ----------- banner".to_owned(),
                _ => String::new(),
            };
            text.push_str(&format!("{line}\n"));
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 400 } else { 4_000 }))]

    /// `layout` itself refuses what would change a value, word or comment: so none of these is refused.
    #[test]
    fn every_document_can_be_laid_out_once(text in document()) {
        if toml::from_str::<toml::Table>(&text).is_ok() {
            let once = laid(&text);
            prop_assert_eq!(&laid(&once), &once, "{}", text);
            prop_assert!(!once.contains("\n\n\n") || once.contains("'''"), "{}", once);
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}|[\\[\\]{}=.,#\"'a1 \n\r\t]{0,80}") {
        drop(layout(Path::new("policy.toml"), &text));
    }
}
