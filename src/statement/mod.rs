//! What a statement is, does and names, found from its text alone. Owns lexing, splitting, classifying, fingerprints and
//! the reading of names; not what a policy makes of them, and no state of a session.
//!
//! ```text
//! text -> lexer -> split -> classify (calls, functions) -> Facts      always: one pass, no allocation
//!                        \-> fingerprint, normalize
//!                        \-> tree -> relations                         only where a stage asks for names
//!                                 \-> exposure                          only where a stage masks columns of what is named
//! Facts -> steady, writes                                              only where answers are cached
//! ```
//!
//! # What cannot be seen
//!
//! A text does not show what views, rules, triggers, row-level security, function and procedure bodies, DO blocks and
//! dynamic SQL read or write, nor which table an unqualified name means under the session's `search_path`. User-defined
//! operators, casts and types run functions without naming them, and a user function that shadows one of PostgreSQL's
//! is taken for PostgreSQL's. `read_only` is proven up to these; a standby refuses what is left.
//!
//! # What is assumed
//!
//! UTF-8 text (or a server-side encoding of which ASCII is a part and no character's second byte) and
//! `standard_conforming_strings = on`. A text that would be other statements with that setting off is unparsed.

mod analyze;
mod analyzer;
mod calls;
mod classify;
mod exposure;
mod facts;
mod fingerprint;
mod functions;
mod hint;
mod keyword;
mod kind;
mod lexer;
mod limit;
mod names;
mod piece;
mod relations;
mod split;
mod steady;
mod tree;
mod verbs;
mod words;
mod writes;

pub use analyze::analyze;
pub use analyze::effect;
pub use analyzer::Analyzer;
pub use exposure::Column;
pub use exposure::Exposure;
pub use exposure::Form;
pub use exposure::Obstacle;
pub use exposure::Output;
pub use exposure::Source;
pub use exposure::Sources;
pub use facts::Facts;
pub use facts::Name;
pub use facts::Needs;
pub use facts::Relations;
pub use facts::Sql;
pub use hint::hints;
pub use kind::Kind;
pub use kind::KindSet;
pub use kind::SessionEffect;
pub use limit::add_limit;
pub use split::is_single;
pub use split::several;
pub use split::split;
pub use steady::is_moment;
pub use steady::unsteady;
pub use writes::Writes;
pub use writes::may_hide_state;
pub use writes::writes;
