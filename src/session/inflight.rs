//! What the server connection still has to answer, in order. Each message that will be answered has an entry; replies of
//! our own wait here for their turn, so that a client reads answers in the order of its questions.

use super::statement::Portal;
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
        unnamed: bool,
        hidden: bool,
        name: Option<Box<[u8]>>,
    },
    /// BindComplete; the portal exists from then on.
    Bind { name: Box<[u8]>, portal: Portal },
    /// RowDescription or NoData, for a statement after ParameterDescription. Hidden where the client did not ask.
    Describe { hidden: bool },
    /// Rows and CommandComplete, EmptyQueryResponse or PortalSuspended.
    Execute(Running),
    /// CloseComplete; `evicted` is the statement that had to make room, hidden from the client.
    Close { evicted: Option<StatementKey> },
    /// ReadyForQuery of a batch.
    Sync,
    /// COPY data passed here that the node had not asked for yet; nothing is answered to it.
    CopyData,
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

/// What a reply stood for that a failed batch did not really do.
#[derive(Debug)]
pub(super) enum Undo {
    /// A prepared statement was not closed.
    Restore {
        name: Box<[u8]>,
        entry: Box<StatementEntry>,
    },
    /// A prepared statement was not prepared.
    Forget { name: Box<[u8]> },
}

/// The queue of expected answers.
#[derive(Debug, Default)]
pub(super) struct Inflight {
    queue: VecDeque<Expect>,
    /// Entries that end with ReadyForQuery.
    boundaries: usize,
    /// Something that only a Sync ends was pushed after the last of them.
    open: bool,
}

impl Inflight {
    pub(super) fn push(&mut self, expect: Expect) {
        self.boundaries += usize::from(expect.is_boundary());
        self.open = match expect {
            Expect::Local { .. } => self.open,
            _ => !expect.is_boundary(),
        };
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

    /// The portal that a Bind under way will make.
    pub(super) fn portal(&self, wanted: &[u8]) -> Option<&Portal> {
        self.queue.iter().rev().find_map(|expect| match expect {
            Expect::Bind { name, portal } if **name == *wanted => Some(portal),
            _ => None,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether the server has heard nothing of the batch, so that it need not hear of its end.
    pub(super) fn is_unheard(&self) -> bool {
        self.queue.is_empty() && !self.open
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
    pub(super) fn drop_ignored_syncs(&mut self) -> bool {
        let before = self.boundaries;
        while matches!(self.queue.get(1), Some(Expect::Sync)) {
            self.queue.remove(1);
            self.boundaries -= 1;
        }
        self.open |= self.boundaries < before;
        self.boundaries < before
    }

    /// A COPY has ended, and with it the end of its data.
    pub(super) fn consume_copy_end(&mut self) {
        while matches!(self.queue.get(1), Some(Expect::CopyData | Expect::CopyEnd)) {
            if let Some(Expect::CopyEnd) = self.queue.remove(1) {
                return;
            }
        }
    }

    /// COPY data passes before the node has asked for it.
    pub(super) fn note_copy_data(&mut self) {
        if !matches!(self.queue.back(), None | Some(Expect::CopyData)) {
            self.push(Expect::CopyData);
        }
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
