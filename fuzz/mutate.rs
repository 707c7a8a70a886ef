//! Texts made from the corpus: bytes, tokens, values, lines and tables changed, lost, doubled and put elsewhere. Owns no claim.

use super::chance::Chance;
use super::corpus::Corpus;
use super::corpus::Input;
use super::corpus::SECOND;
use super::corpus::key_and_value;
use super::corpus::tokens_of;

/// A text that is longer is cut.
const TEXT_BYTES_MAX: usize = 256 * 1024;

/// What no policy of the corpus has, and what readers of text have stumbled over elsewhere.
const STRANGE: [&str; 34] = [
    "\u{0}",
    "\u{feff}",
    "\r\n",
    "\r",
    "\t",
    "\u{2028}",
    "é",
    "\u{1f600}",
    "e\u{301}",
    "\"\"",
    "''''''",
    "\"\"\"\n\"\"\"",
    "[[",
    "]]",
    "{}",
    "[]",
    "[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]",
    "{a={a={a={a={a={a={}}}}}}}",
    "-0",
    "0x_f",
    "1e999",
    "nan",
    "-inf",
    "18446744073709551616",
    "-9223372036854775808",
    "1979-05-27T07:32:60Z",
    "0000-00-00",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"999999999999999999d\"",
    "\"0.0000001ms\"",
    "{ var = \"x\" }",
    "{ env = \"XY\" }",
    "{ file = \"fuzzed.toml\" }",
];

/// One case: the number of the text it was made from, and what became of it.
pub(crate) fn input(corpus: &Corpus, chance: &mut Chance) -> (usize, Input) {
    let is_any = chance.once_in(4);
    let clean = chance.pick(&corpus.clean).filter(|_| !is_any);
    let base = clean.map_or_else(|| chance.below(corpus.texts.len()), |base| *base);
    let mut text = corpus.texts[base].clone().into_bytes();
    let mut changes = 1;
    while changes < 12 && !chance.once_in(2) {
        changes += 1;
    }
    for _ in 0..changes {
        change(corpus, chance, &mut text);
        text.truncate(TEXT_BYTES_MAX);
    }
    let mut second = None;
    if chance.once_in(6) {
        let mut other = chance
            .pick(&corpus.tables)
            .cloned()
            .unwrap_or_default()
            .into_bytes();
        if chance.once_in(3) {
            change(corpus, chance, &mut other);
        }
        let include = format!("include = [\"{SECOND}\"]\n");
        text.splice(0..0, include.into_bytes());
        second = Some(other);
    }
    (base, Input::new(text, second))
}

fn change(corpus: &Corpus, chance: &mut Chance, text: &mut Vec<u8>) {
    match chance.below(16) {
        0 => byte(chance, text),
        1 => cut(chance, text),
        2 => strange(chance, text),
        // Whatever else needs text gets it; bytes that are none become what stands for them.
        kind => {
            let words = String::from_utf8_lossy(text).into_owned();
            *text = match kind {
                3..=5 => token(corpus, chance, words),
                6..=10 => value(corpus, chance, &words),
                11 => lines(chance, &words),
                12 | 13 => table(corpus, chance, words),
                14 => splice(corpus, chance, &words),
                _ => name(chance, words),
            }
            .into_bytes();
        }
    }
}

fn byte(chance: &mut Chance, text: &mut Vec<u8>) {
    let at = chance.below(text.len() + 1);
    let new = u8::try_from(chance.below(256)).unwrap_or(b'?');
    match (text.get_mut(at), chance.once_in(2)) {
        (Some(there), true) => *there = new,
        _ => text.insert(at, new),
    }
}

fn cut(chance: &mut Chance, text: &mut Vec<u8>) {
    let start = chance.below(text.len());
    let end = (start + 1 + chance.below(40)).min(text.len());
    if start < end {
        text.drain(start..end);
    }
}

