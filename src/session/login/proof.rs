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
use crate::session::authenticate::Authenticated;
use crate::session::authenticate::Method;
use crate::session::authenticate::StageLogin;
use crate::session::world::Shared;
use crate::wire::startup::Parameters;

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

pub(super) fn ask_stages(
    pipeline: &Pipeline,
    context: &SessionContext,
    parameters: &Parameters,
    password: &str,
    shared: &Shared,
) -> (StageLogin, Option<Box<Identity>>) {
    let mut headers = vec![
        (
            "application_name".to_owned(),
            parameters.application_name.clone(),
        ),
        ("tls".to_owned(), context.tls.to_string()),
    ];
    headers.extend(parameters.settings.iter().cloned());
    let request = AuthRequest {
        headers: &headers,
        username: &parameters.user,
        password: Some(password),
    };
    match pipeline.authenticate(context, &request, &shared.services) {
        StageAnswer::Success(identity) => (StageLogin::Accepted, Some(identity)),
        StageAnswer::Denied(reason) => (
            StageLogin::Denied {
                reason: reason.to_string(),
            },
            None,
        ),
        StageAnswer::Defer => (StageLogin::Deferred, None),
    }
}

pub(super) fn method_of(credential: &Credential) -> AuthMethod {
    match credential {
        Credential::Trust => AuthMethod::Trust,
        Credential::Verifier(_) | Credential::Password(_) => AuthMethod::Scram,
        Credential::Md5(_) => AuthMethod::Md5,
    }
}
