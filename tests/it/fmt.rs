//! `pgwarden fmt`: which files it writes, and what it says of those it may not.

use crate::support::Folder;
use crate::support::proxy::pgwarden;
use crate::support::said::Said;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

const ROOT: &str = "policy=1\r\ninclude=[ 'users.toml' ]\r\n[pool.main] # the pool\r\nnodes=['pg']\r\ndatabase='*'\r\n\
    [node.pg]\r\nhost='127.0.0.1'\r\nrole='primary'\r\n[listener.main]\r\nbind=['127.0.0.1:6432']\r\n\
    [stage.s]\r\nscript='''\r\n  next()   \r\n'''\r\nhook='authorize'\r\n[pipeline.default]\r\notherwise={authorize='allow'}\r\nauthorize=['s']\r\n";
const LAID: &str = "policy  = 1\ninclude = ['users.toml']\n\n[listener.main]\nbind = ['127.0.0.1:6432']\n\n[node.pg]\nrole = 'primary'\nhost = '127.0.0.1'\n\n\
    [pool.main]                                   # the pool\ndatabase = '*'\nnodes    = ['pg']\n\n[stage.s]\nhook   = 'authorize'\nscript = '''\r\n  next()   \r\n'''\n\n\
    [pipeline.default]\nauthorize = ['s']\notherwise = { authorize = 'allow' }\n";
const USERS: &str = "policy = 1\n[user.a]\nroles=['r']\ntrust=true\n[role.r]\n";
const USERS_LAID: &str = "policy = 1\n\n[role.r]\n\n[user.a]\ntrust = true\nroles = ['r']\n";

/// Runs the program in a folder: exit code, standard output, standard error.
fn run(folder: &Path, arguments: &[&str], input: &str) -> (Option<i32>, String, String) {
    let mut command = pgwarden(arguments);
    let Said { code, out, err } = Said::by_reading(command.current_dir(folder), input);
    (code, out, err)
}

fn read(folder: &Folder, name: &str) -> String {
    std::fs::read_to_string(folder.path().join(name)).expect("a file")
}

/// What `check` says of the policy: its revision is in it.
fn checked(folder: &Folder) -> String {
    let (code, said, errors) = run(folder.path(), &["check", "policy.toml"], "");
    assert_eq!(code, Some(0), "{errors}");
    said
}

#[test]
fn a_policy_is_laid_out_with_what_it_includes() {
    let folder = Folder::new("fmt");
    let root = folder.write("policy.toml", ROOT);
    // Through a link, which stays one.
    folder.write("real.toml", USERS);
    let users = folder.path().join("users.toml");
    std::os::unix::fs::symlink("real.toml", &users).expect("a link");
    std::fs::set_permissions(&root, std::fs::Permissions::from_mode(0o640)).expect("rights");
    let before = checked(&folder);
    let listed = "policy.toml\nusers.toml\n".to_owned();
    let check = ["fmt", "--check", "policy.toml"];
    let found = run(folder.path(), &check, "");
    assert_eq!(found, (Some(1), listed.clone(), String::new()));
    assert_eq!(
        (read(&folder, "policy.toml"), read(&folder, "real.toml")),
        (ROOT.to_owned(), USERS.to_owned())
    );
    let found = run(folder.path(), &["fmt", "policy.toml"], "");
    assert_eq!(found, (Some(0), listed, String::new()));
    assert_eq!(read(&folder, "policy.toml"), LAID);
    assert_eq!(read(&folder, "real.toml"), USERS_LAID);
    assert_eq!(checked(&folder), before, "the revision is the same");
    assert!(users.is_symlink());
    let mode = std::fs::metadata(&root)
        .expect("the file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o640);
    let again = run(folder.path(), &check, "");
    assert_eq!(again, (Some(0), String::new(), String::new()));
}

#[test]
fn a_mistake_in_one_file_leaves_all_as_they_are() {
    let folder = Folder::new("fmt");
    folder.write("policy.toml", ROOT);
    folder.write("users.toml", "policy = 1\n[user.a\n");
    for arguments in [
        &["fmt", "policy.toml"][..],
        &["fmt", "--check", "policy.toml"],
    ] {
        let (code, _, errors) = run(folder.path(), arguments, "");
        assert_eq!(code, Some(1));
        assert!(
            errors.contains("error[P0101]") && errors.contains("users.toml:2:"),
            "{errors}"
        );
    }
    assert_eq!(read(&folder, "policy.toml"), ROOT);
    let (code, _, errors) = run(folder.path(), &["fmt", "missing.toml"], "");
    assert_eq!(code, Some(1));
    assert!(errors.contains("error[P0102]"), "{errors}");
    let (code, ..) = run(folder.path(), &["fmt"], "");
    assert_eq!(code, Some(64));
}

#[test]
fn a_policy_with_mistakes_of_another_kind_is_laid_out_nevertheless() {
    let folder = Folder::new("fmt");
    folder.write("policy.toml", "policy=1\n[stagee.x]\nb=1\na=2\n");
    let found = run(folder.path(), &["fmt", "policy.toml"], "");
    assert_eq!(found.0, Some(0), "{}", found.2);
    assert_eq!(
        read(&folder, "policy.toml"),
        "policy = 1\n\n[stagee.x]\nb = 1\na = 2\n"
    );
}

#[test]
fn standard_input_goes_to_standard_output() {
    let folder = Folder::new("fmt");
    let found = run(folder.path(), &["fmt", "-"], ROOT);
    assert_eq!(found, (Some(0), LAID.to_owned(), String::new()));
    let found = run(folder.path(), &["fmt", "-", "--check"], ROOT);
    assert_eq!(found, (Some(1), String::new(), String::new()));
    let found = run(folder.path(), &["fmt", "-", "--check"], LAID);
    assert_eq!(found, (Some(0), String::new(), String::new()));
    let (code, out, errors) = run(folder.path(), &["fmt", "-"], "a =\n");
    assert_eq!((code, &*out), (Some(1), ""));
    assert!(errors.contains("-:1:"), "{errors}");
}
