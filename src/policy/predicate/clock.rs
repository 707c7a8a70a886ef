//! `time` and `weekday`: spans of the day and of the week. Everything is turned into UTC when it is read, so that matching is one
//! comparison. Owns no clock: the time is part of the input. Offsets are fixed; there is no summer time.

use std::fmt::Write as _;

const DAY: u32 = 86_400;
const WEEK: u32 = 7 * DAY;
/// 1970 began on a Thursday.
const EPOCH: u64 = 3 * DAY as u64;
/// The farthest that clocks are from UTC.
const OFFSET_MAX: i64 = 14 * 3_600;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// What comes round.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cycle {
    /// From midnight.
    Day,
    /// From the midnight before Monday.
    Week,
}

impl Cycle {
    fn seconds(self) -> u32 {
        match self {
            Self::Day => DAY,
            Self::Week => WEEK,
        }
    }

    /// The second of the cycle, in UTC.
    fn at(self, unix_micros: u64) -> u32 {
        let second = (unix_micros / 1_000_000 + EPOCH) % u64::from(self.seconds());
        u32::try_from(second).unwrap_or_default()
    }

    /// The time as one reads it beside a matcher.
    pub(super) fn shown(self, unix_micros: u64) -> String {
        let time = clock(Self::Day.at(unix_micros));
        match self {
            Self::Day => format!("{time} UTC"),
            Self::Week => format!("{} {time} UTC", day_name(Self::Week.at(unix_micros) / DAY)),
        }
    }
}

/// Spans of a cycle in UTC: sorted, apart, each with its first second and without its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Spans {
    pub(super) cycle: Cycle,
    spans: Vec<(u32, u32)>,
}

impl Spans {
    /// From beginnings, which may lie outside of the cycle, and lengths.
    fn new(cycle: Cycle, parts: &[(i64, u32)]) -> Self {
        let whole = cycle.seconds();
        let mut cut = Vec::new();
        for (from, seconds) in parts {
            let from = from.rem_euclid(i64::from(whole));
            let from = u32::try_from(from).unwrap_or_default();
            let end = from + (*seconds).min(whole);
            cut.push((from, end.min(whole)));
            if whole < end {
                cut.push((0, end - whole));
            }
        }
        cut.sort_unstable();
        let mut spans: Vec<(u32, u32)> = Vec::new();
        for (from, end) in cut {
            match spans.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(end),
                _ => spans.push((from, end)),
            }
        }
        Self { cycle, spans }
    }

    /// Whether that time lies in one.
    pub(super) fn contain(&self, unix_micros: u64) -> bool {
        let at = self.cycle.at(unix_micros);
        self.spans
            .iter()
            .any(|(from, end)| (*from..*end).contains(&at))
    }

    /// Whether every time lies in one.
    pub(super) fn are_whole(&self) -> bool {
        self.spans == [(0, self.cycle.seconds())]
    }

    /// Whether each of them lies in one of the others.
    pub(super) fn are_within(&self, others: &Self) -> bool {
        self.cycle == others.cycle
            && self.spans.iter().all(|(from, end)| {
                let mut others = others.spans.iter();
                others.any(|other| other.0 <= *from && *end <= other.1)
            })
    }

    /// Whether no time lies in both.
    pub(super) fn are_apart(&self, others: &Self) -> bool {
        self.cycle == others.cycle
            && self.spans.iter().all(|(from, end)| {
                let mut others = others.spans.iter();
                others.all(|other| other.1 <= *from || *end <= other.0)
            })
    }

    /// `08:00..18:00`, in UTC; what goes on after midnight is one span.
    fn times(&self) -> String {
        let mut spans = self.spans.clone();
        if let [(0, morning), .., (_, DAY)] = *spans {
            spans.remove(0);
            if let Some(night) = spans.last_mut() {
                night.1 = morning;
            }
        }
        let spans = spans.iter();
        let spans: Vec<String> = spans
            .map(|(from, end)| format!("{}..{}", clock(*from), clock(*end)))
            .collect();
        spans.join(", ")
    }
}

