//! Tests of `lexer`: what is what, and that no text makes it fail or lose a byte.

use super::*;
use proptest::collection::vec;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::prop_oneof;
use proptest::proptest;
use proptest::sample::select;

const WORD: Lexeme = Lexeme::Word;
const NUMBER: Lexeme = Lexeme::Number;
const TEXT: Lexeme = Lexeme::Text;
const ESCAPED: Lexeme = Lexeme::EscapeText;
const SIGN: Lexeme = Lexeme::Operator;
const BAD: Lexeme = Lexeme::Bad;

const TOKENS: &[(&str, &[(Lexeme, &str)])] = &[
    ("a_1$ \u{e9}", &[(WORD, "a_1$"), (WORD, "\u{e9}")]),
    (
        "1 1.5 .5 1. 1e5 1.5E-3 1e",
        &[
            (NUMBER, "1"),
            (NUMBER, "1.5"),
            (NUMBER, ".5"),
            (NUMBER, "1."),
            (NUMBER, "1e5"),
            (NUMBER, "1.5E-3"),
            (NUMBER, "1"),
            (WORD, "e"),
        ],
    ),
    (
        "1..2",
        &[(NUMBER, "1"), (Lexeme::Colon, ".."), (NUMBER, "2")],
    ),
    (
        "0xFf 0b12 1_000 1__0",
        &[
            (NUMBER, "0xFf"),
            (NUMBER, "0b1"),
            (NUMBER, "2"),
            (NUMBER, "1_000"),
            (NUMBER, "1"),
            (WORD, "__0"),
        ],
    ),
    ("1E'\\';'", &[(NUMBER, "1"), (ESCAPED, "E'\\';'")]),
    (
        "$1 $a$x$a$ $$y$$ a$$",
        &[
            (Lexeme::Param, "$1"),
            (TEXT, "$a$x$a$"),
            (TEXT, "$$y$$"),
            (WORD, "a$$"),
        ],
    ),
    ("$a$ $b$ $a$", &[(TEXT, "$a$ $b$ $a$")]),
    ("$a$ open $A$", &[(BAD, "$a$ open $A$")]),
    ("$a b", &[(BAD, "$"), (WORD, "a"), (WORD, "b")]),
    (
        "B'1' x'f' n'a' U&'b' e'c' u&\"d\"",
        &[
            (TEXT, "B'1'"),
            (TEXT, "x'f'"),
            (TEXT, "n'a'"),
            (TEXT, "U&'b'"),
            (ESCAPED, "e'c'"),
            (Lexeme::UnicodeQuoted, "u&\"d\""),
        ],
    ),
    (
        "ee'c' u & 'b'",
        &[
            (WORD, "ee"),
            (TEXT, "'c'"),
            (WORD, "u"),
            (SIGN, "&"),
            (TEXT, "'b'"),
        ],
    ),
    ("'a''b' 'c\\'", &[(TEXT, "'a''b'"), (TEXT, "'c\\'")]),
    (
        "E'a\\'b' E'\\\\' E'\\",
        &[(ESCAPED, "E'a\\'b'"), (ESCAPED, "E'\\\\'"), (BAD, "E'\\")],
    ),
    (
        "'a'\n'b' 'c' 'd'",
        &[(TEXT, "'a'\n'b'"), (TEXT, "'c'"), (TEXT, "'d'")],
    ),
    (
        "E'a' -- x\n\t'\\'' 1",
        &[(ESCAPED, "E'a' -- x\n\t'\\''"), (NUMBER, "1")],
    ),
    ("'a' /* x */\n'b'", &[(TEXT, "'a'"), (TEXT, "'b'")]),
    ("'a' -- x", &[(TEXT, "'a'")]),
    ("\"a\"\"b\"\"", &[(BAD, "\"a\"\"b\"\"")]),
    (
        "a--b\rc/*d/*e*/f*/g",
        &[(WORD, "a"), (WORD, "c"), (WORD, "g")],
    ),
    ("1<--2\n3", &[(NUMBER, "1"), (SIGN, "<"), (NUMBER, "3")]),
    ("1*/*2*/3", &[(NUMBER, "1"), (SIGN, "*"), (NUMBER, "3")]),
    (
        "2*-3 @- 4 <=-5",
        &[
            (NUMBER, "2"),
            (SIGN, "*"),
            (SIGN, "-"),
            (NUMBER, "3"),
            (SIGN, "@-"),
            (NUMBER, "4"),
            (SIGN, "<="),
            (SIGN, "-"),
            (NUMBER, "5"),
        ],
    ),
    (
        "a::b[1:2]",
        &[
            (WORD, "a"),
            (Lexeme::Cast, "::"),
            (WORD, "b"),
            (Lexeme::OpenBracket, "["),
            (NUMBER, "1"),
            (Lexeme::Colon, ":"),
            (NUMBER, "2"),
            (Lexeme::CloseBracket, "]"),
        ],
    ),
    ("{ \\ }", &[(BAD, "{"), (BAD, "\\"), (BAD, "}")]),
    ("/*", &[(BAD, "/*")]),
    ("a /* /* */", &[(WORD, "a"), (BAD, "/* /* */")]),
    ("a\0b", &[(WORD, "a"), (BAD, "\0"), (WORD, "b")]),
];

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
    for (text, expected) in TOKENS {
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

const PIECES: &[&str] = &[
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
];

/// Pieces that texts of two readings, open strings and odd nesting are made of.
pub(crate) fn soup() -> impl Strategy<Value = String> {
    let piece = select(PIECES);
    (vec(piece, 0..40), select(&["", " "][..])).prop_map(|(pieces, between)| pieces.join(between))
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
