//! Keeps `ledger.md` honest: every rule in it is proven, decided or given a reason, and what it names exists.

use latchkey::testing::contract;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const LEDGER: &str = include_str!("ledger.md");

/// One rule of the ledger.
struct Rule {
    /// The subject and its section, like `lifecycle §4`.
    section: &'static str,
    /// What the rule is about, unique in its section.
    title: &'static str,
    /// `D` documented, `O` seen in a sample, `I` ours.
    tag: &'static str,
    /// The tests that prove it.
    proofs: Vec<&'static str>,
    is_decided: bool,
    does_not_apply: bool,
}

/// Reads the ledger. A line that is none of its kinds is a mistake.
fn entries() -> Vec<Rule> {
    let (mut section, mut entries) = ("", Vec::<Rule>::new());
    let lines = LEDGER.lines().enumerate().skip_while(|(_, line)| !line.starts_with("## "));
    for (number, line) in lines.filter(|(_, line)| !line.is_empty()) {
        if let Some(heading) = line.strip_prefix("## ") {
            section = heading.split_once(": ").map_or(heading, |(section, _)| section);
        } else if let Some(rule) = line.strip_prefix("- **") {
            entries.push(entry(section, rule).unwrap_or_else(|| panic!("line {}: {line}", number + 1)));
        } else {
            let entry = entries.last_mut().expect("a rule comes before what is said about it");
            match line.trim_start_matches("  - ").split_once(": ") {
                Some(("proof", test)) => entry.proofs.push(test),
                Some(("decided", what)) if !what.is_empty() => entry.is_decided = true,
                Some(("does not apply", why)) if !why.is_empty() => entry.does_not_apply = true,
                _ => panic!("line {} is neither a proof nor a decision nor a reason: {line}", number + 1),
            }
        }
    }
    entries
}

/// A rule from `title** [D]: text`.
fn entry(section: &'static str, rule: &'static str) -> Option<Rule> {
    let (title, rest) = rule.split_once("** [")?;
    let (tag, text) = rest.split_once("]: ")?;
    let is_whole = ["D", "O", "I"].contains(&tag) && !title.is_empty() && !text.is_empty();
    is_whole.then(|| Rule { section, title, tag, proofs: Vec::new(), is_decided: false, does_not_apply: false })
}

/// Every file of Rust below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The tests of a file with their module paths.
fn tests_of(root: &Path, file: &Path) -> Vec<String> {
    let module = file.strip_prefix(root).unwrap().with_extension("");
    let names: Vec<&str> = module.iter().map(|name| name.to_str().unwrap()).filter(|name| *name != "mod").collect();
    let mut module = names.join("::");
    let (mut tests, mut is_test) = (Vec::new(), false);
    for line in fs::read_to_string(file).unwrap().lines().map(str::trim) {
        if line == "mod tests {" {
            module.push_str("::tests");
        } else if line == "#[test]" || line == "#[tokio::test]" {
            is_test = true;
        } else if is_test && let Some((_, function)) = line.split_once("fn ") {
            let name = function.split('(').next().unwrap();
            tests.push(format!("{module}::{name}"));
            is_test = false;
        }
    }
    tests
}

/// The module paths of all tests: those of this binary and the unit tests of the library.
fn tests() -> BTreeSet<String> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let roots = [package.join("tests/it"), package.join("src")];
    roots.iter().flat_map(|root| sources(root).into_iter().flat_map(|file| tests_of(root, &file))).collect()
}

/// The titles in all sections of the ledger whose names begin so, without their backquotes.
fn titles(section: &str) -> BTreeSet<String> {
    let entries = entries().into_iter().filter(|entry| entry.section.starts_with(section));
    entries.map(|entry| entry.title.replace('`', "")).collect()
}

#[test]
fn every_rule_is_proven_or_decided_or_says_why_it_does_not_apply() {
    let entries = entries();
    assert!(entries.len() > 250, "only {} rules were read", entries.len());
    let bare = entries.iter().filter(|entry| {
        let says_enough = if entry.tag == "I" { entry.is_decided } else { !entry.proofs.is_empty() };
        !says_enough && !entry.does_not_apply
    });
    let bare: Vec<_> = bare.map(|entry| format!("{}: {}", entry.section, entry.title)).collect();
    assert_eq!(bare, [""; 0]);
}

#[test]
fn every_test_it_names_exists() {
    let tests = tests();
    let named: BTreeSet<_> = entries().into_iter().flat_map(|entry| entry.proofs).collect();
    let missing: Vec<_> = named.into_iter().filter(|test| !tests.contains(*test)).collect();
    assert!(missing.is_empty(), "{} tests do not exist:\n{}", missing.len(), missing.join("\n"));
}

#[test]
fn no_rule_stands_in_it_twice() {
    let mut seen = BTreeSet::new();
    for entry in entries() {
        assert!(seen.insert((entry.section, entry.title)), "{}: {} stands there twice", entry.section, entry.title);
        let distinct: BTreeSet<_> = entry.proofs.iter().collect();
        assert_eq!(distinct.len(), entry.proofs.len(), "{}: {} names a test twice", entry.section, entry.title);
    }
}

#[test]
fn every_property_error_warning_and_mutation_of_the_contract_stands_in_it() {
    let contract: Value = serde_json::from_str(contract::OPENAPI).unwrap();
    let properties = &contract["components"]["schemas"]["access_code"]["properties"];
    let listed = titles("access-code-object §1");
    for name in properties.as_object().unwrap().keys() {
        assert!(listed.contains(name), "the ledger has no rule for the property {name}");
    }
    for (property, code, section) in [
        ("errors", "error_code", "access-code-object §3"),
        ("warnings", "warning_code", "access-code-object §4"),
        ("pending_mutations", "mutation_code", "access-code-object §5"),
    ] {
        let listed = titles(section);
        let kinds = properties[property]["items"]["oneOf"].as_array().unwrap();
        for name in kinds.iter().flat_map(|kind| kind["properties"][code]["enum"].as_array().unwrap()) {
            let name = name.as_str().unwrap();
            assert!(listed.contains(name), "the ledger has no rule for the {code} {name} in {section}");
        }
    }
}
