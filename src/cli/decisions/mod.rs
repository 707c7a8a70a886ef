//! The log of decisions, read again: its lines, what each tells, and what another policy would have decided. Owns no verb; `replay`,
//! `diff --impact` and `explain --decision` are made of it. What is written is `pipeline::decisions`'s.

mod again;
mod certain;
mod known;
mod lines;
mod outcome;
mod record;
mod tally;
#[cfg(test)]
mod tests;

pub(super) use again::Again;
pub(super) use again::Traced;
pub(super) use lines::Lines;
pub(super) use outcome::Decided;
pub(super) use record::Record;
pub(super) use tally::Tally;
pub(super) use tally::plain;
