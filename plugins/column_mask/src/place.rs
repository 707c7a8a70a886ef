//! Where in a statement another WITH may stand: before the query, or first in the WITH it begins with. Owns just enough of
//! PostgreSQL's grammar for that, and finds nothing in what it does not know.

/// What a query begins with; a parenthesis after EXPLAIN that does not holds options.
const QUERY: [&str; 4] = ["select", "values", "table", "with"];

/// A place in a statement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    /// The byte before which the text goes.
    pub(crate) at: usize,
    /// Whether it goes into a WITH that is there.
    pub(crate) in_with: bool,
}

impl Place {
    /// The place in a query, or in one that is explained.
    pub(crate) fn find(sql: &str) -> Option<Self> {
        let mut scan = Scan {
            bytes: sql.as_bytes(),
            at: 0,
        };
        scan.blanks();
        let mut at = scan.at;
        if scan.word("explain") {
            scan.options()?;
            at = scan.at;
        }
        if scan.word("with") {
            let mut end = scan.at;
            scan.blanks();
            if scan.word("recursive") {
                end = scan.at;
            }
            return Some(Self {
                at: end,
                in_with: true,
            });
        }
        // PostgreSQL takes one WITH for a query in parentheses: not ours and the one inside.
        while scan.sign(b'(') {
            scan.blanks();
        }
        let known = ["select", "values", "table"]
            .into_iter()
            .any(|word| scan.word(word));
        known.then_some(Self { at, in_with: false })
    }
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    /// Goes past blanks and comments.
    fn blanks(&mut self) {
        loop {
            match self.bytes.get(self.at..).unwrap_or_default() {
                [b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c, ..] => self.at += 1,
                [b'-', b'-', ..] => {
                    while !matches!(self.bytes.get(self.at), None | Some(b'\n' | b'\r')) {
                        self.at += 1;
                    }
                }
                [b'/', b'*', ..] => self.comment(),
                _ => return,
            }
        }
    }

    /// Goes past a comment, and those inside it.
    fn comment(&mut self) {
        let mut depth = 0_usize;
        loop {
            match self.bytes.get(self.at..).unwrap_or_default() {
                [b'/', b'*', ..] => (self.at, depth) = (self.at + 2, depth + 1),
                [b'*', b'/', ..] => {
                    (self.at, depth) = (self.at + 2, depth - 1);
                    if depth == 0 {
                        return;
                    }
                }
                [] => return,
                _ => self.at += 1,
            }
        }
    }

    fn sign(&mut self, sign: u8) -> bool {
        let there = self.bytes.get(self.at) == Some(&sign);
        self.at += usize::from(there);
        there
    }

    /// Goes past a keyword, if it is there.
    fn word(&mut self, word: &str) -> bool {
        let end = self.at + word.len();
        let there = self
            .bytes
            .get(self.at..end)
            .is_some_and(|found| found.eq_ignore_ascii_case(word.as_bytes()));
        let goes_on =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | 0x80..);
        if there && !self.bytes.get(end).is_some_and(goes_on) {
            self.at = end;
            return true;
        }
        false
    }

    /// Goes past what may stand between EXPLAIN and its query.
    fn options(&mut self) -> Option<()> {
        self.blanks();
        let before = self.at;
        if self.sign(b'(') {
            self.blanks();
            let query = self.at;
            if self.sign(b'(') || QUERY.into_iter().any(|word| self.word(word)) {
                self.at = before;
                return Some(());
            }
            self.at = query;
            while !self.sign(b')') {
                self.blanks();
                match self.bytes.get(self.at)? {
                    b')' => (),
                    b',' | b'_' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => self.at += 1,
                    _ => return None,
                }
            }
            self.blanks();
            return Some(());
        }
        if self.word("analyze") || self.word("analyse") {
            self.blanks();
        }
        if self.word("verbose") {
            self.blanks();
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found() {
        for (before, after, in_with) in [
            ("", "select 1", false),
            (" -- with\n /* a /* b */ c */ ", "SELECT(1)", false),
            ("", "TABLE users", false),
            ("", "values(1)", false),
            ("", "((select 1)) limit 1", false),
            ("with", " a as (select 1) select 1", true),
            ("/**/With/**/Recursive", " a as (select 1) select 1", true),
            ("with", " recursively as (select 1) select 1", true),
            ("with", "\"recursive\" as (select 1) select 1", true),
            ("explain ", "select 1", false),
            ("explain analyze verbose ", "select 1", false),
            (
                "explain (analyze, costs off, format json) ",
                "select 1",
                false,
            ),
            (
                "explain (format json)with",
                " a as (select 1) table a",
                true,
            ),
            ("explain ", "(select 1)", false),
            ("explain ", "((select 1) union (select 2))", false),
        ] {
            let found = Place::find(&format!("{before}{after}"));
            let at = before.len();
            assert_eq!(found, Some(Place { at, in_with }), "{before}|{after}");
        }
    }

    #[test]
    fn what_is_not_known_has_no_place() {
        for sql in [
            "",
            "/* select 1",
            "declare c cursor for select 1",
            "prepare p as select 1",
            "selected",
            "(with a as (select 1) select 1)",
            "explain (format 'json') select 1",
            "explain (analyze",
            "explain execute p",
            "copy users to stdout",
        ] {
            assert_eq!(Place::find(sql), None, "{sql}");
        }
    }
}
