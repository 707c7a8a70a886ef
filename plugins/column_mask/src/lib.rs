//! Shows masks instead of columns to users without an exempt role. A statement that reads `users` gets a WITH of that name
//! before everything else, so that the name means the masked columns wherever the statement uses it. What cannot be masked that
//! way is refused.
//!
//! ```toml
//! [plugin.column_mask]
//! path = "plugins/column_mask.wasm"
//!
//! [plugin.column_mask.config]
//! tables       = { users = { columns = ["id", "name", "email"], masks = { email = "'***'::text" } } }
//! exempt_roles = ["dba"]
//! ```

#![cfg_attr(target_arch = "wasm32", no_std)]

mod place;
mod text;

#[cfg(test)]
mod tests;

use pgwarden_guest::Context;
use pgwarden_guest::Deny;
use pgwarden_guest::Field;
use pgwarden_guest::Name;
use pgwarden_guest::Verdict;
use pgwarden_guest::host;
use pgwarden_guest::json::Json;
use place::Place;
use text::Text;

pgwarden_guest::manifest!(include_str!("../manifest.json"));
pgwarden_guest::export!(rewrite => decide);

/// Bytes of the tables' configuration as JSON.
const CONFIG_BYTES_MAX: usize = 32 << 10;
/// Bytes of the roles' configuration as JSON.
const ROLES_BYTES_MAX: usize = 8 << 10;
/// Bytes of a statement, before and after: an answer may have no more.
const SQL_BYTES_MAX: usize = 255 << 10;

/// Masked tables in one statement.
const TABLES_MAX: usize = 16;

/// The schema of a table whose configuration names none.
const SCHEMA: &str = "public";

/// Why a statement is refused: parts of the message.
type Refusal<'a> = [&'a str; 3];

fn decide(context: &Context<'_>) -> Verdict {
    let unread = context.has_kind("unparsed");
    if !unread && context.tables().next().is_none() {
        return Verdict::next();
    }
    let before = context.len_of(Field::Text).unwrap_or(0).min(SQL_BYTES_MAX);
    let after = (before + 2 * CONFIG_BYTES_MAX).min(SQL_BYTES_MAX);
    let room = CONFIG_BYTES_MAX + ROLES_BYTES_MAX + before + after;
    pgwarden_guest::scratch(room, |room| {
        let (tables, room) = room.split_at_mut(CONFIG_BYTES_MAX);
        let (roles, room) = room.split_at_mut(ROLES_BYTES_MAX);
        if is_exempt(context, roles) {
            return Verdict::next();
        }
        if unread {
            return refuse(&[
                "the statement cannot be read, so its columns cannot be masked",
                "",
                "",
            ]);
        }
        // Both are checked against the manifest: what is missing here was too long for its room.
        let Some(tables) = host::config("tables", tables).map(Json::of_host) else {
            return refuse(&["the configuration of the masks is too long", "", ""]);
        };
        match masked(context, tables, room.split_at_mut(before)) {
            Ok(None) => Verdict::next(),
            Ok(Some(sql)) => Verdict::rewrite(&[sql]),
            Err(refusal) => refuse(&refusal),
        }
    })
}

fn refuse(message: &Refusal<'_>) -> Verdict {
    Deny::new(message).code("42501").into()
}

/// Roles that cannot be read exempt nobody.
fn is_exempt(context: &Context<'_>, room: &mut [u8]) -> bool {
    let Some(roles) = host::config("exempt_roles", room).map(Json::of_host) else {
        return false;
    };
    roles
        .items()
        .filter_map(|role| role.text())
        .any(|exempt| context.roles().flatten().any(|role| exempt.is(role)))
}

/// A masked table that a statement reaches, and what the configuration says about it.
type Reached<'a> = (Name<'a>, Json<'a>);

