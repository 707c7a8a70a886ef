//! The frames of the guest ABI `pgwarden-1`: which fields exist, their numbers, names and types, in one table.
//! Owns no permission (which field a guest may see comes as [`Fields`]) and no engine. `plugins/README.md` is the same in prose.

mod answer;
mod content;
mod encode;

pub use answer::Word;
pub use answer::WrongAnswer;
pub use answer::decode_answer;
pub use answer::decode_word;
pub use content::Content;
pub use content::List;
pub use content::encode_names;
pub use encode::Frame;

use super::Hook;
use crate::statement::Needs;

/// The name a policy and the documents use for this ABI.
pub const NAME: &str = "pgwarden-1";
/// The module guests import host functions from.
pub const IMPORT_MODULE: &str = "pgwarden1";
/// Raised by one when a field or a host function is added; nothing is ever removed within a major.
pub const MINOR: u16 = 0;
/// The first four bytes of an input frame.
pub const INPUT_MAGIC: [u8; 4] = *b"pgw1";
/// The first four bytes of an answer frame.
pub const ANSWER_MAGIC: [u8; 4] = *b"pga1";
/// Magic, minor, hook (or answer kind), count, zero: what stands before the entries of a frame.
pub const HEADER_BYTES: usize = 12;
/// Id, type, offset, length: one entry of a frame.
pub const ENTRY_BYTES: usize = 12;
/// The length that means "no value" inside lists.
pub const NO_VALUE: u32 = u32::MAX;

/// How a field's bytes are to be read. All numbers are little-endian.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub enum FieldType {
    /// UTF-8.
    Text = 1,
    /// Eight bytes, unsigned.
    Number = 2,
    /// One byte, 0 or 1.
    Flag = 3,
    /// Repeated: length (4 bytes), UTF-8.
    Texts = 4,
    /// Repeated: key as in [`FieldType::Texts`], then value likewise.
    Pairs = 5,
    /// Repeated: schema (length [`NO_VALUE`] where the statement names none), then name.
    Names = 6,
    /// UTF-8 that stays with the host until `get` is called; the entry carries its length and offset 0.
    Large = 7,
    /// Sixteen bytes of a UUID.
    Uuid = 8,
    /// Four or sixteen bytes of an IP address; none for a Unix socket.
    Address = 9,
}

/// One row of the table of fields.
#[derive(Debug)]
pub struct FieldRow {
    /// The field.
    pub field: Field,
    /// Its number in frames and in `get`.
    pub id: u16,
    /// The variable a script finds it under.
    pub variable: &'static str,
    /// Its name within that variable.
    pub name: &'static str,
    /// Its type.
    pub of: FieldType,
    /// Whether it may be missing at hooks where its variable exists.
    pub optional: bool,
}

