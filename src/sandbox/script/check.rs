//! Reads a parsed script without running it: which fields and functions it names, whether they exist and are granted, and
//! whether it can grow. Owns no decision at run time; the gate asks again.

use super::super::Call;
use super::super::GuestSpec;
use super::super::HostFunction;
use super::super::LoadError;
use super::super::MetricOp;
use super::super::See;
use super::super::guest::code;
use super::super::suggest::nearest;
use super::builtin::BUILTIN;
use super::place::word;
use super::variables;
use super::verdict;
use crate::hook::abi::Field;
use crate::hook::abi::Fields;
use rhai::AST;
use rhai::ASTNode;
use rhai::Expr;
use rhai::FnCallExpr;
use rhai::Position;
use rhai::Stmt;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

/// What reading a script gave.
pub(super) struct Review {
    pub(super) errors: Vec<LoadError>,
    /// The fields it can ask for.
    pub(super) used: Fields,
    /// The fields it names, or may mean.
    pub(super) named: Fields,
    /// The calls of its that need a permission.
    pub(super) called: BTreeSet<Call>,
    /// Whether it has a loop or a function: without either, its memory is bounded by its length.
    pub(super) grows: bool,
}

struct Reader<'a> {
    text: &'a str,
    spec: &'a GuestSpec,
    functions: BTreeSet<String>,
    defined: BTreeSet<String>,
    review: Review,
    /// How often each variable stands before a field, and how often it stands anywhere.
    direct: [usize; variables::NAMES.len()],
    anywhere: [usize; variables::NAMES.len()],
}

pub(super) fn review(ast: &AST, text: &str, spec: &GuestSpec) -> Review {
    let mut reader = Reader {
        text,
        spec,
        functions: ast
            .iter_functions()
            .map(|function| function.name.to_owned())
            .collect(),
        defined: ast
            .iter_functions()
            .flat_map(|function| function.params)
            .map(str::to_owned)
            .collect(),
        review: Review {
            errors: Vec::new(),
            used: Fields::NONE,
            named: Fields::NONE,
            called: BTreeSet::new(),
            grows: false,
        },
        direct: Default::default(),
        anywhere: Default::default(),
    };
    reader.review.grows = !reader.functions.is_empty();
    ast.walk(&mut |path| {
        reader.definitions(path);
        true
    });
    ast.walk(&mut |path| {
        reader.node(path);
        true
    });
    reader.finish()
}

