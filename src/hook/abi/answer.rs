//! Reads what a `pgwarden-1` guest answers: the returned word, and the answer frame it may point to.
//! Owns no judgement of whether the answer is legal at its hook; the sandbox asks `Hook::accepts`.

use super::ANSWER_MAGIC;
use super::ENTRY_BYTES;
use super::HEADER_BYTES;
use super::NO_VALUE;
use crate::hook::Answer;
use crate::hook::Identity;
use crate::hook::Refusal;
use crate::hook::RouteAnswer;
use crate::hook::Rows;
use crate::sqlstate::SqlState;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Columns an answer may have; PostgreSQL's own limit for a result.
const COLUMNS_MAX: usize = 1_664;

/// Why an answer is not one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongAnswer(&'static str);

/// What a hook's 64-bit result says.
#[derive(Clone, PartialEq, Debug)]
pub enum Word {
    /// The whole answer.
    Answer(Answer),
    /// An answer frame lies in the guest's memory.
    Frame {
        /// Its first byte.
        pointer: u32,
        /// Its length.
        len: u32,
    },
}

/// Reads a hook's result: a small verdict, or pointer and length of a frame in the upper and lower half.
///
/// # Errors
/// When it is neither.
pub fn decode_word(word: i64) -> Result<Word, WrongAnswer> {
    let [a, b, c, d, e, f, g, h] = word.to_be_bytes();
    let pointer = u32::from_be_bytes([a, b, c, d]);
    let len = u32::from_be_bytes([e, f, g, h]);
    if pointer != 0 {
        return Ok(Word::Frame { pointer, len });
    }
    Ok(Word::Answer(match len {
        0 => Answer::Continue,
        1 => Answer::Allow,
        2 => Answer::Defer,
        3 => Answer::Block(Refusal::new("refused by policy")),
        4 => Answer::Route(RouteAnswer::Default),
        5 => Answer::Route(RouteAnswer::Primary),
        6 => Answer::Route(RouteAnswer::Standby),
        _ => return Err(WrongAnswer("the result is no verdict and no pointer")),
    }))
}

/// Reads an answer frame.
///
/// # Errors
/// When it is not one in every detail: nothing is guessed and nothing is skipped.
pub fn decode_answer(frame: &[u8]) -> Result<Answer, WrongAnswer> {
    let entries = Entries::parse(frame)?;
    let answer = match entries.kind {
        0 => Answer::Continue,
        1 => Answer::Allow,
        2 => Answer::Defer,
        3 => Answer::Block(refusal(&entries)?),
        4 => Answer::Route(RouteAnswer::Default),
        5 => Answer::Route(RouteAnswer::Primary),
        6 => Answer::Route(RouteAnswer::Standby),
        7 => Answer::Route(RouteAnswer::Node(entries.required(TARGET)?.to_owned())),
        8 => Answer::Route(RouteAnswer::Branch(entries.required(TARGET)?.to_owned())),
        9 => Answer::Rewrite(entries.required(SQL)?.to_owned()),
        10 => Answer::Cached(rows(&entries)?),
        11 => Answer::Success(Box::new(identity(&entries)?)),
        12 => Answer::Denied(entries.required(MESSAGE)?.to_owned()),
        _ => return Err(WrongAnswer("no such kind of answer")),
    };
    entries.all_used(&answer)?;
    Ok(answer)
}

const MESSAGE: u16 = 1;
const CODE: u16 = 2;
const HINT: u16 = 3;
const DETAIL: u16 = 4;
const SQL: u16 = 5;
const TARGET: u16 = 6;
const COLUMNS: u16 = 7;
const CELLS: u16 = 8;
const USER: u16 = 10;
const USER_ID: u16 = 11;
const ROLES: u16 = 12;
const TENANT: u16 = 13;
const CLAIMS: u16 = 14;
const IDS: usize = 15;

struct Entries<'a> {
    kind: u16,
    values: [Option<&'a [u8]>; IDS],
}

impl<'a> Entries<'a> {
    fn parse(frame: &'a [u8]) -> Result<Self, WrongAnswer> {
        let header = frame
            .get(..HEADER_BYTES)
            .ok_or(WrongAnswer("shorter than its header"))?;
        if header[..4] != ANSWER_MAGIC {
            return Err(WrongAnswer("does not begin with `pga1`"));
        }
        let kind = u16::from_le_bytes([header[6], header[7]]);
        let count = usize::from(u16::from_le_bytes([header[8], header[9]]));
        if IDS < count {
            return Err(WrongAnswer("more entries than there are fields"));
        }
        let table = frame.get(HEADER_BYTES..HEADER_BYTES + count * ENTRY_BYTES);
        let (table, _) = table
            .ok_or(WrongAnswer("shorter than its entries"))?
            .as_chunks::<ENTRY_BYTES>();
        let mut values = [None; IDS];
        for &[id, id_high, _, _, a, b, c, d, e, f, g, h] in table {
            let id = usize::from(u16::from_le_bytes([id, id_high]));
            let start = u32::from_le_bytes([a, b, c, d]) as usize;
            let len = u32::from_le_bytes([e, f, g, h]) as usize;
            let end = start
                .checked_add(len)
                .ok_or(WrongAnswer("an entry leads outside of the frame"))?;
            let value = frame
                .get(start..end)
                .ok_or(WrongAnswer("an entry leads outside of the frame"))?;
            let slot = values.get_mut(id).ok_or(WrongAnswer("no such field"))?;
            if slot.replace(value).is_some() {
                return Err(WrongAnswer("a field twice"));
            }
        }
        Ok(Self { kind, values })
    }

