//! What counts as proof of who a client is, and what follows from it. The exchanges themselves are `authenticate`'s.

use crate::hook::AuthMethod;
use crate::hook::AuthRequest;
use crate::hook::ClientAddress;
use crate::hook::Identity;
use crate::hook::SessionContext;
use crate::pipeline::Login as StageAnswer;
use crate::pipeline::Pipeline;
use crate::policy::Admin;
use crate::policy::Credential;
use crate::sandbox::Services;
use crate::session::authenticate::AskStages;
use crate::session::authenticate::Authenticated;
use crate::session::authenticate::Method;
use crate::session::authenticate::StageLogin;
use crate::wire::startup::Parameters;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

pub(super) fn is_local(client: ClientAddress) -> bool {
    match client {
        ClientAddress::Unix => true,
        ClientAddress::Ip(address, _) => address.to_canonical().is_loopback(),
    }
}

/// A right to the console is given by name or by role, and by nothing else.
pub(super) fn may_use_console(admin: &Admin, identity: &Identity) -> bool {
    admin.users.contains(&identity.user)
        || identity.roles.iter().any(|role| admin.roles.contains(role))
}

pub(super) fn auth_method(authenticated: &Authenticated) -> AuthMethod {
    match authenticated.method {
        Method::Trust => AuthMethod::Trust,
        Method::Scram | Method::ScramPlus | Method::Password => AuthMethod::Scram,
        Method::Md5 => AuthMethod::Md5,
        Method::Stage => AuthMethod::Stage,
    }
}

/// The `authenticate` stages, and whom they said the client is.
pub(super) struct LoginStages<'a> {
    pub(super) pipeline: &'a Pipeline,
    pub(super) context: &'a SessionContext,
    pub(super) parameters: &'a Parameters,
    pub(super) services: &'a Arc<dyn Services>,
    pub(super) identity: Option<Box<Identity>>,
}

impl AskStages for LoginStages<'_> {
    fn ask<'s>(
        &'s mut self,
        password: &'s str,
    ) -> Pin<Box<dyn Future<Output = StageLogin> + Send + 's>> {
        Box::pin(self.answer(password))
    }
}

impl LoginStages<'_> {
    async fn answer(&mut self, password: &str) -> StageLogin {
        let parameters = self.parameters;
        let mut headers = vec![
            (
                "application_name".to_owned(),
                parameters.application_name.clone(),
            ),
            ("tls".to_owned(), self.context.tls.to_string()),
        ];
        headers.extend(parameters.settings.iter().cloned());
        let request = AuthRequest {
            headers: &headers,
            username: &parameters.user,
            password: Some(password),
        };
        let asking = self
            .pipeline
            .authenticate(self.context, &request, self.services);
        match asking.await {
            StageAnswer::Success(identity) => {
                self.identity = Some(identity);
                StageLogin::Accepted
            }
            StageAnswer::Denied(reason) => StageLogin::Denied {
                reason: reason.to_string(),
            },
            StageAnswer::Defer => StageLogin::Deferred,
        }
    }
}

pub(super) fn method_of(credential: &Credential) -> AuthMethod {
    match credential {
        Credential::Trust => AuthMethod::Trust,
        Credential::Verifier(_) | Credential::Password(_) => AuthMethod::Scram,
        Credential::Md5(_) => AuthMethod::Md5,
    }
}
