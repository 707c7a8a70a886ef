//! The git commit a policy lies in, read from `.git` itself. Owns no judgement: no work tree, no commit.

use std::path::Path;
use std::path::PathBuf;

/// The commit that the work tree around `file` has checked out.
pub(super) fn commit_of(file: &Path) -> Option<String> {
    let git = folder_of(file)?;
    let head = std::fs::read_to_string(git.join("HEAD")).ok()?;
    match head.trim().strip_prefix("ref: ") {
        None => hash(head.trim()),
        Some(name) => find_ref(&git, name),
    }
}

/// Whether git is changing the work tree around `file` right now.
pub(super) fn is_changing(file: &Path) -> bool {
    folder_of(file).is_some_and(|git| git.join("index.lock").exists())
}

fn folder_of(file: &Path) -> Option<PathBuf> {
    let file = file.canonicalize().ok()?;
    let git = file
        .ancestors()
        .skip(1)
        .map(|folder| folder.join(".git"))
        .find(|git| git.exists())?;
    git_folder(&git)
}

/// A work tree's `.git` is a file that names the folder.
fn git_folder(git: &Path) -> Option<PathBuf> {
    if git.is_dir() {
        return Some(git.to_owned());
    }
    let text = std::fs::read_to_string(git).ok()?;
    let folder = Path::new(text.trim().strip_prefix("gitdir: ")?);
    Some(git.parent()?.join(folder))
}

fn find_ref(git: &Path, name: &str) -> Option<String> {
    let common =
        std::fs::read_to_string(git.join("commondir")).map(|common| git.join(common.trim()));
    let roots = [Some(git.to_owned()), common.ok()];
    roots.iter().flatten().find_map(|root| {
        let loose = std::fs::read_to_string(root.join(name))
            .ok()
            .and_then(|text| hash(text.trim()));
        loose.or_else(|| {
            let packed = std::fs::read_to_string(root.join("packed-refs")).ok()?;
            packed
                .lines()
                .find_map(|line| hash(line.strip_suffix(name)?.trim_end()))
        })
    })
}

fn hash(text: &str) -> Option<String> {
    let is_hash =
        matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_outside_of_git_has_no_commit() {
        assert_eq!(commit_of(Path::new("/proc/self/status")), None);
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
}
