//! What stands where: tables and keys in the order of the language, comments with what they are about. Owns no column and no bracket.
//!
//! What is set apart stays apart: a table is sorted only among those of its section, a key only among those it touches.

use super::super::keys::Kind;
use super::super::keys::Noun;
use super::super::keys::ROOT;
use super::read::Header;
use super::read::Line;
use super::read::Pair;
use super::read::Value;

/// Lines that are a comment, or blank.
pub(super) type Remarks<'t> = Vec<Option<&'t str>>;

/// A whole file.
#[derive(Debug)]
pub(super) struct Page<'t> {
    /// What stands above the first key.
    pub(super) head: Remarks<'t>,
    pub(super) root: Vec<Group<'t>>,
    pub(super) sections: Vec<Section<'t>>,
    /// What stands below everything.
    pub(super) tail: Remarks<'t>,
}

/// The tables below a line of dashes.
#[derive(Debug, Default)]
pub(super) struct Section<'t> {
    pub(super) lead: Remarks<'t>,
    pub(super) blocks: Vec<Block<'t>>,
}

/// One table.
#[derive(Debug)]
pub(super) struct Block<'t> {
    pub(super) lead: Remarks<'t>,
    pub(super) header: Header<'t>,
    pub(super) groups: Vec<Group<'t>>,
    /// No blank line stands above it.
    pub(super) is_joined: bool,
}

/// Keys with no blank line between them.
#[derive(Debug, Default)]
pub(super) struct Group<'t> {
    pub(super) entries: Vec<Entry<'t>>,
    /// Comments below the last of them.
    pub(super) below: Vec<&'t str>,
}

/// A key with the comments above it.
#[derive(Debug)]
pub(super) struct Entry<'t> {
    pub(super) above: Vec<&'t str>,
    pub(super) pair: Pair<'t>,
}

/// Puts the lines of a file in order.
pub(super) fn page(lines: Vec<Line<'_>>) -> Page<'_> {
    let mut parts = parts(lines).into_iter();
    let (_, mut top) = parts.next().unwrap_or_default();
    let mut parts = parts.peekable();
    let first_pair = top.iter().position(|line| matches!(line, Line::Pair(_)));
    let rest = top.split_off(first_pair.unwrap_or(0));
    let head = top.iter().map(remark).collect();
    let (mut root, mut left) = match first_pair {
        // Without a key above the first header, all of it is about what follows, or about nothing.
        None => (Vec::new(), rest.iter().map(remark).collect()),
        Some(_) => body(rest, parts.peek().is_some()),
    };
    sort(&mut root, Some(&ROOT));
    let mut sections = vec![Section::default()];
    while let Some((header, lines)) = parts.next() {
        let Some(header) = header else { continue };
        let is_joined = left.is_empty();
        let (mut groups, next_left) = body(lines, parts.peek().is_some());
        sort(&mut groups, noun_of(&header.path));
        let mut lead = std::mem::replace(&mut left, next_left);
        if let Some(end) = lead.iter().rposition(|line| line.is_some_and(is_banner)) {
            let mut rest = lead.split_off(end + 1);
            if let Some(None) = rest.first() {
                lead.push(rest.remove(0));
            }
            let section = Section {
                lead: std::mem::replace(&mut lead, rest),
                blocks: Vec::new(),
            };
            sections.push(section);
        }
        if let Some(section) = sections.last_mut() {
            section.blocks.push(Block {
                lead,
                header,
                groups,
                is_joined,
            });
        }
    }
    for section in &mut sections {
        section
            .blocks
            .sort_by_key(|block| place(&ROOT, block.header.path.first().copied().unwrap_or("")));
    }
    Page {
        head,
        root,
        sections,
        tail: left,
    }
}

/// The lines above the first header, and those from each to the next.
fn parts(lines: Vec<Line<'_>>) -> Vec<(Option<Header<'_>>, Vec<Line<'_>>)> {
    let mut parts = vec![(None, Vec::new())];
    for line in lines {
        match line {
            Line::Header(header) => parts.push((Some(header), Vec::new())),
            line => {
                if let Some((_, lines)) = parts.last_mut() {
                    lines.push(line);
                }
            }
        }
    }
    parts
}

/// The keys of a table, and the remarks below them that are about what follows.
fn body(mut lines: Vec<Line<'_>>, is_followed: bool) -> (Vec<Group<'_>>, Remarks<'_>) {
    let last = lines.iter().rposition(|line| matches!(line, Line::Pair(_)));
    let behind = last.map_or(0, |last| last + 1);
    let mut below = lines.split_off(behind);
    let blank = below.iter().position(|line| match line {
        Line::Comment(comment) => is_banner(comment),
        _ => true,
    });
    // What touches the next header is about that, what touches the last key is about this table.
    let own = match blank {
        Some(blank) => blank,
        None if is_followed => 0,
        None => below.len(),
    };
    let left = below.split_off(own);
    lines.append(&mut below);
    let mut groups = vec![Group::default()];
    let mut above = Vec::new();
    for line in lines {
        let Some(group) = groups.last_mut() else {
            continue;
        };
        match line {
            Line::Comment(comment) => above.push(comment),
            Line::Pair(pair) => {
                let above = std::mem::take(&mut above);
                group.entries.push(Entry { above, pair });
            }
            Line::Blank | Line::Header(_) => {
                group.below = std::mem::take(&mut above);
                groups.push(Group::default());
            }
        }
    }
    if let Some(group) = groups.last_mut() {
        group.below = above;
    }
    groups.retain(|group| !group.entries.is_empty() || !group.below.is_empty());
    (groups, left.iter().map(remark).collect())
}

fn remark<'t>(line: &Line<'t>) -> Option<&'t str> {
    match line {
        Line::Comment(comment) => Some(comment),
        _ => None,
    }
}

/// `# ------- users`.
fn is_banner(comment: &str) -> bool {
    const RULES: [&str; 4] = ["---", "===", "***", "###"];
    let text = comment.trim_start_matches('#').trim_start();
    RULES.iter().any(|rule| text.starts_with(rule)) || comment.starts_with("####")
}

/// Sorts the keys of each group. Texts of several lines come last, where they hide no other key.
fn sort(groups: &mut [Group<'_>], noun: Option<&'static Noun>) {
    let Some(noun) = noun else { return };
    for group in groups {
        group.entries.sort_by_key(|entry| {
            let is_long = matches!(entry.pair.value, Value::Plain(raw) if raw.contains('\n'));
            (is_long, place(noun, entry.pair.first))
        });
    }
}

/// Where a key stands in its table; behind all others if nobody knows it.
fn place(noun: &Noun, key: &str) -> usize {
    let known = noun.keys.iter().position(|known| known.name == key);
    known.unwrap_or(noun.keys.len())
}

/// The table a header opens, where the language fixes its keys.
fn noun_of(path: &[&str]) -> Option<&'static Noun> {
    let mut noun = &ROOT;
    let mut path = path.iter();
    while let Some(part) = path.next() {
        let mut kind = noun.key(part)?.kind;
        noun = loop {
            match kind {
                Kind::Named(inner) => {
                    path.next()?;
                    kind = *inner;
                }
                Kind::Several(inner) => kind = *inner,
                Kind::Table(inner) | Kind::Short(inner) | Kind::Tables(inner) => break inner,
                _ => return None,
            }
        };
    }
    Some(noun)
}