/// Reads `08:00..18:00`, `22:00..06:00+01:00`; with the canonical form of all together.
pub(super) fn times(
    texts: &mut dyn Iterator<Item = &str>,
    wrong: &mut dyn FnMut(usize, &'static str),
) -> (Spans, String) {
    let mut parts = Vec::new();
    for (index, text) in texts.enumerate() {
        match time_span(text) {
            Ok(part) => parts.push(part),
            Err(why) => wrong(index, why),
        }
    }
    let spans = Spans::new(Cycle::Day, &parts);
    let wanted = spans.times();
    (spans, wanted)
}

/// Reads `sat`, `mon..fri`, `mon..fri+01:00`; with the canonical form of all together.
pub(super) fn weekdays(
    texts: &mut dyn Iterator<Item = &str>,
    wrong: &mut dyn FnMut(usize, &'static str),
) -> (Spans, String) {
    let mut chosen = [false; 7];
    let mut shift = None;
    for (index, text) in texts.enumerate() {
        match day_span(text) {
            Ok((_, _, offset)) if shift.is_some_and(|first| first != offset) => {
                wrong(index, "all days of a list have one offset");
            }
            Ok((first, last, offset)) => {
                shift = Some(offset);
                for day in 0..=(last + 7 - first) % 7 {
                    chosen[(first + day) % 7] = true;
                }
            }
            Err(why) => wrong(index, why),
        }
    }
    let whole = chosen == [true; 7];
    let offset = if whole { 0 } else { shift.unwrap_or(0) };
    let days = || (0..7_u32).zip(chosen).filter(|(_, chosen)| *chosen);
    let parts: Vec<(i64, u32)> = days()
        .map(|(day, _)| (i64::from(day * DAY) - offset, DAY))
        .collect();
    let names: Vec<&str> = days().map(|(day, _)| day_name(day)).collect();
    let mut wanted = names.join(", ");
    if offset != 0 {
        let sign = if offset < 0 { '-' } else { '+' };
        let seconds = u32::try_from(offset.unsigned_abs()).unwrap_or_default();
        // Writing to a String cannot fail.
        write!(wanted, " ({sign}{})", clock(seconds)).unwrap_or_default();
    }
    (Spans::new(Cycle::Week, &parts), wanted)
}

const TIME: &str =
    "expected a span such as `08:00..18:00`, in UTC, or with an offset: `08:00..18:00+01:00`";
const DAY_WORD: &str = "expected mon, tue, wed, thu, fri, sat or sun, a span such as `mon..fri`, or either with an offset: `mon..fri+01:00`";
const OFFSET: &str = "an offset is written as `+01:00` or `Z`, and is 14 hours at most";

/// The first second in UTC, and the length.
fn time_span(text: &str) -> Result<(i64, u32), &'static str> {
    let (from, to) = text.split_once("..").ok_or(TIME)?;
    let (to, offset) = offset(to)?;
    let (from, to) = (time(from).ok_or(TIME)?, time(to).ok_or(TIME)?);
    let seconds = match (to + DAY - from) % DAY {
        0 if (from, to) == (0, DAY) => DAY,
        0 => return Err("the span is empty; the whole day is `00:00..24:00`"),
        seconds => seconds,
    };
    if from == DAY {
        return Err("a span begins at 00:00, not at 24:00");
    }
    Ok((i64::from(from) - offset, seconds))
}

/// First day, last day, offset in seconds.
fn day_span(text: &str) -> Result<(usize, usize, i64), &'static str> {
    let (days, offset) = offset(text)?;
    let day = |name: &str| {
        DAYS.iter()
            .position(|day| *day == name.trim())
            .ok_or(DAY_WORD)
    };
    match days.split_once("..") {
        Some((first, last)) => Ok((day(first)?, day(last)?, offset)),
        None => {
            let only = day(days)?;
            Ok((only, only, offset))
        }
    }
}

/// Splits `+01:00` off the end; seconds east of UTC.
fn offset(text: &str) -> Result<(&str, i64), &'static str> {
    let text = text.trim();
    if let Some(rest) = text.strip_suffix('Z') {
        return Ok((rest, 0));
    }
    let Some(at) = text.find(['+', '-']) else {
        return Ok((text, 0));
    };
    let (rest, written) = text.split_at(at);
    let (sign, hours) = written.split_at(1);
    let seconds = time(hours).filter(|_| hours.len() == 5).ok_or(OFFSET)?;
    let seconds = i64::from(seconds);
    if OFFSET_MAX < seconds {
        return Err(OFFSET);
    }
    Ok((rest, if sign == "-" { -seconds } else { seconds }))
}

/// `HH:MM` or `HH:MM:SS`, up to `24:00`, in seconds.
fn time(text: &str) -> Option<u32> {
    let mut seconds = 0;
    let (mut parts, mut unit) = (0, 3_600);
    for part in text.trim().split(':') {
        let number: u32 = match part.len() {
            2 if part.bytes().all(|byte| byte.is_ascii_digit()) => part.parse().ok()?,
            _ => return None,
        };
        if parts != 0 && 59 < number {
            return None;
        }
        seconds += number * unit;
        (parts, unit) = (parts + 1, unit / 60);
    }
    ((2..=3).contains(&parts) && seconds <= DAY).then_some(seconds)
}

fn clock(second: u32) -> String {
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    match second {
        0 => format!("{hour:02}:{minute:02}"),
        _ => format!("{hour:02}:{minute:02}:{second:02}"),
    }
}

