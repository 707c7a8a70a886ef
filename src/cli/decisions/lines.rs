//! The lines of one or several logs, one after the other, in bounded memory. Owns no meaning of a line.

use std::fs::File;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read as _;
use std::path::Path;
use std::path::PathBuf;

/// A longer line is no decision: three texts of the longest statement, escaped, are shorter.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// Standard input, as a path.
const STDIN: &str = "-";

/// Lines of logs; `-` is standard input.
pub(in crate::cli) struct Lines<'a> {
    rest: std::slice::Iter<'a, PathBuf>,
    open: Option<Open>,
}

struct Open {
    name: String,
    input: Box<dyn BufRead>,
    number: u64,
}

/// One line, and where it stands.
pub(in crate::cli) struct Line {
    /// `file:line`.
    pub(in crate::cli) place: String,
    /// `None`: it is too long.
    pub(in crate::cli) bytes: Option<Vec<u8>>,
}

impl<'a> Lines<'a> {
    pub(in crate::cli) fn of(paths: &'a [PathBuf]) -> Self {
        Self {
            rest: paths.iter(),
            open: None,
        }
    }

    /// The next line that is not empty; `None` at the end of the last log.
    ///
    /// # Errors
    /// Which log cannot be read, and why.
    pub(in crate::cli) fn next(&mut self) -> Result<Option<Line>, String> {
        loop {
            let Some(open) = &mut self.open else {
                let Some(path) = self.rest.next() else {
                    return Ok(None);
                };
                self.open = Some(Open::new(path)?);
                continue;
            };
            match open.line() {
                Ok(Some(line)) => return Ok(Some(line)),
                Ok(None) => self.open = None,
                Err(error) => return Err(format!("cannot read `{}`: {error}", open.name)),
            }
        }
    }
}

impl Open {
    fn new(path: &Path) -> Result<Self, String> {
        let name = path.display().to_string();
        let input: Box<dyn BufRead> = match name == STDIN {
            true => Box::new(io::stdin().lock()),
            false => {
                let file = File::open(path);
                let file = file.map_err(|error| format!("cannot read `{name}`: {error}"))?;
                Box::new(BufReader::new(file))
            }
        };
        Ok(Self {
            name,
            input,
            number: 0,
        })
    }

    fn line(&mut self) -> io::Result<Option<Line>> {
        loop {
            let mut bytes = Vec::new();
            let read = (&mut self.input)
                .take(LINE_BYTES_MAX)
                .read_until(b'\n', &mut bytes)?;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            let is_whole = bytes.ends_with(b"\n") || bytes.len() as u64 != LINE_BYTES_MAX;
            if !is_whole {
                self.skip_line()?;
            }
            if bytes.trim_ascii().is_empty() {
                continue;
            }
            return Ok(Some(Line {
                place: format!("{}:{}", self.name, self.number),
                bytes: is_whole.then_some(bytes),
            }));
        }
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.input.fill_buf()?;
            if buffer.is_empty() {
                return Ok(());
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let length = end.map_or(buffer.len(), |end| end + 1);
            self.input.consume(length);
            if end.is_some() {
                return Ok(());
            }
        }
    }
}
