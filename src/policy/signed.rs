//! `signed_by` of a plugin: which key of the process's trust root must have signed it, and whether it has. Owns no key and no list of
//! whom to trust: a policy that could name those would be trusting itself.

use super::code;
use super::reading::Table;
use super::report::Diagnostic;
use crate::sandbox::Artefact;
use crate::sandbox::PublicKey;
use crate::sandbox::Signature;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// What must be true of a plugin's signature.
pub(super) struct Sealed<'t, 'r, 'a> {
    table: &'t Table<'r, 'a>,
    path: &'t Path,
    key: Option<(Arc<str>, PublicKey)>,
}

impl<'t, 'r, 'a> Sealed<'t, 'r, 'a> {
    /// Reads what the policy and the process demand. `None` where that cannot be had, which is reported.
    pub(super) fn of(table: &'t Table<'r, 'a>, path: &'t Path) -> Option<Self> {
        let files = table.reading.files();
        if !table.has("signed_by") {
            if files.requires_signatures() {
                let message = format!("{} is not signed, and must be", table.title());
                table.reading.add(
                    Diagnostic::error(code::NOT_SIGNED, table.at, message)
                        .label("write `signed_by`")
                        .help("the process runs with --require-signed"),
                );
                return None;
            }
            return Some(Self {
                table,
                path,
                key: None,
            });
        }
        let spot = table.text("signed_by")?;
        let name = spot.value;
        if !PublicKey::is_name(&name) {
            let message = format!("`{}` is not a name for a key", name.escape_debug());
            let found = Diagnostic::error(code::BAD_NAME, spot.at, message);
            table.reading.add(found.label(format!(
                "use letters, digits, `-`, `_` and `.`, at most {}",
                PublicKey::NAME_BYTES_MAX
            )));
            return None;
        }
        let untrusted = |message: String, label: String| {
            let found = Diagnostic::error(code::UNTRUSTED_KEY, spot.at, message);
            table.reading.add(found.label(label));
        };
        let content = match files.trusted_key(&name) {
            Some(Ok(content)) => content,
            Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
                let label = format!("there is no `{name}.pub` in the trust root");
                untrusted(format!("the key `{name}` is not trusted"), label);
                return None;
            }
            Some(Err(error)) => {
                let message = format!("the key `{name}` cannot be read: {error}");
                untrusted(message, format!("`{name}.pub` in the trust root"));
                return None;
            }
            None => {
                let message = format!("no key is trusted, and so `{name}` is not");
                untrusted(message, "start with --trust-root FOLDER".to_owned());
                return None;
            }
        };
        let key = PublicKey::parse(&content)
            .map_err(|error| untrusted(format!("`{name}.pub` {error}"), "this key".to_owned()));
        Some(Self {
            table,
            path,
            key: Some((name.into(), key.ok()?)),
        })
    }

    /// Whose signature it is; `None` within where none is asked for. The file beside the plugin is of the whole file; the one in an
    /// archive is of the module, and counts where there is no other.
    pub(super) fn verify(self, file: &[u8], artefact: &Artefact) -> Option<Option<Arc<str>>> {
        let Some((name, key)) = self.key else {
            return Some(None);
        };
        let beside = Signature::beside(self.path);
        let at = self.table.key_at("signed_by");
        let errors = self.table.reading.errors();
        let read = self.table.reading.bytes_if_there(at, &beside);
        if self.table.reading.errors() != errors {
            return None;
        }
        let bad = |message: String| {
            self.table.reading.error(code::BAD_SIGNATURE, at, message);
        };
        let (signature, signed, shown) = match (read, artefact.signature) {
            (Some(content), _) => {
                let signature = Signature::parse(&content)
                    .map_err(|error| bad(format!("`{}` {error}", beside.display())));
                (signature.ok()?, file, beside)
            }
            (None, Some(signature)) => (signature, &*artefact.module, self.path.to_owned()),
            (None, None) => {
                let message = format!("`{}` is not signed", self.path.display());
                let found = Diagnostic::error(code::NOT_SIGNED, at, message);
                let label = format!("`{name}` must have signed it");
                let help = format!("the signature belongs into `{}`", beside.display());
                self.table.reading.add(found.label(label).help(help));
                return None;
            }
        };
        if !key.has_signed(signed, &signature) {
            bad(format!(
                "the signature in `{}` is not of the key `{name}` over this file",
                shown.display()
            ));
            return None;
        }
        Some(Some(name))
    }
}