fn day_name(day: u32) -> &'static str {
    let day = usize::try_from(day).unwrap_or_default();
    DAYS.get(day).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::Strategy;
    use proptest::prop_assert;
    use proptest::prop_assert_eq;
    use proptest::proptest;

    /// Tuesday, 24 November 2026.
    const TUESDAY: u64 = 1_795_478_400;

    type Read =
        fn(&mut dyn Iterator<Item = &str>, &mut dyn FnMut(usize, &'static str)) -> (Spans, String);

    fn read(texts: &[&str], read: Read) -> Result<(Spans, String), &'static str> {
        let mut error = None;
        let found = read(&mut texts.iter().copied(), &mut |_, why| error = Some(why));
        error.map_or(Ok(found), Err)
    }

    fn read_times(texts: &[&str]) -> Result<(Spans, String), &'static str> {
        read(texts, times)
    }

    fn read_days(texts: &[&str]) -> Result<(Spans, String), &'static str> {
        read(texts, weekdays)
    }

    #[test]
    fn what_means_the_same_is_written_the_same() {
        for (texts, wanted) in [
            (&["08:00..18:00"][..], "08:00..18:00"),
            (&["09:00..19:00+01:00"], "08:00..18:00"),
            (&["08:00..18:00Z"], "08:00..18:00"),
            (&["12:00..18:00", "08:00..13:00"], "08:00..18:00"),
            (&["22:00..06:00"], "22:00..06:00"),
            (&["00:00..06:00", "22:00..24:00"], "22:00..06:00"),
            (&["00:00..24:00"], "00:00..24:00"),
            (&["00:30..01:30+02:00"], "22:30..23:30"),
            (&["20:00..23:30-05:00"], "01:00..04:30"),
            (&["18:00..08:00", "08:00..18:00"], "00:00..24:00"),
            (&["08:00:30..09:00"], "08:00:30..09:00"),
        ] {
            assert_eq!(read_times(texts).unwrap().1, wanted, "{texts:?}");
        }
        for (texts, wanted) in [
            (&["mon..fri"][..], "mon, tue, wed, thu, fri"),
            (&["fri..mon"], "mon, fri, sat, sun"),
            (&["sun", "sat"], "sat, sun"),
            (&["mon..sun"], "mon, tue, wed, thu, fri, sat, sun"),
            (&["mon..sun+01:00"], "mon, tue, wed, thu, fri, sat, sun"),
            (&["sat-05:30"], "sat (-05:30)"),
        ] {
            assert_eq!(read_days(texts).unwrap().1, wanted, "{texts:?}");
        }
    }

    #[test]
    fn what_is_no_span_is_refused() {
        for text in [
            "",
            "08:00",
            "8:00..9:00",
            "08:00..08:00",
            "24:00..08:00",
            "08:00..25:00",
            "08:60..09:00",
            "08:00..18:00+15:00",
            "08:00..18:00+1",
            "08:00..18:00 CET",
            ">08:00",
            "08..09",
        ] {
            assert!(read_times(&[text]).is_err(), "{text}");
        }
        for text in [
            "",
            "monday",
            "Mon",
            "mon..",
            "mon+25:00",
            "1",
            "mon..fri+01:00:00",
        ] {
            assert!(read_days(&[text]).is_err(), "{text}");
        }
        assert!(read_days(&["mon+01:00", "tue"]).is_err());
    }

    #[test]
    fn a_span_has_its_beginning_and_not_its_end() {
        let micros = |hour: u64, minute: u64| (TUESDAY + hour * 3_600 + minute * 60) * 1_000_000;
        let (office, _) = read_times(&["08:00..18:00"]).unwrap();
        assert!(office.contain(micros(8, 0)) && office.contain(micros(18, 0) - 1));
        assert!(!office.contain(micros(8, 0) - 1) && !office.contain(micros(18, 0)));
        let (night, _) = read_times(&["22:00..06:00+01:00"]).unwrap();
        assert!(night.contain(micros(21, 0)) && night.contain(micros(4, 59)));
        assert!(!night.contain(micros(5, 0)) && !night.contain(micros(20, 59)));
        let (tuesday, _) = read_days(&["tue"]).unwrap();
        assert!(tuesday.contain(micros(0, 0)) && tuesday.contain(micros(24, 0) - 1));
        assert!(!tuesday.contain(micros(0, 0) - 1) && !tuesday.contain(micros(24, 0)));
        let (there, _) = read_days(&["tue+01:00"]).unwrap();
        assert!(there.contain(micros(0, 0) - 1) && !there.contain(micros(23, 0)));
        assert_eq!(Cycle::Week.shown(micros(14, 5)), "tue 14:05 UTC");
        assert_eq!(Cycle::Day.shown(micros(14, 5)), "14:05 UTC");
    }

    fn some_spans() -> impl Strategy<Value = Spans> {
        let part = (-200_000_i64..200_000, 1_u32..=DAY);
        proptest::collection::vec(part, 1..5).prop_map(|parts| Spans::new(Cycle::Day, &parts))
    }

    proptest! {
        #[test]
        fn within_and_apart_are_what_the_times_say(a in some_spans(), b in some_spans(), at in 0..u64::from(DAY)) {
            let at = at * 1_000_000;
            if a.are_within(&b) {
                prop_assert!(!a.contain(at) || b.contain(at));
            }
            if a.are_apart(&b) {
                prop_assert!(!(a.contain(at) && b.contain(at)));
            }
            prop_assert_eq!(a.are_apart(&b), b.are_apart(&a));
            prop_assert!(a.are_within(&a));
            // What is written reads back as the same.
            let text = a.times();
            let (again, wanted) = read_times(&text.split(", ").collect::<Vec<_>>()).unwrap();
            prop_assert_eq!(&again, &a);
            prop_assert_eq!(wanted, text);
        }
    }
}
