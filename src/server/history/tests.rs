//! The order of revisions, how many stay, and what comes back from a folder.

use super::*;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;

fn entry(bundle: &str) -> Entry {
    Entry {
        policy: "p".to_owned(),
        revision: format!("{bundle:0>8}"),
        bundle: bundle.to_owned(),
        commit: None,
        loaded: "2026-01-01T00:00:00Z".to_owned(),
        by: "reload".to_owned(),
        root: "/etc/policy.toml".into(),
        environment: None,
        folder: "/".into(),
    }
}

fn snapshot(text: &str) -> Snapshot {
    let file = |name: &str, text: &str| (PathBuf::from(name), Arc::from(text.as_bytes()));
    let files = BTreeMap::from([file("/etc/empty", ""), file("/etc/policy.toml", text)]);
    Snapshot::new(files, BTreeSet::from(["/etc/password".into()]))
}

fn put(history: &History, bundle: &str, keep: usize) {
    history.put(entry(bundle), snapshot(bundle), keep);
}

fn bundles(history: &History) -> Vec<String> {
    let entries = history.entries().into_iter();
    entries.map(|entry| entry.bundle).collect()
}

fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("pgwarden-{name}-{}", std::process::id()));
    drop(std::fs::remove_dir_all(&path));
    path
}

#[test]
fn the_newest_is_first_and_the_same_bytes_stand_once() {
    let history = History::default();
    for bundle in ["a", "b", "c", "a"] {
        put(&history, bundle, 5);
    }
    assert_eq!(bundles(&history), ["a", "c", "b"]);
    let (found, bytes) = history.back(1).unwrap();
    assert_eq!(found, entry("c"));
    assert_eq!(&*bytes.files[Path::new("/etc/policy.toml")], b"c");
    put(&history, "d", 2);
    assert_eq!(bundles(&history), ["d", "a", "c"]);
    put(&history, "e", 0);
    assert_eq!(bundles(&history), ["e"]);
    assert_eq!(history.back(1).unwrap_err(), "no earlier revision is kept");
}

#[test]
fn a_folder_gives_back_what_was_put_there_and_is_for_one_process() {
    let path = folder("history");
    let history = History::open(Some(&path)).unwrap();
    for bundle in ["a", "b", "c", "b"] {
        put(&history, bundle, 2);
    }
    let error = History::open(Some(&path)).unwrap_err();
    assert!(error.contains("another process"), "{error}");
    drop(history);
    let history = History::open(Some(&path)).unwrap();
    assert_eq!(bundles(&history), ["b", "c", "a"]);
    let (found, bytes) = history.back(2).unwrap();
    assert_eq!(found, entry("a"));
    assert_eq!((bytes.files, bytes.secrets), {
        let all = snapshot("a");
        (all.files, all.secrets)
    });
    put(&history, "d", 1);
    assert_eq!(bundles(&history), ["d", "b"]);
    let files = std::fs::read_dir(&path).unwrap().count();
    assert_eq!(files, 3, "two revisions and the lock");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    std::fs::remove_dir_all(&path).unwrap();
}

#[test]
fn a_changed_file_is_not_built_from_and_a_strange_one_is_left_alone() {
    let path = folder("history-changed");
    let history = History::open(Some(&path)).unwrap();
    put(&history, "a", 5);
    let file = history.lock()[0].bytes.clone();
    let Held::File(file) = file else {
        panic!("{file:?}");
    };
    let mut bytes = std::fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let error = history.back(0).unwrap_err();
    assert!(error.contains("is not what was written"), "{error}");
    std::fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
    assert!(history.back(0).is_err());
    drop(history);
    std::fs::write(path.join("000000000009-strange.revision"), "{}\n").unwrap();
    let history = History::open(Some(&path)).unwrap();
    assert_eq!(bundles(&history), ["a"]);
    assert!(path.join("000000000009-strange.revision").exists());
    std::fs::remove_dir_all(&path).unwrap();
}

#[test]
fn a_folder_that_others_can_read_is_refused() {
    let path = folder("history-open");
    std::fs::create_dir(&path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o750)).unwrap();
    let error = History::open(Some(&path)).unwrap_err();
    assert!(error.contains("chmod 700"), "{error}");
    std::fs::remove_dir_all(&path).unwrap();
}

#[test]
fn a_revision_of_another_environment_or_folder_is_not_built() {
    let source = |environment: Option<&str>| Source {
        path: "policy.toml".into(),
        environment: environment.map(str::to_owned),
        trust: Default::default(),
    };
    let mut kept = entry("a");
    assert_eq!(kept.fits(&source(None)), Ok(()));
    assert!(kept.fits(&source(Some("prod"))).is_err());
    kept.environment = Some("prod".to_owned());
    assert_eq!(kept.fits(&source(Some("prod"))), Ok(()));
    kept.root = "policy.toml".into();
    kept.folder = "/nowhere".into();
    assert!(kept.fits(&source(Some("prod"))).is_err());
}
