//! `pgwarden plugin inspect`: everything that can be known of a plugin's file without running it, and what a policy grants it.

use super::Complaint;
use super::file::PluginFile;
use super::output;
use super::play::Player;
use super::seal;
use super::seal::Seal;
use super::test;
use crate::cli::TrustRoot;
use crate::hook::Hook;
use crate::hook::abi;
use crate::policy;
use crate::policy::Action;
use crate::policy::Plugin;
use crate::policy::Stage;
use crate::sandbox::Imported;
use crate::sandbox::Inspected;
use crate::sandbox::Manifest;
use crate::sandbox::Packing;
use crate::sandbox::Permission;
use crate::sandbox::inspect_wasm;
use crate::sandbox::load_wasm;
use crate::server::Disk;
use crate::server::Trust;
use crate::unit;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

/// `pgwarden plugin inspect FILE`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The plugin's file, or its folder once it is built.
    #[arg(default_value = ".")]
    file: PathBuf,
    /// Compare it with what this policy grants it.
    #[arg(long, value_name = "POLICY")]
    policy: Option<PathBuf>,
    /// Values of this environment override those of the policy's `vars`.
    #[arg(long, value_name = "NAME", requires = "policy")]
    env: Option<String>,
    /// Run these tests and show their fuel.
    #[arg(long, value_name = "FILE")]
    cases: Option<PathBuf>,
    #[command(flatten)]
    trust: TrustRoot,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Complaint> {
    let plugin = PluginFile::open(&arguments.file)?.told()?;
    let module = inspect_wasm(&plugin.artefact.module)
        .map_err(|error| Complaint::new(format!("`{}`: {error}", plugin.path.display())))?;
    let root = arguments.trust.root();
    let mut told = heading(&plugin);
    told.push(("signature", signature(&plugin, root.as_deref())?));
    if let Some(manifest) = &plugin.artefact.manifest {
        told.extend(said(manifest));
    }
    told.extend(found(&module));
    let lines = told
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| format!("{key:<10} {value}\n"));
    output::print(&lines.collect::<String>());
    if let Some(path) = &arguments.cases {
        output::print(&fuel(&plugin, path)?);
    }
    match &arguments.policy {
        None => Ok(ExitCode::SUCCESS),
        Some(path) => {
            let environment = arguments.env.as_deref();
            let (text, is_right) = compared(&plugin, &module, path, environment, root)?;
            output::print(&text);
            Ok(match is_right {
                true => ExitCode::SUCCESS,
                false => ExitCode::FAILURE,
            })
        }
    }
}

