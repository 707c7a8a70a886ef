//! Writes the input frame of `pgwarden-1` from an `Input`, and reads its fields back for host functions and scripts.
//! Owns the layout only; a field that is not in the given set is left out entirely.

use super::Content;
use super::ENTRY_BYTES;
use super::Field;
use super::FieldType;
use super::Fields;
use super::HEADER_BYTES;
use super::INPUT_MAGIC;
use super::MINOR;
use super::NO_VALUE;
use super::content::narrow;
use crate::hook::Input;
use std::net::IpAddr;
use uuid::Uuid;

/// Where a field's bytes lie.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    len: u32,
}

/// One encoded input. Reused from call to call so that encoding allocates nothing once it is warm.
#[derive(Debug)]
pub struct Frame {
    bytes: Vec<u8>,
    large: Vec<u8>,
    /// The fields that are there; only their spans mean anything.
    present: Fields,
    spans: [Span; Field::COUNT],
}

impl Default for Frame {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            large: Vec::new(),
            present: Fields::NONE,
            spans: [Span { start: 0, len: 0 }; Field::COUNT],
        }
    }
}

impl Frame {
    /// Encodes what of `input` is in `fields`, in place of what was here.
    pub fn encode(&mut self, input: &Input<'_>, fields: Fields) {
        self.clear();
        let entries = HEADER_BYTES + fields.len() * ENTRY_BYTES;
        self.bytes.resize(entries, 0);
        let mut count: u16 = 0;
        for field in fields.iter() {
            let row = field.row();
            let large = row.of == FieldType::Large;
            let out = if large {
                &mut self.large
            } else {
                &mut self.bytes
            };
            let start = out.len();
            let Some(content) = Content::read(field, input) else {
                continue;
            };
            content.write(out);
            // Frames are bounded by `input_bytes_max`, far below 4 GiB.
            let span = Span {
                start: narrow(start),
                len: narrow(out.len() - start),
            };
            self.spans[field as usize] = span;
            self.present.insert(field);
            let at = HEADER_BYTES + usize::from(count) * ENTRY_BYTES;
            let offset = if large { 0 } else { span.start };
            let entry = &mut self.bytes[at..at + ENTRY_BYTES];
            entry[0..2].copy_from_slice(&row.id.to_le_bytes());
            entry[2..4].copy_from_slice(&(row.of as u16).to_le_bytes());
            entry[4..8].copy_from_slice(&offset.to_le_bytes());
            entry[8..12].copy_from_slice(&span.len.to_le_bytes());
            count += 1;
        }
        self.bytes[0..4].copy_from_slice(&INPUT_MAGIC);
        self.bytes[4..6].copy_from_slice(&MINOR.to_le_bytes());
        self.bytes[6..8].copy_from_slice(&(input.hook as u16).to_le_bytes());
        self.bytes[8..10].copy_from_slice(&count.to_le_bytes());
    }

    /// Forgets the last input; a password is also wiped.
    pub fn clear(&mut self) {
        if self.present.contains(Field::AuthPassword) {
            self.bytes.fill(0);
        }
        self.bytes.clear();
        self.large.clear();
        self.present = Fields::NONE;
    }

    /// The frame as a guest gets it.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What [`Frame::total_bytes`] would be, without making the frame.
    #[must_use]
    pub fn measure(input: &Input<'_>, fields: Fields) -> usize {
        HEADER_BYTES + fields.len() * ENTRY_BYTES + Content::total_bytes(fields, input)
    }

    /// Bytes of the frame and of the large fields behind it.
    #[must_use]
    pub fn total_bytes(&self) -> usize {
        self.bytes.len() + self.large.len()
    }

    /// A field's bytes; `None` where it is missing or was not in the set.
    #[must_use]
    pub fn content(&self, field: Field) -> Option<&[u8]> {
        if !self.present.contains(field) {
            return None;
        }
        let span = self.spans[field as usize];
        let source = if field.row().of == FieldType::Large {
            &self.large
        } else {
            &self.bytes
        };
        let start = span.start as usize;
        source.get(start..start.checked_add(span.len as usize)?)
    }

    /// A text field's value.
    #[must_use]
    pub fn text(&self, field: Field) -> Option<&str> {
        std::str::from_utf8(self.content(field)?).ok()
    }

    /// A number field's value.
    #[must_use]
    pub fn number(&self, field: Field) -> Option<u64> {
        Some(u64::from_le_bytes(self.content(field)?.try_into().ok()?))
    }

    /// A flag field's value.
    #[must_use]
    pub fn flag(&self, field: Field) -> Option<bool> {
        Some(self.content(field)? != [0])
    }

    /// An id field's value.
    #[must_use]
    pub fn uuid(&self, field: Field) -> Option<Uuid> {
        Uuid::from_slice(self.content(field)?).ok()
    }

    /// An address field's value; within it `None` of a client on a Unix socket, which has no address.
    #[must_use]
    pub fn address(&self, field: Field) -> Option<Option<IpAddr>> {
        let content = self.content(field)?;
        let v4 = <[u8; 4]>::try_from(content).map(IpAddr::from);
        let address = v4.or_else(|_| <[u8; 16]>::try_from(content).map(IpAddr::from));
        Some(address.ok())
    }

    /// The items of a list field: every length-prefixed text in it, `None` for "no value".
    pub fn items(&self, field: Field) -> Option<impl Iterator<Item = Option<&str>>> {
        let mut rest = self.content(field)?;
        Some(std::iter::from_fn(move || {
            let (len, after) = rest.split_first_chunk::<4>()?;
            let len = u32::from_le_bytes(*len);
            if len == NO_VALUE {
                rest = after;
                return Some(None);
            }
            let (item, after) = after.split_at_checked(len as usize)?;
            rest = after;
            std::str::from_utf8(item).ok().map(Some)
        }))
    }
}
