//! What one process needs to make logins look alike: the key of mock verifiers, and verifiers computed from passwords that
//! the policy holds as secrets. Owns no user.

use super::AuthenticateError;
use crate::wire::scram;
use crate::wire::scram::MockKey;
use crate::wire::scram::Verifier;
use std::collections::HashMap;
use std::io;
use std::sync::Mutex;
use std::sync::PoisonError;
use zeroize::Zeroizing;

/// Computed verifiers kept. When there are more, all are computed anew; a policy with so many users should have verifiers.
const VERIFIERS_MAX: usize = 10_000;

/// One for the process, across reloads.
#[derive(Debug)]
pub struct LoginKeys {
    mock: MockKey,
    /// By a keyed hash of user and password, so that a changed password finds nothing.
    verifiers: Mutex<HashMap<[u8; 32], Verifier>>,
}

impl LoginKeys {
    /// Keys from 32 random bytes.
    #[must_use]
    pub fn new(random: [u8; 32]) -> Self {
        Self {
            mock: MockKey::new(random),
            verifiers: Mutex::default(),
        }
    }

    /// The verifier of a user that does not exist.
    #[must_use]
    pub fn mock(&self, user: &str) -> Verifier {
        Verifier::mock(user, &self.mock)
    }

    /// The verifier of a password, computed once. Call it when a policy is loaded, for every user with a password: then no
    /// login takes longer than one of a user that does not exist. Cancel safe.
    ///
    /// # Errors
    /// When the process is stopping.
    pub async fn verifier(
        &self,
        user: &str,
        password: &Zeroizing<String>,
    ) -> Result<Verifier, AuthenticateError> {
        // The user's length keeps `ab` + `c` apart from `a` + `bc`.
        let known_by = Zeroizing::new(format!("{}:{user}{}", user.len(), password.as_str()));
        let place = *self.mock.derive(b"password", &known_by);
        let known = self
            .verifiers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&place)
            .cloned();
        if let Some(verifier) = known {
            return Ok(verifier);
        }
        let salt = self.mock.salt(user);
        let password = password.clone();
        let verifier =
            blocking(move || Verifier::from_password(&password, &salt, scram::ITERATIONS)).await?;
        let mut verifiers = self
            .verifiers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if VERIFIERS_MAX <= verifiers.len() {
            verifiers.clear();
        }
        verifiers.insert(place, verifier.clone());
        Ok(verifier)
    }
}

/// Runs thousands of hash rounds where they hold up no session.
pub(super) async fn blocking<T: Send + 'static>(
    rounds: impl FnOnce() -> T + Send + 'static,
) -> Result<T, AuthenticateError> {
    tokio::task::spawn_blocking(rounds)
        .await
        .map_err(|stopped| AuthenticateError::Io(io::Error::other(stopped)))
}
