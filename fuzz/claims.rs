//! What must be true of any text: nothing panics, every place lies in its file, a policy without mistakes keeps its meaning whatever
//! is done to its looks, and what two policies differ in is told. Owns no text.

use super::corpus::Input;
use super::corpus::ROOT;
use pgwarden::pipeline::StatsRegistry;
use pgwarden::policy::Colour;
use pgwarden::policy::Defaults;
use pgwarden::policy::LayoutError;
use pgwarden::policy::Policy;
use pgwarden::policy::Report;
use pgwarden::policy::effective;
use pgwarden::policy::environments;
use pgwarden::policy::layout;
use pgwarden::policy::texts;
use pgwarden::server::Source;
use pgwarden::server::Trust;
use pgwarden::server::build_from;
use pgwarden::statement::Analyzer;
use std::path::Path;
use std::sync::Arc;

/// Of the environments of one text, only so many are looked at.
const ENVIRONMENTS_MAX: usize = 3;
const STATEMENTS_MAX: usize = 100;

/// What kind of text it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Held {
    /// A policy that could be served.
    Clean,
    /// One with mistakes.
    Refused,
}

/// Holds every claim against one text.
///
/// # Errors
/// The claim that does not hold.
pub(crate) fn hold(base: Option<&Policy>, input: &Input) -> Result<Held, String> {
    let policy = check(input, None)?;
    for name in environments(Path::new(ROOT), input)
        .into_iter()
        .take(ENVIRONMENTS_MAX)
    {
        check(input, Some(name))?;
    }
    laid_out(input, policy.as_ref())?;
    rendered(input, policy.as_ref())?;
    let Some(policy) = policy else {
        return Ok(Held::Refused);
    };
    if policy.canonical() != policy.clone().canonical() {
        return Err("a policy means something else the second time".to_owned());
    }
    compared(&policy, &policy.clone())?;
    if let Some(base) = base {
        compared(base, &policy)?;
        compared(&policy, base)?;
    }
    Ok(Held::Clean)
}

/// A text of the corpus, where it is a policy that could be served.
pub(crate) fn served(text: &str) -> Option<Policy> {
    check(&Input::new(text, None), None).ok().flatten()
}

/// As `pgwarden check` and `run` read it, guests and lints and all.
fn check(input: &Input, environment: Option<String>) -> Result<Option<Policy>, String> {
    let source = Source {
        path: ROOT.into(),
        environment,
        trust: Trust::default(),
    };
    let analyzer = Arc::new(Analyzer::new(STATEMENTS_MAX));
    let (world, report) = build_from(&source, input, &StatsRegistry::default(), &analyzer);
    places(&report)?;
    if world.is_none() != report.has_errors() {
        return Err("a policy is refused without an error, or served with one".to_owned());
    }
    Ok(world.map(|world| Arc::unwrap_or_clone(world.policy)))
}

/// Every place lies in its file, between characters, and the report can be told in every format.
fn places(report: &Report) -> Result<(), String> {
    for found in report.diagnostics() {
        let related = found.related.iter().map(|(at, _)| at);
        for at in found.at.iter().chain(related) {
            let place = report.place(*at);
            let mut sources = report.sources().iter();
            let source = sources.find(|source| *source.path == *place.file);
            let source = source.ok_or_else(|| format!("{} is in no file", found.code))?;
            if source.text.get(at.span()).is_none() {
                let (code, span) = (found.code, at.span());
                let bytes = source.text.len();
                return Err(format!(
                    "{code} at {place}: {span:?} is no part of {bytes} bytes"
                ));
            }
        }
    }
    let told = [
        report.render(Colour::Never),
        report.render(Colour::Ansi),
        report.github(),
        report.json().to_string(),
        report.sarif().to_string(),
    ];
    match told.contains(&String::new()) && !report.diagnostics().is_empty() {
        true => Err("something was found, and one format says nothing".to_owned()),
        false => Ok(()),
    }
}

/// `fmt`: a second time changes nothing, and never the meaning.
fn laid_out(input: &Input, policy: Option<&Policy>) -> Result<(), String> {
    if let Err(report) = texts(Path::new(ROOT), input) {
        places(&report)?;
    }
    let Ok(text) = std::str::from_utf8(&input.root) else {
        return Ok(());
    };
    let laid = match layout(Path::new(ROOT), text) {
        Ok(laid) => laid,
        Err(LayoutError::Broken(report)) => {
            return match policy {
                Some(_) => Err("fmt calls a policy broken that is not".to_owned()),
                None => places(&report),
            };
        }
        Err(LayoutError::Unproven) => return Err("fmt could not prove its layout".to_owned()),
    };
    match layout(Path::new(ROOT), &laid) {
        Ok(again) if again == laid => (),
        Ok(_) => return Err("fmt changes what it has laid out".to_owned()),
        Err(_) => return Err("fmt cannot read what it has laid out".to_owned()),
    }
    if let Some(policy) = policy {
        let laid = Input::new(laid, input.second.clone());
        match check(&laid, None)? {
            Some(laid) if laid.revision == policy.revision => (),
            Some(_) => return Err("fmt changes the revision".to_owned()),
            None => return Err("fmt makes a policy wrong".to_owned()),
        }
    }
    Ok(())
}

/// `render`: a policy as one text is a policy, of the same revision.
fn rendered(input: &Input, policy: Option<&Policy>) -> Result<(), String> {
    for defaults in [Defaults::Hidden, Defaults::Shown] {
        let text = match effective(Path::new(ROOT), None, input, defaults) {
            Ok(text) => text,
            Err(report) => {
                places(&report)?;
                return match policy {
                    Some(_) => Err("render refuses a policy that is right".to_owned()),
                    None => Ok(()),
                };
            }
        };
        let Some(policy) = policy else { continue };
        match check(&Input::new(text, None), None)? {
            Some(rendered) if rendered.revision == policy.revision => (),
            Some(_) => return Err(format!("render changes the revision ({defaults:?})")),
            None => return Err(format!("render makes a policy wrong ({defaults:?})")),
        }
    }
    Ok(())
}

/// `diff` tells of something where the revisions differ, and of nothing but tests where they do not.
fn compared(old: &Policy, new: &Policy) -> Result<(), String> {
    let changes = old.difference(new).changes;
    let mut of_meaning = changes
        .iter()
        .filter(|change| !change.path.starts_with("test "));
    let first = of_meaning.next();
    match (old.revision == new.revision, first) {
        (true, Some(change)) => Err(format!("diff tells of a change that is none: {change:?}")),
        (false, None) => Err("diff says nothing where the revisions differ".to_owned()),
        _ => Ok(()),
    }
}
