//! Names and texts as TOML writes them, for verbs that write policies. Owns no layout.

/// A key, in quotes where it needs them.
#[must_use]
pub fn toml_key(name: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    match !name.is_empty() && name.bytes().all(bare) {
        true => name.to_owned(),
        false => toml_text(name),
    }
}

/// A basic string, quotes included.
#[must_use]
pub fn toml_text(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_as_it_was() {
        for text in [
            "",
            "a",
            "a b",
            "\"q\"\\",
            "tab\tline\nend\u{7}\u{85}",
            "\u{e9}\u{1f600}",
            "'",
        ] {
            let written = format!("{} = {}", toml_key(text), toml_text(text));
            let read: toml::Table = toml::from_str(&written).unwrap();
            assert_eq!(read[text].as_str(), Some(text), "{written}");
        }
        assert_eq!(toml_key("pg-1_a"), "pg-1_a");
    }
}
