//! Texts that live as long as a call, in room that was lent: each takes what is left over by those before. Owns no meaning.

use crate::base64url;

/// Room for texts.
pub(crate) struct Arena<'a> {
    rest: &'a mut [u8],
}

impl<'a> Arena<'a> {
    pub(crate) fn new(room: &'a mut [u8]) -> Self {
        Self { rest: room }
    }

    /// Room that a function fills; it says how much it used, or `None` where it has nothing.
    pub(crate) fn bytes(
        &mut self,
        fill: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> Option<&'a [u8]> {
        let room = core::mem::take(&mut self.rest);
        let used = fill(room).filter(|used| *used <= room.len());
        let (taken, rest) = room.split_at_mut(used.unwrap_or(0));
        self.rest = rest;
        used.map(|_| &*taken)
    }

    /// The same as text; `None` where it is not UTF-8.
    pub(crate) fn filled(
        &mut self,
        fill: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> Option<&'a str> {
        core::str::from_utf8(self.bytes(fill)?).ok()
    }

    /// What base64url stands for, as text.
    pub(crate) fn decoded(&mut self, text: &str) -> Option<&'a str> {
        self.filled(|room| base64url::decode(text, room))
    }

    /// Texts one after the other.
    pub(crate) fn joined(&mut self, parts: [&str; 2]) -> Option<&'a str> {
        self.filled(|room| {
            let [first, second] = parts;
            let len = first.len() + second.len();
            let (head, tail) = room.get_mut(..len)?.split_at_mut(first.len());
            head.copy_from_slice(first.as_bytes());
            tail.copy_from_slice(second.as_bytes());
            Some(len)
        })
    }
}
