//! From Rhai's tree to ours. `None` is "left to Rhai", and one such node leaves the whole script. Owns no check: the script has
//! passed `check` when it comes here.

use super::super::variables;
use super::Lowered;
use super::tree::Comparison;
use super::tree::Node;
use super::tree::Operation;
use super::tree::Part;
use super::tree::Verdict;
use super::verdict;
use crate::hook::abi::Field;
use crate::hook::abi::FieldType;
use rhai::AST;
use rhai::ASTFlags;
use rhai::Array;
use rhai::Expr;
use rhai::FnCallExpr;
use rhai::ImmutableString;
use rhai::Stmt;
use serde_json::Value;

/// Items of an array that a value is looked for in.
const LITERALS_MAX: usize = 64;

struct Builder<'a> {
    config: &'a Value,
    /// Names in scope and their slots; the last of a name counts.
    scope: Vec<(String, usize)>,
    slots: usize,
}

pub(super) fn build(ast: &AST, config: &Value) -> Option<Lowered> {
    if ast.has_functions() {
        return None;
    }
    let mut builder = Builder {
        config,
        scope: Vec::new(),
        slots: 0,
    };
    let root = builder.block(ast.statements())?;
    Some(Lowered {
        root,
        slots: builder.slots,
    })
}

impl Builder<'_> {
    fn block(&mut self, statements: &[Stmt]) -> Option<Node> {
        let depth = self.scope.len();
        let nodes = statements
            .iter()
            .map(|statement| self.statement(statement))
            .collect::<Option<Vec<Node>>>();
        self.scope.truncate(depth);
        let mut nodes = nodes?;
        Some(match nodes.len() {
            0 => Node::Unit,
            1 => nodes.swap_remove(0),
            _ => Node::Block(nodes.into()),
        })
    }

    fn define(&mut self, name: &str) -> usize {
        let slot = self.slots;
        self.slots += 1;
        self.scope.push((name.to_owned(), slot));
        slot
    }

    fn slot(&self, name: &str) -> Option<usize> {
        let mut known = self.scope.iter().rev();
        known
            .find(|(known, _)| known == name)
            .map(|(_, slot)| *slot)
    }

    fn statement(&mut self, statement: &Stmt) -> Option<Node> {
        Some(match statement {
            Stmt::Noop(_) => Node::Unit,
            Stmt::Expr(expression) => self.expression(expression)?,
            Stmt::FnCall(call, _) => self.call(call)?,
            Stmt::Block(block) => self.block(block.statements())?,
            Stmt::If(flow, _) => {
                let condition = self.expression(&flow.expr)?;
                let body = self.block(flow.body.statements())?;
                let branch = self.block(flow.branch.statements())?;
                Node::If(Box::new((condition, body, branch)))
            }
            Stmt::Var(var, flags, _) if !flags.intersects(ASTFlags::EXPORTED) => {
                let value = self.expression(&var.1)?;
                Node::Set(self.define(&var.0.name), Box::new(value))
            }
            Stmt::Assignment(assignment) => {
                let (assigned, sides) = &**assignment;
                let slot = match &sides.lhs {
                    Expr::Variable(variable, ..) if variable.2.is_empty() => {
                        self.slot(&variable.1)?
                    }
                    _ => return None,
                };
                let value = self.expression(&sides.rhs)?;
                let value = match assigned.get_op_assignment_info() {
                    None => value,
                    Some((.., operator)) => {
                        let sides = Box::new((Node::Slot(slot), value));
                        Node::Arithmetic(operation(operator)?, sides)
                    }
                };
                Node::Set(slot, Box::new(value))
            }
            Stmt::For(each, _) => {
                let list = self.expression(&each.2.expr)?;
                let depth = self.scope.len();
                let counter = each.1.as_ref().map(|counter| self.define(&counter.name));
                let item = self.define(&each.0.name);
                let body = self.block(each.2.body.statements());
                self.scope.truncate(depth);
                Node::For(item, counter, Box::new((list, body?)))
            }
            Stmt::Return(value, flags, _) if !flags.intersects(ASTFlags::BREAK) => {
                let value = match value {
                    Some(value) => self.expression(value)?,
                    None => Node::Unit,
                };
                Node::Return(Box::new(value))
            }
            Stmt::BreakLoop(None, flags, _) if flags.intersects(ASTFlags::BREAK) => Node::Break,
            Stmt::BreakLoop(None, ..) => Node::Continue,
            _ => return None,
        })
    }

    fn expressions<'e>(&mut self, of: impl IntoIterator<Item = &'e Expr>) -> Option<Box<[Node]>> {
        of.into_iter().map(|one| self.expression(one)).collect()
    }

    fn expression(&mut self, expression: &Expr) -> Option<Node> {
        Some(match expression {
            Expr::Unit(_) => Node::Unit,
            Expr::BoolConstant(flag, _) => Node::Bool(*flag),
            Expr::IntegerConstant(number, _) => Node::Int(*number),
            Expr::StringConstant(text, _) => Node::Text(text.as_str().into()),
            Expr::InterpolatedString(parts, _) => Node::Join(self.expressions(parts)?),
            Expr::Variable(variable, ..) if variable.2.is_empty() => match self.slot(&variable.1) {
                Some(slot) => Node::Slot(slot),
                None if variable.1 == "hook" => Node::Hook,
                None => return None,
            },
            Expr::And(all, _) => Node::And(self.expressions(all.iter())?),
            Expr::Or(any, _) => Node::Or(self.expressions(any.iter())?),
            Expr::Coalesce(any, _) => Node::Coalesce(self.expressions(any.iter())?),
            Expr::FnCall(call, _) => self.call(call)?,
            Expr::Stmt(block) => self.block(block.statements())?,
            Expr::Dot(dot, flags, _) if !flags.intersects(ASTFlags::NEGATED) => {
                self.chain(&dot.lhs, &dot.rhs)?
            }
            _ => return None,
        })
    }

    /// `a.b.c()`: Rhai hangs what follows to the right.
    fn chain(&mut self, base: &Expr, behind: &Expr) -> Option<Node> {
        let mut rest = Some(behind);
        let mut next = || -> Option<Option<&Expr>> {
            let Some(behind) = rest else {
                return Some(None);
            };
            let (one, after) = match behind {
                Expr::Dot(dot, flags, _) if !flags.intersects(ASTFlags::NEGATED) => {
                    (&dot.lhs, Some(&dot.rhs))
                }
                Expr::Property(..) | Expr::MethodCall(..) => (behind, None),
                _ => return None,
            };
            rest = after;
            Some(Some(one))
        };
        let mut node = match base {
            Expr::Variable(variable, ..)
                if variable.2.is_empty() && self.slot(&variable.1).is_none() =>
            {
                let first = next()??;
                self.reach(&variable.1, first)?
            }
            base => self.expression(base)?,
        };
        while let Some(link) = next()? {
            node = self.link(node, link)?;
        }
        Some(node)
    }

    /// A variable of ours and what stands behind it.
    fn reach(&mut self, variable: &str, link: &Expr) -> Option<Node> {
        match link {
            Expr::Property(property, _) if variable == "config" => {
                constant(self.config.get(property.2.as_str())?)
            }
            Expr::Property(property, _) => {
                Some(Node::Field(Field::by_name(variable, &property.2)?))
            }
            Expr::MethodCall(call, _) => {
                let field = variables::method(variable, &call.name)?;
                let [wanted] = &call.args[..] else {
                    return None;
                };
                Some(Node::Has(field, Box::new(self.expression(wanted)?)))
            }
            _ => None,
        }
    }

    /// A value and a property or method of it.
    fn link(&mut self, node: Node, link: &Expr) -> Option<Node> {
        match link {
            Expr::Property(property, _) => match (node, property.2.as_str()) {
                (Node::Field(field), key) if field.row().of == FieldType::Pairs => {
                    Some(Node::Pair(field, key.into()))
                }
                (node, "name") => Some(Node::Part(Box::new(node), Part::Name)),
                (node, "schema") => Some(Node::Part(Box::new(node), Part::Schema)),
                _ => None,
            },
            Expr::MethodCall(call, _) => {
                let mut args = self.expressions(call.args.iter())?.into_vec();
                match (call.name.as_str(), args.pop(), args.is_empty()) {
                    ("contains", Some(wanted), true) => {
                        Some(Node::Contains(Box::new((node, wanted))))
                    }
                    ("starts_with", Some(start), true) => {
                        Some(Node::StartsWith(Box::new((node, start))))
                    }
                    ("ends_with", Some(end), true) => Some(Node::EndsWith(Box::new((node, end)))),
                    ("len", None, _) => Some(Node::Len(Box::new(node))),
                    ("is_empty", None, _) => Some(Node::IsEmpty(Box::new(node))),
                    ("to_lower", None, _) => Some(Node::ToLower(Box::new(node))),
                    ("to_upper", None, _) => Some(Node::ToUpper(Box::new(node))),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// An operator, a verdict, or `in`.
    fn call(&mut self, call: &FnCallExpr) -> Option<Node> {
        if !call.namespace.is_empty() || call.capture_parent_scope {
            return None;
        }
        let name = call.name.as_str();
        if call.op_token.is_none() && name != "contains" {
            let verdict = verdict::named(name, call.args.len())?;
            return Some(constant_verdict(
                verdict,
                self.expressions(call.args.iter())?,
            ));
        }
        if let ("!", [one]) = (name, &call.args[..]) {
            return Some(Node::Not(Box::new(self.expression(one)?)));
        }
        let [left, right] = &call.args[..] else {
            return None;
        };
        if let ("contains", Some(items)) = (name, literals(left)) {
            return Some(Node::Among(Box::new(self.expression(right)?), items));
        }
        let comparison = comparison(name);
        let operation = operation(name);
        if comparison.is_none() && operation.is_none() && name != "contains" {
            return None;
        }
        let sides = Box::new((self.expression(left)?, self.expression(right)?));
        Some(match (comparison, operation) {
            (Some(comparison), _) => Node::Compare(comparison, sides),
            (_, Some(operation)) => Node::Arithmetic(operation, sides),
            _ => Node::Contains(sides),
        })
    }
}

fn comparison(name: &str) -> Option<Comparison> {
    Some(match name {
        "==" => Comparison::Equal,
        "!=" => Comparison::Unequal,
        "<" => Comparison::Less,
        "<=" => Comparison::LessOrEqual,
        ">" => Comparison::Greater,
        ">=" => Comparison::GreaterOrEqual,
        _ => return None,
    })
}

fn operation(name: &str) -> Option<Operation> {
    Some(match name {
        "+" => Operation::Add,
        "-" => Operation::Subtract,
        "*" => Operation::Multiply,
        _ => return None,
    })
}

/// A verdict whose texts are all written in the script is made at once.
fn constant_verdict(verdict: Verdict, args: Box<[Node]>) -> Node {
    let texts: Option<Vec<&str>> = args
        .iter()
        .map(|arg| match arg {
            Node::Text(text) => Some(&**text),
            _ => None,
        })
        .collect();
    match texts.and_then(|texts| verdict::make(verdict, &texts)) {
        Some(answer) => Node::Answer(Box::new(answer)),
        None => Node::Verdict(verdict, args),
    }
}

/// An array of nothing but texts and numbers, and not many.
fn literals(expression: &Expr) -> Option<Box<[Node]>> {
    let Expr::DynamicConstant(array, _) = expression else {
        return None;
    };
    let array = array.read_lock::<Array>()?;
    if LITERALS_MAX < array.len() {
        return None;
    }
    let items = array.iter().map(|item| {
        let text = item.read_lock::<ImmutableString>();
        text.map(|text| Node::Text(text.as_str().into()))
            .or_else(|| item.as_int().ok().map(Node::Int))
    });
    items.collect()
}

fn constant(value: &Value) -> Option<Node> {
    Some(match value {
        Value::Bool(flag) => Node::Bool(*flag),
        Value::Number(number) => Node::Int(number.as_i64()?),
        Value::String(text) => Node::Text(text.as_str().into()),
        _ => return None,
    })
}
