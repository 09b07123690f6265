//! Processes of the operating system, as tests see them.

use std::fs;
use std::process::Command;

/// State letter and parent of each running process, by process id. Linux has them in `/proc`, where a small system
/// has no `ps`.
fn processes() -> Vec<(u32, char, u32)> {
    if cfg!(target_os = "linux") {
        let ids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
        ids.filter_map(|id: u32| {
            // The name of the program before it may contain spaces and brackets. A process may have ended meanwhile.
            let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
            let mut fields = stat.rsplit_once(") ")?.1.split(' ');
            Some((id, fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
        })
        .collect()
    } else {
        let output = Command::new("ps").args(["-A", "-o", "pid=,stat=,ppid="]).output().unwrap();
        let lines = String::from_utf8(output.stdout).unwrap();
        let parse = |line: &str| {
            let mut fields = line.split_whitespace();
            Some((fields.next()?.parse().ok()?, fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
        };
        lines.lines().filter_map(parse).collect()
    }
}

/// True while a process runs. A zombie does not count: a container may have no process that reaps it.
pub(crate) fn is_running(id: u32) -> bool {
    processes().iter().any(|(found, state, _)| *found == id && *state != 'Z')
}

/// Returns the ids of the child processes.
pub(crate) fn children_of(parent: u32) -> Vec<u32> {
    processes().into_iter().filter(|(_, _, of)| *of == parent).map(|(id, _, _)| id).collect()
}

#[test]
fn processes_are_found_with_their_state_and_parent() {
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    assert!(is_running(child.id()) && children_of(std::process::id()).contains(&child.id()));
    child.kill().unwrap();
    let begun = std::time::Instant::now();
    while is_running(child.id()) {
        assert!(begun.elapsed().as_secs() < 20, "a zombie does not count");
    }
    child.wait().unwrap();
    assert!(!children_of(std::process::id()).contains(&child.id()));
}
