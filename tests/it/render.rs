//! `pgwarden render`: its output is a policy that means what the original means.

use crate::support::Folder;
use crate::support::document;
use crate::support::proxy::pgwarden;
use crate::support::repository;
use crate::support::said::Said;
use crate::support::script;
use std::path::Path;
use std::process::Command;

#[test]
fn the_commands_of_the_document_print_what_it_shows() {
    document::check("render.md", 4, |_| false);
}

/// What a verb prints; it must succeed.
#[track_caller]
fn verb(arguments: &[&str], policy: &Path) -> String {
    Said::ends(pgwarden(arguments).arg(policy), 0).out
}

#[test]
fn every_policy_of_the_repository_means_the_same_as_one_text() {
    script("plugins.sh", &[]);
    let folder = Folder::new("render");
    let copied = Command::new("cp")
        .arg("-R")
        .arg(repository().join("policies"))
        .arg(folder.path())
        .status();
    assert!(copied.is_ok_and(|status| status.success()));
    let policies = folder.path().join("policies");
    let mut count = 0;
    for entry in std::fs::read_dir(&policies).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str());
        let Some(name) = name.filter(|name| name.ends_with(".toml")) else {
            continue;
        };
        count += 1;
        let checked = verb(&["check"], &path);
        for options in [&["render"][..], &["render", "--defaults"]] {
            let text = verb(options, &path);
            let whole = folder.write("policies/whole.toml", &text);
            // Revision, and how many stages, pipelines and tests there are.
            assert_eq!(
                verb(&["check"], &whole),
                checked,
                "{name} {options:?}\n{text}"
            );
            let told = verb(&["diff", path.to_str().expect("a path")], &whole);
            assert!(told.contains("no difference in meaning"), "{name}\n{told}");
            std::fs::remove_file(whole).expect("it was written");
        }
    }
    assert!(7 < count, "{count} policies");
}

#[test]
fn a_policy_with_mistakes_exits_78() {
    let folder = Folder::new("render");
    let path = folder.write("policy.toml", "policy = 1\n[listner.main]\n");
    let said = Said::ends(pgwarden(&["render"]).arg(path), 78);
    assert!(said.out.is_empty());
    assert!(said.err.contains("`listener`"), "{}", said.err);
}
