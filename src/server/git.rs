//! The git commit a policy lies in and whether its files are as they are there, read from `.git` itself. No program is run. Owns no
//! judgement: no work tree, no commit.

mod objects;

use crate::digest::from_hex;
use objects::Kind;
use objects::Objects;
use std::io;
use std::path::Path;
use std::path::PathBuf;

/// Said behind the commit where a file of the policy is not as it is there: as `git describe --dirty` does.
const DIRTY: &str = "-dirty";
/// Said where git's objects cannot be read here: of a partial clone, or in a form that this program does not know.
const UNREAD: &str = "-unread";
/// The mode of a folder in a tree.
const FOLDER: &[u8] = b"40000";

/// The commit that the work tree around `root` has checked out; with `-dirty` where one of `files`, as they were read, is not as it is
/// in that commit, byte for byte, or is not in it at all. Files outside of the work tree say nothing.
pub(super) fn commit_of<'f>(
    root: &Path,
    files: impl IntoIterator<Item = (&'f Path, &'f [u8])>,
) -> Option<String> {
    let git = folder_of(root)?;
    let commit = checked_out(&git)?;
    Some(match is_clean(root, &git, &commit, files) {
        Ok(true) => commit,
        Ok(false) => commit + DIRTY,
        Err(_) => commit + UNREAD,
    })
}

/// The beginning of a commit, and what is said behind it.
#[must_use]
pub fn short_commit(commit: &str) -> String {
    const SHORT: usize = 8;
    let (hash, state) = commit.split_once('-').unwrap_or((commit, ""));
    let mut short = hash.get(..SHORT).unwrap_or(hash).to_owned();
    if !state.is_empty() {
        short.push('-');
        short.push_str(state);
    }
    short
}

fn checked_out(git: &Path) -> Option<String> {
    let head = std::fs::read_to_string(git.join("HEAD")).ok()?;
    match head.trim().strip_prefix("ref: ") {
        None => hash(head.trim()),
        Some(name) => find_ref(git, name),
    }
}

fn is_clean<'f>(
    root: &Path,
    git: &Path,
    commit: &str,
    files: impl IntoIterator<Item = (&'f Path, &'f [u8])>,
) -> io::Result<bool> {
    let objects = Objects::open(common(git).join("objects"));
    let top = top_of(root).ok_or(io::ErrorKind::NotFound)?;
    let tree = tree_of(&objects, commit)?;
    for (path, bytes) in files {
        // Where the file lies, whatever links lead there.
        let Ok(inside) = path.canonicalize()?.strip_prefix(&top).map(Path::to_owned) else {
            continue;
        };
        match find(&objects, tree.clone(), &inside)? {
            Some(blob) if objects.read(&blob)?.bytes == bytes => (),
            _ => return Ok(false),
        }
    }
    Ok(true)
}

/// The tree of a commit: its first line is `tree HASH`.
fn tree_of(objects: &Objects, commit: &str) -> io::Result<Vec<u8>> {
    let object = objects.read(&from_hex(commit).ok_or(io::ErrorKind::InvalidData)?)?;
    let line = object.bytes.split(|byte| *byte == b'\n').next();
    let hex = line.and_then(|line| std::str::from_utf8(line).ok()?.strip_prefix("tree "));
    let id = hex
        .filter(|_| object.kind == Kind::Commit)
        .and_then(from_hex);
    id.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The blob at a path of a tree.
fn find(objects: &Objects, tree: Vec<u8>, path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut id = tree;
    let mut parts = path.components().peekable();
    while let Some(part) = parts.next() {
        let object = objects.read(&id)?;
        if object.kind != Kind::Tree {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let name = part.as_os_str().as_encoded_bytes();
        let Some((is_folder, found)) = entry(&object.bytes, name, id.len()) else {
            return Ok(None);
        };
        if is_folder != parts.peek().is_some() {
            return Ok(None);
        }
        id = found;
    }
    Ok(Some(id))
}

/// The entry of a name: `MODE NAME\0` and the hash, one after the other.
fn entry(tree: &[u8], wanted: &[u8], hash_bytes: usize) -> Option<(bool, Vec<u8>)> {
    let mut rest = tree;
    while !rest.is_empty() {
        let space = memchr::memchr(b' ', rest)?;
        let end = memchr::memchr(0, rest)?;
        let (mode, name) = (rest.get(..space)?, rest.get(space + 1..end)?);
        let id = rest.get(end + 1..end + 1 + hash_bytes)?;
        if name == wanted {
            return Some((mode == FOLDER, id.to_vec()));
        }
        rest = rest.get(end + 1 + hash_bytes..)?;
    }
    None
}

/// Whether git is changing the work tree around `file` right now.
pub(super) fn is_changing(file: &Path) -> bool {
    folder_of(file).is_some_and(|git| git.join("index.lock").exists())
}

/// The folder whose `.git` is the work tree's.
fn top_of(file: &Path) -> Option<PathBuf> {
    let file = file.canonicalize().ok()?;
    let mut folders = file.ancestors().skip(1);
    let top = folders.find(|folder| folder.join(".git").exists())?;
    Some(top.to_owned())
}

fn folder_of(file: &Path) -> Option<PathBuf> {
    git_folder(&top_of(file)?.join(".git"))
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

/// What the work trees of one repository have in common: refs and objects.
fn common(git: &Path) -> PathBuf {
    let common = std::fs::read_to_string(git.join("commondir"));
    common.map_or_else(|_| git.to_owned(), |common| git.join(common.trim()))
}

fn find_ref(git: &Path, name: &str) -> Option<String> {
    [git.to_owned(), common(git)].iter().find_map(|root| {
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
mod tests;
