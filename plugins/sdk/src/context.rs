//! Reads an input frame. Trusts the host's layout no further than its bounds: what does not fit is missing.

use crate::Field;
use crate::host;

const MAGIC: &[u8] = b"pgw1";
const HEADER_BYTES: usize = 12;
const ENTRY_BYTES: usize = 12;
const NO_VALUE: u32 = u32::MAX;

/// What a hook is told.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    frame: &'a [u8],
}

/// The name of a table or function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Name<'a> {
    /// The schema, where the statement names one.
    pub schema: Option<&'a str>,
    /// The name, in lower case unless it was quoted.
    pub name: &'a str,
}

impl<'a> Context<'a> {
    /// Reads a frame; `None` if it is not one.
    #[must_use]
    pub fn new(frame: &'a [u8]) -> Option<Self> {
        (frame.len() >= HEADER_BYTES && frame.get(..4)? == MAGIC).then_some(Self { frame })
    }

    /// The user's name; empty where it is not granted.
    #[must_use]
    pub fn user(&self) -> &'a str {
        self.text(Field::UserName).unwrap_or_default()
    }

    /// The user's tenant.
    #[must_use]
    pub fn tenant(&self) -> Option<&'a str> {
        self.text(Field::UserTenant)
    }

    /// The user's roles.
    #[must_use]
    pub fn roles(&self) -> Items<'a> {
        self.items(Field::UserRoles)
    }

    /// Whether the user has a role.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.roles().flatten().any(|known| known == role)
    }

    /// Every kind the statement contains.
    #[must_use]
    pub fn kinds(&self) -> Items<'a> {
        self.items(Field::Kinds)
    }

    /// Whether the statement contains a kind.
    #[must_use]
    pub fn has_kind(&self, kind: &str) -> bool {
        self.kinds().flatten().any(|known| known == kind)
    }

    /// Whether the statement is proven to change nothing, or is about the session and its transactions alone. Never without
    /// `sql.kind`.
    #[must_use]
    pub fn changes_nothing(&self) -> bool {
        const SESSION: [&str; 3] = ["tx", "set", "show"];
        let is_of_session = |kind: Option<&str>| kind.is_some_and(|kind| SESSION.contains(&kind));
        self.flag(Field::ReadOnly) == Some(true)
            || (self.bytes(Field::Kinds).is_some() && self.kinds().all(is_of_session))
    }

    /// The tables the statement names.
    #[must_use]
    pub fn tables(&self) -> Names<'a> {
        Names::new(self.bytes(Field::Tables).unwrap_or_default())
    }

    /// The value of a key of a field of pairs, such as the user's attributes.
    #[must_use]
    pub fn pair(&self, field: Field, key: &str) -> Option<&'a str> {
        let mut items = self.items(field);
        while let Some(name) = items.next() {
            let value = items.next()?;
            if name == Some(key) {
                return value;
            }
        }
        None
    }

    /// A text field.
    #[must_use]
    pub fn text(&self, field: Field) -> Option<&'a str> {
        core::str::from_utf8(self.bytes(field)?).ok()
    }

    /// A number field.
    #[must_use]
    pub fn number(&self, field: Field) -> Option<u64> {
        Some(u64::from_le_bytes(self.bytes(field)?.try_into().ok()?))
    }

    /// A flag field.
    #[must_use]
    pub fn flag(&self, field: Field) -> Option<bool> {
        Some(self.bytes(field)? != [0])
    }

    /// The items of a list field; none where it is missing.
    #[must_use]
    pub fn items(&self, field: Field) -> Items<'a> {
        Items {
            rest: self.bytes(field).unwrap_or_default(),
        }
    }

    /// The bytes of a field that is in the frame.
    #[must_use]
    pub fn bytes(&self, field: Field) -> Option<&'a [u8]> {
        let (_, offset, len) = self.entry(field)?;
        self.frame.get(offset..offset.checked_add(len)?)
    }

    /// How long a large field is.
    #[must_use]
    pub fn len_of(&self, field: Field) -> Option<usize> {
        self.entry(field).map(|(_, _, len)| len)
    }

    /// Copies a part of a field from the host; says how long the field is as a whole.
    pub fn read(&self, field: Field, offset: usize, into: &mut [u8]) -> Option<usize> {
        host::get(field, offset, into)
    }

    /// Whether a field contains a text, searched by the host: cheaper than reading it.
    #[must_use]
    pub fn contains(&self, field: Field, needle: &str) -> bool {
        host::contains(field, needle)
    }

    fn entry(&self, field: Field) -> Option<(u16, usize, usize)> {
        let count = usize::from(u16::from_le_bytes([self.frame[8], self.frame[9]]));
        let table = self
            .frame
            .get(HEADER_BYTES..HEADER_BYTES + count * ENTRY_BYTES)?;
        let (entries, _) = table.as_chunks::<ENTRY_BYTES>();
        let wanted = field as u16;
        let entry = entries
            .iter()
            .find(|entry| u16::from_le_bytes([entry[0], entry[1]]) == wanted)?;
        let &[_, _, kind, kind_high, a, b, c, d, e, f, g, h] = entry;
        let offset = u32::from_le_bytes([a, b, c, d]) as usize;
        Some((
            u16::from_le_bytes([kind, kind_high]),
            offset,
            u32::from_le_bytes([e, f, g, h]) as usize,
        ))
    }
}

/// Names of tables or functions.
#[derive(Clone, Debug)]
pub struct Names<'a> {
    items: Items<'a>,
}

impl<'a> Names<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self {
            items: Items { rest: bytes },
        }
    }
}

impl<'a> Iterator for Names<'a> {
    type Item = Name<'a>;

    fn next(&mut self) -> Option<Name<'a>> {
        Some(Name {
            schema: self.items.next()?,
            name: self.items.next()??,
        })
    }
}

/// The items of a list: `None` stands for "no value".
#[derive(Clone, Debug)]
pub struct Items<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Items<'a> {
    type Item = Option<&'a str>;

    fn next(&mut self) -> Option<Self::Item> {
        let (len, after) = self.rest.split_first_chunk::<4>()?;
        let len = u32::from_le_bytes(*len);
        if len == NO_VALUE {
            self.rest = after;
            return Some(None);
        }
        let (item, after) = after.split_at_checked(len as usize)?;
        self.rest = after;
        Some(core::str::from_utf8(item).ok())
    }
}
