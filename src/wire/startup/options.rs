//! The `options` startup parameter: a command line for the server process, read as PostgreSQL reads it
//! (`pg_split_opts` and `process_postgres_switches` in `src/backend`). Owns no other parameter.

use super::StartupError;

type Setting = (String, String);

/// What a one-letter switch stands for.
enum Switch {
    /// `-c name=value`, and `--name=value` under the letter `-`.
    Named,
    /// A setting switched on or off.
    Fixed(&'static str, &'static str),
    /// A setting that takes the switch's argument.
    Argument(&'static str),
}

/// The settings of a command line, in its order.
pub(super) fn parse(command_line: &str) -> Result<Vec<Setting>, StartupError> {
    let mut settings = Vec::new();
    let mut words = split(command_line).into_iter();
    while let Some(word) = words.next() {
        let Some(mut letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
            return Err(StartupError::Argument { argument: word });
        };
        // As getopt(3): letters without an argument may stand together; an argument is the rest of the word, or the next.
        while let Some(letter) = letters.chars().next() {
            letters = &letters[letter.len_utf8()..];
            let Some(switch) = switch(letter) else {
                return Err(StartupError::Argument { argument: word });
            };
            let name = match switch {
                Switch::Fixed(name, value) => {
                    settings.push((name.to_owned(), value.to_owned()));
                    continue;
                }
                Switch::Named => None,
                Switch::Argument(name) => Some(name),
            };
            let argument = match std::mem::take(&mut letters) {
                "" if letter == '-' => return Err(StartupError::Argument { argument: word }),
                "" => words.next().ok_or_else(|| StartupError::Argument {
                    argument: word.clone(),
                })?,
                rest => rest.to_owned(),
            };
            settings.push(match name {
                Some(name) => (name.to_owned(), argument),
                None => named(letter, &argument)?,
            });
        }
    }
    Ok(settings)
}

/// The switches that make sense in a session; the others are for starting a server.
fn switch(letter: char) -> Option<Switch> {
    Some(match letter {
        'c' | '-' => Switch::Named,
        'B' => Switch::Argument("shared_buffers"),
        'N' => Switch::Argument("max_connections"),
        'S' => Switch::Argument("work_mem"),
        'W' => Switch::Argument("post_auth_delay"),
        'F' => Switch::Fixed("fsync", "false"),
        'O' => Switch::Fixed("allow_system_table_mods", "true"),
        'P' => Switch::Fixed("ignore_system_indexes", "true"),
        'e' => Switch::Fixed("datestyle", "euro"),
        'l' => Switch::Fixed("ssl", "true"),
        's' => Switch::Fixed("log_statement_stats", "true"),
        _ => return None,
    })
}

/// `name=value`. A dash in the name stands for an underscore (`ParseLongOption`).
fn named(letter: char, argument: &str) -> Result<Setting, StartupError> {
    let Some((name, value)) = argument.split_once('=') else {
        let space = if letter == 'c' { " " } else { "" };
        let switch = format!("-{letter}{space}{argument}");
        return Err(StartupError::NoValue { switch });
    };
    Ok((name.replace('-', "_"), value.to_owned()))
}

/// Words between white space; a backslash takes the next character as it is.
fn split(command_line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = command_line.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c' => words.extend(word.take()),
            '\\' => word.get_or_insert_default().extend(chars.next()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}
