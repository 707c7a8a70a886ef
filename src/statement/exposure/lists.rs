//! Select lists and RETURNING: what stands alone in one, and whether what it gives keeps its name.

use super::Column;
use super::Output;
use super::Reader;
use super::Sources;
use crate::statement::tree::SyntaxKind;
use std::sync::Arc;

/// Where the columns of a list go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Goal {
    /// To the client.
    Out,
    /// To the query around it, under their names.
    Passed,
    /// Nowhere: only whether there are rows is asked.
    Exists,
    /// Into a value, or where they are compared or lose their names.
    Used,
}

impl Reader<'_, '_> {
    /// Reads every list, and accounts for what stands alone in one that keeps names.
    pub(super) fn lists(&mut self) -> Option<()> {
        let tree = self.tree;
        for (index, node) in tree.nodes().iter().enumerate() {
            match node.kind {
                SyntaxKind::TARGET_LIST => {
                    let clause = node.parent;
                    let block = tree.node(clause).parent;
                    let goal = match tree.node(clause).kind {
                        SyntaxKind::SELECT_CLAUSE | SyntaxKind::RETURNING_CLAUSE => {
                            self.goal(block)
                        }
                        _ => Goal::Used,
                    };
                    for item in tree.children(index) {
                        if tree.node(item).kind == SyntaxKind::TARGET {
                            self.item_of(item, block, goal)?;
                        }
                    }
                }
                SyntaxKind::TABLE => self.table_command(index)?,
                _ => (),
            }
        }
        Some(())
    }

    /// `TABLE t` is `SELECT * FROM t`.
    fn table_command(&mut self, index: usize) -> Option<()> {
        let Some(named) = self.tree.child(index, SyntaxKind::RELATION_NAME) else {
            return Some(());
        };
        let source = self.table(named, &[])?;
        self.settle(named);
        let sources = Sources::Of(vec![source]);
        let goal = self.goal(index);
        self.star(sources, goal);
        Some(())
    }

    fn item_of(&mut self, item: usize, block: usize, goal: Goal) -> Option<()> {
        let tree = self.tree;
        let value = tree.children(item).next()?;
        let label = match tree.child(item, SyntaxKind::AS_NAME) {
            Some(label) => Some(self.label(label)?),
            None => None,
        };
        match tree.node(value).kind {
            SyntaxKind::STAR => {
                let sources = self.sources_in(block);
                self.settle(value);
                self.star(sources, goal);
            }
            SyntaxKind::FIELD_EXPR if tree.child(value, SyntaxKind::STAR).is_some() => {
                let Some(mut parts) = self.chain(value)? else {
                    // `(row).*` is read as what it is: a use of the row.
                    if goal == Goal::Out {
                        self.found
                            .outputs
                            .push(Output::Star(Sources::Of(Vec::new())));
                    }
                    return Some(());
                };
                let sources = self.sources_of(&parts.pop()?);
                self.settle(value);
                self.star(sources, goal);
            }
            SyntaxKind::NAME_REF | SyntaxKind::FIELD_EXPR => match self.chain(value)? {
                Some(parts) => self.alone(value, parts, label, goal)?,
                None => self.expression(goal),
            },
            _ => self.expression(goal),
        }
        Some(())
    }

    fn expression(&mut self, goal: Goal) {
        if goal == Goal::Out {
            self.found.outputs.push(Output::Expression);
        }
    }

    /// A column that stands alone.
    fn alone(
        &mut self,
        value: usize,
        parts: Vec<Arc<str>>,
        label: Option<Arc<str>>,
        goal: Goal,
    ) -> Option<()> {
        let column = self.column(parts)?;
        let keeps_name = label.as_ref().is_none_or(|label| *label == column.name);
        match goal {
            Goal::Out => {
                let label = label.unwrap_or_else(|| Arc::clone(&column.name));
                self.found.outputs.push(Output::Column(column, label));
            }
            Goal::Passed if keeps_name => self.found.passed.push(column),
            Goal::Exists => (),
            // It is left for the names that are used.
            Goal::Passed | Goal::Used => return Some(()),
        }
        self.settle(value);
        Some(())
    }

