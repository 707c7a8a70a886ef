//! A manifest that lies apart from its module: with it in an archive, or in a file beside it. Owns what the forms are, what such a text
//! claims about the module, and where in the text a mistake stands. Reads no file.

use super::Manifest;
use super::legacy;
use super::yaml;
use crate::digest::sha256_hex;
use serde::Deserializer;
use serde::de::DeserializeSeed;
use serde::de::IgnoredAny;
use serde::de::MapAccess;
use serde::de::Visitor;
use serde_json::Value;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// How a manifest is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ManifestForm {
    /// JSON.
    Json,
    /// YAML 1.2.
    Yaml,
}

/// What is wrong with the text of a manifest.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct ManifestMistake {
    /// What.
    pub message: String,
    /// Which bytes of the text; `None` where it is the whole that is wrong.
    pub span: Option<Range<usize>>,
}

/// Whether a manifest must say which module it is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum OwnHash {
    Required,
    Optional,
}

impl ManifestForm {
    /// Bytes of a manifest in a file of its own.
    pub const BYTES_MAX: usize = 64 << 10;

    /// The files that may hold the manifest of the module `NAME.wasm`. For a file that is called otherwise there are none.
    #[must_use]
    pub fn beside(module: &Path) -> Vec<(PathBuf, Self)> {
        const ENDINGS: [(&str, ManifestForm); 3] = [
            ("yaml", ManifestForm::Yaml),
            ("yml", ManifestForm::Yaml),
            ("json", ManifestForm::Json),
        ];
        if module.extension().is_none_or(|end| end != "wasm") {
            return Vec::new();
        }
        let named = |(end, form)| (module.with_extension(end), form);
        ENDINGS.into_iter().map(named).collect()
    }
}

impl ManifestMistake {
    /// Line and column in characters, both from 1, in the text it is about.
    #[must_use]
    pub fn position(&self, text: &str) -> Option<(usize, usize)> {
        let before = text.get(..self.span.as_ref()?.start)?;
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        Some((line, before[line_start..].chars().count() + 1))
    }
}

impl serde::de::Error for ManifestMistake {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self {
            message: message.to_string(),
            span: None,
        }
    }
}

impl Manifest {
    /// Reads the manifest that lies apart from a module. A module with one of its own is believed, as long as this one does not call it
    /// something else.
    pub(in super::super) fn apart(
        text: &str,
        form: ManifestForm,
        module: &[u8],
        own: Option<&Arc<Self>>,
        hash: OwnHash,
    ) -> Result<Arc<Self>, ManifestMistake> {
        let sha256 = sha256_hex(module);
        let mut claims = vec![Claim {
            key: HASH,
            is: &sha256,
            found: "the module has",
            same: str::eq_ignore_ascii_case,
        }];
        if let Some(own) = own {
            let of_own = |key, is| Claim {
                key,
                is,
                found: "the module's own manifest says",
                same: str::eq,
            };
            claims.extend([of_own("name", &own.name), of_own("version", &own.version)]);
        }
        let head = read(text, form, Claims(&claims))?;
        if hash == OwnHash::Required && !head.has_hash {
            return Err(serde::de::Error::missing_field(HASH));
        }
        if let Some(own) = own {
            return Ok(Arc::clone(own));
        }
        if !head.is_ours {
            return Ok(Arc::new(read(text, form, legacy::Reader)?));
        }
        let mut document: Value = read(text, form, PhantomData)?;
        if let Some(table) = document.as_object_mut() {
            table.remove(HASH);
        }
        let manifest = Self::from_json(document).map_err(serde::de::Error::custom)?;
        Ok(Arc::new(manifest))
    }
}

/// The key that says which module a manifest is of.
const HASH: &str = "wasm_sha256";

fn read<T, S>(text: &str, form: ManifestForm, seed: S) -> Result<T, ManifestMistake>
where
    S: for<'de> DeserializeSeed<'de, Value = T>,
{
    match form {
        ManifestForm::Json => {
            let mut document = serde_json::Deserializer::from_str(text);
            seed.deserialize(&mut document)
                .and_then(|read| document.end().map(|()| read))
                .map_err(|error| of_json(text, &error))
        }
        ManifestForm::Yaml => seed.deserialize(&yaml::parse(text)?),
    }
}

/// An error of serde_json with its place as bytes. It stands at the last byte of a value that is wrong; of a text all of it is marked.
fn of_json(text: &str, error: &serde_json::Error) -> ManifestMistake {
    let (line, column) = (error.line(), error.column());
    let told = error.to_string();
    let message = told
        .strip_suffix(&format!(" at line {line} column {column}"))
        .unwrap_or(&told);
    let above = text.split_inclusive('\n').take(line.saturating_sub(1));
    let line_start: usize = above.map(str::len).sum();
    let last = text.floor_char_boundary(line_start + column.saturating_sub(1));
    let start = match text[..last].rfind(['"', '\n']) {
        Some(quote)
            if error.is_data()
                && text[last..].starts_with('"')
                && text[quote..].starts_with('"') =>
        {
            quote
        }
        _ => last,
    };
    ManifestMistake {
        message: message.to_owned(),
        span: Some(start..text.ceil_char_boundary(last + 1)),
    }
}

/// What a manifest may say about its module, and what is true.
struct Claim<'c> {
    key: &'static str,
    is: &'c str,
    /// Who knows better.
    found: &'static str,
    same: fn(&str, &str) -> bool,
}

/// Reads what a manifest claims, and refuses what is not true.
struct Claims<'c>(&'c [Claim<'c>]);

/// What a manifest is, before it is read as one.
#[derive(Default)]
struct Head {
    has_hash: bool,
    /// It names an ABI, so it is written in our words.
    is_ours: bool,
}

impl<'de> DeserializeSeed<'de> for Claims<'_> {
    type Value = Head;

    fn deserialize<D: Deserializer<'de>>(self, document: D) -> Result<Head, D::Error> {
        document.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Claims<'_> {
    type Value = Head;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Head, A::Error> {
        let mut head = Head::default();
        while let Some(key) = table.next_key::<String>()? {
            head.has_hash |= key == HASH;
            head.is_ours |= key == "abi";
            match self.0.iter().find(|claim| claim.key == key) {
                Some(claim) => table.next_value_seed(claim)?,
                None => drop(table.next_value::<IgnoredAny>()?),
            }
        }
        Ok(head)
    }
}

impl<'de> DeserializeSeed<'de> for &Claim<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_str(self)
    }
}

impl Visitor<'_> for &Claim<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_str<E: serde::de::Error>(self, said: &str) -> Result<(), E> {
        let Claim {
            key,
            is,
            found,
            same,
        } = self;
        match same(said, is) {
            true => Ok(()),
            false => Err(E::custom(format!(
                "`{key}` is {said:?}, and {found} `{is}`"
            ))),
        }
    }
}

#[cfg(test)]
mod tests;