type Line = (&'static str, String);

fn heading(plugin: &PluginFile) -> Vec<Line> {
    let packing = match plugin.artefact.packing {
        Packing::Module => "",
        Packing::TarGz => ", a packed module of ",
    };
    let inner = match plugin.artefact.packing {
        Packing::Module => String::new(),
        Packing::TarGz => format!("{} bytes", plugin.artefact.module.len()),
    };
    let bytes = plugin.bytes.len();
    vec![
        ("plugin", plugin.name()),
        (
            "file",
            format!("{}, {bytes} bytes{packing}{inner}", plugin.path.display()),
        ),
        ("sha256", plugin.sha256()),
    ]
}

fn signature(plugin: &PluginFile, root: Option<&Path>) -> Result<String, Complaint> {
    let Some(seal) = Seal::of(plugin)? else {
        return Ok("none".to_owned());
    };
    let Some(root) = root else {
        return Ok("there is one; --trust-root FOLDER tells whose".to_owned());
    };
    let keys = seal::trusted(root)?;
    Ok(match keys.iter().find(|(_, key)| seal.is_of(key)) {
        Some((name, _)) => format!("good, of {name}"),
        None => "of no key in the trust root".to_owned(),
    })
}

/// What the manifest says.
fn said(manifest: &Manifest) -> Vec<Line> {
    let names = |permissions: &[Permission]| {
        let names = permissions.iter().map(|permission| permission.name());
        names.collect::<Vec<_>>().join(", ")
    };
    let fields = |manifest: &Manifest| {
        let fields = manifest.reads?.iter().map(|field| field.row());
        let fields = fields.map(|row| format!("{}.{}", row.variable, row.name));
        Some(fields.collect::<Vec<_>>().join(", "))
    };
    let abi = match manifest.abi_minor {
        Some(minor) => format!("{}.{minor}", abi::NAME),
        None => "not said".to_owned(),
    };
    let bytes = |bytes: Option<u64>| bytes.map(unit::format_size).unwrap_or_default();
    vec![
        ("version", manifest.version.to_string()),
        ("about", manifest.description.to_string()),
        ("author", manifest.author.to_string()),
        ("licence", manifest.licence.to_string()),
        ("source", manifest.source.to_string()),
        ("abi", abi),
        ("made for", hooks(&manifest.hooks)),
        ("needs", names(&manifest.needs)),
        ("wants", names(&manifest.wants)),
        ("asks for", manifest.permissions.join(", ")),
        ("reads", fields(manifest).unwrap_or_default()),
        ("needs mem.", bytes(manifest.memory_bytes)),
        ("max mem.", bytes(manifest.memory_bytes_max)),
        (
            "config",
            manifest
                .config
                .as_ref()
                .map_or("", |_| "checked")
                .to_owned(),
        ),
    ]
}

/// What the module is.
fn found(module: &Inspected) -> Vec<Line> {
    let memory = match module.memory {
        None => "not exported".to_owned(),
        Some((min, None)) => unit::format_size(min),
        Some((min, Some(max))) => {
            format!(
                "{}, grows to {}",
                unit::format_size(min),
                unit::format_size(max)
            )
        }
    };
    let imports = module.imports.iter().map(|import| match import.function {
        None => format!("{} (no host function)", import.name),
        Some(function) => match function.needs() {
            None => import.name.clone(),
            Some(call) => format!("{} ({})", import.name, call.name()),
        },
    });
    let imports = imports.collect::<Vec<_>>().join(", ");
    vec![
        ("memory", memory),
        ("hooks", hooks(&module.hooks)),
        ("exports", module.others.join(", ")),
        (
            "imports",
            match imports.is_empty() {
                true => "none".to_owned(),
                false => imports,
            },
        ),
    ]
}

fn hooks(hooks: &[Hook]) -> String {
    let names = hooks.iter().map(|hook| hook.name());
    names.collect::<Vec<_>>().join(", ")
}

/// Fuel of each of its tests.
fn fuel(plugin: &PluginFile, path: &Path) -> Result<String, Complaint> {
    let cases = test::read(path)?;
    let player = Player {
        plugin,
        cases: &cases,
    };
    let lines = cases.cases.iter().map(|case| match player.play(case) {
        Ok(played) => format!("fuel       {:<8} {}\n", played.fuel(), case.name),
        Err(_) => format!("fuel       {:<8} {}\n", "-", case.name),
    });
    Ok(lines.collect())
}

/// What the stages of a policy that ask this plugin grant it, and whether all of them can.
fn compared(
    plugin: &PluginFile,
    module: &Inspected,
    path: &Path,
    environment: Option<&str>,
    root: Option<PathBuf>,
) -> Result<(String, bool), Complaint> {
    let trust = Trust {
        root,
        require_signed: false,
    };
    let (policy, report) = policy::load(path, environment, &Disk { trust: &trust });
    let (stages, plugins) = match policy {
        Ok(policy) => (policy.stages, policy.plugins),
        Err(draft) => (draft.stages, draft.plugins),
    };
    let hash = plugin.sha256();
    let asks = |stage: &&Stage| match &stage.action {
        Action::Plugin(id) => *plugins[*id].sha256 == *hash,
        _ => false,
    };
    let (mut text, mut is_right) = (String::new(), true);
    let mut asked = false;
    for stage in stages.iter().filter(asks) {
        let Action::Plugin(id) = &stage.action else {
            continue;
        };
        let (told, granted) = of_stage(module, stage, &plugins[*id]);
        text.push_str(&told);
        is_right &= granted;
        asked = true;
    }
    if asked {
        return Ok((text, is_right));
    }
    let mistakes = match report.has_errors() {
        true => format!("; it has mistakes:\n{}", report.render(output::colour())),
        false => "\n".to_owned(),
    };
    Err(Complaint(format!(
        "error: no stage of `{}` that can be read asks a plugin with this sha256{mistakes}",
        path.display()
    )))
}

fn of_stage(module: &Inspected, stage: &Stage, plugin: &Plugin) -> (String, bool) {
    let grants = match &*stage.grants.name {
        "" => "the standard permissions".to_owned(),
        name => format!("permissions `{name}`"),
    };
    let mut text = format!(
        "\nstage {}  {}  at {}  with {grants}\n",
        stage.name,
        stage.place,
        hooks(&stage.hooks)
    );
    let granted = |import: &Imported| {
        let needs = import.function?.needs();
        Some(needs.is_none_or(|call| stage.grants.may_call(call)))
    };
    for import in &module.imports {
        let word = match granted(import) {
            Some(true) => "granted",
            Some(false) => "NOT GRANTED",
            None => "UNKNOWN",
        };
        text.push_str(&format!("  {:<28} {word}\n", import.name));
    }
    match load_wasm(&plugin.bytes, stage.guest_spec(Some(plugin))) {
        Ok(_) => {
            text.push_str("  loads\n");
            (text, true)
        }
        Err(errors) => {
            for error in errors {
                text.push_str(&format!("  error[{}]: {error}\n", error.code));
            }
            (text, false)
        }
    }
}
