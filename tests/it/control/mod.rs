//! The admin socket: `reload`, `status`, `history` and `rollback` against a running proxy, and who may ask.

mod canary;
mod kept;
mod shadow;

use crate::support::Folder;
use crate::support::cluster::Cluster;
use crate::support::plugins;
use crate::support::policy::PolicyText;
use crate::support::proxy::Proxy;
use crate::support::proxy::pgwarden;
use crate::support::said::Said;
use crate::support::signal;
use crate::support::wait_for;
use crate::support::wire::Wire;
use serde_json::Value;
use std::io::Read;
use std::io::Write;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

fn said(command: &mut Command) -> Said {
    Said::by(command.env_remove("PGWARDEN_SOCKET"))
}

/// A verb at a socket.
fn ask(socket: &Path, arguments: &[&str]) -> Said {
    said(pgwarden(arguments).arg("--socket").arg(socket))
}

#[track_caller]
fn works(socket: &Path, arguments: &[&str]) -> String {
    let said = ask(socket, arguments);
    assert_eq!(said.code, Some(0), "{arguments:?} {said:?}");
    said.out
}

#[track_caller]
fn status(socket: &Path) -> Value {
    serde_json::from_str(&works(socket, &["status", "--json"])).expect("JSON")
}

#[track_caller]
fn history(socket: &Path) -> Vec<Value> {
    serde_json::from_str(&works(socket, &["history", "--json"])).expect("JSON")
}

/// Line by line, newest first: revision and by what it came.
fn listed(entries: &[Value]) -> Vec<(String, String)> {
    let text = |entry: &Value, key: &str| entry[key].as_str().expect("text").to_owned();
    let entries = entries.iter();
    entries
        .map(|entry| (text(entry, "revision"), text(entry, "by")))
        .collect()
}

fn with_socket(base: &PolicyText, socket: &Path) -> PolicyText {
    base.clone()
        .admin_key(&format!("socket = \"{}\"", socket.display()))
}

/// A policy with an admin socket and a rule that says `message`.
fn policy(base: &PolicyText, socket: &Path, message: &str) -> PolicyText {
    let rule = format!("when = {{ tables = [\"by_rule\"] }}\ndeny = {{ message = \"{message}\" }}");
    with_socket(base, socket).stage("pre_query", "rule", &rule)
}

struct Running {
    base: PolicyText,
    proxy: Proxy,
    socket: PathBuf,
    /// Holds the socket.
    _folder: Folder,
}

impl Running {
    fn start(message: &str, arguments: &[&str]) -> Self {
        let base = PolicyText::of(Cluster::shared());
        Self::over(
            base,
            |base, socket| policy(base, socket, message),
            arguments,
        )
    }

    /// With a policy that is made of the base and the socket's path.
    fn over(
        base: PolicyText,
        make: impl Fn(&PolicyText, &Path) -> PolicyText,
        arguments: &[&str],
    ) -> Self {
        let folder = Folder::new("socket");
        let socket = folder.path().join("admin.sock");
        let proxy = Proxy::start_with(&make(&base, &socket), &[], arguments);
        wait_for("the admin socket answers", || {
            UnixStream::connect(&socket).ok().map(drop)
        });
        Self {
            base,
            proxy,
            socket,
            _folder: folder,
        }
    }

    /// The base with the admin socket, for other policies of the same process.
    fn with_socket(&self) -> PolicyText {
        with_socket(&self.base, &self.socket)
    }

    /// Writes another policy beside the process's own, and gives its path.
    fn candidate(&self, policy: &PolicyText) -> String {
        let path = self.proxy.path("next.toml");
        std::fs::write(&path, policy.text()).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    }

    /// Writes a policy whose rule says `message`.
    fn write(&self, message: &str) {
        let text = policy(&self.base, &self.socket, message).text();
        self.proxy.write_policy(&text);
    }

    fn says(&self) -> String {
        let mut wire = self.proxy.login("app");
        wire.fails("SELECT * FROM by_rule").message
    }
}

