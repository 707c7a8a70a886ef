//! What a `mask` stage hides, on both sides: columns that came or went, and what is left of their values.

use super::Findings;
use super::Way;
use crate::policy::Mask;
use crate::policy::MaskWith;
use crate::policy::MaskedColumn;

/// Every difference; `counts` where the stage does.
pub(super) fn differs(found: &mut Findings<'_>, path: &str, counts: bool, old: &Mask, new: &Mask) {
    let mut tell = |key: &str, way: Way, what: String, why: &'static str| {
        let (way, why) = if counts {
            (way, why)
        } else {
            (Way::Changes, "")
        };
        found.add(way, format!("{path}.{key}"), what, why);
    };
    let missing = |column: &&MaskedColumn, other: &Mask| {
        !other.columns.iter().any(|known| known.covers(column))
    };
    for column in old.columns.iter().filter(|column| missing(column, new)) {
        let what = format!("- {}", column.written);
        tell("columns", Way::Widens, what, "is shown as it is");
    }
    for column in new.columns.iter().filter(|column| missing(column, old)) {
        let what = format!("+ {}", column.written);
        tell("columns", Way::Narrows, what, "is no longer shown");
    }
    let (before, after) = (old.with.shown(), new.with.shown());
    if before != after {
        let (was, is) = (left(&old.with), left(&new.with));
        let (way, why) = if was.is_less_than(is) {
            (Way::Widens, "more is left of each value")
        } else if is.is_less_than(was) {
            (Way::Narrows, "less is left of each value")
        } else {
            (Way::Changes, "")
        };
        tell("with", way, format!("{before} -> {after}"), why);
    }
    if let (MaskWith::Hash(old), MaskWith::Hash(new)) = (&old.with, &new.with)
        && old.reference() != new.reference()
    {
        let what = format!("{} -> {}", old.reference(), new.reference());
        tell(
            "key",
            Way::Changes,
            what,
            "the same values get other hashes",
        );
    }
}

/// How much is left of a value. A hash tells which values are equal, and an end what they end in: neither is less.
fn left(with: &MaskWith) -> Left {
    match with {
        MaskWith::Null => Left::Nothing,
        MaskWith::Redact => Left::Presence,
        MaskWith::Hash(_) => Left::Equality,
        MaskWith::KeepLast(kept) => Left::End(*kept),
    }
}

#[derive(Clone, Copy)]
enum Left {
    Nothing,
    Presence,
    Equality,
    End(usize),
}

impl Left {
    fn is_less_than(self, other: Self) -> bool {
        match (self, other) {
            (Self::End(kept), Self::End(more)) => kept < more,
            (Self::Nothing, other) => !matches!(other, Self::Nothing),
            (Self::Presence, other) => matches!(other, Self::Equality | Self::End(_)),
            (Self::Equality | Self::End(_), _) => false,
        }
    }
}