    fn text(&self, id: u16) -> Result<Option<&'a str>, WrongAnswer> {
        let Some(bytes) = self.values[usize::from(id)] else {
            return Ok(None);
        };
        let text = std::str::from_utf8(bytes).map_err(|_| WrongAnswer("a text is not UTF-8"))?;
        if text.contains('\0') {
            return Err(WrongAnswer("a text contains a zero byte"));
        }
        Ok(Some(text))
    }

    fn required(&self, id: u16) -> Result<&'a str, WrongAnswer> {
        self.text(id)?
            .ok_or(WrongAnswer("a field that this kind needs is missing"))
    }

    fn list(&self, id: u16) -> Result<Vec<Option<&'a str>>, WrongAnswer> {
        let mut rest = self.values[usize::from(id)].unwrap_or_default();
        let mut list = Vec::new();
        while !rest.is_empty() {
            let (len, after) = rest
                .split_first_chunk::<4>()
                .ok_or(WrongAnswer("a list is cut short"))?;
            let len = u32::from_le_bytes(*len);
            rest = after;
            if len == NO_VALUE {
                list.push(None);
                continue;
            }
            let (item, after) = rest
                .split_at_checked(len as usize)
                .ok_or(WrongAnswer("a list is cut short"))?;
            rest = after;
            let item = std::str::from_utf8(item).map_err(|_| WrongAnswer("a text is not UTF-8"))?;
            if item.contains('\0') {
                return Err(WrongAnswer("a text contains a zero byte"));
            }
            list.push(Some(item));
        }
        Ok(list)
    }

    fn texts(&self, id: u16) -> Result<Vec<&'a str>, WrongAnswer> {
        let list = self.list(id)?;
        list.into_iter()
            .map(|item| item.ok_or(WrongAnswer("a list item without a value")))
            .collect()
    }

    fn all_used(&self, answer: &Answer) -> Result<(), WrongAnswer> {
        let legal: &[u16] = match answer {
            Answer::Block(_) => &[MESSAGE, CODE, HINT, DETAIL],
            Answer::Denied(_) => &[MESSAGE],
            Answer::Route(RouteAnswer::Node(_) | RouteAnswer::Branch(_)) => &[TARGET],
            Answer::Rewrite(_) => &[SQL],
            Answer::Cached(_) => &[COLUMNS, CELLS],
            Answer::Success(_) => &[USER, USER_ID, ROLES, TENANT, CLAIMS],
            Answer::Continue | Answer::Allow | Answer::Defer | Answer::Route(_) => &[],
        };
        let present = self
            .values
            .iter()
            .enumerate()
            .filter(|(_, value)| value.is_some());
        for (id, _) in present {
            if !legal.iter().any(|legal| usize::from(*legal) == id) {
                return Err(WrongAnswer("a field that this kind does not have"));
            }
        }
        Ok(())
    }
}

fn refusal(entries: &Entries<'_>) -> Result<Refusal, WrongAnswer> {
    let mut refusal = Refusal::new(entries.required(MESSAGE)?);
    if let Some(code) = entries.text(CODE)? {
        refusal.code = refusal_code(code)?;
    }
    refusal.hint = entries.text(HINT)?.map(Arc::from);
    refusal.detail = entries.text(DETAIL)?.map(Arc::from);
    Ok(refusal)
}

/// A code a refusal may carry: one that does not say "success" or "warning".
fn refusal_code(code: &str) -> Result<SqlState, WrongAnswer> {
    SqlState::parse(code)
        .filter(|_| {
            !["00", "01", "02"]
                .iter()
                .any(|class| code.starts_with(class))
        })
        .ok_or(WrongAnswer("the code is no SQLSTATE of an error"))
}

