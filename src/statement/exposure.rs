//! Where the values of columns go in one statement: out, as they are and under which name, or into something that could tell
//! them otherwise. Owns the reading of the tree for that; which columns are secret is a policy's.
//!
//! Nothing is listed as harmless but what is known to be: a name that stands anywhere else counts as a use of the column.

mod lists;
mod sources;

use super::facts::Name;
use super::names;
use super::tree::SyntaxKind;
use super::tree::Tree;
use sources::Binding;
use std::sync::Arc;

/// Where the values of a statement's columns go.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Exposure {
    /// What kind of statement it is.
    pub form: Form,
    /// The outermost select list, or RETURNING, left to right.
    pub outputs: Vec<Output>,
    /// Columns that stand alone in the list of a subquery in FROM or of a WITH, where they keep their name.
    pub passed: Vec<Column>,
    /// Columns anywhere else: conditions, expressions, orders, lists of which the names are lost.
    pub used: Vec<Column>,
    /// `*` where the columns go into a value, or lose their names.
    pub poured: Vec<Sources>,
    /// What a name in FROM stands for: alone, it is the whole row.
    pub rows: Vec<(Arc<str>, Source)>,
    /// Something that compares or renames columns without naming them.
    pub obstacle: Option<Obstacle>,
}

/// What kind of statement it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Form {
    /// SELECT, INSERT, UPDATE, DELETE and their like, also under EXPLAIN, DECLARE and COPY.
    Query,
    /// It names tables and shows nothing of them: TRUNCATE, LOCK, VACUUM, ANALYZE, COPY FROM, or nothing at all.
    Silent,
    /// Anything else.
    #[default]
    Other,
}

/// One item of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// A column that stands alone, and the name it goes out under.
    Column(Column, Arc<str>),
    /// `*` or `t.*`.
    Star(Sources),
    /// An expression; what it is made of is in [`Exposure::used`].
    Expression,
}

/// A column as it is written.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Column {
    /// Its last part.
    pub name: Arc<str>,
    /// What the part before it stands for.
    pub sources: Sources,
}

/// Where a column may come from.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Sources {
    /// No table is written.
    Unqualified,
    /// What that name stands for anywhere in the statement; empty where it stands for nothing that was seen.
    Of(Vec<Source>),
}

/// What a name in FROM stands for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Source {
    /// A table or view.
    Table(Name),
    /// What a function returns.
    Function,
    /// A subquery, a WITH, a join, or a row of the statement itself (`excluded`, `old`, `new`).
    Other,
}

/// What compares or renames columns without naming them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Obstacle {
    /// NATURAL JOIN.
    Natural,
    /// `AS t (a, b)`.
    Renamed,
    /// ON CONFLICT ON CONSTRAINT .. DO UPDATE.
    Constraint,
}

impl Exposure {
    /// Reads one statement; `None` where the parser cannot.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let tree = Tree::parse(text)?;
        let form = form(&tree);
        if form != Form::Query {
            return Some(Self {
                form,
                ..Self::default()
            });
        }
        let mut reader = Reader {
            tree: &tree,
            settled: vec![false; tree.nodes().len()],
            bindings: Vec::new(),
            found: Self {
                form,
                ..Self::default()
            },
        };
        reader.bind()?;
        reader.lists()?;
        reader.names()?;
        Some(reader.finish())
    }
}

/// What the statement is, by its outermost verb.
fn form(tree: &Tree<'_>) -> Form {
    let stores = |kind| matches!(kind, SyntaxKind::MERGE | SyntaxKind::SELECT_INTO);
    if tree.nodes().iter().any(|node| stores(node.kind)) {
        return Form::Other;
    }
    let mut parent = 0;
    loop {
        let mut children = tree.children(parent);
        let verb = children.find(|&child| {
            let node = tree.node(child);
            !node.is_token
                && !matches!(
                    node.kind,
                    SyntaxKind::EXPLAIN_OPTION_LIST
                        | SyntaxKind::EXPLAIN_ANALYZE
                        | SyntaxKind::EXPLAIN_VERBOSE
                )
        });
        let Some(verb) = verb else {
            return if parent == 0 {
                Form::Silent
            } else {
                Form::Other
            };
        };
        return match tree.node(verb).kind {
            SyntaxKind::EXPLAIN => {
                parent = verb;
                continue;
            }
            SyntaxKind::SELECT
            | SyntaxKind::PAREN_SELECT
            | SyntaxKind::COMPOUND_SELECT
            | SyntaxKind::TABLE
            | SyntaxKind::VALUES
            | SyntaxKind::INSERT
            | SyntaxKind::UPDATE
            | SyntaxKind::DELETE
            | SyntaxKind::DECLARE => Form::Query,
            SyntaxKind::COPY if tree.child(verb, SyntaxKind::COPY_QUERY).is_some() => Form::Query,
            SyntaxKind::COPY if tree.child(verb, SyntaxKind::COPY_FROM).is_some() => Form::Silent,
            SyntaxKind::TRUNCATE
            | SyntaxKind::LOCK
            | SyntaxKind::VACUUM
            | SyntaxKind::ANALYZE
            | SyntaxKind::EMPTY_STMT => Form::Silent,
            _ => Form::Other,
        };
    }
}

