//! What the names in FROM, WITH and the targets of INSERT, UPDATE and DELETE stand for. Scopes are not followed: a name stands
//! for whatever it stands for anywhere in the statement.

use super::Obstacle;
use super::Reader;
use super::Source;
use super::Sources;
use crate::statement::names;
use crate::statement::tree::SyntaxKind;
use std::sync::Arc;

/// A name in FROM.
#[derive(Clone, Debug)]
pub(super) struct Binding {
    /// The node it belongs to.
    pub(super) at: usize,
    /// `None` where it has no name.
    pub(super) name: Option<Arc<str>>,
    pub(super) source: Source,
}

impl Reader<'_, '_> {
    /// Finds what every name stands for, and accounts for those that only name.
    pub(super) fn bind(&mut self) -> Option<()> {
        let tree = self.tree;
        let mut ctes = Vec::new();
        for (index, node) in tree.nodes().iter().enumerate() {
            if node.kind == SyntaxKind::WITH_TABLE {
                let name = tree.child(index, SyntaxKind::CTE_NAME)?;
                ctes.push(self.only_name(name)?);
                self.settle(name);
                self.renames(index, index);
            }
        }
        for (index, node) in tree.nodes().iter().enumerate() {
            match node.kind {
                SyntaxKind::RELATION_FROM_ITEM => self.relation(index, &ctes)?,
                SyntaxKind::PAREN_FROM_ITEM => self.item(index, Source::Other)?,
                SyntaxKind::FUNCTION_FROM_ITEM
                | SyntaxKind::ROWS_FROM_ITEM
                | SyntaxKind::XML_TABLE_FROM_ITEM
                | SyntaxKind::JSON_TABLE_FROM_ITEM => self.item(index, Source::Function)?,
                SyntaxKind::INSERT | SyntaxKind::UPDATE | SyntaxKind::DELETE => {
                    self.target(index)?
                }
                SyntaxKind::JOIN_USING_CLAUSE
                | SyntaxKind::RETURNING_OLD
                | SyntaxKind::RETURNING_NEW => {
                    if let Some(name) = self.alias(index)? {
                        self.push(index, Some(name), Source::Other);
                    }
                }
                SyntaxKind::COLUMN_TARGET => {
                    if let Some(name) = tree.child(index, SyntaxKind::COLUMN_NAME_REF) {
                        self.settle(name);
                    }
                }
                SyntaxKind::LOCKING_OF | SyntaxKind::AS_NAME | SyntaxKind::CURSOR => {
                    self.settle(index)
                }
                SyntaxKind::CONFLICT_ON_CONSTRAINT => {
                    let clause = node.parent;
                    if tree
                        .child(clause, SyntaxKind::CONFLICT_DO_UPDATE_SET)
                        .is_some()
                    {
                        self.found.obstacle = Some(Obstacle::Constraint);
                    }
                    self.settle(index);
                }
                _ => (),
            }
        }
        Some(())
    }

    /// Whatever a qualifier stands for.
    pub(super) fn sources_of(&self, qualifier: &str) -> Sources {
        let named = self
            .bindings
            .iter()
            .filter(|binding| binding.name.as_deref() == Some(qualifier));
        Sources::Of(named.map(|binding| binding.source.clone()).collect())
    }

    /// Everything in FROM between two nodes, what stands in subqueries included.
    pub(super) fn sources_within(&self, from: usize, until: usize) -> Sources {
        let within = self
            .bindings
            .iter()
            .filter(|binding| (from..until).contains(&binding.at));
        Sources::Of(within.map(|binding| binding.source.clone()).collect())
    }

    /// The table behind a node that names one: what a WITH defines is none.
    pub(super) fn table(&self, index: usize, ctes: &[Arc<str>]) -> Option<Source> {
        let mut parts = Vec::new();
        for at in index..self.tree.node(index).after {
            if self.tree.node(at).is_token && self.is_name(at) {
                parts.push(self.name(at)?.to_string());
            }
        }
        let name = names::qualified(parts)?;
        let is_cte = name.schema.is_none() && ctes.contains(&name.name);
        Some(if is_cte {
            Source::Other
        } else {
            Source::Table(name)
        })
    }

