//! `pgwarden plugin build`: from source to a module with its manifest in it, which loads with what the manifest asks for.

use super::Complaint;
use super::file;
use super::output;
use super::place;
use super::play;
use super::project::Language;
use super::project::Project;
use crate::digest::sha256_hex;
use crate::sandbox::Artefact;
use crate::sandbox::Limits;
use crate::sandbox::Manifest;
use crate::sandbox::load_wasm;
use serde_json::Value;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::ExitCode;
use std::process::Stdio;
use std::sync::Arc;

const TARGET: &str = "wasm32-unknown-unknown";
/// rustc gives a module a stack of 1 MiB, and a fresh instance would clear all of it for each call.
const STACK: &str = "target.wasm32-unknown-unknown.rustflags=[\"-Clink-arg=-zstack-size=16384\"]";
/// What would make the same source another module.
const STRAY: [&str; 3] = ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"];

/// `pgwarden plugin build [FOLDER]`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The plugin's folder.
    #[arg(default_value = ".")]
    folder: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Complaint> {
    let project = Project::open(&arguments.folder)?;
    let (language, source) = project.source()?;
    let built = match language {
        Language::Rust => rust(&project)?,
        Language::C => c(&project, &source)?,
        Language::Wat => {
            wat::parse_file(&source).map_err(|error| Complaint(format!("{error}\n")))?
        }
    };
    let module = with_manifest(&project, built)?;
    load(&project, &module)?;
    let path = project.module();
    file::replace(&path, &module)?;
    output::print(&format!(
        "built {}  {} bytes  sha256 {}\n",
        path.display(),
        module.len(),
        sha256_hex(&module)
    ));
    Ok(ExitCode::SUCCESS)
}

/// What cargo made, wherever it puts it.
fn rust(project: &Project) -> Result<Vec<u8>, Complaint> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--release", "--lib", "--target", TARGET])
        .args([
            "--message-format",
            "json-render-diagnostics",
            "--config",
            STACK,
        ])
        .current_dir(&project.folder)
        .stderr(Stdio::inherit());
    for name in STRAY {
        command.env_remove(name);
    }
    let output = command
        .output()
        .map_err(|error| Complaint::new(format!("cannot run cargo: {error}")))?;
    if !output.status.success() {
        return Err(Complaint::new(format!(
            "cargo failed; the target is installed with `rustup target add {TARGET}`"
        )));
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let made = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .flat_map(|message| message["filenames"].as_array().cloned().unwrap_or_default())
        .filter_map(|path| path.as_str().map(PathBuf::from))
        .rfind(|path| path.extension().is_some_and(|end| end == "wasm"));
    let made = made.ok_or_else(|| {
        Complaint::new("cargo made no module; `Cargo.toml` needs crate-type = [\"cdylib\"]")
    })?;
    file::read(&made)
}

fn c(project: &Project, source: &Path) -> Result<Vec<u8>, Complaint> {
    let clang = std::env::var_os("CLANG").unwrap_or_else(|| "clang".into());
    let made = place::beside(&project.module(), ".clang");
    let status = Command::new(&clang)
        .args(["--target=wasm32", "-std=c11", "-O2", "-Wall", "-Wextra", "-nostdlib"])
        .args(["-Wl,--no-entry", "-Wl,-z,stack-size=16384", "-o"])
        .arg(&made)
        .arg(source)
        .status()
        .map_err(|error| {
            let clang = clang.to_string_lossy();
            Complaint::new(format!(
                "cannot run `{clang}`: {error}; CLANG names another compiler (it needs wasm-ld, of the package lld)"
            ))
        })?;
    if !status.success() {
        return Err(Complaint::new("clang failed"));
    }
    let module = file::read(&made);
    drop(std::fs::remove_file(&made));
    module
}

/// The module with `manifest.json` in it, where its source has not put one there.
fn with_manifest(project: &Project, module: Vec<u8>) -> Result<Vec<u8>, Complaint> {
    match Manifest::of_module(&module).map_err(Complaint::new)? {
        Some(manifest) if *manifest.name != *project.name => Err(Complaint::new(format!(
            "the module's manifest calls it `{}`, and `manifest.json` calls it `{}`",
            manifest.name, project.name
        ))),
        Some(_) => Ok(module),
        None => Ok(Manifest::put_into(&module, &project.manifest)),
    }
}

/// Loads it as a policy would that asks it everywhere it wants and grants it all it asks for.
fn load(project: &Project, module: &[u8]) -> Result<(), Complaint> {
    let module: Arc<[u8]> = module.into();
    let artefact =
        Artefact::read(&module, Limits::default().module_bytes_max).map_err(Complaint::new)?;
    let manifest = artefact.manifest.as_deref();
    let hooks = manifest.map(|manifest| manifest.hooks.clone());
    let spec = play::spec(
        &artefact,
        hooks.unwrap_or_default(),
        play::grants(manifest),
        None,
    );
    match load_wasm(&artefact.module, spec) {
        Ok(_) => Ok(()),
        Err(errors) => {
            let lines = errors.iter().map(|error| match &error.help {
                Some(help) => format!("error[{}]: {error}; {help}\n", error.code),
                None => format!("error[{}]: {error}\n", error.code),
            });
            Err(Complaint(format!(
                "{}error: `{}` was not written\n",
                lines.collect::<String>(),
                project.module().display()
            )))
        }
    }
}
