//! Answers of a stage's cache on their way: looked for before a statement is sent, taken as the node's passes by, given to the
//! client. Owns no answer and no key; those are `pipeline/cache`'s. What a client gets of a kept answer goes through
//! [`Session::give`] alone.

use super::decide::AskedAbout;
use super::inflight::Expect;
use super::relay::Session;
use super::statement::Decided;
use super::statement::Go;
use super::world::Destination;
use crate::pipeline::Answer;
use crate::pipeline::Asked;
use crate::pipeline::Cacheable;
use crate::pipeline::Circumstances;
use crate::pipeline::Key;
use crate::pipeline::Permit;
use crate::pipeline::Stamp;
use crate::pipeline::Trace;
use crate::pipeline::Verdict;
use crate::policy::Role;
use crate::policy::RouteTarget;
use crate::statement::is_moment;
use crate::wire::encode;
use crate::wire::frame;
use crate::wire::frontend;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A Bind is held whole, and its answer looked for, up to this.
pub(super) const BIND_BYTES_MAX: usize = 64 * 1024;

/// What is bound to a statement, as far as an answer depends on it.
#[derive(Clone, Copy)]
pub(super) struct Bound<'a> {
    pub(super) types: &'a [u8],
    /// What Bind holds after its names.
    pub(super) rest: &'a [u8],
}

impl Bound<'_> {
    /// Of a Query.
    pub(super) const NOTHING: Bound<'static> = Bound {
        types: Asked::NO_TYPES,
        rest: Asked::NOTHING_BOUND,
    };
}

/// What looking for an answer came to.
enum Found {
    Answer(Arc<Answer>),
    /// There is none; the node's will be taken.
    Nothing,
    /// None may be given to this session now, and none be taken.
    Unasked,
}

/// An answer that is being taken.
pub(super) struct Fill {
    cache: Arc<Cacheable>,
    key: Key,
    statement: Key,
    route: RouteTarget,
    database: Arc<str>,
    stamp: Stamp,
    sent: Duration,
    /// The portal whose Execute gives it; `None` for a Query.
    portal: Option<Box<[u8]>>,
    /// That Execute is under way.
    executed: bool,
    head: Vec<u8>,
    rows: Vec<u8>,
    count: u64,
}

impl Fill {
    fn has_room(&self, bytes: usize) -> bool {
        self.head.len() + self.rows.len() + bytes <= self.cache.entry_bytes_max()
    }
}

/// A portal that is answered from a cache.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) answer: Arc<Answer>,
    /// Bytes of its rows that the client has.
    at: usize,
    /// Whether it has all of them, and was told so.
    ended: bool,
}

impl Given {
    pub(super) fn new(answer: Arc<Answer>) -> Self {
        Self {
            answer,
            at: 0,
            ended: false,
        }
    }

    /// What an Execute of at most `rows_max` rows gives, 0 for all, and how many rows that is.
    fn next(&mut self, rows_max: u32) -> (Vec<u8>, u64) {
        let Answer {
            rows, count, end, ..
        } = &*self.answer;
        let mut out = Vec::new();
        if self.at == 0 && !self.ended && rows_max == 0 {
            self.ended = true;
            out.extend_from_slice(rows);
            out.extend_from_slice(end);
            return (out, *count);
        }
        let (from, mut given) = (self.at, 0);
        while !self.ended && (rows_max == 0 || given < u64::from(rows_max)) {
            match frame::header(rows.get(self.at..).unwrap_or_default()) {
                Ok(Some(header)) => self.at += header.message_bytes(),
                _ => break,
            }
            given += 1;
        }
        out.extend_from_slice(rows.get(from..self.at).unwrap_or_default());
        // PostgreSQL does not look whether there is one more.
        if rows_max != 0 && given == u64::from(rows_max) {
            encode::portal_suspended(&mut out);
        } else {
            self.ended = true;
            encode::command_complete(&mut out, &format!("SELECT {given}"));
        }
        (out, given)
    }
}

