//! `pgwarden plugin sign` and `verify`. The signature is over the whole file, whatever it holds, and lies beside it.

use super::Complaint;
use super::file;
use super::file::PluginFile;
use super::output;
use crate::cli::TrustRoot;
use crate::sandbox::PublicKey;
use crate::sandbox::SecretKey;
use crate::sandbox::Signature;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use zeroize::Zeroizing;

/// `pgwarden plugin sign FILE --key KEY`.
#[derive(Debug, clap::Args)]
pub struct SignArguments {
    /// The plugin's file.
    file: PathBuf,
    /// The secret key.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

/// `pgwarden plugin verify FILE`.
#[derive(Debug, clap::Args)]
pub struct VerifyArguments {
    /// The plugin's file.
    file: PathBuf,
    #[command(flatten)]
    trust: TrustRoot,
    /// One public key, instead of a folder of them.
    #[arg(long, value_name = "FILE", conflicts_with = "trust_root")]
    key: Option<PathBuf>,
    /// The key of the trust root that must have signed it.
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

pub(super) fn sign(arguments: &SignArguments) -> Result<ExitCode, Complaint> {
    let key = Zeroizing::new(file::read(&arguments.key)?);
    let key = SecretKey::parse(&key)
        .map_err(|error| Complaint::new(format!("`{}` {error}", arguments.key.display())))?;
    // What cannot be loaded is not worth a signature.
    let plugin = PluginFile::open(&arguments.file)?;
    let path = Signature::beside(&plugin.path);
    let signature = key.sign(&plugin.bytes);
    file::replace(&path, format!("{signature}\n").as_bytes())?;
    output::print(&format!("signed {}\n", path.display()));
    Ok(ExitCode::SUCCESS)
}

pub(super) fn verify(arguments: &VerifyArguments) -> Result<ExitCode, Complaint> {
    let plugin = PluginFile::open(&arguments.file)?;
    let shown = plugin.path.display();
    let Some(seal) = Seal::of(&plugin)? else {
        return Err(Complaint::new(format!("`{shown}` is not signed")));
    };
    let keys = match (&arguments.key, arguments.trust.root()) {
        (Some(path), _) => vec![named(path)?],
        (None, Some(root)) => trusted(&root)?,
        (None, None) => {
            return Err(Complaint::new(
                "no key is trusted; say which: --trust-root FOLDER or --key FILE",
            ));
        }
    };
    let wanted = |name: &str| arguments.by.as_deref().is_none_or(|by| by == name);
    let signer = keys
        .iter()
        .find(|(name, key)| wanted(name) && seal.is_of(key));
    match (signer, &arguments.by) {
        (Some((name, _)), _) => {
            output::print(&format!("good: `{shown}` is signed by {name}\n"));
            Ok(ExitCode::SUCCESS)
        }
        (None, Some(by)) => Err(Complaint::new(format!("`{shown}` is not signed by {by}"))),
        (None, None) => Err(Complaint::new(format!(
            "`{shown}` is signed by none of these keys"
        ))),
    }
}

/// A signature and what it is over.
pub(super) struct Seal<'a> {
    signature: Signature,
    over: &'a [u8],
}

impl<'a> Seal<'a> {
    /// The signature beside the file, or else the one in the archive.
    pub(super) fn of(plugin: &'a PluginFile) -> Result<Option<Self>, Complaint> {
        let path = Signature::beside(&plugin.path);
        if path.exists() {
            let signature = Signature::parse(&file::read(&path)?)
                .map_err(|error| Complaint::new(format!("`{}` {error}", path.display())))?;
            return Ok(Some(Self {
                signature,
                over: &plugin.bytes,
            }));
        }
        Ok(plugin.artefact.signature.map(|signature| Self {
            signature,
            over: &plugin.artefact.module,
        }))
    }

    pub(super) fn is_of(&self, key: &PublicKey) -> bool {
        key.has_signed(self.over, &self.signature)
    }
}

/// The keys of a trust root, by name.
pub(super) fn trusted(root: &Path) -> Result<Vec<(String, PublicKey)>, Complaint> {
    let unreadable = |error| Complaint::new(format!("cannot read `{}`: {error}", root.display()));
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(root).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|end| end == "pub") {
            paths.push(path);
        }
    }
    paths.sort();
    paths.iter().map(|path| named(path)).collect()
}

fn named(path: &Path) -> Result<(String, PublicKey), Complaint> {
    let key = PublicKey::parse(&file::read(path)?)
        .map_err(|error| Complaint::new(format!("`{}` {error}", path.display())))?;
    let name = path.file_stem().unwrap_or_default();
    Ok((name.to_string_lossy().into_owned(), key))
}