fn rows(entries: &Entries<'_>) -> Result<Rows, WrongAnswer> {
    let columns: Vec<String> = entries
        .texts(COLUMNS)?
        .into_iter()
        .map(str::to_owned)
        .collect();
    let cells = entries.list(CELLS)?;
    if columns.is_empty() || COLUMNS_MAX < columns.len() {
        return Err(WrongAnswer("rows need 1 to 1664 columns"));
    }
    if cells.len() % columns.len() != 0 {
        return Err(WrongAnswer("the last row is not complete"));
    }
    let rows = cells
        .chunks(columns.len())
        .map(|row| row.iter().map(|cell| cell.map(str::to_owned)).collect());
    let rows = rows.collect();
    Ok(Rows { columns, rows })
}

fn identity(entries: &Entries<'_>) -> Result<Identity, WrongAnswer> {
    let user = entries.required(USER)?;
    if user.is_empty() {
        return Err(WrongAnswer("an identity without a user"));
    }
    let claims = entries.texts(CLAIMS)?;
    if claims.len() % 2 != 0 {
        return Err(WrongAnswer("a claim without a value"));
    }
    let claims: BTreeMap<String, String> = claims
        .chunks(2)
        .map(|pair| (pair[0].to_owned(), pair[1].to_owned()))
        .collect();
    Ok(Identity {
        user: Arc::from(user),
        user_id: entries.text(USER_ID)?.map(Arc::from),
        roles: entries.texts(ROLES)?.into_iter().map(Arc::from).collect(),
        tenant: entries.text(TENANT)?.map(Arc::from),
        claims,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u16, entries: &[(u16, &[u8])]) -> Vec<u8> {
        let mut out = Vec::from(ANSWER_MAGIC);
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&kind.to_le_bytes());
        out.extend_from_slice(&u16::try_from(entries.len()).unwrap().to_le_bytes());
        out.extend_from_slice(&[0, 0]);
        let mut offset = HEADER_BYTES + entries.len() * ENTRY_BYTES;
        for (id, bytes) in entries {
            out.extend_from_slice(&id.to_le_bytes());
            out.extend_from_slice(&[0, 0]);
            out.extend_from_slice(&u32::try_from(offset).unwrap().to_le_bytes());
            out.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_le_bytes());
            offset += bytes.len();
        }
        entries
            .iter()
            .for_each(|(_, bytes)| out.extend_from_slice(bytes));
        out
    }

    #[test]
    fn a_refusal_carries_what_the_guest_wrote() {
        let bytes = frame(3, &[(1, b"no"), (2, b"42501"), (3, b"ask")]);
        let Answer::Block(refusal) = decode_answer(&bytes).unwrap() else {
            panic!()
        };
        assert_eq!(refusal.code.as_str(), "42501");
        assert_eq!(&*refusal.message, "no");
        assert_eq!(refusal.hint.as_deref(), Some("ask"));
        for code in [&b"00000"[..], b"01000", b"4250", b"abcde"] {
            assert!(decode_answer(&frame(3, &[(1, b"no"), (2, code)])).is_err());
        }
    }

    #[test]
    fn rows_are_cut_by_the_columns() {
        let columns = b"\x01\0\0\0a\x01\0\0\0b";
        let cells = b"\x01\0\0\x001\xff\xff\xff\xff";
        let Answer::Cached(rows) = decode_answer(&frame(10, &[(7, columns), (8, cells)])).unwrap()
        else {
            panic!()
        };
        assert_eq!(rows.rows, [[Some("1".to_owned()), None]]);
        assert!(decode_answer(&frame(10, &[(7, columns), (8, b"\x01\0\0\x001")])).is_err());
        assert!(decode_answer(&frame(10, &[(8, cells)])).is_err());
    }

    #[test]
    fn nothing_is_guessed() {
        let good = frame(9, &[(5, b"select 1")]);
        assert_eq!(
            decode_answer(&good),
            Ok(Answer::Rewrite("select 1".to_owned()))
        );
        for len in 0..good.len() {
            assert!(decode_answer(&good[..len]).is_err(), "{len}");
        }
        for bad in [
            frame(9, &[(5, b"\xff")]),
            frame(9, &[(5, b"a\0b")]),
            frame(9, &[(5, b"a"), (5, b"b")]),
            frame(9, &[(5, b"a"), (1, b"b")]),
            frame(9, &[(99, b"a")]),
            frame(99, &[]),
        ] {
            assert!(decode_answer(&bad).is_err());
        }
    }

    #[test]
    fn a_word_is_a_verdict_or_a_pointer() {
        assert_eq!(decode_word(0), Ok(Word::Answer(Answer::Continue)));
        assert_eq!(
            decode_word(6),
            Ok(Word::Answer(Answer::Route(RouteAnswer::Standby)))
        );
        assert_eq!(
            decode_word((16 << 32) | 5),
            Ok(Word::Frame {
                pointer: 16,
                len: 5
            })
        );
        assert_eq!(
            decode_word(-1),
            Ok(Word::Frame {
                pointer: u32::MAX,
                len: u32::MAX
            })
        );
        assert!(decode_word(7).is_err());
    }
}
