//! Runs a lowered script over a turn's frame. Owns fuel, time and memory of such a run; every way out but an ordinary end is a
//! fault of one of these three, or "ask Rhai".

use super::super::super::Fault;
use super::super::super::Services;
use super::super::super::limits::BYTES_PER_FUEL;
use super::super::super::limits::FUEL_PER_NODE;
use super::super::super::limits::FUEL_PER_SLICE;
use super::super::super::meter::Meter;
use super::super::super::turn::Turn;
use super::super::variables;
use super::super::verdict;
use super::Lowered;
use super::Ran;
use super::tree::Node;
use super::tree::Part;
use super::tree::Verdict;
use super::value::Value;
use super::value::calculate;
use super::value::compare;
use crate::hook::Answer;
use crate::hook::Hook;
use crate::hook::Refusal;
use crate::hook::abi::Field;
use crate::hook::abi::FieldType;
use crate::hook::abi::Frame;
use smallvec::SmallVec;
use std::borrow::Cow;
use std::sync::Arc;

/// Why a node has no value.
enum Exit<'a> {
    Return(Value<'a>),
    Break,
    Continue,
    Fault(Fault),
    /// Rhai has to say.
    GiveUp,
}

type Step<'a> = Result<Value<'a>, Exit<'a>>;

struct Run<'a> {
    frame: &'a Frame,
    hook: Hook,
    meter: &'a mut Meter,
    services: &'a Arc<dyn Services>,
    slots: SmallVec<[Value<'a>; 4]>,
    /// Bytes of texts in slots.
    held_bytes: usize,
    text_bytes_max: usize,
    memory_bytes_max: usize,
    /// Fuel that is left when the clock is looked at next.
    look_below: u64,
}

pub(super) fn run(script: &Lowered, turn: &mut Turn, services: &Arc<dyn Services>) -> Ran {
    let limits = turn.profile().limits;
    let (frame, meter, hook) = turn.reading();
    let look_below = meter.left().saturating_sub(FUEL_PER_SLICE);
    let mut run = Run {
        frame,
        hook,
        meter,
        services,
        slots: SmallVec::from_elem(Value::Unit, script.slots),
        held_bytes: 0,
        text_bytes_max: limits.script_string_bytes_max,
        memory_bytes_max: limits.memory_bytes_max,
        look_below,
    };
    match run.node(&script.root) {
        Ok(value) | Err(Exit::Return(value)) => match value {
            Value::Unit => Ran::Ended(Ok(Answer::Continue)),
            Value::Verdict(answer) => Ran::Ended(Ok(*answer)),
            _ => Ran::GaveUp,
        },
        Err(Exit::Fault(fault)) => Ran::Ended(Err(fault)),
        Err(Exit::Break | Exit::Continue | Exit::GiveUp) => Ran::GaveUp,
    }
}

