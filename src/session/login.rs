//! From an accepted connection to a running session, told top to bottom: handshake, on_connect, authenticate, a place in
//! the policy, the node's parameters, and the first ReadyForQuery. The methods are `authenticate`'s.

mod error;
mod proof;
mod welcome;

use super::authenticate::Account;
use super::authenticate::Offer;
use super::authenticate::authenticate;
use super::canary::Seat;
use super::client::Client;
use super::control::Control;
use super::control::OpenConnection;
use super::handshake::Greeting;
use super::handshake::Startup;
use super::handshake::handshake;
use super::relay::Session;
use super::reset;
use super::world::Binding;
use super::world::Shared;
use super::world::World;
use crate::client_facing::ClientFacing;
use crate::hook::AuthMethod;
use crate::hook::ClientAddress;
use crate::hook::Hook;
use crate::hook::Identity;
use crate::hook::SessionContext;
use crate::net::Stream;
use crate::pipeline::Pipeline;
use crate::policy::Credential;
use crate::policy::PoolMode;
use crate::policy::User;
use crate::pool::Lease;
use crate::pool::Login;
use crate::pool::Patience;
use crate::pool::Settings;
use crate::pool::connect_relayed;
use crate::routing::Place;
use crate::wire::startup::Parameters;
use error::LoginError;
use proof::LoginStages;
use proof::auth_method;
use proof::is_local;
use proof::may_use_console;
use proof::method_of;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::SystemTime;
use tokio::time::Instant;
use uuid::Uuid;
use welcome::foretell;
use welcome::wanted_settings;
use welcome::welcome;

/// The database whose sessions are the operator's console.
pub const CONSOLE_DATABASE: &str = "pgwarden";