impl Reader<'_> {
    fn error(
        &mut self,
        code: &'static str,
        position: Position,
        message: String,
        help: Option<String>,
    ) {
        let mut error = LoadError::new(code, message).at(word(self.text, position));
        error.help = help;
        if !self.review.errors.contains(&error) {
            self.review.errors.push(error);
        }
    }

    fn definitions(&mut self, path: &[ASTNode<'_>]) {
        let Some(ASTNode::Stmt(statement)) = path.last() else {
            return;
        };
        match statement {
            Stmt::Var(var, ..) => self.define(&var.0.name, var.0.pos),
            Stmt::For(each, ..) => {
                self.review.grows = true;
                self.define(&each.0.name, each.0.pos);
                if let Some(counter) = &each.1 {
                    self.define(&counter.name, counter.pos);
                }
            }
            Stmt::While(..) | Stmt::Do(..) => self.review.grows = true,
            Stmt::TryCatch(flow, ..) => {
                if let Expr::Variable(variable, _, position) = &flow.expr {
                    self.define(&variable.1, *position);
                }
            }
            _ => {}
        }
    }

    fn define(&mut self, name: &str, position: Position) {
        if variables::NAMES.contains(&name) {
            let message = format!(
                "`{name}` is what the statement is found under, and cannot be defined again"
            );
            self.error(code::RESERVED_NAME, position, message, None);
        }
        self.defined.insert(name.to_owned());
    }

    fn node(&mut self, path: &[ASTNode<'_>]) {
        match path.last() {
            Some(
                ASTNode::Stmt(Stmt::FnCall(call, position))
                | ASTNode::Expr(Expr::FnCall(call, position)),
            ) => {
                self.call(call, *position, false);
            }
            Some(ASTNode::Expr(Expr::MethodCall(call, position))) => {
                self.call(call, *position, true)
            }
            Some(ASTNode::Expr(Expr::Variable(variable, _, position))) if variable.2.is_empty() => {
                self.variable(&variable.1, *position);
            }
            Some(ASTNode::Expr(Expr::Dot(dot, ..))) => {
                if let Expr::Variable(variable, ..) = &dot.lhs {
                    self.reach(&variable.1, &dot.rhs);
                }
            }
            _ => {}
        }
    }

    fn variable(&mut self, name: &str, position: Position) {
        if let Some(index) = variables::NAMES.iter().position(|known| *known == name) {
            self.anywhere[index] += 1;
            return;
        }
        if self.defined.contains(name) || self.functions.contains(name) {
            return;
        }
        let known = nearest(
            name,
            variables::NAMES
                .into_iter()
                .chain(self.defined.iter().map(String::as_str)),
        );
        let help = known.map(|known| format!("did you mean `{known}`?"));
        self.error(
            code::UNKNOWN_VARIABLE,
            position,
            format!("no variable `{name}`"),
            help,
        );
    }

    /// A variable with a dot behind it.
    fn reach(&mut self, variable: &str, behind: &Expr) {
        let Some(index) = variables::NAMES.iter().position(|known| *known == variable) else {
            return;
        };
        let (field, position) = match first(behind) {
            Expr::Property(property, position) => {
                self.direct[index] += 1;
                match Field::by_name(variable, &property.2) {
                    Some(field) => (field, *position),
                    None => return self.no_such_field(variable, &property.2, *position),
                }
            }
            Expr::MethodCall(call, position) => match variables::method(variable, &call.name) {
                Some(field) => {
                    self.direct[index] += 1;
                    (field, *position)
                }
                None => return,
            },
            _ => return,
        };
        self.field(field, position);
    }

    fn field(&mut self, field: Field, position: Position) {
        let (variable, name) = (field.row().variable, field.row().name);
        self.review.used.insert(field);
        self.review.named.insert(field);
        if let Some(see) = See::needed_for(field).filter(|see| !self.spec.grants.may_see(*see)) {
            let message = format!(
                "`{variable}.{name}` is not visible to stage `{}`",
                self.spec.stage
            );
            self.error(
                code::FIELD_NOT_GRANTED,
                position,
                message,
                Some(format!("needs `{}` in `see`", see.name())),
            );
        }
        if !self.spec.hooks.iter().any(|hook| field.is_at(*hook)) {
            let hooks = self.hooks();
            self.error(
                code::FIELD_NOT_HERE,
                position,
                format!("`{variable}` does not exist at {hooks}"),
                None,
            );
        }
    }

    fn no_such_field(&mut self, variable: &str, name: &str, position: Position) {
        if variable == "load" {
            let loads = &self.spec.loads;
            if !loads.iter().any(|known| **known == *name) {
                let known = nearest(name, loads.iter().map(|known| &**known));
                let help = match known {
                    Some(known) => format!("did you mean `{known}`?"),
                    None => format!(
                        "write it under `load` of the stage: {name} = {{ statement = \"..\" }}"
                    ),
                };
                let message = format!("stage `{}` loads no `{name}`", self.spec.stage);
                self.error(code::UNKNOWN_FIELD, position, message, Some(help));
            }
            return;
        }
        if variable == "config" {
            let object = self
                .spec
                .config
                .as_ref()
                .and_then(serde_json::Value::as_object);
            if !object.is_some_and(|object| object.contains_key(name)) {
                let known =
                    object.and_then(|object| nearest(name, object.keys().map(String::as_str)));
                let help = known.map(|known| format!("did you mean `{known}`?"));
                self.error(
                    code::UNKNOWN_FIELD,
                    position,
                    format!("the configuration has no `{name}`"),
                    help,
                );
            }
            return;
        }
        let names = Field::all()
            .filter(|row| row.variable == variable)
            .map(|row| row.name);
        let help = nearest(name, names).map(|known| format!("did you mean `{known}`?"));
        self.error(
            code::UNKNOWN_FIELD,
            position,
            format!("`{variable}` has no `{name}`"),
            help,
        );
    }

    fn call(&mut self, call: &FnCallExpr, position: Position, method: bool) {
        if call.op_token.is_some() {
            return;
        }
        if !call.namespace.is_empty() {
            self.host_call(call);
            return;
        }
        let name = call.name.as_str();
        if self.functions.contains(name) || self.is_capture(name, position) {
            return;
        }
        if let Some(row) = verdict::TABLE
            .iter()
            .find(|row| row.name == name && !method)
        {
            self.verdict(row, call.args.len(), position);
            return;
        }
        if BUILTIN.contains(&name) || (method && variables::METHODS.iter().any(|row| row.1 == name))
        {
            return;
        }
        let verdicts = verdict::TABLE.iter().map(|row| row.name);
        let methods = variables::METHODS.iter().map(|row| row.1);
        let known = BUILTIN
            .iter()
            .copied()
            .chain(verdicts)
            .chain(methods)
            .chain(self.functions.iter().map(String::as_str));
        let help = match name {
            "print" | "debug" => Some("use `log::info` or `log::trace`".to_owned()),
            _ => nearest(name, known).map(|known| format!("did you mean `{known}`?")),
        };
        self.error(
            code::UNKNOWN_FUNCTION,
            position,
            format!("no function `{name}`"),
            help,
        );
    }

    /// A closure that captures is a call of `curry` that nobody wrote. One that somebody wrote can double a value by one
    /// operation, and is no function here.
    fn is_capture(&self, name: &str, position: Position) -> bool {
        name == "curry" && &self.text[word(self.text, position)] != name
    }

    fn verdict(&mut self, row: &verdict::Row, args: usize, position: Position) {
        if !row.args.contains(&args) {
            let takes = counted(&row.args);
            let message = format!("`{}` takes {takes} arguments, and gets {args}", row.name);
            self.error(code::UNKNOWN_FUNCTION, position, message, None);
        }
        if !self.spec.hooks.iter().any(|hook| hook.accepts(row.kind)) {
            let hooks = self.hooks();
            self.error(
                code::ILLEGAL_VERDICT,
                position,
                format!("`{}` is no answer at {hooks}", row.name),
                None,
            );
        }
    }

    fn host_call(&mut self, call: &FnCallExpr) {
        let (module, name) = (call.namespace.root(), call.name.as_str());
        let position = call.namespace.position();
        let Some(function) =
            HostFunction::by_script_name(module, name).filter(|_| call.namespace.path.len() == 1)
        else {
            let names: Vec<String> = HostFunction::all()
                .filter_map(HostFunction::script_name)
                .collect();
            let written = format!("{module}::{name}");
            let help = nearest(&written, names.iter().map(String::as_str))
                .map(|known| format!("did you mean `{known}`?"));
            self.error(
                code::UNKNOWN_FUNCTION,
                position,
                format!("no function `{written}`"),
                help,
            );
            return;
        };
        if matches!(function, HostFunction::Contains | HostFunction::Matches) {
            self.review.used = self.spec.grants.fields();
            self.looks_through(call);
        }
        self.review.called.extend(function.needs());
        self.arguments(function, call);
        self.pattern(function, call);
        self.metric(function, call);
        let Some(needed) = function
            .needs()
            .filter(|needed| !self.spec.grants.may_call(*needed))
        else {
            return;
        };
        let grants = match &*self.spec.grants.name {
            "" => "the standard permissions do".to_owned(),
            name => format!("permissions `{name}` do"),
        };
        let message = format!(
            "stage `{}` calls `{module}::{name}`, which {grants} not grant",
            self.spec.stage
        );
        let help = format!("needs `{}` in `call`", needed.name());
        self.error(code::CALL_NOT_GRANTED, position, message, Some(help));
    }

    /// The field that `field::contains` and `field::matches` look through; any, where it is not written.
    fn looks_through(&mut self, call: &FnCallExpr) {
        let field = match call.args.first() {
            Some(Expr::StringConstant(path, _)) => variables::at_path(path),
            _ => None,
        };
        match field {
            Some(field) => self.review.named.insert(field),
            None => Field::all().for_each(|row| self.review.named.insert(row.field)),
        }
    }

    /// A pattern that is named in the script is one of the permission set's.
    fn pattern(&mut self, function: HostFunction, call: &FnCallExpr) {
        let (HostFunction::Matches, Some(Expr::StringConstant(name, position))) =
            (function, call.args.get(1))
        else {
            return;
        };
        let patterns = &self.spec.grants.patterns;
        if patterns.get(name).is_none() {
            let help =
                nearest(name, patterns.names()).map(|known| format!("did you mean `{known}`?"));
            let message = format!(
                "the permissions of stage `{}` have no pattern `{name}`",
                self.spec.stage
            );
            self.error(code::UNKNOWN_FIELD, *position, message, help);
        }
    }

    fn arguments(&mut self, function: HostFunction, call: &FnCallExpr) {
        let (takes, gets) = (function.row().script_arguments(), call.args.len());
        if takes.contains(&gets) {
            return;
        }
        let (module, name) = (call.namespace.root(), call.name.as_str());
        let message = format!(
            "`{module}::{name}` takes {} arguments, and gets {gets}",
            counted(&takes)
        );
        let position = call.namespace.position();
        self.error(code::UNKNOWN_FUNCTION, position, message, None);
    }

    /// A metric that is named in the script is one of the permission set's, where that has any.
    fn metric(&mut self, function: HostFunction, call: &FnCallExpr) {
        let op = match function {
            HostFunction::MetricAdd => MetricOp::Add,
            HostFunction::MetricSet => MetricOp::Set,
            HostFunction::MetricObserve => MetricOp::Observe,
            _ => return,
        };
        let Some(Expr::StringConstant(name, position)) = call.args.first() else {
            return;
        };
        let grants = &self.spec.grants;
        if let Err(message) = grants.may_touch(name, op) {
            let names = grants.metrics.keys().map(|name| &**name);
            let known = nearest(name, names.filter(|known| *known != name.as_str()));
            let help = known.map(|known| format!("did you mean `{known}`?"));
            let message = format!("{message}, stage `{}` calls it", self.spec.stage);
            self.error(code::UNKNOWN_FIELD, *position, message, help);
        }
    }

    fn hooks(&self) -> String {
        self.spec
            .hooks
            .iter()
            .map(|hook| hook.name())
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// A variable that is passed around may be asked for any of its fields.
    fn finish(mut self) -> Review {
        for (index, name) in variables::NAMES.iter().enumerate() {
            if self.direct[index] < self.anywhere[index] {
                for row in Field::all().filter(|row| row.variable == *name) {
                    self.review.used.insert(row.field);
                    self.review.named.insert(row.field);
                }
            }
        }
        self.review
            .errors
            .sort_by_key(|error| error.span.as_ref().map(|span| span.start));
        self.review
    }
}

fn counted(range: &RangeInclusive<usize>) -> String {
    let (least, most) = (range.start(), range.end());
    if least == most {
        format!("{least}")
    } else {
        format!("{least} to {most}")
    }
}

/// What stands first behind a dot.
fn first(behind: &Expr) -> &Expr {
    match behind {
        Expr::Dot(chain, ..) | Expr::Index(chain, ..) => first(&chain.lhs),
        other => other,
    }
}
