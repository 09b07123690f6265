//! What the program does besides serving.

use super::{Latchkey, command, complaint, eventually, folder, postgres_in, postgres_of};
use rustix::process::Signal;
use serde_json::Value;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;

/// Runs it to its end: exit code, standard output, standard error.
fn outcome(command: &mut Command) -> (Option<i32>, String, String) {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn serve_is_what_it_does_without_a_command_too_with_the_same_settings() {
    let explicit = Latchkey::await_ready(&mut command(&["serve", "--ephemeral", "--port", "0"]));
    let silent = Latchkey::start(&["--ephemeral"]);
    let shape = |latchkey: &Latchkey| {
        let lines = latchkey.welcome.iter().map(|line| line.split_whitespace().take(2).count());
        lines.collect::<Vec<_>>()
    };
    assert_eq!(shape(&explicit), shape(&silent));
    for arguments in [vec!["--port", "0", "health"], vec!["help-me"], vec!["serve", "--wrong"]] {
        assert_eq!(outcome(&mut command(&arguments)).0, Some(2), "{arguments:?}");
    }
}

#[test]
fn health_tells_a_server_that_serves_from_everything_else() {
    let mut latchkey = Latchkey::start(&["--ephemeral"]);
    let port = latchkey.authority().rsplit_once(':').unwrap().1.to_owned();
    let named = format!("localhost:{port}");
    for url in [latchkey.base_url.clone(), format!("{}/", latchkey.base_url), format!("http://{named}")] {
        let (code, said, _) = outcome(&mut command(&["health", "--url", &url]));
        assert_eq!((code, said.trim()), (Some(0), "Latchkey is serving."), "{url}");
    }
    // As in a container: the settings of the server say where it is.
    for host in ["127.0.0.1", "0.0.0.0"] {
        let mut asked = command(&["health"]);
        asked.env("LATCHKEY_PORT", &port).env("LATCHKEY_HOST", host);
        assert_eq!(outcome(&mut asked).0, Some(0), "{host}");
    }
    let url = latchkey.base_url.clone();
    latchkey.signal(Signal::TERM);
    latchkey.ended();
    let (code, _, complaint) = outcome(&mut command(&["health", "--url", &url]));
    assert_eq!(code, Some(1));
    assert!(complaint.contains(&url) && complaint.contains("does not answer"), "{complaint}");
}

#[test]
fn health_believes_nobody_but_a_latchkey() {
    for (answer, expected) in [
        ("HTTP/1.1 200 OK\r\n\r\nhello", "200 OK"),
        ("HTTP/1.1 503 Service Unavailable\r\n\r\n{\"msg\":\"Latchkey is serving.\",\"ok\":true}", "503"),
        ("HTTP/1.1 200 OK\r\n\r\n{\"ok\":false,\"msg\":\"no\"}", "200"),
        ("SSH-2.0-OpenSSH\r\n", "SSH-2.0"),
        ("", "not as a Latchkey"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let other = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 512];
            let length = stream.read(&mut asked).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(asked[..length].to_vec()).unwrap()
        });
        let (code, _, complaint) = outcome(&mut command(&["health", "--url", &url]));
        assert_eq!(code, Some(1), "{answer}");
        assert!(complaint.contains(expected), "{complaint}");
        assert!(other.join().unwrap().starts_with("GET /health HTTP/1."));
    }
    for url in ["", "localhost:7326", "https://127.0.0.1:7326", "http://", "http://user@host", "ftp://x"] {
        let (code, _, complaint) = outcome(&mut command(&["health", "--url", url]));
        assert_eq!(code, Some(1), "{url}");
        assert!(complaint.contains("--url http://HOST:PORT"), "{url}: {complaint}");
    }
}

#[test]
fn a_doctor_finds_nothing_wrong_where_a_server_starts_and_leaves_no_trace() {
    let folder = folder();
    let directory = folder.path().join("kept");
    let settings = ["--port", "0", "--data-dir", directory.to_str().unwrap()];
    let (code, said, complaint) = outcome(command(&["doctor"]).args(settings));
    assert_eq!(code, Some(0), "{said}{complaint}");
    assert!(said.lines().all(|line| line.starts_with("ok ")) && said.contains("to be made"), "{said}");
    assert!(!directory.exists());
    let mut latchkey = Latchkey::with_data(&directory);
    latchkey.signal(Signal::TERM);
    latchkey.ended();
    let (code, said, _) = outcome(command(&["doctor"]).args(settings));
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("there, written by postgresql"), "{said}");
    assert_eq!(outcome(&mut command(&["doctor", "--port", "0", "--ephemeral"])).0, Some(0));
}