/// Serves a logged-in operator.
pub trait Console: Send + Sync {
    /// Runs until the operator leaves.
    fn run(
        &self,
        client: Client,
        context: SessionContext,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// A connection as the listener hands it over.
pub struct Accepted {
    /// The socket.
    pub stream: Stream,
    /// Where it came from.
    pub peer: ClientAddress,
    /// The listener's name.
    pub listener: Arc<str>,
    /// When it was accepted; the login's deadline counts from here.
    pub at: Instant,
    /// Keeps it counted.
    pub open: OpenConnection,
}

/// What a login leads to.
struct Admitted {
    binding: Binding,
    /// A server connection, where one could be had at once or had to be waited for.
    lease: Option<Lease>,
    place: Place,
    relayed: bool,
    settings: Settings,
    /// What the client is told of the node.
    parameters: Vec<(String, String)>,
}

/// Serves one connection from accept to close. Not cancel safe.
pub async fn serve(shared: Arc<Shared>, accepted: Accepted, console: Arc<dyn Console>) {
    let world = shared.live.load_full();
    let Some(listener) = world
        .policy
        .listeners
        .iter()
        .position(|known| known.name == accepted.listener)
    else {
        return; // the listener went away between accept and now
    };
    let deadline = accepted.at + world.policy.listeners[listener].login_timeout;
    let greeting = tokio::select! {
        greeting = handshake(accepted.stream, &world.listeners[listener], deadline) => greeting,
        () = shared.clients.stopping() => return, // it has not said what it wants, so there is nothing to answer
    };
    match greeting {
        Ok(Greeting::Closed) => (),
        Ok(Greeting::Cancel(key)) => shared.cancel.cancel(key.process_id, key.secret()).await,
        Ok(Greeting::Startup(startup)) => {
            let login = LoginAttempt {
                id: shared.new_id(),
                shared,
                world,
                listener,
                seat: None,
                peer: accepted.peer,
                deadline,
            };
            login
                .seated(&accepted.listener)
                .run(*startup, console)
                .await;
        }
        Err(failure) => {
            if failure.error.is_quiet() {
                tracing::debug!(error = %failure.error, "handshake ended early");
            } else {
                tracing::info!(error = %failure.error, "handshake failed");
            }
            if let Some(stream) = failure.stream {
                tell(&mut Client::new(stream), &failure.error).await;
            }
        }
    }
    drop(accepted.open);
}

async fn tell(client: &mut Client, error: &dyn ClientFacing) {
    super::refuse::fatal(error, &mut client.out);
    client.flush_last().await;
}

struct LoginAttempt {
    shared: Arc<Shared>,
    /// The world in force, or that of the canary whose session this becomes.
    world: Arc<World>,
    listener: usize,
    id: Uuid,
    seat: Option<Arc<Seat>>,
    peer: ClientAddress,
    deadline: Instant,
}

impl LoginAttempt {
    /// Takes a seat with the canary, where there is one that serves this session.
    fn seated(mut self, listener: &str) -> Self {
        let canary = self.world.canary.clone();
        if let Some(canary) = canary
            && let Some(seat) = canary.seat(self.id)
        {
            let mut listeners = canary.world.policy.listeners.iter();
            // A candidate with other listeners is no canary.
            if let Some(at) = listeners.position(|known| *known.name == *listener) {
                self.world = Arc::clone(&canary.world);
                self.listener = at;
                self.seat = Some(seat);
            }
        }
        self
    }

    async fn run(self, startup: Startup, console: Arc<dyn Console>) {
        let Startup {
            mut stream,
            parameters,
            minor,
            tls,
        } = startup;
        let mut context = self.context(&parameters, tls.is_some());
        let pipeline =
            Arc::clone(&self.world.pipelines[self.world.policy.listeners[self.listener].pipeline]);
        let checked = tokio::select! {
            checked = self.check(&pipeline, &mut context, &parameters, &mut stream) => checked,
            () = self.shared.clients.stopping() => Err(LoginError::Stopping),
        };
        let own_login = match checked {
            Ok(own_login) => own_login,
            Err(error) => return self.reject(&context, Client::new(stream), &error).await,
        };
        if context.database.as_ref() == CONSOLE_DATABASE {
            if own_login.is_none() || !may_use_console(&self.world.policy.admin, &context.identity)
            {
                let error = if own_login.is_none() {
                    LoginError::ConsoleWithoutUsers
                } else {
                    LoginError::Console
                };
                return self.reject(&context, Client::new(stream), &error).await;
            }
            drop((self, pipeline));
            return console.run(Client::new(stream), context).await;
        }
        let admitted = tokio::select! {
            admitted = self.admit(own_login, &mut context, &parameters, &mut stream) => admitted,
            () = self.shared.clients.stopping() => Err(LoginError::Stopping),
        };
        drop(pipeline);
        match admitted {
            Ok(admitted) => {
                self.start(admitted, context, Client::new(stream), minor)
                    .await
            }
            Err(error) => self.reject(&context, Client::new(stream), &error).await,
        }
    }

    async fn reject(&self, context: &SessionContext, mut client: Client, error: &LoginError) {
        match error {
            LoginError::Authenticate(error) if error.is_quiet() => {
                tracing::debug!(%error, "login ended early")
            }
            _ => {
                let tally = &self.shared.clients.tally;
                tally.logins_refused.fetch_add(1, Relaxed);
                if let Some(tally) = &self.world.tally {
                    tally.logins_refused.fetch_add(1, Relaxed);
                }
                tracing::info!(
                    user = %context.identity.user, database = %context.database, client = ?context.client, %error,
                    "login refused"
                );
            }
        }
        match error {
            LoginError::OnConnect(refusal) => {
                super::refuse::fatal_refusal(refusal, &mut client.out);
                client.flush_last().await;
            }
            LoginError::Settings(answer) if !answer.is_empty() => {
                client.out.extend_from_slice(answer);
                client.flush_last().await;
            }
            _ => tell(&mut client, error).await,
        }
    }

    /// What is known before anything is proven: the roles and attributes are those of the user the client says it is.
    fn context(&self, parameters: &Parameters, tls: bool) -> SessionContext {
        let user = self.world.policy.users.get(parameters.user.as_str());
        let mut context = SessionContext {
            client_id: self.id,
            identity: Identity {
                user: parameters.user.as_str().into(),
                ..Identity::default()
            },
            database: parameters.database.as_str().into(),
            branch: None,
            app: parameters.application_name.as_str().into(),
            listener: Arc::clone(&self.world.policy.listeners[self.listener].name),
            client: self.peer,
            tls,
            auth_method: AuthMethod::None,
            attributes: BTreeMap::new(),
            learned: BTreeMap::new(),
        };
        if let Some(user) = user {
            introduce(user, &mut context);
        }
        context
    }

    /// `on_connect`, then `authenticate`. The login the client may use on nodes; `None` when the nodes check clients
    /// themselves.
    async fn check(
        &self,
        pipeline: &Arc<Pipeline>,
        context: &mut SessionContext,
        parameters: &Parameters,
        stream: &mut Stream,
    ) -> Result<Option<Login>, LoginError> {
        let services = &self.world.services;
        tokio::time::timeout_at(self.deadline, pipeline.connect(context, services))
            .await
            .map_err(|_| LoginError::TooLate)?
            .map_err(|turned_away| LoginError::OnConnect(turned_away.refusal))?;
        let policy = &self.world.policy;
        if policy.users.is_empty() && !pipeline.has(Hook::Authenticate) {
            return Ok(None);
        }
        let user = policy.users.get(&context.identity.user);
        let expired = user.and_then(|user| user.expires).is_some_and(|expires| {
            let now =
                i64::try_from(self.shared.services.unix_micros() / 1_000_000).unwrap_or(i64::MAX);
            expires <= now
        });
        let builtin = &policy.pipelines[policy.listeners[self.listener].pipeline].builtin;
        let credential = user
            .map(|user| &user.credential)
            .filter(|credential| builtin.contains(&method_of(credential)));
        let (authenticated, by_stage) = {
            let mut ask = LoginStages {
                pipeline,
                context,
                parameters,
                services,
                identity: None,
            };
            let stages = pipeline.has(Hook::Authenticate);
            let offer = Offer {
                user: &parameters.user,
                credential,
                account: if expired {
                    Account::Expired
                } else {
                    Account::Open
                },
                stages: if stages { Some(&mut ask) } else { None },
                keys: &self.shared.login_keys,
                deadline: self.deadline,
            };
            (authenticate(stream, offer).await?, ask.identity)
        };
        // With stages that defer, a user with `trust` gets here by the method `password`, whatever it sent.
        let trusted = by_stage.is_none() && matches!(credential, Some(Credential::Trust));
        if trusted && !is_local(context.client) {
            return Err(LoginError::TrustIsLocal);
        }
        if let Some(identity) = by_stage {
            context.identity = *identity;
        }
        context.auth_method = auth_method(&authenticated);
        let user = Arc::clone(&context.identity.user);
        Ok(Some(Login {
            user,
            secret: authenticated.secret,
            settings: Vec::new(),
        }))
    }

    /// A place in the policy, and what the node says of itself. In session mode the session takes a server connection now if
    /// one is free; otherwise the first statement does, and only a node nobody has spoken to yet is asked at once.
    async fn admit(
        &self,
        own_login: Option<Login>,
        context: &mut SessionContext,
        parameters: &Parameters,
        stream: &mut Stream,
    ) -> Result<Admitted, LoginError> {
        let relayed = own_login.is_none();
        let mut binding = Binding::new(
            Arc::clone(&self.world),
            context,
            own_login,
            self.seat.clone(),
        )
        .map_err(LoginError::NoPlace)?;
        let place = binding
            .first_place(&self.shared)
            .ok_or(LoginError::NoPlace("node"))?;
        let route = binding.route(&self.shared, place, context);
        let (pool, plan) = (Arc::clone(&route.pool), Arc::clone(&route.plan));
        let settings = wanted_settings(parameters);
        if relayed {
            context.auth_method = AuthMethod::Node;
            let reservation = pool.reserve(&plan).await?;
            let connected = connect_relayed(&plan.target, parameters, stream, self.deadline).await;
            let mut lease = reservation.fill(connected.map_err(LoginError::Relay)?, &plan);
            lease.set_applied(settings.clone());
            let parameters = lease.parameters().to_vec();
            return Ok(Admitted {
                binding,
                lease: Some(lease),
                place,
                relayed,
                settings,
                parameters,
            });
        }
        let takes_one_now = plan.mode == PoolMode::Session && pool.has_room(&plan);
        if !takes_one_now
            && let Some(parameters) = pool.welcome().and_then(|known| foretell(&known, &settings))
        {
            return Ok(Admitted {
                binding,
                lease: None,
                place,
                relayed,
                settings,
                parameters,
            });
        }
        let leasing = async {
            let mut lease = pool.lease(&plan, Patience::Wait).await?;
            reset::apply(&mut lease, &settings)
                .await
                .map_err(LoginError::Settings)?;
            Ok::<_, LoginError>(lease)
        };
        let lease = tokio::time::timeout_at(self.deadline, leasing)
            .await
            .map_err(|_| LoginError::TooLate)??;
        let parameters = lease.parameters().to_vec();
        Ok(Admitted {
            binding,
            lease: Some(lease),
            place,
            relayed,
            settings,
            parameters,
        })
    }

    /// Welcomes the client and runs its session to the end. A session moves on with the policy, so nothing here may keep the
    /// revision of its login.
    async fn start(
        self,
        admitted: Admitted,
        context: SessionContext,
        mut client: Client,
        minor: u16,
    ) {
        let keeps = admitted.relayed || admitted.binding.mode() == PoolMode::Session;
        let pid = admitted
            .lease
            .as_ref()
            .filter(|_| keeps)
            .map(|lease| lease.key().process_id);
        let Ok(slot) = self.shared.cancel.issue(minor, pid) else {
            return self.reject(&context, client, &LoginError::Random).await;
        };
        welcome(&mut client, &admitted.parameters, &slot);
        let control = Arc::new(Control::new(context.clone(), slot.pid(), SystemTime::now()));
        self.shared.clients.insert(&control);
        tracing::info!(
            session = %context.client_id, user = %context.identity.user, database = %context.database,
            client = ?context.client, tls = context.tls, auth = context.auth_method.name(), "session began"
        );
        if let Some(tally) = &self.world.tally {
            tally.sessions.fetch_add(1, Relaxed);
        }
        let Self {
            shared,
            world,
            seat,
            ..
        } = self;
        drop((world, seat));
        let mut session = Session::new(
            Arc::clone(&shared),
            client,
            context,
            Arc::clone(&control),
            Arc::clone(&slot),
            admitted.binding,
            admitted.settings,
        );
        session.note_encoding(&admitted.parameters);
        if let Some(lease) = admitted.lease {
            session.begin(lease, admitted.place, admitted.relayed).await;
        }
        let end = session.relay().await;
        session.end(&end).await;
        shared.clients.remove(&control);
        shared.cancel.revoke(&slot);
        session.tell_untold().await;
        session
            .binding
            .pipeline
            .disconnect(&session.context, &session.binding.world.services)
            .await;
        tracing::info!(session = %session.context.client_id, reason = %end, "session ended");
    }
}

/// What the policy says of a user, before and after it has proven that it is that user.
pub fn introduce(user: &User, context: &mut SessionContext) {
    context.identity.roles.clone_from(&user.roles);
    context.identity.tenant = user.attributes.get("tenant").map(Arc::clone);
    context.attributes.clone_from(&user.attributes);
}
