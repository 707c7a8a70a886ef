//! What the operator wrote, word by word, each with its place. May be wrong in every way but TOML's own.
//! Owns the conversion from TOML; what a word means is decided by the readers.

use super::code;
use super::report::At;
use super::report::Diagnostic;
use super::report::Report;
use toml::de::DeTable;
use toml::de::DeValue;
use toml::value::Datetime;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Word {
    pub(super) at: At,
    pub(super) value: Value,
    /// Text of the process's environment: numbers and booleans may be written in it.
    pub(super) from_env: bool,
}

/// A value without its place.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Datetime(Datetime),
    List(Vec<Word>),
    Table(Vec<Entry>),
}

/// A key, its value, and where the key stands.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_at: At,
    pub(super) word: Word,
}

impl Word {
    pub(super) fn new(at: At, value: Value) -> Self {
        Self {
            at,
            value,
            from_env: false,
        }
    }

    /// The type's name in messages.
    pub(super) fn type_name(&self) -> &'static str {
        match self.value {
            Value::Text(_) => "text",
            Value::Integer(_) => "an integer",
            Value::Float(_) => "a number with a fraction",
            Value::Boolean(_) => "a boolean",
            Value::Datetime(_) => "a date",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        }
    }

    /// The entry of a key, if this is a table that has it.
    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The keys, if this is a table.
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Table(entries) => entries,
            _ => &[],
        }
    }

    /// `{ key = .. }` with that single key: a reference.
    pub(super) fn single(&self, key: &str) -> Option<&Word> {
        match self.entries() {
            [entry] if entry.key == key => Some(&entry.word),
            _ => None,
        }
    }
}

/// Whether the text could be understood well enough to go on with its meaning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    Whole,
    Broken,
}

/// Reads one TOML text. Every mistake in it is reported; what could be read is given back in the order of the text.
pub(super) fn parse(text: &str, source: u32, report: &mut Report) -> (Vec<Entry>, Shape) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut shape = Shape::Whole;
    for error in errors {
        let message = error.message().trim();
        // Everything but a repeated key leaves the rest of the text in doubt.
        if message != "duplicate key" {
            shape = Shape::Broken;
        }
        let span = error.span().unwrap_or(text.len()..text.len());
        report.add(Diagnostic::error(
            code::SYNTAX,
            At::new(source, span),
            message,
        ));
    }
    (entries(table.get_ref(), source, report), shape)
}

fn entries(table: &DeTable<'_>, source: u32, report: &mut Report) -> Vec<Entry> {
    let mut entries: Vec<Entry> = table
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            key_at: At::new(source, key.span()),
            word: word(
                value.get_ref(),
                At::new(source, value.span()),
                source,
                report,
            ),
        })
        .collect();
    entries.sort_by_key(|entry| entry.key_at);
    entries
}

fn word(value: &DeValue<'_>, at: At, source: u32, report: &mut Report) -> Word {
    let value = match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(integer) => Value::Integer(integer),
            Err(_) => {
                report.error(
                    code::OUT_OF_RANGE,
                    at,
                    "the integer does not fit in 64 bits",
                );
                Value::Integer(0)
            }
        },
        DeValue::Float(float) => {
            let number: f64 = float.as_str().parse().unwrap_or(0.0);
            // Read as infinite and not written so: it does not fit.
            if number.is_infinite() && !float.as_str().contains("inf") {
                report.error(code::OUT_OF_RANGE, at, "the number is too large");
            }
            Value::Float(number)
        }
        DeValue::Boolean(boolean) => Value::Boolean(*boolean),
        DeValue::Datetime(datetime) => Value::Datetime(*datetime),
        DeValue::Array(items) => {
            let items = items.iter();
            Value::List(
                items
                    .map(|item| word(item.get_ref(), At::new(source, item.span()), source, report))
                    .collect(),
            )
        }
        DeValue::Table(table) => Value::Table(entries(table, source, report)),
    };
    Word::new(at, value)
}

/// Seconds since 1970 of a date with an offset, or of the end of a day in UTC. `None` for a time without an offset.
pub(super) fn unix_seconds(datetime: &Datetime) -> Option<i64> {
    let date = datetime.date?;
    let days = days_since_1970(
        i64::from(date.year),
        i64::from(date.month),
        i64::from(date.day),
    );
    let Some(time) = datetime.time else {
        return Some((days + 1) * 86_400);
    };
    let offset_minutes = match datetime.offset? {
        toml::value::Offset::Z => 0,
        toml::value::Offset::Custom { minutes } => i64::from(minutes),
    };
    let seconds = i64::from(time.hour) * 3_600
        + i64::from(time.minute) * 60
        + i64::from(time.second.unwrap_or(0));
    Some(days * 86_400 + seconds - offset_minutes * 60)
}

/// Days from 1970-01-01 in the Gregorian calendar, counting years from March so that the leap day comes last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_do_not_fit_are_reported() {
        for (text, errors) in [
            ("a = 1e999", 1),
            ("a = -1e999", 1),
            ("a = 99999999999999999999", 1),
            ("a = [inf, -inf, nan, 1e308]", 0),
        ] {
            let mut report = Report::default();
            parse(text, 0, &mut report);
            assert_eq!(report.lines().len(), errors, "{text}");
        }
    }

    #[test]
    fn dates() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2026-01-31T23:59:00Z", Some(1_769_903_940)),
            ("2026-02-01T00:59:00+01:00", Some(1_769_903_940)),
            ("2024-02-28", Some(1_709_164_800)),
            ("2026-01-31T23:59:00", None),
        ] {
            let datetime: Datetime = text.parse().unwrap();
            assert_eq!(unix_seconds(&datetime), seconds, "{text}");
        }
    }

    #[test]
    fn every_syntax_error_is_reported() {
        let mut report = Report::default();
        let (_, shape) = parse("a = \nb = [1\nc = 2\nd = 1979-99-99\n", 0, &mut report);
        assert_eq!(shape, Shape::Broken);
        assert!(report.diagnostics().len() >= 2);
    }
}
