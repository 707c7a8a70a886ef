//! The operator's console: the database `pgwarden`, simple queries only. Each command is one function in `show` or here.

mod guests;
mod show;

use super::reload::Cause;
use super::reload::Mistakes;
use super::reload::Reload;
use super::reload::Reloader;
use super::services::ProcessServices;
use super::status::Status;
use crate::hook::CustomCall;
use crate::hook::Rows;
use crate::hook::SessionContext;
use crate::session::Client;
use crate::session::Console;
use crate::session::Shared;
use crate::sqlstate::SqlState;
use crate::wire::encode;
use crate::wire::error_response::ErrorFields;
use crate::wire::frame;
use crate::wire::frame::HEADER_BYTES;
use crate::wire::frontend;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::Weak;

/// A command is not longer than this.
const COMMAND_BYTES_MAX: usize = 16 * 1024;

/// Serves operators.
pub(super) struct AdminConsole {
    shared: Arc<Shared>,
    services: Arc<ProcessServices>,
    status: Arc<Status>,
    reloader: OnceLock<Weak<Reloader>>,
}

/// What a command answers.
enum Answer {
    Rows(Rows),
    Done(&'static str),
    Failed {
        code: SqlState,
        message: String,
        detail: Option<String>,
    },
}

impl AdminConsole {
    pub(super) fn new(
        shared: Arc<Shared>,
        services: Arc<ProcessServices>,
        status: Arc<Status>,
    ) -> Self {
        Self {
            shared,
            services,
            status,
            reloader: OnceLock::new(),
        }
    }

    /// The listeners own the console and the reloader owns the listeners, so this way back is weak.
    pub(super) fn set_reloader(&self, reloader: &Arc<Reloader>) {
        self.reloader.get_or_init(|| Arc::downgrade(reloader));
    }

    async fn serve(&self, mut client: Client, context: SessionContext) {
        tracing::info!(user = %context.identity.user, client = ?context.client, "console session began");
        greet(&mut client);
        loop {
            if client.flush().await.is_err() {
                return;
            }
            let command = tokio::select! {
                command = self.next_command(&mut client) => command,
                () = self.shared.clients.stopping() => {
                    fatal(&mut client, SqlState::ADMIN_SHUTDOWN, "the proxy is stopping").await
                }
            };
            match command {
                Some(command) => self.answer(&mut client, &context, &command).await,
                None => return,
            }
        }
    }

    /// The text of the next Query; `None` when the operator has left or speaks something else.
    async fn next_command(&self, client: &mut Client) -> Option<String> {
        loop {
            match frame::header(&client.inbuf) {
                Ok(Some(header)) if COMMAND_BYTES_MAX < header.body_bytes => {
                    return fatal(
                        client,
                        SqlState::PROGRAM_LIMIT_EXCEEDED,
                        "command is too long",
                    )
                    .await;
                }
                Ok(Some(header)) if header.message_bytes() <= client.inbuf.len() => {
                    let message = client.inbuf.split_to(header.message_bytes());
                    match header.tag {
                        b'Q' => {
                            let text =
                                frontend::query(&message[HEADER_BYTES..]).unwrap_or_default();
                            return Some(String::from_utf8_lossy(text).into_owned());
                        }
                        b'X' => return None,
                        _ => {
                            let text = "the console speaks the simple query protocol only";
                            return fatal(client, SqlState::FEATURE_NOT_SUPPORTED, text).await;
                        }
                    }
                }
                Err(error) => {
                    return fatal(client, SqlState::PROTOCOL_VIOLATION, &error.to_string()).await;
                }
                Ok(_) => match client.read().await {
                    Ok(0) | Err(_) => return None,
                    Ok(_) => (),
                },
            }
        }
    }

    async fn answer(&self, client: &mut Client, context: &SessionContext, command: &str) {
        let command = command.trim().trim_end_matches(';').trim();
        let out = &mut client.out;
        if command.is_empty() {
            encode::message(out, b'I', |_| ());
        } else {
            match self.command(context, command).await {
                Answer::Rows(rows) => {
                    encode::row_description(out, rows.columns.iter().map(String::as_str), false);
                    for row in &rows.rows {
                        encode::data_row(
                            out,
                            row.iter().map(|value| value.as_deref().map(str::as_bytes)),
                        );
                    }
                    encode::command_complete(out, "SHOW");
                }
                Answer::Done(tag) => encode::command_complete(out, tag),
                Answer::Failed {
                    code,
                    message,
                    detail,
                } => {
                    ErrorFields {
                        detail: detail.as_deref(),
                        ..ErrorFields::error(code, &message)
                    }
                    .encode(out);
                }
            }
        }
        encode::ready_for_query(out, b'I');
    }

