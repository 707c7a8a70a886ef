//! Durations and sizes as operators write them: `"250ms"`, `"1h30m"`, `"256KiB"`.
//! Owns parsing and formatting; what a value is good for is decided where it is read.

use std::time::Duration;

/// Why a text is not a duration or a size.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UnitError {
    /// There is no number where one must stand.
    #[error("expected a number followed by a unit, such as {example}")]
    NoNumber {
        /// A text that would be right.
        example: &'static str,
    },
    /// A number stands alone.
    #[error("`{number}` has no unit; write one of {units}")]
    NoUnit {
        /// The number.
        number: String,
        /// The units there are.
        units: &'static str,
    },
    /// The letters after the number are no unit.
    #[error("`{unit}` is not a unit; write one of {units}")]
    UnknownUnit {
        /// What was written.
        unit: String,
        /// The units there are.
        units: &'static str,
    },
    /// A fraction, which has no exact meaning in every unit.
    #[error("fractions are not accepted; use a smaller unit")]
    Fraction,
    /// More than fits.
    #[error("the value is too large")]
    TooLarge,
}

/// Unit and nanoseconds, largest first.
const DURATIONS: &[(&str, u64)] = &[
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];
const DURATION_UNITS: &str = "ns us ms s m h d";

/// Unit and bytes, largest first; binary units come first so that formatting prefers them.
const SIZES: &[(&str, u64)] = &[
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];
const SIZE_UNITS: &str = "B kB KiB MB MiB GB GiB";

/// Reads a duration: numbers with units, added up, as in `"1h30m"`. `"0"` needs no unit.
///
/// # Errors
/// Tells what is wrong in words that fit behind "invalid duration:".
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let mut rest = text.trim();
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    let mut nanos = 0_u64;
    loop {
        let (value, after) = quantity(rest, DURATIONS, DURATION_UNITS, "\"250ms\"")?;
        nanos = nanos.checked_add(value).ok_or(UnitError::TooLarge)?;
        rest = after.trim_start();
        if rest.is_empty() {
            return Ok(Duration::from_nanos(nanos));
        }
    }
}

/// Writes a duration in the largest unit that is exact, so that it reads back as the same value.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    format(nanos, DURATIONS, "s")
}

/// Reads a size: a number and one unit. `"0"` needs no unit.
///
/// # Errors
/// Tells what is wrong in words that fit behind "invalid size:".
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    let text = text.trim();
    if text == "0" {
        return Ok(0);
    }
    let (value, rest) = quantity(text, SIZES, SIZE_UNITS, "\"256KiB\"")?;
    if rest.is_empty() {
        Ok(value)
    } else {
        Err(UnitError::UnknownUnit {
            unit: rest.to_owned(),
            units: SIZE_UNITS,
        })
    }
}

/// Writes a size in the largest unit that is exact.
#[must_use]
pub fn format_size(bytes: u64) -> String {
    format(bytes, SIZES, "B")
}

fn format(value: u64, units: &[(&str, u64)], zero: &str) -> String {
    let exact = units
        .iter()
        .find(|(_, factor)| value != 0 && value.is_multiple_of(*factor));
    match exact {
        Some((unit, factor)) => format!("{}{unit}", value / factor),
        None => format!("{value}{zero}"),
    }
}

/// One number and its unit off the front of `text`; the rest is given back.
fn quantity<'a>(
    text: &'a str,
    table: &[(&str, u64)],
    units: &'static str,
    example: &'static str,
) -> Result<(u64, &'a str), UnitError> {
    let digits_end = text
        .find(|c: char| !c.is_ascii_digit() && c != '_')
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(digits_end);
    let digits: String = digits.chars().filter(|c| *c != '_').collect();
    if digits.is_empty() {
        return Err(UnitError::NoNumber { example });
    }
    let number: u64 = digits.parse().map_err(|_| UnitError::TooLarge)?;
    let rest = rest.trim_start();
    if rest.starts_with(['.', ',']) {
        return Err(UnitError::Fraction);
    }
    let unit_end = rest
        .find(|c: char| c.is_ascii_digit() || c.is_whitespace())
        .unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_end);
    if unit.is_empty() {
        return Err(UnitError::NoUnit {
            number: digits,
            units,
        });
    }
    let Some((_, factor)) = table.iter().find(|(name, _)| *name == unit) else {
        return Err(UnitError::UnknownUnit {
            unit: unit.to_owned(),
            units,
        });
    };
    let value = number.checked_mul(*factor).ok_or(UnitError::TooLarge)?;
    Ok((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, millis) in [
            ("5ms", 5),
            ("2s", 2_000),
            ("1h30m", 5_400_000),
            ("1m 30s", 90_000),
            ("0", 0),
            ("1_000ms", 1_000),
        ] {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_millis(millis)),
                "{text}"
            );
        }
        for text in [
            "",
            "5",
            "ms",
            "5 minutes",
            "1.5s",
            "-1s",
            "999999999999d",
            "5ms,",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("7B", 7),
            ("256KiB", 262_144),
            ("2 MiB", 2_097_152),
            ("3kB", 3_000),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "7", "2mb", "1KiB2B", "1.5MiB", "99999999999GiB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        for nanos in [
            0,
            1,
            999,
            1_000,
            1_500_000,
            60_000_000_000,
            90_000_000_000,
            u64::MAX,
        ] {
            let duration = Duration::from_nanos(nanos);
            assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
            assert_eq!(parse_size(&format_size(nanos)), Ok(nanos));
        }
        assert_eq!(format_duration(Duration::from_millis(1_500)), "1500ms");
        assert_eq!(format_size(2_097_152), "2MiB");
    }
}
