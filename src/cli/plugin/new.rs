//! `pgwarden plugin new`: a plugin that builds and passes its own test as it is, without a network: what it needs of ours lies in its
//! folder. The texts stand in `scaffold/`, the Rust crate for guests in `plugins/sdk`.

use super::Complaint;
use super::file;
use super::output;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

const NAME_BYTES_MAX: usize = 63;

/// `pgwarden plugin new NAME`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Its name: lower-case letters, digits and `_`.
    name: String,
    /// What it is written in.
    #[arg(long, value_name = "LANGUAGE", default_value = "rust", value_parser = ["rust", "c", "wat"])]
    lang: String,
    /// The folder it is put into, as a folder of its own.
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    r#in: PathBuf,
}

/// A path, in which NAME stands for the name, and what is written there; `{{name}}` in it as well.
type Template = (&'static str, &'static str);

/// What every language has.
const ALL: [Template; 2] = [
    ("manifest.json", include_str!("scaffold/manifest.json")),
    ("tests/cases.toml", include_str!("scaffold/cases.toml")),
];
const RUST: [Template; 4] = [
    ("Cargo.toml", include_str!("scaffold/rust/Cargo.toml.txt")),
    (
        ".cargo/config.toml",
        include_str!("scaffold/rust/config.toml"),
    ),
    (".gitignore", "/target\n"),
    ("src/lib.rs", include_str!("scaffold/rust/lib.rs.txt")),
];
/// The crate `pgwarden-guest`, as this program was built with it.
const SDK: [Template; 15] = [
    (
        "pgwarden-guest/Cargo.toml",
        include_str!("scaffold/rust/sdk.toml"),
    ),
    (
        "pgwarden-guest/src/context.rs",
        include_str!("../../../plugins/sdk/src/context.rs"),
    ),
    (
        "pgwarden-guest/src/field.rs",
        include_str!("../../../plugins/sdk/src/field.rs"),
    ),
    (
        "pgwarden-guest/src/host.rs",
        include_str!("../../../plugins/sdk/src/host.rs"),
    ),
    (
        "pgwarden-guest/src/import.rs",
        include_str!("../../../plugins/sdk/src/import.rs"),
    ),
    (
        "pgwarden-guest/src/json.rs",
        include_str!("../../../plugins/sdk/src/json.rs"),
    ),
    (
        "pgwarden-guest/src/lib.rs",
        include_str!("../../../plugins/sdk/src/lib.rs"),
    ),
    (
        "pgwarden-guest/src/room.rs",
        include_str!("../../../plugins/sdk/src/room.rs"),
    ),
    (
        "pgwarden-guest/src/rows.rs",
        include_str!("../../../plugins/sdk/src/rows.rs"),
    ),
    (
        "pgwarden-guest/src/testing/rows.rs",
        include_str!("../../../plugins/sdk/src/testing/rows.rs"),
    ),
    (
        "pgwarden-guest/src/testing/sha256.rs",
        include_str!("../../../plugins/sdk/src/testing/sha256.rs"),
    ),
    (
        "pgwarden-guest/src/testing/verdict.rs",
        include_str!("../../../plugins/sdk/src/testing/verdict.rs"),
    ),
    (
        "pgwarden-guest/src/testing.rs",
        include_str!("../../../plugins/sdk/src/testing.rs"),
    ),
    (
        "pgwarden-guest/src/text.rs",
        include_str!("../../../plugins/sdk/src/text.rs"),
    ),
    (
        "pgwarden-guest/src/verdict.rs",
        include_str!("../../../plugins/sdk/src/verdict.rs"),
    ),
];
const C: [Template; 2] = [
    ("NAME.c", include_str!("scaffold/c/plugin.c")),
    ("pgwarden.h", include_str!("scaffold/c/pgwarden.h")),
];
const WAT: [Template; 1] = [("NAME.wat", include_str!("scaffold/plugin.wat"))];

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Complaint> {
    let name = &arguments.name;
    let is_plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
    if !name.starts_with(|c: char| c.is_ascii_lowercase())
        || !name.bytes().all(is_plain)
        || name.len() > NAME_BYTES_MAX
    {
        return Err(Complaint::new(format!(
            "`{name}` is not a name for a plugin; use lower-case letters, digits and `_`, a letter first"
        )));
    }
    let folder = file::within(&arguments.r#in, name);
    if folder.exists() {
        return Err(Complaint::new(format!("`{}` exists", folder.display())));
    }
    let own: Vec<Template> = match &*arguments.lang {
        "c" => C.to_vec(),
        "wat" => WAT.to_vec(),
        _ => RUST.into_iter().chain(SDK).collect(),
    };
    for (path, text) in ALL.into_iter().chain(own) {
        let path = folder.join(path.replace("NAME", name));
        write(&path, &text.replace("{{name}}", name))?;
    }
    let shown = folder.display();
    output::print(&format!(
        "made {shown}\n  pgwarden plugin build {shown}\n  pgwarden plugin test {shown}\n"
    ));
    Ok(ExitCode::SUCCESS)
}

fn write(path: &Path, text: &str) -> Result<(), Complaint> {
    let written = || -> std::io::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, text)
    };
    written().map_err(|error| Complaint::new(format!("cannot write `{}`: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_crate_for_guests_is_in_the_program() {
        let root = format!("{}/plugins/sdk/src", env!("CARGO_MANIFEST_DIR"));
        let mut folders = vec![String::new()];
        let mut files = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(format!("{root}/{folder}")).unwrap() {
                let entry = entry.unwrap();
                let name = format!("{folder}{}", entry.file_name().into_string().unwrap());
                if entry.file_type().unwrap().is_dir() {
                    folders.push(format!("{name}/"));
                } else {
                    files.push(format!("pgwarden-guest/src/{name}"));
                }
            }
        }
        files.sort();
        let mut packed: Vec<&str> = SDK.iter().skip(1).map(|(path, _)| *path).collect();
        packed.sort_unstable();
        assert_eq!(files, packed);
    }
}
