//! What a parsed statement names, and what its clauses are: tables, functions, columns, WHERE, LIMIT, WITH.
//! Owns the reading of the tree; the tree itself is `tree`.
//!
//! Every walk here is a loop over the flat tree: a deep statement cannot exhaust the stack.

use super::facts::Name;
use super::facts::Relations;
use super::kind::Kind;
use super::kind::KindSet;
use super::names;
use super::tree::SyntaxKind;
use super::tree::Tree;
use std::ops::Range;
use std::sync::Arc;

/// What only the tree tells.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Parsed {
    pub(crate) relations: Arc<Relations>,
    pub(crate) kinds: KindSet,
    pub(crate) has_where: bool,
    pub(crate) has_limit: bool,
    pub(crate) has_cte: bool,
}

/// Reads everything off the text's tree; `None` if there is none.
pub(crate) fn read(text: &str) -> Option<Parsed> {
    let tree = Tree::parse(text)?;
    let mut reader = Reader {
        tree: &tree,
        ctes: Vec::new(),
        found: Relations::default(),
    };
    reader.bind_ctes()?;
    reader.collect()?;
    let Reader {
        ctes, mut found, ..
    } = reader;
    found.tables.sort();
    found.tables.dedup();
    found.functions.sort();
    found.functions.dedup();
    found.columns.sort();
    found.columns.dedup();
    let main = main_query(&tree);
    Some(Parsed {
        relations: Arc::new(found),
        kinds: kinds(&tree),
        has_where: has_where(&tree, main),
        has_limit: main.is_some_and(|query| has_limit(&tree, query)),
        has_cte: !ctes.is_empty(),
    })
}

struct Reader<'t, 'a> {
    tree: &'t Tree<'a>,
    /// Each name a WITH defines, and the nodes that see it.
    ctes: Vec<(String, Range<usize>)>,
    found: Relations,
}

impl Reader<'_, '_> {
    /// A WITH's name is seen by its statement and by the definitions after it; by all of them if RECURSIVE.
    fn bind_ctes(&mut self) -> Option<()> {
        let tree = self.tree;
        for (clause, node) in tree.nodes().iter().enumerate() {
            if node.kind != SyntaxKind::WITH_CLAUSE {
                continue;
            }
            let mut statement = node.parent;
            // `WITH .. SELECT .. UNION SELECT ..`: the tree hangs the clause under the first SELECT.
            while tree.parent_kind(statement) == SyntaxKind::COMPOUND_SELECT
                && tree.children(tree.node(statement).parent).next() == Some(statement)
            {
                statement = tree.node(statement).parent;
            }
            let until = tree.node(statement).after;
            let recursive = tree.child(clause, SyntaxKind::RECURSIVE_KW).is_some();
            for table in tree.children(clause) {
                if tree.node(table).kind != SyntaxKind::WITH_TABLE {
                    continue;
                }
                let name = self.path(tree.child(table, SyntaxKind::CTE_NAME)?)?.pop()?;
                let from = if recursive {
                    clause
                } else {
                    tree.node(table).after
                };
                self.ctes.push((name, from..until));
            }
        }
        Some(())
    }

    fn collect(&mut self) -> Option<()> {
        let tree = self.tree;
        // Names before this node are those of a called function.
        let mut called = 0;
        for (index, node) in tree.nodes().iter().enumerate() {
            match node.kind {
                SyntaxKind::RELATION_NAME_REF
                | SyntaxKind::TABLE_NAME_REF
                | SyntaxKind::TABLE_NAME
                | SyntaxKind::VIEW_REF
                | SyntaxKind::VIEW
                | SyntaxKind::SEQUENCE_REF
                | SyntaxKind::SEQUENCE
                | SyntaxKind::REMOTE_TABLE_NAME_REF => self.table(index)?,
                SyntaxKind::SCHEMA_REF | SyntaxKind::SCHEMA => self.schema(index)?,
                SyntaxKind::FUNCTION_NAME_REF
                | SyntaxKind::FUNCTION_NAME
                | SyntaxKind::PROCEDURE_NAME_REF
                | SyntaxKind::PROCEDURE_NAME
                | SyntaxKind::ROUTINE_NAME_REF
                | SyntaxKind::AGGREGATE_NAME => {
                    let parts = self.path(index)?;
                    self.found.functions.extend(names::qualified(parts));
                }
                SyntaxKind::CALL_EXPR => called = called.max(self.call(index)?),
                SyntaxKind::CAST_EXPR if tree.child(index, SyntaxKind::TREAT_KW).is_some() => {
                    self.treat(index)?
                }
                SyntaxKind::NAME_REF if index >= called => self.column(index)?,
                SyntaxKind::COLUMN_NAME_REF | SyntaxKind::QUALIFIED_COLUMN_NAME_REF => {
                    let mut parts = self.path(index)?;
                    self.found.columns.extend(parts.pop().map(Arc::from));
                    // `COMMENT ON COLUMN t.a`.
                    self.found.tables.extend(names::qualified(parts));
                }
                SyntaxKind::STAR
                    if matches!(
                        tree.parent_kind(index),
                        SyntaxKind::TARGET | SyntaxKind::FIELD_EXPR
                    ) =>
                {
                    self.found.columns.push("*".into());
                }
                _ => {}
            }
        }
        Some(())
    }

