//! Runs a lowered script over an input. Owns fuel, time and memory of such a run; every way out but an ordinary end is a fault
//! of one of these three, or "ask Rhai".

use super::super::super::Fault;
use super::super::super::Services;
use super::super::super::limits::BYTES_PER_FUEL;
use super::super::super::limits::FUEL_PER_NODE;
use super::super::super::limits::FUEL_PER_SLICE;
use super::super::super::limits::Limits;
use super::super::super::meter::Meter;
use super::tree::Comparison;
use super::tree::Node;
use super::tree::Part;
use super::tree::Verdict;
use super::value::Value;
use super::value::calculate;
use super::value::compare;
use super::verdict;
use crate::hook::Answer;
use crate::hook::Input;
use crate::hook::abi::Content;
use crate::hook::abi::Field;
use crate::hook::abi::Fields;
use crate::hook::abi::List;
use smallvec::SmallVec;
use std::sync::Arc;

/// Bytes before each item of a list in a frame: a list of so many bytes has a fourth as many items at most.
const BYTES_PER_ITEM: usize = 4;

/// Why a node has no value.
pub(super) enum Exit<'a> {
    Return(Value<'a>),
    Break,
    Continue,
    Fault(Fault),
    /// Rhai has to say.
    GiveUp,
}

type Step<'a> = Result<Value<'a>, Exit<'a>>;

