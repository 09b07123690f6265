//! The commands of the program besides `serve`: `health`, `doctor` and `fixtures-schema`.

use super::{Latchkey, command, eventually, folder, postgres_in, postgres_of, stderr_of};
use rustix::process::Signal;
use serde_json::Value;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;

/// Runs a command to its end. Returns the exit code, standard output and standard error.
fn outcome(command: &mut Command) -> (Option<i32>, String, String) {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn serve_is_the_default_command_and_takes_the_same_settings() {
    let explicit = Latchkey::await_ready(&mut command(&["serve", "--ephemeral", "--port", "0"]));
    let silent = Latchkey::start(&["--ephemeral"]);
    let shape = |latchkey: &Latchkey| {
        let lines = latchkey.startup_lines.iter().map(|line| line.split_whitespace().take(2).count());
        lines.collect::<Vec<_>>()
    };
    assert_eq!(shape(&explicit), shape(&silent));
    for arguments in [vec!["--port", "0", "health"], vec!["help-me"], vec!["serve", "--wrong"]] {
        assert_eq!(outcome(&mut command(&arguments)).0, Some(2), "{arguments:?}");
    }
}

#[test]
fn health_command_succeeds_only_while_the_server_serves() {
    let mut latchkey = Latchkey::start(&["--ephemeral"]);
    let port = latchkey.authority().rsplit_once(':').unwrap().1.to_owned();
    let named = format!("localhost:{port}");
    for url in [latchkey.base_url.clone(), format!("{}/", latchkey.base_url), format!("http://{named}")] {
        let (code, stdout, _) = outcome(&mut command(&["health", "--url", &url]));
        assert_eq!((code, stdout.trim()), (Some(0), "Latchkey is serving."), "{url}");
    }
    // As in a container: the command reads the host and the port from the settings of the server.
    for host in ["127.0.0.1", "0.0.0.0"] {
        let mut health = command(&["health"]);
        health.env("LATCHKEY_PORT", &port).env("LATCHKEY_HOST", host);
        assert_eq!(outcome(&mut health).0, Some(0), "{host}");
    }
    let url = latchkey.base_url.clone();
    latchkey.signal(Signal::TERM);
    latchkey.wait_for_exit();
    let (code, _, stderr) = outcome(&mut command(&["health", "--url", &url]));
    assert_eq!(code, Some(1));
    assert!(stderr.contains(&url) && stderr.contains("does not respond"), "{stderr}");
}

#[test]
fn health_command_fails_on_responses_of_other_programs() {
    for (response, expected) in [
        ("HTTP/1.1 200 OK\r\n\r\nhello", "200 OK"),
        ("HTTP/1.1 503 Service Unavailable\r\n\r\n{\"msg\":\"Latchkey is serving.\",\"ok\":true}", "503"),
        ("HTTP/1.1 200 OK\r\n\r\n{\"ok\":false,\"msg\":\"no\"}", "200"),
        ("SSH-2.0-OpenSSH\r\n", "SSH-2.0"),
        ("", "not as a healthy Latchkey"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 512];
            let length = stream.read(&mut request).unwrap();
            stream.write_all(response.as_bytes()).unwrap();
            String::from_utf8(request[..length].to_vec()).unwrap()
        });
        let (code, _, stderr) = outcome(&mut command(&["health", "--url", &url]));
        assert_eq!(code, Some(1), "{response}");
        assert!(stderr.contains(expected), "{stderr}");
        assert!(server.join().unwrap().starts_with("GET /health HTTP/1."));
    }
    for url in ["", "localhost:7326", "https://127.0.0.1:7326", "http://", "http://user@host", "ftp://x"] {
        let (code, _, stderr) = outcome(&mut command(&["health", "--url", url]));
        assert_eq!(code, Some(1), "{url}");
        assert!(stderr.contains("--url http://HOST:PORT"), "{url}: {stderr}");
    }
}

#[test]
fn doctor_reports_no_problem_where_a_server_starts_and_creates_nothing() {
    let folder = folder();
    let directory = folder.path().join("kept");
    let settings = ["--port", "0", "--data-dir", directory.to_str().unwrap()];
    let (code, stdout, stderr) = outcome(command(&["doctor"]).args(settings));
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert!(stdout.lines().all(|line| line.starts_with("ok ")) && stdout.contains("will be created"), "{stdout}");
    assert!(!directory.exists());
    let mut latchkey = Latchkey::with_data(&directory);
    latchkey.signal(Signal::TERM);
    latchkey.wait_for_exit();
    let (code, stdout, _) = outcome(command(&["doctor"]).args(settings));
    assert_eq!(code, Some(0), "{stdout}");
    assert!(stdout.contains("exists, written by postgresql"), "{stdout}");
    assert_eq!(outcome(&mut command(&["doctor", "--port", "0", "--ephemeral"])).0, Some(0));
}

