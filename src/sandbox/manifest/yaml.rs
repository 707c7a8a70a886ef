//! YAML as a tree whose parts know where they stand, and the tree as something serde reads from. Owns the bounds (depth, and what
//! aliases grow into) and what words without quotes mean; the grammar is `saphyr-parser`'s, of which only events are taken.
//!
//! Source: YAML 1.2.2, chapter 10.3 "Core Schema".

use super::ManifestMistake;
use saphyr_parser::Event;
use saphyr_parser::Parser;
use saphyr_parser::ScalarStyle;
use saphyr_parser::Span;
use saphyr_parser::Tag;
use serde::Deserializer;
use serde::de::IntoDeserializer;
use serde::de::Visitor;
use serde::de::value::MapDeserializer;
use serde::de::value::SeqDeserializer;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ops::Range;

/// Lists and tables within each other.
const DEPTH_MAX: usize = 16;
/// What a text may grow into: one for each value and for each byte of text, aliases counted as what they stand for.
const WEIGHT_MAX: usize = 256 << 10;

/// A value.
#[derive(Clone, Debug)]
pub(super) struct Node {
    span: Range<usize>,
    weight: usize,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Text { text: String, style: Style },
    List(Vec<Node>),
    Table(Vec<(Node, Node)>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Style {
    /// What the word means is looked up: `5` is a number where no text is asked for.
    Plain,
    Quoted,
}

/// Reads the one document of a text.
pub(super) fn parse(text: &str) -> Result<Node, ManifestMistake> {
    let mut tree = Tree::new(text);
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| {
            let at = tree.byte(error.marker().index());
            mistake(error.info(), at..at)
        })?;
        tree.take(event, span)?;
    }
    tree.root
        .ok_or_else(|| mistake("the file is empty", 0..text.len()))
}

fn mistake(message: impl Into<String>, span: Range<usize>) -> ManifestMistake {
    ManifestMistake {
        message: message.into(),
        span: Some(span),
    }
}

/// A list or a table that has not ended.
struct Open {
    start: usize,
    anchor: usize,
    content: Content,
    /// A table's key whose value comes next.
    key: Option<Node>,
    /// The table's keys so far.
    keys: BTreeSet<String>,
}

/// What the events so far came to.
struct Tree {
    /// Where each character starts: the parser counts characters.
    starts: Vec<usize>,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    root: Option<Node>,
    weight: usize,
}

impl Tree {
    fn new(text: &str) -> Self {
        let starts = text.char_indices().map(|(at, _)| at);
        Self {
            starts: starts.chain([text.len()]).collect(),
            open: Vec::new(),
            anchors: BTreeMap::new(),
            root: None,
            weight: 0,
        }
    }

