//! Messages from a server as tests look at them: their order, errors, rows. Owns no connection.

use std::collections::BTreeMap;

/// One message from the server.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) tag: char,
    pub(crate) body: Vec<u8>,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{:?}", self.tag, String::from_utf8_lossy(&self.body))
    }
}

/// The fields of an ErrorResponse or NoticeResponse.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Problem {
    pub(crate) severity: String,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) detail: String,
    pub(crate) hint: String,
}

impl Message {
    /// The fields of an ErrorResponse or NoticeResponse.
    #[track_caller]
    pub(crate) fn problem(&self) -> Problem {
        assert!(matches!(self.tag, 'E' | 'N'), "not an error: {self:?}");
        let mut problem = Problem::default();
        for field in self.body.split(|byte| *byte == 0) {
            let Some((kind, text)) = field.split_first() else {
                continue;
            };
            let text = String::from_utf8_lossy(text).into_owned();
            match kind {
                b'V' => problem.severity = text,
                b'C' => problem.code = text,
                b'M' => problem.message = text,
                b'D' => problem.detail = text,
                b'H' => problem.hint = text,
                _ => (),
            }
        }
        problem
    }

    /// The values of a DataRow as text; `None` for NULL.
    #[track_caller]
    pub(crate) fn values(&self) -> Vec<Option<String>> {
        assert_eq!(self.tag, 'D', "not a row: {self:?}");
        let mut rest = self.body.get(2..).unwrap_or_default();
        let mut values = Vec::new();
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let length = usize::try_from(i32::from_be_bytes(*length)).ok();
            let (value, after) = after.split_at(length.unwrap_or(0));
            values.push(length.map(|_| String::from_utf8_lossy(value).into_owned()));
            rest = after;
        }
        values
    }

    /// The first value of a DataRow as text.
    #[track_caller]
    pub(crate) fn first_value(&self) -> String {
        self.values()
            .swap_remove(0)
            .unwrap_or_else(|| "NULL".to_owned())
    }

    /// The names of the columns of a RowDescription.
    #[track_caller]
    pub(crate) fn columns(&self) -> Vec<String> {
        const AFTER_NAME: usize = 18;
        assert_eq!(self.tag, 'T', "not a row description: {self:?}");
        let mut rest = self.body.get(2..).unwrap_or_default();
        let mut names = Vec::new();
        while let Some(end) = rest.iter().position(|byte| *byte == 0) {
            names.push(String::from_utf8_lossy(&rest[..end]).into_owned());
            rest = &rest[end + 1 + AFTER_NAME..];
        }
        names
    }
}

/// The tags of messages in order, with the status of each ReadyForQuery: `T D C ZI`.
pub(crate) fn shape(messages: &[Message]) -> String {
    let words: Vec<String> = messages
        .iter()
        .map(|message| match message.tag {
            'Z' => format!("Z{}", char::from(message.body[0])),
            tag => tag.to_string(),
        })
        .collect();
    words.join(" ")
}

/// The problem among messages; panics unless there is exactly one.
#[track_caller]
pub(crate) fn only_problem(messages: &[Message]) -> Problem {
    let mut problems = messages.iter().filter(|message| message.tag == 'E');
    let problem = problems
        .next()
        .unwrap_or_else(|| panic!("no error in {messages:?}"))
        .problem();
    assert!(
        problems.next().is_none(),
        "more than one error in {messages:?}"
    );
    problem
}

/// A row by the names of its columns; NULL is left out.
pub(crate) type Row = BTreeMap<String, String>;
