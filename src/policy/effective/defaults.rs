//! What holds where nothing is written, noun by noun, as the policy has it. A key is shown as it could be written, or as a
//! comment where writing it would mean something.

use super::Line;
use super::Policy;
use super::Word;
use super::value::text;
use crate::policy::Action;
use crate::policy::BreakerRule;
use crate::policy::Gate;
use crate::policy::NodeAddress;
use crate::policy::OnFailure;
use crate::policy::OnUnparsed;
use crate::policy::Pool;
use crate::policy::PoolMode;
use crate::policy::SessionState;
use crate::policy::SessionsMove;
use crate::policy::SqlDetail;
use crate::policy::Stage;
use crate::policy::WhenFull;
use crate::sandbox::Abi;
use crate::sandbox::Limits;
use crate::sandbox::State;
use crate::unit;
use std::time::Duration;

/// Lines for the keys that a table does not have.
struct Lines<'w> {
    word: &'w Word,
    lines: Vec<Line>,
    are_comments: bool,
}

impl<'w> Lines<'w> {
    fn of(word: &'w Word) -> Self {
        Self {
            word,
            lines: Vec::new(),
            are_comments: false,
        }
    }

    fn add(&mut self, key: &str, value: impl Into<String>) {
        let written = self.word.entries().iter().any(|entry| entry.key == key);
        if !written {
            self.lines.push(Line {
                key: key.to_owned(),
                value: value.into(),
                note: "default".to_owned(),
                is_comment: self.are_comments,
            });
        }
    }

    fn duration(&mut self, key: &str, duration: Duration) {
        self.add(key, text(&unit::format_duration(duration)));
    }

    fn size(&mut self, key: &str, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.add(key, text(&unit::format_size(bytes)));
    }

    fn limits(&mut self, limits: &Limits) {
        self.add("fuel", limits.fuel.to_string());
        self.limits_but_fuel(limits);
    }

    fn limits_but_fuel(&mut self, limits: &Limits) {
        self.size("memory", limits.memory_bytes_max);
        self.duration("deadline", limits.deadline);
        self.size("max_input", limits.input_bytes_max);
        self.size("max_output", limits.output_bytes_max);
        self.add("max_host_calls", limits.host_calls_max.to_string());
    }

    fn breaker(&mut self, rule: BreakerRule) {
        let shown = |duration| text(&unit::format_duration(duration));
        let (within, retry_after) = (shown(rule.within), shown(rule.retry_after));
        let value = format!(
            "{{ failures = {}, within = {within}, retry_after = {retry_after} }}",
            rule.failures
        );
        self.add("breaker", value);
    }

    fn on_failure(&mut self, on_failure: OnFailure) {
        let word = match on_failure {
            OnFailure::Closed => "closed",
            OnFailure::Open => "open",
        };
        self.add("on_failure", text(word));
    }
}

/// Of a table with a name.
pub(super) fn of(policy: &Policy, noun: &str, name: &str, word: &Word) -> Vec<Line> {
    let mut lines = Lines::of(word);
    match noun {
        "listener" => listener(&mut lines, policy, name),
        "node" => node(&mut lines, policy, name),
        "pool" => pool(&mut lines, policy, name),
        "plugin" => plugin(&mut lines, policy, name),
        "stage" => {
            if let Some(stage) = policy.stages.iter().find(|known| &*known.name == name) {
                of_stage(&mut lines, stage);
            }
        }
        "pipeline" => {
            // A stage of that name would be meant.
            let taken = |name: &&str| policy.stages.iter().any(|stage| &*stage.name == *name);
            let methods = ["trust", "scram", "md5"];
            if !methods.iter().any(taken) {
                lines.add("authenticate", "[\"trust\", \"scram\", \"md5\"]");
            }
        }
        _ => (),
    }
    lines.lines
}

fn listener(lines: &mut Lines<'_>, policy: &Policy, name: &str) {
    let Some(listener) = policy.listeners.iter().find(|known| &*known.name == name) else {
        return;
    };
    if let Some(pipeline) = policy.pipelines.get(listener.pipeline) {
        lines.add("pipeline", text(&pipeline.name));
    }
    lines.add("tls", text("disable"));
    lines.add("max_connections", listener.max_connections.to_string());
    lines.duration("login_timeout", listener.login_timeout);
}

fn node(lines: &mut Lines<'_>, policy: &Policy, name: &str) {
    let Some(node) = policy.nodes.iter().find(|known| &*known.name == name) else {
        return;
    };
    let port = match node.address {
        NodeAddress::Tcp { port, .. } | NodeAddress::Unix(_, port) => port,
    };
    lines.add("port", port.to_string());
    lines.add("tls", text("disable"));
    lines.duration("connect_timeout", node.connect_timeout);
    lines.add("weight", node.weight.to_string());
}

