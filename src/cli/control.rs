//! What `reload`, `promote`, `withdraw`, `status`, `history` and `rollback` have in common: which socket, asking, and what the exit code says.

use super::TrustRoot;
use super::output;
use crate::policy;
use crate::server::Answer;
use crate::server::Disk;
use crate::server::Done;
use crate::server::Refused;
use crate::server::Request;
use crate::server::Tried;
use crate::server::Trust;
use crate::server::call;
use crate::unit;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Nobody answers (sysexits.h EX_UNAVAILABLE).
const UNAVAILABLE: u8 = 69;

/// The environment variable that stands for `--socket`.
const SOCKET: &str = "PGWARDEN_SOCKET";

/// How long verbs that have no `--timeout` wait.
const PATIENCE: Duration = Duration::from_secs(60);

/// Characters of a hash that people are shown.
const SHORT: usize = 8;

/// How a running process is reached.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Reach {
    /// The admin socket, `[admin] socket` of the running policy. Default: PGWARDEN_SOCKET.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// The environment that a policy's own socket is looked up in.
    #[arg(long, value_name = "NAME")]
    env: Option<String>,
    /// How long an answer is waited for.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    timeout: Duration,
}

fn duration(text: &str) -> Result<Duration, String> {
    match unit::parse_duration(text) {
        Ok(duration) if duration.is_zero() => Err("must be more than zero".to_owned()),
        parsed => parsed.map_err(|error| error.to_string()),
    }
}

impl Reach {
    /// At that socket, or at the one of a policy in that environment.
    pub(super) fn at(socket: Option<PathBuf>, env: Option<String>) -> Self {
        Self {
            socket,
            env,
            timeout: PATIENCE,
        }
    }

    /// Asks, or says why it cannot, with the exit code.
    pub(super) fn ask(&self, policy: Option<&Path>, request: &Request) -> Result<Answer, ExitCode> {
        let socket = self.socket(policy)?;
        match call(&socket, request, self.timeout) {
            Ok(Answer::Error(error)) => {
                output::complain(&format!("error: {error}\n"));
                Err(ExitCode::FAILURE)
            }
            Ok(answer) => Ok(answer),
            Err(error) => {
                output::complain(&format!("error: {error}\n"));
                Err(ExitCode::from(UNAVAILABLE))
            }
        }
    }

    fn socket(&self, policy: Option<&Path>) -> Result<PathBuf, ExitCode> {
        if let Some(socket) = &self.socket {
            return Ok(socket.clone());
        }
        let wrong = |text: String| {
            output::complain(&format!("error: {text}\n"));
            ExitCode::from(super::USAGE)
        };
        let Some(policy) = policy else {
            let of_process = std::env::var_os(SOCKET).map(PathBuf::from);
            return of_process.ok_or_else(|| {
                wrong("which process? give --socket PATH, or its policy".to_owned())
            });
        };
        let trust = Trust {
            root: TrustRoot { trust_root: None }.root(),
            require_signed: false,
        };
        let disk = Disk { trust: &trust };
        policy::admin_socket(policy, self.env.as_deref(), &disk).ok_or_else(|| {
            wrong(format!(
                "{} names no `socket` in `[admin]`; give --socket PATH",
                policy.display()
            ))
        })
    }
}

/// Whether the terminal wants colours: the process renders what this one prints.
pub(super) fn colour() -> bool {
    output::colour() == policy::Colour::Ansi
}

/// Says what came of a change.
pub(super) fn changed(answer: Result<Answer, ExitCode>) -> ExitCode {
    match answer {
        Ok(Answer::Done(done)) => {
            output::print(&told(&done));
            ExitCode::SUCCESS
        }
        Ok(Answer::Tried(tried)) => {
            output::print(&trying(&tried));
            ExitCode::SUCCESS
        }
        Ok(Answer::Withdrawn(ended)) => {
            output::print(&format!(
                "ok: the {} is withdrawn (policy {} revision {}); revision {} is in force\n",
                ended.what,
                ended.policy,
                short(&ended.revision),
                short(&ended.running)
            ));
            ExitCode::SUCCESS
        }
        Ok(Answer::Refused(refused)) => {
            output::complain(&why(&refused));
            ExitCode::FAILURE
        }
        Ok(_) => unexpected(),
        Err(code) => code,
    }
}

/// An answer to another question.
pub(super) fn unexpected() -> ExitCode {
    output::complain("error: the process speaks another protocol; is it of another version?\n");
    ExitCode::FAILURE
}

fn told(done: &Done) -> String {
    let before = match done.from == done.revision {
        true => "as before".to_owned(),
        false => format!("was {}", short(&done.from)),
    };
    format!(
        "ok: policy {} revision {} ({before}), commit {}, {} ms\n",
        done.policy,
        short(&done.revision),
        done.commit.as_deref().unwrap_or("none"),
        done.millis
    )
}

fn trying(tried: &Tried) -> String {
    let does = match tried.percent {
        Some(percent) => format!("serves {percent} % of the sessions that begin"),
        None => "decides and does not act".to_owned(),
    };
    format!(
        "ok: {} policy {} revision {} {does} (revision {} is in force), commit {}, {} ms\n",
        tried.what,
        tried.policy,
        short(&tried.revision),
        short(&tried.running),
        tried.commit.as_deref().unwrap_or("none"),
        tried.millis
    )
}

fn why(refused: &Refused) -> String {
    let mistakes = match &refused.report {
        Some(report) => report.clone(),
        None => {
            let lines = refused.mistakes.iter();
            lines.map(|line| format!("error: {line}\n")).collect()
        }
    };
    format!(
        "{mistakes}refused: revision {} stays in force\n",
        short(&refused.revision)
    )
}

/// The beginning of a hash.
pub(super) fn short(hash: &str) -> &str {
    hash.get(..SHORT).unwrap_or(hash)
}

/// A table with a line above, columns as wide as they must be.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|name| (*name).to_owned()).collect();
    let lines = || std::iter::once(&head).chain(rows);
    let width = |column: usize| {
        let cells = lines().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut text = String::new();
    for line in lines() {
        let cells = line.iter().zip(&widths);
        let cells: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}
