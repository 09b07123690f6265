//! Checks of `ledger.md`: each rule has a proof, a decision or a reason why it does not apply, and the tests that it
//! names exist.

use latchkey::testing::contract;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const LEDGER: &str = include_str!("ledger.md");

/// A rule of the ledger.
struct Rule {
    /// Sheet and section, like `lifecycle §4`.
    section: &'static str,
    /// Subject of the rule, unique in its section.
    title: &'static str,
    /// `D`: documented by Seam, `O`: observed in a sample, `I`: own decision of Latchkey.
    tag: &'static str,
    /// Tests that prove the rule.
    proofs: Vec<&'static str>,
    is_decided: bool,
    does_not_apply: bool,
}

/// Parses the ledger. Panics at a line of an unknown kind.
fn rules() -> Vec<Rule> {
    let (mut section, mut rules) = ("", Vec::<Rule>::new());
    let lines = LEDGER.lines().enumerate().skip_while(|(_, line)| !line.starts_with("## "));
    for (number, line) in lines.filter(|(_, line)| !line.is_empty()) {
        if let Some(heading) = line.strip_prefix("## ") {
            section = heading.split_once(": ").map_or(heading, |(section, _)| section);
        } else if let Some(rule) = line.strip_prefix("- **") {
            rules.push(parse_rule(section, rule).unwrap_or_else(|| panic!("line {}: {line}", number + 1)));
        } else {
            let rule = rules.last_mut().expect("a rule comes before its proofs and decisions");
            match line.trim_start_matches("  - ").split_once(": ") {
                Some(("proof", test)) => rule.proofs.push(test),
                Some(("decided", what)) if !what.is_empty() => rule.is_decided = true,
                Some(("does not apply", why)) if !why.is_empty() => rule.does_not_apply = true,
                _ => panic!("line {} is not a proof, a decision or a reason: {line}", number + 1),
            }
        }
    }
    rules
}

/// Parses a rule from `title** [D]: text`.
fn parse_rule(section: &'static str, line: &'static str) -> Option<Rule> {
    let (title, rest) = line.split_once("** [")?;
    let (tag, text) = rest.split_once("]: ")?;
    let is_complete = ["D", "O", "I"].contains(&tag) && !title.is_empty() && !text.is_empty();
    is_complete.then(|| Rule { section, title, tag, proofs: Vec::new(), is_decided: false, does_not_apply: false })
}

/// Returns all Rust files below a folder.
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

/// Returns the tests of a file with their module paths.
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

/// Returns the paths of all tests: those of this binary and the unit tests of the library.
fn tests() -> BTreeSet<String> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let roots = [package.join("tests/it"), package.join("src")];
    roots.iter().flat_map(|root| sources(root).into_iter().flat_map(|file| tests_of(root, &file))).collect()
}

/// Returns the titles, without backquotes, of all rules in sections that begin with `section`.
fn titles(section: &str) -> BTreeSet<String> {
    let rules = rules().into_iter().filter(|rule| rule.section.starts_with(section));
    rules.map(|rule| rule.title.replace('`', "")).collect()
}

#[test]
fn ledger_rules_are_proven_or_decided_or_have_a_reason_not_to_apply() {
    let rules = rules();
    assert!(rules.len() > 250, "only {} rules were read", rules.len());
    let unproven = rules.iter().filter(|rule| {
        let is_sufficient = if rule.tag == "I" { rule.is_decided } else { !rule.proofs.is_empty() };
        !is_sufficient && !rule.does_not_apply
    });
    let unproven: Vec<_> = unproven.map(|rule| format!("{}: {}", rule.section, rule.title)).collect();
    assert_eq!(unproven, [""; 0]);
}

#[test]
fn ledger_names_only_existing_tests() {
    let tests = tests();
    let named: BTreeSet<_> = rules().into_iter().flat_map(|rule| rule.proofs).collect();
    let missing: Vec<_> = named.into_iter().filter(|test| !tests.contains(*test)).collect();
    assert!(missing.is_empty(), "{} tests do not exist:\n{}", missing.len(), missing.join("\n"));
}

#[test]
fn ledger_has_no_duplicate_rules_or_proofs() {
    let mut seen = BTreeSet::new();
    for rule in rules() {
        assert!(seen.insert((rule.section, rule.title)), "{}: {} is there twice", rule.section, rule.title);
        let distinct: BTreeSet<_> = rule.proofs.iter().collect();
        assert_eq!(distinct.len(), rule.proofs.len(), "{}: {} names a test twice", rule.section, rule.title);
    }
}

#[test]
fn ledger_has_the_properties_errors_warnings_and_mutations_of_the_contract() {
    let contract: Value = serde_json::from_str(contract::OPENAPI.text().unwrap()).unwrap();
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

/// First words that are not the subject of a test.
const NO_SUBJECTS: [&str; 14] =
    ["a", "an", "the", "what", "who", "no", "nothing", "nobody", "each", "every", "all", "it", "that", "there"];

#[test]
fn test_names_begin_with_their_subject_and_have_at_most_75_characters() {
    let tests = tests();
    assert!(tests.len() > 900, "only {} tests were found", tests.len());
    let is_wrong = |test: &&String| {
        let name = test.rsplit("::").next().unwrap();
        name.len() > 75 || name.split('_').next().is_some_and(|word| NO_SUBJECTS.contains(&word))
    };
    let wrong: Vec<&String> = tests.iter().filter(is_wrong).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
