//! Tests of `lexer`: what is what, and that no text makes it fail or lose a byte.

use super::*;
use proptest::prelude::*;

fn lexemes(text: &str) -> Vec<(Lexeme, &str)> {
    let mut lexer = Lexer::new(text);
    let mut found = Vec::new();
    loop {
        let token = lexer.token();
        if token.lexeme == Lexeme::End {
            return found;
        }
        found.push((token.lexeme, &text[token.start..token.end]));
    }
}

#[test]
fn tokens_are_postgresqls() {
    use Lexeme::*;
    let cases: &[(&str, &[(Lexeme, &str)])] = &[
        ("a_1$ \u{e9}", &[(Word, "a_1$"), (Word, "\u{e9}")]),
        (
            "1 1.5 .5 1. 1e5 1.5E-3 1e",
            &[
                (Number, "1"),
                (Number, "1.5"),
                (Number, ".5"),
                (Number, "1."),
                (Number, "1e5"),
                (Number, "1.5E-3"),
                (Number, "1"),
                (Word, "e"),
            ],
        ),
        ("1..2", &[(Number, "1"), (Colon, ".."), (Number, "2")]),
        (
            "0xFf 0b12 1_000 1__0",
            &[
                (Number, "0xFf"),
                (Number, "0b1"),
                (Number, "2"),
                (Number, "1_000"),
                (Number, "1"),
                (Word, "__0"),
            ],
        ),
        ("1E'\\';'", &[(Number, "1"), (EscapeText, "E'\\';'")]),
        (
            "$1 $a$x$a$ $$y$$ a$$",
            &[
                (Param, "$1"),
                (Text, "$a$x$a$"),
                (Text, "$$y$$"),
                (Word, "a$$"),
            ],
        ),
        ("$a$ $b$ $a$", &[(Text, "$a$ $b$ $a$")]),
        ("$a$ open $A$", &[(Bad, "$a$ open $A$")]),
        ("$a b", &[(Bad, "$"), (Word, "a"), (Word, "b")]),
        (
            "B'1' x'f' n'a' U&'b' e'c' u&\"d\"",
            &[
                (Text, "B'1'"),
                (Text, "x'f'"),
                (Text, "n'a'"),
                (Text, "U&'b'"),
                (EscapeText, "e'c'"),
                (UnicodeQuoted, "u&\"d\""),
            ],
        ),
        (
            "ee'c' u & 'b'",
            &[
                (Word, "ee"),
                (Text, "'c'"),
                (Word, "u"),
                (Operator, "&"),
                (Text, "'b'"),
            ],
        ),
        ("'a''b' 'c\\'", &[(Text, "'a''b'"), (Text, "'c\\'")]),
        (
            "E'a\\'b' E'\\\\' E'\\",
            &[
                (EscapeText, "E'a\\'b'"),
                (EscapeText, "E'\\\\'"),
                (Bad, "E'\\"),
            ],
        ),
        (
            "'a'\n'b' 'c' 'd'",
            &[(Text, "'a'\n'b'"), (Text, "'c'"), (Text, "'d'")],
        ),
        (
            "E'a' -- x\n\t'\\'' 1",
            &[(EscapeText, "E'a' -- x\n\t'\\''"), (Number, "1")],
        ),
        ("'a' /* x */\n'b'", &[(Text, "'a'"), (Text, "'b'")]),
        ("'a' -- x", &[(Text, "'a'")]),
        ("\"a\"\"b\"\"", &[(Bad, "\"a\"\"b\"\"")]),
        (
            "a--b\rc/*d/*e*/f*/g",
            &[(Word, "a"), (Word, "c"), (Word, "g")],
        ),
        ("1<--2\n3", &[(Number, "1"), (Operator, "<"), (Number, "3")]),
        ("1*/*2*/3", &[(Number, "1"), (Operator, "*"), (Number, "3")]),
        (
            "2*-3 @- 4 <=-5",
            &[
                (Number, "2"),
                (Operator, "*"),
                (Operator, "-"),
                (Number, "3"),
                (Operator, "@-"),
                (Number, "4"),
                (Operator, "<="),
                (Operator, "-"),
                (Number, "5"),
            ],
        ),
        (
            "a::b[1:2]",
            &[
                (Word, "a"),
                (Cast, "::"),
                (Word, "b"),
                (OpenBracket, "["),
                (Number, "1"),
                (Colon, ":"),
                (Number, "2"),
                (CloseBracket, "]"),
            ],
        ),
        ("{ \\ }", &[(Bad, "{"), (Bad, "\\"), (Bad, "}")]),
        ("/*", &[(Bad, "/*")]),
        ("a /* /* */", &[(Word, "a"), (Bad, "/* /* */")]),
        ("a\0b", &[(Word, "a"), (Bad, "\0"), (Word, "b")]),
    ];
    for (text, expected) in cases {
        assert_eq!(lexemes(text), *expected, "{text}");
    }
}