impl Session {
    /// Looks for the answer of a statement that the stages let pass, and has the trace say where there is one. Whether there
    /// is none, so that the node's will be taken.
    pub(super) fn look_up(
        &mut self,
        asked: &AskedAbout<'_>,
        bound: Bound<'_>,
        trace: &mut Trace,
    ) -> bool {
        let Verdict::Forward(permit) = &trace.verdict else {
            return false;
        };
        let Some(cache) = permit.cache().map(Arc::clone) else {
            return false;
        };
        let text = trace.text.as_deref().unwrap_or(asked.text).as_bytes();
        match self.find(&cache, permit.route(), text, bound) {
            Found::Answer(answer) => trace.answered(&cache, answer),
            Found::Nothing => return true,
            Found::Unasked => (),
        }
        false
    }

    /// The same for a statement that was decided at its Parse.
    pub(super) fn look_up_decided(&mut self, decided: &mut Decided, text: &[u8], bound: Bound<'_>) {
        let Go::Node(permit) = &decided.go else {
            return;
        };
        let Some(cache) = permit.cache().map(Arc::clone) else {
            return;
        };
        match self.find(&cache, permit.route(), text, bound) {
            Found::Answer(answer) => decided.answer = Some(answer),
            Found::Nothing => decided.fills = true,
            Found::Unasked => (),
        }
    }

    fn find(
        &mut self,
        cache: &Arc<Cacheable>,
        route: RouteTarget,
        text: &[u8],
        bound: Bound<'_>,
    ) -> Found {
        self.fill = None;
        let may_be_moment =
            frontend::bound_values(bound.rest).is_none_or(|values| values.flatten().any(is_moment));
        if may_be_moment || !self.is_settled() {
            return Found::Unasked;
        }
        let Some(Destination {
            database,
            login,
            origin,
        }) = self.binding.destination(&self.context, route)
        else {
            return Found::Unasked;
        };
        let settings: Vec<(&str, &str)> = self.settings.iter().collect();
        let circumstances = Circumstances {
            database: &database,
            origin: &origin,
            login: &login,
            settings: &settings,
        };
        let asked = Asked {
            text,
            types: bound.types,
        };
        let key = cache.key(&circumstances, asked, bound.rest);
        let now = self.shared.services.monotonic();
        if let Some(answer) = cache.get(key, &database, now) {
            return Found::Answer(answer);
        }
        self.fill = Some(Box::new(Fill {
            statement: cache.statement_key(&circumstances, asked),
            cache: Arc::clone(cache),
            key,
            route,
            stamp: cache.stamp(),
            database,
            sent: now,
            portal: None,
            executed: false,
            head: Vec::new(),
            rows: Vec::new(),
            count: 0,
        }));
        Found::Nothing
    }

    /// Whether a node could prepare the statement before, so that a Parse need not ask one.
    pub(super) fn knows_statement(&self, permit: &Permit, text: &[u8], types: &[u8]) -> bool {
        let Some(cache) = permit.cache().filter(|_| self.is_settled()) else {
            return false;
        };
        let Some(to) = self.binding.destination(&self.context, permit.route()) else {
            return false;
        };
        let settings: Vec<(&str, &str)> = self.settings.iter().collect();
        let circumstances = Circumstances {
            database: &to.database,
            origin: &to.origin,
            login: &to.login,
            settings: &settings,
        };
        let key = cache.statement_key(&circumstances, Asked { text, types });
        cache.knows(key, &to.database, self.shared.services.monotonic())
    }

    /// Whether nothing but the settings it began with can change what a node answers this session.
    fn is_settled(&self) -> bool {
        self.tx == b'I'
            && self
                .server
                .as_ref()
                .is_none_or(|server| !server.is_dirty() && !server.is_unsure())
    }

