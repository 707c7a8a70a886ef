//! Verbs whose first word says everything, as one table. Owns no state; verbs that need more are in `classify`.

use super::keyword::Keyword;
use super::kind::Kind;
use super::kind::SessionEffect;

/// The kind and effect of a statement that begins with this word; none of them is read-only.
pub(crate) fn plain(word: Keyword) -> Option<(Kind, SessionEffect)> {
    let found = match word {
        Keyword::Drop
        | Keyword::Truncate
        | Keyword::Comment
        | Keyword::Security
        | Keyword::Import
        | Keyword::Refresh
        | Keyword::Reindex
        | Keyword::Cluster
        | Keyword::Reassign => (Kind::Ddl, SessionEffect::None),
        Keyword::Grant | Keyword::Revoke => (Kind::Grant, SessionEffect::None),
        Keyword::Begin
        | Keyword::Start
        | Keyword::Commit
        | Keyword::End
        | Keyword::Rollback
        | Keyword::Abort
        | Keyword::Savepoint
        | Keyword::Release => (Kind::Tx, SessionEffect::Transaction),
        // Its body may do anything, also to the session and to prepared statements.
        Keyword::Do => (Kind::Do, SessionEffect::Session),
        Keyword::Fetch | Keyword::Move | Keyword::Close => (Kind::Select, SessionEffect::None),
        Keyword::Reset => (Kind::Set, SessionEffect::Session),
        Keyword::Listen | Keyword::Unlisten => (Kind::Listen, SessionEffect::Session),
        Keyword::Notify => (Kind::Listen, SessionEffect::None),
        Keyword::Load => (Kind::Other, SessionEffect::Session),
        Keyword::Lock => (Kind::Other, SessionEffect::Transaction),
        Keyword::Vacuum | Keyword::Analyze | Keyword::Analyse | Keyword::Checkpoint => {
            (Kind::Other, SessionEffect::None)
        }
        _ => return None,
    };
    Some(found)
}

/// Words between CREATE and the kind of object it creates.
pub(crate) fn comes_before_object(word: Keyword) -> bool {
    matches!(
        word,
        Keyword::Or
            | Keyword::Replace
            | Keyword::Global
            | Keyword::Local
            | Keyword::Unlogged
            | Keyword::Recursive
    )
}
