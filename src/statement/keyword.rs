//! PostgreSQL's keywords (15, `pg_get_keywords()`) and their categories, found by a table built at compile time.
//! Owns no meaning: what a keyword says about a statement is in `classify`.

use super::words::Folded;

/// How far a keyword can be used as a name (PostgreSQL manual, appendix C).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Category {
    /// Never a name, only a label after `AS` or a dot.
    Reserved,
    /// Can name a function or a type.
    TypeOrFunction,
    /// Can name a column or a table, never a function.
    ColumnName,
    /// Can name anything.
    Unreserved,
}

macro_rules! keywords {
    ($($category:ident { $($text:ident $name:ident),* $(,)? })*) => {
        /// One keyword.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(crate) enum Keyword {
            $($(#[doc = stringify!($text)] $name,)*)*
        }

        const KEYWORDS: &[(&str, Keyword, Category)] =
            &[$($((stringify!($text), Keyword::$name, Category::$category),)*)*];
    };
}

keywords! {
    Reserved {
        all All, analyse Analyse, analyze Analyze, and And, any Any, array Array, as As, asc Asc,
        asymmetric Asymmetric, both Both, case Case, cast Cast, check Check, collate Collate, column Column,
        constraint Constraint, create Create, current_catalog CurrentCatalog, current_date CurrentDate,
        current_role CurrentRole, current_time CurrentTime, current_timestamp CurrentTimestamp,
        current_user CurrentUser, default Default, deferrable Deferrable, desc Desc, distinct Distinct, do Do,
        else Else, end End, except Except, false False, fetch Fetch, for For, foreign Foreign, from From,
        grant Grant, group Group, having Having, in In, initially Initially, intersect Intersect, into Into,
        lateral Lateral, leading Leading, limit Limit, localtime Localtime, localtimestamp Localtimestamp,
        not Not, null Null, offset Offset, on On, only Only, or Or, order Order, placing Placing,
        primary Primary, references References, returning Returning, select Select, session_user SessionUser,
        some Some, symmetric Symmetric, table Table, then Then, to To, trailing Trailing, true True,
        union Union, unique Unique, user User, using Using, variadic Variadic, when When, where Where,
        window Window, with With,
    }
    TypeOrFunction {
        authorization Authorization, binary Binary, collation Collation, concurrently Concurrently,
        cross Cross, current_schema CurrentSchema, freeze Freeze, full Full, ilike Ilike, inner Inner, is Is,
        isnull Isnull, join Join, left Left, like Like, natural Natural, notnull Notnull, outer Outer,
        overlaps Overlaps, right Right, similar Similar, tablesample Tablesample, verbose Verbose,
    }
    ColumnName {
        between Between, bigint Bigint, bit Bit, boolean Boolean, char Char, character Character,
        coalesce Coalesce, dec Dec, decimal Decimal, exists Exists, extract Extract, float Float,
        greatest Greatest, grouping Grouping, inout Inout, int Int, integer Integer, interval Interval,
        least Least, national National, nchar Nchar, none None, normalize Normalize, nullif Nullif,
        numeric Numeric, out Out, overlay Overlay, position Position, precision Precision, real Real, row Row,
        setof Setof, smallint Smallint, substring Substring, time Time, timestamp Timestamp, treat Treat,
        trim Trim, values Values, varchar Varchar, xmlattributes Xmlattributes, xmlconcat Xmlconcat,
        xmlelement Xmlelement, xmlexists Xmlexists, xmlforest Xmlforest, xmlnamespaces Xmlnamespaces,
        xmlparse Xmlparse, xmlpi Xmlpi, xmlroot Xmlroot, xmlserialize Xmlserialize, xmltable Xmltable,
    }
    Unreserved {
        abort Abort, absolute Absolute, access Access, action Action, add Add, admin Admin, after After,
        aggregate Aggregate, also Also, alter Alter, always Always, asensitive Asensitive, assertion Assertion,
        assignment Assignment, at At, atomic Atomic, attach Attach, attribute Attribute, backward Backward,
        before Before, begin Begin, breadth Breadth, by By, cache Cache, call Call, called Called,
        cascade Cascade, cascaded Cascaded, catalog Catalog, chain Chain, characteristics Characteristics,
        checkpoint Checkpoint, class Class, close Close, cluster Cluster, columns Columns, comment Comment,
        comments Comments, commit Commit, committed Committed, compression Compression,
        configuration Configuration, conflict Conflict, connection Connection, constraints Constraints,
        content Content, continue Continue, conversion Conversion, copy Copy, cost Cost, csv Csv, cube Cube,
        current Current, cursor Cursor, cycle Cycle, data Data, database Database, day Day,
        deallocate Deallocate, declare Declare, defaults Defaults, deferred Deferred, definer Definer,
        delete Delete, delimiter Delimiter, delimiters Delimiters, depends Depends, depth Depth, detach Detach,
        dictionary Dictionary, disable Disable, discard Discard, document Document, domain Domain,
        double Double, drop Drop, each Each, enable Enable, encoding Encoding, encrypted Encrypted, enum Enum,
        escape Escape, event Event, exclude Exclude, excluding Excluding, exclusive Exclusive, execute Execute,
        explain Explain, expression Expression, extension Extension, external External, family Family,
        filter Filter, finalize Finalize, first First, following Following, force Force, forward Forward,
        function Function, functions Functions, generated Generated, global Global, granted Granted,
        groups Groups, handler Handler, header Header, hold Hold, hour Hour, identity Identity, if If,
        immediate Immediate, immutable Immutable, implicit Implicit, import Import, include Include,
        including Including, increment Increment, index Index, indexes Indexes, inherit Inherit,
        inherits Inherits, inline Inline, input Input, insensitive Insensitive, insert Insert, instead Instead,
        invoker Invoker, isolation Isolation, key Key, label Label, language Language, large Large, last Last,
        leakproof Leakproof, level Level, listen Listen, load Load, local Local, location Location, lock Lock,
        locked Locked, logged Logged, mapping Mapping, match Match, matched Matched, materialized Materialized,
        maxvalue Maxvalue, merge Merge, method Method, minute Minute, minvalue Minvalue, mode Mode,
        month Month, move Move, name Name, names Names, new New, next Next, nfc Nfc, nfd Nfd, nfkc Nfkc,
        nfkd Nfkd, no No, normalized Normalized, nothing Nothing, notify Notify, nowait Nowait, nulls Nulls,
        object Object, of Of, off Off, oids Oids, old Old, operator Operator, option Option, options Options,
        ordinality Ordinality, others Others, over Over, overriding Overriding, owned Owned, owner Owner,
        parallel Parallel, parameter Parameter, parser Parser, partial Partial, partition Partition,
        passing Passing, password Password, plans Plans, policy Policy, preceding Preceding, prepare Prepare,
        prepared Prepared, preserve Preserve, prior Prior, privileges Privileges, procedural Procedural,
        procedure Procedure, procedures Procedures, program Program, publication Publication, quote Quote,
        range Range, read Read, reassign Reassign, recheck Recheck, recursive Recursive, ref Ref,
        referencing Referencing, refresh Refresh, reindex Reindex, relative Relative, release Release,
        rename Rename, repeatable Repeatable, replace Replace, replica Replica, reset Reset, restart Restart,
        restrict Restrict, return Return, returns Returns, revoke Revoke, role Role, rollback Rollback,
        rollup Rollup, routine Routine, routines Routines, rows Rows, rule Rule, savepoint Savepoint,
        schema Schema, schemas Schemas, scroll Scroll, search Search, second Second, security Security,
        sequence Sequence, sequences Sequences, serializable Serializable, server Server, session Session,
        set Set, sets Sets, share Share, show Show, simple Simple, skip Skip, snapshot Snapshot, sql Sql,
        stable Stable, standalone Standalone, start Start, statement Statement, statistics Statistics,
        stdin Stdin, stdout Stdout, storage Storage, stored Stored, strict Strict, strip Strip,
        subscription Subscription, support Support, sysid Sysid, system System, tables Tables,
        tablespace Tablespace, temp Temp, template Template, temporary Temporary, text Text, ties Ties,
        transaction Transaction, transform Transform, trigger Trigger, truncate Truncate, trusted Trusted,
        type Type, types Types, uescape Uescape, unbounded Unbounded, uncommitted Uncommitted,
        unencrypted Unencrypted, unknown Unknown, unlisten Unlisten, unlogged Unlogged, until Until,
        update Update, vacuum Vacuum, valid Valid, validate Validate, validator Validator, value Value,
        varying Varying, version Version, view View, views Views, volatile Volatile, whitespace Whitespace,
        within Within, without Without, work Work, wrapper Wrapper, write Write, xml Xml, year Year, yes Yes,
        zone Zone,
    }
}

const SLOTS: usize = 2048;

/// No keyword is longer ("current_timestamp" is as long).
const BYTES_MAX: usize = 17;

/// Open addressing, at most a quarter full, so most words that are no keyword meet an empty slot at once: one more than
/// the place in `FOLDED` and `KEYWORDS`, 0 where there is none. Small, to stay in the nearest cache.
static TABLE: [u16; SLOTS] = table();

static FOLDED: [Folded; KEYWORDS.len()] = folded();

const fn folded() -> [Folded; KEYWORDS.len()] {
    let mut folded = [Folded::new(b""); KEYWORDS.len()];
    let mut index = 0;
    while index < KEYWORDS.len() {
        folded[index] = Folded::new(KEYWORDS[index].0.as_bytes());
        index += 1;
    }
    folded
}

const fn table() -> [u16; SLOTS] {
    let mut slots = [0; SLOTS];
    let mut index = 0;
    while index < KEYWORDS.len() {
        let mut at = Folded::new(KEYWORDS[index].0.as_bytes()).slot(SLOTS);
        while slots[at] != 0 {
            at = (at + 1) % SLOTS;
        }
        index += 1;
        slots[at] = index as u16;
    }
    slots
}

/// The keyword the word at `start..end` is, whatever its case.
#[inline]
pub(crate) fn find(bytes: &[u8], start: usize, end: usize) -> Option<(Keyword, Category)> {
    if end - start > BYTES_MAX {
        return None;
    }
    let folded = Folded::at(bytes, start, end);
    let mut at = folded.slot(SLOTS);
    loop {
        let index = usize::from(TABLE[at]).checked_sub(1)?;
        if FOLDED[index] == folded {
            let (_, keyword, category) = KEYWORDS[index];
            return Some((keyword, category));
        }
        at = (at + 1) % SLOTS;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_keyword_is_found_and_nothing_else() {
        for (text, keyword, category) in KEYWORDS {
            let padded = format!("  {}x", text.to_ascii_uppercase());
            assert_eq!(
                find(padded.as_bytes(), 2, 2 + text.len()),
                Some((*keyword, *category)),
                "{text}"
            );
            assert_eq!(find(padded.as_bytes(), 2, padded.len()), None, "{padded}");
        }
        assert_eq!(find(b"selec", 0, 5), None);
        assert_eq!(find(b"", 0, 0), None);
    }
}