struct Reader<'t, 'a> {
    tree: &'t Tree<'a>,
    /// The nodes whose names are accounted for.
    settled: Vec<bool>,
    bindings: Vec<Binding>,
    found: Exposure,
}

impl Reader<'_, '_> {
    fn settle(&mut self, index: usize) {
        let after = self.tree.node(index).after;
        self.settled[index..after].fill(true);
    }

    /// Every name that nothing has accounted for is a column that is used.
    fn names(&mut self) -> Option<()> {
        let tree = self.tree;
        for (index, node) in tree.nodes().iter().enumerate() {
            if self.settled[index] {
                continue;
            }
            match node.kind {
                SyntaxKind::NATURAL_KW => self.found.obstacle = Some(Obstacle::Natural),
                SyntaxKind::FIELD_EXPR => self.field(index)?,
                _ if node.is_token && self.is_name(index) => {
                    let name = self.name(index)?;
                    self.found.used.push(Column {
                        name,
                        sources: Sources::Unqualified,
                    });
                }
                _ => (),
            }
        }
        Some(())
    }

    /// A dotted name in an expression, or `t.*`.
    fn field(&mut self, index: usize) -> Option<()> {
        let is_star = self.tree.child(index, SyntaxKind::STAR).is_some();
        match self.chain(index)? {
            Some(mut parts) if is_star => {
                let sources = self.sources_of(&parts.pop()?);
                self.found.poured.push(sources);
                self.settle(index);
            }
            None if is_star => self.found.poured.push(Sources::Of(Vec::new())),
            Some(parts) => {
                let column = self.column(parts)?;
                self.found.used.push(column);
                self.settle(index);
            }
            // What is selected from stands inside, and the last name is a function as well as a field.
            None => (),
        }
        Some(())
    }

    /// The parts of `a`, `a.b` or `a.b.*` without the star; `None` inside where it is no such thing.
    fn chain(&self, index: usize) -> Option<Option<Vec<Arc<str>>>> {
        let tree = self.tree;
        let mut parts = Vec::new();
        for at in index..tree.node(index).after {
            let node = tree.node(at);
            match node.kind {
                SyntaxKind::FIELD_EXPR | SyntaxKind::NAME_REF | SyntaxKind::DOT => (),
                SyntaxKind::STAR if node.parent == index => (),
                SyntaxKind::UESCAPE_KW => (),
                SyntaxKind::STRING if tree.child(node.parent, SyntaxKind::UESCAPE_KW).is_some() => {
                }
                _ if node.is_token && tree.node(node.parent).kind == SyntaxKind::NAME_REF => {
                    parts.push(self.name(at)?);
                }
                _ => return Some(None),
            }
        }
        Some((!parts.is_empty()).then_some(parts))
    }

    /// A column from the parts of its name.
    fn column(&self, mut parts: Vec<Arc<str>>) -> Option<Column> {
        let name = parts.pop()?;
        let sources = match parts.pop() {
            Some(qualifier) => self.sources_of(&qualifier),
            None => Sources::Unqualified,
        };
        Some(Column { name, sources })
    }

    /// Whether a token is a name: an identifier, or a keyword that a node holds alone, as it does where it serves as one.
    fn is_name(&self, index: usize) -> bool {
        let node = self.tree.node(index);
        if node.kind == SyntaxKind::IDENT {
            return true;
        }
        let parent = self.tree.node(node.parent);
        node.kind.is_keyword()
            && parent.kind != SyntaxKind::LITERAL
            && parent.after - node.parent == 2
    }

    /// The name that a token writes.
    fn name(&self, index: usize) -> Option<Arc<str>> {
        let tree = self.tree;
        let (_, written) = tree.tokens(index).next()?;
        let parent = tree.node(index).parent;
        let mut escape = '\\';
        if tree.child(parent, SyntaxKind::UESCAPE_KW).is_some() {
            let (_, character) = tree.tokens(parent).last()?;
            let mut inside = character.strip_prefix('\'')?.chars();
            escape = inside.next()?;
        }
        Some(names::fold(written, escape)?.into())
    }

    fn finish(self) -> Exposure {
        let mut found = self.found;
        let named = |binding: Binding| Some((binding.name?, binding.source));
        found.rows = self.bindings.into_iter().filter_map(named).collect();
        found.rows.sort();
        found.rows.dedup();
        found.used.sort();
        found.used.dedup();
        found.passed.sort();
        found.passed.dedup();
        found.poured.sort();
        found.poured.dedup();
        found
    }
}

#[cfg(test)]
mod tests;
