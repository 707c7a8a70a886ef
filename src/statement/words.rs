//! A word folded to lower case in three machine words: what keywords, functions and fingerprints compare and hash.
//! Owns no list of words.

/// ASCII letters folded to lower case, as PostgreSQL folds unquoted names in UTF-8; up to 24 bytes are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Folded {
    first: u64,
    second: u64,
    third: u64,
    len: usize,
}

impl Folded {
    /// Folds a whole word.
    pub(crate) const fn new(word: &[u8]) -> Self {
        Self::at(word, 0, word.len())
    }

    /// Folds the word that stands at `start..end`; reading a little past its end is what makes it fast.
    #[inline]
    pub(crate) const fn at(bytes: &[u8], start: usize, end: usize) -> Self {
        Self {
            first: chunk(bytes, start, end),
            second: chunk(bytes, start + 8, end),
            third: chunk(bytes, start + 16, end),
            len: end - start,
        }
    }

    /// Where a table of `slots` (a power of two) begins to look.
    #[inline]
    pub(crate) const fn slot(&self, slots: usize) -> usize {
        let mixed = (self.first ^ self.second.rotate_left(21) ^ self.len as u64)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 40) as usize & (slots - 1)
    }
}

/// Eight bytes of `at..end`, folded, little-endian, padded with zeros.
#[inline]
pub(crate) const fn chunk(bytes: &[u8], at: usize, end: usize) -> u64 {
    lower(raw_chunk(bytes, at, end))
}

/// Eight bytes of `at..end` as they are, little-endian, padded with zeros.
#[inline]
pub(crate) const fn raw_chunk(bytes: &[u8], at: usize, end: usize) -> u64 {
    if at >= end {
        return 0;
    }
    let wanted = end - at;
    let (_, rest) = bytes.split_at(at);
    if let Some(eight) = rest.first_chunk::<8>() {
        let value = u64::from_le_bytes(*eight);
        return if wanted >= 8 {
            value
        } else {
            value & ((1 << (8 * wanted)) - 1)
        };
    }
    let mut value = 0;
    let mut index = 0;
    while index < wanted {
        value |= (rest[index] as u64) << (8 * index);
        index += 1;
    }
    value
}

/// Lowers the ASCII capitals among eight bytes and leaves every other byte alone.
const fn lower(eight: u64) -> u64 {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    const ONES: u64 = 0x0101_0101_0101_0101;
    let seven = eight & !HIGH;
    let from_a = seven + ONES * (0x80 - b'A' as u64);
    let past_z = seven + ONES * (0x7f - b'Z' as u64);
    let capitals = !eight & HIGH & (from_a ^ past_z);
    eight | (capitals >> 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_touches_capitals_only() {
        for word in [
            "SELECT",
            "select",
            "SeLeCt",
            "A_Z0@[`{",
            "\u{c9}COLE",
            "CURRENT_TIMESTAMP",
        ] {
            assert_eq!(
                Folded::new(word.as_bytes()),
                Folded::new(word.to_ascii_lowercase().as_bytes()),
                "{word}"
            );
        }
        assert_ne!(Folded::new(b"a"), Folded::new(b"a\0"));
        assert_ne!(
            Folded::new("\u{c9}".as_bytes()),
            Folded::new("\u{e9}".as_bytes())
        );
    }

    #[test]
    fn a_word_inside_a_text_equals_the_word_alone() {
        let text = b"xx Select_me_please_now yy";
        for (start, end) in [(3, 9), (3, 19), (3, 23), (24, 26), (25, 25)] {
            assert_eq!(Folded::at(text, start, end), Folded::new(&text[start..end]));
        }
    }
}
