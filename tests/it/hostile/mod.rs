//! A corpus of hostile guests against other sessions of the same proxy: their statements never fail, the slowest hundredth
//! stays within twice what it is without an attack, and memory stays flat. Runs for a third of a minute as a test, and
//! for as long as HOSTILE_SECONDS says as the benchmark `benches/hostile`; docs/hostile-guests.md tells what is measured.

mod corpus;
mod figures;
mod load;

use crate::support::Folder;
use crate::support::plugins;
use crate::support::proxy::Proxy;
use crate::support::proxy::pgwarden;
use crate::support::said::Said;
use crate::support::wire::Wire;
use corpus::Attack;
use corpus::Class;
use corpus::Corpus;
use corpus::Outcome;
use corpus::REFUSED;
use corpus::Source;
use figures::Sorted;
use figures::mebibytes;
use figures::milliseconds;
use load::CLOSED;
use load::Manner;
use load::QUIET;
use load::Stage;
use load::Tally;
use load::VICTIM_PERIOD;
use load::attack;
use load::suffer;
use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

const VICTIMS: u32 = 8;
const ATTACKERS: usize = 4;
/// What the median and the slowest hundredth may be of what they are without an attack.
const HARM_FACTOR: u32 = 2;
/// Added to what the median may be: the system hardly moves it, a guest that holds up the messages does.
const MEDIAN_NOISE: Duration = Duration::from_millis(5);
/// What the most memory may grow by between the second round and the last: what as many guests as there are attackers may
/// have at a time, for the peaks of two rounds meet them at different moments.
const GROWTH_BYTES_MAX: u64 = (ATTACKERS as u64) * (2 << 20);
const SAMPLE_EVERY: Duration = Duration::from_millis(50);

/// How long, and how exact: the test runs beside others on a busy machine.
struct Terms {
    rounds: u32,
    window: Duration,
    /// Added to what the slowest hundredth may be, where a busy neighbour does not add more.
    noise: Duration,
    statements_per_second: u32,
}

impl Terms {
    /// Long where HOSTILE_SECONDS says so.
    fn of_this_run() -> Self {
        const WINDOW: Duration = Duration::from_secs(8);
        let long = std::env::var("HOSTILE_SECONDS").ok();
        let Some(seconds) = long.and_then(|text| text.parse::<u32>().ok()) else {
            return Self {
                rounds: 3,
                window: Duration::from_millis(400),
                noise: Duration::from_millis(100),
                statements_per_second: 1_000,
            };
        };
        let round = (WINDOW + WINDOW / QUIET_PART).as_secs_f64() * WINDOWS.len() as f64;
        Self {
            rounds: ((f64::from(seconds) / round).round() as u32).max(3),
            window: WINDOW,
            noise: Duration::from_millis(2),
            statements_per_second: 10_000,
        }
    }
}

/// Before each attack nobody attacks for this part of its time.
const QUIET_PART: u32 = 4;

/// What attacks during one window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Window {
    Class(Class),
    /// Every fault, with the breaker that stages have by default.
    Guarded,
    /// As many faults as the connections bring about. Says what the machine reaches; harm is not judged.
    Flood,
    /// Refusals by a rule, as many and as quick as the faults: what the same attackers do without a guest.
    Rule,
    RuleFlood,
    /// The same as `Rule` while something outside of the proxy keeps one processor busy: what the machine itself does to
    /// the victims when a guest computes.
    Neighbour,
}

const WINDOWS: [Window; 12] = [
    Window::Class(Class::Burns),
    Window::Class(Class::Grows),
    Window::Class(Class::Answers),
    Window::Class(Class::Pointers),
    Window::Class(Class::Floods),
    Window::Class(Class::Echoes),
    Window::Class(Class::Faults),
    Window::Guarded,
    Window::Flood,
    Window::Rule,
    Window::RuleFlood,
    Window::Neighbour,
];

impl Window {
    fn attacks<'a>(self, corpus: &'a [Attack], rule: &'a Attack) -> Vec<&'a Attack> {
        let chosen = |attack: &&Attack| match self {
            Self::Class(class) => attack.class == class && !attack.guarded,
            Self::Flood => attack.class == Class::Faults && !attack.guarded,
            Self::Guarded => attack.guarded && matches!(attack.outcome, Outcome::Fault(_)),
            Self::Rule | Self::RuleFlood | Self::Neighbour => false,
        };
        match self {
            Self::Rule | Self::RuleFlood | Self::Neighbour => vec![rule],
            _ => corpus.iter().filter(chosen).collect(),
        }
    }

    /// Attackers send their next statement when the last one is answered, but no more than so many a second all together;
    /// those that want faults or refusals and nothing else send several before they wait.
    fn manner(self, statements_per_second: u32) -> Manner {
        let batch = match self {
            Self::Class(Class::Faults) | Self::Rule | Self::Flood | Self::RuleFlood => 10,
            Self::Class(_) | Self::Guarded | Self::Neighbour => 1,
        };
        let together = batch * u32::try_from(ATTACKERS).expect("few");
        let pace = match self {
            Self::Flood | Self::RuleFlood => Duration::ZERO,
            _ => Duration::from_secs(1) * together / statements_per_second,
        };
        Manner { batch, pace }
    }

