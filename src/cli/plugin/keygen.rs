//! `pgwarden plugin keygen`: a new pair of keys.

use super::Complaint;
use super::file;
use super::output;
use super::place;
use crate::sandbox::PublicKey;
use crate::sandbox::SecretKey;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use zeroize::Zeroizing;

/// `pgwarden plugin keygen NAME`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What policies call it in `signed_by`.
    name: String,
    /// The folder for NAME.key and NAME.pub.
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    out: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Complaint> {
    let name = &arguments.name;
    if !PublicKey::is_name(name) {
        return Err(Complaint::new(format!(
            "`{name}` is not a name for a key; use letters, digits, `-`, `_` and `.`, at most {}",
            PublicKey::NAME_BYTES_MAX
        )));
    }
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *seed).map_err(Complaint::new)?;
    let secret = SecretKey::from_seed(seed);
    let (key, public) = (
        file::within(&arguments.out, &format!("{name}.key")),
        file::within(&arguments.out, &format!("{name}.pub")),
    );
    if public.exists() {
        return Err(Complaint::new(format!(
            "`{}` exists; a key is never overwritten",
            public.display()
        )));
    }
    create(&key, secret.expose().as_bytes(), place::SECRET)?;
    create(
        &public,
        format!("{}\n", secret.public()).as_bytes(),
        place::PUBLIC,
    )?;
    output::print(&format!(
        "{}  signs plugins; keep it secret\n{}  belongs into the trust root\n",
        key.display(),
        public.display()
    ));
    Ok(ExitCode::SUCCESS)
}

fn create(path: &Path, content: &[u8], mode: u32) -> Result<(), Complaint> {
    place::create(path, content, mode)
        .map_err(|error| Complaint::new(format!("cannot write `{}`: {error}", path.display())))
}
