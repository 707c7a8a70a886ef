//! The files of a policy as they were at a commit, read from git's objects: no work tree is touched, nothing is checked out and
//! no filter is run. Owns the two questions that git is asked; the environment, and the trust root, are those of now.
//!
//! A path that git has never been told of, as those of secrets, is read from the disk. One that is tracked now and was not there
//! then was missing then.

use crate::policy::Files;
use crate::server::Disk;
use std::cell::RefCell;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::io;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::ChildStdin;
use std::process::ChildStdout;
use std::process::Command;
use std::process::Stdio;

/// A policy file, a certificate or a plugin is not longer than this; as on the disk.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What git says of one object before its content.
const HEADER_BYTES_MAX: u64 = 64 * 1024;

/// The tree of a commit.
pub(super) struct GitFiles<'a> {
    disk: Disk<'a>,
    /// The commit, as a hash.
    commit: String,
    /// The folder whose `.git` it is.
    top: PathBuf,
    /// The folder of the policy, as the policy's paths begin with it.
    named: PathBuf,
    /// The same, as it is called within `top`.
    within: PathBuf,
    objects: RefCell<Objects>,
}

/// `git cat-file --batch`, which answers one path after the other.
struct Objects {
    git: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// What a path is at the commit.
enum Object {
    File(Vec<u8>),
    Missing,
    /// It leads out of the tree, to this place.
    Outside(PathBuf),
}

impl<'a> GitFiles<'a> {
    /// The files around `policy` at `revision`.
    pub(super) fn at(revision: &str, policy: &Path, disk: Disk<'a>) -> Result<Self, String> {
        // Such a word would be taken for an option.
        if revision.starts_with('-') || revision.is_empty() {
            return Err(format!("`{revision}` is no commit"));
        }
        let here = std::env::current_dir().map_err(|error| error.to_string())?;
        let folder = policy.parent().unwrap_or(Path::new(""));
        let named = fold(&here.join(folder));
        let real = named
            .canonicalize()
            .map_err(|error| format!("cannot read `{}`: {error}", folder.display()))?;
        let top = line(
            &real,
            &[OsStr::new("rev-parse"), OsStr::new("--show-toplevel")],
        )?;
        let top = PathBuf::from(top);
        let within = real
            .strip_prefix(&top)
            .map_err(|_| format!("`{}` is not in its git work tree", folder.display()))?
            .to_owned();
        let wanted = format!("{revision}^{{commit}}");
        let commit = line(
            &top,
            &[
                OsStr::new("rev-parse"),
                OsStr::new("--verify"),
                OsStr::new("--quiet"),
                OsStr::new(&wanted),
            ],
        )
        .map_err(|_| format!("git knows no commit `{revision}`"))?;
        let objects = Objects::open(&top).map_err(|error| no_git(&error))?;
        Ok(Self {
            disk,
            commit: commit.to_string_lossy().into_owned(),
            top,
            named,
            within,
            objects: RefCell::new(objects),
        })
    }

    /// The path within the tree; `None` where it lies outside of it.
    fn path_in_tree(&self, path: &Path) -> Option<PathBuf> {
        let here = std::env::current_dir().ok()?;
        let absolute = fold(&here.join(path));
        let beside = match absolute.strip_prefix(&self.named) {
            Ok(below) => self.within.join(below),
            Err(_) => {
                // Above the policy, as in `../shared/users.toml`.
                let mut up = self.named.as_path();
                let mut folder = self.within.clone();
                loop {
                    up = up.parent()?;
                    if !folder.pop() {
                        return absolute.strip_prefix(&self.top).ok().map(Path::to_owned);
                    }
                    if let Ok(below) = absolute.strip_prefix(up) {
                        break folder.join(below);
                    }
                }
            }
        };
        Some(beside)
    }

    /// Whether the tree of the commit has the path, with or without what is there.
    fn names(&self, path: &Path) -> bool {
        let mut object = OsString::from(format!("{}:", self.commit));
        object.push(path);
        let words = ["rev-parse", "--verify", "--quiet"].map(OsStr::new);
        line(&self.top, &[&words[..], &[object.as_os_str()]].concat()).is_ok()
    }

    /// Whether git keeps a file of that path now.
    fn is_tracked(&self, path: &Path) -> io::Result<bool> {
        let mut only = OsString::from(":(top,literal)");
        only.push(path);
        let told = git(&self.top)
            .args(["ls-files", "-z", "--"])
            .arg(only)
            .output()?;
        if !told.status.success() {
            let why = String::from_utf8_lossy(&told.stderr);
            return Err(io::Error::other(format!("git: {}", why.trim())));
        }
        Ok(!told.stdout.is_empty())
    }
}

impl Files for GitFiles<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let Some(inside) = self.path_in_tree(path) else {
            return self.disk.read(path);
        };
        match self.objects.borrow_mut().read(&self.commit, &inside)? {
            Object::File(bytes) => Ok(bytes),
            Object::Outside(place) => {
                let folder = self.top.join(&inside);
                let folder = folder.parent().unwrap_or(&self.top).to_owned();
                self.disk.read(&folder.join(place))
            }
            Object::Missing if self.names(&inside) => Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!(
                    "what it was at commit {:.12} is not in this clone; fetch it first",
                    self.commit
                ),
            )),
            Object::Missing if self.is_tracked(&inside)? => Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("it was not there at commit {:.12}", self.commit),
            )),
            Object::Missing => self.disk.read(path),
        }
    }

    /// Of a commit nobody knows; what is readable is a question about the files of now.
    fn mode(&self, _: &Path) -> Option<u32> {
        None
    }

    fn env(&self, name: &str) -> Option<String> {
        self.disk.env(name)
    }

    fn trusted_key(&self, name: &str) -> Option<io::Result<Vec<u8>>> {
        self.disk.trusted_key(name)
    }

    fn requires_signatures(&self) -> bool {
        self.disk.requires_signatures()
    }
}

