//! Where the hashes of plugins stand in a policy, so that a verb can write them there and change nothing else. The policy need not be
//! right: a plugin whose hash is wrong is what this is for.

use super::Files;
use super::document::Entry;
use super::document::Value;
use super::keys::PLUGIN;
use super::reading::Reading;
use super::report::At;
use super::report::Report;
use super::sources;
use std::ops::Range;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// One plugin of a policy and the place of its hash.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pin {
    /// Its name in the policy.
    pub name: Arc<str>,
    /// Its file.
    pub path: PathBuf,
    /// Where its hash is to be written.
    pub spot: PinSpot,
}

/// Where a hash stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PinSpot {
    /// In the text of a policy file: this is to be replaced.
    Written {
        /// The file.
        file: PathBuf,
        /// Bytes of it, quotes included.
        span: Range<usize>,
        /// What stands there, without quotes.
        now: String,
    },
    /// Nowhere: the key is to be added behind `path`.
    Missing {
        /// The file.
        file: PathBuf,
        /// The byte of it behind the value of `path`.
        after: usize,
    },
    /// In a file that `sha256sum` wrote.
    File(PathBuf),
    /// In a variable, of the policy or of the process.
    Elsewhere,
}

/// The plugins of a policy, in the order of their names.
///
/// # Errors
/// Where the policy cannot be read well enough to tell.
pub fn pins(root: &Path, environment: Option<&str>, files: &dyn Files) -> Result<Vec<Pin>, Report> {
    let reading = Reading::new(files);
    let words = sources::read(&reading, root);
    let mut pins = Vec::new();
    if !words.broken {
        reading.set_vars(sources::variables(&reading, &words, environment));
        for (name, entry) in words.named(&PLUGIN) {
            pins.extend(pin(&reading, name, entry));
        }
    }
    let (report, _) = reading.finish();
    match report.has_errors() {
        true => Err(report),
        false => Ok(pins),
    }
}

fn pin(reading: &Reading<'_>, name: &str, plugin: &Entry) -> Option<Pin> {
    let find = |key: &str| {
        let mut entries = plugin.word.entries().iter();
        entries.find(|entry| entry.key == key)
    };
    let path_word = &find("path")?.word;
    let path = reading.text(path_word)?;
    let file = |at: At| reading.place(at).file.to_path_buf();
    let spot = match find("sha256").map(|entry| &entry.word) {
        None => PinSpot::Missing {
            file: file(path_word.at),
            after: path_word.at.span().end,
        },
        Some(word) => match (&word.value, word.single("file")) {
            (Value::Text(now), _) => PinSpot::Written {
                file: file(word.at),
                span: word.at.span(),
                now: now.clone(),
            },
            (_, Some(word)) => {
                let path = reading.text(word)?;
                PinSpot::File(reading.beside(path.at, &path.value))
            }
            _ => PinSpot::Elsewhere,
        },
    };
    Some(Pin {
        name: name.into(),
        path: reading.beside(path.at, &path.value),
        spot,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::Memory;

    #[test]
    fn every_form_of_a_pin_is_found_where_it_stands() {
        let more = "policy = 1\n[plugin.a]\npath = \"a.wasm\"\nsha256 = \"00\" # old\n[plugin.b]\npath = \"b.wasm\"\n\
            [plugin.c]\npath = \"../c.wasm\"\nsha256 = { file = \"c.sha256\" }\n\
            [plugin.d]\npath = \"d.wasm\"\nsha256 = { var = \"hash\" }\n[vars]\nhash = \"1\"\n";
        let memory = Memory::default()
            .file("policy.toml", "policy = 1\ninclude = \"in/more.toml\"\n")
            .file("in/more.toml", more);
        let pins = pins(Path::new("policy.toml"), None, &memory).unwrap();
        let at = |text: &str| more.find(text).unwrap();
        let file = PathBuf::from("in/more.toml");
        let expected = [
            (
                "a",
                "in/a.wasm",
                PinSpot::Written {
                    file: file.clone(),
                    span: at("\"00\"")..at("\"00\"") + 4,
                    now: "00".to_owned(),
                },
            ),
            (
                "b",
                "in/b.wasm",
                PinSpot::Missing {
                    file,
                    after: at("\"b.wasm\"") + 8,
                },
            ),
            ("c", "c.wasm", PinSpot::File("in/c.sha256".into())),
            ("d", "in/d.wasm", PinSpot::Elsewhere),
        ];
        for (pin, (name, path, spot)) in pins.iter().zip(expected) {
            assert_eq!(
                (&*pin.name, &*pin.path, &pin.spot),
                (name, Path::new(path), &spot)
            );
        }
        assert_eq!(pins.len(), 4);
    }
}