    /// Gives the client a kept answer, or a part of it. The one place where kept rows go to a client.
    pub(super) fn give(&mut self, decided: &Decided, bytes: &[u8], rows: u64, since: Instant) {
        self.reply(bytes);
        let rows = usize::try_from(rows).unwrap_or(usize::MAX);
        self.reply_ended(decided, rows, bytes.len(), since.elapsed());
    }

    /// The whole answer to a Query.
    pub(super) fn give_to_query(&mut self, decided: &Decided, answer: &Answer) {
        let since = Instant::now();
        let mut bytes = Vec::with_capacity(answer.bytes() + 6);
        bytes.extend_from_slice(&answer.head);
        bytes.extend_from_slice(&answer.rows);
        bytes.extend_from_slice(&answer.end);
        encode::ready_for_query(&mut bytes, self.tx);
        self.statements.named.remove(b""); // a Query ends the unnamed statement
        self.statements.sql.settle();
        self.give(decided, &bytes, answer.count, since);
    }

    /// What an Execute of a portal that is answered from a cache gives. False where the portal is none.
    pub(super) fn give_to_execute(&mut self, portal: &[u8], rows_max: u32) -> bool {
        let Some(portal) = self.statements.portals.get_mut(portal) else {
            return false;
        };
        let Some(given) = &mut portal.given else {
            return false;
        };
        let since = Instant::now();
        let (bytes, rows) = given.next(rows_max);
        let decided = portal.decided.clone();
        self.give(&decided, &bytes, rows, since);
        true
    }

    // -- taking

    /// The Bind that was looked for goes to the node under this name.
    pub(super) fn fill_from_portal(&mut self, portal: &[u8]) {
        if let Some(fill) = &mut self.fill {
            fill.portal = Some(portal.into());
        }
    }

    /// Another Bind takes a portal's name: what was to come of the one before never will.
    pub(super) fn portal_is_replaced(&mut self) {
        if self
            .fill
            .as_ref()
            .is_some_and(|fill| fill.portal.is_some() && !fill.executed)
        {
            self.fill = None;
        }
    }

    /// Whether this Execute gives the answer that is taken.
    pub(super) fn fills_by_execute(&mut self, portal: &[u8], rows_max: u32) -> bool {
        let Some(fill) = &mut self.fill else {
            return false;
        };
        if fill.executed || fill.portal.as_deref() != Some(portal) {
            return false;
        }
        fill.executed = rows_max == 0;
        if rows_max != 0 {
            self.unfit();
        }
        rows_max == 0
    }

    /// What is taken cannot be kept.
    pub(super) fn unfit(&mut self) {
        self.capturing = false;
        if let Some(fill) = self.fill.take() {
            fill.cache.unfit();
        }
    }

    /// Whether the answer that passes is the one that is taken.
    fn is_filling(&mut self) -> bool {
        self.fill.is_some()
            && match self.inflight.front() {
                Some(Expect::Query(running) | Expect::Execute(running)) => running.fills,
                _ => false,
            }
    }

    /// A long message begins to pass; whether its bytes are taken.
    pub(super) fn begin_capture(&mut self, tag: u8, bytes: usize) {
        self.capturing = false;
        // A notification belongs to no answer.
        if tag == b'A' || !self.is_filling() {
            return;
        }
        match &mut self.fill {
            Some(fill) if tag == b'D' && fill.has_room(bytes) => {
                fill.count += 1;
                self.capturing = true;
            }
            _ => self.unfit(),
        }
    }

    /// Bytes of a row pass.
    pub(super) fn capture(&mut self, bytes: &[u8]) {
        if let Some(fill) = &mut self.fill {
            fill.rows.extend_from_slice(bytes);
        }
    }

    /// RowDescription passes: of the Query that is taken, or asked for in its stead.
    pub(super) fn capture_head(&mut self, body: &[u8], asked_for: bool) {
        if asked_for || self.is_filling() {
            let Some(fill) = &mut self.fill else { return };
            if fill.has_room(body.len()) {
                encode::message(&mut fill.head, b'T', |out| out.extend_from_slice(body));
            } else {
                self.unfit();
            }
        }
    }

