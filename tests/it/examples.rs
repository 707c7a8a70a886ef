//! `examples/git`: the hook refuses what must not be committed, and the review tells what a change means, each run by git and a shell as
//! they would be.

use crate::support::Folder;
use crate::support::git;
use crate::support::git::git;
use crate::support::proxy::program;
use crate::support::repository;
use crate::support::said::Said;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

const POLICY: &str = "\
policy = 1
name   = \"shop\"

[listener.main]
bind = [\"127.0.0.1:6432\"]

[node.pg]
role = \"primary\"
host = \"127.0.0.1\"

[pool.main]
database = \"*\"
nodes    = [\"pg\"]

[user.app]
trust = true

[stage.no-ddl]
hook = \"authorize\"
when = { kind = \"ddl\" }
deny = \"no\"

[pipeline.default]
authorize = [\"no-ddl\"]
otherwise = { authorize = \"allow\" }

[[test]]
name   = \"no tables\"
given  = { user = \"app\", sql = \"CREATE TABLE t ()\" }
expect = { verdict = \"deny\", by = \"no-ddl\" }
";

/// A mistake.
const BROKEN: (&str, &str) = ("kind = \"ddl\"", "knid = \"ddl\"");
/// A rule that lets pass what a test says must not.
const UNPROVEN: (&str, &str) = ("kind = \"ddl\"", "kind = \"grant\"");
/// Others may log in.
const WIDER: (&str, &str) = (
    "[user.app]\ntrust = true\n",
    "[user.app]\ntrust = true\n\n[user.eve]\ntrust = true\n",
);
/// Fewer statements run.
const NARROWER: (&str, &str) = ("kind = \"ddl\"", "kind = [\"ddl\", \"grant\"]");

fn example(name: &str) -> PathBuf {
    repository().join("examples/git").join(name)
}

/// A repository with a policy in a folder of its own, committed once.
fn committed() -> Folder {
    let folder = Folder::new("review");
    std::fs::create_dir(folder.path().join("policies")).expect("a folder");
    folder.write("policies/shop.toml", POLICY);
    git(folder.path(), &["init", "-q"]);
    git(folder.path(), &["add", "."]);
    git(folder.path(), &["commit", "-q", "-m", "first"]);
    folder
}

fn changed(folder: &Folder, (old, new): (&str, &str)) {
    assert!(POLICY.contains(old), "{old}");
    folder.write("policies/shop.toml", POLICY.replace(old, new));
}

/// With the program under test in the path.
fn with_program(command: &mut Command) -> &mut Command {
    let path = std::env::var("PATH").expect("a PATH");
    let program = program();
    let bin = program.parent().expect("the program lies in a folder");
    command.env("PATH", format!("{}:{path}", bin.display()))
}

/// `git commit` of everything that is staged, as somebody types it.
fn commit(folder: &Folder) -> Said {
    let mut command = git::command(folder.path(), &["commit", "-q", "-m", "next"]);
    Said::by(with_program(&mut command))
}

fn hooked() -> Folder {
    let folder = committed();
    let hook = folder.path().join(".git/hooks/pre-commit");
    std::fs::create_dir_all(hook.parent().expect("a folder")).expect("a folder");
    std::fs::copy(example("pre-commit"), &hook).expect("the hook");
    std::fs::set_permissions(&hook, PermissionsExt::from_mode(0o755)).expect("our own file");
    let set = ["config", "--add", "pgwarden.policy", "policies/shop.toml"];
    git(folder.path(), &set);
    folder
}

#[test]
fn the_hook_commits_no_mistake_and_no_failing_test() {
    let folder = hooked();
    let first = git(folder.path(), &["rev-parse", "HEAD"]);
    for (change, why) in [
        (BROKEN, "did you mean `kind`?"),
        (BROKEN, "not committed: policies/shop.toml has mistakes"),
        (UNPROVEN, "not committed: tests of policies/shop.toml fail"),
        (UNPROVEN, "FAIL no tables"),
    ] {
        changed(&folder, change);
        git(folder.path(), &["add", "."]);
        let said = commit(&folder);
        assert_eq!(said.code, Some(1), "{}", said.all());
        assert!(said.all().contains(why), "{why}\n{}", said.all());
        assert_eq!(git(folder.path(), &["rev-parse", "HEAD"]), first);
    }
}

#[test]
fn the_hook_tells_what_a_commit_widens_and_lets_it_pass() {
    let folder = hooked();
    changed(&folder, NARROWER);
    git(folder.path(), &["add", "."]);
    let said = commit(&folder);
    assert_eq!(said.code, Some(0), "{}", said.all());
    let all = said.all();
    assert!(
        all.contains("  narrows  stage.no-ddl") && !all.contains("widens"),
        "{all}"
    );
    changed(&folder, WIDER);
    git(folder.path(), &["add", "."]);
    let said = commit(&folder);
    assert_eq!(said.code, Some(0), "{}", said.all());
    let all = said.all();
    assert!(all.contains("  WIDENS   user.eve"), "{all}");
    assert!(all.contains("policies/shop.toml widens"), "{all}");
}

/// What is checked is what is committed: the disk must say the same as the index, below the policy's folder.
#[test]
fn the_hook_wants_what_it_checks_to_be_what_is_committed() {
    let folder = hooked();
    changed(&folder, BROKEN);
    git(folder.path(), &["add", "."]);
    changed(&folder, NARROWER);
    let said = commit(&folder);
    assert_eq!(said.code, Some(1), "{}", said.all());
    assert!(
        said.err
            .contains("policies has changes that are not staged"),
        "{}",
        said.err
    );
    git(folder.path(), &["add", "."]);
    folder.write("policies/new.rhai", "next()");
    let said = commit(&folder);
    assert_eq!(said.code, Some(1), "{}", said.all());
    assert!(said.err.contains("policies/new.rhai"), "{}", said.err);
    git(folder.path(), &["add", "."]);
    assert_eq!(commit(&folder).code, Some(0));
    // What does not touch the policy is none of its business, whatever lies about.
    folder.write("policies/scratch.toml", "not even TOML");
    folder.write("readme", "text");
    git(folder.path(), &["add", "readme"]);
    let said = commit(&folder);
    assert_eq!((said.code, &*said.all()), (Some(0), ""));
}

/// Runs the review in a repository; with the pages it wrote.
fn review(folder: &Path, arguments: &[&str]) -> (Said, String, String) {
    let (comment, summary) = (folder.join("comment.md"), folder.join("summary.md"));
    std::fs::write(&summary, "before\n").expect("written");
    let mut command = Command::new(example("review"));
    git::isolated(with_program(&mut command))
        .args(arguments)
        .current_dir(folder)
        .env_remove("GITHUB_ACTIONS")
        .env("REVIEW_COMMENT", &comment)
        .env("GITHUB_STEP_SUMMARY", &summary);
    let said = Said::by(&mut command);
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    (said, read(comment), read(summary))
}

/// A change on a branch, committed, while the main branch went on.
fn branched(change: (&str, &str)) -> Folder {
    let folder = committed();
    git(folder.path(), &["checkout", "-q", "-b", "change"]);
    changed(&folder, change);
    git(folder.path(), &["commit", "-q", "-a", "-m", "change"]);
    git(folder.path(), &["checkout", "-q", "main"]);
    changed(&folder, NARROWER);
    git(folder.path(), &["commit", "-q", "-a", "-m", "meanwhile"]);
    git(folder.path(), &["checkout", "-q", "change"]);
    folder
}

#[test]
fn the_review_tells_what_widens_and_refuses_it_where_it_is_told_to() {
    let folder = branched(WIDER);
    let arguments = ["main", "policies/shop.toml"];
    let (said, comment, summary) = review(folder.path(), &arguments);
    assert_eq!(said.code, Some(0), "{}", said.all());
    assert!(
        comment
            .starts_with("### `policies/shop.toml`\n\n**widens**\n\n```text\n  WIDENS   user.eve"),
        "{comment}"
    );
    // Compared with where the change began, not with what main has become.
    assert!(!comment.contains("no-ddl"), "{comment}");
    assert_eq!(summary, format!("before\n{comment}"));
    let (said, again, _) = review(
        folder.path(),
        &["--refuse-widening", "main", "policies/shop.toml"],
    );
    assert_eq!((said.code, &again), (Some(3), &comment), "{}", said.all());
}

#[test]
fn the_review_fails_on_mistakes_and_failing_tests() {
    for (change, code, why) in [
        (BROKEN, 1, "has mistakes"),
        (UNPROVEN, 1, "tests fail\n\n```text\nFAIL no tables"),
        (
            NARROWER,
            0,
            "changes, and widens nothing\n\n```text\npolicy shop",
        ),
        (
            ("policy = 1", "# why\npolicy = 1"),
            0,
            "means the same as before",
        ),
    ] {
        let folder = branched(change);
        let (said, comment, _) = review(folder.path(), &["main", "policies/shop.toml"]);
        assert_eq!(said.code, Some(code), "{}", said.all());
        assert!(comment.contains(why), "{why}\n{comment}");
    }
    let folder = branched(NARROWER);
    for arguments in [&[][..], &["main"], &["nowhere", "policies/shop.toml"]] {
        assert_eq!(review(folder.path(), arguments).0.code, Some(64));
    }
    folder.write("policies/other.toml", POLICY.replace("shop", "other"));
    let both = ["main", "policies/other.toml", "policies/shop.toml"];
    let (said, comment, _) = review(folder.path(), &both);
    assert_eq!(said.code, Some(0), "{}", said.all());
    assert!(
        comment.contains("### `policies/other.toml`\n\nis new\n"),
        "{comment}"
    );
}

/// The step of the job that runs the review does what it says, as GitHub's runner would run it.
#[test]
fn the_job_runs_the_review() {
    let folder = branched(WIDER);
    let job = std::fs::read_to_string(example("github-actions.yml")).expect("the job");
    let mut steps = job
        .lines()
        .filter_map(|line| line.trim().strip_prefix("run: "));
    let step = steps.find(|step| step.contains("review")).expect("a step");
    std::fs::create_dir(folder.path().join("ci")).expect("a folder");
    std::fs::copy(example("review"), folder.path().join("ci/review")).expect("the script");
    let comment = folder.path().join("review.md");
    let mut bash = Command::new("bash");
    git::isolated(with_program(&mut bash))
        .args(["-e", "-o", "pipefail", "-c", step])
        .current_dir(folder.path())
        .env("GITHUB_ACTIONS", "true")
        .env("BASE", "main")
        .env("REVIEW_COMMENT", &comment)
        .env_remove("GITHUB_STEP_SUMMARY");
    let said = Said::ends(&mut bash, 0);
    let told = std::fs::read_to_string(comment).expect("a comment");
    assert!(told.contains("WIDENS"), "{told}\n{}", said.all());
    for action in job
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- uses: "))
    {
        let (_, pin) = action.split_once('@').expect("a revision");
        let pin = pin.split(' ').next().unwrap_or_default();
        assert!(
            pin.len() == 40 && pin.chars().all(|c| c.is_ascii_hexdigit()),
            "{action}"
        );
    }
}