    pub(super) fn push(&mut self, at: usize, name: Option<Arc<str>>, source: Source) {
        self.bindings.push(Binding { at, name, source });
    }

    fn relation(&mut self, index: usize, ctes: &[Arc<str>]) -> Option<()> {
        let named = self.tree.child(index, SyntaxKind::RELATION_NAME_REF)?;
        let source = self.table(named, ctes)?;
        let name = match self.alias(index)? {
            Some(alias) => alias,
            None => self.last_name(named)?,
        };
        self.settle(named);
        self.push(index, Some(name), source);
        Some(())
    }

    fn item(&mut self, index: usize, source: Source) -> Option<()> {
        let name = self.alias(index)?;
        self.push(index, name, source);
        Some(())
    }

    /// The table that a statement changes, and the rows that it speaks of.
    fn target(&mut self, index: usize) -> Option<()> {
        let tree = self.tree;
        let named = tree
            .child(index, SyntaxKind::RELATION_NAME)
            .or_else(|| tree.child(index, SyntaxKind::RELATION_NAME_REF))?;
        let source = self.table(named, &[])?;
        let name = match self.alias(index)? {
            Some(alias) => alias,
            None => self.last_name(named)?,
        };
        self.settle(named);
        self.push(index, Some(name), source);
        // They are rows of the statement and stand at no place of it, so that `*` does not mean them.
        for row in ["old", "new", "excluded"] {
            self.push(tree.nodes().len(), Some(row.into()), Source::Other);
        }
        Some(())
    }

    /// The name that a node gives with AS or without, accounted for; a list of columns behind it renames them.
    fn alias(&mut self, index: usize) -> Option<Option<Arc<str>>> {
        let tree = self.tree;
        let holds = |child: &usize| {
            matches!(
                tree.node(*child).kind,
                SyntaxKind::FROM_ALIAS
                    | SyntaxKind::REQUIRED_AS_ALIAS
                    | SyntaxKind::OPTIONAL_AS_ALIAS
                    | SyntaxKind::TABLE_ALIAS
            )
        };
        let Some(alias) = tree.children(index).find(holds) else {
            return Some(None);
        };
        let named = match tree.node(alias).kind {
            SyntaxKind::TABLE_ALIAS => Some(alias),
            _ => tree.child(alias, SyntaxKind::TABLE_ALIAS),
        };
        let name = match named {
            Some(named) => Some(self.only_name(named)?),
            None => None,
        };
        self.renames(alias, index);
        self.settle(alias);
        Some(name)
    }

    /// Notes a list of columns below `alias` that renames those of `item`. Functions and VALUES have none of their own.
    fn renames(&mut self, alias: usize, item: usize) {
        let tree = self.tree;
        let Some(list) = tree.child(alias, SyntaxKind::COLUMN_LIST) else {
            return;
        };
        let is_function = matches!(
            tree.node(item).kind,
            SyntaxKind::FUNCTION_FROM_ITEM | SyntaxKind::ROWS_FROM_ITEM
        );
        let query = tree.child(item, SyntaxKind::PAREN_SELECT).unwrap_or(item);
        let is_values = tree.child(query, SyntaxKind::VALUES).is_some();
        if !is_function && !is_values {
            self.found.obstacle = Some(Obstacle::Renamed);
        }
        self.settle(list);
    }

    /// The name in a node that holds one.
    fn only_name(&self, index: usize) -> Option<Arc<str>> {
        let mut within = index..self.tree.node(index).after;
        let token = within.find(|&at| self.tree.node(at).is_token)?;
        self.name(token)
    }

    /// The last part of a dotted name.
    fn last_name(&self, index: usize) -> Option<Arc<str>> {
        let mut within = (index..self.tree.node(index).after).rev();
        let token = within.find(|&at| self.tree.node(at).is_token && self.is_name(at))?;
        self.name(token)
    }
}
