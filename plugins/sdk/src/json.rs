//! Reads JSON where it lies, without an allocator: configurations, which the host gives as JSON, and what clients send. Strict
//! (RFC 8259) and bounded in depth. Owns no meaning, and writes nothing.

/// Values inside values.
const DEPTH_MAX: usize = 16;
/// Members of an object whose names can be told apart.
const NAMES_MAX: usize = 128;

/// One value, known to be right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Json<'a> {
    raw: &'a str,
}

/// A text of JSON, whose escapes are known to be right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Text<'a> {
    raw: &'a str,
}

impl<'a> Json<'a> {
    /// Reads a document: one value with nothing but blanks around it.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut cursor = Cursor { text, at: 0 };
        let value = cursor.next_value(0)?;
        cursor.blanks();
        (cursor.at == text.len()).then_some(value)
    }

    /// Takes a document for right without reading it: for what the host wrote. Of one that is not right, parts are missing.
    #[must_use]
    pub fn of_host(text: &'a str) -> Self {
        Self { raw: text.trim() }
    }

    /// The value as it is written.
    #[must_use]
    pub fn raw(&self) -> &'a str {
        self.raw
    }

    /// The value, if it is a text.
    #[must_use]
    pub fn text(&self) -> Option<Text<'a>> {
        let raw = self.raw.strip_prefix('"')?.strip_suffix('"')?;
        Some(Text { raw })
    }

    /// Whether it is an object.
    #[must_use]
    pub fn is_object(&self) -> bool {
        self.raw.starts_with('{')
    }

    /// Whether it is a list.
    #[must_use]
    pub fn is_list(&self) -> bool {
        self.raw.starts_with('[')
    }

    /// The member of that name, if this is an object that has exactly one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Json<'a>> {
        let mut found = self
            .members()
            .filter(|(known, _)| known.is(name))
            .map(|(_, value)| value);
        let first = found.next()?;
        found.next().is_none().then_some(first)
    }

    /// The members of an object; none of anything else.
    pub fn members(&self) -> impl Iterator<Item = (Text<'a>, Json<'a>)> + use<'a> {
        let mut cursor = self.inside('{');
        core::iter::from_fn(move || {
            let name = cursor.skip()?.text()?;
            cursor.step(b':')?;
            let value = cursor.skip()?;
            // A comma, or the end: the next name is not there.
            cursor.step(b',');
            Some((name, value))
        })
    }

    /// The items of a list; none of anything else.
    pub fn items(&self) -> impl Iterator<Item = Json<'a>> + use<'a> {
        let mut cursor = self.inside('[');
        core::iter::from_fn(move || {
            let value = cursor.skip()?;
            cursor.step(b',');
            Some(value)
        })
    }

    /// Whether every member of an object has a name of its own, so that no two readers can take different ones. `false` for
    /// objects of more than 128 members.
    #[must_use]
    pub fn has_unique_names(&self) -> bool {
        let mut seen = [0; NAMES_MAX];
        for (count, (name, _)) in self.members().enumerate() {
            // FNV-1a: two names of one hash are taken for the same, which refuses too much and never too little.
            let hash = name.chars().fold(0xcbf2_9ce4_8422_2325_u64, |hash, char| {
                (hash ^ u64::from(u32::from(char))).wrapping_mul(0x0100_0000_01b3)
            });
            if count == NAMES_MAX || seen[..count].contains(&hash) {
                return false;
            }
            seen[count] = hash;
        }
        true
    }

    /// What stands between the brackets.
    fn inside(&self, open: char) -> Cursor<'a> {
        let text = self.raw.strip_prefix(open).unwrap_or_default();
        let text = text.get(..text.len().saturating_sub(1)).unwrap_or_default();
        Cursor { text, at: 0 }
    }
}

impl<'a> Text<'a> {
    /// Its characters.
    pub fn chars(&self) -> impl Iterator<Item = char> + use<'a> {
        let mut rest = self.raw.chars();
        core::iter::from_fn(move || {
            let char = rest.next()?;
            if char != '\\' {
                return Some(char);
            }
            Some(match rest.next()? {
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'u' => {
                    let high = unit(&mut rest)?;
                    let code = match high {
                        0xd800..=0xdbff => {
                            rest.next();
                            rest.next();
                            0x1_0000 + ((high - 0xd800) << 10 | (unit(&mut rest)? - 0xdc00))
                        }
                        other => other,
                    };
                    char::from_u32(code)?
                }
                same => same,
            })
        })
    }

    /// Whether it is this text.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        match self.plain() {
            Some(plain) => plain == text,
            None => self.chars().eq(text.chars()),
        }
    }

    /// Whether both are the same text, however they are written.
    #[must_use]
    pub fn same(&self, other: Text<'_>) -> bool {
        match other.plain() {
            Some(plain) => self.is(plain),
            None => self.chars().eq(other.chars()),
        }
    }

    /// The text as it is written, if it has no escapes.
    #[must_use]
    pub fn plain(&self) -> Option<&'a str> {
        (!self.raw.as_bytes().contains(&b'\\')).then_some(self.raw)
    }

    /// Copies the text without its escapes; `None` where it does not fit.
    pub fn copy<'b>(&self, into: &'b mut [u8]) -> Option<&'b str> {
        let mut len = 0;
        for char in self.chars() {
            let place = into.get_mut(len..len + char.len_utf8())?;
            len += char.encode_utf8(place).len();
        }
        core::str::from_utf8(&into[..len]).ok()
    }
}

