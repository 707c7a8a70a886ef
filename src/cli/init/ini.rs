//! The files of PgBouncer: `pgbouncer.ini` with what it includes, the values of `[databases]`, and `userlist.txt`. Owns how they are
//! written, which is PgBouncer's; what a setting means is `convert`'s.

use std::fmt;
use std::path::Path;
use std::path::PathBuf;

/// Files within files (PgBouncer's own limit).
const DEPTH_MAX: usize = 10;

/// Settings, databases and users that are read.
const LINES_MAX: usize = 100_000;

/// Where something is written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Spot {
    pub(super) file: PathBuf,
    pub(super) line: usize,
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.file.file_name().unwrap_or_default();
        write!(f, "{}:{}", name.to_string_lossy(), self.line)
    }
}

/// One `key = value` of a section.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Setting {
    pub(super) section: String,
    pub(super) key: String,
    pub(super) value: String,
    pub(super) spot: Spot,
}

/// Reads a file and what it includes. Of settings of one name the last counts, as in PgBouncer; the order is that of the first.
///
/// # Errors
/// Which file cannot be read, or which line says nothing.
pub(super) fn read(path: &Path) -> Result<Vec<Setting>, String> {
    let mut settings: Vec<Setting> = Vec::new();
    let mut section = String::new();
    file(path, &mut section, &mut settings, 0)?;
    let mut last: Vec<Setting> = Vec::new();
    for setting in settings {
        let same = |old: &&mut Setting| old.section == setting.section && old.key == setting.key;
        match last.iter_mut().find(same) {
            Some(old) => *old = setting,
            None => last.push(setting),
        }
    }
    Ok(last)
}

fn file(
    path: &Path,
    section: &mut String,
    settings: &mut Vec<Setting>,
    depth: usize,
) -> Result<(), String> {
    let text = text(path)?;
    for (line, number) in text.lines().zip(1..) {
        let spot = Spot {
            file: path.to_owned(),
            line: number,
        };
        let line = line.trim();
        if line.is_empty() || line.starts_with([';', '#']) {
            continue;
        }
        if let Some(rest) = line.strip_prefix("%include") {
            if depth + 1 == DEPTH_MAX {
                return Err(format!("{spot}: files include one another too deeply"));
            }
            file(&beside(path, rest.trim()), section, settings, depth + 1)?;
        } else if let Some(name) = line.strip_prefix('[') {
            let name = name.strip_suffix(']');
            *section = name
                .ok_or_else(|| format!("{spot}: a section without `]`"))?
                .trim()
                .to_ascii_lowercase();
        } else {
            let (key, value) = pair(line).ok_or_else(|| format!("{spot}: not `key = value`"))?;
            settings.push(Setting {
                section: section.clone(),
                key,
                value,
                spot,
            });
        }
        if settings.len() > LINES_MAX {
            return Err(format!("more than {LINES_MAX} settings"));
        }
    }
    Ok(())
}

/// A file's text, without a word of its content in the error.
pub(super) fn text(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read `{}`: {error}", path.display()))
}

/// The path of a file that another names. PgBouncer takes it from the folder it was started in, which nobody knows here: the folder of
/// the file is tried first.
pub(super) fn beside(of: &Path, named: &str) -> PathBuf {
    let found = of.parent().unwrap_or(Path::new("")).join(named);
    match found.exists() {
        true => found,
        false => PathBuf::from(named),
    }
}

/// `key = value`; a key may be quoted, and holds two quotes for one.
fn pair(line: &str) -> Option<(String, String)> {
    let (key, rest) = match line.strip_prefix('"') {
        Some(quoted) => unquoted(quoted, '"')?,
        None => {
            let (key, _) = line.split_once('=')?;
            (key.trim().to_owned(), &line[key.len()..])
        }
    };
    let value = rest.trim_start().strip_prefix('=')?;
    Some((key, value.trim().to_owned()))
}

/// The text up to the closing quote, two of which stand for one, and what follows it.
fn unquoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once(quote)?;
        value.push_str(before);
        match after.strip_prefix(quote) {
            Some(after) => {
                value.push(quote);
                rest = after;
            }
            None => return Some((value, after)),
        }
    }
}

/// `host=10.0.0.1 port=5432 password='a b'`.
pub(super) fn connection(text: &str) -> Option<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=')?;
        let key = key.trim();
        if key.is_empty() || key.contains(char::is_whitespace) {
            return None;
        }
        let after = after.trim_start();
        let (value, after) = match after.strip_prefix('\'') {
            Some(quoted) => unquoted(quoted, '\'')?,
            None => {
                let end = after.find(char::is_whitespace).unwrap_or(after.len());
                (after[..end].to_owned(), &after[end..])
            }
        };
        pairs.push((key.to_ascii_lowercase(), value));
        rest = after.trim_start();
    }
    Some(pairs)
}

/// One line of `userlist.txt`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) name: String,
    /// A password, a hash or a verifier; it may be empty.
    pub(super) secret: String,
    pub(super) spot: Spot,
}

/// Reads the users of a file. Lines that are none are told by their number only: they may hold a password.
pub(super) fn users(path: &Path) -> Result<(Vec<Listed>, Vec<Spot>), String> {
    let (mut users, mut others): (Vec<Listed>, Vec<Spot>) = (Vec::new(), Vec::new());
    for (line, number) in text(path)?.lines().zip(1..) {
        let spot = Spot {
            file: path.to_owned(),
            line: number,
        };
        let line = line.trim();
        if line.is_empty() || line.starts_with([';', '#']) {
            continue;
        }
        let user = || {
            let (name, rest) = unquoted(line.strip_prefix('"')?, '"')?;
            let (secret, _) = unquoted(rest.trim_start().strip_prefix('"')?, '"')?;
            Some((name, secret))
        };
        match user() {
            Some((name, secret)) if users.len() < LINES_MAX => {
                users.retain(|old| old.name != name);
                users.push(Listed { name, secret, spot });
            }
            _ => others.push(spot),
        }
    }
    Ok((users, others))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_read_as_pgbouncer_does() {
        let read = |text: &str| {
            let pairs = connection(text)?;
            Some(
                pairs
                    .into_iter()
                    .map(|(key, value)| format!("{key}={value}"))
                    .collect::<Vec<_>>(),
            )
        };
        for (text, expected) in [
            ("", Some(vec![])),
            ("host=h port=1", Some(vec!["host=h", "port=1"])),
            (
                "HOST = h  password='it''s a b' dbname=d",
                Some(vec!["host=h", "password=it's a b", "dbname=d"]),
            ),
            ("password=''", Some(vec!["password="])),
            ("host", None),
            ("password='open", None),
        ] {
            let expected = expected.map(|pairs| pairs.into_iter().map(str::to_owned).collect());
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn keys_may_be_quoted() {
        assert_eq!(
            pair("\"a \"\"b\" = x = y"),
            Some(("a \"b".into(), "x = y".into()))
        );
        assert_eq!(pair("a="), Some(("a".into(), String::new())));
        assert_eq!(pair("nothing"), None);
    }
}
