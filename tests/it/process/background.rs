//! Servers in the background: the commands `exec` and `attach`, and the commands for a running server.

use super::{Latchkey, command, eventually, folder, post, wait_for};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

/// Returns a command whose servers in the background are in this directory.
fn command_in(directory: &TempDir, arguments: &[&str]) -> Command {
    let mut command = command(arguments);
    command.env("XDG_RUNTIME_DIR", directory.path());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// True if a server accepts connections at this base URL.
fn is_listening(url: &str) -> bool {
    TcpStream::connect(url.strip_prefix("http://").unwrap()).is_ok()
}

/// Runs a shell script with `latchkey exec` and these options.
fn exec(directory: &TempDir, options: &[&str], script: &str) -> Output {
    command_in(directory, &["exec"]).args(options).args(["--", "sh", "-c", script]).output().unwrap()
}

/// A running `latchkey attach`, killed on drop.
struct Attached {
    child: Child,
    url: String,
    api_key: String,
    server: Pid,
}

impl Attached {
    fn start(directory: &TempDir, options: &[&str]) -> Self {
        Self::await_ready(Self::spawn(directory, options))
    }

    fn spawn(directory: &TempDir, options: &[&str]) -> Child {
        command_in(directory, &["attach"]).args(options).stdin(Stdio::piped()).spawn().unwrap()
    }

    fn await_ready(mut child: Child) -> Self {
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "no server: {}", super::stderr_of(&mut child));
        let printed: Value = serde_json::from_str(&line).unwrap();
        let field = |name: &str| printed[name].as_str().unwrap().to_owned();
        assert!(field("personal_access_token").starts_with("seam_at") && field("workspace_id").len() == 36, "{line}");
        let server = Pid::from_raw(printed["pid"].as_i64().unwrap().try_into().unwrap()).unwrap();
        Self { url: field("url"), api_key: field("api_key"), server, child }
    }

    /// Closes standard input, and waits until the command has ended.
    fn end(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn exec_runs_a_command_with_a_server_of_its_own_and_returns_its_exit_code() {
    let directory = folder();
    let script = "echo $SEAM_ENDPOINT $SEAM_API_KEY $LATCHKEY_URL $SEAM_PERSONAL_ACCESS_TOKEN; exit 7";
    let mut command = command_in(&directory, &["exec", "--seed", "exec", "--", "sh", "-c", script]);
    // That of the software under test, which the server must not use.
    command.env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing");
    let output = command.env("SEAM_PERSONAL_ACCESS_TOKEN", "seam_at_of_somebody").output().unwrap();
    assert_eq!(output.status.code(), Some(7), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    let words: Vec<&str> = printed.split_whitespace().collect();
    assert_eq!(words[1..], ["seam_testsand_LatchkeySandbox", words[0]], "{printed}");
    assert!(!is_listening(words[0]), "the server has stopped");
    let left: Vec<_> = fs::read_dir(directory.path().join("latchkey")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn exec_reports_a_command_that_does_not_exist() {
    let directory = folder();
    let output = command_in(&directory, &["exec", "--", "no-such-command"]).output().unwrap();
    assert_eq!(output.status.code(), Some(127));
    assert!(text(&output.stderr).contains("cannot run no-such-command"), "{}", text(&output.stderr));
}

#[test]
fn exec_and_attach_report_why_the_server_did_not_start() {
    let directory = folder();
    let options = ["--pg-bin-dir", "/nonexistent"];
    let output = exec(&directory, &options, "echo the command ran");
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!((output.status.code(), stdout.as_str()), (Some(1), ""), "{stderr}");
    assert!(stderr.contains("the server did not start") && stderr.contains("/nonexistent"), "{stderr}");
    let output = command_in(&directory, &["attach"]).args(options).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("/nonexistent"), "{}", text(&output.stderr));
}

#[test]
fn exec_passes_a_termination_to_its_command_and_then_stops_the_server() {
    let directory = folder();
    let script = "trap 'echo terminated; exit 3' TERM; echo $SEAM_ENDPOINT; while :; do sleep 0.05; done";
    let mut child = command_in(&directory, &["exec", "--", "sh", "-c", script]).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut url = String::new();
    output.read_line(&mut url).unwrap();
    assert!(is_listening(url.trim()));
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert_eq!((rest.as_str(), child.wait().unwrap().code()), ("terminated\n", Some(3)));
    assert!(!is_listening(url.trim()));
}

#[test]
fn server_of_a_killed_exec_stops() {
    let directory = folder();
    let mut child = command_in(&directory, &["exec", "--", "sh", "-c", "echo $SEAM_ENDPOINT; read line"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut url = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut url).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("the server stops", || !is_listening(url.trim()));
}

#[test]
fn attach_shares_one_server_that_stops_after_its_last_user() {
    let directory = folder();
    let starting: Vec<Child> = (0..4).map(|_| Attached::spawn(&directory, &["--seed", "a"])).collect();
    let mut users: Vec<Attached> = starting.into_iter().map(Attached::await_ready).collect();
    let url = users[0].url.clone();
    assert!(users.iter().all(|user| user.url == url), "started at once, and still one server");
    let mut killed = users.pop().unwrap();
    killed.child.kill().unwrap();
    killed.child.wait().unwrap();
    let last = users.pop().unwrap();
    users.into_iter().for_each(Attached::end);
    let found = wait_for(post(&last.url, &last.api_key, "/devices/list", &json!({}))).unwrap();
    assert_eq!(found["ok"], true);
    last.end();
    eventually("the server stops", || !is_listening(&url));
    let next = Attached::start(&directory, &["--seed", "a"]);
    assert!(is_listening(&next.url), "a new server was started");
}

#[test]
fn attach_starts_another_server_for_other_options() {
    let directory = folder();
    let first = Attached::start(&directory, &["--seed", "a"]);
    let second = Attached::start(&directory, &["--seed", "b"]);
    let mut command = command_in(&directory, &["attach", "--seed", "a"]);
    let third = Attached::await_ready(command.env("LATCHKEY_CLOCK", "held").stdin(Stdio::piped()).spawn().unwrap());
    assert!(first.url != second.url && second.url != third.url && first.url != third.url);
}

#[test]
fn attach_takes_a_relative_path_from_its_working_directory() {
    let directory = folder();
    let attach_in = |name: &str| {
        let project = directory.path().join(name);
        fs::create_dir(&project).unwrap();
        let fixtures = json!({ "workspaces": [{ "name": name, "workspace_id": uuid::Uuid::from_u128(1) }] });
        fs::write(project.join("fixtures.json"), fixtures.to_string()).unwrap();
        let mut command = command_in(&directory, &["attach", "--fixtures", "fixtures.json"]);
        Attached::await_ready(command.current_dir(project).stdin(Stdio::piped()).spawn().unwrap())
    };
    let (first, second) = (attach_in("first"), attach_in("second"));
    assert_ne!(first.url, second.url);
}

#[test]
fn attach_continues_after_its_server_was_killed() {
    let directory = folder();
    let first = Attached::start(&directory, &[]);
    kill_process(first.server, Signal::KILL).unwrap();
    eventually("the server is gone", || !is_listening(&first.url));
    let second = Attached::start(&directory, &[]);
    assert!(is_listening(&second.url));
}

#[test]
fn attach_ends_with_the_log_when_its_server_has_ended() {
    let directory = folder();
    let mut command = command_in(&directory, &["attach"]);
    let mut user = Attached::await_ready(command.stdin(Stdio::piped()).spawn().unwrap());
    // Waiting for a child closes its standard input, which would end it.
    let _input = user.child.stdin.take();
    kill_process(user.server, Signal::KILL).unwrap();
    assert_eq!(user.child.wait().unwrap().code(), Some(1));
    let stderr = super::stderr_of(&mut user.child);
    assert!(stderr.contains("the server has ended") && stderr.contains("ready on"), "{stderr}");
}

#[test]
fn directory_that_others_can_write_to_is_not_used() {
    let directory = folder();
    let unsafe_directory = directory.path().join("latchkey");
    fs::create_dir(&unsafe_directory).unwrap();
    fs::set_permissions(&unsafe_directory, fs::Permissions::from_mode(0o777)).unwrap();
    let output = exec(&directory, &[], "echo the command ran");
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(1), ""));
    assert!(text(&output.stderr).contains("that only you can enter"), "{}", text(&output.stderr));
    assert!(fs::read_dir(Path::new(&unsafe_directory)).unwrap().next().is_none());
}

#[test]
fn env_prints_the_variables_of_a_running_server() {
    let mut latchkey = Latchkey::start(&["--ephemeral"]);
    let script = format!(
        "export SEAM_PERSONAL_ACCESS_TOKEN=x; eval \"$({} env --url {}/)\"; \
         echo $SEAM_ENDPOINT $SEAM_API_KEY $LATCHKEY_URL $SEAM_PERSONAL_ACCESS_TOKEN",
        env!("CARGO_BIN_EXE_latchkey"),
        latchkey.base_url
    );
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    let expected = format!("{0} {1} {0}\n", latchkey.base_url, latchkey.api_key);
    assert_eq!(text(&output.stdout), expected, "{}", text(&output.stderr));
    latchkey.kill();
    let output = command(&["env", "--url", &latchkey.base_url]).output().unwrap();
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(1), ""));
    assert!(text(&output.stderr).contains("does not respond"), "{}", text(&output.stderr));
}

#[test]
fn reset_returns_a_workspace_to_its_initial_state() {
    let latchkey = Latchkey::start(&["--ephemeral"]);
    let devices = wait_for(latchkey.post("/devices/list", json!({})));
    let params = json!({ "device_id": devices["devices"][0]["device_id"] });
    let codes = || {
        let listed = wait_for(latchkey.post("/access_codes/list", params.clone()));
        listed["access_codes"].as_array().unwrap().len()
    };
    wait_for(latchkey.post("/access_codes/create", params.clone()));
    assert_eq!(codes(), 1);
    let reset =
        |api_key: &str| command(&["reset", "--url", &latchkey.base_url, "--api-key", api_key]).output().unwrap();
    let output = reset("seam_test_of_nobody");
    assert_eq!((output.status.code(), codes()), (Some(1), 1));
    assert!(text(&output.stderr).contains("API Key not found"), "{}", text(&output.stderr));
    assert_eq!(command(&["reset", "--url", &latchkey.base_url]).output().unwrap().status.code(), Some(0));
    assert_eq!(codes(), 0);
}

#[test]
fn completion_prints_a_script_for_each_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = command(&["completion", shell]).output().unwrap();
        let script = text(&output.stdout);
        assert!(output.status.success() && script.contains("attach") && script.contains("ephemeral"), "{shell}");
    }
}
