//! A text in the making, in room that was lent. Owns how SQL quotes names.

use pgwarden_guest::json;

/// A text that remembers whether everything fitted.
pub(crate) struct Text<'a> {
    room: &'a mut [u8],
    len: usize,
    fits: bool,
}

impl<'a> Text<'a> {
    pub(crate) fn new(room: &'a mut [u8]) -> Self {
        Self {
            room,
            len: 0,
            fits: true,
        }
    }

    pub(crate) fn put(&mut self, text: &str) {
        match self.room.get_mut(self.len..self.len + text.len()) {
            Some(place) => {
                place.copy_from_slice(text.as_bytes());
                self.len += text.len();
            }
            None => self.fits = false,
        }
    }

    pub(crate) fn text(&mut self, text: json::Text<'_>) {
        match text.plain() {
            Some(plain) => self.put(plain),
            None => text.chars().for_each(|char| self.char(char)),
        }
    }

    fn char(&mut self, char: char) {
        self.put(char.encode_utf8(&mut [0; 4]));
    }

    /// A name between quotes, so that it means what it says.
    pub(crate) fn name(&mut self, name: impl Iterator<Item = char>) {
        self.put("\"");
        for char in name {
            if char == '"' {
                self.put("\"");
            }
            self.char(char);
        }
        self.put("\"");
    }

    /// The text; `None` where the room was too small.
    pub(crate) fn finish(self) -> Option<&'a str> {
        let Self { room, len, fits } = self;
        fits.then_some(())?;
        core::str::from_utf8(&room[..len]).ok()
    }
}
