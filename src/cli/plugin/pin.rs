//! `pgwarden plugin pin`: the sha256 of a plugin's file into the policy that uses it. Nothing else in the policy changes, not a blank.

use super::Complaint;
use super::file;
use super::output;
use crate::digest::sha256_hex;
use crate::policy::Pin;
use crate::policy::PinSpot;
use crate::policy::pins;
use crate::server::Disk;
use crate::server::Trust;
use std::ops::Range;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

/// `pgwarden plugin pin POLICY [NAME]..`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The policy's root file.
    policy: PathBuf,
    /// Names of `[plugin.NAME]`. Default: all.
    names: Vec<String>,
    /// Values of this environment override those of `vars`.
    #[arg(long, value_name = "NAME")]
    env: Option<String>,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Complaint> {
    let trust = Trust::default();
    let environment = arguments.env.as_deref();
    let all = pins(&arguments.policy, environment, &Disk { trust: &trust })
        .map_err(|report| Complaint(report.render(output::colour())))?;
    for name in &arguments.names {
        if !all.iter().any(|pin| *pin.name == **name) {
            let known: Vec<&str> = all.iter().map(|pin| &*pin.name).collect();
            return Err(Complaint::new(format!(
                "`{}` has no plugin `{name}`; known: {}",
                arguments.policy.display(),
                known.join(", ")
            )));
        }
    }
    let is_wanted = |pin: &&Pin| {
        arguments.names.is_empty() || arguments.names.iter().any(|name| **name == *pin.name)
    };
    let mut changes = Vec::new();
    for pin in all.iter().filter(is_wanted) {
        changes.extend(change(pin)?);
    }
    if changes.is_empty() {
        return Err(Complaint::new(format!(
            "`{}` pins these files already",
            arguments.policy.display()
        )));
    }
    // From the back: what is written does not move what is still to be written.
    changes.sort_by(|a, b| (&a.file, a.span.start).cmp(&(&b.file, b.span.start)));
    for change in changes.iter().rev() {
        let mut text = match change.whole {
            true => Vec::new(),
            false => file::read(&change.file)?,
        };
        text.splice(change.span.clone(), change.text.bytes());
        file::replace(&change.file, &text)?;
    }
    let lines = changes.iter().map(|change| {
        format!(
            "pinned {}  {}  in {}\n",
            change.name,
            change.hash,
            change.file.display()
        )
    });
    output::print(&lines.collect::<String>());
    Ok(ExitCode::SUCCESS)
}

/// Bytes of a file that become other bytes.
struct Change {
    name: String,
    hash: String,
    file: PathBuf,
    span: Range<usize>,
    text: String,
    /// The file is written anew.
    whole: bool,
}

/// What has to change so that the file is pinned; `None` if nothing has to.
fn change(pin: &Pin) -> Result<Option<Change>, Complaint> {
    let hash = sha256_hex(&file::read(&pin.path)?);
    let change = |file: &Path, span: Range<usize>, text: String, whole| {
        Some(Change {
            name: pin.name.to_string(),
            hash: hash.clone(),
            file: file.to_owned(),
            span,
            text,
            whole,
        })
    };
    match &pin.spot {
        PinSpot::Written { now, .. } if now.eq_ignore_ascii_case(&hash) => Ok(None),
        PinSpot::Written { file, span, .. } => {
            Ok(change(file, span.clone(), format!("\"{hash}\""), false))
        }
        PinSpot::Missing { file, after } => {
            let text = file::read(file)?;
            let Some((at, added)) = added(&text, *after, &hash) else {
                return Err(Complaint::new(format!(
                    "cannot add the key to `{}`; write it: sha256 = \"{hash}\"",
                    file.display()
                )));
            };
            Ok(change(file, at..at, added, false))
        }
        PinSpot::File(path) => {
            let now = std::fs::read_to_string(path).unwrap_or_default();
            if now.split_whitespace().next() == Some(&*hash) {
                return Ok(None);
            }
            let name = pin.path.file_name().unwrap_or_default().to_string_lossy();
            Ok(change(path, 0..0, format!("{hash}  {name}\n"), true))
        }
        PinSpot::Elsewhere => Err(Complaint::new(format!(
            "the sha256 of `{}` is a variable; write it where that is set: {hash}",
            pin.name
        ))),
    }
}

/// Where the key goes and how: a line of its own below `path`, or within an inline table.
fn added(text: &[u8], after: usize, hash: &str) -> Option<(usize, String)> {
    let before = text.get(..after)?;
    let start = before
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    let line = std::str::from_utf8(&before[start..]).ok()?;
    let indent = &line[..line.len() - line.trim_start().len()];
    if line.trim_start().starts_with("path") {
        let end = text[after..].iter().position(|byte| *byte == b'\n');
        let at = end.map_or(text.len(), |end| after + end);
        // As wide as `path` and the blanks behind it, where that is possible.
        let wide = line.find('=').map_or(0, |at| at - indent.len());
        return Some((at, format!("\n{indent}{:<wide$}= \"{hash}\"", "sha256 ")));
    }
    line.contains('{')
        .then(|| (after, format!(", sha256 = \"{hash}\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_added_in_the_manner_of_its_neighbour() {
        for (text, expected) in [
            (
                "[plugin.a]\npath = \"a\" # x\nfuel = 1\n",
                "[plugin.a]\npath = \"a\" # x\nsha256 = \"H\"\nfuel = 1\n",
            ),
            (
                "[plugin.a]\n  path   = \"a\"",
                "[plugin.a]\n  path   = \"a\"\n  sha256 = \"H\"",
            ),
            (
                "plugin.a = { path = \"a\", fuel = 1 }",
                "plugin.a = { path = \"a\", sha256 = \"H\", fuel = 1 }",
            ),
        ] {
            let after = text.find("\"a\"").unwrap() + 3;
            let (at, added) = added(text.as_bytes(), after, "H").unwrap();
            assert_eq!(format!("{}{added}{}", &text[..at], &text[at..]), expected);
        }
        let dotted = "plugin.a.path = \"a\"\n";
        assert_eq!(added(dotted.as_bytes(), dotted.len() - 1, "H"), None);
    }
}
