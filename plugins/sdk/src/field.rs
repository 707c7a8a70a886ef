//! The numbers of the input's fields. The same table stands in `plugins/README.md`.

/// A field of the input. A field that is not granted, or has no value at a hook, is missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub enum Field {
    /// The name everything is decided by; text.
    UserName = 1,
    /// An id of the identity provider's; text.
    UserId = 2,
    /// Role names; texts.
    UserRoles = 3,
    /// The tenant; text.
    UserTenant = 4,
    /// Claims an `authenticate` stage gave; pairs.
    UserClaims = 5,
    /// Attributes the policy gives the user; pairs.
    UserAttributes = 6,
    /// One id for all hooks of a statement; 16 bytes.
    RequestId = 16,
    /// One id per session; 16 bytes.
    ClientId = 17,
    /// The database asked for; text.
    Database = 18,
    /// The branch; text.
    Branch = 19,
    /// `application_name`; text.
    App = 20,
    /// The client's address; 4 or 16 bytes, none for a Unix socket.
    Client = 21,
    /// Whether the client's connection is TLS; flag.
    Tls = 22,
    /// The listener's name; text.
    Listener = 23,
    /// How the client logged in; text.
    AuthMethod = 24,
    /// Whether a transaction block is open; flag.
    InTransaction = 25,
    /// Whether the open transaction block may have written; flag.
    TxWrites = 26,
    /// How the statement arrived; text.
    Protocol = 27,
    /// How many statements the message held; number.
    StatementCount = 28,
    /// Attributes that stages have set; pairs.
    SessionAttributes = 29,
    /// The most consequential kind; text.
    Kind = 40,
    /// Every kind the statement contains; texts.
    Kinds = 41,
    /// Whether it is proven to change nothing; flag.
    ReadOnly = 42,
    /// Whether every UPDATE and DELETE in it has a WHERE; flag.
    HasWhere = 43,
    /// Whether it has a LIMIT; flag.
    HasLimit = 44,
    /// Whether it has a WITH; flag.
    HasCte = 45,
    /// How many parameters it takes; number.
    ParamCount = 46,
    /// The length of its text; number.
    Bytes = 47,
    /// The same for statements that differ only in literals, comments and blanks; number.
    Fingerprint = 50,
    /// The tables it names; names.
    Tables = 52,
    /// The functions it names; names.
    Functions = 53,
    /// The columns it names; texts.
    Columns = 54,
    /// Its text; large.
    Text = 60,
    /// Its text with `$n` for literals and without comments; large.
    Normalized = 61,
    /// Whether it ended without an error; flag.
    Success = 70,
    /// The node that answered; text.
    Node = 71,
    /// Microseconds from arrival to the last byte of the answer; number.
    ElapsedUs = 72,
    /// Rows sent or changed; number.
    ResultRows = 73,
    /// Bytes of the answer; number.
    ResultBytes = 74,
    /// The error's SQLSTATE; text.
    Code = 75,
    /// The error's message; text.
    Error = 76,
    /// Whether a stage answered instead of a node; flag.
    Cached = 77,
    /// The name given at login; text.
    AuthUsername = 80,
    /// The startup parameters; pairs.
    AuthHeaders = 81,
    /// The cleartext password; text.
    AuthPassword = 82,
    /// The name of the event a `custom` stage is called for; text.
    EventName = 90,
    /// What its caller passed; large.
    EventPayload = 91,
}