    /// The answer that is taken is complete. Kept, if the server connection it came by is as the session's settings say and
    /// the place is one that the route means.
    pub(super) fn filled(&mut self, body: &[u8]) {
        self.capturing = false;
        let (Some(fill), Some(server)) = (self.fill.take(), &self.server) else {
            return;
        };
        let mut nodes = self.binding.world.policy.nodes.iter();
        let node = nodes.find(|node| node.name == server.pool().key.node);
        let is_late = node.is_none_or(|node| node.role == Role::Standby);
        let is_meant = self.place.is_some_and(|place| match fill.route {
            RouteTarget::Branch(branch) => place.branch == Some(branch),
            RouteTarget::Node(node) => place.node == node && place.branch.is_none(),
            RouteTarget::Default | RouteTarget::Primary | RouteTarget::Standby => {
                place.branch.is_none()
            }
        });
        let is_plain = !server.is_dirty()
            && !server.is_unsure()
            && server.applied().same(&self.settings)
            && server.pool().key.database == fill.database;
        let is_whole = !fill.head.is_empty() && body.starts_with(b"SELECT ");
        if !is_plain || !is_meant || !is_whole || is_late && !fill.cache.takes_late_answers() {
            return fill.cache.unfit();
        }
        let Fill {
            cache,
            key,
            statement,
            database,
            stamp,
            sent,
            head,
            rows,
            count,
            ..
        } = *fill;
        let mut end = Vec::new();
        encode::message(&mut end, b'C', |out| out.extend_from_slice(body));
        let answer = Answer {
            head: head.into(),
            rows: rows.into(),
            count,
            end: end.into(),
        };
        cache.put(key, &database, answer, stamp, sent);
        cache.put_statement(statement, stamp, sent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(rows: u8) -> Given {
        let mut out = Vec::new();
        for row in 0..rows {
            encode::data_row(&mut out, [Some(&[b'a' + row][..])].into_iter());
        }
        let mut end = Vec::new();
        encode::command_complete(&mut end, &format!("SELECT {rows}"));
        Given::new(Arc::new(Answer {
            head: Box::default(),
            rows: out.into(),
            count: u64::from(rows),
            end: end.into(),
        }))
    }

    /// The tags of what is given, and the text at the end of it.
    fn next(given: &mut Given, rows_max: u32) -> (String, String) {
        let (bytes, _) = given.next(rows_max);
        let (mut tags, mut rest, mut last) = (String::new(), &bytes[..], String::new());
        while let Ok(Some(header)) = frame::header(rest) {
            tags.push(char::from(header.tag));
            last = String::from_utf8_lossy(&rest[5..header.message_bytes()]).into_owned();
            rest = &rest[header.message_bytes()..];
        }
        (tags, last.trim_end_matches('\0').to_owned())
    }

    fn said(tags: &str, last: &str) -> (String, String) {
        (tags.to_owned(), last.to_owned())
    }

    #[test]
    fn a_kept_answer_is_given_in_parts_as_postgresql_gives_one() {
        let mut all = answer(3);
        assert_eq!(next(&mut all, 0), said("DDDC", "SELECT 3"));
        assert_eq!(next(&mut all, 0), said("C", "SELECT 0"));
        let mut parts = answer(3);
        assert_eq!(next(&mut parts, 2), said("DDs", ""));
        assert_eq!(next(&mut parts, 2), said("DC", "SELECT 1"));
        assert_eq!(next(&mut parts, 2), said("C", "SELECT 0"));
        let mut exact = answer(2);
        assert_eq!(next(&mut exact, 2), said("DDs", ""));
        assert_eq!(next(&mut exact, 0), said("C", "SELECT 0"));
        assert_eq!(next(&mut answer(0), 5), said("C", "SELECT 0"));
    }
}