impl Objects {
    fn open(top: &Path) -> io::Result<Self> {
        let mut git = git(top)
            .args(["cat-file", "--batch", "--follow-symlinks"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (Some(asks), Some(answers)) = (git.stdin.take(), git.stdout.take()) else {
            return Err(io::Error::other("git cannot be asked"));
        };
        Ok(Self {
            git,
            asks,
            answers: BufReader::new(answers),
        })
    }

    /// What `path` was at `commit`.
    fn read(&mut self, commit: &str, path: &Path) -> io::Result<Object> {
        let path = path.as_os_str().as_bytes();
        if path.contains(&b'\n') {
            return Err(io::Error::other(
                "git is asked line by line, and the path has several",
            ));
        }
        let question = [commit.as_bytes(), b":", path, b"\n"].concat();
        self.asks.write_all(&question)?;
        self.asks.flush()?;
        let header = self.line()?;
        let words: Vec<&str> = header.split(' ').collect();
        let size = |text: &str| text.parse::<u64>().map_err(|_| broken(&header));
        match words[..] {
            [_, "blob", bytes] => {
                let bytes = self.content(size(bytes)?)?;
                Ok(Object::File(bytes))
            }
            ["symlink", bytes] => {
                let target = self.content(size(bytes)?)?;
                Ok(Object::Outside(OsString::from_vec(target).into()))
            }
            ["dangling" | "loop" | "notdir", bytes] => {
                self.content(size(bytes)?)?;
                Ok(Object::Missing)
            }
            [_, "tree", bytes] => {
                self.content(size(bytes)?)?;
                Err(io::Error::new(io::ErrorKind::IsADirectory, "is a folder"))
            }
            _ if header.ends_with(" missing") => Ok(Object::Missing),
            _ => Err(broken(&header)),
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        let mut limited = self.answers.by_ref().take(HEADER_BYTES_MAX);
        limited.read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            return Err(broken("has ended"));
        }
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    /// An object's bytes, and the end of line behind them.
    fn content(&mut self, bytes: u64) -> io::Result<Vec<u8>> {
        if FILE_BYTES_MAX < bytes {
            // What follows is the answer to the next question.
            let mut rest = self.answers.by_ref().take(bytes.saturating_add(1));
            io::copy(&mut rest, &mut io::sink())?;
            let message = format!("is longer than {FILE_BYTES_MAX} bytes");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
        }
        let mut content = Vec::new();
        let all = bytes + 1;
        let read = self.answers.by_ref().take(all).read_to_end(&mut content)?;
        if u64::try_from(read) != Ok(all) || content.pop() != Some(b'\n') {
            return Err(broken("has ended"));
        }
        Ok(content)
    }
}

impl Drop for Objects {
    fn drop(&mut self) {
        // It has nothing to lose, and it may be waiting to be read.
        drop(self.git.kill());
        drop(self.git.wait());
    }
}

fn broken(what: &str) -> io::Error {
    io::Error::other(format!("git: {what}"))
}

/// What a hook of git tells the programs it runs: the work tree of a policy is found by its folder alone.
const OF_HOOKS: [&str; 4] = ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"];

/// git in a folder, in English, without a lock on the index, and without the programs that a repository's configuration can name
/// for what is asked here: a monitor of the work tree, and a way to fetch what a partial clone has not got.
fn git(folder: &Path) -> Command {
    let mut command = Command::new("git");
    for name in OF_HOOKS {
        command.env_remove(name);
    }
    command
        .args(["-c", "core.fsmonitor=false"])
        .arg("-C")
        .arg(folder)
        .env("LC_ALL", "C")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_NO_LAZY_FETCH", "1")
        // What git before 2.44 looks at.
        .env("GIT_ALLOW_PROTOCOL", "none")
        .stdin(Stdio::null());
    command
}

fn no_git(error: &io::Error) -> String {
    format!("cannot start git: {error}")
}

/// What git says in one line.
fn line(folder: &Path, arguments: &[&OsStr]) -> Result<OsString, String> {
    let told = git(folder)
        .args(arguments)
        .output()
        .map_err(|error| no_git(&error))?;
    if !told.status.success() {
        let why = String::from_utf8_lossy(&told.stderr);
        return Err(format!("git: {}", why.trim()));
    }
    let mut line = told.stdout;
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    Ok(OsString::from_vec(line))
}

/// Folds `.` and `..` without asking the file system, as policies do.
fn fold(path: &Path) -> PathBuf {
    let mut folded = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => (),
            Component::ParentDir => {
                folded.pop();
            }
            other => folded.push(other),
        }
    }
    folded
}