#[test]
fn a_doctor_names_each_thing_that_is_wrong_with_its_fix() {
    let folder = folder();
    let directory = folder.path().join("kept");
    let latchkey = Latchkey::with_data(&directory);
    let port = latchkey.authority().rsplit_once(':').unwrap().1;
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let fixtures = folder.path().join("fixtures.json");
    fs::write(&fixtures, r#"{ "workspaces": [{ "nmae": "x" }] }"#).unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().port().to_string();
    // A name may have what separates words in a message.
    let odd = folder.path().join("other: files");
    fs::create_dir(&odd).unwrap();
    fs::write(odd.join("letter.txt"), "dear reader").unwrap();
    let odd_and_advice = format!("{} already holds other files: name an empty or a new directory", odd.display());
    let odd = odd.to_str().unwrap();
    let [directory, empty, fixtures] = [&directory, &empty, &fixtures].map(|path| path.to_str().unwrap());
    let pid = latchkey.child.id().to_string();
    for (arguments, problem, fix) in [
        (vec!["--port", "0", "--data-dir", directory], format!("process {pid}"), "name another data directory"),
        (vec!["--port", "0", "--data-dir", odd], odd_and_advice, "name an empty"),
        (
            vec!["--port", "0", "--ephemeral", "--host", "::"],
            ":: can be reached from other machines, and then the control plane needs a token: set LATCHKEY".to_owned(),
            "--control-plane open",
        ),
        (vec!["--port", "0", "--database-url", "mysql://localhost/x"], "mysql".to_owned(), "postgres://"),
        (vec!["--port", port, "--ephemeral"], "a latchkey serves there".to_owned(), "--port"),
        (vec!["--port", &taken, "--ephemeral"], "in use by another program".to_owned(), "--port"),
        (vec!["--port", "0", "--ephemeral", "--pg-bin-dir", empty], empty.to_owned(), "PG_BIN_DIR"),
        (vec!["--port", "0", "--ephemeral", "--host", "0.0.0.0"], "0.0.0.0".to_owned(), "LATCHKEY_ADMIN_TOKEN"),
        (vec!["--port", "0", "--ephemeral", "--fixtures", fixtures], "workspaces[0].nmae".to_owned(), "mend the file"),
        (
            vec!["--port", "0", "--database-url", "postgres://nobody@127.0.0.1:1/nothing"],
            "cannot use the database".to_owned(),
            "DATABASE_URL",
        ),
    ] {
        let (code, said, _) = outcome(command(&["doctor"]).args(&arguments));
        assert_eq!(code, Some(1), "{arguments:?}: {said}");
        let (_, told) = said.split_once("problem ").unwrap();
        let told = told.split("\nok ").next().unwrap();
        assert!(told.contains(&problem), "{arguments:?}: {said}");
        assert!(told.contains(fix), "{arguments:?}: {said}");
        assert_eq!(said.matches("problem ").count(), 1, "{said}");
    }
    // It has disturbed nobody.
    assert!(!postgres_of(std::path::Path::new(directory)).is_empty());
    assert!(TcpStream::connect(latchkey.authority()).is_ok());
}

#[test]
fn a_doctor_looks_at_a_database_that_is_named_and_changes_nothing_in_it() {
    let folder = folder();
    let postgres = postgres_in(folder.path());
    let examine = || outcome(command(&["doctor", "--port", "0"]).env("DATABASE_URL", postgres.url()));
    for _ in 0..2 {
        let (code, said, complaint) = examine();
        assert_eq!(code, Some(0), "{said}{complaint}");
        assert!(said.contains("schema: 0 of ") && said.contains("database: reached, postgresql"), "{said}");
    }
    drop(Latchkey::await_ready(command(&["--port", "0"]).env("DATABASE_URL", postgres.url())));
    let (code, said, _) = examine();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("schema: up to date"), "{said}");
    super::wait_for(async {
        use sqlx::Connection as _;
        let mut connection = sqlx::PgConnection::connect(&postgres.url()).await.unwrap();
        let newer = "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
                     values (9999, 'from the future', true, '', 0)";
        sqlx::query(newer).execute(&mut connection).await.unwrap();
    });
    let (code, said, _) = examine();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("migration 9999") && said.contains("newer latchkey"), "{said}");
}

