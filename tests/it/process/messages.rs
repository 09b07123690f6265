//! Texts of the program under snapshot: help, refusals of settings and what a start prints.

use super::{Latchkey, command};
use crate::messages::check_text;
use std::fmt::Write as _;
use std::process::Command;

/// Returns a command without the variables of this machine, which would change its texts.
fn plain_command(arguments: &[&str]) -> Command {
    let mut command = command(arguments);
    for name in ["PG_BIN_DIR", "LATCHKEY_OFFLINE", "LATCHKEY_POSTGRES_MIRROR", "LATCHKEY_CACHE_DIR"] {
        command.env_remove(name);
    }
    command
}

#[test]
fn help_of_each_command() {
    let mut text = String::new();
    let commands = ["serve", "health", "doctor", "exec", "attach", "env", "reset", "probe", "completion"];
    for arguments in [vec!["--help"]].into_iter().chain(commands.map(|command| vec![command, "--help"])) {
        let output = plain_command(&arguments).output().unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        // These have the options of the program, which are in the text already.
        let has_same_options = ["serve", "doctor", "exec", "attach"].contains(&arguments[0]);
        let help = if has_same_options { help.split("Options:").next().unwrap() } else { &help };
        writeln!(text, "$ latchkey {}\n{help}", arguments.join(" ")).unwrap();
    }
    check_text("help", &text);
}

#[test]
fn settings_that_are_wrong_are_refused_with_a_fix() {
    let mut text = String::new();
    for arguments in [
        &["--programming", "soon"][..],
        &["--slow-after", "1m"],
        &["--clock", "noon"],
        &["--clock", "held:noon"],
        &["--seed", ""],
        &["--retention", "PT0S"],
        &["--request-timeout", "0"],
        &["--control-plane", "shut"],
        &["--database-connections", "0"],
        &["--database-connections", "51"],
        &["--ephemeral", "--data-dir", "data"],
        &["--host", "0.0.0.0"],
        &["--fixtures", "no-such-file.json"],
        &["--database-url", "mysql://localhost"],
        &["--pg-bin-dir", "/no/such/directory"],
        &["help-me"],
    ] {
        let output = plain_command(arguments).output().unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        writeln!(text, "$ latchkey {}\n{}", arguments.join(" "), String::from_utf8(output.stderr).unwrap()).unwrap();
    }
    check_text("settings", &text);
}

#[test]
fn start_text_names_addresses_locks_and_a_first_request() {
    let latchkey = Latchkey::start(&["--ephemeral", "--clock", "held"]);
    let port = latchkey.authority().rsplit_once(':').unwrap().1;
    let lines = latchkey.startup_lines.iter().map(|line| {
        let line = line.replace(port, "[port]");
        line.split_once("psql ").map_or(line.clone(), |(before, _)| format!("{before}psql [url]"))
    });
    check_text("start", &lines.collect::<Vec<_>>().join("\n"));
}
