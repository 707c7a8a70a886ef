//! The keys of the whole document.

use super::Kind;
use super::Noun;
use super::key;
use super::later;
use super::operating::ADMIN;
use super::operating::DECISIONS;
use super::operating::RELOAD;
use super::parties::PERMISSIONS;
use super::parties::PLUGIN;
use super::parties::ROLE;
use super::parties::SANDBOX;
use super::parties::SQL;
use super::parties::USER;
use super::places::BRANCH;
use super::places::LISTENER;
use super::places::NODE;
use super::places::POOL;
use super::staging::PIPELINE;
use super::staging::STAGE;
use super::testing::TEST;

const TEXT: Kind = Kind::Text;

/// The whole document.
pub(in crate::policy) static ROOT: Noun = Noun {
    name: "policy",
    about: "A pgwarden policy.",
    keys: &[
        key(
            "policy",
            Kind::Integer,
            "The version of the language: 1. The first key of every file.",
        )
        .required(),
        key(
            "name",
            TEXT,
            "The policy's name in logs, errors and `SHOW POLICY`. Default: the file's name.",
        ),
        key(
            "include",
            Kind::Several(&Kind::Path),
            "Files that add names to this one; relative to this file.",
        ),
        key(
            "vars",
            Kind::Named(&Kind::Any),
            "Constants, used as `{ var = \"NAME\" }`.",
        ),
        key(
            "env",
            Kind::Named(&Kind::Table(&ENV)),
            "What `--env NAME` changes.",
        ),
        key(
            "listener",
            Kind::Named(&Kind::Table(&LISTENER)),
            "Where clients connect.",
        ),
        key(
            "node",
            Kind::Named(&Kind::Table(&NODE)),
            "The PostgreSQL servers.",
        ),
        key(
            "branch",
            Kind::Named(&Kind::Table(&BRANCH)),
            "Other places a statement can be routed to.",
        ),
        key(
            "pool",
            Kind::Named(&Kind::Table(&POOL)),
            "Server connections.",
        ),
        key(
            "role",
            Kind::Named(&Kind::Table(&ROLE)),
            "The roles there are.",
        ),
        key(
            "user",
            Kind::Named(&Kind::Table(&USER)),
            "Who may log in. Without any, the node itself authenticates.",
        ),
        key(
            "plugin",
            Kind::Named(&Kind::Table(&PLUGIN)),
            "WASM plugins, each pinned by its sha256.",
        ),
        key(
            "permissions",
            Kind::Named(&Kind::Table(&PERMISSIONS)),
            "What a stage may see and do.",
        ),
        key(
            "sandbox",
            Kind::Table(&SANDBOX),
            "Ceilings of every guest; a stage may lower them, never raise them.",
        ),
        key(
            "sql",
            Kind::Table(&SQL),
            "What the proxy does with SQL before any stage.",
        ),
        key(
            "stage",
            Kind::Named(&Kind::Table(&STAGE)),
            "Rules, scripts and plugins.",
        ),
        key(
            "pipeline",
            Kind::Named(&Kind::Table(&PIPELINE)),
            "The order of the stages, one list for each hook.",
        ),
        key(
            "admin",
            Kind::Table(&ADMIN),
            "Who may use the admin console, the database `pgwarden`, and where operators reach the process.",
        ),
        key(
            "test",
            Kind::Tables(&TEST),
            "Tests of the policy; they never change its revision.",
        ),
        key(
            "reload",
            Kind::Table(&RELOAD),
            "When and how a changed policy is taken over.",
        ),
        key(
            "decisions",
            Kind::Table(&DECISIONS),
            "The log of decisions, one line of JSON each.",
        ),
        later("metrics", "Where figures are published."),
        later("log", "The process's own log."),
    ],
};

/// `[env.NAME]`.
pub(in crate::policy) static ENV: Noun = Noun {
    name: "env",
    about: "One environment.",
    keys: &[key(
        "vars",
        Kind::Named(&Kind::Any),
        "Other values for names of `[vars]`.",
    )
    .required()],
};
