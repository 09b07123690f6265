//! Checks of the layers that `src/lib.rs` describes: imports go downwards, imports between files form no cycle, and SQL
//! and HTTP are used only in their layers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The layers from the lowest to the highest: name and modules. A module belongs to the layer with its longest prefix.
const LAYERS: &[(&str, &[&str])] = &[
    (
        "base",
        &[
            "cause",
            "clock",
            "compute",
            "config",
            "contract",
            "error",
            "http",
            "ids",
            "log",
            "metrics",
            "postgres",
            "stop",
            "supervise",
            "tls",
        ],
    ),
    ("domain", &["domain"]),
    ("store", &["store"]),
    ("engine", &["engine"]),
    ("edge", &["api::body", "api::caller", "api::console_session", "api::edge", "api::http_faults"]),
    ("delivery", &["delivery"]),
    ("api", &["api"]),
    ("control", &["control"]),
    ("server", &["server"]),
    ("probe", &["probe"]),
    ("commands", &["commands"]),
];

/// A file in `src`. The text is without comments and tests.
struct Source {
    file: String,
    module: Vec<String>,
    text: String,
}

/// An import in a file.
struct Import {
    line: usize,
    /// Imported path from the root of the crate; `None`: it leads out of the crate.
    path: Option<Vec<String>>,
    /// True if the path is written with `crate::`.
    is_from_root: bool,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let file = path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
            let Some(name) = file.strip_suffix(".rs") else { continue };
            let is_test = name.ends_with("/tests") || name.contains("/tests/") || name == "contract/properties";
            if is_test || matches!(name, "lib" | "main" | "testing") {
                continue;
            }
            let module = name.split('/').filter(|part| *part != "mod").map(str::to_owned).collect();
            found.push(Source { module, text: code_of(&fs::read_to_string(&path).unwrap()), file });
        }
    }
    found.sort_by(|one, other| one.file.cmp(&other.file));
    found
}

/// Returns the text of a file up to its tests, with its comments removed.
fn code_of(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Returns the paths in a file that begin with `crate`, `super` or `self`.
fn imports(source: &Source) -> Vec<Import> {
    let mut found = Vec::new();
    for start in ["crate::", "super::", "self::"] {
        for (index, _) in source.text.match_indices(start) {
            let before = source.text[..index].chars().next_back();
            if before.is_some_and(|character| character.is_alphanumeric() || character == '_' || character == ':') {
                continue;
            }
            let line = source.text[..index].matches('\n').count() + 1;
            let mut paths = Vec::new();
            parse_tree(&[], &source.text[index..], &mut paths);
            let is_from_root = start == "crate::";
            let imports = paths.into_iter().map(|path| from_root(&source.module, &path));
            found.extend(imports.map(|path| Import { line, path, is_from_root }));
        }
    }
    found
}

/// Parses a path, or a tree of paths in braces. Returns the rest of the text.
fn parse_tree<'t>(prefix: &[String], text: &'t str, found: &mut Vec<Vec<String>>) -> &'t str {
    let mut path = prefix.to_vec();
    let mut rest = text.trim_start();
    loop {
        if let Some(inner) = rest.strip_prefix('{') {
            rest = inner.trim_start();
            while !rest.is_empty() && !rest.starts_with('}') {
                rest = parse_tree(&path, rest, found).trim_start();
                if let Some((_, after)) = rest.strip_prefix("as ").and_then(|alias| alias.split_once([',', '}'])) {
                    rest = &rest[rest.len() - after.len() - 1..];
                }
                rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
            }
            return rest.strip_prefix('}').unwrap_or(rest);
        }
        let end = rest.find(|character: char| !character.is_alphanumeric() && character != '_').unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let is_parent = name == "self" && !path.is_empty();
        if !name.is_empty() && !is_parent {
            path.push(name.to_owned());
        }
        match after.strip_prefix("::") {
            Some(after) if !name.is_empty() && !after.starts_with('<') => rest = after,
            _ => {
                found.push(path);
                return after.strip_prefix('*').unwrap_or(after);
            }
        }
    }
}

/// Returns a path from the root of the crate for a path in this module; `None`: it leads out of the crate.
fn from_root(module: &[String], path: &[String]) -> Option<Vec<String>> {
    let supers = path.iter().take_while(|part| *part == "super").count();
    let (base, rest) = match path.first()?.as_str() {
        "crate" => (&[][..], &path[1..]),
        "self" => (module, &path[1..]),
        _ => (&module[..module.len().checked_sub(supers)?], &path[supers..]),
    };
    Some(base.iter().chain(rest).cloned().collect())
}