fn unit(rest: &mut core::str::Chars<'_>) -> Option<u32> {
    let mut code = 0;
    for _ in 0..4 {
        code = code << 4 | rest.next()?.to_digit(16)?;
    }
    Some(code)
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Goes past a sign and the blanks before it, if it is there.
    fn step(&mut self, sign: u8) -> Option<()> {
        self.blanks();
        (self.peek()? == sign).then(|| self.at += 1)
    }

    /// Goes past a value that is known to be right: looks at brackets and quotes only, since each step costs fuel.
    fn skip(&mut self) -> Option<Json<'a>> {
        self.blanks();
        let bytes = self.text.as_bytes();
        let (start, mut at, mut depth) = (self.at, self.at, 0_usize);
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'"' => {
                    at += 1;
                    while *bytes.get(at)? != b'"' {
                        at += 1 + usize::from(bytes[at] == b'\\');
                    }
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.checked_sub(1)?,
                b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' if depth == 0 => break,
                _ => {
                    at += 1;
                    continue;
                }
            }
            at += 1;
            if depth == 0 {
                break;
            }
        }
        self.at = at;
        let raw = self.text.get(start..at).filter(|raw| !raw.is_empty())?;
        Some(Json { raw })
    }

    fn next_value(&mut self, depth: usize) -> Option<Json<'a>> {
        self.blanks();
        let start = self.at;
        match self.peek()? {
            b'{' => self.list(b'}', depth, |cursor| {
                (cursor.peek()? == b'"').then_some(())?;
                cursor.string()?;
                cursor.step(b':')
            }),
            b'[' => self.list(b']', depth, |_| Some(())),
            b'"' => self.string(),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => self.number(),
        }?;
        let raw = self.text.get(start..self.at)?;
        Some(Json { raw })
    }

    fn list(
        &mut self,
        end: u8,
        depth: usize,
        before: impl Fn(&mut Self) -> Option<()>,
    ) -> Option<()> {
        (depth < DEPTH_MAX).then_some(())?;
        self.at += 1;
        if self.step(end).is_some() {
            return Some(());
        }
        loop {
            self.blanks();
            before(self)?;
            self.next_value(depth + 1)?;
            if self.step(end).is_some() {
                return Some(());
            }
            self.step(b',')?;
        }
    }

    fn string(&mut self) -> Option<()> {
        let bytes = self.text.as_bytes();
        // In a variable of its own: most of a document is texts, and each step costs fuel.
        let mut at = self.at + 1;
        loop {
            match bytes.get(at)? {
                b'"' => break,
                b'\\' => {
                    self.at = at + 1;
                    self.escape()?;
                    at = self.at;
                }
                0..0x20 => return None,
                _ => at += 1,
            }
        }
        self.at = at + 1;
        Some(())
    }

    fn escape(&mut self) -> Option<()> {
        let byte = self.peek()?;
        self.at += 1;
        match byte {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => match self.hex()? {
                0xdc00..=0xdfff => None,
                0xd800..=0xdbff => {
                    self.word("\\u")?;
                    (0xdc00..=0xdfff).contains(&self.hex()?).then_some(())
                }
                _ => Some(()),
            },
            _ => None,
        }
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        self.at += 4;
        unit(&mut digits.chars())
    }

    fn word(&mut self, word: &str) -> Option<()> {
        let there = self.text.get(self.at..)?.starts_with(word);
        there.then(|| self.at += word.len())
    }

    fn number(&mut self) -> Option<()> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek()? == b'0' {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (start < self.at).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_where_they_lie() {
        let text = r#" {"a": [1, -2.5e3 ,"x"],"b":{"c":null, "\u0064": "\ud83d\ude00\n\"\\"} , "e":true} "#;
        let json = Json::parse(text).expect("right");
        let items: Vec<&str> = json
            .get("a")
            .expect("a")
            .items()
            .map(|item| item.raw())
            .collect();
        assert_eq!(items, ["1", "-2.5e3", "\"x\""]);
        let inner = json.get("b").expect("b");
        assert_eq!(inner.get("c").map(|null| null.raw()), Some("null"));
        let escaped = inner.get("d").and_then(|text| text.text()).expect("d");
        assert!(escaped.is("\u{1f600}\n\"\\") && escaped.plain().is_none());
        let mut place = [0; 7];
        assert_eq!(escaped.copy(&mut place), Some("\u{1f600}\n\"\\"));
        assert_eq!(escaped.copy(&mut place[..6]), None);
        assert_eq!(json.get("e").map(|flag| flag.raw()), Some("true"));
        assert_eq!(json.get("f"), None);
        assert_eq!(json.members().count(), 3);
        assert_eq!(json.items().count(), 0);
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for text in [
            "",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\"1}",
            "01",
            "1.",
            ".5",
            "1e",
            "+1",
            "tru",
            "nul",
            "1 2",
            "'a'",
            "\"a",
            "\"\t\"",
            r#""\x""#,
            r#""\u12""#,
            r#""\ud800""#,
            r#""\ud800A""#,
            r#""\udc00""#,
            "{1:2}",
            "[1 2]",
        ] {
            assert_eq!(Json::parse(text), None, "{text}");
        }
        let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(Json::parse(&deep(DEPTH_MAX)).is_some());
        assert_eq!(Json::parse(&deep(DEPTH_MAX + 1)), None);
    }

    #[test]
    fn a_name_that_stands_twice_is_not_one() {
        let json = Json::parse(r#"{"a":1,"b":2,"\u0061":3}"#).expect("right");
        assert!(!json.has_unique_names());
        assert_eq!(json.get("a"), None);
        assert!(Json::parse(r#"{"a":1,"b":2}"#).is_some_and(|json| json.has_unique_names()));
    }
}
