//! An audit trail that shows when something was taken out or changed: one record for each connection, statement and end of a
//! session, with `hash = sha256(hash before it + record)`. The last hash is kept in the store, moved on by compare-and-swap; the record
//! goes to the log as `audit HASH RECORD`. No text of a statement and no literal is in it. `examples/audit/verify.py` checks a log.
//!
//! ```toml
//! [plugin.audit_chain]
//! path = "plugins/audit_chain.wasm"
//! ```

#![cfg_attr(target_arch = "wasm32", no_std)]

mod record;

use pgwarden_guest::Context;
use pgwarden_guest::Deny;
use pgwarden_guest::Text;
use pgwarden_guest::Verdict;
use pgwarden_guest::host;

pgwarden_guest::manifest!(include_str!("../manifest.json"));
pgwarden_guest::export!(on_connect => connected, post_query => asked, on_disconnect => left);

/// Where the store keeps the head: `CHAIN NUMBER HASH`.
const HEAD: &str = "head";
const HEAD_BYTES_MAX: usize = 128;
/// What the first record of a chain is linked to.
const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// Others may move the head on this often while a record tries to.
const TRIES_MAX: u32 = 64;
/// A line of the log has 1,024 bytes: `audit `, a hash, a blank, and this.
const RECORD_BYTES_MAX: usize = 1024 - 6 - 64 - 1;

/// The record could not be linked.
#[derive(PartialEq, Eq, Debug)]
struct NotLinked;

fn connected(context: &Context<'_>) -> Verdict {
    match link(context, "connect") {
        Ok(()) => Verdict::next(),
        // Nobody works unseen.
        Err(NotLinked) => Deny::new(&["the audit record could not be written"])
            .code("58000")
            .into(),
    }
}

fn asked(context: &Context<'_>) -> Verdict {
    observe(context, "statement")
}

fn left(context: &Context<'_>) -> Verdict {
    observe(context, "disconnect")
}

/// What has happened cannot be refused; that a record is missing is itself a line, which fails the check of the log.
fn observe(context: &Context<'_>, event: &str) -> Verdict {
    match link(context, event) {
        Ok(()) | Err(NotLinked) => Verdict::next(),
    }
}

/// Appends a record to the chain.
fn link(context: &Context<'_>, event: &str) -> Result<(), NotLinked> {
    let body = record::body(context, event);
    let body = body.whole().unwrap_or("}");
    for _ in 0..TRIES_MAX {
        let mut stored = [0; HEAD_BYTES_MAX];
        let old = host::kv_get(HEAD, &mut stored);
        let (chain, number, before) = match old {
            None => (host::now().max(0) as u64, 0, GENESIS),
            Some(old) => head(old).ok_or_else(|| failed("the head cannot be read", body))?,
        };
        let mut linked = Text::<{ 64 + RECORD_BYTES_MAX }>::of(&[before, "{\"chain\":"]);
        linked.push_decimal(chain);
        linked.push(",\"seq\":");
        linked.push_decimal(number + 1);
        linked.push(body);
        let linked = linked.whole().ok_or_else(|| failed("too long", body))?;
        let hash = host::sha256(linked.as_bytes());
        let hash = core::str::from_utf8(&hash).unwrap_or(GENESIS);
        let mut new = Text::<HEAD_BYTES_MAX>::default();
        new.push_decimal(chain);
        new.push(" ");
        new.push_decimal(number + 1);
        new.push(" ");
        new.push(hash);
        let new = new.whole().ok_or_else(|| failed("too long", body))?;
        match host::kv_compare_and_swap(HEAD, old, new.as_bytes(), 0) {
            Ok(true) => {
                let line = Text::<1024>::of(&["audit ", hash, " ", &linked[GENESIS.len()..]]);
                host::log(host::Level::Info, line.whole().unwrap_or_default());
                return Ok(());
            }
            Ok(false) => {}
            Err(_) => return Err(failed("the store is full", body)),
        }
    }
    Err(failed("the head moves too fast", body))
}

/// A head as it is stored.
fn head(stored: &[u8]) -> Option<(u64, u64, &str)> {
    let mut words = core::str::from_utf8(stored).ok()?.split(' ');
    let head = (
        words.next()?.parse().ok()?,
        words.next()?.parse().ok()?,
        words.next()?,
    );
    (head.2.len() == GENESIS.len()).then_some(head)
}

fn failed(why: &str, body: &str) -> NotLinked {
    let line = Text::<1024>::of(&[
        "audit unlinked (",
        why,
        ") {",
        body.strip_prefix(',').unwrap_or(body),
    ]);
    host::log(host::Level::Error, line.whole().unwrap_or("audit unlinked"));
    NotLinked
}

#[cfg(test)]
mod tests;
