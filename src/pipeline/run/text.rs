//! The text a run is about: what the stages are asked about at first, and what a stage replaces it by. Owns no order of stages.

use super::Refused;
use super::Run;
use crate::hook::Hook;
use crate::hook::Protocol;
use crate::hook::Refusal;
use crate::pipeline::stage::Stage;
use crate::pipeline::subject::Subject;
use crate::pipeline::subject::Text;
use crate::pipeline::subject::add_arguments;
use crate::pipeline::subject::function_call;
use crate::pipeline::verdict::Decider;
use crate::policy::OnUnparsed;
use crate::sandbox::Fault;
use crate::sqlstate::SqlState;
use crate::statement;
use crate::statement::Facts;
use crate::statement::Kind;
use crate::statement::KindSet;
use crate::statement::Sql;
use std::sync::Arc;
use std::time::Duration;

impl<'a> Run<'a> {
    /// Finds what the stages are asked about.
    pub(super) fn subject(&mut self) -> Result<Subject<'a>, Refused> {
        let outer = self.facts(self.statement.text, KindSet::EMPTY)?;
        match &outer.sql {
            Sql::Prepare { body, .. } => {
                let text = &self.statement.text[body.clone()];
                let facts = self.facts(text, outer.kinds)?;
                let prefix = &self.statement.text[..body.start];
                Ok(Subject {
                    prefix,
                    ..Subject::plain(Text::Came(text), facts)
                })
            }
            Sql::Execute { name } => {
                let Some(text) = self.statement.prepared.body(name) else {
                    self.by = Decider::Sql("unknown_prepared");
                    let message = format!("prepared statement \"{name}\" does not exist");
                    return Err(Box::new(self.signed(Refusal::with_code(
                        SqlState::INVALID_STATEMENT_NAME,
                        message,
                    ))));
                };
                let mut facts = self.facts(&text, outer.kinds)?;
                add_arguments(Arc::make_mut(&mut facts), &outer, self.statement.text);
                Ok(Subject {
                    stored: true,
                    ..Subject::plain(Text::Given(text), facts)
                })
            }
            Sql::Plain | Sql::Deallocate { .. } => {
                Ok(Subject::plain(Text::Came(self.statement.text), outer))
            }
        }
    }

    /// What the stages are asked about where the text is not known.
    pub(super) fn unread(&self, facts: Arc<Facts>) -> Subject<'a> {
        Subject {
            unread: true,
            ..Subject::plain(Text::Came(self.statement.text), facts)
        }
    }

    /// Facts of `text`, with the kinds of what encloses it.
    fn facts(&mut self, text: &str, enclosing: KindSet) -> Result<Arc<Facts>, Refused> {
        let mut facts = if self.statement.protocol == Protocol::FunctionCall {
            Arc::new(function_call(text))
        } else {
            self.pipeline.analyzer.facts(text, self.pipeline.needs)
        };
        if !enclosing.is_subset(facts.kinds) {
            let facts = Arc::make_mut(&mut facts);
            facts.kinds = facts.kinds.union(enclosing);
            facts.read_only &= enclosing == KindSet::of(Kind::Execute);
        }
        // A FunctionCall is never understood; the stages may still have a better word for their refusal.
        if self.statement.protocol != Protocol::FunctionCall {
            self.refuse_unparsed(&facts)?;
        }
        Ok(facts)
    }

    pub(super) fn refuse_unparsed(&mut self, facts: &Facts) -> Result<(), Refused> {
        if facts.kinds.contains(Kind::Unparsed) && self.pipeline.sql.on_unparsed == OnUnparsed::Deny
        {
            self.by = Decider::Sql("on_unparsed");
            let message = "statement cannot be understood, and the policy refuses what it does not understand";
            return Err(Box::new(
                self.signed(Refusal::with_code(SqlState::SYNTAX_ERROR, message)),
            ));
        }
        Ok(())
    }

    pub(super) fn bound(
        &mut self,
        stage: &Stage,
        hook: Hook,
        add_limit: Option<u64>,
        statement_timeout: Option<Duration>,
    ) -> Result<(), Refused> {
        if let Some(timeout) = statement_timeout {
            self.timeout = Some(self.timeout.map_or(timeout, |before| before.min(timeout)));
            self.bounded_by = Decider::Stage(Arc::clone(&stage.name));
        }
        let limited = add_limit
            .zip(self.subject.as_ref().filter(|subject| !subject.unread))
            .and_then(|(limit, subject)| {
                statement::add_limit(&subject.text, &subject.facts, limit)
            });
        match limited {
            Some(text) => self.replace(stage, hook, text),
            None => Ok(()),
        }
    }

    /// Goes on with `text`; what cannot be one statement, or cannot be replaced, is the stage's fault.
    pub(super) fn replace(
        &mut self,
        stage: &Stage,
        hook: Hook,
        text: String,
    ) -> Result<(), Refused> {
        let Some(subject) = &self.subject else {
            return Ok(());
        };
        if *subject.text == *text.as_str() {
            return Ok(());
        }
        let (prefix, stored) = (subject.prefix, subject.stored);
        let fault = if stored {
            Some("rewrote a statement that was already prepared")
        } else if statement::split(&text).count() != 1 {
            Some("rewrote to something that is not exactly one statement")
        } else {
            None
        };
        if let Some(why) = fault {
            return self.fault(stage, hook, &Fault::BadAnswer(why.into()));
        }
        let kinds = if prefix.is_empty() {
            KindSet::EMPTY
        } else {
            KindSet::of(Kind::Prepare)
        };
        let facts = self.facts(&text, kinds)?;
        self.bounded_by = Decider::Stage(Arc::clone(&stage.name));
        if self.came.is_none() {
            self.came = self
                .subject
                .as_ref()
                .map(|subject| Arc::clone(&subject.facts));
        }
        self.subject = Some(Subject {
            text: Text::Given(text.into()),
            facts,
            prefix,
            stored,
            unread: false,
            changed: true,
        });
        Ok(())
    }
}