    async fn command(&self, context: &SessionContext, command: &str) -> Answer {
        let mut words = command.split_whitespace();
        let verb = words.next().unwrap_or_default().to_ascii_uppercase();
        let object = words.next().unwrap_or_default().to_ascii_uppercase();
        tracing::debug!(user = %context.identity.user, %verb, %object, "console command");
        match (verb.as_str(), words.next()) {
            ("RELOAD", None) if object.is_empty() => self.reload(context).await,
            ("SHOW", None) => match show::show(&object, &self.shared, &self.services, &self.status)
            {
                Some(rows) => Answer::Rows(rows),
                None => Answer::Failed {
                    code: SqlState::SYNTAX_ERROR,
                    message: format!("nothing to show of that name: {}", object.to_lowercase()),
                    detail: Some(format!("SHOW knows {}.", show::NAMES.join(", "))),
                },
            },
            ("EMIT", _) => self.emit(context, command).await,
            _ => Answer::Failed {
                code: SqlState::SYNTAX_ERROR,
                message: "unknown command".to_owned(),
                detail: Some(
                    "Commands are SHOW, RELOAD and EMIT; SHOW HELP lists what can be shown."
                        .to_owned(),
                ),
            },
        }
    }

    async fn reload(&self, context: &SessionContext) -> Answer {
        let Some(reloader) = self.reloader.get().and_then(Weak::upgrade) else {
            return Answer::Failed {
                code: SqlState::CANNOT_CONNECT_NOW,
                message: "the process is starting or stopping".to_owned(),
                detail: None,
            };
        };
        tracing::info!(user = %context.identity.user, "reload asked for on the console");
        match reloader.reload(Cause::Console).await {
            Reload::Swapped { .. } => Answer::Done("RELOAD"),
            Reload::Kept(Mistakes { reasons, .. }) => Answer::Failed {
                code: SqlState::CONFIG_FILE_ERROR,
                message: format!(
                    "the policy has {} mistakes, the running policy stays",
                    reasons.len()
                ),
                detail: Some(reasons.join("\n")),
            },
        }
    }

    /// `EMIT name payload`: runs the `custom` chain of the console's listener.
    async fn emit(&self, context: &SessionContext, command: &str) -> Answer {
        let rest = command[4..].trim_start();
        let (name, payload) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        if name.is_empty() {
            return Answer::Failed {
                code: SqlState::SYNTAX_ERROR,
                message: "EMIT needs the event's name".to_owned(),
                detail: None,
            };
        }
        let world = self.shared.live.load_full();
        let listener = world
            .policy
            .listeners
            .iter()
            .find(|listener| listener.name == context.listener);
        let Some(pipeline) = listener.map(|listener| &world.pipelines[listener.pipeline]) else {
            return Answer::Failed {
                code: SqlState::CANNOT_CONNECT_NOW,
                message: "the listener of this console is not in the policy any more".to_owned(),
                detail: None,
            };
        };
        let custom = pipeline.custom(
            context,
            CustomCall {
                name,
                payload: payload.trim(),
            },
            &world.services,
        );
        match custom.await {
            Ok(asked) => Answer::Rows(Rows {
                columns: vec!["stages".to_owned()],
                rows: vec![vec![Some(asked.to_string())]],
            }),
            Err(refusal) => Answer::Failed {
                code: refusal.code,
                message: refusal.message.to_string(),
                detail: refusal.detail.map(|detail| detail.to_string()),
            },
        }
    }
}

impl Console for AdminConsole {
    fn run(
        &self,
        client: Client,
        context: SessionContext,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.serve(client, context))
    }
}

fn greet(client: &mut Client) {
    let out = &mut client.out;
    encode::authentication_ok(out);
    let version = concat!("15.0 (pgwarden ", env!("CARGO_PKG_VERSION"), ")");
    for (name, value) in [
        ("server_version", version),
        ("server_encoding", "UTF8"),
        ("client_encoding", "UTF8"),
        ("DateStyle", "ISO, MDY"),
        ("TimeZone", "UTC"),
        ("standard_conforming_strings", "on"),
        ("integer_datetimes", "on"),
    ] {
        encode::parameter_status(out, name, value);
    }
    encode::ready_for_query(out, b'I');
}

async fn fatal(client: &mut Client, code: SqlState, message: &str) -> Option<String> {
    ErrorFields::fatal(code, message).encode(&mut client.out);
    client.flush_last().await;
    None
}
