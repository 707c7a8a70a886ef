//! The nodes of a lowered script. Owns no meaning.

use crate::hook::Answer;
use crate::hook::abi::Field;

/// An expression or a statement; each has a value.
#[derive(Debug)]
pub(super) enum Node {
    Unit,
    Bool(bool),
    Int(i64),
    Text(Box<str>),
    /// `hook`.
    Hook,
    /// `sql.kind`.
    Field(Field),
    /// `user.attributes.team`.
    Pair(Field, Box<str>),
    Slot(usize),
    /// `table.name`, `table.schema`.
    Part(Box<Node>, Part),
    Not(Box<Node>),
    And(Box<[Node]>),
    Or(Box<[Node]>),
    Compare(Comparison, Box<(Node, Node)>),
    Arithmetic(Operation, Box<(Node, Node)>),
    /// An interpolated text.
    Join(Box<[Node]>),
    /// `user.has_role(x)`, `sql.has_kind(x)`.
    Has(Field, Box<Node>),
    /// `x in y`, `y.contains(x)`: where, then what.
    Contains(Box<(Node, Node)>),
    /// `x in ["a", "b"]`: what, then where.
    Among(Box<Node>, Box<[Node]>),
    /// `a ?? b`: the first that is not `()`.
    Coalesce(Box<[Node]>),
    StartsWith(Box<(Node, Node)>),
    EndsWith(Box<(Node, Node)>),
    Len(Box<Node>),
    IsEmpty(Box<Node>),
    ToLower(Box<Node>),
    ToUpper(Box<Node>),
    Verdict(Verdict, Box<[Node]>),
    /// A verdict of constants.
    Answer(Box<Answer>),
    /// Condition, then, else.
    If(Box<(Node, Node, Node)>),
    /// The value is the last one's.
    Block(Box<[Node]>),
    /// `let` and plain assignment.
    Set(usize, Box<Node>),
    /// Slot of the item, slot of the counter, list, body.
    For(usize, Option<usize>, Box<(Node, Node)>),
    Return(Box<Node>),
    Break,
    Continue,
}

/// A property of a table or function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    Schema,
    Name,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Operation {
    Add,
    Subtract,
    Multiply,
}

/// The verdicts that are made of texts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    Next,
    Allow,
    Defer,
    Deny,
    Rewrite,
    Denied,
    Route,
}
