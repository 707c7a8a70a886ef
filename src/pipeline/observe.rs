//! The stages that watch: `cache_set`, `post_query`, `metrics`, `on_disconnect`; and `custom`, which runs when named.
//! All of a hook's observers run, whatever one of them does, and nothing they answer reaches the client.

use super::Pipeline;
use super::login::session_input;
use super::stage::Asked;
use super::stage::Spent;
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

impl Pipeline {
    /// Tells `cache_set` (after a read that a node answered), `post_query` and `metrics` how a statement ended.
    pub fn ended(
        &self,
        request_id: Uuid,
        session: &SessionContext,
        statement: &StatementContext<'_>,
        outcome: &Outcome,
        services: &Arc<dyn Services>,
    ) {
        for hook in [Hook::CacheSet, Hook::PostQuery, Hook::Metrics] {
            let cacheable = outcome.success && !outcome.cached && statement.facts.read_only;
            if hook == Hook::CacheSet && !cacheable {
                continue;
            }
            let input = Input {
                hook,
                request_id,
                session,
                statement: Some(statement),
                outcome: Some(outcome),
                auth: None,
                custom: None,
            };
            self.watch(&input, services);
        }
    }

    /// Tells `on_disconnect` that the client has gone.
    pub fn disconnect(&self, session: &SessionContext, services: &Arc<dyn Services>) {
        self.watch(&session_input(Hook::OnDisconnect, session, None), services);
    }

    /// Runs the `custom` chain.
    ///
    /// # Errors
    /// When a stage refuses, or fails and is closed.
    pub fn custom(
        &self,
        session: &SessionContext,
        call: CustomCall<'_>,
        services: &Arc<dyn Services>,
    ) -> Result<usize, Refusal> {
        let mut asked = 0;
        for stage in self.stages(Hook::Custom) {
            let input = Input {
                custom: Some(call),
                ..session_input(Hook::Custom, session, None)
            };
            match stage.ask(&input, services, &mut Spent::default()) {
                Asked::Skipped => continue,
                Asked::Answer(Answer::Block(refusal)) => return Err(refusal),
                Asked::Fault(fault) if stage.fault_refuses(Hook::Custom, &fault, services) => {
                    return Err(Refusal::with_code(
                        fault.sqlstate(),
                        "a stage of the policy failed",
                    ));
                }
                _ => asked += 1,
            }
        }
        Ok(asked)
    }

    /// Runs the `custom` chain for each event. Whoever emitted it does not learn what came of it.
    pub(super) fn emit(
        &self,
        effects: &Effects,
        session: &SessionContext,
        services: &Arc<dyn Services>,
    ) {
        for (name, payload) in &effects.events {
            if let Err(refusal) = self.custom(session, CustomCall { name, payload }, services) {
                tracing::info!(event = %name, code = %refusal.code, message = %refusal.message, "event refused");
            }
        }
    }

    fn watch(&self, input: &Input<'_>, services: &Arc<dyn Services>) {
        for stage in self.stages(input.hook) {
            let mut spent = Spent::default();
            if let Asked::Fault(fault) = stage.ask(input, services, &mut spent) {
                stage.fault_refuses(input.hook, &fault, services);
            }
            if let Some(effects) = spent.effects {
                self.emit(&effects, input.session, services);
            }
        }
    }
}
