//! Texts of bounded length, put together without an allocator: keys of the store, paths of the configuration, numbers
//! of a message. Owns no meaning.

/// A text of at most `BYTES` bytes. Where a piece does not fit there is no text: half a key is another key.
#[derive(Clone, Debug)]
pub struct Text<const BYTES: usize> {
    bytes: [u8; BYTES],
    len: usize,
    cut: bool,
}

impl<const BYTES: usize> Default for Text<BYTES> {
    fn default() -> Self {
        Self {
            bytes: [0; BYTES],
            len: 0,
            cut: false,
        }
    }
}

impl<const BYTES: usize> Text<BYTES> {
    /// The pieces, one after the other.
    #[must_use]
    pub fn of(pieces: &[&str]) -> Self {
        let mut text = Self::default();
        pieces.iter().for_each(|piece| text.push(piece));
        text
    }

    /// A number in decimal.
    #[must_use]
    pub fn decimal(number: u64) -> Self {
        let mut text = Self::default();
        text.push_decimal(number);
        text
    }

    /// Adds a piece.
    pub fn push(&mut self, piece: &str) {
        match self.bytes.get_mut(self.len..self.len + piece.len()) {
            Some(place) if !self.cut => {
                place.copy_from_slice(piece.as_bytes());
                self.len += piece.len();
            }
            _ => self.cut = true,
        }
    }

    /// Adds a number in decimal.
    pub fn push_decimal(&mut self, number: u64) {
        const DIGITS_MAX: usize = 20;
        let mut digits = [0; DIGITS_MAX];
        let (mut rest, mut start) = (number, DIGITS_MAX);
        loop {
            start -= 1;
            digits[start] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.push(core::str::from_utf8(&digits[start..]).unwrap_or_default());
    }

    /// The text, where all of it fitted.
    #[must_use]
    pub fn whole(&self) -> Option<&str> {
        if self.cut {
            return None;
        }
        core::str::from_utf8(&self.bytes[..self.len]).ok()
    }

    /// How many bytes still fit.
    #[must_use]
    pub fn room(&self) -> usize {
        if self.cut { 0 } else { BYTES - self.len }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_and_numbers_are_joined() {
        let mut text = Text::<32>::of(&["a/", "b/"]);
        text.push_decimal(0);
        text.push("/");
        text.push_decimal(u64::MAX);
        assert_eq!(text.whole(), Some("a/b/0/18446744073709551615"));
        assert_eq!(Text::<3>::decimal(907).whole(), Some("907"));
    }

    #[test]
    fn what_does_not_fit_leaves_no_text() {
        let mut text = Text::<4>::of(&["abc"]);
        assert_eq!((text.whole(), text.room()), (Some("abc"), 1));
        text.push("de");
        text.push("f");
        assert_eq!((text.whole(), text.room()), (None, 0));
        assert_eq!(Text::<2>::decimal(100).whole(), None);
    }
}
