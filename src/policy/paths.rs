//! Paths as policies write them, folded and seen from one another. Asks no file system.

use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

/// Folds `.` and `..` without asking the file system; a leading `..` stays.
pub(super) fn fold(path: &Path) -> PathBuf {
    let mut folded = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => (),
            Component::ParentDir
                if matches!(folded.components().next_back(), Some(Component::Normal(_))) =>
            {
                folded.pop();
            }
            other => folded.push(other),
        }
    }
    folded
}

/// `path` as seen from `folder`; both are folded, and begin at the same place.
pub(super) fn relative(path: &Path, folder: &Path) -> PathBuf {
    let mut rest = path.components().peekable();
    let mut up = folder.components().peekable();
    while rest.peek().is_some() && rest.peek() == up.peek() {
        rest.next();
        up.next();
    }
    up.map(|_| Component::ParentDir).chain(rest).collect()
}
