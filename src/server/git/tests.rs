//! Commits of repositories that git itself has made, loose and packed, and what becomes of them when a file changes.

use super::*;
use std::process::Command;

/// A work tree that goes when its owner goes.
struct Repository(PathBuf);

impl Drop for Repository {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

impl Repository {
    fn new(name: &str, arguments: &[&str]) -> Self {
        let path = std::env::temp_dir().join(format!("pgwarden-{name}-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&path));
        std::fs::create_dir(&path).unwrap();
        let repository = Self(path.canonicalize().unwrap());
        repository.git(&[&["init", "-q", "-b", "main"], arguments].concat());
        repository
    }

    fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &self.0)
            .args(["-c", "user.name=a", "-c", "user.email=a@b"])
            .arg("-C")
            .arg(&self.0)
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?} {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn commit(&self) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", "more"]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// What is told of files as they are read now.
    fn told(&self, names: &[&str]) -> String {
        let paths = names.iter().map(|name| self.0.join(name));
        let files: Vec<(PathBuf, Vec<u8>)> = paths
            .map(|path| {
                let bytes = std::fs::read(&path).unwrap();
                (path, bytes)
            })
            .collect();
        let files = files.iter().map(|(path, bytes)| (&**path, &**bytes));
        commit_of(&self.0.join("deep/policy.toml"), files).unwrap()
    }
}

const NAMES: [&str; 3] = ["deep/policy.toml", "deep/more/users.toml", "shared.toml"];

/// Long enough that git makes a delta of the next version.
fn long(change: usize) -> String {
    let lines = (0..2_000).map(|line| {
        let change = if line == change { "changed" } else { "" };
        format!("line {line} {}{change}\n", line * 7919)
    });
    lines.collect()
}

#[track_caller]
fn follows(repository: &Repository, change: impl Fn(&Repository)) {
    for name in NAMES {
        repository.write(name, &format!("# {name}\n{}", long(0)));
    }
    let mut commit = repository.commit();
    for version in 1..6 {
        change(repository);
        assert_eq!(repository.told(&NAMES), commit, "version {version}");
        repository.write(NAMES[1], &format!("# {}\n{}", NAMES[1], long(version)));
        assert_eq!(repository.told(&NAMES), format!("{commit}-dirty"));
        assert_eq!(repository.told(&[NAMES[0], NAMES[2]]), commit, "not read");
        repository.git(&["add", "-A"]);
        assert_eq!(repository.told(&NAMES), format!("{commit}-dirty"), "staged");
        commit = repository.commit();
    }
    repository.write("deep/new.toml", "");
    let with_new = [NAMES[0], "deep/new.toml"];
    assert_eq!(repository.told(&with_new), format!("{commit}-dirty"));
    assert_eq!(repository.told(&NAMES), commit, "another file is");
    assert_eq!(short_commit(&commit), commit[..8]);
    assert_eq!(
        short_commit(&repository.told(&with_new)),
        format!("{}-dirty", &commit[..8])
    );
}

#[test]
fn a_file_that_is_not_as_in_the_commit_is_told_from_loose_objects() {
    follows(&Repository::new("git-loose", &[]), |_| ());
}

#[test]
fn and_from_packs_with_deltas() {
    let repository = Repository::new("git-packed", &[]);
    follows(&repository, |repository| {
        repository.git(&["gc", "-q", "--prune=now"]);
        repository.git(&["pack-refs", "--all"]);
    });
    let packs = repository.0.join(".git/objects/pack");
    let listed = repository.git(&["verify-pack", "-v", &{
        let mut found = std::fs::read_dir(packs).unwrap();
        let path = found.find_map(|one| {
            let path = one.unwrap().path();
            path.extension()
                .is_some_and(|ending| ending == "idx")
                .then_some(path)
        });
        path.unwrap().display().to_string()
    }]);
    assert!(
        listed.contains("chain length"),
        "no delta was read: {listed}"
    );
}

#[test]
fn and_where_deltas_name_what_they_are_of() {
    let repository = Repository::new("git-named", &[]);
    follows(&repository, |repository| {
        repository.git(&[
            "-c",
            "repack.useDeltaBaseOffset=false",
            "repack",
            "-a",
            "-d",
            "-q",
            "-f",
        ]);
    });
}

#[test]
fn and_with_longer_hashes() {
    let repository = Repository::new("git-long", &["--object-format=sha256"]);
    follows(&repository, |repository| {
        repository.git(&[
            "-c",
            "repack.useDeltaBaseOffset=false",
            "repack",
            "-a",
            "-d",
            "-q",
            "-f",
        ]);
    });
}

#[test]
fn a_second_work_tree_and_borrowed_objects_are_read_as_well() {
    let first = Repository::new("git-first", &[]);
    for name in NAMES {
        first.write(name, name);
    }
    let commit = first.commit();
    let from = first.0.display().to_string();
    let second = Repository(
        first
            .0
            .with_file_name(format!("pgwarden-git-second-{}", std::process::id())),
    );
    let path = second.0.display().to_string();
    first.git(&["worktree", "add", "-q", &path, "-b", "other"]);
    assert_eq!(second.told(&NAMES), commit);
    second.write(NAMES[2], "changed");
    assert_eq!(second.told(&NAMES), format!("{commit}-dirty"));
    first.git(&["worktree", "remove", "--force", &path]);
    first.git(&["clone", "-q", "--shared", &from, &path]);
    assert_eq!(second.told(&NAMES), commit);
}

#[test]
fn what_cannot_be_read_is_not_called_clean() {
    let repository = Repository::new("git-broken", &[]);
    repository.write(NAMES[0], "policy");
    let commit = repository.commit();
    let objects = repository.0.join(".git/objects");
    std::fs::remove_dir_all(&objects).unwrap();
    std::fs::create_dir(&objects).unwrap();
    assert_eq!(repository.told(&NAMES[..1]), format!("{commit}-unread"));
    let path = objects.join(&commit[..2]);
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join(&commit[2..]), "no object").unwrap();
    assert_eq!(repository.told(&NAMES[..1]), format!("{commit}-unread"));
}

#[test]
fn a_file_outside_of_git_has_no_commit() {
    assert_eq!(commit_of(Path::new("/proc/self/status"), []), None);
}

#[test]
fn git_is_at_work_while_its_lock_is_there() {
    let root = std::env::temp_dir().join(format!("pgwarden-git-{}", std::process::id()));
    let git = root.join(".git");
    std::fs::create_dir_all(&git).unwrap();
    let policy = root.join("policy.toml");
    std::fs::write(&policy, "").unwrap();
    assert!(!is_changing(&policy));
    std::fs::write(git.join("index.lock"), "").unwrap();
    assert!(is_changing(&policy));
    std::fs::remove_dir_all(&root).unwrap();
    assert!(!is_changing(&policy));
}

#[test]
fn only_a_hash_is_a_commit() {
    assert_eq!(hash("main"), None);
    assert!(hash("0123456789012345678901234567890123456789").is_some());
}
