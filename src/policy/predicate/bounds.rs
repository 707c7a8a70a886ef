//! Comparisons with numbers: how they are written, and the one way each range is told. Owns no unit.

use super::Bounds;
use super::explain::figure;
use super::fact::FigureFact;

impl Bounds {
    /// One way of writing each range.
    pub(super) fn canonical(self, fact: FigureFact) -> String {
        match self {
            Self { min, max } if min == max => figure(fact, min),
            Self { min, max: u64::MAX } => match min.checked_sub(1) {
                Some(below) => format!(">{}", figure(fact, below)),
                None => format!(">={}", figure(fact, min)),
            },
            Self { min: 0, max } => format!("<{}", figure(fact, max + 1)),
            Self { min, max } => format!("{}..{}", figure(fact, min), figure(fact, max)),
        }
    }
}

/// Reads `5`, `>5`, `>=5`, `<5`, `<=5`, `=5` or `5..9`, both ends in it.
pub(super) fn bounds(
    text: &str,
    parse: impl Fn(&str) -> Result<u64, String>,
) -> Result<Bounds, String> {
    let text = text.trim();
    let (min, max) = if let Some((from, to)) = text.split_once("..") {
        (parse(from.trim())?, parse(to.trim())?)
    } else if let Some(from) = text.strip_prefix(">=") {
        (parse(from.trim())?, u64::MAX)
    } else if let Some(from) = text.strip_prefix('>') {
        (
            parse(from.trim())?
                .checked_add(1)
                .ok_or("nothing is larger")?,
            u64::MAX,
        )
    } else if let Some(to) = text.strip_prefix("<=") {
        (0, parse(to.trim())?)
    } else if let Some(to) = text.strip_prefix('<') {
        (
            0,
            parse(to.trim())?
                .checked_sub(1)
                .ok_or("nothing is smaller than zero")?,
        )
    } else {
        let exact = parse(text.strip_prefix('=').unwrap_or(text).trim())?;
        (exact, exact)
    };
    if min > max {
        return Err("the range is empty".to_owned());
    }
    Ok(Bounds { min, max })
}