    fn byte(&self, character: usize) -> usize {
        let end = self.starts.last().copied().unwrap_or_default();
        self.starts.get(character).copied().unwrap_or(end)
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), ManifestMistake> {
        let span = self.byte(span.start.index())..self.byte(span.end.index());
        match event {
            Event::DocumentStart(_) if self.root.is_some() => Err(mistake(
                "a second document starts here, and there is one manifest",
                span,
            )),
            Event::Scalar(text, style, anchor, tag) => {
                let is_text = told(tag.as_deref(), &span)?;
                let style = match style {
                    ScalarStyle::Plain if !is_text => Style::Plain,
                    _ => Style::Quoted,
                };
                let text = text.into_owned();
                self.weigh(1 + text.len(), &span)?;
                let node = Node {
                    span,
                    weight: 1 + text.len(),
                    content: Content::Text { text, style },
                };
                self.put(node, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                self.opens(Content::List(Vec::new()), anchor, tag.as_deref(), span)
            }
            Event::MappingStart(anchor, tag) => {
                self.opens(Content::Table(Vec::new()), anchor, tag.as_deref(), span)
            }
            Event::SequenceEnd | Event::MappingEnd => self.closes(span.end),
            Event::Alias(anchor) => {
                let weight = self.anchors.get(&anchor).map(|known| known.weight);
                self.weigh(weight.unwrap_or_default(), &span)?;
                let Some(known) = self.anchors.get(&anchor).cloned() else {
                    return Err(mistake("this alias stands for what it is a part of", span));
                };
                self.put(Node { span, ..known }, 0)
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn weigh(&mut self, weight: usize, span: &Range<usize>) -> Result<(), ManifestMistake> {
        self.weight = self.weight.saturating_add(weight);
        match WEIGHT_MAX < self.weight {
            true => Err(mistake(
                format!("with its aliases the file grows beyond {WEIGHT_MAX} bytes"),
                span.clone(),
            )),
            false => Ok(()),
        }
    }

    fn opens(
        &mut self,
        content: Content,
        anchor: usize,
        tag: Option<&Tag>,
        span: Range<usize>,
    ) -> Result<(), ManifestMistake> {
        told(tag, &span)?;
        if self.open.len() == DEPTH_MAX {
            let message = format!("more than {DEPTH_MAX} lists and tables within each other");
            return Err(mistake(message, span));
        }
        self.weigh(1, &span)?;
        self.open.push(Open {
            start: span.start,
            anchor,
            content,
            key: None,
            keys: BTreeSet::new(),
        });
        Ok(())
    }

    fn closes(&mut self, end: usize) -> Result<(), ManifestMistake> {
        let Some(Open {
            start,
            anchor,
            content,
            ..
        }) = self.open.pop()
        else {
            return Ok(());
        };
        let within: usize = match &content {
            Content::Text { text, .. } => text.len(),
            Content::List(items) => items.iter().map(|item| item.weight).sum(),
            Content::Table(entries) => entries
                .iter()
                .map(|(key, value)| key.weight + value.weight)
                .sum(),
        };
        let node = Node {
            span: start..end.max(start),
            weight: 1 + within,
            content,
        };
        self.put(node, anchor)
    }

    /// Puts a whole value where it belongs.
    fn put(&mut self, node: Node, anchor: usize) -> Result<(), ManifestMistake> {
        // The parser numbers anchors from 1.
        if anchor != 0 {
            // A copy is kept of it, and of each anchor inside of it one more.
            self.weigh(node.weight, &node.span)?;
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match (&mut open.content, open.key.take()) {
            (Content::Table(entries), Some(key)) => entries.push((key, node)),
            (Content::Table(_), None) => match &node.content {
                Content::Text { text, .. } if open.keys.insert(text.clone()) => {
                    open.key = Some(node);
                }
                Content::Text { text, .. } => {
                    let message = format!("`{}` is there twice", text.escape_debug());
                    return Err(mistake(message, node.span));
                }
                _ => return Err(mistake("a key must be text", node.span)),
            },
            (Content::List(items), _) => items.push(node),
            (Content::Text { .. }, _) => (),
        }
        Ok(())
    }
}

/// Whether a tag says that a word is text. No other tag is known.
fn told(tag: Option<&Tag>, span: &Range<usize>) -> Result<bool, ManifestMistake> {
    match tag {
        None => Ok(false),
        Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => Ok(true),
        Some(tag) => Err(mistake(
            format!("the tag `{tag}` means nothing here; remove it"),
            span.clone(),
        )),
    }
}

impl Node {
    /// A mistake that knows no place yet stands here.
    fn here<T>(&self, read: Result<T, ManifestMistake>) -> Result<T, ManifestMistake> {
        read.map_err(|mistake| ManifestMistake {
            span: mistake.span.or_else(|| Some(self.span.clone())),
            ..mistake
        })
    }
}

/// A word without quotes, as the core schema has it.
fn plain<'de, V: Visitor<'de>>(text: &str, visitor: V) -> Result<V::Value, ManifestMistake> {
    let digits = |prefix: &str, radix: u32| {
        let digits = text.strip_prefix(prefix)?;
        let is_bare = digits.starts_with(|c: char| c.is_ascii_alphanumeric());
        u64::from_str_radix(digits, radix).ok().filter(|_| is_bare)
    };
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return visitor.visit_unit(),
        "true" | "True" | "TRUE" => return visitor.visit_bool(true),
        "false" | "False" | "FALSE" => return visitor.visit_bool(false),
        _ => (),
    }
    let whole = text.parse().ok();
    if let Some(number) = whole
        .or_else(|| digits("0x", 16))
        .or_else(|| digits("0o", 8))
    {
        return visitor.visit_u64(number);
    }
    if let Ok(number) = text.parse::<i64>() {
        return visitor.visit_i64(number);
    }
    let is_decimal = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+' | 'e' | 'E');
    match text.parse::<f64>() {
        Ok(number) if text.chars().all(is_decimal) => visitor.visit_f64(number),
        _ => visitor.visit_str(text),
    }
}

impl<'de> IntoDeserializer<'de, ManifestMistake> for &'de Node {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = ManifestMistake;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.here(match &self.content {
            Content::Text { text, style } => match style {
                Style::Plain => plain(text, visitor),
                Style::Quoted => visitor.visit_borrowed_str(text),
            },
            Content::List(items) => visitor.visit_seq(SeqDeserializer::new(items.iter())),
            Content::Table(entries) => {
                let entries = entries.iter().map(|(key, value)| (key, value));
                visitor.visit_map(MapDeserializer::new(entries))
            }
        })
    }