fn pool(lines: &mut Lines<'_>, policy: &Policy, name: &str) {
    let Some(pool) = policy.pools.iter().find(|known| &*known.name == name) else {
        return;
    };
    let Pool { mode, reset, .. } = pool;
    lines.add(
        "mode",
        text(match mode {
            PoolMode::Session => "session",
            PoolMode::Transaction => "transaction",
        }),
    );
    lines.add("size", pool.size.to_string());
    lines.duration("wait", pool.wait);
    lines.add("reset", text(reset));
    lines.duration("idle_timeout", pool.idle_timeout);
    lines.duration("lifetime", pool.lifetime);
    let prepared = pool.max_prepared_statements.to_string();
    lines.add("max_prepared_statements", prepared);
    if *mode == PoolMode::Transaction {
        lines.add(
            "session_state",
            text(match pool.session_state {
                SessionState::Pin => "pin",
                SessionState::Refuse => "refuse",
                SessionState::Ignore => "ignore",
            }),
        );
    }
}

fn plugin(lines: &mut Lines<'_>, policy: &Policy, name: &str) {
    let Some(plugin) = policy.plugins.iter().find(|known| &*known.name == name) else {
        return;
    };
    lines.add("abi", text(plugin.abi.name()));
    lines.add(
        "state",
        text(match plugin.state {
            State::Fresh => "fresh",
            State::Kept => "kept",
        }),
    );
    lines.limits(&plugin.limits);
    lines.breaker(plugin.breaker);
}

fn of_stage(lines: &mut Lines<'_>, stage: &Stage) {
    if matches!(stage.action, Action::Script(_) | Action::Plugin(_)) {
        lines.limits(&stage.limits);
        lines.on_failure(stage.on_failure);
        lines.breaker(stage.breaker);
    }
    lines.add("mode", text("enforce"));
}

/// Of a table that exists once, written or not.
pub(super) fn of_single(policy: &Policy, noun: &str, is_written: bool, word: &Word) -> Vec<Line> {
    let mut lines = Lines::of(word);
    match noun {
        "sandbox" => sandbox(&mut lines, policy),
        "sql" => {
            // Where there is such a table, even a pipeline without stages reads what it passes on.
            lines.are_comments = !is_written;
            lines.add(
                "on_unparsed",
                text(match policy.sql.on_unparsed {
                    OnUnparsed::Deny => "deny",
                    OnUnparsed::AsWrite => "as_write",
                }),
            );
            lines.add("max_statements", policy.sql.max_statements.to_string());
            lines.size("max_bytes", policy.sql.max_bytes);
        }
        "reload" => {
            lines.add("watch", policy.reload.watch.to_string());
            lines.add("keep", policy.reload.keep.to_string());
            lines.add(
                "gate",
                text(match policy.reload.gate {
                    Gate::Check => "check",
                    Gate::Tests => "tests",
                }),
            );
            lines.add(
                "sessions",
                text(match policy.reload.sessions {
                    SessionsMove::Statement => "next_statement",
                    SessionsMove::Transaction => "next_transaction",
                    SessionsMove::Session => "next_session",
                }),
            );
        }
        "decisions" => decisions(&mut lines, policy),
        _ => (),
    }
    lines.lines
}

/// What the policy keeps are the limits of each guest; here stand those of the language.
fn sandbox(lines: &mut Lines<'_>, policy: &Policy) {
    let limits = Limits::default();
    // Written fuel is a ceiling for plugins of another ABI too, which have more without it.
    lines.are_comments = policy
        .plugins
        .iter()
        .any(|plugin| plugin.abi == Abi::Helios1);
    lines.add("fuel", limits.fuel.to_string());
    lines.are_comments = false;
    lines.limits_but_fuel(&limits);
    lines.size("max_module", limits.module_bytes_max);
    lines.add("max_log_lines", limits.log_lines_max.to_string());
    lines.on_failure(OnFailure::Closed);
    lines.breaker(BreakerRule::default());
}

fn decisions(lines: &mut Lines<'_>, policy: &Policy) {
    let Some(decisions) = &policy.decisions else {
        return;
    };
    let (deny, allow) = (decisions.sample.deny, decisions.sample.allow);
    lines.add(
        "sample",
        format!("{{ deny = {deny:?}, allow = {allow:?} }}"),
    );
    lines.add(
        "sql",
        text(match decisions.sql {
            SqlDetail::None => "none",
            SqlDetail::Fingerprint => "fingerprint",
            SqlDetail::Normalized => "normalized",
            SqlDetail::Text => "text",
        }),
    );
    lines.add(
        "full",
        text(match decisions.full {
            WhenFull::DropOldest => "drop_oldest",
            WhenFull::DropNewest => "drop_newest",
        }),
    );
}
