//! The text of an answer under construction, in room that was given. Owns no allocation.

/// Bytes that were written, and room for more. What does not fit is left out.
#[derive(Debug)]
pub struct Out<'a> {
    room: &'a mut [u8],
    len: usize,
}

impl<'a> Out<'a> {
    /// An empty text.
    pub fn new(room: &'a mut [u8]) -> Self {
        Self { room, len: 0 }
    }

    /// What was written.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.room.get(..self.len).unwrap_or_default()
    }

    /// Adds text as it is.
    pub fn push(&mut self, text: &[u8]) {
        for byte in text {
            if let Some(place) = self.room.get_mut(self.len) {
                *place = *byte;
                self.len += 1;
            }
        }
    }

    /// Adds text within a JSON string. What it is given is JSON, so that no control character is in it.
    pub fn push_escaped(&mut self, text: &[u8]) {
        for byte in text {
            if matches!(byte, b'"' | b'\\') {
                self.push(b"\\");
            }
            self.push(&[*byte]);
        }
    }

    /// Adds a number.
    pub fn push_number(&mut self, number: u32) {
        if 10 <= number {
            self.push_number(number / 10);
        }
        self.push(&[b'0' + (number % 10) as u8]);
    }
}