    fn star(&mut self, sources: Sources, goal: Goal) {
        match goal {
            Goal::Out => self.found.outputs.push(Output::Star(sources)),
            Goal::Passed | Goal::Exists => (),
            Goal::Used => self.found.poured.push(sources),
        }
    }

    /// What `*` in a list of this query stands for.
    fn sources_in(&self, block: usize) -> Sources {
        let tree = self.tree;
        let range = match tree.child(block, SyntaxKind::FROM_CLAUSE) {
            Some(from) if tree.node(block).kind == SyntaxKind::SELECT => from,
            _ => block,
        };
        self.sources_within(range, tree.node(range).after)
    }

    fn label(&self, index: usize) -> Option<Arc<str>> {
        let mut within = index..self.tree.node(index).after;
        let token = within.find(|&at| {
            let node = self.tree.node(at);
            node.is_token && self.tree.node(node.parent).kind == SyntaxKind::COLUMN_NAME
        })?;
        self.name(token)
    }

    /// Where the list of a query goes.
    fn goal(&self, block: usize) -> Goal {
        let tree = self.tree;
        let is_distinct = tree
            .child(block, SyntaxKind::SELECT_CLAUSE)
            .is_some_and(|clause| tree.child(clause, SyntaxKind::DISTINCT_CLAUSE).is_some());
        if is_distinct {
            return Goal::Used;
        }
        let mut query = block;
        loop {
            if self.counts_columns(query) {
                return Goal::Used;
            }
            let parent = tree.node(query).parent;
            match tree.node(parent).kind {
                SyntaxKind::SOURCE_FILE | SyntaxKind::EXPLAIN => return Goal::Out,
                SyntaxKind::PAREN_SELECT => query = parent,
                SyntaxKind::WITH_TABLE | SyntaxKind::PAREN_FROM_ITEM => return Goal::Passed,
                SyntaxKind::EXISTS_FN => return Goal::Exists,
                _ => return Goal::Used,
            }
        }
    }

    /// Whether a query orders or groups by the number of a column. A parameter there is a constant, and tells nothing; it
    /// is taken for a number, so that statements which differ in literals only are read alike.
    fn counts_columns(&self, query: usize) -> bool {
        let tree = self.tree;
        let clauses = tree.children(query).filter(|&child| {
            matches!(
                tree.node(child).kind,
                SyntaxKind::ORDER_BY_CLAUSE | SyntaxKind::GROUP_BY_CLAUSE
            )
        });
        clauses.into_iter().any(|clause| {
            let mut within = clause..tree.node(clause).after;
            within.any(|at| tree.node(at).kind == SyntaxKind::LITERAL && self.is_number(at, clause))
        })
    }

    /// Whether nothing but parentheses and lists stands between a literal and its clause.
    fn is_number(&self, literal: usize, clause: usize) -> bool {
        let mut at = self.tree.node(literal).parent;
        while at != clause {
            let is_operand = matches!(
                self.tree.node(at).kind,
                SyntaxKind::BIN_EXPR
                    | SyntaxKind::CALL_EXPR
                    | SyntaxKind::CASE_EXPR
                    | SyntaxKind::CAST_EXPR
                    | SyntaxKind::BETWEEN_EXPR
                    | SyntaxKind::ARRAY_EXPR
                    | SyntaxKind::INDEX_EXPR
                    | SyntaxKind::SELECT
            );
            if is_operand {
                return false;
            }
            at = self.tree.node(at).parent;
        }
        true
    }
}

impl Column {
    /// Whether a table is written before it.
    #[must_use]
    pub fn is_qualified(&self) -> bool {
        self.sources != Sources::Unqualified
    }
}