/// The statement with its masks; `None` where it names no masked table.
fn masked<'a>(
    context: &Context<'a>,
    tables: Json<'a>,
    (sql, out): (&'a mut [u8], &'a mut [u8]),
) -> Result<Option<&'a str>, Refusal<'a>> {
    let mut reached = [None; TABLES_MAX];
    let named = context.tables().filter_map(|name| reach(name, tables));
    for (number, (name, about)) in named.enumerate() {
        if name.schema.is_some() {
            return Err([
                "columns of ",
                name.name,
                " are masked: name it without a schema",
            ]);
        }
        *reached
            .get_mut(number)
            .ok_or(["the statement names too many masked tables", "", ""])? = Some((name, about));
    }
    let Some((first, _)) = reached[0] else {
        return Ok(None);
    };
    let mut kinds = context.kinds();
    if !kinds.all(|kind| matches!(kind, Some("select" | "explain"))) {
        return Err([
            "columns of ",
            first.name,
            " are masked: only a SELECT may name it",
        ]);
    }
    let sql = statement(context, sql).ok_or([
        "the statement is too long for its columns to be masked",
        "",
        "",
    ])?;
    let place = Place::find(sql).ok_or([
        "columns of ",
        first.name,
        " are masked: begin the statement with SELECT, WITH, VALUES, TABLE or EXPLAIN",
    ])?;
    let mut out = Text::new(out);
    out.put(&sql[..place.at]);
    out.put(if place.in_with { " " } else { "WITH " });
    for (number, reached) in reached.into_iter().flatten().enumerate() {
        out.put(if number == 0 { "" } else { ", " });
        definition(reached, &mut out)?;
    }
    out.put(if place.in_with { "," } else { " " });
    out.put(&sql[place.at..]);
    out.finish()
        .map(Some)
        .ok_or(["the statement is too long with its masks", "", ""])
}

/// The masked table that a name reaches. A whole schema reaches every table in it.
fn reach<'a>(name: Name<'a>, tables: Json<'a>) -> Option<Reached<'a>> {
    let whole = name.name == "*" && name.schema.is_some();
    tables
        .members()
        .filter(|(table, _)| whole || table.is(name.name))
        .find(|(_, about)| {
            let in_schema = |schema| match about.get("schema").and_then(|known| known.text()) {
                Some(known) => known.is(schema),
                None => schema == SCHEMA,
            };
            name.schema.is_none_or(in_schema)
        })
        .map(|(_, about)| (name, about))
}

fn statement<'a>(context: &Context<'_>, room: &'a mut [u8]) -> Option<&'a str> {
    let len = context.read(Field::Text, 0, room)?;
    core::str::from_utf8(room.get(..len)?).ok()
}

/// `"users" AS NOT MATERIALIZED (SELECT "id", ('***'::text) AS "email" FROM "public"."users")`. Not materialized, so that the
/// conditions of the statement still find the table's indexes.
fn definition<'a>((table, about): Reached<'a>, out: &mut Text<'_>) -> Result<(), Refusal<'a>> {
    let wrong: Refusal<'a> = [
        "the masks of ",
        table.name,
        " name a column that is not in its columns",
    ];
    let (columns, masks) = about.get("columns").zip(about.get("masks")).ok_or(wrong)?;
    out.name(table.name.chars());
    out.put(" AS NOT MATERIALIZED (SELECT ");
    let mut unused = masks.members().count();
    for (at, column) in columns.items().enumerate() {
        let column = column.text().ok_or(wrong)?;
        out.put(if at == 0 { "" } else { ", " });
        let mask = masks.members().find(|(masked, _)| masked.same(column));
        if let Some((_, mask)) = mask {
            unused = unused.checked_sub(1).ok_or(wrong)?;
            let mask = mask.text().ok_or(wrong)?;
            out.put("(");
            out.text(mask);
            out.put(") AS ");
        }
        out.name(column.chars());
    }
    if unused != 0 {
        // A mask for nothing is a mistake in a name, and the column that was meant would be shown.
        return Err(wrong);
    }
    out.put(" FROM ");
    match about.get("schema").and_then(|schema| schema.text()) {
        Some(schema) => out.name(schema.chars()),
        None => out.name(SCHEMA.chars()),
    }
    out.put(".");
    out.name(table.name.chars());
    out.put(")");
    Ok(())
}