/// Returns the layer of a module: its number and name.
fn layer(module: &[String]) -> Option<(usize, &'static str)> {
    let path = module.join("::");
    let is_in = |prefix: &str| path == prefix || path.starts_with(&format!("{prefix}::"));
    let longest_prefix = |(number, (name, modules)): (usize, &(&'static str, &[&str]))| {
        let longest = modules.iter().filter(|prefix| is_in(prefix)).map(|prefix| prefix.len()).max()?;
        Some((longest, number, *name))
    };
    let (_, number, name) = LAYERS.iter().enumerate().filter_map(longest_prefix).max()?;
    Some((number, name))
}

/// Returns true if a file of one layer may import from another layer.
fn may_import(from: (usize, &str), to: (usize, &str)) -> bool {
    to.0 <= from.0 && (from.1, to.1) != ("control", "api")
}

/// Describes the wrong imports of a file.
fn wrong_imports(source: &Source) -> Vec<String> {
    let mut wrong = Vec::new();
    let own = layer(&source.module).unwrap_or_else(|| panic!("src/{} is in no layer", source.file));
    for Import { line, path, is_from_root } in imports(source) {
        let mut reject = |what: String| wrong.push(format!("src/{}:{line}: {} imports {what}", source.file, own.1));
        let shown = path.as_deref().unwrap_or_default().join("::");
        match path.as_deref().map(layer) {
            Some(Some(other)) if may_import(own, other) => {}
            Some(Some(other)) => reject(format!("{shown} of {}", other.1)),
            // A module inside a file may use the items around it.
            Some(None) if !is_from_root && !shown.is_empty() => {}
            Some(None) | None => reject(format!("`{shown}`, which is in no layer")),
        }
        let base = path.as_deref().and_then(<[String]>::first).map(String::as_str).unwrap_or_default();
        if own.1 == "domain" && !DOMAIN_MAY_USE.contains(&base) && is_from_root {
            reject(format!("{shown}: the domain has rules only"));
        }
    }
    // Forms that would hide an import from this check.
    for (number, line) in source.text.lines().enumerate() {
        for hidden in ["crate as ", "super as ", "include!(", "#[path"] {
            if line.contains(hidden) {
                wrong.push(format!("src/{}:{}: {hidden}", source.file, number + 1));
            }
        }
    }
    wrong
}

/// Modules that the domain may use: of the base only instants, ids, errors, and the cause of an event.
const DOMAIN_MAY_USE: &[&str] = &["cause", "clock", "domain", "error", "ids"];

#[test]
fn layers_import_from_below_and_never_from_above() {
    let sources = sources();
    for (name, _) in LAYERS {
        let has_file = sources.iter().any(|source| layer(&source.module).is_some_and(|(_, layer)| layer == *name));
        assert!(has_file, "no file is in the layer {name}");
    }
    let wrong: Vec<String> = sources.iter().flat_map(wrong_imports).collect();
    assert!(wrong.is_empty(), "imports from higher layers:\n{}", wrong.join("\n"));
    let root = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let items = root.lines().filter(|line| !line.starts_with("//") && !line.is_empty());
    // The items that it exports come from lower layers, which must not import them from it.
    let mut items = items.map(|line| line.trim_start_matches("pub "));
    assert!(
        items.all(|line| ["mod ", "use crate::", "#["].iter().any(|begin| line.starts_with(begin))),
        "src/lib.rs may only declare modules, and export items for the program and the tests"
    );
}

#[test]
fn layer_check_finds_upward_imports_in_every_notation() {
    let is_rejected = |file: &str, text: &str| {
        let module = file.trim_end_matches(".rs").split('/').filter(|part| *part != "mod").map(str::to_owned).collect();
        !wrong_imports(&Source { file: file.to_owned(), module, text: code_of(text) }).is_empty()
    };
    for (file, text) in [
        ("domain/pin.rs", "use crate::store::devices;"),
        ("domain/pin.rs", "use crate::{clock, engine};"),
        ("domain/pin.rs", "pub use crate::engine::app::App as Other;"),
        ("domain/pin.rs", "use super::super::store::{self as rows};"),
        ("domain/pin.rs", "fn f() { crate::engine::delete::delete(); }"),
        ("domain/pin.rs", "use crate::*;"),
        ("domain/pin.rs", "use crate as root;"),
        ("domain/pin.rs", "use crate::App;"),
        ("domain/pin.rs", "use crate::postgres::Pool;"),
        ("domain/pin.rs", "mod inner { use super::super::super::super::engine; }"),
        ("store/devices.rs", "use crate::{\n    clock,\n    engine::{app::App, delete},\n};"),
        ("engine/delete.rs", "use crate::control::Done;"),
        ("control/clock.rs", "use crate::api::access_codes::wanted;"),
        ("api/edge.rs", "use super::devices;"),
        ("error.rs", "use crate::domain::device::Device;"),
    ] {
        assert!(is_rejected(file, text), "{file}: {text}");
    }
    for (file, text) in [
        ("domain/pin.rs", "use super::device::Device; // crate::engine"),
        ("control/clock.rs", "use crate::api::edge::Done;"),
        ("engine/delete.rs", "use crate::{domain::{self, pin}, store::devices as rows};"),
        ("clock.rs", "pub mod iso { use super::Timestamp; }"),
    ] {
        assert!(!is_rejected(file, text), "{file}: {text}");
    }
}

#[test]
fn imports_between_files_form_no_cycle() {
    let sources = sources();
    let modules: BTreeSet<&[String]> = sources.iter().map(|source| source.module.as_slice()).collect();
    let file_of = |path: &[String]| {
        (1..=path.len()).rev().map(|end| &path[..end]).find(|module| modules.contains(module)).map(<[String]>::to_vec)
    };
    let mut edges: BTreeMap<Vec<String>, BTreeSet<Vec<String>>> = BTreeMap::new();
    for source in &sources {
        let imported = imports(source).into_iter().filter_map(|import| file_of(import.path.as_deref()?));
        let declared = source.text.lines().filter_map(|line| line.split_once("mod ")?.1.strip_suffix(';'));
        let declared = declared.filter_map(|name| file_of(&[&source.module[..], &[name.to_owned()]].concat()));
        // A file may use the items of its parent modules, which declare it.
        let targets = imported.chain(declared).filter(|target| !source.module.starts_with(target));
        edges.insert(source.module.clone(), targets.collect());
    }
    // Remove files that import no remaining file, until only cycles and the files that lead to them remain.
    loop {
        let remaining: BTreeSet<Vec<String>> = edges.keys().cloned().collect();
        let before = edges.len();
        edges.retain(|_, targets| {
            targets.retain(|target| remaining.contains(target));
            !targets.is_empty()
        });
        if edges.len() == before {
            break;
        }
    }
    let show = |path: &[String]| path.join("::");
    let cycles: Vec<String> = edges
        .iter()
        .map(|(from, to)| {
            format!("{} -> {}", show(from), to.iter().map(|module| show(module)).collect::<Vec<_>>().join(", "))
        })
        .collect();
    assert!(cycles.is_empty(), "files in an import cycle, or that import from one:\n{}", cycles.join("\n"));
}

/// Words, the modules that may contain them, and the reason.
const WORDS: &[(&[&str], &[&str], &str)] = &[
    (
        &[
            "sqlx::query",
            "sqlx::{query",
            "query_as",
            "query_scalar",
            "raw_sql",
            "QueryBuilder",
            "sqlx::types",
            "FromRow",
            "fetch_all(",
            "fetch_one(",
        ],
        &["store", "postgres"],
        "SQL and rows belong to a store",
    ),
    (
        &["axum", "hyper", "tower", "http_body_util", "crate::http", "crate::{http"],
        &["http", "api", "control", "server"],
        "HTTP belongs to endpoints and to what is around them",
    ),
    (
        &["reqwest"],
        &["delivery", "postgres", "probe"],
        "requests to other servers are deliveries to webhooks, the download of PostgreSQL, and the probe",
    ),
];

#[test]
fn layers_keep_sql_in_stores_http_at_the_edge_and_rules_pure() {
    let mut wrong = Vec::new();
    for source in sources() {
        let mut reject = |word: &str, why: &str| {
            let lines = source.text.lines().enumerate().filter(|(_, line)| line.contains(word));
            wrong.extend(lines.map(|(number, _)| format!("src/{}:{}: {word}: {why}", source.file, number + 1)));
        };
        let top = source.module.first().map(String::as_str).unwrap_or_default();
        for (words, modules, why) in WORDS {
            if !modules.contains(&top) {
                for word in *words {
                    reject(word, why);
                }
            }
        }
        if top == "domain" {
            for word in ["sqlx", "tokio", "std::fs", "std::thread", "machine_now()", "random_id"] {
                reject(word, "the domain has rules only");
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