fn strange(chance: &mut Chance, text: &mut Vec<u8>) {
    let at = chance.below(text.len() + 1);
    let piece = chance.pick(&STRANGE).map_or("", |piece| *piece);
    text.splice(at..at, piece.bytes());
}

/// One word, number or sign becomes another, or is lost.
fn token(corpus: &Corpus, chance: &mut Chance, mut text: String) -> String {
    let tokens: Vec<_> = tokens_of(&text).collect();
    if let Some(at) = chance.pick(&tokens) {
        let new = match chance.below(8) {
            0 => "",
            1 => chance.pick(&STRANGE).map_or("", |piece| *piece),
            _ => chance.pick(&corpus.tokens).map_or("", |token| token),
        };
        text.replace_range(at.clone(), new);
    }
    text
}

/// A key gets a value that it has somewhere else, so that many texts stay right; or that of any key.
fn value(corpus: &Corpus, chance: &mut Chance, text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let keyed: Vec<usize> = (0..lines.len())
        .filter(|at| key_and_value(lines[*at]).is_some())
        .collect();
    let Some(chosen) = chance.pick(&keyed).copied() else {
        return text.to_owned();
    };
    let key = key_and_value(lines[chosen]).map_or("", |(key, _)| key);
    let of_key = corpus.values.get(key).filter(|_| !chance.once_in(5));
    let of_any = corpus
        .values
        .values()
        .nth(chance.below(corpus.values.len()));
    let values = of_key.or(of_any).map_or(&[][..], Vec::as_slice);
    let value = chance.pick(values).map_or("", |value| value);
    let line = format!("{key} = {value}");
    put(&lines, chosen, &line)
}

fn put(lines: &[&str], chosen: usize, line: &str) -> String {
    let mut lines = lines.to_vec();
    lines[chosen] = line;
    lines.join("\n") + "\n"
}

/// A line is lost, doubled, or changes places with another.
fn lines(chance: &mut Chance, text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    let (one, other) = (chance.below(lines.len()), chance.below(lines.len()));
    if lines.is_empty() {
        return String::new();
    }
    match chance.below(3) {
        0 => drop(lines.remove(one)),
        1 => lines.insert(other, lines[one]),
        _ => lines.swap(one, other),
    }
    lines.join("\n") + "\n"
}

/// A table of any policy more, or one of its own fewer.
fn table(corpus: &Corpus, chance: &mut Chance, mut text: String) -> String {
    let headers: Vec<usize> = text.match_indices("\n[").map(|(at, _)| at + 1).collect();
    let at = chance.pick(&headers).copied().unwrap_or(text.len());
    if chance.once_in(2) {
        let table = chance.pick(&corpus.tables).map_or("", |table| table);
        text.insert_str(at, table);
    } else {
        let next = headers.iter().find(|header| at < **header);
        text.replace_range(at..next.copied().unwrap_or(text.len()), "");
    }
    text
}

/// The beginning of one text and the end of another.
fn splice(corpus: &Corpus, chance: &mut Chance, text: &str) -> String {
    let other = chance.pick(&corpus.texts).map_or("", |text| text);
    let head = text.floor_char_boundary(chance.below(text.len()));
    let head = text[..head].rfind('\n').unwrap_or(0);
    let tail = other.floor_char_boundary(chance.below(other.len()));
    let tail = other[tail..]
        .find("\n[")
        .map_or(other.len(), |length| tail + length);
    format!("{}{}", &text[..head], &other[tail..])
}

/// A name is changed wherever it stands, which means nothing, or two become one.
fn name(chance: &mut Chance, text: String) -> String {
    let names: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix('[')?.strip_suffix(']')?.split_once('.'))
        .map(|(_, name)| name)
        .collect();
    let Some(old) = chance.pick(&names) else {
        return text;
    };
    let new = match chance.pick(&names) {
        Some(other) if chance.once_in(2) => (*other).to_owned(),
        _ => format!("{old}-2"),
    };
    text.replace(*old, &new)
}
