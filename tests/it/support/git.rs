//! git as the tests run it: without the settings of whoever runs them, and whatever repository they run in.

use super::said::Said;
use std::path::Path;
use std::process::Command;

/// What git takes from its surroundings; a hook that runs the tests sets some of them.
const INHERITED: [&str; 8] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_PREFIX",
    "GIT_CONFIG_PARAMETERS",
];

/// A command that runs git, or a program that does, in surroundings of its own.
pub(crate) fn isolated(command: &mut Command) -> &mut Command {
    for name in INHERITED {
        command.env_remove(name);
    }
    for (name, value) in [
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_AUTHOR_NAME", "a"),
        ("GIT_AUTHOR_EMAIL", "a@example.org"),
        ("GIT_COMMITTER_NAME", "a"),
        ("GIT_COMMITTER_EMAIL", "a@example.org"),
    ] {
        command.env(name, value);
    }
    command
}

/// git in a folder, with arguments.
pub(crate) fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    isolated(&mut command)
        .args(["-c", "init.defaultBranch=main"])
        .args(arguments)
        .current_dir(folder);
    command
}

/// Runs git in a folder, which must succeed, and gives what it printed.
#[track_caller]
pub(crate) fn git(folder: &Path, arguments: &[&str]) -> String {
    Said::ends(&mut command(folder, arguments), 0).out
}
