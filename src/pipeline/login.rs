//! The stages of a connection: `on_connect` and `authenticate`. The built-in methods are `session/authenticate`'s.

use super::Pipeline;
use super::stage::Asked;
use super::stage::Spent;
use super::stage::Stage;
use crate::hook::Answer;
use crate::hook::AuthRequest;
use crate::hook::Hook;
use crate::hook::Identity;
use crate::hook::Input;
use crate::hook::Refusal;
use crate::hook::SessionContext;
use crate::policy::Mode;
use crate::sandbox::Effects;
use crate::sandbox::Fault;
use crate::sandbox::Services;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// What the `authenticate` stages say of a login.
#[must_use]
#[derive(Clone, Debug)]
pub enum Login {
    /// It is this identity.
    Success(Box<Identity>),
    /// It is not; the text is for the log.
    Denied(Arc<str>),
    /// None of them can tell.
    Defer,
}

/// A client that may not go on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TurnedAway {
    /// The stage that says so.
    pub by: Arc<str>,
    /// What the client is told before it is closed.
    pub refusal: Refusal,
}

impl Pipeline {
    /// Asks `on_connect` whether this client may go on; the stage that allowed it, and so ended the list. Cancel safe.
    ///
    /// # Errors
    /// The refusal, and whose it is.
    pub async fn connect(
        &self,
        session: &mut SessionContext,
        services: &Arc<dyn Services>,
    ) -> Result<Option<Arc<str>>, TurnedAway> {
        let now = self.now(services);
        for stage in self.stages(Hook::OnConnect) {
            let by = || Arc::clone(&stage.name);
            let input = session_input(Hook::OnConnect, session, None, now);
            let mut spent = Spent::default();
            let asked = stage.ask(&input, services, &mut spent).await;
            if let Some(effects) = spent.effects {
                self.emit(&effects, session, services).await;
                learn(session, *effects);
            }
            match asked {
                Asked::Fault(fault) if stage.fault_refuses(Hook::OnConnect, &fault, services) => {
                    return Err(TurnedAway {
                        by: by(),
                        refusal: failed(&fault),
                    });
                }
                _ if stage.mode == Mode::Observe => (),
                Asked::Answer(Answer::Block(refusal)) => {
                    stage.stats.refusals.fetch_add(1, Relaxed);
                    let refusal = self.signed_at_login(refusal, &stage.name, session.client_id);
                    return Err(TurnedAway { by: by(), refusal });
                }
                Asked::Answer(Answer::Allow) => return Ok(Some(by())),
                _ => (),
            }
        }
        Ok(None)
    }

    /// Asks `authenticate`: the first answer that is not `defer` counts, and a fault is a no. Cancel safe.
    pub async fn authenticate(
        &self,
        session: &SessionContext,
        request: &AuthRequest<'_>,
        services: &Arc<dyn Services>,
    ) -> Login {
        let input = session_input(
            Hook::Authenticate,
            session,
            Some(request),
            self.now(services),
        );
        for stage in self.stages(Hook::Authenticate) {
            let mut spent = Spent::default();
            let login = ask_login(stage, &input, services, &mut spent).await;
            if let Some(effects) = spent.effects {
                self.emit(&effects, session, services).await;
            }
            if let Some(login) = login {
                return login;
            }
        }
        Login::Defer
    }
}

async fn ask_login(
    stage: &Stage,
    input: &Input<'_>,
    services: &Arc<dyn Services>,
    spent: &mut Spent,
) -> Option<Login> {
    let asked = stage.ask(input, services, spent).await;
    if let Asked::Fault(fault) = &asked {
        return stage
            .fault_refuses(Hook::Authenticate, fault, services)
            .then(|| Login::Denied(format!("stage {} failed: {fault}", stage.name).into()));
    }
    if stage.mode == Mode::Observe {
        return None;
    }
    let denied = match asked {
        Asked::Answer(Answer::Success(identity)) => return Some(Login::Success(identity)),
        Asked::Answer(Answer::Denied(why)) => why.into(),
        Asked::Answer(Answer::Block(refusal)) => refusal.message,
        _ => return None,
    };
    stage.stats.refusals.fetch_add(1, Relaxed);
    Some(Login::Denied(denied))
}

/// Takes in the attributes a stage has set.
pub(super) fn learn(session: &mut SessionContext, effects: Effects) {
    session.learned.extend(effects.attributes);
}

/// What a client is told of a failure outside of any statement: which kind it was is nobody's business before a login.
pub(super) fn failed(fault: &Fault) -> Refusal {
    Refusal::with_code(fault.sqlstate(), "a stage of the policy failed")
}

/// What a stage is told where there is no statement.
pub(super) fn session_input<'a>(
    hook: Hook,
    session: &'a SessionContext,
    auth: Option<&'a AuthRequest<'a>>,
    now: Option<u64>,
) -> Input<'a> {
    Input {
        hook,
        request_id: session.client_id,
        session,
        statement: None,
        outcome: None,
        auth,
        custom: None,
        loaded: &[],
        now,
        lag: None,
    }
}
