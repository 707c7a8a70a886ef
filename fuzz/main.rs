//! Broken and half-broken policies without end: what every verb that reads a policy must hold to, whatever the text. Owns the loop,
//! its seeds and what is kept of a failure; `mutate` makes the texts, `claims` says what must be true of them.
//!
//! `scripts/fuzz [SECONDS [SEED [CASE]]]` runs it. A case is made from the seed and its number alone, so that it can be had again.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a run that cannot go on should stop and say where"
)]

mod chance;
mod claims;
mod corpus;
mod mutate;

use chance::Chance;
use claims::Held;
use corpus::Corpus;
use corpus::Input;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use std::time::Instant;

const USAGE: &str = "fuzz SECONDS [SEED [CASE]]: seconds to run, numbers to begin with";

/// Of failures that begin with the same words, only the first is kept.
const SAME_CHARS: usize = 48;
/// A run ends when it has found this many.
const FAILURES_MAX: usize = 20;
/// One case takes milliseconds; one that takes this long does not end.
const CASE_SECONDS_MAX: u64 = 60;
/// The stack of a thread that reads policies in the proxy.
const STACK_BYTES: usize = 2 * 1024 * 1024;
/// What a run begins with that is not told otherwise.
const SEED: u64 = 1;

struct Arguments {
    seconds: u64,
    seed: u64,
    /// This case alone.
    case: Option<u64>,
}

fn arguments() -> Option<Arguments> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| given.get(at).map(|text| text.parse::<u64>()).transpose();
    let (seconds, seed, case) = (number(0).ok()??, number(1).ok()?, number(2).ok()?);
    (given.len() <= 3).then_some(Arguments {
        seconds,
        seed: seed.unwrap_or(SEED),
        case,
    })
}

fn main() -> ExitCode {
    let Some(arguments) = arguments() else {
        println!("{USAGE}");
        return ExitCode::from(64);
    };
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
    let run = thread.spawn(move || run(&arguments)).expect("a thread");
    run.join().unwrap_or(ExitCode::FAILURE)
}

fn run(arguments: &Arguments) -> ExitCode {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/fuzz");
    std::fs::create_dir_all(&folder).expect("a folder for what fails");
    let corpus = Corpus::read(claims::served);
    let (texts, clean) = (corpus.texts.len(), corpus.clean.len());
    println!(
        "seed {}, {texts} texts of which {clean} are policies without mistakes",
        arguments.seed
    );
    let last_panic = note_panics();
    let watched = watch();
    let begun = Instant::now();
    let cases = arguments.case.map_or(0..u64::MAX, |case| case..case + 1);
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut failures: Vec<String> = Vec::new();
    for case in cases {
        if arguments.seconds <= begun.elapsed().as_secs() || failures.len() == FAILURES_MAX {
            break;
        }
        let mut chance = Chance::of(arguments.seed, case);
        let (base, input) = mutate::input(&corpus, &mut chance);
        // Written before it is tried: a process that dies leaves what killed it.
        input.write(&folder.join("last"));
        watched.store(case, Relaxed);
        let base = corpus.served[base].as_ref();
        let held = catch_unwind(AssertUnwindSafe(|| claims::hold(base, &input)));
        let held = held.unwrap_or_else(|_| Err(take(&last_panic)));
        let found = match held {
            Ok(Held::Clean) => "clean",
            Ok(Held::Refused) => "refused",
            Err(why) => {
                keep(&mut failures, &why, &input, (arguments.seed, case), &folder);
                "failed"
            }
        };
        *counts.entry(found).or_default() += 1;
    }
    watched.store(u64::MAX, Relaxed);
    println!("{counts:?} in {} s", begun.elapsed().as_secs());
    match failures.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Tells of a failure of a kind that was not met before, and keeps its input.
fn keep(
    failures: &mut Vec<String>,
    why: &str,
    input: &Input,
    (seed, case): (u64, u64),
    folder: &Path,
) {
    let kind: String = why.chars().take(SAME_CHARS).collect();
    if failures.contains(&kind) {
        return;
    }
    failures.push(kind);
    let place = folder.join(format!("failed-{seed}-{case}"));
    input.write(&place);
    println!(
        "seed {seed} case {case}: {why}\n  kept in {}",
        place.display()
    );
}

/// Panics are told by the case they belong to, not as they come.
fn note_panics() -> Arc<Mutex<String>> {
    let last = Arc::new(Mutex::new(String::new()));
    let noted = Arc::clone(&last);
    std::panic::set_hook(Box::new(move |panic| {
        let told = format!("panic: {panic}");
        *noted.lock().unwrap_or_else(PoisonError::into_inner) = told;
    }));
    last
}

fn take(last: &Mutex<String>) -> String {
    std::mem::take(&mut *last.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Ends the process when one case goes on for too long; what it was given lies in `last`.
fn watch() -> Arc<AtomicU64> {
    let case = Arc::new(AtomicU64::new(0));
    let watched = Arc::clone(&case);
    std::thread::spawn(move || {
        let mut seen = u64::MAX;
        loop {
            let end = Instant::now() + Duration::from_secs(CASE_SECONDS_MAX);
            while let Some(left) = end.checked_duration_since(Instant::now()) {
                std::thread::park_timeout(left);
            }
            let now = watched.load(Relaxed);
            if now == seen && now != u64::MAX {
                println!("case {now} does not end; its input is kept in target/fuzz/last");
                std::process::abort();
            }
            seen = now;
        }
    });
    case
}