    /// Whether harm is judged: a flood of statements fills the proxy whatever becomes of them.
    fn is_judged(self) -> bool {
        matches!(self, Self::Class(_) | Self::Guarded)
    }
}

/// Everything that was seen.
#[derive(Default)]
struct Seen {
    tallies: BTreeMap<String, Tally>,
    /// Statements of the attackers, and the time they had, by window.
    statements: [u64; WINDOWS.len()],
    attacked: [Duration; WINDOWS.len()],
    /// Resident memory: the least and the most of each round.
    memory: Vec<(u64, u64)>,
}

#[test]
fn hostile_guests_harm_nobody_else() {
    let terms = Terms::of_this_run();
    let corpus = Corpus::new();
    let proxy = corpus.start();
    let stage = Stage::default();
    stage.open(CLOSED);
    let victims: Vec<Wire> = (0..VICTIMS).map(|_| proxy.login("app")).collect();
    let mut attackers: Vec<Wire> = (0..ATTACKERS)
        .map(|_| Wire::login(corpus.port, "other", "app"))
        .collect();
    let (seen, times) = std::thread::scope(|scope| {
        let ends = stage.end_with();
        let victims: Vec<_> = victims
            .into_iter()
            .zip(0..)
            .map(|(wire, number)| {
                let stage = &stage;
                scope.spawn(move || suffer(stage, wire, VICTIM_PERIOD * number / VICTIMS))
            })
            .collect();
        let mut seen = Seen::default();
        for _ in 0..terms.rounds {
            round(
                &mut seen,
                &terms,
                &corpus.attacks,
                &proxy,
                &stage,
                &mut attackers,
            );
        }
        drop(ends);
        let times = victims
            .into_iter()
            .flat_map(|victim| victim.join().expect("a victim"));
        (seen, times.collect::<Vec<_>>())
    });
    report_attacks(&seen);
    let harmed = report_times(&terms, &seen, &times);
    let grown = report_memory(&seen.memory);
    for attack in &corpus.attacks {
        let judged = !attack.guarded || matches!(attack.outcome, Outcome::Fault(_));
        assert!(
            !judged || seen.tallies.contains_key(&attack.table),
            "{} never ran",
            attack.table
        );
    }
    assert!(harmed.is_empty(), "{harmed:?}");
    assert!(
        grown <= GROWTH_BYTES_MAX,
        "memory grew by {} MiB",
        mebibytes(grown)
    );
}

/// Every window once, each after a quiet one.
fn round(
    seen: &mut Seen,
    terms: &Terms,
    corpus: &[Attack],
    proxy: &Proxy,
    stage: &Stage,
    attackers: &mut [Wire],
) {
    let rule = Attack {
        class: Class::Faults,
        table: "by_rule".to_owned(),
        outcome: Outcome::Refused,
        guarded: false,
    };
    let mut memory = Vec::new();
    for (number, window) in WINDOWS.into_iter().enumerate() {
        memory.extend(sampled(proxy, Instant::now() + 2 * VICTIM_PERIOD));
        stage.open(QUIET);
        memory.extend(sampled(proxy, Instant::now() + terms.window / QUIET_PART));
        let attacks = window.attacks(corpus, &rule);
        let manner = window.manner(terms.statements_per_second);
        let start = Instant::now();
        let end = start + terms.window;
        stage.open(number);
        let tallies = std::thread::scope(|scope| {
            let spread = attacks.len().div_ceil(ATTACKERS);
            let attackers: Vec<_> = attackers
                .iter_mut()
                .enumerate()
                .map(|(place, wire)| {
                    let attacks = &attacks;
                    scope.spawn(move || attack(wire, attacks, place * spread, manner, end))
                })
                .collect();
            if window == Window::Neighbour {
                scope.spawn(move || while Instant::now() < end {});
            }
            memory.extend(sampled(proxy, end));
            let tallies = attackers
                .into_iter()
                .map(|it| it.join().expect("an attacker"));
            tallies.collect::<Vec<_>>()
        });
        seen.attacked[number] += start.elapsed();
        stage.open(CLOSED);
        for (attack, tally) in tallies.iter().flat_map(|each| attacks.iter().zip(each)) {
            for (word, count) in tally {
                seen.statements[number] += count;
                let words = seen.tallies.entry(attack.table.clone()).or_default();
                *words.entry(word.clone()).or_default() += count;
            }
        }
    }
    let (least, most) = (memory.iter().min(), memory.iter().max());
    seen.memory.extend(least.copied().zip(most.copied()));
}

/// The proxy's resident memory until then.
fn sampled(proxy: &Proxy, end: Instant) -> Vec<u64> {
    let mut samples = Vec::new();
    while Instant::now() < end {
        samples.push(proxy.resident_bytes());
        std::thread::park_timeout(SAMPLE_EVERY.min(end.saturating_duration_since(Instant::now())));
    }
    samples
}