#[test]
fn doctor_names_each_problem_with_its_fix() {
    let folder = folder();
    let directory = folder.path().join("kept");
    let latchkey = Latchkey::with_data(&directory);
    let port = latchkey.authority().rsplit_once(':').unwrap().1;
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let fixtures = folder.path().join("fixtures.json");
    fs::write(&fixtures, r#"{ "workspaces": [{ "nmae": "x" }] }"#).unwrap();
    let used_port = TcpListener::bind("127.0.0.1:0").unwrap();
    let used_port = used_port.local_addr().unwrap().port().to_string();
    // A directory name with the separator `: ` must not break the message apart.
    let odd_name = folder.path().join("other: files");
    fs::create_dir(&odd_name).unwrap();
    fs::write(odd_name.join("letter.txt"), "dear reader").unwrap();
    let odd_name_problem =
        format!("{} already contains other files: choose an empty or a new directory", odd_name.display());
    let odd_name = odd_name.to_str().unwrap();
    let [directory, empty, fixtures] = [&directory, &empty, &fixtures].map(|path| path.to_str().unwrap());
    let pid = latchkey.child.id().to_string();
    for (arguments, problem, fix) in [
        (vec!["--port", "0", "--data-dir", directory], format!("process {pid}"), "choose another data directory"),
        (vec!["--port", "0", "--data-dir", odd_name], odd_name_problem, "choose an empty"),
        (
            vec!["--port", "0", "--ephemeral", "--host", "::"],
            "other machines can reach ::, so the control plane needs a token: set LATCHKEY".to_owned(),
            "--control-plane open",
        ),
        (vec!["--port", "0", "--database-url", "mysql://localhost/x"], "mysql".to_owned(), "postgres://"),
        (vec!["--port", port, "--ephemeral"], "in use by another latchkey".to_owned(), "--port"),
        (vec!["--port", &used_port, "--ephemeral"], "in use by another program".to_owned(), "--port"),
        (vec!["--port", "0", "--ephemeral", "--pg-bin-dir", empty], empty.to_owned(), "PG_BIN_DIR"),
        (vec!["--port", "0", "--ephemeral", "--host", "0.0.0.0"], "0.0.0.0".to_owned(), "LATCHKEY_ADMIN_TOKEN"),
        (
            vec!["--port", "0", "--ephemeral", "--fixtures", fixtures],
            "workspaces[0].nmae".to_owned(),
            "correct the file",
        ),
        (
            vec!["--port", "0", "--database-url", "postgres://nobody@127.0.0.1:1/nothing"],
            "cannot use the database".to_owned(),
            "DATABASE_URL",
        ),
    ] {
        let (code, stdout, _) = outcome(command(&["doctor"]).args(&arguments));
        assert_eq!(code, Some(1), "{arguments:?}: {stdout}");
        let (_, reported) = stdout.split_once("problem ").unwrap();
        let reported = reported.split("\nok ").next().unwrap();
        assert!(reported.contains(&problem), "{arguments:?}: {stdout}");
        assert!(reported.contains(fix), "{arguments:?}: {stdout}");
        assert_eq!(stdout.matches("problem ").count(), 1, "{stdout}");
    }
    // The running server is unharmed.
    assert!(!postgres_of(std::path::Path::new(directory)).is_empty());
    assert!(TcpStream::connect(latchkey.authority()).is_ok());
}

#[test]
fn doctor_inspects_a_given_database_without_changing_it() {
    let folder = folder();
    let postgres = postgres_in(folder.path());
    let examine = || outcome(command(&["doctor", "--port", "0"]).env("DATABASE_URL", postgres.url()));
    for _ in 0..2 {
        let (code, stdout, stderr) = examine();
        assert_eq!(code, Some(0), "{stdout}{stderr}");
        assert!(stdout.contains("schema: 0 of ") && stdout.contains("database: reachable, postgresql"), "{stdout}");
    }
    drop(Latchkey::await_ready(command(&["--port", "0"]).env("DATABASE_URL", postgres.url())));
    let (code, stdout, _) = examine();
    assert_eq!(code, Some(0), "{stdout}");
    assert!(stdout.contains("schema: up to date"), "{stdout}");
    super::wait_for(async {
        use sqlx::Connection as _;
        let mut connection = sqlx::PgConnection::connect(&postgres.url()).await.unwrap();
        let newer = "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
                     values (9999, 'from the future', true, '', 0)";
        sqlx::query(newer).execute(&mut connection).await.unwrap();
    });
    let (code, stdout, _) = examine();
    assert_eq!(code, Some(1), "{stdout}");
    assert!(stdout.contains("migration 9999") && stdout.contains("newer version of latchkey"), "{stdout}");
}

#[test]
fn fixtures_schema_command_prints_json() {
    let (code, stdout, _) = outcome(&mut command(&["fixtures-schema"]));
    assert_eq!(code, Some(0));
    let schema: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(schema["title"], "Latchkey fixtures");
}

#[test]
fn invalid_fixtures_stop_the_start_and_load_nothing() {
    let folder = folder();
    let directory = folder.path().join("kept");
    let fixtures = folder.path().join("fixtures.json");
    let start = || {
        let arguments = ["--port", "0", "--data-dir", directory.to_str().unwrap()];
        let mut start = command(&["serve"]);
        start.args(arguments).arg("--fixtures").arg(&fixtures);
        start
    };
    let check_rejected = |expected: &str| {
        let mut child = start().spawn().unwrap();
        eventually("the process ends", || child.try_wait().unwrap().is_some());
        assert_eq!(child.wait().unwrap().code(), Some(1));
        let stderr = stderr_of(&mut child);
        assert!(stderr.contains(expected) && stderr.contains("fixtures.json"), "{stderr}");
    };
    check_rejected("cannot read");
    fs::write(&fixtures, "{ \"workspaces\": [,] }").unwrap();
    check_rejected("line 1 column 18");
    fs::write(&fixtures, r#"{ "workspaces": [{ "workspace_id": "x", "locks": [{ "device_type": "door" }] }] }"#)
        .unwrap();
    check_rejected("workspaces[0].locks[0].device_type: \"door\"");
    assert!(!directory.exists(), "no database was started");
    let first = r#"{ "workspace_id": "f0f0f0f0-0000-4000-8000-000000000001", "api_key": "seam_test_first" }"#;
    let double = r#"{ "workspace_id": "f0f0f0f0-0000-4000-8000-000000000002", "locks":
                      [{ "device_type": "yale_lock", "access_codes": [{ "code": "1357" }, { "code": "1357" }] }] }"#;
    fs::write(&fixtures, format!("{{ \"workspaces\": [{first}, {double}] }}")).unwrap();
    check_rejected("workspaces[1].locks[0].access_codes[1]: Cannot set duplicate access code 1357");
    fs::write(&fixtures, format!("{{ \"workspaces\": [{first}] }}")).unwrap();
    for (round, expected) in ["created", "exists"].into_iter().enumerate() {
        let mut latchkey = Latchkey::await_ready(&mut start());
        let line =
            latchkey.startup_lines.iter().find(|line| line.contains("f0f0f0f0-0000-4000-8000-000000000001")).unwrap();
        assert!(line.trim().starts_with(expected), "start {round}: {line}");
        let listed = super::wait_for(latchkey_list(&latchkey));
        assert_eq!(listed.len(), 2, "the sandbox and the workspace of the file");
        latchkey.signal(Signal::TERM);
        assert!(latchkey.wait_for_exit().success());
    }
}

#[test]
fn start_fails_if_another_workspace_has_a_device_id_of_the_sandbox() {
    let folder = folder();
    let postgres = postgres_in(folder.path());
    let start = || {
        let mut start = command(&["--port", "0"]);
        start.env("DATABASE_URL", postgres.url());
        start
    };
    let mut latchkey = Latchkey::await_ready(&mut start());
    super::wait_for(async {
        let sandbox = serde_json::json!({ "workspace_id": latchkey::WORKSPACE_ID });
        super::latchkey_unkeyed(&latchkey, "/_emulator/workspaces/delete", sandbox).await;
        let lock =
            serde_json::json!({ "device_type": "yale_lock", "device_id": "00000000-0000-4000-8000-000000000103" });
        super::latchkey_unkeyed(&latchkey, "/_emulator/workspaces/create", serde_json::json!({ "locks": [lock] }))
            .await;
    });
    latchkey.signal(Signal::TERM);
    latchkey.wait_for_exit();
    let mut child = start().spawn().unwrap();
    eventually("the process ends", || child.try_wait().unwrap().is_some());
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let stderr = stderr_of(&mut child);
    assert!(stderr.contains("its device_id belongs to another workspace"), "{stderr}");
}

async fn latchkey_list(latchkey: &Latchkey) -> Vec<Value> {
    let listed = super::latchkey_unkeyed(latchkey, "/_emulator/workspaces/list", serde_json::json!({})).await;
    listed["workspaces"].as_array().unwrap().clone()
}
