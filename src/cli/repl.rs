//! `pgwarden repl`: statements as a user types them, and what becomes of each. Owns the reading of lines and the commands; sessions
//! are `scenario`'s. Nothing is connected to: every statement goes on as if it had succeeded.

use super::PolicyArguments;
use super::explain;
use super::output;
use super::scenario::Played;
use super::scenario::Scenario;
use super::scenario::State;
use super::scenario::StillServices;
use super::scenario::Who;
use crate::hook::ClientAddress;
use crate::hook::Protocol;
use crate::pipeline::Detail;
use crate::session::World;
use crate::statement;
use std::io::BufRead;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

/// `pgwarden repl POLICY --user U`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    policy: PolicyArguments,
    /// Whose statements.
    #[arg(long)]
    user: String,
    /// The database; without it, the user's name, as with psql.
    #[arg(long)]
    database: Option<String>,
    /// The client's address, or `unix`.
    #[arg(long, default_value = "unix", value_parser = address)]
    client: ClientAddress,
    /// `application_name`.
    #[arg(long, default_value = "")]
    app: String,
    /// The listener; without it, the first.
    #[arg(long)]
    listener: Option<String>,
}

const HELP: &str = "  STATEMENT;         what would become of it, as the next of this session
  \\explain           every stage's part in the last one
  \\user NAME [DB]    a new session of that user
  \\client ADDRESS    a new session from there; `unix` for a Unix socket
  \\reload            read the policy again; the session goes on
  \\q                 end
";

/// A statement that is typed is not longer than this.
const STATEMENT_BYTES_MAX: usize = 16 << 20;

fn address(text: &str) -> Result<ClientAddress, String> {
    match text.parse() {
        _ if text == "unix" => Ok(ClientAddress::Unix),
        Ok(address) => Ok(ClientAddress::Ip(address, 0)),
        Err(_) => Err("an address without a port, or `unix`".to_owned()),
    }
}

/// Who types.
struct Typist {
    user: String,
    database: Option<String>,
    client: ClientAddress,
    app: String,
    listener: Option<String>,
}

/// Why a session is left.
enum Next {
    /// For the end.
    End,
    /// For a new one.
    Begin,
    /// For one that goes on under the policy as it is now.
    Reload(State),
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let mut typist = Typist {
        user: arguments.user.clone(),
        database: arguments.database.clone(),
        client: arguments.client,
        app: arguments.app.clone(),
        listener: arguments.listener.clone(),
    };
    let read = || super::world(&arguments.policy.source());
    let mut world = match read() {
        Ok(world) => world,
        Err(code) => return code,
    };
    let mut input = Input::new();
    let mut state = None;
    loop {
        match session(&world, &mut typist, &mut input, state.take()) {
            Ok(Next::End) => return ExitCode::SUCCESS,
            Ok(Next::Begin) => (),
            Ok(Next::Reload(now)) => {
                match read() {
                    Ok(next) => {
                        let (old, new) = (&world.policy.revision, &next.policy.revision);
                        output::print(&format!("policy revision {old} -> {new}\n"));
                        world = next;
                    }
                    Err(_) => {
                        output::complain(&format!("revision {} stays\n", world.policy.revision));
                    }
                }
                state = Some(now);
            }
            Err(why) => {
                output::complain(&format!("error: {why}\n"));
                return ExitCode::from(super::USAGE);
            }
        }
    }
}

/// One session, until it is left.
fn session(
    world: &World,
    typist: &mut Typist,
    input: &mut Input,
    state: Option<State>,
) -> Result<Next, String> {
    let policy = &world.policy;
    let (mut scenario, services) = open(world, typist)?;
    let connected = scenario.connect().0;
    let is_connected = connected.is_ok();
    if let Err(turned_away) = connected {
        let refusal = turned_away.refusal;
        output::print(&format!(
            "the connection is refused by {}: {} {}\n",
            turned_away.by, refusal.code, refusal.message
        ));
    }
    if let Some(state) = state {
        scenario.go_on(state);
    }
    let mut last: Option<(String, Played)> = None;
    loop {
        let Some(typed) = input.next(&typist.user, scenario.is_in_transaction()) else {
            return Ok(Next::End);
        };
        let asked = match typed {
            Typed::Statement(_) if !is_connected => {
                output::complain("there is no session; \\user or \\client begins another\n");
                continue;
            }
            Typed::Statement(sql) => {
                let played = scenario.play(&sql, Detail::Full);
                output::print(&shown(world, &sql, &played));
                for missing in services.take_missing() {
                    output::print(&format!("  {missing}\n"));
                }
                last = Some((sql, played));
                continue;
            }
            Typed::Command(command) => typist.command(&command),
        };
        match asked {
            Asked::Nothing => (),
            Asked::Explain => match &last {
                Some((sql, played)) => output::print(&explain::explain(policy, sql, played)),
                None => output::complain("nothing was typed yet\n"),
            },
            Asked::End => return Ok(Next::End),
            Asked::Begin => return Ok(Next::Begin),
            Asked::Reload => return Ok(Next::Reload(scenario.into_state())),
        }
    }
}

