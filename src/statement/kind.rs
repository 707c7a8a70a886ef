//! The kinds of statement a policy can name, sets of them, and what a statement does to its session.
//! Owns the names; how a kind is found is in `classify`.

/// A kind of statement, by the verb a policy knows it under.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Kind {
    /// SELECT, VALUES, TABLE; DECLARE, FETCH, MOVE and CLOSE of a cursor.
    Select,
    /// INSERT, also as an action of MERGE.
    Insert,
    /// UPDATE, also as an action of MERGE and of ON CONFLICT.
    Update,
    /// DELETE, also as an action of MERGE.
    Delete,
    /// MERGE.
    Merge,
    /// CREATE, ALTER, DROP, TRUNCATE, COMMENT, SECURITY LABEL, IMPORT, REFRESH, REINDEX, CLUSTER, REASSIGN, SELECT INTO.
    Ddl,
    /// GRANT, REVOKE, ALTER DEFAULT PRIVILEGES.
    Grant,
    /// COPY FROM.
    CopyIn,
    /// COPY TO.
    CopyOut,
    /// COPY with PROGRAM, in either direction.
    CopyProgram,
    /// CALL.
    Call,
    /// DO.
    Do,
    /// SET, RESET, DISCARD.
    Set,
    /// SHOW.
    Show,
    /// EXPLAIN.
    Explain,
    /// BEGIN, COMMIT, ROLLBACK, SAVEPOINT, RELEASE and their like, PREPARE TRANSACTION.
    Tx,
    /// LISTEN, UNLISTEN, NOTIFY.
    Listen,
    /// PREPARE, DEALLOCATE.
    Prepare,
    /// EXECUTE.
    Execute,
    /// LOCK, VACUUM, ANALYZE, CHECKPOINT, LOAD.
    Other,
    /// A text that could not be read as a statement.
    Unparsed,
}

impl Kind {
    const ALL: [(Self, &'static str); 21] = [
        (Self::Select, "select"),
        (Self::Insert, "insert"),
        (Self::Update, "update"),
        (Self::Delete, "delete"),
        (Self::Merge, "merge"),
        (Self::Ddl, "ddl"),
        (Self::Grant, "grant"),
        (Self::CopyIn, "copy_in"),
        (Self::CopyOut, "copy_out"),
        (Self::CopyProgram, "copy_program"),
        (Self::Call, "call"),
        (Self::Do, "do"),
        (Self::Set, "set"),
        (Self::Show, "show"),
        (Self::Explain, "explain"),
        (Self::Tx, "tx"),
        (Self::Listen, "listen"),
        (Self::Prepare, "prepare"),
        (Self::Execute, "execute"),
        (Self::Other, "other"),
        (Self::Unparsed, "unparsed"),
    ];

    /// Every kind, in the order policies list them.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::ALL.iter().map(|(kind, _)| *kind)
    }

    /// The name in policies, logs and guests.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// The kind of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(kind, _)| *kind)
    }
}

/// Every kind a statement contains: `EXPLAIN ANALYZE DELETE` is explain and delete.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct KindSet(u32);

impl KindSet {
    /// No kind: an empty statement.
    pub const EMPTY: Self = Self(0);

    /// A set of one.
    #[must_use]
    pub const fn of(kind: Kind) -> Self {
        Self(1 << kind as u32)
    }

    /// The set with one more kind.
    #[must_use]
    pub const fn with(self, kind: Kind) -> Self {
        self.union(Self::of(kind))
    }

    /// The kinds of both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the kind is in the set.
    #[must_use]
    pub const fn contains(self, kind: Kind) -> bool {
        self.0 & Self::of(kind).0 != 0
    }

    /// Whether one of the other's kinds is in the set.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether every kind of this set is in the other.
    #[must_use]
    pub const fn is_subset(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The kinds, in the order policies list them.
    pub fn iter(self) -> impl Iterator<Item = Kind> {
        Kind::all().filter(move |kind| self.contains(*kind))
    }
}

impl FromIterator<Kind> for KindSet {
    fn from_iter<I: IntoIterator<Item = Kind>>(kinds: I) -> Self {
        kinds.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl std::fmt::Debug for KindSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter().map(Kind::name)).finish()
    }
}

/// What a statement leaves behind on the server connection; the later, the more.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub enum SessionEffect {
    /// Nothing.
    #[default]
    None,
    /// Something that ends with the transaction: BEGIN, SET LOCAL, a cursor, `pg_advisory_xact_lock`.
    Transaction,
    /// Something that outlives the transaction: SET, PREPARE, LISTEN, a temporary table, a cursor WITH HOLD, an advisory
    /// lock, `set_config(.., false)`, LOAD.
    Session,
    /// DISCARD ALL: everything the session had is gone.
    DiscardAll,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_kinds_are_one_to_one() {
        for (index, kind) in Kind::all().enumerate() {
            assert_eq!(kind as usize, index);
            assert_eq!(Kind::parse(kind.name()), Some(kind));
        }
        assert_eq!(Kind::parse("SELECT"), None);
    }

    #[test]
    fn sets_are_sets() {
        let set = KindSet::of(Kind::Explain).with(Kind::Delete);
        assert!(set.contains(Kind::Delete) && !set.contains(Kind::Select));
        assert!(set.is_subset(set.with(Kind::Select)) && !set.with(Kind::Select).is_subset(set));
        assert!(set.intersects(KindSet::of(Kind::Delete)) && !set.intersects(KindSet::EMPTY));
        assert_eq!(format!("{set:?}"), r#"{"delete", "explain"}"#);
    }
}
