//! The keys of `mask`.

use super::Kind;
use super::Noun;
use super::key;

const TEXT: Kind = Kind::Text;

/// `mask` of a stage.
pub(in crate::policy) static MASK: Noun = Noun {
    name: "mask",
    about: "Columns of which clients do not see the values.",
    keys: &[
        key(
            "columns",
            Kind::Several(&TEXT),
            "`table.column` or `schema.table.column`, each a glob.",
        )
        .required(),
        key(
            "with",
            Kind::Short(&MASK_WITH),
            "What stands in their place: `null`, `redact`, `hash` or `{ keep_last = N }`. Default: `null`.",
        ),
        key(
            "key",
            Kind::Secret,
            "Of `hash`: 16 bytes or more. The same key gives the same hash for the same value.",
        ),
    ],
};

/// `with` of `mask`.
pub(in crate::policy) static MASK_WITH: Noun = Noun {
    name: "with",
    about: "What is left of a value.",
    keys: &[key(
        "keep_last",
        Kind::Integer,
        "So many characters of its end; the others are stars. A value with no more than that is stars alone.",
    )
    .required()],
};