fn report_attacks(seen: &Seen) {
    eprintln!("what came of each attack, in statements:");
    for (table, tally) in &seen.tallies {
        let words: Vec<String> = tally
            .iter()
            .map(|(word, count)| format!("{word} {count}"))
            .collect();
        eprintln!("  {table:28} {}", words.join(", "));
    }
}

/// Prints the victims' times, and gives the windows in which they were harmed.
fn report_times(terms: &Terms, seen: &Seen, times: &[(usize, Duration)]) -> Vec<String> {
    let of = |window: usize| {
        let times = times.iter().filter(|(of, _)| *of == window);
        Sorted::new(times.map(|(_, time)| *time).collect())
    };
    let line = |name: &str, rate: String, times: &Sorted, note: String| {
        let [half, most, last, worst] =
            [500, 990, 999, 1000].map(|it| milliseconds(times.per_mille(it)));
        let count = times.count();
        eprintln!(
            "  {name:22} {rate:>9} {count:>8} {half:>8} {most:>8} {last:>8} {worst:>8}  {note}"
        );
    };
    let alone = of(QUIET);
    let neighbour = WINDOWS.iter().position(|it| *it == Window::Neighbour);
    let neighbour = of(neighbour.expect("one of them")).per_mille(990);
    let noise = neighbour.saturating_sub(alone.per_mille(990));
    let limits = [
        (500, alone.per_mille(500) * HARM_FACTOR + MEDIAN_NOISE),
        (
            990,
            alone.per_mille(990) * HARM_FACTOR + noise.max(terms.noise),
        ),
    ];
    eprintln!("victims' times in milliseconds, counted from when each statement was due:");
    eprintln!(
        "  {:22} {:>9} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "", "attacks/s", "victims'", "p50", "p99", "p99.9", "worst"
    );
    line("nobody attacks", String::new(), &alone, String::new());
    let mut harmed = Vec::new();
    for (number, window) in WINDOWS.into_iter().enumerate() {
        let times = of(number);
        let rate = seen.statements[number] as f64 / seen.attacked[number].as_secs_f64();
        let most = times.per_mille(990);
        let factor = most.as_secs_f64() / alone.per_mille(990).as_secs_f64();
        let name = format!("{window:?}");
        let judged = if window.is_judged() {
            ""
        } else {
            ", not judged"
        };
        line(
            &name,
            format!("{rate:.0}"),
            &times,
            format!("x{factor:.1}{judged}"),
        );
        for (per_mille, limit) in limits {
            let time = times.per_mille(per_mille);
            if window.is_judged() && limit < time {
                let (time, limit) = (milliseconds(time), milliseconds(limit));
                harmed.push(format!(
                    "{window:?}: {time} ms of {per_mille}/1000, over {limit}"
                ));
            }
        }
    }
    harmed
}

/// Prints the rounds' memory, and gives by how much the last one's most is above the second one's; the first warms up.
fn report_memory(memory: &[(u64, u64)]) -> u64 {
    let series: Vec<String> = memory
        .iter()
        .map(|(least, most)| format!("{}-{}", mebibytes(*least), mebibytes(*most)))
        .collect();
    eprintln!("resident memory of each round in MiB: {}", series.join(" "));
    let most = |round: Option<&(u64, u64)>| round.map_or(0, |(_, most)| *most);
    most(memory.last()).saturating_sub(most(memory.get(1)))
}

/// What a policy must not even load: imports that are not granted, start functions that never end, and more.
#[test]
fn what_a_guest_must_not_have_is_refused_at_load() {
    for (source, code) in REFUSED {
        let folder = Folder::new("refused");
        let (action, table) = match source {
            Source::Module(path) => {
                let bytes = corpus::module_bytes(path);
                folder.write("hostile.wasm", &bytes);
                (
                    "plugin = \"hostile\"".to_owned(),
                    plugins::table("hostile", &bytes),
                )
            }
            Source::Script(text) => (format!("script = \"{text}\""), String::new()),
        };
        let policy = folder.write(
            "policy.toml",
            format!(
                "policy = 1\nname = \"refused\"\n[listener.main]\nbind = [\"127.0.0.1:6432\"]\n\
                 [node.pg]\nrole = \"primary\"\nhost = \"127.0.0.1\"\n\
                 [pool.main]\ndatabase = \"*\"\nnodes = [\"pg\"]\n{table}\n\
                 [stage.hostile]\nhook = \"authorize\"\n{action}\n\
                 [pipeline.default]\nauthorize = [\"hostile\"]\notherwise = {{ authorize = \"allow\" }}\n"
            ),
        );
        let said = Said::by(pgwarden(&["run"]).arg(policy));
        let text = said.all();
        assert_eq!(said.code, Some(78), "{source:?}: {text}");
        assert!(
            text.contains(&format!("error[{code}]")),
            "{source:?}: {text}"
        );
    }
}