#[test]
fn only_texts_with_two_readings_are_ambiguous() {
    let cases = [
        (r"select 'a\b', 'c'", false),
        (r"select 'a\\'", false),
        (r"select 'C:\'", false),
        (r"select '\', 'x'", false),
        (r"select E'\''", false),
        (r"select '\'', 1 --'", true),
        (r"select '\' or a = ' or 1=1 --'", true),
        (r"select '\'; delete from t; --'", true),
        (r"select U&'\0041' '\' , '", false),
    ];
    for (text, expected) in cases {
        assert_eq!(is_ambiguous(text), expected, "{text}");
    }
}

/// Pieces that texts of two readings, open strings and odd nesting are made of.
pub(crate) fn soup() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "'",
        "''",
        "\"",
        "\\",
        "$$",
        "$a$",
        "$1",
        "E'",
        "U&'",
        "U&\"",
        "uescape",
        "--",
        "\n",
        "/*",
        "*/",
        ";",
        "(",
        ")",
        "[",
        "]",
        ",",
        ".",
        "::",
        ":",
        "=",
        "-",
        "*",
        " ",
        " ",
        " ",
        "a",
        "b1",
        "\u{e9}",
        "1",
        "1.5e",
        "0x",
        "select",
        "insert",
        "into",
        "update",
        "delete",
        "merge",
        "from",
        "with",
        "as",
        "materialized",
        "recursive",
        "values",
        "table",
        "create",
        "temp",
        "function",
        "begin",
        "atomic",
        "end",
        "case",
        "explain",
        "analyze",
        "prepare",
        "execute",
        "deallocate",
        "all",
        "copy",
        "to",
        "stdout",
        "program",
        "declare",
        "cursor",
        "for",
        "hold",
        "set",
        "local",
        "limit",
        "fetch",
        "first",
        "rows",
        "offset",
        "where",
        "union",
        "not",
        "join",
        "on",
        "set_config",
        "nextval",
        "pg_temp",
        "treat",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.join(""))
}

proptest! {
    #[test]
    fn tokens_go_forward_and_end(text in prop_oneof![any::<String>(), soup()]) {
        let mut lexer = Lexer::new(&text);
        let mut at = 0;
        loop {
            let token = lexer.token();
            prop_assert!(token.start >= at && token.end <= text.len());
            prop_assert!(text.get(token.start..token.end).is_some(), "on character boundaries");
            if token.lexeme == Lexeme::End {
                break;
            }
            prop_assert!(token.end > token.start);
            at = token.end;
        }
    }

    #[test]
    fn quoted_text_is_one_token(inner in prop_oneof![any::<String>(), soup()]) {
        let plain = format!("'{}'", inner.replace('\'', "''"));
        prop_assert_eq!(lexemes(&plain), vec![(Lexeme::Text, plain.as_str())]);
        let escaped = format!("E'{}'", inner.replace('\\', "\\\\").replace('\'', "\\'"));
        prop_assert_eq!(lexemes(&escaped), vec![(Lexeme::EscapeText, escaped.as_str())]);
        let name = format!("\"{}\"", inner.replace('"', "\"\""));
        prop_assert_eq!(lexemes(&name), vec![(Lexeme::Quoted, name.as_str())]);
        if !inner.contains("$x$") && !inner.ends_with("$x") {
            let dollar = format!("$x${inner}$x$");
            prop_assert_eq!(lexemes(&dollar), vec![(Lexeme::Text, dollar.as_str())]);
        }
        let comment = format!("/*{}*/ a", inner.replace(['*', '/'], ""));
        prop_assert_eq!(lexemes(&comment), vec![(Lexeme::Word, "a")]);
    }
}
