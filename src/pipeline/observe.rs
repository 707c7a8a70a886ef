//! The stages that watch: `cache_set`, `post_query`, `metrics`, `on_disconnect`; and `custom`, which runs when named.
//! All of a hook's observers run, whatever one of them does, and nothing they answer reaches the client.

use super::Pipeline;
use super::login::failed;
use super::login::session_input;
use super::stage::Asked;
use super::stage::Spent;
use super::stage::Stage;
use crate::hook::Answer;
use crate::hook::CustomCall;
use crate::hook::Hook;
use crate::hook::Input;
use crate::hook::Outcome;
use crate::hook::Refusal;
use crate::hook::SessionContext;
use crate::hook::StatementContext;
use crate::sandbox::Effects;
use crate::sandbox::Services;
use std::sync::Arc;
use uuid::Uuid;

/// A statement that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    /// The id its other hooks had.
    pub request_id: Uuid,
    /// Whose.
    pub session: &'a SessionContext,
    /// Which.
    pub statement: &'a StatementContext<'a>,
    /// How.
    pub outcome: &'a Outcome,
}

impl<'a> Ended<'a> {
    fn hooks(&self) -> impl Iterator<Item = Hook> {
        let outcome = self.outcome;
        let cacheable = outcome.success && !outcome.cached && self.statement.facts.read_only;
        let hooks = [Hook::CacheSet, Hook::PostQuery, Hook::Metrics];
        hooks.into_iter().skip(usize::from(!cacheable))
    }

    fn input(&self, hook: Hook, now: Option<u64>) -> Input<'a> {
        Input {
            hook,
            request_id: self.request_id,
            session: self.session,
            statement: Some(self.statement),
            outcome: Some(self.outcome),
            auth: None,
            custom: None,
            loaded: &[],
            now,
            lag: None,
        }
    }
}

impl Pipeline {
    /// Tells `cache_set` (after a read that a node answered), `post_query` and `metrics` how a statement ended, and waits
    /// where one of them has to. Cancel safe.
    pub async fn ended(&self, ended: &Ended<'_>, services: &Arc<dyn Services>) {
        let now = self.now(services);
        for hook in ended.hooks() {
            self.watch(&ended.input(hook, now), services).await;
        }
    }

    /// The same where [`Pipeline::observers_may_wait`] says no.
    pub fn ended_at_once(&self, ended: &Ended<'_>, services: &Arc<dyn Services>) {
        let now = self.now(services);
        for hook in ended.hooks() {
            let input = ended.input(hook, now);
            for stage in self.stages(hook) {
                let mut spent = Spent::default();
                let asked = stage.ask_at_once(&input, services, &mut spent);
                stage.note_fault(&input, services, asked);
                if let Some(effects) = spent.effects {
                    self.emit_at_once(&effects, input.session, services);
                }
            }
        }
    }

    /// Tells `on_disconnect` that the client has gone. Cancel safe.
    pub async fn disconnect(&self, session: &SessionContext, services: &Arc<dyn Services>) {
        let input = session_input(Hook::OnDisconnect, session, None, self.now(services));
        self.watch(&input, services).await;
    }

    /// Runs the `custom` chain. Cancel safe.
    ///
    /// # Errors
    /// When a stage refuses, or fails and is closed.
    pub async fn custom(
        &self,
        session: &SessionContext,
        call: CustomCall<'_>,
        services: &Arc<dyn Services>,
    ) -> Result<usize, Refusal> {
        let input = custom_input(session, call, self.now(services));
        let mut asked = 0;
        for stage in self.stages(Hook::Custom) {
            // What it wants to have happen does not: events of events could go on for ever.
            let answer = stage.ask(&input, services, &mut Spent::default()).await;
            asked += usize::from(stage.took_part(answer, services)?);
        }
        Ok(asked)
    }

    /// The same where no stage of the chain has to wait.
    fn custom_at_once(
        &self,
        session: &SessionContext,
        call: CustomCall<'_>,
        services: &Arc<dyn Services>,
    ) -> Result<(), Refusal> {
        let input = custom_input(session, call, self.now(services));
        for stage in self.stages(Hook::Custom) {
            let answer = stage.ask_at_once(&input, services, &mut Spent::default());
            stage.took_part(answer, services)?;
        }
        Ok(())
    }

    /// Runs the `custom` chain for each event. Whoever emitted it does not learn what came of it. Cancel safe.
    pub(super) async fn emit(
        &self,
        effects: &Effects,
        session: &SessionContext,
        services: &Arc<dyn Services>,
    ) {
        for (name, payload) in &effects.events {
            let call = CustomCall { name, payload };
            // Boxed: whoever emits is a stage itself, and events are rare.
            if let Err(refusal) = Box::pin(self.custom(session, call, services)).await {
                log_refused(name, &refusal);
            }
        }
    }

    /// The same where no stage of the chain has to wait.
    pub(super) fn emit_at_once(
        &self,
        effects: &Effects,
        session: &SessionContext,
        services: &Arc<dyn Services>,
    ) {
        for (name, payload) in &effects.events {
            let call = CustomCall { name, payload };
            if let Err(refusal) = self.custom_at_once(session, call, services) {
                log_refused(name, &refusal);
            }
        }
    }

    async fn watch(&self, input: &Input<'_>, services: &Arc<dyn Services>) {
        for stage in self.stages(input.hook) {
            let mut spent = Spent::default();
            let asked = stage.ask(input, services, &mut spent).await;
            stage.note_fault(input, services, asked);
            if let Some(effects) = spent.effects {
                self.emit(&effects, input.session, services).await;
            }
        }
    }
}

fn custom_input<'a>(
    session: &'a SessionContext,
    call: CustomCall<'a>,
    now: Option<u64>,
) -> Input<'a> {
    Input {
        custom: Some(call),
        ..session_input(Hook::Custom, session, None, now)
    }
}

fn log_refused(event: &str, refusal: &Refusal) {
    tracing::info!(event, code = %refusal.code, message = %refusal.message, "event refused");
}

impl Stage {
    /// Whether it was asked about an event and has nothing against it.
    fn took_part(&self, asked: Asked, services: &Arc<dyn Services>) -> Result<bool, Refusal> {
        match asked {
            Asked::Skipped => Ok(false),
            Asked::Answer(Answer::Block(refusal)) => Err(refusal),
            Asked::Fault(fault) if self.fault_refuses(Hook::Custom, &fault, services) => {
                Err(failed(&fault))
            }
            _ => Ok(true),
        }
    }

    /// A fault of an observer is counted and logged, and changes nothing.
    fn note_fault(&self, input: &Input<'_>, services: &Arc<dyn Services>, asked: Asked) {
        if let Asked::Fault(fault) = asked {
            self.fault_refuses(input.hook, &fault, services);
        }
    }
}
