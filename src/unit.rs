//! Durations and sizes as operators write them: `"250ms"`, `"1h30m"`, `"256KiB"`; times as they read them.
//! Owns parsing and formatting; what a value is good for is decided where it is read.

use std::time::Duration;
use std::time::SystemTime;

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

/// Writes a time since 1970 in UTC, to the second, as RFC 3339 has it.
#[must_use]
pub fn format_utc(since_1970: Duration) -> String {
    let seconds = since_1970.as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Howard Hinnant's civil_from_days, for dates after 1970.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 {
        month_index + 3
    } else {
        month_index - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// A time of the system's clock, in the same form; before 1970 is 1970.
#[must_use]
pub fn format_time(time: SystemTime) -> String {
    format_utc(
        time.duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default(),
    )
}

/// The same to the microsecond.
#[must_use]
pub fn format_utc_micros(since_1970: Duration) -> String {
    let mut text = format_utc(since_1970);
    text.pop();
    format!("{text}.{:06}Z", since_1970.subsec_micros())
}

/// Reads what [`format_utc_micros`] wrote, as time since 1970; `None` for anything else.
#[must_use]
pub fn parse_utc_micros(text: &str) -> Option<Duration> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let (time, micros) = time.split_once('.')?;
    let three = |text: &str, between: char| {
        let mut parts = text.split(between).map(|part| part.parse::<u64>().ok());
        let all = [parts.next()??, parts.next()??, parts.next()??];
        parts.next().is_none().then_some(all)
    };
    let [year, month, day] = three(date, '-')?;
    let [hour, minute, second] = three(time, ':')?;
    let is_legal = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60
        && micros.len() == 6;
    let micros: u64 = micros.parse().ok().filter(|_| is_legal)?;
    // Howard Hinnant's days_from_civil.
    let shifted = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (shifted / 400, shifted % 400);
    let month_index = (month + 9) % 12;
    let day_of_year = (153 * month_index + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = (era * 146_097 + day_of_era).checked_sub(719_468)?;
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second;
    Some(Duration::from_secs(seconds) + Duration::from_micros(micros))
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

    #[test]
    fn a_time_that_was_written_is_read_back() {
        for micros in [
            0,
            1_709_164_800_000_000,
            1_735_689_599_999_999,
            4_107_542_400_000_001,
        ] {
            let time = Duration::from_micros(micros);
            let text = format_utc_micros(time);
            assert_eq!(parse_utc_micros(&text), Some(time), "{text}");
        }
        for text in [
            "",
            "2026-11-24T13:30:26Z",
            "2026-13-24T13:30:26.000000Z",
            "2026-11-24T24:30:26.000000Z",
            "1969-11-24T13:30:26.000000Z",
            "2026-11-24-1T13:30:26.000000Z",
        ] {
            assert_eq!(parse_utc_micros(text), None, "{text}");
        }
    }

    #[test]
    fn times_are_written_in_utc() {
        let at = |seconds| format_utc(Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(at(1_795_498_496), "2026-11-24T05:34:56Z");
        let exact = format_utc_micros(Duration::new(951_782_400, 42_000));
        assert_eq!(exact, "2000-02-29T00:00:00.000042Z");
    }
}
