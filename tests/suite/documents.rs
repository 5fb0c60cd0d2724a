//! Documents name files, folders, tests and parts of the code that exist, and their links lead somewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

/// A word in code marks that begins with one of these is a path from the repository's root.
const TOP: [&str; 9] = [
    ".ci/",
    ".github/",
    "benches/",
    "crates/",
    "deploy/",
    "docs/",
    "policies/",
    "src/",
    "tests/",
];
/// A word in code marks of this many parts joined by `_` is the name of a test.
const PARTS: usize = 6;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The files below a folder whose names end so.
fn files(below: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![below.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|known| known == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn documents() -> Vec<(PathBuf, String)> {
    let mut found = files(&root().join("docs"), "md");
    found.extend(["README.md", "CONTRIBUTING.md", "SECURITY.md"].map(|name| root().join(name)));
    let texts = found.into_iter().map(|path| {
        let text = fs::read_to_string(&path).unwrap();
        (path, text)
    });
    texts.collect()
}

/// What stands between backquotes, line by line, blocks of code left out.
fn code_words(text: &str) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    let mut block = false;
    for line in text.lines() {
        if line.starts_with("```") {
            block = !block;
        } else if !block {
            words.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    words
}

#[test]
fn paths_in_documents_exist() {
    let mut missing = Vec::new();
    let mut seen = 0;
    for (document, text) in documents() {
        for word in code_words(&text) {
            let is_path = TOP.iter().any(|top| word.starts_with(top))
                && !word.contains([' ', '*', '{', '(', ':']);
            if is_path {
                seen += 1;
                if !root().join(&word).exists() {
                    missing.push(format!("{}: {word}", document.display()));
                }
            }
        }
    }
    assert!(seen > 100, "the documents were read: {seen} paths");
    assert!(missing.is_empty(), "not found:\n{}", missing.join("\n"));
}

/// `name.rs` alone is beside, or below, something that the same document names by its whole path.
#[test]
fn files_without_a_folder_are_beside_what_is_named() {
    let path = Regex::new(r"^[\w/]+\.rs$").unwrap();
    let mut missing = Vec::new();
    let mut seen = 0;
    for (document, text) in documents() {
        let words = code_words(&text);
        let is_whole = |word: &&String| TOP.iter().any(|top| word.starts_with(top));
        let named: Vec<PathBuf> = words.iter().filter(is_whole).map(PathBuf::from).collect();
        let parents = named.iter().filter_map(|path| path.parent());
        let folders: BTreeSet<&Path> = parents.chain(named.iter().map(PathBuf::as_path)).collect();
        for word in words.iter().filter(|word| path.is_match(word)) {
            if is_whole(&word) {
                continue;
            }
            seen += 1;
            let there = |folder: &&Path| root().join(folder).join(word).exists();
            if !folders.iter().any(there) {
                missing.push(format!("{}: {word}", document.display()));
            }
        }
    }
    assert!(seen > 30, "the documents were read: {seen} files");
    assert!(missing.is_empty(), "not found:\n{}", missing.join("\n"));
}

#[test]
fn tests_in_documents_exist() {
    let mut code = String::new();
    for folder in ["src", "crates", "tests/suite"] {
        for file in files(&root().join(folder), "rs") {
            code.push_str(&fs::read_to_string(file).unwrap());
        }
    }
    let mut missing = Vec::new();
    let mut seen = 0;
    for (document, text) in documents() {
        for word in code_words(&text) {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            let is_test = word.chars().all(plain) && word.split('_').count() >= PARTS;
            // Names of metrics, ours and Envoy's, have as many parts.
            let is_metric = ["sluice_", "upstream_"]
                .iter()
                .any(|prefix| word.starts_with(prefix));
            if is_test && !is_metric {
                seen += 1;
                if !code.contains(&format!("fn {word}(")) {
                    missing.push(format!("{}: {word}", document.display()));
                }
            }
        }
    }
    assert!(seen > 10, "the documents were read: {seen} tests");
    assert!(missing.is_empty(), "not found:\n{}", missing.join("\n"));
}

/// The words of each source file.
fn words_of_sources() -> BTreeMap<String, BTreeSet<String>> {
    let word = Regex::new(r"\w+").unwrap();
    let folders = ["src", "crates", "tests", "benches"];
    let sources = folders
        .iter()
        .flat_map(|top| files(&root().join(top), "rs"));
    let of_source = |file: PathBuf| {
        let text = fs::read_to_string(&file).unwrap();
        let words = word.find_iter(&text).map(|word| word.as_str().to_owned());
        let name = file.strip_prefix(root()).unwrap().display().to_string();
        (name, words.collect())
    };
    sources.map(of_source).collect()
}

/// `Type::member`: some source has both words.
#[test]
fn members_in_documents_exist() {
    let sources = words_of_sources();
    let path = Regex::new(r"^(?:\w+::)*(\w+)::(\w+)$").unwrap();
    let mut missing = Vec::new();
    let mut seen = 0;
    for (document, text) in documents() {
        for word in code_words(&text) {
            let Some(found) = path.captures(&word) else {
                continue;
            };
            seen += 1;
            let (owner, member) = (&found[1], &found[2]);
            let has_both =
                |words: &BTreeSet<String>| words.contains(owner) && words.contains(member);
            if !sources.values().any(has_both) {
                missing.push(format!("{}: {word}", document.display()));
            }
        }
    }
    assert!(seen > 5, "the documents were read: {seen} members");
    assert!(missing.is_empty(), "not found:\n{}", missing.join("\n"));
}

/// `name` in `path.rs`, or `name` (`path.rs`): that file has the word.
#[test]
fn names_are_in_the_files_that_documents_say() {
    let sources = words_of_sources();
    let place = Regex::new(
        r"`(?:\w+::)*(\w+)`(?:\s+in\s+|\s+\()`((?:src|crates|tests|benches)/[\w/]+\.rs)`",
    )
    .unwrap();
    let mut missing = Vec::new();
    let mut seen = 0;
    for (document, text) in documents() {
        for found in place.captures_iter(&text) {
            seen += 1;
            let (name, file) = (&found[1], &found[2]);
            if !sources.get(file).is_some_and(|words| words.contains(name)) {
                missing.push(format!("{}: {name} in {file}", document.display()));
            }
        }
    }
    assert!(seen > 10, "the documents were read: {seen} names");
    assert!(missing.is_empty(), "not found:\n{}", missing.join("\n"));
}

#[test]
fn links_in_documents_lead_somewhere() {
    let mut broken = Vec::new();
    let mut seen = 0;
    for (document, text) in documents() {
        let targets = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split_once(')'));
        for (target, _) in targets {
            let file = target.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains("://") {
                continue;
            }
            seen += 1;
            if !document.parent().unwrap().join(file).exists() {
                broken.push(format!("{}: {target}", document.display()));
            }
        }
    }
    assert!(seen > 20, "the documents were read: {seen} links");
    assert!(broken.is_empty(), "not found:\n{}", broken.join("\n"));
}
