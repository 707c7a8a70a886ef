//! Answers, and how they are written. Owns no meaning: which answer is legal at which hook is the host's to say.

const HEADER_BYTES: usize = 12;
const ENTRY_BYTES: usize = 12;
const NO_VALUE: u32 = u32::MAX;

/// What a hook answers. Texts are given in parts that are joined, since a plugin has no allocator to join them with.
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use]
pub struct Verdict {
    word: i64,
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) frame: Vec<u8>,
}

impl Verdict {
    /// Nothing to say.
    pub fn next() -> Self {
        Self::small(0)
    }

    /// Allowed; the rest of the hook's chain is not asked.
    pub fn allow() -> Self {
        Self::small(1)
    }

    /// Cannot tell; the next method of authentication is asked.
    pub fn defer() -> Self {
        Self::small(2)
    }

    /// Sends the statement where the pool says.
    pub fn route_default() -> Self {
        Self::small(4)
    }

    /// Sends the statement to the primary.
    pub fn route_primary() -> Self {
        Self::small(5)
    }

    /// Sends the statement to a standby.
    pub fn route_standby() -> Self {
        Self::small(6)
    }

    /// Sends the statement to the node of that name.
    pub fn route_node(name: &str) -> Self {
        Self::write(7, &[(6, Value::Text(&[name]))])
    }

    /// Sends the statement to the branch of that name.
    pub fn route_branch(name: &str) -> Self {
        Self::write(8, &[(6, Value::Text(&[name]))])
    }

    /// Goes on with this text instead.
    pub fn rewrite(sql: &[&str]) -> Self {
        Self::write(9, &[(5, Value::Text(sql))])
    }

    /// Answers with rows; `cells` has one value per column and row, row by row, `None` for NULL.
    pub fn rows(columns: &[&str], cells: &[Option<&str>]) -> Self {
        Self::write(10, &[(7, Value::List(columns)), (8, Value::Cells(cells))])
    }

    /// The client is not who it says; the reason is for the log.
    pub fn denied(reason: &[&str]) -> Self {
        Self::write(12, &[(1, Value::Text(reason))])
    }

    /// The 64-bit result.
    #[must_use]
    pub fn word(&self) -> i64 {
        self.word
    }

    fn small(word: i64) -> Self {
        Self {
            word,
            #[cfg(not(target_arch = "wasm32"))]
            frame: Vec::new(),
        }
    }

    #[cfg(target_arch = "wasm32")]
    fn write(kind: u16, entries: &[(u16, Value<'_>)]) -> Self {
        let len = HEADER_BYTES
            + entries
                .iter()
                .map(|(_, value)| ENTRY_BYTES + value.len())
                .sum::<usize>();
        Self {
            word: crate::room::answer(len, |out| fill(out, kind, entries)),
        }
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn write(kind: u16, entries: &[(u16, Value<'_>)]) -> Self {
        let len = HEADER_BYTES
            + entries
                .iter()
                .map(|(_, value)| ENTRY_BYTES + value.len())
                .sum::<usize>();
        let mut frame = vec![0; len];
        fill(&mut frame, kind, entries);
        Self { word: -1, frame }
    }
}

/// A refusal in the making.
#[derive(Clone, Copy, Debug)]
pub struct Deny<'a> {
    message: &'a [&'a str],
    code: &'a str,
    hint: &'a [&'a str],
}

impl<'a> Deny<'a> {
    /// A refusal with this message and the code 42000.
    #[must_use]
    pub fn new(message: &'a [&'a str]) -> Self {
        Self {
            message,
            code: "42000",
            hint: &[],
        }
    }

    /// With this SQLSTATE.
    #[must_use]
    pub fn code(mut self, code: &'a str) -> Self {
        self.code = code;
        self
    }

    /// With this hint.
    #[must_use]
    pub fn hint(mut self, hint: &'a [&'a str]) -> Self {
        self.hint = hint;
        self
    }
}

impl From<Deny<'_>> for Verdict {
    fn from(deny: Deny<'_>) -> Self {
        let code = [deny.code];
        let entries = [
            (1, Value::Text(deny.message)),
            (2, Value::Text(&code)),
            (3, Value::Text(deny.hint)),
        ];
        let used = if deny.hint.is_empty() { 2 } else { 3 };
        Self::write(3, &entries[..used])
    }
}

/// An identity in the making, for `authenticate`.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// The user; must not be empty.
    pub user: &'a str,
    /// Its roles.
    pub roles: &'a [&'a str],
    /// Its tenant.
    pub tenant: Option<&'a str>,
    /// Claims: key, value, key, value.
    pub claims: &'a [&'a str],
}

impl From<Identity<'_>> for Verdict {
    fn from(identity: Identity<'_>) -> Self {
        let user = [identity.user];
        let tenant = [identity.tenant.unwrap_or_default()];
        let entries = [
            (10, Value::Text(&user)),
            (12, Value::List(identity.roles)),
            (14, Value::List(identity.claims)),
            (13, Value::Text(&tenant)),
        ];
        let used = if identity.tenant.is_some() { 4 } else { 3 };
        Self::write(11, &entries[..used])
    }
}

#[derive(Clone, Copy)]
enum Value<'a> {
    Text(&'a [&'a str]),
    List(&'a [&'a str]),
    Cells(&'a [Option<&'a str>]),
}

impl Value<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Text(parts) => parts.iter().map(|part| part.len()).sum(),
            Self::List(items) => items.iter().map(|item| 4 + item.len()).sum(),
            Self::Cells(cells) => cells.iter().map(|cell| 4 + cell.map_or(0, str::len)).sum(),
        }
    }

    fn number(&self) -> u16 {
        match self {
            Self::Text(_) => 1,
            Self::List(_) | Self::Cells(_) => 4,
        }
    }
}

fn fill(out: &mut [u8], kind: u16, entries: &[(u16, Value<'_>)]) {
    let mut place = Place { out, at: 0 };
    place.put(b"pga1");
    place.put(&crate::MINOR.to_le_bytes());
    place.put(&kind.to_le_bytes());
    place.put(&(entries.len() as u16).to_le_bytes());
    place.put(&[0, 0]);
    let mut offset = HEADER_BYTES + entries.len() * ENTRY_BYTES;
    for (id, value) in entries {
        place.put(&id.to_le_bytes());
        place.put(&value.number().to_le_bytes());
        place.put(&(offset as u32).to_le_bytes());
        place.put(&(value.len() as u32).to_le_bytes());
        offset += value.len();
    }
    for (_, value) in entries {
        match value {
            Value::Text(parts) => parts.iter().for_each(|part| place.put(part.as_bytes())),
            Value::List(items) => items.iter().for_each(|item| place.item(Some(item))),
            Value::Cells(cells) => cells.iter().for_each(|cell| place.item(*cell)),
        }
    }
}

struct Place<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl Place<'_> {
    fn put(&mut self, bytes: &[u8]) {
        self.out[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    fn item(&mut self, item: Option<&str>) {
        match item {
            Some(item) => {
                self.put(&(item.len() as u32).to_le_bytes());
                self.put(item.as_bytes());
            }
            None => self.put(&NO_VALUE.to_le_bytes()),
        }
    }
}
