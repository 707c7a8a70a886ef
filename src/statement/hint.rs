//! Hints: words for the proxy in a comment before a statement's first word, `/* pgwarden: primary, team=billing */`.
//! Owns where they may stand and how they are written; what they mean is a policy's.

/// What a comment with hints begins with.
const MARK: &str = "pgwarden:";

/// Every hint of a text, in order, such as `primary` and `team=billing`. Whoever writes the text writes them: they are
/// wishes and never proof.
pub fn hints(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    let comments = std::iter::from_fn(move || {
        loop {
            rest = rest.trim_start();
            if let Some(line) = rest.strip_prefix("--") {
                rest = line.find(['\n', '\r']).map_or("", |end| &line[end..]);
                continue;
            }
            let (comment, behind) = block_comment(rest)?;
            rest = behind;
            return Some(comment);
        }
    });
    comments
        .filter_map(|comment| comment.trim_start().strip_prefix(MARK))
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .filter(|hint| !hint.is_empty())
}

/// What is within a comment that the text begins with, and what is behind it. Comments nest, as PostgreSQL's do.
fn block_comment(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix("/*")?;
    let bytes = inner.as_bytes();
    let (mut depth, mut at) = (1_u32, 0);
    loop {
        match bytes.get(at..at + 2)? {
            b"*/" if depth == 1 => return Some((&inner[..at], &inner[at + 2..])),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            b"/*" => (depth, at) = (depth + 1, at + 2),
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&str> {
        hints(text).collect()
    }

    #[test]
    fn hints_stand_before_the_first_word() {
        assert_eq!(found("/* pgwarden: primary */ SELECT 1"), ["primary"]);
        assert_eq!(
            found(" -- note\n/*pgwarden:a , b=c,*/ /* x */ /* pgwarden: d */SELECT 1"),
            ["a", "b=c", "d"]
        );
        for none in [
            "SELECT 1 /* pgwarden: primary */",
            "SELECT '/* pgwarden: primary */'",
            "/* primary */ SELECT 1",
            "/* not pgwarden: primary */ SELECT 1",
            "-- pgwarden: primary\nSELECT 1",
            "/* pgwarden: primary SELECT 1",
            "/* /* pgwarden: primary */ SELECT 1",
            "",
        ] {
            assert_eq!(found(none), Vec::<&str>::new(), "{none}");
        }
    }

    #[test]
    fn comments_nest() {
        assert_eq!(
            found("/* /* */ pgwarden: a */ SELECT 1"),
            Vec::<&str>::new()
        );
        assert_eq!(found("/* pgwarden: a /* b */ */ SELECT 1"), ["a /* b */"]);
        assert_eq!(found("/* é */ /* pgwarden: ü */"), ["ü"]);
    }
}