#[test]
fn the_schema_of_fixtures_is_printed_as_json() {
    let (code, said, _) = outcome(&mut command(&["fixtures-schema"]));
    assert_eq!(code, Some(0));
    let schema: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(schema["title"], "Latchkey fixtures");
}

#[test]
fn wrong_fixtures_keep_a_server_from_starting_and_leave_nothing() {
    let folder = folder();
    let directory = folder.path().join("kept");
    let fixtures = folder.path().join("fixtures.json");
    let start = || {
        let arguments = ["--port", "0", "--data-dir", directory.to_str().unwrap()];
        let mut start = command(&["serve"]);
        start.args(arguments).arg("--fixtures").arg(&fixtures);
        start
    };
    let refused = |expected: &str| {
        let mut child = start().spawn().unwrap();
        eventually("it ends", || child.try_wait().unwrap().is_some());
        assert_eq!(child.wait().unwrap().code(), Some(1));
        let complaint = complaint(&mut child);
        assert!(complaint.contains(expected) && complaint.contains("fixtures.json"), "{complaint}");
    };
    refused("cannot read");
    fs::write(&fixtures, "{ \"workspaces\": [,] }").unwrap();
    refused("line 1 column 18");
    fs::write(&fixtures, r#"{ "workspaces": [{ "workspace_id": "x", "locks": [{ "device_type": "door" }] }] }"#)
        .unwrap();
    refused("workspaces[0].locks[0].device_type: \"door\"");
    assert!(!directory.exists(), "no database was started for it");
    let first = r#"{ "workspace_id": "f0f0f0f0-0000-4000-8000-000000000001", "api_key": "seam_test_first" }"#;
    let double = r#"{ "workspace_id": "f0f0f0f0-0000-4000-8000-000000000002", "locks":
                      [{ "device_type": "yale_lock", "access_codes": [{ "code": "1357" }, { "code": "1357" }] }] }"#;
    fs::write(&fixtures, format!("{{ \"workspaces\": [{first}, {double}] }}")).unwrap();
    refused("workspaces[1].locks[0].access_codes[1]: Cannot set duplicate access code 1357");
    fs::write(&fixtures, format!("{{ \"workspaces\": [{first}] }}")).unwrap();
    for (round, told) in ["loaded", "was here"].into_iter().enumerate() {
        let mut latchkey = Latchkey::await_ready(&mut start());
        let line = latchkey.welcome.iter().find(|line| line.contains("f0f0f0f0-0000-4000-8000-000000000001")).unwrap();
        assert!(line.trim().starts_with(told), "start {round}: {line}");
        let listed = super::wait_for(latchkey_list(&latchkey));
        assert_eq!(listed.len(), 2, "the sandbox and this one");
        latchkey.signal(Signal::TERM);
        assert!(latchkey.ended().success());
    }
}

#[test]
fn a_start_ends_where_another_workspace_has_what_is_fixed_of_the_sandbox() {
    let folder = folder();
    let postgres = postgres_in(folder.path());
    let start = || {
        let mut start = command(&["--port", "0"]);
        start.env("DATABASE_URL", postgres.url());
        start
    };
    let mut latchkey = Latchkey::await_ready(&mut start());
    super::wait_for(async {
        super::latchkey_unkeyed(&latchkey, "/_emulator/workspaces/delete", serde_json::json!({})).await;
        let lock =
            serde_json::json!({ "device_type": "yale_lock", "device_id": "00000000-0000-4000-8000-000000000103" });
        super::latchkey_unkeyed(&latchkey, "/_emulator/workspaces/create", serde_json::json!({ "locks": [lock] }))
            .await;
    });
    latchkey.signal(Signal::TERM);
    latchkey.ended();
    let mut child = start().spawn().unwrap();
    eventually("it ends", || child.try_wait().unwrap().is_some());
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let complaint = complaint(&mut child);
    assert!(complaint.contains("its device_id belongs to another workspace"), "{complaint}");
}

async fn latchkey_list(latchkey: &Latchkey) -> Vec<Value> {
    let listed = super::latchkey_unkeyed(latchkey, "/_emulator/workspaces/list", serde_json::json!({})).await;
    listed["workspaces"].as_array().unwrap().clone()
}
