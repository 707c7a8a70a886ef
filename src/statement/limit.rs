//! Puts a ceiling on the rows of a SELECT, in its text. Owns the `add_limit` rewrite only.

use super::facts::Facts;
use super::keyword::Keyword;
use super::kind::Kind;
use super::kind::KindSet;
use super::lexer::Lexeme;
use super::lexer::Lexer;
use super::piece::Piece;
use std::ops::Range;

/// The text with at most `limit` rows: a LIMIT is added where there is none, a higher one is lowered, one that is no
/// constant is capped with LEAST. `None` when nothing is to change or the statement is not a plain SELECT.
#[must_use]
pub fn add_limit(text: &str, facts: &Facts, limit: u64) -> Option<String> {
    if facts.kinds != KindSet::of(Kind::Select) {
        return None;
    }
    let clauses = Clauses::of(text)?;
    let (at, new) = if let Some(count) = clauses.limit {
        let new = lowered(text, &count, limit, "")?;
        (count, new)
    } else if let Some(count) = clauses.fetch {
        // Without a number it is one row.
        let new = if count.start == count.end && limit > 0 {
            return None;
        } else {
            lowered(text, &count, limit, " ")?
        };
        (count, new)
    } else {
        match clauses.locking {
            Some(locking) if !clauses.offset_after_locking => {
                (locking..locking, format!("LIMIT {limit} "))
            }
            _ => (clauses.end..clauses.end, format!(" LIMIT {limit}")),
        }
    };
    let mut out = String::with_capacity(text.len() + new.len());
    out.push_str(text.get(..at.start)?);
    out.push_str(&new);
    out.push_str(text.get(at.end..)?);
    Some(out)
}

/// What to write for a row count; `None` if it is low enough.
fn lowered(text: &str, count: &Range<usize>, limit: u64, before: &str) -> Option<String> {
    let written = text.get(count.clone())?;
    if written.is_empty()
        || written.eq_ignore_ascii_case("all")
        || written.eq_ignore_ascii_case("null")
    {
        return Some(format!("{before}{limit}"));
    }
    if written.bytes().all(|digit| digit.is_ascii_digit()) {
        let is_low = written.parse::<u64>().is_ok_and(|count| count <= limit);
        return (!is_low).then(|| limit.to_string());
    }
    // LEAST passes over NULL, and the cast is the one LIMIT does anyway.
    Some(format!("(LEAST(({written})::bigint, {limit}))"))
}

/// Where the clauses at the end of the outermost query stand.
#[derive(Default)]
struct Clauses {
    limit: Option<Range<usize>>,
    fetch: Option<Range<usize>>,
    locking: Option<usize>,
    offset_after_locking: bool,
    end: usize,
}

/// What the tokens of the outermost level are part of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Query,
    Limit,
    /// FETCH, before and at its count.
    Fetch,
    Tail,
}

impl Clauses {
    /// Finds them; `None` if the text does not begin as a SELECT does.
    fn of(text: &str) -> Option<Self> {
        let mut found = Self::default();
        let mut lexer = Lexer::new(text);
        let (mut depth, mut part, mut last) = (0_usize, Part::Query, Piece::NONE);
        loop {
            let piece = Piece::new(text, lexer.token());
            match piece.lexeme {
                Lexeme::End | Lexeme::Semicolon => return Some(found),
                Lexeme::Bad => return None,
                _ => {}
            }
            if last == Piece::NONE && !begins_select(&piece) {
                return None;
            }
            let is_label = last.lexeme == Lexeme::Dot || last.is(Keyword::As);
            if depth == 0 && !is_label {
                part = found.clause(&piece, part);
            }
            match piece.lexeme {
                Lexeme::Open | Lexeme::OpenBracket => depth += 1,
                Lexeme::Close | Lexeme::CloseBracket => depth = depth.saturating_sub(1),
                _ => {}
            }
            let count = match part {
                Part::Limit => found.limit.as_mut(),
                Part::Fetch => found.fetch.as_mut(),
                _ => None,
            };
            if let Some(count) = count.filter(|_| !piece.is(Keyword::Limit) || depth > 0) {
                if !(part == Part::Fetch && is_fetch_word(&piece)) {
                    *count = if count.start == count.end {
                        piece.start()..piece.end()
                    } else {
                        count.start..piece.end()
                    };
                } else {
                    *count = piece.end()..piece.end();
                }
            }
            found.end = piece.end();
            last = piece;
        }
    }

