//! The values of a lowered script: borrowed from the input or the script wherever they can be. Owns no operation of Rhai's
//! that is not ordinary: `None` is always "ask Rhai".

use super::tree::Comparison;
use super::tree::Operation;
use crate::hook::Answer;
use crate::hook::abi::List;
use crate::statement::Name;
use std::rc::Rc;

#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    Unit,
    Bool(bool),
    Int(i64),
    /// A text of the input or the script.
    Text(&'a str),
    /// A text that was made.
    Made(String),
    /// A text that was made and put into a variable: every look at it is one more owner.
    Kept(Rc<str>),
    /// A field with items: texts, pairs or names.
    List(List<'a>),
    /// A table or function.
    Name(&'a Name),
    /// A verdict of constants, made when the script was loaded.
    Ready(&'a Answer),
    Verdict(Box<Answer>),
}

impl Value<'_> {
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Made(text) => Some(text),
            Self::Kept(text) => Some(text),
            _ => None,
        }
    }

    /// Bytes it holds beyond its own.
    pub(super) fn owned_bytes(&self) -> usize {
        match self {
            Self::Made(text) => text.len(),
            Self::Kept(text) => text.len(),
            _ => 0,
        }
    }

    /// In the form in which copies cost nothing.
    pub(super) fn kept(self) -> Self {
        match self {
            Self::Made(text) => Self::Kept(text.into()),
            other => other,
        }
    }

    fn is_plain(&self) -> bool {
        matches!(self, Self::Unit | Self::Bool(_) | Self::Int(_)) || self.text().is_some()
    }

    /// As an interpolated text shows it.
    pub(super) fn write(&self, out: &mut String) -> Option<()> {
        match self {
            Self::Unit => (),
            Self::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
            Self::Int(number) => out.push_str(&number.to_string()),
            other => out.push_str(other.text()?),
        }
        Some(())
    }
}

/// Two values of different plain types are never equal and never in order.
pub(super) fn compare(comparison: Comparison, left: &Value<'_>, right: &Value<'_>) -> Option<bool> {
    if let (Some(left), Some(right)) = (left.text(), right.text()) {
        return Some(ordered(comparison, left, right));
    }
    if let (Value::Int(left), Value::Int(right)) = (left, right) {
        return Some(ordered(comparison, left, right));
    }
    if !left.is_plain() || !right.is_plain() {
        return None;
    }
    let equal = match (left, right) {
        (Value::Unit, Value::Unit) => true,
        (Value::Bool(left), Value::Bool(right)) => left == right,
        _ => false,
    };
    match comparison {
        Comparison::Equal => Some(equal),
        Comparison::Unequal => Some(!equal),
        // What Rhai makes of `() < ()` and `1 < "a"` is Rhai's.
        _ => None,
    }
}

fn ordered<T: PartialOrd + ?Sized>(comparison: Comparison, left: &T, right: &T) -> bool {
    match comparison {
        Comparison::Equal => left == right,
        Comparison::Unequal => left != right,
        Comparison::Less => left < right,
        Comparison::LessOrEqual => left <= right,
        Comparison::Greater => left > right,
        Comparison::GreaterOrEqual => left >= right,
    }
}

pub(super) fn calculate<'a>(
    operation: Operation,
    left: &Value<'a>,
    right: &Value<'a>,
) -> Option<Value<'a>> {
    if let (Operation::Add, Some(left), Some(right)) = (operation, left.text(), right.text()) {
        return Some(Value::Made(format!("{left}{right}")));
    }
    let (Value::Int(left), Value::Int(right)) = (left, right) else {
        return None;
    };
    match operation {
        Operation::Add => left.checked_add(*right),
        Operation::Subtract => left.checked_sub(*right),
        Operation::Multiply => left.checked_mul(*right),
    }
    .map(Value::Int)
}
