//! `pgwarden why CODE`: what a diagnostic means, an example that causes it, and the cure. Owns how a page looks in a terminal; the
//! pages are the sections of `docs/codes.md`.

use super::output;
use crate::policy::nearest;
use std::process::ExitCode;

/// All pages, as they are read in a browser.
const PAGES: &str = include_str!("../../docs/codes.md");

/// `pgwarden why [CODE]`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A code such as P0207. Default: list them all.
    code: Option<String>,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let Some(asked) = &arguments.code else {
        let lines = pages().map(|page| format!("{}  {}\n", page.code, page.first_sentence()));
        output::print(&lines.collect::<String>());
        return ExitCode::SUCCESS;
    };
    let code = code(asked);
    match pages().find(|page| page.code == code) {
        Some(page) => {
            output::print(&page.shown());
            ExitCode::SUCCESS
        }
        None => {
            output::complain(&unknown(asked, &code));
            ExitCode::FAILURE
        }
    }
}

/// `P0207` for what people type: `p0207`, `0207`, `error[P0207]`.
fn code(asked: &str) -> String {
    let bare = match asked.split_once('[') {
        Some((_, rest)) => rest.trim_end_matches([']', ':']),
        None => asked,
    };
    let bare = bare.to_ascii_uppercase();
    match bare.parse::<u16>() {
        Ok(number) => format!("P{number:04}"),
        Err(_) => bare,
    }
}

fn unknown(asked: &str, code: &str) -> String {
    let mut said = format!("error: there is no diagnostic `{}`", asked.escape_debug());
    if let Some(near) = nearest(code, pages().map(|page| page.code)) {
        said.push_str(&format!("; did you mean `{near}`?"));
    }
    said.push_str("\n`pgwarden why` lists them all\n");
    said
}

/// One section.
#[derive(Clone, Copy)]
struct Page {
    code: &'static str,
    /// What follows the heading.
    text: &'static str,
}

fn pages() -> impl Iterator<Item = Page> {
    let sections = PAGES.split("\n## ").skip(1);
    sections.filter_map(|section| {
        let (code, text) = section.split_once('\n')?;
        let (code, text) = (code.trim(), text.trim());
        Some(Page { code, text })
    })
}

impl Page {
    fn first_sentence(self) -> String {
        let (paragraph, _) = self.text.split_once("\n\n").unwrap_or((self.text, ""));
        let paragraph = plain(&paragraph.replace('\n', " "));
        match paragraph.split_once(". ") {
            Some((first, _)) => format!("{first}."),
            None => paragraph,
        }
    }

    /// For a terminal: examples are set in, with the names of their files above them.
    fn shown(self) -> String {
        let mut shown = format!("{}\n\n", self.code);
        let mut within = false;
        for line in self.text.lines() {
            if let Some(fence) = line.strip_prefix("```") {
                within = !within;
                if let (true, Some((_, file))) = (within, fence.split_once(' ')) {
                    shown.push_str(&format!("  {file}\n"));
                }
            } else if line.is_empty() {
                shown.push('\n');
            } else if within {
                shown.push_str(&format!("    {line}\n"));
            } else {
                shown.push_str(&format!("{}\n", plain(line)));
            }
        }
        shown
    }
}

/// The text of a line without the targets of its links.
fn plain(line: &str) -> String {
    let mut plain = String::new();
    let mut rest = line;
    while let Some((before, link)) = rest.split_once('[') {
        let parts = link
            .split_once("](")
            .and_then(|(text, after)| Some((text, after.split_once(')')?.1)));
        plain.push_str(before);
        match parts {
            Some((text, after)) if !text.contains(']') => {
                plain.push_str(text);
                rest = after;
            }
            _ => {
                plain.push('[');
                rest = link;
            }
        }
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_understood_as_they_are_met() {
        for asked in ["P0207", "p0207", "207", "0207", "error[P0207]:"] {
            assert_eq!(code(asked), "P0207", "{asked}");
        }
        assert_eq!(
            unknown("P02O7", &code("P02O7")),
            "error: there is no diagnostic `P02O7`; did you mean `P0207`?\n`pgwarden why` lists them all\n"
        );
        assert!(!unknown("colour", "COLOUR").contains("did you mean"));
    }

    #[test]
    fn a_page_reads_well_in_a_terminal() {
        let page = Page {
            code: "P0000",
            text: "See [one](a.md#b), `x[0]` and\nmore. Then.\n\nWrong:\n\n```toml\n[a]\n```\n\n```toml b.toml\nb = 1\n\nc = 2\n```",
        };
        assert_eq!(page.first_sentence(), "See one, `x[0]` and more.");
        assert_eq!(
            page.shown(),
            "P0000\n\nSee one, `x[0]` and\nmore. Then.\n\nWrong:\n\n    [a]\n\n  b.toml\n    b = 1\n\n    c = 2\n"
        );
    }
}
