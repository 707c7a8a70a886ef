//! The values of a lowered script: borrowed from the input or the script wherever they can be. Owns no operation of Rhai's
//! that is not ordinary: `None` is always "ask Rhai".

use super::tree::Comparison;
use super::tree::Operation;
use crate::hook::Answer;
use crate::hook::abi::Field;
use std::borrow::Cow;

#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    Unit,
    Bool(bool),
    Int(i64),
    Text(Cow<'a, str>),
    /// A field with items: texts, pairs or names.
    List(Field),
    /// A table or function.
    Name {
        schema: Option<&'a str>,
        name: &'a str,
    },
    Verdict(Box<Answer>),
}

impl<'a> Value<'a> {
    pub(super) fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    /// Bytes it holds beyond its own.
    pub(super) fn owned_bytes(&self) -> usize {
        match self {
            Self::Text(Cow::Owned(text)) => text.len(),
            _ => 0,
        }
    }

    /// As an interpolated text shows it.
    pub(super) fn write(&self, out: &mut String) -> Option<()> {
        match self {
            Self::Unit => (),
            Self::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
            Self::Int(number) => out.push_str(&number.to_string()),
            Self::Text(text) => out.push_str(text),
            Self::List(_) | Self::Name { .. } | Self::Verdict(_) => return None,
        }
        Some(())
    }
}

/// Two values of different plain types are never equal and never in order.
pub(super) fn compare(comparison: Comparison, left: &Value<'_>, right: &Value<'_>) -> Option<bool> {
    use std::cmp::Ordering;
    let order: Option<Ordering> = match (left, right) {
        (Value::Unit, Value::Unit) => Some(Ordering::Equal),
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        (Value::Int(left), Value::Int(right)) => Some(left.cmp(right)),
        (Value::Text(left), Value::Text(right)) => Some(left.cmp(right)),
        (Value::List(_) | Value::Name { .. } | Value::Verdict(_), _)
        | (_, Value::List(_) | Value::Name { .. } | Value::Verdict(_)) => return None,
        _ => None,
    };
    Some(match (comparison, order) {
        (Comparison::Equal, order) => order == Some(Ordering::Equal),
        (Comparison::Unequal, order) => order != Some(Ordering::Equal),
        // What Rhai makes of `() < ()` and `true < false` is Rhai's.
        _ if matches!(left, Value::Unit | Value::Bool(_)) => return None,
        (_, None) => return None,
        (Comparison::Less, Some(order)) => order.is_lt(),
        (Comparison::LessOrEqual, Some(order)) => order.is_le(),
        (Comparison::Greater, Some(order)) => order.is_gt(),
        (Comparison::GreaterOrEqual, Some(order)) => order.is_ge(),
    })
}

pub(super) fn calculate<'a>(
    operation: Operation,
    left: &Value<'a>,
    right: &Value<'a>,
) -> Option<Value<'a>> {
    match (operation, left, right) {
        (Operation::Add, Value::Text(left), Value::Text(right)) => {
            Some(Value::Text(Cow::Owned(format!("{left}{right}"))))
        }
        (operation, Value::Int(left), Value::Int(right)) => match operation {
            Operation::Add => left.checked_add(*right),
            Operation::Subtract => left.checked_sub(*right),
            Operation::Multiply => left.checked_mul(*right),
        }
        .map(Value::Int),
        _ => None,
    }
}