    fn table(&mut self, index: usize) -> Option<()> {
        let name = names::qualified(self.path(index)?)?;
        let tree = self.tree;
        let parent = tree.node(index).parent;
        let reads = tree.node(parent).kind == SyntaxKind::RELATION_FROM_ITEM
            || (tree.node(parent).kind == SyntaxKind::RELATION_NAME
                && tree.parent_kind(parent) == SyntaxKind::TABLE);
        let is_cte =
            |(cte, seen): &(String, Range<usize>)| *cte == *name.name && seen.contains(&index);
        if !(reads && name.schema.is_none() && self.ctes.iter().any(is_cte)) {
            self.found.tables.push(name);
        }
        Some(())
    }

    /// A statement about a whole schema is about every table in it.
    fn schema(&mut self, index: usize) -> Option<()> {
        let schema = self.path(index)?.pop()?;
        self.found.tables.push(Name {
            schema: Some(schema.into()),
            name: "*".into(),
        });
        Some(())
    }

    /// Notes the function a call calls; gives the index after its name.
    fn call(&mut self, index: usize) -> Option<usize> {
        let tree = self.tree;
        let callee = tree.children(index).next()?;
        match tree.node(callee).kind {
            SyntaxKind::NAME_REF | SyntaxKind::FIELD_EXPR => {
                self.found
                    .functions
                    .extend(names::qualified(self.path(callee)?));
                Some(tree.node(callee).after)
            }
            // EXTRACT, TRIM and others with a grammar of their own.
            _ => {
                let (_, word) = tree.tokens(callee).next()?;
                self.found.functions.push(Name {
                    schema: None,
                    name: word.to_ascii_lowercase().into(),
                });
                Some(0)
            }
        }
    }

    /// `TREAT(x AS name)` calls `pg_catalog.name(x)`.
    fn treat(&mut self, index: usize) -> Option<()> {
        let path = self.tree.child(index, SyntaxKind::PATH_TYPE)?;
        let mut parts = self.path(self.tree.child(path, SyntaxKind::PATH_REF)?)?;
        self.found.functions.push(Name {
            schema: Some("pg_catalog".into()),
            name: parts.pop()?.into(),
        });
        Some(())
    }

    /// A name in an expression: a column, unless it qualifies one.
    fn column(&mut self, index: usize) -> Option<()> {
        let tree = self.tree;
        let parent = tree.node(index).parent;
        match tree.node(parent).kind {
            SyntaxKind::LOCKING_OF => return Some(()),
            SyntaxKind::FIELD_EXPR => {
                let qualifies = tree.children(parent).next() == Some(index);
                let base = tree.children(parent).next()?;
                let nested = tree.parent_kind(parent) == SyntaxKind::FIELD_EXPR
                    && tree.children(tree.node(parent).parent).next() == Some(parent);
                if qualifies || (nested && is_name(tree, base)) {
                    return Some(());
                }
                if !is_name(tree, base) {
                    // `(value).name` calls a function as well as it selects a field.
                    self.found
                        .functions
                        .extend(names::qualified(self.path(index)?));
                }
            }
            _ => {}
        }
        let name = self.path(index)?.pop();
        self.found.columns.extend(name.map(Arc::from));
        Some(())
    }

    /// The parts of a dotted name, without `*`.
    fn path(&self, index: usize) -> Option<Vec<String>> {
        let mut parts = Vec::new();
        let mut tokens = self.tree.tokens(index).peekable();
        while let Some((kind, written)) = tokens.next() {
            if matches!(
                kind,
                SyntaxKind::DOT | SyntaxKind::STAR | SyntaxKind::L_PAREN | SyntaxKind::R_PAREN
            ) {
                continue;
            }
            let mut escape = '\\';
            if matches!(tokens.peek(), Some((SyntaxKind::UESCAPE_KW, _))) {
                tokens.next();
                let (_, character) = tokens.next()?;
                escape = character
                    .strip_prefix('\'')?
                    .strip_suffix('\'')?
                    .chars()
                    .next()?;
            }
            parts.push(names::fold(written, escape)?);
        }
        Some(parts)
    }
}