impl<'a> Run<'a> {
    fn spend(&mut self, bytes: usize) -> Result<(), Exit<'a>> {
        let fuel = FUEL_PER_NODE + bytes as u64 / BYTES_PER_FUEL;
        self.meter.charge(fuel).map_err(Exit::Fault)?;
        if self.meter.left() < self.look_below {
            self.look_below = self.meter.left().saturating_sub(FUEL_PER_SLICE);
            let now = self.services.monotonic();
            self.meter.look(now).map_err(Exit::Fault)?;
        }
        Ok(())
    }

    fn node(&mut self, node: &'a Node) -> Step<'a> {
        self.spend(0)?;
        match node {
            Node::Unit => Ok(Value::Unit),
            Node::Bool(flag) => Ok(Value::Bool(*flag)),
            Node::Int(number) => Ok(Value::Int(*number)),
            Node::Text(text) => Ok(Value::text(text)),
            Node::Hook => Ok(Value::text(self.hook.name())),
            Node::Field(field) => self.field(*field),
            Node::Pair(field, key) => self.pair(*field, key),
            Node::Slot(slot) => Ok(self.slots[*slot].clone()),
            Node::Part(of, part) => self.part(of, *part),
            Node::Not(of) => Ok(Value::Bool(!self.flag(of)?)),
            Node::And(all) => self.every(all, true),
            Node::Or(any) => self.every(any, false),
            Node::Compare(comparison, sides) => {
                let (left, right) = self.sides(sides)?;
                let result = compare(*comparison, &left, &right);
                result.map(Value::Bool).ok_or(Exit::GiveUp)
            }
            Node::Arithmetic(operation, sides) => {
                let (left, right) = self.sides(sides)?;
                let result = calculate(*operation, &left, &right).ok_or(Exit::GiveUp)?;
                self.bounded(result)
            }
            Node::Join(parts) => self.join(parts),
            Node::Has(field, wanted) => {
                let wanted = self.text(wanted)?;
                self.has(*field, &wanted)
            }
            Node::Contains(sides) => self.contains(sides),
            Node::StartsWith(sides) => {
                let (text, start) = self.texts(sides)?;
                Ok(Value::Bool(text.starts_with(&*start)))
            }
            Node::EndsWith(sides) => {
                let (text, end) = self.texts(sides)?;
                Ok(Value::Bool(text.ends_with(&*end)))
            }
            Node::Len(of) => self.len(of),
            Node::IsEmpty(of) => match self.len(of)? {
                Value::Int(len) => Ok(Value::Bool(len == 0)),
                _ => Err(Exit::GiveUp),
            },
            Node::ToLower(of) => self.folded(of, str::to_lowercase),
            Node::ToUpper(of) => self.folded(of, str::to_uppercase),
            Node::Verdict(verdict, args) => self.verdict(*verdict, args),
            Node::If(parts) => match self.flag(&parts.0)? {
                true => self.node(&parts.1),
                false => self.node(&parts.2),
            },
            Node::Block(nodes) => nodes
                .iter()
                .try_fold(Value::Unit, |_, node| self.node(node)),
            Node::Set(slot, value) => {
                let value = self.node(value)?;
                self.set(*slot, value)
            }
            Node::For(item, counter, parts) => self.each(*item, *counter, parts),
            Node::Return(value) => {
                let value = self.node(value)?;
                Err(Exit::Return(value))
            }
            Node::Break => Err(Exit::Break),
            Node::Continue => Err(Exit::Continue),
        }
    }

    fn sides(&mut self, sides: &'a (Node, Node)) -> Result<(Value<'a>, Value<'a>), Exit<'a>> {
        let (left, right) = (self.node(&sides.0)?, self.node(&sides.1)?);
        if let (Value::Text(left), Value::Text(right)) = (&left, &right) {
            self.spend(left.len().min(right.len()))?;
        }
        Ok((left, right))
    }

    fn flag(&mut self, node: &'a Node) -> Result<bool, Exit<'a>> {
        match self.node(node)? {
            Value::Bool(flag) => Ok(flag),
            _ => Err(Exit::GiveUp),
        }
    }

    fn text(&mut self, node: &'a Node) -> Result<Cow<'a, str>, Exit<'a>> {
        match self.node(node)? {
            Value::Text(text) => Ok(text),
            _ => Err(Exit::GiveUp),
        }
    }

    fn texts(&mut self, sides: &'a (Node, Node)) -> Result<(Cow<'a, str>, Cow<'a, str>), Exit<'a>> {
        let (text, part) = (self.text(&sides.0)?, self.text(&sides.1)?);
        self.spend(text.len())?;
        Ok((text, part))
    }

    /// `true` for "all of them are", `false` for "none of them is not": ends at the first that decides.
    fn every(&mut self, nodes: &'a [Node], wanted: bool) -> Step<'a> {
        for node in nodes {
            if self.flag(node)? != wanted {
                return Ok(Value::Bool(!wanted));
            }
        }
        Ok(Value::Bool(wanted))
    }

    fn field(&mut self, field: Field) -> Step<'a> {
        let row = field.row();
        let Some(content) = self.frame.content(field) else {
            return if row.optional {
                Ok(Value::Unit)
            } else {
                Err(Exit::GiveUp)
            };
        };
        self.spend(content.len())?;
        let value = match row.of {
            FieldType::Text | FieldType::Large if content.len() <= self.text_bytes_max => {
                self.frame.text(field).map(Value::text)
            }
            FieldType::Number if field != Field::Fingerprint => {
                let number = self.frame.number(field);
                number.map(|number| Value::Int(i64::try_from(number).unwrap_or(i64::MAX)))
            }
            FieldType::Flag => self.frame.flag(field).map(Value::Bool),
            FieldType::Texts | FieldType::Pairs | FieldType::Names => Some(Value::List(field)),
            FieldType::Text | FieldType::Large => None,
            FieldType::Number | FieldType::Uuid | FieldType::Address => {
                variables::written(self.frame, field).map(|text| Value::Text(Cow::Owned(text)))
            }
        };
        value.ok_or(Exit::GiveUp)
    }

    fn items(&self, field: Field) -> impl Iterator<Item = Option<&'a str>> + use<'a> {
        self.frame.items(field).into_iter().flatten()
    }

    /// The value of a key. The last of a key counts, as in a map.
    fn pair(&mut self, field: Field, key: &str) -> Step<'a> {
        self.spend(self.frame.content(field).map_or(0, <[u8]>::len))?;
        let mut items = self.items(field);
        let mut found = None;
        while let (Some(Some(known)), Some(value)) = (items.next(), items.next()) {
            if known == key {
                found = value;
            }
        }
        found.map(Value::text).ok_or(Exit::GiveUp)
    }

    fn part(&mut self, of: &'a Node, part: Part) -> Step<'a> {
        match (self.node(of)?, part) {
            (Value::Name { name, .. }, Part::Name) => Ok(Value::text(name)),
            (Value::Name { schema, .. }, Part::Schema) => {
                Ok(schema.map_or(Value::Unit, Value::text))
            }
            _ => Err(Exit::GiveUp),
        }
    }

    fn join(&mut self, parts: &'a [Node]) -> Step<'a> {
        let mut text = String::new();
        for part in parts {
            let value = self.node(part)?;
            value.write(&mut text).ok_or(Exit::GiveUp)?;
            if self.text_bytes_max < text.len() {
                return Err(Exit::GiveUp);
            }
        }
        self.bounded(Value::Text(Cow::Owned(text)))
    }

    fn bounded(&mut self, value: Value<'a>) -> Step<'a> {
        let bytes = value.owned_bytes();
        if self.text_bytes_max < bytes {
            return Err(Exit::GiveUp);
        }
        self.spend(bytes)?;
        Ok(value)
    }

    fn has(&mut self, field: Field, wanted: &str) -> Step<'a> {
        let Some(content) = self.frame.content(field) else {
            return Err(Exit::GiveUp);
        };
        self.spend(content.len())?;
        let found = self.items(field).any(|item| item == Some(wanted));
        Ok(Value::Bool(found))
    }

    fn contains(&mut self, sides: &'a (Node, Node)) -> Step<'a> {
        match (self.node(&sides.0)?, self.node(&sides.1)?) {
            (Value::Text(text), Value::Text(part)) => {
                self.spend(text.len())?;
                Ok(Value::Bool(text.contains(&*part)))
            }
            (Value::List(field), Value::Text(wanted)) => match field.row().of {
                FieldType::Texts => self.has(field, &wanted),
                FieldType::Pairs => {
                    self.spend(self.frame.content(field).map_or(0, <[u8]>::len))?;
                    let found = self
                        .items(field)
                        .step_by(2)
                        .any(|key| key == Some(&*wanted));
                    Ok(Value::Bool(found))
                }
                _ => Err(Exit::GiveUp),
            },
            _ => Err(Exit::GiveUp),
        }
    }

    fn len(&mut self, of: &'a Node) -> Step<'a> {
        let len = match self.node(of)? {
            Value::Text(text) => {
                self.spend(text.len())?;
                text.chars().count()
            }
            Value::List(field) => {
                self.spend(self.frame.content(field).map_or(0, <[u8]>::len))?;
                match field.row().of {
                    FieldType::Texts => self.items(field).count(),
                    FieldType::Names => self.items(field).count() / 2,
                    _ => return Err(Exit::GiveUp),
                }
            }
            _ => return Err(Exit::GiveUp),
        };
        i64::try_from(len).map(Value::Int).map_err(|_| Exit::GiveUp)
    }

    fn folded(&mut self, of: &'a Node, fold: fn(&str) -> String) -> Step<'a> {
        let text = self.text(of)?;
        self.spend(text.len())?;
        self.bounded(Value::Text(Cow::Owned(fold(&text))))
    }

    fn set(&mut self, slot: usize, value: Value<'a>) -> Step<'a> {
        let old = std::mem::replace(&mut self.slots[slot], value);
        self.held_bytes -= old.owned_bytes();
        self.held_bytes += self.slots[slot].owned_bytes();
        if self.memory_bytes_max < self.held_bytes {
            return Err(Exit::Fault(Fault::OutOfMemory));
        }
        Ok(Value::Unit)
    }

    fn each(&mut self, item: usize, counter: Option<usize>, parts: &'a (Node, Node)) -> Step<'a> {
        let Value::List(field) = self.node(&parts.0)? else {
            return Err(Exit::GiveUp);
        };
        let mut items = self.items(field);
        let mut index: i64 = 0;
        while let Some(first) = items.next() {
            let value = match (field.row().of, first) {
                (FieldType::Texts, Some(text)) => Value::text(text),
                (FieldType::Names, schema) => match items.next() {
                    Some(Some(name)) => Value::Name { schema, name },
                    _ => return Err(Exit::GiveUp),
                },
                _ => return Err(Exit::GiveUp),
            };
            self.set(item, value)?;
            if let Some(counter) = counter {
                self.set(counter, Value::Int(index))?;
            }
            match self.node(&parts.1) {
                Ok(_) | Err(Exit::Continue) => (),
                Err(Exit::Break) => break,
                Err(exit) => return Err(exit),
            }
            index += 1;
        }
        Ok(Value::Unit)
    }

    fn verdict(&mut self, verdict: Verdict, args: &'a [Node]) -> Step<'a> {
        let mut texts: SmallVec<[Cow<'a, str>; 3]> = SmallVec::new();
        for arg in args {
            texts.push(self.text(arg)?);
        }
        let answer = match (verdict, &texts[..]) {
            (Verdict::Next, []) => Answer::Continue,
            (Verdict::Allow, []) => Answer::Allow,
            (Verdict::Defer, []) => Answer::Defer,
            (Verdict::Deny, [message]) => Answer::Block(Refusal::new(&**message)),
            (Verdict::Deny, [code, message, hint @ ..]) => {
                let hint = hint.first().map(|hint| &**hint);
                let refusal = verdict::refusal(code, message, hint);
                Answer::Block(refusal.map_err(|_| Exit::GiveUp)?)
            }
            (Verdict::Rewrite, [sql]) => Answer::Rewrite(sql.to_string()),
            (Verdict::Denied, [reason]) => Answer::Denied(reason.to_string()),
            (Verdict::Route, [to]) => Answer::Route(verdict::route(to).map_err(|_| Exit::GiveUp)?),
            _ => return Err(Exit::GiveUp),
        };
        Ok(Value::Verdict(Box::new(answer)))
    }
}