#[test]
fn reload_waits_for_the_outcome_and_prints_mistakes_as_check_does() {
    let running = Running::start("first", &[]);
    assert_eq!(running.says(), "first");
    running.write("second");
    let out = works(&running.socket, &["reload"]);
    assert!(out.starts_with("ok: policy it revision "), "{out}");
    assert_eq!(running.says(), "second");
    let before = status(&running.socket);
    let text = policy(&running.base, &running.socket, "third").text();
    let text = text.replace("tables = [", "tabels = [");
    running
        .proxy
        .write_policy(&text.replace("size = 10", "siez = 10"));
    let path = running.proxy.path("policy.toml");
    let refused = ask(&running.socket, &["reload"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let checked = said(pgwarden(&["check"]).arg(&path));
    let stays = format!(
        "refused: revision {} stays in force\n",
        &before["revision"].as_str().expect("text")[..8]
    );
    let (found, _) = checked.err.rsplit_once(" (").expect("how long it took");
    assert_eq!(refused.err, format!("{found}\n{stays}"));
    for word in ["tabels", "siez", "^", "policy.toml:"] {
        assert!(refused.err.contains(word), "{word}: {}", refused.err);
    }
    assert_eq!(running.says(), "second");
    let after = status(&running.socket);
    assert_eq!(after["revision"], before["revision"]);
    assert_eq!(after["last_reload"]["by"], "reload");
    let mistakes = after["last_reload"]["mistakes"].as_array().expect("a list");
    assert_eq!(mistakes.len(), 2, "{mistakes:?}");
    // For people, with each mistake on a line of its own.
    let told = works(&running.socket, &["status"]);
    for mistake in mistakes {
        let mistake = mistake.as_str().expect("text");
        assert!(told.contains(mistake), "{told}");
    }
}

/// The policy that was just broken still says where the process is.
#[test]
fn the_socket_is_found_in_the_policy_even_with_mistakes() {
    let running = Running::start("first", &[]);
    let path = running.proxy.path("policy.toml");
    let by_policy = |verb: &[&str]| said(pgwarden(verb).arg(&path));
    assert_eq!(by_policy(&["reload"]).code, Some(0));
    let text = policy(&running.base, &running.socket, "second").text();
    running
        .proxy
        .write_policy(&text.replace("size = 10", "siez = 10"));
    let refused = by_policy(&["reload"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("siez"), "{refused:?}");
    assert_eq!(by_policy(&["rollback", "1"]).code, Some(1));
    assert_eq!(by_policy(&["history"]).code, Some(0));
    running.proxy.write_policy(&running.base.text());
    let nowhere = by_policy(&["status"]);
    assert_eq!(nowhere.code, Some(64), "{nowhere:?}");
    assert_eq!(said(&mut pgwarden(&["status"])).code, Some(64));
    let by_environment = pgwarden(&["status"])
        .env("PGWARDEN_SOCKET", &running.socket)
        .output()
        .expect("pgwarden starts");
    assert!(by_environment.status.success(), "{by_environment:?}");
}

#[test]
fn status_tells_what_runs() {
    let running = Running::start("first", &[]);
    let mut wire = running.proxy.login("app");
    wire.works("BEGIN");
    let found = status(&running.socket);
    let row = running.proxy.admin().table("SHOW POLICY").swap_remove(0);
    for (key, column) in [
        ("policy", "name"),
        ("revision", "revision"),
        ("bundle", "bundle"),
        ("loaded", "loaded"),
        ("by", "by"),
    ] {
        assert_eq!(found[key], row[column].as_str(), "{key}");
    }
    assert_eq!(found["by"], "start");
    assert_eq!(found["pid"], running.proxy.pid());
    assert_eq!(found["last_reload"], Value::Null);
    assert_eq!(found["sessions"]["active"], 1, "{found}");
    assert_eq!(found["pools"][0]["database"], "app", "{found}");
    assert_eq!(found["pools"][0]["active"], 1, "{found}");
}

#[test]
fn nobody_at_the_socket_is_told_by_its_own_exit_code() {
    let folder = Folder::new("nobody");
    for verb in ["reload", "status", "history", "rollback"] {
        let said = ask(&folder.path().join("admin.sock"), &[verb]);
        assert_eq!(said.code, Some(69), "{verb} {said:?}");
        assert!(said.err.contains("nobody answers at"), "{said:?}");
    }
}

#[test]
fn the_socket_is_the_owners_alone_and_a_strange_request_is_refused() {
    let running = Running::start("first", &[]);
    let file = std::fs::metadata(&running.socket).expect("a file");
    assert!(file.file_type().is_socket());
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    let long = format!("{}\n", " ".repeat(10_000));
    for request in ["SHOW POLICY\n", "{\"verb\":\"stop\"}\n", &long, ""] {
        let mut stream = UnixStream::connect(&running.socket).expect("connected");
        // It may be refused before all of it is written.
        drop(stream.write_all(request.as_bytes()));
        drop(stream.shutdown(std::net::Shutdown::Write));
        let mut answer = String::new();
        // What was not read is told as a reset, behind the answer.
        drop(stream.read_to_string(&mut answer));
        assert!(answer.starts_with("{\"error\":"), "{request:?}: {answer}");
    }
    status(&running.socket);
}

#[test]
fn a_reload_moves_the_socket_removes_it_and_brings_it_back() {
    let running = Running::start("first", &[]);
    let other = running.socket.with_file_name("other.sock");
    let moved = policy(&running.base, &other, "moved").text();
    running.proxy.write_policy(&moved);
    works(&running.socket, &["reload"]);
    wait_for("nobody answers at the old socket", || {
        (ask(&running.socket, &["status"]).code == Some(69)).then_some(())
    });
    assert!(!running.socket.exists());
    assert_eq!(status(&other)["by"], "reload");
    running.proxy.write_policy(&running.base.text());
    works(&other, &["reload"]);
    assert_eq!(ask(&other, &["status"]).code, Some(69));
    running.write("back");
    signal("HUP", running.proxy.pid());
    wait_for("the socket is back", || {
        let said = ask(&running.socket, &["status", "--json"]);
        let status: Value = serde_json::from_str(&said.out).ok()?;
        (status["by"] == "SIGHUP").then_some(())
    });
}

/// A process that was killed leaves its file; a process that lives keeps it.
#[test]
fn a_stale_socket_is_taken_over_and_a_live_one_is_not() {
    let running = Running::start("first", &[]);
    let Running {
        base,
        mut proxy,
        socket,
        _folder: folder,
    } = running;
    let second = PolicyText::of(Cluster::shared());
    let text = policy(&second, &socket, "second").text();
    let path = folder.write("second.toml", text);
    for (name, text) in PolicyText::files() {
        folder.write(name, text);
    }
    let refused = said(pgwarden(&["run"]).arg(&path));
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused.err.contains("another process listens there"),
        "{refused:?}"
    );
    assert_eq!(status(&socket)["pid"], proxy.pid());
    signal("KILL", proxy.pid());
    proxy.ended();
    assert!(socket.exists(), "the file stays behind");
    assert_eq!(ask(&socket, &["status"]).code, Some(69));
    let next = Proxy::start(&policy(&base, &socket, "next"));
    assert_eq!(status(&socket)["pid"], next.pid());
}

#[test]
fn rollback_takes_kept_bytes_and_the_next_reload_the_files() {
    let running = Running::start("first", &[]);
    for message in ["second", "third"] {
        running.write(message);
        works(&running.socket, &["reload"]);
    }
    let before = listed(&history(&running.socket));
    assert_eq!(before.len(), 3, "{before:?}");
    works(&running.socket, &["rollback"]);
    assert_eq!(running.says(), "second");
    assert_eq!(status(&running.socket)["by"], "rollback");
    let row = running.proxy.admin().table("SHOW POLICY").swap_remove(0);
    assert_eq!(row["by"], "rollback");
    let after = listed(&history(&running.socket));
    let revisions = |listed: &[(String, String)]| -> Vec<String> {
        listed
            .iter()
            .map(|(revision, _)| revision.clone())
            .collect()
    };
    let [third, second, first] = &revisions(&before)[..] else {
        panic!("{before:?}");
    };
    assert_eq!(revisions(&after), [second, third, first].map(String::clone));
    assert_eq!(after[0].1, "rollback");
    let shown = running.proxy.admin().table("SHOW HISTORY");
    assert_eq!(shown[0]["revision"], *second);
    works(&running.socket, &["rollback", "2"]);
    assert_eq!(running.says(), "first");
    let too_far = ask(&running.socket, &["rollback", "7"]);
    assert_eq!(too_far.code, Some(1), "{too_far:?}");
    assert!(
        too_far.err.contains("2 earlier revisions are kept"),
        "{too_far:?}"
    );
    assert_eq!(ask(&running.socket, &["rollback", "0"]).code, Some(64));
    // The files on disk have said "third" all the time.
    works(&running.socket, &["reload"]);
    assert_eq!(running.says(), "third");
    assert_eq!(status(&running.socket)["by"], "reload");
}

#[test]
fn the_console_shows_every_setting_and_when_a_change_of_it_takes_effect() {
    let running = Running::start("first", &[]);
    let rows = running.proxy.admin().table("SHOW CONFIG");
    let row = |table: &str, key: &str| {
        let found = rows
            .iter()
            .find(|row| row["table"] == table && row["key"] == key);
        let row = found.unwrap_or_else(|| panic!("{table} {key}: {rows:?}"));
        ["value", "source", "takes_effect"].map(|column| row[column].clone())
    };
    let socket = running.socket.display().to_string();
    assert_eq!(row("admin", "socket"), [&*socket, "written", "now"]);
    assert_eq!(row("reload", "keep"), ["5", "default", "now"]);
    assert_eq!(
        row("pool.main", "size"),
        ["10", "written", "next transaction"]
    );
    assert_eq!(
        row("pool.main", "wait"),
        ["2m", "default", "next transaction"]
    );
    assert_eq!(
        row("listener.main", "tls.key"),
        ["{ file = \"server.key\" }", "written", "next session"]
    );
    assert_eq!(
        row("sql", "on_unparsed"),
        ["deny", "default", "next statement"]
    );
    let text = format!("{rows:?}");
    assert!(!text.contains("PRIVATE KEY"), "{text}");
}

#[test]
fn as_many_revisions_are_kept_as_the_policy_says() {
    let running = Running::start("first", &[]);
    for message in ["second", "third", "fourth"] {
        let text = policy(&running.base, &running.socket, message)
            .extra("[reload]\nkeep = 1")
            .text();
        running.proxy.write_policy(&text);
        works(&running.socket, &["reload"]);
    }
    assert_eq!(history(&running.socket).len(), 2);
    works(&running.socket, &["rollback"]);
    assert_eq!(running.says(), "third");
}

/// The names of the running policy's files as the socket gives them, and those that it holds back, as JSON.
#[track_caller]
fn files(socket: &Path) -> (Vec<String>, String) {
    let mut stream = UnixStream::connect(socket).expect("connected");
    stream.write_all(b"{\"verb\":\"files\"}\n").expect("asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    let files = answer["files"]["files"].as_array().expect("a list");
    let names = files
        .iter()
        .filter_map(|file| file["path"].as_str()?.rsplit('/').next());
    let names = names.map(str::to_owned).collect();
    (names, answer["files"]["secrets"].to_string())
}

#[test]
fn the_running_files_come_over_the_socket_without_secrets() {
    let running = Running::start("first", &[]);
    running.write("never loaded");
    let (names, secrets) = files(&running.socket);
    assert_eq!(names, ["policy.toml", "server.crt"]);
    assert!(secrets.contains("server.key"), "{secrets}");
}

/// The process answers to the end of the drain, but takes no other policy over.
#[test]
fn a_process_that_drains_answers_and_does_not_reload() {
    let mut running = Running::start("first", &["--drain-timeout", "30s"]);
    let mut wire = running.proxy.login("app");
    wire.works("BEGIN");
    running.proxy.terminate();
    wait_for("it drains", || {
        status(&running.socket)["draining"].as_bool()?.then_some(())
    });
    let refused = ask(&running.socket, &["reload"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("stopping"), "{refused:?}");
    wire.works("COMMIT");
    drop(wire);
    assert!(running.proxy.ended().success());
    assert!(!running.socket.exists());
}