/// A session of whoever types, not connected yet.
fn open<'w>(
    world: &'w World,
    typist: &Typist,
) -> Result<(Scenario<'w>, Arc<StillServices>), String> {
    let policy = &world.policy;
    let listener = super::listener(policy, typist.listener.as_deref())?;
    let services = Arc::new(StillServices::new(super::micros(SystemTime::now())));
    let who = Who {
        user: &typist.user,
        database: typist.database.as_deref().unwrap_or(&typist.user),
        client: typist.client,
        app: &typist.app,
        listener,
        tls: false,
        protocol: Protocol::Simple,
    };
    output::print(&format!(
        "policy {} revision {}  user {}, database {}, client {}\n",
        policy.name,
        policy.revision,
        who.user,
        who.database,
        who.client.host()
    ));
    if !policy.users.is_empty() && !policy.users.contains_key(who.user) {
        let name = who.user.escape_debug();
        output::complain(&format!("note: the policy has no user `{name}`\n"));
    }
    let pipeline = Arc::clone(&world.pipelines[policy.listeners[listener].pipeline]);
    let scenario = Scenario::new(policy, pipeline, Arc::clone(&services) as _, &who);
    Ok((scenario, services))
}

/// What a command asks for.
enum Asked {
    Nothing,
    Explain,
    End,
    Begin,
    Reload,
}

impl Typist {
    /// Does what a command says of who types.
    fn command(&mut self, command: &str) -> Asked {
        let mut words = command.split_whitespace();
        let words = (
            words.next().unwrap_or_default(),
            words.next(),
            words.next(),
            words.next(),
        );
        match words {
            ("q" | "quit", None, None, None) => Asked::End,
            ("explain", None, None, None) => Asked::Explain,
            ("reload", None, None, None) => Asked::Reload,
            ("user", Some(name), database, None) => {
                name.clone_into(&mut self.user);
                self.database = database.map(str::to_owned).or(self.database.take());
                Asked::Begin
            }
            ("client", Some(text), None, None) => match address(text) {
                Ok(client) => {
                    self.client = client;
                    Asked::Begin
                }
                Err(expected) => {
                    output::complain(&format!("expected {expected}\n"));
                    Asked::Nothing
                }
            },
            _ => {
                output::print(HELP);
                Asked::Nothing
            }
        }
    }
}

/// What became of a message, in short.
fn shown(world: &World, sql: &str, played: &Played) -> String {
    let mut lines = explain::outcome(&world.policy, sql, played);
    let hint = played.refusal().and_then(|refusal| refusal.hint.as_ref());
    lines.extend(hint.map(|hint| format!("hint: {hint}")));
    lines.join("\n  ") + "\n"
}

/// What was typed.
enum Typed {
    Statement(String),
    /// Without its backslash.
    Command(String),
}

/// Lines of standard input, put together to statements.
struct Input {
    is_terminal: bool,
    /// Statements that came in one line, the first last.
    ready: Vec<String>,
    open: String,
}

impl Input {
    fn new() -> Self {
        Self {
            is_terminal: std::io::stdin().is_terminal(),
            ready: Vec::new(),
            open: String::new(),
        }
    }

    /// The next statement or command; `None` at the end. What is open there counts.
    fn next(&mut self, user: &str, in_transaction: bool) -> Option<Typed> {
        loop {
            if let Some(statement) = self.ready.pop() {
                return Some(Typed::Statement(statement));
            }
            if self.is_terminal {
                let mark = match (self.open.is_empty(), in_transaction) {
                    (false, _) => "->",
                    (true, true) => "*>",
                    (true, false) => "=>",
                };
                output::print(&format!("{user}{mark} "));
            }
            let mut line = String::new();
            match std::io::stdin().lock().read_line(&mut line) {
                Ok(0) if self.open.trim().is_empty() => return None,
                Ok(0) => {
                    self.close();
                    continue;
                }
                Ok(_) => (),
                Err(error) => {
                    output::complain(&format!("error: {error}\n"));
                    return None;
                }
            }
            if self.open.is_empty()
                && let Some(command) = line.trim().strip_prefix('\\')
            {
                return Some(Typed::Command(command.to_owned()));
            }
            self.take(&line);
        }
    }

    fn take(&mut self, line: &str) {
        if self.open.is_empty() && line.trim().is_empty() {
            return;
        }
        self.open.push_str(line);
        if STATEMENT_BYTES_MAX < self.open.len() {
            output::complain("error: the statement is too long\n");
            self.open.clear();
        } else if is_whole(&self.open) {
            self.close();
        }
    }

    fn close(&mut self) {
        let text = std::mem::take(&mut self.open);
        self.ready = statement::split(&text)
            .map(|range| text[range].trim().to_owned())
            .collect();
        self.ready.reverse();
    }
}

/// Whether the last semicolon ends a statement, and is not in a literal or a comment: then more text would be another one.
fn is_whole(text: &str) -> bool {
    text.trim_end().ends_with(';')
        && statement::split(text).count() < statement::split(&format!("{text}\nx")).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_ends_at_a_semicolon_of_its_own() {
        for text in [
            "select 1;",
            "select ';';\n",
            "begin; select 1;",
            "a /* ; */ b;",
        ] {
            assert!(is_whole(text), "{text}");
        }
        for text in [
            "select 1",
            "select ';",
            "select 1 -- ;",
            "/* ;",
            "select $a$ ;",
            "begin; select",
        ] {
            assert!(!is_whole(text), "{text}");
        }
    }
}
