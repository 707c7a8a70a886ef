//! The node's rows of statements with masked columns: which rows those are, from their description, and how long one may be.
//! What is masked and how is `pipeline/mask`'s.
//!
//! Every row of a node passes `answers::walk`, whatever protocol asked for it, and there `row_is_masked` decides about it.

use super::answers::Fate;
use super::end::End;
use super::inflight::Expect;
use super::inflight::Inflight;
use super::relay::Session;
use super::statement::Decided;
use super::statement::Running;
use crate::pipeline::Masks;
use crate::pipeline::RowMask;
use crate::pipeline::Undescribed;
use crate::sqlstate::SqlState;
use crate::wire::encode;
use crate::wire::error_response;

/// A row is held whole while its values are replaced.
pub(super) const ROW_BYTES_MAX: usize = 16 * 1024 * 1024;

impl Session {
    /// A statement is sent about which a stage that masks was asked.
    pub(super) fn note_masks(&mut self, running: &Running) {
        self.masking |= running.parts.iter().any(|part| part.masks.is_some());
    }

    /// Asks what the rows of a portal are made of before it runs, unseen by the client: a client need not ask, and the rows
    /// alone do not say.
    pub(super) fn ask_for_columns(&mut self, portal: &[u8], decided: &Decided) {
        let hides = decided.masks.as_ref().is_some_and(|masks| masks.hides());
        if !hides {
            return;
        }
        let mut describe = Vec::new();
        encode::message(&mut describe, b'D', |out| {
            out.push(b'P');
            encode::cstr(out, portal);
        });
        self.send_expecting(&describe, Expect::Columns);
    }

    /// RowDescription (`T`) or NoData (`n`).
    pub(super) fn described(&mut self, tag: u8, body: &[u8]) -> Result<Fate, End> {
        let fate = match self.inflight.front() {
            Some(&mut Expect::Describe { hidden }) => {
                if tag == b'T' {
                    self.capture_head(body, hidden);
                }
                self.inflight.pop();
                return Ok(if hidden { Fate::Hide } else { Fate::Pass });
            }
            Some(Expect::Columns) => {
                self.inflight.pop();
                Fate::Hide
            }
            _ => {
                // Of a Query; what is masked is not captured.
                if tag == b'T' {
                    self.capture_head(body, false);
                }
                Fate::Pass
            }
        };
        if !self.masking {
            return Ok(fate);
        }
        let is_utf8 = !self.unreadable.in_encoding();
        self.rows = match masks_of_front(&mut self.inflight) {
            Some(masks) if masks.names_tables() => Some(Box::new(match tag {
                b'T' => masks.rows(body, is_utf8).map_err(End::Unmaskable)?,
                _ => RowMask::of_nothing(),
            })),
            _ => None,
        };
        Ok(fate)
    }

    /// Whether the row that comes now has masked values. A row of which the columns are not known does not pass.
    pub(super) fn row_is_masked(&mut self) -> Result<bool, End> {
        if let Some(rows) = &self.rows {
            return Ok(!rows.passes());
        }
        match masks_of_front(&mut self.inflight) {
            Some(masks) if masks.hides() => Err(End::Unmaskable(Undescribed)),
            _ => Ok(false),
        }
    }

    /// Gives the client a DataRow with masked values.
    pub(super) fn mask_row(&mut self, body: &[u8]) -> Result<(), End> {
        let Some(rows) = &mut self.rows else {
            return Err(End::Unmaskable(Undescribed));
        };
        let before = self.client.out.len();
        rows.rewrite(body, &mut self.client.out)
            .map_err(End::Unmaskable)?;
        self.tally.rows += 1;
        self.tally.bytes += (self.client.out.len() - before) as u64;
        Ok(())
    }

    /// An ErrorResponse of the node, as the client gets it. The detail of a broken constraint shows the row that broke it,
    /// whichever table the statement named: a foreign key changes others.
    pub(super) fn masked_error(&mut self, code: SqlState, body: &[u8]) -> Fate {
        if !self.masking {
            return Fate::Pass;
        }
        let class = &code.as_str()[..2];
        let names_tables =
            masks_of_front(&mut self.inflight).is_some_and(|masks| masks.names_tables());
        if !names_tables && !matches!(class, "23" | "44") {
            return Fate::Pass;
        }
        let mut error = Vec::new();
        error_response::without_detail(body, &mut error);
        Fate::Replace(error.into())
    }

    /// Everything is answered: what comes next was not asked about.
    pub(super) fn end_masking(&mut self) {
        self.rows = None;
        self.masking = false;
    }
}

/// The masks of the statement whose answer comes now.
fn masks_of_front(inflight: &mut Inflight) -> Option<&Masks> {
    match inflight.front() {
        Some(Expect::Query(running) | Expect::Execute(running)) => {
            running.parts.first()?.masks.as_deref()
        }
        _ => None,
    }
}
