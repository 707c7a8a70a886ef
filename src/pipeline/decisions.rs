//! The log of decisions: which of them are written, as what, and the lines that wait to be written. Owns no file and no
//! thread; whoever writes takes the lines from the [`Queue`].

mod queue;
mod record;
mod schema;

pub use queue::Queue;
pub use schema::schema as decision_schema;

use super::Detail;
use super::Pipeline;
use super::Statement;
use super::Trace;
use super::Verdict;
use crate::policy::Decisions;
use crate::policy::Sample;
use crate::policy::SqlDetail;
use record::Record;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// A decision of which it is not known yet whether a cache has the answer. Dropped, the statement was sent.
#[derive(Debug)]
pub struct PendingDecision {
    queue: Arc<Queue>,
    sent: Option<String>,
    answered: String,
}

impl PendingDecision {
    /// A cache had the answer.
    pub fn answered(mut self) {
        self.sent = None;
        self.queue.put(std::mem::take(&mut self.answered));
    }
}

impl Drop for PendingDecision {
    fn drop(&mut self) {
        if let Some(line) = self.sent.take() {
            self.queue.put(line);
        }
    }
}

/// What one policy revision writes of decisions.
pub struct DecisionLog {
    sample: Sample,
    sql: SqlDetail,
    revision: Box<str>,
    commit: Option<Arc<str>>,
    queue: Arc<Queue>,
}

impl DecisionLog {
    /// For the revision of that full hash.
    #[must_use]
    pub fn new(
        rules: &Decisions,
        revision: &str,
        commit: Option<Arc<str>>,
        queue: Arc<Queue>,
    ) -> Self {
        Self {
            sample: rules.sample,
            sql: rules.sql,
            revision: revision.into(),
            commit,
            queue,
        }
    }

    /// The lines that wait.
    #[must_use]
    pub fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    /// What a decision must tell to be written. Which are written follows from their ids.
    #[must_use]
    pub fn detail(&self, id: Uuid) -> Detail {
        if draw(id) < self.sample.deny.max(self.sample.allow) {
            Detail::Stages
        } else {
            Detail::Verdict
        }
    }

    /// Has a decision written, if it is one of those that are. `time` is since 1970.
    pub fn record(
        &self,
        pipeline: &Pipeline,
        statement: &Statement<'_>,
        trace: &Trace,
        time: Duration,
    ) {
        if let Some(line) = self.line(pipeline, statement, trace, time) {
            self.queue.put(line);
        }
    }

    /// The same for a statement that a cache may answer yet.
    pub fn record_later(
        &self,
        pipeline: &Pipeline,
        statement: &Statement<'_>,
        trace: &Trace,
        time: Duration,
    ) -> Option<PendingDecision> {
        let Verdict::Forward(permit) = &trace.verdict else {
            return None;
        };
        let cache = permit.cache()?;
        let mut answered = trace.clone();
        answered.answered(cache, Arc::default());
        Some(PendingDecision {
            queue: Arc::clone(&self.queue),
            answered: self.line(pipeline, statement, &answered, time)?,
            sent: Some(self.line(pipeline, statement, trace, time)?),
        })
    }

    /// The line of a decision, if it is one of those that are written.
    fn line(
        &self,
        pipeline: &Pipeline,
        statement: &Statement<'_>,
        trace: &Trace,
        time: Duration,
    ) -> Option<String> {
        let share = match trace.verdict {
            Verdict::Refuse(_) => self.sample.deny,
            Verdict::Reply(_) | Verdict::Cached(..) | Verdict::Forward(_) => self.sample.allow,
        };
        if share <= draw(statement.request_id) {
            return None;
        }
        // What `[sql]` refused unread is read for the record, where there is a text.
        let read = (trace.facts.is_none() && !statement.text.is_empty())
            .then(|| pipeline.analyzer.facts(statement.text, pipeline.needs));
        let record = Record::of(self, pipeline, statement, trace, read.as_deref(), time);
        let line = serde_json::to_string(&record).ok();
        if line.is_none() {
            self.queue.lose();
        }
        line
    }
}

/// A number from 0 to 1 that follows from the random end of an id: the same id is always among the same share.
#[must_use]
pub fn draw(id: Uuid) -> f64 {
    let [.., a, b, c, d] = *id.as_bytes();
    f64::from(u32::from_be_bytes([a, b, c, d])) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_follows_from_the_id() {
        let id = |end: u32| Uuid::from_u128(0xfeed << 96 | u128::from(end));
        assert!(draw(id(0)) == 0.0);
        assert!(draw(id(u32::MAX)) < 1.0);
        assert!((draw(id(1 << 31)) - 0.5).abs() < 1e-9);
    }
}