    fn clause(&mut self, piece: &Piece, part: Part) -> Part {
        match piece.word() {
            Some(Keyword::Limit) => {
                self.limit = Some(piece.end()..piece.end());
                Part::Limit
            }
            Some(Keyword::Fetch) => {
                self.fetch = Some(piece.end()..piece.end());
                Part::Fetch
            }
            Some(Keyword::For) => {
                self.locking = Some(piece.start());
                Part::Tail
            }
            Some(Keyword::Offset) => {
                self.offset_after_locking = self.locking.is_some();
                Part::Tail
            }
            Some(Keyword::Row | Keyword::Rows) if part == Part::Fetch => Part::Tail,
            _ => part,
        }
    }
}

fn begins_select(piece: &Piece) -> bool {
    piece.lexeme == Lexeme::Open
        || matches!(
            piece.word(),
            Some(Keyword::Select | Keyword::With | Keyword::Values | Keyword::Table)
        )
}

fn is_fetch_word(piece: &Piece) -> bool {
    matches!(
        piece.word(),
        Some(Keyword::Fetch | Keyword::First | Keyword::Next)
    )
}

#[cfg(test)]
mod tests {
    use super::super::Needs;
    use super::super::analyze;
    use super::*;

    const LIMITED: &[(&str, Option<&str>)] = &[
        ("select * from t", Some("select * from t LIMIT 10")),
        ("select * from t;", Some("select * from t LIMIT 10;")),
        (
            "select * from t -- all\n",
            Some("select * from t LIMIT 10 -- all\n"),
        ),
        (
            "select 'limit 5' /* limit */ ; ",
            Some("select 'limit 5' LIMIT 10 /* limit */ ; "),
        ),
        (
            "select a.limit, b as limit from t",
            Some("select a.limit, b as limit from t LIMIT 10"),
        ),
        (
            "select * from (select 1 limit 5) x",
            Some("select * from (select 1 limit 5) x LIMIT 10"),
        ),
        ("(select 1 limit 50)", Some("(select 1 limit 50) LIMIT 10")),
        (
            "select 1 union select 2",
            Some("select 1 union select 2 LIMIT 10"),
        ),
        (
            "with a as (select 1) table a",
            Some("with a as (select 1) table a LIMIT 10"),
        ),
        (
            "select * from t for update",
            Some("select * from t LIMIT 10 for update"),
        ),
        (
            "select * from t for update offset 5",
            Some("select * from t for update offset 5 LIMIT 10"),
        ),
        (
            "select * from t offset 5 rows",
            Some("select * from t offset 5 rows LIMIT 10"),
        ),
        ("select * from t limit 5", None),
        ("select * from t limit 10 offset 20", None),
        (
            "select * from t limit 50 offset 20",
            Some("select * from t limit 10 offset 20"),
        ),
        (
            "select * from t limit 99999999999999999999",
            Some("select * from t limit 10"),
        ),
        (
            "select * from t for update limit all",
            Some("select * from t for update limit 10"),
        ),
        (
            "select * from t limit null",
            Some("select * from t limit 10"),
        ),
        (
            "select * from t limit $1",
            Some("select * from t limit (LEAST(($1)::bigint, 10))"),
        ),
        (
            "select * from t limit 5 + f(6) for share",
            Some("select * from t limit (LEAST((5 + f(6))::bigint, 10)) for share"),
        ),
        (
            "select * from t limit (select 5 limit 1)",
            Some("select * from t limit (LEAST(((select 5 limit 1))::bigint, 10))"),
        ),
        ("select * from t fetch first row only", None),
        ("select * from t fetch first 5 rows only", None),
        (
            "select * from t fetch next 50 rows with ties",
            Some("select * from t fetch next 10 rows with ties"),
        ),
        (
            "select * from t fetch first ($1) rows only",
            Some("select * from t fetch first (LEAST((($1))::bigint, 10)) rows only"),
        ),
        ("insert into t select 1", None),
        ("delete from t", None),
        ("select 1 into t", None),
        ("explain select 1", None),
        ("fetch all from c", None),
        ("nonsense", None),
    ];

    #[test]
    fn the_ceiling_is_put_where_the_grammar_has_it() {
        for (text, expected) in LIMITED {
            let facts = analyze(text, Needs::default());
            assert_eq!(add_limit(text, &facts, 10).as_deref(), *expected, "{text}");
        }
    }

    #[test]
    fn no_rows_at_all_can_be_asked_for() {
        let facts = analyze("select 1 fetch first row only", Needs::default());
        assert_eq!(
            add_limit("select 1 fetch first row only", &facts, 0).as_deref(),
            Some("select 1 fetch first 0 row only")
        );
    }
}