    /// Where text is asked for, a word is text, whatever it looks like: `version: 1.10` is no number.
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match &self.content {
            Content::Text { text, .. } => self.here(visitor.visit_borrowed_str(text)),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match &self.content {
            Content::Text { text, style } if *style == Style::Plain => match text.as_str() {
                "" | "~" | "null" | "Null" | "NULL" => visitor.visit_none(),
                _ => visitor.visit_some(self),
            },
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct newtype_struct
        seq tuple tuple_struct map struct enum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prop_assert;
    use proptest::proptest;
    use serde::Deserialize as _;
    use serde_json::Value;
    use serde_json::json;

    fn value(text: &str) -> Result<Value, ManifestMistake> {
        Value::deserialize(&parse(text)?)
    }

    #[test]
    fn what_is_written_is_read() {
        for (text, expected) in [
            (
                "a: 1\nb: [x, -2, 1.5, 0x10, 0o17]",
                json!({ "a": 1, "b": ["x", -2, 1.5, 16, 15] }),
            ),
            (
                "- true\n- 'true'\n- ~\n-\n- 1.2.3\n- nan",
                json!([true, "true", null, null, "1.2.3", "nan"]),
            ),
            (
                "\u{feff}--- # it\na: |\n  two\n  lines\n",
                json!({ "a": "two\nlines\n" }),
            ),
            (
                "a: &x { y: z }\nb: *x\n",
                json!({ "a": { "y": "z" }, "b": { "y": "z" } }),
            ),
            (
                "a: !!str 5\nb: \"\\u00e4\"\r\nc: +5",
                json!({ "a": "5", "b": "ä", "c": 5 }),
            ),
            (
                "{\"json\": [\"is\", \"YAML\"]}",
                json!({ "json": ["is", "YAML"] }),
            ),
        ] {
            assert_eq!(value(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_where_it_stands() {
        let deep = "[".repeat(17);
        for (text, marked, said) in [
            ("", "", "is empty"),
            ("# nothing\n", "# nothing\n", "is empty"),
            ("a: 1\n---\nb: 2\n", "---", "second document"),
            ("ä: ö\na: !money 5\n", "5", "the tag `!money` means nothing"),
            ("a: !!int 5\n", "5", "remove it"),
            ("a: &x [*x]", "*x", "a part of"),
            ("? [a]\n: b\n", "[a]", "a key must be text"),
            (&deep, "[", "more than 16"),
        ] {
            let mistake = value(text).unwrap_err();
            assert!(mistake.message.contains(said), "{text}: {mistake:?}");
            let span = mistake.span.clone().unwrap();
            assert!(text[span].contains(marked), "{text}: {mistake:?}");
        }
        for text in ["a: b: c", "a: [1", "a: *x", "'", "a: \"\\q\""] {
            let mistake = value(text).unwrap_err();
            assert!(mistake.span.unwrap().end <= text.len(), "{text}");
        }
    }

    /// A file of a few lines that stands for gigabytes.
    #[test]
    fn aliases_do_not_multiply_without_end() {
        let mut text = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
        for level in 1..10 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
            text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
        }
        let mistake = value(&text).unwrap_err();
        assert!(mistake.message.contains("grows beyond"), "{mistake:?}");
    }

    /// What stands for itself in a copy is weighed as often as it is kept.
    #[test]
    fn anchors_within_anchors_are_weighed_as_well() {
        let nested = |depth: usize| {
            let open: String = (0..depth).map(|level| format!("&a{level} [")).collect();
            format!("a: {open}{}{}", "x".repeat(20_000), "]".repeat(depth))
        };
        assert!(value(&nested(5)).is_ok());
        let mistake = value(&nested(14)).unwrap_err();
        assert!(mistake.message.contains("grows beyond"), "{mistake:?}");
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "[-:?,\\[\\]{}#&*!|>'\"%@` \\n\\r\\tabc0-9äé~.]{0,60}") {
            if let Err(mistake) = value(&text) {
                let span = mistake.span.unwrap_or(0..0);
                prop_assert!(text.get(span).is_some());
            }
        }
    }
}
