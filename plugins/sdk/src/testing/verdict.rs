//! What a test reads in an answer. Owns no answer.

use crate::Verdict;

impl Verdict {
    /// The refusal's code and message, if this is a refusal.
    #[must_use]
    pub fn refusal(&self) -> Option<(String, String)> {
        let kind = u16::from_le_bytes([*self.frame.get(6)?, *self.frame.get(7)?]);
        (kind == 3).then_some(())?;
        Some((self.value(2)?, self.value(1)?))
    }

    /// The text of an answer's field, by its number in `plugins/README.md`.
    #[must_use]
    pub fn value(&self, id: u16) -> Option<String> {
        let number = |at: usize| {
            let bytes = self.frame.get(at..at + 4)?;
            Some(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize)
        };
        let count = usize::from(*self.frame.get(8)?);
        let entry = (0..count)
            .map(|entry| 12 + entry * 12)
            .find(|at| self.frame.get(*at) == Some(&(id as u8)))?;
        let (start, len) = (number(entry + 4)?, number(entry + 8)?);
        String::from_utf8(self.frame.get(start..start + len)?.to_vec()).ok()
    }
}