macro_rules! fields {
    ($($(#[doc = $doc:literal])+ $field:ident = $id:literal, $variable:literal . $name:literal, $of:ident, $optional:literal;)+) => {
        /// Everything a guest can be told.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        #[repr(u8)]
        pub enum Field {
            $($(#[doc = $doc])+ $field,)+
        }

        /// Sorted by id; the index of a row is the field's discriminant.
        static TABLE: &[FieldRow] = &[
            $(FieldRow {
                field: Field::$field,
                id: $id,
                variable: $variable,
                name: $name,
                of: FieldType::$of,
                optional: $optional,
            },)+
        ];
    };
}

fields! {
    /// The name everything is decided by.
    UserName = 1, "user"."name", Text, false;
    /// An id of the identity provider's.
    UserId = 2, "user"."id", Text, true;
    /// Role names.
    UserRoles = 3, "user"."roles", Texts, false;
    /// The tenant.
    UserTenant = 4, "user"."tenant", Text, true;
    /// Claims an `authenticate` stage gave.
    UserClaims = 5, "user"."claims", Pairs, false;
    /// Attributes the policy gives the user.
    UserAttributes = 6, "user"."attributes", Pairs, false;
    /// One id for all hooks of a statement.
    RequestId = 16, "session"."request_id", Uuid, false;
    /// One id per session.
    ClientId = 17, "session"."client_id", Uuid, false;
    /// The database asked for.
    Database = 18, "session"."database", Text, false;
    /// The branch, where one is set.
    Branch = 19, "session"."branch", Text, true;
    /// `application_name`.
    App = 20, "session"."app", Text, false;
    /// The client's address.
    Client = 21, "session"."client", Address, false;
    /// Whether the client's connection is TLS.
    Tls = 22, "session"."tls", Flag, false;
    /// The listener's name.
    Listener = 23, "session"."listener", Text, false;
    /// How the client logged in.
    AuthMethod = 24, "session"."auth_method", Text, false;
    /// Whether a transaction block is open.
    InTransaction = 25, "session"."in_transaction", Flag, true;
    /// Whether the open transaction block may have written.
    TxWrites = 26, "session"."tx_writes", Flag, true;
    /// How the statement arrived.
    Protocol = 27, "session"."protocol", Text, true;
    /// How many statements the message held.
    StatementCount = 28, "session"."statement_count", Number, true;
    /// Attributes that stages have set.
    SessionAttributes = 29, "session"."attributes", Pairs, false;
    /// The most consequential kind of the statement.
    Kind = 40, "sql"."kind", Text, false;
    /// Every kind the statement contains.
    Kinds = 41, "sql"."kinds", Texts, false;
    /// Whether it is proven to change nothing.
    ReadOnly = 42, "sql"."read_only", Flag, false;
    /// Whether every UPDATE and DELETE in it has a WHERE.
    HasWhere = 43, "sql"."has_where", Flag, false;
    /// Whether it has a LIMIT.
    HasLimit = 44, "sql"."has_limit", Flag, false;
    /// Whether it has a WITH.
    HasCte = 45, "sql"."has_cte", Flag, false;
    /// How many parameters it takes.
    ParamCount = 46, "sql"."param_count", Number, false;
    /// The length of its text.
    Bytes = 47, "sql"."bytes", Number, false;
    /// The same for statements that differ only in literals, comments and blanks.
    Fingerprint = 50, "sql"."fingerprint", Number, false;
    /// The tables it names.
    Tables = 52, "sql"."tables", Names, false;
    /// The functions it names.
    Functions = 53, "sql"."functions", Names, false;
    /// The columns it names.
    Columns = 54, "sql"."columns", Texts, false;
    /// Its text, with every literal.
    Text = 60, "sql"."text", Large, false;
    /// Its text with `$n` for literals and without comments.
    Normalized = 61, "sql"."normalized", Large, false;
    /// Whether it ended without an error.
    Success = 70, "result"."success", Flag, false;
    /// The node that answered.
    Node = 71, "result"."node", Text, true;
    /// Microseconds from arrival to the last byte of the answer.
    ElapsedUs = 72, "result"."elapsed_us", Number, false;
    /// Rows sent or changed.
    ResultRows = 73, "result"."rows", Number, false;
    /// Bytes of the answer.
    ResultBytes = 74, "result"."bytes", Number, false;
    /// The error's SQLSTATE.
    Code = 75, "result"."code", Text, true;
    /// The error's message.
    Error = 76, "result"."error", Text, true;
    /// Whether a stage answered instead of a node.
    Cached = 77, "result"."cached", Flag, false;
    /// The name given at login.
    AuthUsername = 80, "auth"."username", Text, false;
    /// The startup parameters.
    AuthHeaders = 81, "auth"."headers", Pairs, false;
    /// The cleartext password.
    AuthPassword = 82, "auth"."password", Text, true;
    /// The name of the event a `custom` stage is called for.
    EventName = 90, "event"."name", Text, false;
    /// What its caller passed.
    EventPayload = 91, "event"."payload", Large, false;
}

impl Field {
    /// How many there are.
    pub const COUNT: usize = Self::EventPayload as usize + 1;

    /// All of them, sorted by id.
    pub fn all() -> impl Iterator<Item = &'static FieldRow> {
        TABLE.iter()
    }

    /// This field's row.
    #[must_use]
    pub fn row(self) -> &'static FieldRow {
        &TABLE[self as usize]
    }

    /// Whether this moment has the variable the field belongs to.
    #[must_use]
    pub fn is_at(self, hook: Hook) -> bool {
        match self.row().variable {
            "sql" => hook.has_statement(),
            "result" => hook.has_outcome(),
            "auth" => hook == Hook::Authenticate,
            "event" => hook == Hook::Custom,
            _ => true,
        }
    }

    /// What a statement must be read for so that the field has its value.
    #[must_use]
    pub fn needs(self) -> Needs {
        let of_the_tree = matches!(
            self,
            Self::Tables
                | Self::Functions
                | Self::Columns
                | Self::HasWhere
                | Self::HasLimit
                | Self::HasCte
        );
        Needs {
            normalized: self == Self::Normalized,
            parse: of_the_tree,
        }
    }

    /// The field of that number.
    #[must_use]
    pub fn by_id(id: u32) -> Option<Self> {
        let index = TABLE
            .binary_search_by_key(&id, |row| u32::from(row.id))
            .ok()?;
        Some(TABLE[index].field)
    }

    /// The field a script writes as `variable.name`.
    #[must_use]
    pub fn by_name(variable: &str, name: &str) -> Option<Self> {
        let row = TABLE
            .iter()
            .find(|row| row.variable == variable && row.name == name)?;
        Some(row.field)
    }
}

/// A set of fields: what one guest may see.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Fields(u64);

impl Fields {
    /// None.
    pub const NONE: Self = Self(0);

    /// Adds one.
    pub fn insert(&mut self, field: Field) {
        self.0 |= 1 << field as u8;
    }

    /// Whether it is in the set.
    #[must_use]
    pub fn contains(self, field: Field) -> bool {
        self.0 & (1 << field as u8) != 0
    }

    /// Those in both sets.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// How many are in the set.
    #[must_use]
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether the set is empty.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The members, sorted by id.
    pub fn iter(self) -> impl Iterator<Item = Field> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let row = TABLE.get(rest.trailing_zeros() as usize)?;
            rest &= rest - 1;
            Some(row.field)
        })
    }
}

impl FromIterator<Field> for Fields {
    fn from_iter<I: IntoIterator<Item = Field>>(fields: I) -> Self {
        let mut set = Self::NONE;
        for field in fields {
            set.insert(field);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_in_the_order_of_the_enum() {
        assert_eq!(TABLE.len(), Field::COUNT);
        const { assert!(Field::COUNT <= 64, "Fields is one u64") };
        for (index, row) in TABLE.iter().enumerate() {
            assert_eq!(row.field as usize, index);
            assert_eq!(Field::by_id(u32::from(row.id)), Some(row.field));
            assert_eq!(Field::by_name(row.variable, row.name), Some(row.field));
        }
        assert!(TABLE.windows(2).all(|pair| pair[0].id < pair[1].id));
        assert_eq!(Field::by_id(7), None);
    }

    #[test]
    fn a_set_gives_its_members_back_in_order() {
        let set: Fields = [Field::EventPayload, Field::UserName, Field::Kind]
            .into_iter()
            .collect();
        assert_eq!(
            set.iter().collect::<Vec<_>>(),
            [Field::UserName, Field::Kind, Field::EventPayload]
        );
        assert_eq!(set.len(), 3);
        assert!(!set.contains(Field::Text));
        assert!(Fields::NONE.is_empty());
    }
}
