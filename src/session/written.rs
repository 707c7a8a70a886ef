//! What a session's statements write, so that no cache of the process gives what is not true any more: told when a statement is
//! sent, and again when what it did has come into effect, before the client hears of it. Owns no answer and no clock of writes;
//! that is `pipeline/cache`'s.

use super::relay::Session;
use super::statement::Effects;
use crate::pipeline::Pipeline;
use crate::statement;
use crate::statement::Facts;
use crate::statement::Kind;
use crate::statement::Needs;
use crate::statement::Writes;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Statements of one Query that nobody has read up to which each is looked at.
const STATEMENTS_MAX: usize = 64;

/// Tables of one transaction that are told apart.
const TABLES_MAX: usize = 256;

const PARSE: Needs = Needs {
    normalized: false,
    parse: true,
};

/// What the open transaction, or the statements under way, may have written.
#[derive(Debug, Default)]
pub(super) struct Written {
    tables: BTreeSet<Arc<str>>,
    anything: bool,
}

impl Written {
    fn is_nothing(&self) -> bool {
        !self.anything && self.tables.is_empty()
    }

    fn add(&mut self, writes: &Writes) {
        match writes {
            Writes::Nothing => (),
            Writes::Anything => self.anything = true,
            Writes::Tables(_) if self.anything => (),
            Writes::Tables(relations) => {
                let names = relations.tables.iter().map(|table| &table.name);
                self.tables.extend(names.map(Arc::clone));
                self.anything |= TABLES_MAX < self.tables.len();
            }
        }
        if self.anything {
            self.tables.clear();
        }
    }
}

/// What one statement does; it is parsed only where its words do not prove that it writes nothing.
fn effects_of(text: &str) -> Effects {
    if statement::analyze(text, Needs::default()).read_only {
        return Effects::default();
    }
    Effects::of(text, &statement::analyze(text, PARSE))
}

impl Session {
    /// What a decided statement does beside its answer. Where nobody keeps answers, nothing is looked for: whatever is not
    /// proven to write nothing may have written anything, should somebody begin to.
    pub(super) fn effects(&self, pipeline: &Pipeline, text: &str, facts: &Facts) -> Effects {
        if facts.read_only {
            return Effects::default();
        }
        if !self.shared.stages.generations().is_watched() {
            return Effects::UNASKED;
        }
        if pipeline.parses() {
            return Effects::of(text, facts);
        }
        // The facts of an EXECUTE are those of what it runs, which this text does not hold.
        if facts.kinds.contains(Kind::Execute) {
            return Effects::ANY;
        }
        effects_of(text)
    }

    /// The same for a text that no stage has read; it may hold several statements.
    pub(super) fn effects_unread(&self, sql: &[u8]) -> Effects {
        if !self.shared.stages.generations().is_watched() {
            return Effects::UNASKED;
        }
        let readable = std::str::from_utf8(sql).ok().filter(|_| self.is_readable());
        let Some(text) = readable else {
            return Effects::ANY;
        };
        if statement::is_single(text) {
            return effects_of(text);
        }
        let mut together = Effects::default();
        for (number, range) in statement::split(text).enumerate() {
            if STATEMENTS_MAX <= number {
                return Effects::ANY;
            }
            let effects = effects_of(&text[range]);
            together = Effects {
                writes: together.writes.and(effects.writes),
                hides_state: together.hides_state || effects.hides_state,
            };
        }
        together
    }

    /// A statement is about to be sent.
    pub(super) fn note_effects(&mut self, effects: &Effects) {
        if effects.hides_state
            && let Some(server) = &mut self.server
        {
            server.set_unsure();
        }
        if effects.writes == Writes::Nothing {
            return;
        }
        self.written.add(&effects.writes);
        self.tell_written();
    }

    /// Something of what was written may be in effect now.
    pub(super) fn tell_written(&self) {
        let generations = self.shared.stages.generations();
        if self.written.is_nothing() || !generations.is_watched() {
            return;
        }
        let Some(server) = &self.server else { return };
        let database = &server.pool().key.database;
        if self.written.anything {
            generations.wrote_anything(database);
        } else {
            let names = self.written.tables.iter().map(|name| &**name);
            generations.wrote(database, names);
        }
    }

    /// The server is ready. Outside of a transaction, and with nothing under way, all that was written is in effect or undone.
    pub(super) fn written_is_settled(&mut self) {
        self.tell_written();
        if self.tx == b'I' && !self.inflight.has_boundary() && !self.batch_open {
            self.written = Written::default();
        }
    }
}
