//! `pgwarden hash USER`: a SCRAM-SHA-256 verifier of a password, for a policy or for `pg_authid`. Owns how the password is asked for;
//! it is neither shown nor kept.

use super::output;
use crate::policy::toml_key;
use crate::wire::password::PASSWORD_BYTES_MAX;
use crate::wire::scram;
use crate::wire::scram::Verifier;
use std::io::BufRead;
use std::io::IsTerminal as _;
use std::process::Command;
use std::process::ExitCode;
use std::process::Stdio;
use zeroize::Zeroizing;

/// `pgwarden hash USER`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The name in `[user.NAME]`.
    user: String,
    /// Rounds of PBKDF2: what a guess costs, and a login.
    #[arg(long, value_name = "COUNT", default_value_t = scram::ITERATIONS, value_parser = clap::value_parser!(u32).range(i64::from(scram::ITERATIONS)..=i64::from(scram::ITERATIONS_MAX)))]
    iterations: u32,
    /// Print the verifier alone, without the lines of a policy around it.
    #[arg(long)]
    bare: bool,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match verifier(arguments) {
        Ok(verifier) if arguments.bare => output::print(&format!("{}\n", *verifier)),
        Ok(verifier) => {
            let user = toml_key(&arguments.user);
            output::print(&format!("[user.{user}]\nverifier = \"{}\"\n", *verifier));
        }
        Err(reason) => {
            output::complain(&format!("error: {reason}\n"));
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn verifier(arguments: &Arguments) -> Result<Zeroizing<String>, String> {
    const NAME_BYTES_MAX: usize = 63;
    let user = &arguments.user;
    if user.is_empty() || user.len() > NAME_BYTES_MAX || user.chars().any(char::is_control) {
        return Err(format!(
            "`{}` is not a name for a user: 1 to {NAME_BYTES_MAX} bytes without control characters",
            user.escape_debug()
        ));
    }
    let password = match std::io::stdin().is_terminal() {
        true => typed(user)?,
        false => line(std::io::stdin().lock())?,
    };
    let mut salt = [0; scram::SALT_BYTES];
    getrandom::fill(&mut salt).map_err(|error| error.to_string())?;
    Ok(Verifier::from_password(&password, &salt, arguments.iterations).to_text())
}

/// Asks a person, twice, since nobody sees what is typed.
fn typed(user: &str) -> Result<Zeroizing<String>, String> {
    let silence = Silence::begin()?;
    let ask = |prompt: &str| {
        output::complain(prompt);
        let line = line(std::io::stdin().lock());
        output::complain("\n");
        line
    };
    let first = ask(&format!("Password for {user}: "))?;
    let second = ask("Once more: ")?;
    drop(silence);
    match first == second {
        true => Ok(first),
        false => Err("the two are not the same".to_owned()),
    }
}

/// One line without its end.
fn line(from: impl BufRead) -> Result<Zeroizing<String>, String> {
    // With room for all that is taken: a buffer that grows would leave a copy behind.
    const TAKEN_MAX: usize = PASSWORD_BYTES_MAX + 2;
    let mut bytes = Zeroizing::new(Vec::with_capacity(TAKEN_MAX));
    from.take(TAKEN_MAX as u64)
        .read_until(b'\n', &mut bytes)
        .map_err(|error| format!("cannot read the password: {error}"))?;
    let end = bytes.len();
    let end = bytes[..end].strip_suffix(b"\n").map_or(end, <[u8]>::len);
    let end = bytes[..end].strip_suffix(b"\r").map_or(end, <[u8]>::len);
    if end > PASSWORD_BYTES_MAX {
        return Err(format!("a password has at most {PASSWORD_BYTES_MAX} bytes"));
    }
    let text =
        std::str::from_utf8(&bytes[..end]).map_err(|_| "the password is not UTF-8".to_owned())?;
    match text {
        "" => Err("the password is empty".to_owned()),
        text if text.contains(INTERRUPTED) => Err("interrupted".to_owned()),
        // No client can send it.
        text if text.contains('\0') => Err("the password holds a zero byte".to_owned()),
        text => Ok(Zeroizing::new(text.to_owned())),
    }
}

/// A terminal that does not show what is typed. When this is dropped it is as it was; so that it is dropped, what would end the
/// process ends the line.
struct Silence {
    before: String,
}

/// What Ctrl-C types while it is no signal.
const INTERRUPTED: char = '\u{3}';

impl Silence {
    fn begin() -> Result<Self, String> {
        let before = stty(&["-g"]).map(|before| before.trim().to_owned());
        before
            .filter(|_| stty(&["-echo", "-isig", "eol", "^C"]).is_some())
            .map(|before| Self { before })
            .ok_or_else(|| "the terminal cannot be told to hide what is typed; give the password on standard input".to_owned())
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        stty(&[&self.before]);
    }
}

/// Setting a terminal's modes takes a system call that has no safe wrapper here; the program of POSIX does it on the terminal it inherits.
fn stty(arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("stty");
    command.args(arguments).stdin(Stdio::inherit());
    let said = command.output().ok()?;
    said.status
        .success()
        .then(|| String::from_utf8_lossy(&said.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_password_or_told_why_not() {
        let read = |bytes: &[u8]| line(bytes).map(|line| line.to_string());
        let long = "x".repeat(PASSWORD_BYTES_MAX);
        assert_eq!(read(b"secret\nmore\n").as_deref(), Ok("secret"));
        assert_eq!(read(b" a b \r\n").as_deref(), Ok(" a b "));
        assert_eq!(read(long.as_bytes()).as_deref(), Ok(&*long));
        assert_eq!(
            read(format!("{long}\r\n").as_bytes()).as_deref(),
            Ok(&*long)
        );
        for (bytes, said) in [
            (&b""[..], "is empty"),
            (b"\n", "is empty"),
            (b"a\0b\n", "zero byte"),
            (b"\xff\n", "not UTF-8"),
            (format!("{long}x\n").as_bytes(), "at most 1024 bytes"),
        ] {
            let error = read(bytes).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
