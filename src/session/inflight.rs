//! What the server connection still has to answer, in order. Each message that will be answered has an entry; replies of
//! our own wait here for their turn, so that a client reads answers in the order of its questions.

use super::statement::Running;
use super::statement::StatementEntry;
use crate::pool::Settings;
use crate::pool::StatementKey;
use std::collections::VecDeque;

/// One expected answer.
#[derive(Debug)]
pub(super) enum Expect {
    /// The answer to a Query; ends at ReadyForQuery.
    Query(Running),
    /// The answer to a FunctionCall; ends at ReadyForQuery.
    FunctionCall(Running),
    /// ParseComplete. When the Parse fails, the key is unknown to the server and `name` is unknown to the client.
    Parse {
        key: StatementKey,
        hidden: bool,
        name: Option<Box<[u8]>>,
    },
    /// BindComplete.
    Bind,
    /// RowDescription or NoData, for a statement after ParameterDescription.
    Describe,
    /// Rows and CommandComplete, EmptyQueryResponse or PortalSuspended.
    Execute(Running),
    /// CloseComplete.
    Close { hidden: bool },
    /// ReadyForQuery of a batch.
    Sync,
    /// CopyDone or CopyFail passed here; nothing is answered to it.
    CopyEnd,
    /// A Query of our own, hidden from the client; with these settings applied once it has ended.
    Own(Option<Settings>),
    /// A reply of ours. When the batch fails before its turn, it is not sent, and `undo` restores what it stood for.
    Local {
        bytes: Box<[u8]>,
        undo: Option<Undo>,
    },
    /// The error of a message that was made to fail; the client gets `error` instead. With `query`, until ReadyForQuery.
    Refused { error: Box<[u8]>, query: bool },
}

/// A prepared statement that a failed batch did not really close.
#[derive(Debug)]
pub(super) struct Undo {
    pub(super) name: Box<[u8]>,
    pub(super) entry: StatementEntry,
}

/// The queue of expected answers.
#[derive(Debug, Default)]
pub(super) struct Inflight {
    queue: VecDeque<Expect>,
    /// Entries that end with ReadyForQuery.
    boundaries: usize,
}

impl Inflight {
    pub(super) fn push(&mut self, expect: Expect) {
        self.boundaries += usize::from(expect.is_boundary());
        self.queue.push_back(expect);
    }

    pub(super) fn front(&mut self) -> Option<&mut Expect> {
        self.queue.front_mut()
    }

    pub(super) fn pop(&mut self) -> Option<Expect> {
        let expect = self.queue.pop_front()?;
        self.boundaries -= usize::from(expect.is_boundary());
        Some(expect)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether a whole batch or Query is still unanswered.
    pub(super) fn has_boundary(&self) -> bool {
        self.boundaries != 0
    }

    /// Whether the end of the COPY data that is asked for now has passed already.
    pub(super) fn copy_ended(&self) -> bool {
        self.queue
            .iter()
            .any(|expect| matches!(expect, Expect::CopyEnd))
    }

    /// COPY FROM has begun: the server ignores every Sync that came before the end of the data.
    pub(super) fn drop_ignored_syncs(&mut self) {
        let end = self
            .queue
            .iter()
            .position(|expect| matches!(expect, Expect::CopyEnd))
            .unwrap_or(self.queue.len());
        let mut index = 0;
        let mut dropped = 0;
        self.queue.retain(|expect| {
            let drop = index < end && matches!(expect, Expect::Sync);
            index += 1;
            dropped += usize::from(drop);
            !drop
        });
        self.boundaries -= dropped;
    }
}

impl Expect {
    fn is_boundary(&self) -> bool {
        matches!(
            self,
            Self::Query(_)
                | Self::FunctionCall(_)
                | Self::Sync
                | Self::Own(_)
                | Self::Refused { query: true, .. }
        )
    }
}