/// One run.
pub(super) struct Run<'a> {
    input: &'a Input<'a>,
    /// The fields it may read. There is no other way to the input than through `content`.
    fields: Fields,
    meter: Meter,
    limits: &'a Limits,
    services: &'a Arc<dyn Services>,
    slots: SmallVec<[Value<'a>; 4]>,
    /// Bytes of texts in slots.
    held_bytes: usize,
    /// Fuel that is left when the clock is looked at next.
    look_below: u64,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        input: &'a Input<'a>,
        fields: Fields,
        limits: &'a Limits,
        services: &'a Arc<dyn Services>,
        slots: usize,
    ) -> Self {
        Self {
            input,
            fields,
            meter: Meter::new(limits.fuel, limits.deadline),
            limits,
            services,
            slots: SmallVec::from_elem(Value::Unit, slots),
            held_bytes: 0,
            look_below: limits.fuel.saturating_sub(FUEL_PER_SLICE),
        }
    }

    /// Runs a script: its answer, or why there is none; and the fuel it used.
    pub(super) fn script(mut self, root: &'a Node) -> (Result<Answer, Exit<'a>>, u64) {
        let ended = match self.node(root) {
            Ok(value) | Err(Exit::Return(value)) => match value {
                Value::Unit => Ok(Answer::Continue),
                Value::Ready(answer) => Ok(answer.clone()),
                Value::Verdict(answer) => Ok(*answer),
                _ => Err(Exit::GiveUp),
            },
            Err(exit) => Err(exit),
        };
        (ended, self.meter.used())
    }

    fn content(&self, field: Field) -> Option<Content<'a>> {
        if !self.fields.contains(field) {
            return None;
        }
        Content::read(field, self.input)
    }

    /// Uses the fuel of bytes that were or will be looked at, and looks at the clock when it is time to.
    fn scan(&mut self, bytes: usize) -> Result<(), Exit<'a>> {
        let fuel = bytes as u64 / BYTES_PER_FUEL;
        self.meter.charge(fuel).map_err(Exit::Fault)?;
        if self.meter.left() < self.look_below {
            self.look_below = self.meter.left().saturating_sub(FUEL_PER_SLICE);
            let now = self.services.monotonic();
            self.meter.look(now).map_err(Exit::Fault)?;
        }
        Ok(())
    }

    fn node(&mut self, node: &'a Node) -> Step<'a> {
        self.meter.charge(FUEL_PER_NODE).map_err(Exit::Fault)?;
        match node {
            Node::Unit => Ok(Value::Unit),
            Node::Bool(flag) => Ok(Value::Bool(*flag)),
            Node::Int(number) => Ok(Value::Int(*number)),
            Node::Text(text) => Ok(Value::Text(text)),
            Node::Hook => Ok(Value::Text(self.input.hook.name())),
            Node::Field(field) => self.field(*field),
            Node::Pair(field, key) => self.pair(*field, key),
            Node::Slot(slot) => Ok(self.slots[*slot].clone()),
            Node::Part(of, part) => self.part(of, *part),
            Node::Not(of) => Ok(Value::Bool(!self.flag(of)?)),
            Node::And(all) => self.every(all, true),
            Node::Or(any) => self.every(any, false),
            Node::Compare(comparison, sides) => {
                let (left, right) = (self.node(&sides.0)?, self.node(&sides.1)?);
                if let (Some(left), Some(right)) = (left.text(), right.text()) {
                    self.scan(left.len().min(right.len()))?;
                }
                let result = compare(*comparison, &left, &right);
                result.map(Value::Bool).ok_or(Exit::GiveUp)
            }
            Node::Arithmetic(operation, sides) => {
                let (left, right) = (self.node(&sides.0)?, self.node(&sides.1)?);
                let result = calculate(*operation, &left, &right).ok_or(Exit::GiveUp)?;
                self.bounded(result)
            }
            Node::Join(parts) => self.join(parts),
            Node::Has(field, wanted) => self.has(*field, wanted),
            Node::Contains(sides) => self.contains(sides),
            Node::Among(wanted, items) => self.among(wanted, items),
            Node::Coalesce(nodes) => self.coalesce(nodes),
            Node::StartsWith(sides) => self.test(sides, |text, start| text.starts_with(start)),
            Node::EndsWith(sides) => self.test(sides, |text, end| text.ends_with(end)),
            Node::Len(of) => self.len(of).map(Value::Int),
            Node::IsEmpty(of) => Ok(Value::Bool(self.len(of)? == 0)),
            Node::ToLower(of) => self.folded(of, str::to_lowercase),
            Node::ToUpper(of) => self.folded(of, str::to_uppercase),
            Node::Verdict(verdict, args) => self.verdict(*verdict, args),
            Node::Answer(answer) => Ok(Value::Ready(answer)),
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
            Node::Return(value) => Err(Exit::Return(self.node(value)?)),
            Node::Break => Err(Exit::Break),
            Node::Continue => Err(Exit::Continue),
        }
    }

    fn flag(&mut self, node: &'a Node) -> Result<bool, Exit<'a>> {
        match self.node(node)? {
            Value::Bool(flag) => Ok(flag),
            _ => Err(Exit::GiveUp),
        }
    }

    /// A test of one text for another.
    fn test(&mut self, sides: &'a (Node, Node), test: fn(&str, &str) -> bool) -> Step<'a> {
        let (text, part) = (self.node(&sides.0)?, self.node(&sides.1)?);
        let (Some(text), Some(part)) = (text.text(), part.text()) else {
            return Err(Exit::GiveUp);
        };
        self.scan(text.len())?;
        Ok(Value::Bool(test(text, part)))
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

    fn coalesce(&mut self, nodes: &'a [Node]) -> Step<'a> {
        for node in nodes {
            match self.node(node)? {
                Value::Unit => (),
                value => return Ok(value),
            }
        }
        Ok(Value::Unit)
    }

    fn field(&mut self, field: Field) -> Step<'a> {
        let Some(content) = self.content(field) else {
            return if field.row().optional {
                Ok(Value::Unit)
            } else {
                Err(Exit::GiveUp)
            };
        };
        match content {
            Content::Text(text) if text.len() <= self.limits.script_string_bytes_max => {
                Ok(Value::Text(text))
            }
            Content::Text(_) => Err(Exit::GiveUp),
            Content::Flag(flag) => Ok(Value::Bool(flag)),
            Content::Number(number) if field == Field::Fingerprint => {
                self.bounded(Value::Made(format!("{number:016x}")))
            }
            Content::Number(number) => Ok(Value::Int(i64::try_from(number).unwrap_or(i64::MAX))),
            Content::Uuid(uuid) => self.bounded(Value::Made(uuid.to_string())),
            Content::Address(None) => Ok(Value::Text("unix")),
            Content::Address(Some(address)) => self.bounded(Value::Made(address.to_string())),
            Content::List(list) => self.listed(list).map(Value::List),
        }
    }

    /// A list of which Rhai would make a value that is surely within its limits: it counts what lies in it, texts and
    /// entries of maps together.
    fn listed(&mut self, list: List<'a>) -> Result<List<'a>, Exit<'a>> {
        let limits = self.limits;
        let bytes = list.bytes();
        let items_max = match list {
            List::Texts(_) | List::Kinds(_) => limits.script_array_items_max,
            _ => limits
                .script_array_items_max
                .min(limits.script_map_items_max),
        };
        if limits.script_string_bytes_max < bytes || items_max < bytes / BYTES_PER_ITEM {
            return Err(Exit::GiveUp);
        }
        self.scan(bytes)?;
        Ok(list)
    }

    fn pair(&mut self, field: Field, key: &str) -> Step<'a> {
        let Some(Content::List(list)) = self.content(field) else {
            return Err(Exit::GiveUp);
        };
        let found = self.listed(list)?.value(key);
        found.map(Value::Text).ok_or(Exit::GiveUp)
    }

    fn part(&mut self, of: &'a Node, part: Part) -> Step<'a> {
        match (self.node(of)?, part) {
            (Value::Name(name), Part::Name) => Ok(Value::Text(&name.name)),
            (Value::Name(name), Part::Schema) => {
                Ok(name.schema.as_deref().map_or(Value::Unit, Value::Text))
            }
            _ => Err(Exit::GiveUp),
        }
    }

    fn join(&mut self, parts: &'a [Node]) -> Step<'a> {
        let mut text = String::new();
        for part in parts {
            let value = self.node(part)?;
            value.write(&mut text).ok_or(Exit::GiveUp)?;
            if self.limits.script_string_bytes_max < text.len() {
                return Err(Exit::GiveUp);
            }
        }
        self.bounded(Value::Made(text))
    }

    fn bounded(&mut self, value: Value<'a>) -> Step<'a> {
        let bytes = value.owned_bytes();
        if self.limits.script_string_bytes_max < bytes {
            return Err(Exit::GiveUp);
        }
        self.scan(bytes)?;
        Ok(value)
    }

    fn has(&mut self, field: Field, wanted: &'a Node) -> Step<'a> {
        let wanted = self.node(wanted)?;
        let (Some(wanted), Some(Content::List(list))) = (wanted.text(), self.content(field)) else {
            return Err(Exit::GiveUp);
        };
        self.has_text(list, wanted)
    }

    fn has_text(&mut self, list: List<'a>, wanted: &str) -> Step<'a> {
        let mut bytes = 0;
        let found = list.texts().any(|text| {
            bytes += BYTES_PER_ITEM + text.len();
            text == wanted
        });
        self.scan(bytes)?;
        Ok(Value::Bool(found))
    }

    fn contains(&mut self, sides: &'a (Node, Node)) -> Step<'a> {
        let (whole, wanted) = (self.node(&sides.0)?, self.node(&sides.1)?);
        let Some(wanted) = wanted.text() else {
            return Err(Exit::GiveUp);
        };
        if let Some(text) = whole.text() {
            self.scan(text.len())?;
            return Ok(Value::Bool(text.contains(wanted)));
        }
        match whole {
            Value::List(list @ (List::Texts(_) | List::Kinds(_))) => self.has_text(list, wanted),
            Value::List(list @ (List::Claims(_) | List::Attributes(_) | List::Headers(_))) => {
                Ok(Value::Bool(list.value(wanted).is_some()))
            }
            _ => Err(Exit::GiveUp),
        }
    }

    fn among(&mut self, wanted: &'a Node, items: &'a [Node]) -> Step<'a> {
        let wanted = self.node(wanted)?;
        for item in items {
            let item = self.node(item)?;
            if let Some(text) = item.text() {
                self.scan(text.len())?;
            }
            if compare(Comparison::Equal, &item, &wanted).ok_or(Exit::GiveUp)? {
                return Ok(Value::Bool(true));
            }
        }
        Ok(Value::Bool(false))
    }

    fn len(&mut self, of: &'a Node) -> Result<i64, Exit<'a>> {
        let value = self.node(of)?;
        let len = match (value.text(), &value) {
            (Some(text), _) => {
                self.scan(text.len())?;
                text.chars().count()
            }
            (_, Value::List(list @ (List::Texts(_) | List::Kinds(_)))) => list.texts().count(),
            (_, Value::List(List::Names(names))) => names.len(),
            _ => return Err(Exit::GiveUp),
        };
        i64::try_from(len).map_err(|_| Exit::GiveUp)
    }

    fn folded(&mut self, of: &'a Node, fold: fn(&str) -> String) -> Step<'a> {
        let value = self.node(of)?;
        let text = value.text().ok_or(Exit::GiveUp)?;
        self.scan(text.len())?;
        self.bounded(Value::Made(fold(text)))
    }

    fn set(&mut self, slot: usize, value: Value<'a>) -> Step<'a> {
        let value = value.kept();
        self.held_bytes += value.owned_bytes();
        let old = std::mem::replace(&mut self.slots[slot], value);
        self.held_bytes -= old.owned_bytes();
        if self.limits.memory_bytes_max < self.held_bytes {
            return Err(Exit::Fault(Fault::OutOfMemory));
        }
        Ok(Value::Unit)
    }

    fn each(&mut self, item: usize, counter: Option<usize>, parts: &'a (Node, Node)) -> Step<'a> {
        match self.node(&parts.0)? {
            Value::List(List::Names(names)) => {
                let names = names.iter().map(Value::Name);
                self.rounds(item, counter, names, &parts.1)
            }
            Value::List(list @ (List::Texts(_) | List::Kinds(_))) => {
                let texts = list.texts().map(Value::Text);
                self.rounds(item, counter, texts, &parts.1)
            }
            _ => Err(Exit::GiveUp),
        }
    }

    fn rounds(
        &mut self,
        item: usize,
        counter: Option<usize>,
        values: impl Iterator<Item = Value<'a>>,
        body: &'a Node,
    ) -> Step<'a> {
        for (index, value) in (0_i64..).zip(values) {
            self.scan(0)?;
            self.set(item, value)?;
            if let Some(counter) = counter {
                self.set(counter, Value::Int(index))?;
            }
            match self.node(body) {
                Ok(_) | Err(Exit::Continue) => (),
                Err(Exit::Break) => break,
                Err(exit) => return Err(exit),
            }
        }
        Ok(Value::Unit)
    }

    fn verdict(&mut self, verdict: Verdict, args: &'a [Node]) -> Step<'a> {
        let mut values: SmallVec<[Value<'a>; 3]> = SmallVec::new();
        for arg in args {
            values.push(self.node(arg)?);
        }
        let texts: Option<SmallVec<[&str; 3]>> = values.iter().map(Value::text).collect();
        let answer = verdict::make(verdict, &texts.ok_or(Exit::GiveUp)?).ok_or(Exit::GiveUp)?;
        Ok(Value::Verdict(Box::new(answer)))
    }
}