/// Whether an expression is a name or a dotted name.
fn is_name(tree: &Tree<'_>, mut index: usize) -> bool {
    loop {
        match (tree.node(index).kind, tree.children(index).next()) {
            (SyntaxKind::NAME_REF, _) => return true,
            (SyntaxKind::FIELD_EXPR, Some(base)) => index = base,
            _ => return false,
        }
    }
}

/// The verbs of the tree, for the lexer's word to be checked against.
fn kinds(tree: &Tree<'_>) -> KindSet {
    let kind = |node: &super::tree::Node| match node.kind {
        SyntaxKind::SELECT | SyntaxKind::TABLE => Some(Kind::Select),
        SyntaxKind::INSERT => Some(Kind::Insert),
        SyntaxKind::UPDATE => Some(Kind::Update),
        SyntaxKind::DELETE => Some(Kind::Delete),
        SyntaxKind::MERGE => Some(Kind::Merge),
        SyntaxKind::SELECT_INTO => Some(Kind::Ddl),
        _ => None,
    };
    tree.nodes().iter().filter_map(kind).collect()
}

/// The outermost query of the statement, also inside EXPLAIN, PREPARE, DECLARE and COPY.
fn main_query(tree: &Tree<'_>) -> Option<usize> {
    let mut index = tree.children(0).find(|&child| !tree.node(child).is_token)?;
    loop {
        match tree.node(index).kind {
            SyntaxKind::SELECT
            | SyntaxKind::SELECT_INTO
            | SyntaxKind::COMPOUND_SELECT
            | SyntaxKind::PAREN_SELECT
            | SyntaxKind::TABLE
            | SyntaxKind::VALUES => return Some(index),
            SyntaxKind::EXPLAIN
            | SyntaxKind::PREPARE
            | SyntaxKind::DECLARE
            | SyntaxKind::COPY
            | SyntaxKind::COPY_QUERY => {
                index = tree.children(index).find(|&child| {
                    matches!(
                        tree.node(child).kind,
                        SyntaxKind::SELECT
                            | SyntaxKind::COMPOUND_SELECT
                            | SyntaxKind::PAREN_SELECT
                            | SyntaxKind::TABLE
                            | SyntaxKind::VALUES
                            | SyntaxKind::COPY_QUERY
                            | SyntaxKind::DECLARE
                    )
                })?;
            }
            _ => return None,
        }
    }
}

/// Every UPDATE and DELETE has a WHERE; where there is none of them, every SELECT of the outermost query has.
fn has_where(tree: &Tree<'_>, main: Option<usize>) -> bool {
    let has = |index: usize| {
        tree.child(index, SyntaxKind::WHERE_CLAUSE).is_some()
            || tree.child(index, SyntaxKind::WHERE_CURRENT_OF).is_some()
    };
    let mut writes = (0..tree.nodes().len())
        .filter(|&index| {
            matches!(
                tree.node(index).kind,
                SyntaxKind::UPDATE | SyntaxKind::DELETE
            )
        })
        .peekable();
    if writes.peek().is_some() {
        return writes.all(has);
    }
    let mut queries: Vec<usize> = main.into_iter().collect();
    while let Some(query) = queries.pop() {
        match tree.node(query).kind {
            SyntaxKind::COMPOUND_SELECT | SyntaxKind::PAREN_SELECT => {
                queries.extend(
                    tree.children(query)
                        .filter(|&child| is_query(tree.node(child).kind)),
                );
            }
            _ if !has(query) => return false,
            _ => {}
        }
    }
    true
}

fn is_query(kind: SyntaxKind) -> bool {
    matches!(
        kind,
        SyntaxKind::SELECT
            | SyntaxKind::SELECT_INTO
            | SyntaxKind::COMPOUND_SELECT
            | SyntaxKind::PAREN_SELECT
            | SyntaxKind::TABLE
            | SyntaxKind::VALUES
    )
}

/// LIMIT or FETCH FIRST with a number or a parameter: ALL, NULL and whatever an expression may come to do not limit.
fn has_limit(tree: &Tree<'_>, mut query: usize) -> bool {
    loop {
        let clause = tree
            .child(query, SyntaxKind::LIMIT_CLAUSE)
            .or_else(|| tree.child(query, SyntaxKind::FETCH_CLAUSE));
        if let Some(clause) = clause {
            return tree.tokens(clause).all(|(kind, _)| {
                !matches!(kind, SyntaxKind::ALL_KW | SyntaxKind::NULL_KW)
                    && (kind.is_keyword()
                        || matches!(kind, SyntaxKind::INT_NUMBER | SyntaxKind::POSITIONAL_PARAM))
            });
        }
        // The parentheses around a query may hold its limit.
        match tree
            .children(query)
            .find(|&child| is_query(tree.node(child).kind))
        {
            Some(inner) if tree.node(query).kind == SyntaxKind::PAREN_SELECT => query = inner,
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests;
